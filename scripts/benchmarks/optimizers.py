"""How fast is a training step with our optimizers?  Against their twins in optax.

Each row is a method on a model of 1 M parameters (or the digits), ledger off: paired
timings of whole jitted training runs of ours and optax's, in this process and in turn,
compilation apart. `update` is the same with a constant gradient: the optimizer alone.

    speed ×  time(optax) / time(dynax) of a pair: over 1 where dynax is the faster

Muon's matrix products take ten minutes at this size and are run when asked for only.

Examples:
    python scripts/bench.py optimizers --quick
    python scripts/bench.py optimizers --case digits --only muon --json muon.json
"""

import functools
import time
from typing import Any

import jax
import optax
import optax.contrib

import dynax as dx
from benchmarks.common import compare, options, session
from benchmarks.ledger import CASES, Case, compiled


LR = 1e-3
PAIRS = {
    "sgd": (dx.GradientDescent(), optax.sgd(LR)),
    "momentum": (dx.Momentum(0.9), optax.sgd(LR, momentum=0.9)),
    "lion": (dx.LionKappa(weight_decay=0.1), optax.lion(LR, weight_decay=0.1)),
    "signum": (dx.Signum(0.9), optax.signum(LR, beta=0.9)),
    "adam": (dx.Adam(), optax.adam(LR)),
    "adamw": (dx.AdamW(weight_decay=0.1), optax.adamw(LR, weight_decay=0.1)),
    "rmsprop": (dx.RMSprop(), optax.rmsprop(LR, decay=0.9)),
    "adagrad": (dx.AdaGrad(), optax.adagrad(LR)),
    "muon": (dx.PracticalMuon(), optax.contrib.muon(LR)),
    "schedule-free": (
        dx.ScheduleFree(),
        optax.contrib.schedule_free(optax.sgd(LR), LR),
    ),
}
QUICK = [name for name in PAIRS if name != "muon"]


def alone(tx, case: Case):
    """Updates with one gradient, as a compiled run; what it is given; compile time."""
    grads = jax.tree.map(lambda a: a / 100, case.params)
    tx = optax.with_extra_args_support(tx)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    def train(carry):
        return jax.lax.scan(step, carry, length=case.steps)

    params = jax.tree.map(jax.numpy.array, case.params)
    carry = params, tx.init(params)
    begun = time.perf_counter()
    run = jax.jit(train, donate_argnums=0).lower(carry).compile()
    return run, carry, time.perf_counter() - begun


def bench(case: Case, name: str, repeats: int) -> dict[str, Any]:
    ours, theirs = PAIRS[name]
    pair = dx.as_optax(ours, LR), optax.with_extra_args_support(theirs)
    found: dict[str, Any] = {}
    for what, make in (("step", compiled), ("update", alone)):
        runs = [make(tx, case) for tx in pair]
        carries = [carry for _, carry, _ in runs]

        def go(k, runs=runs, carries=carries):
            carries[k], _ = runs[k][0](carries[k])
            return carries[k]

        compiling = "{:.1f}, optax {:.1f}".format(*(seconds for *_, seconds in runs))
        found[what] = compare(
            functools.partial(go, 0),
            functools.partial(go, 1),
            repeats,
            per=case.steps,
            timer=time.perf_counter,
            facts={"compile": compiling},
        )
    return found


def main(argv: list[str]) -> None:
    parser = options("optimizers", __doc__, repeats=9)
    parser.add_argument("--quick", action="store_true", help="fewer steps, 5 repeats")
    parser.add_argument("--case", choices=CASES, default="mlp-1m")
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=QUICK)
    with session(parser, argv) as (args, result):
        build, steps, quick_steps = CASES[args.case]
        case = build(quick_steps if args.quick else steps)
        print(f"  {case.about}; ms/step of dynax, speed × (median, range), compile s")
        for name in args.only:
            for what, row in bench(case, name, args.repeats).items():
                row.show(f"{name}, {what}")
                result[f"{name}, {what}"] = row
