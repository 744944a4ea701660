"""What does the ledger cost?  Paired timings of whole training steps.

Each case is a model; each row one way of training it with Lion. Every repeat of a row
runs right beside one of plain optax.lion, in this process (A B, B A, A B …), so that
whatever else the machine does falls on both; compilation is timed apart. One repeat is
one jitted `lax.scan` over all steps, its carry donated: dispatching is not measured.

    cost ×   time(this row) / time(plain optax.lion) of a pair: 1.05 is 5 % more
    CPU ×    the same in CPU time, all threads: less disturbed by a busy machine
    speed ×  1 / cost, over 1 where dynax is the faster
The row `optax.lion` is measured against itself: its spread is that of the machine.

Rows:
    optax.lion       the yardstick
    dynax.lion       as_optax(LionKappa(…), lr), no ledger
    every=never      ledger compiled in, never drawn after the first step
    every=100 …      a row every 100 steps, with its extra forward pass
    audit every=10   the ledger around optax.lion itself
    naive H          H alone on every step: f + c(κ(m) − λ⟨m, x⟩), no balance

Examples:
    python scripts/bench.py ledger --quick
    python scripts/bench.py ledger --case mlp-1m --repeats 9 --json bench.json
    python scripts/bench.py ledger --case digits --only every=10 every=100
"""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from benchmarks.common import options, session


LR, BETAS, DECAY = 1e-4, (0.9, 0.99), 0.1
NEVER = 2**30
TARGETS = {"every=never": 1.02, "every=10": 1.08, "every=100": 1.01}


class Case(NamedTuple):
    """A model and its batches, on the device before any clock starts."""

    params: Any
    batches: tuple[jax.Array, jax.Array]
    steps: int
    about: str


def mlp(params, x):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def loss(params, batch):
    x, y = batch
    return optax.softmax_cross_entropy_with_integer_labels(mlp(params, x), y).mean()


def start(key, *widths):
    keys = jax.random.split(key, len(widths) - 1)
    return [
        (jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, jnp.zeros(n))
        for k, m, n in zip(keys, widths, widths[1:], strict=False)
    ]


def digits(steps: int) -> Case:
    from sklearn.datasets import load_digits

    data, labels = load_digits(return_X_y=True)
    take = np.random.default_rng(0).integers(0, len(data), (16, 128))
    x, y = jnp.asarray(data / 16, jnp.float32)[take], jnp.asarray(labels)[take]
    params = start(jax.random.key(0), 64, 128, 128, 10)
    return Case(params, (x, y), steps, "digits MLP 64-128-128-10, batch 128")


def million(steps: int) -> Case:
    kx, ky, kp = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(kx, (8, 256, 784))
    y = jax.random.randint(ky, (8, 256), 0, 10)
    params = start(kp, 784, 680, 680, 10)
    return Case(params, (x, y), steps, "1 M-parameter MLP 784-680-680-10, batch 256")


CASES = {"digits": (digits, 2000, 400), "mlp-1m": (million, 100, 100)}


def transformations() -> dict[str, optax.GradientTransformationExtraArgs]:
    b1, b2 = BETAS
    peer = optax.lion(LR, b1, b2, weight_decay=DECAY)
    opt = dx.LionKappa(beta1=b1, beta2=b2, weight_decay=DECAY)
    read = dx.LionState.from_optax
    ledgers = {"never": NEVER, "100": 100, "10": 10, "1": 1}
    return {
        "optax.lion": optax.with_extra_args_support(peer),
        "dynax.lion": dx.as_optax(opt, LR),
        **{f"every={k}": dx.as_optax(opt, LR, every=n) for k, n in ledgers.items()},
        "audit every=10": dx.audit(peer, opt, LR, read=read, every=10),
        "naive H": naive(peer, opt),
    }


def naive(tx, opt):
    """optax.lion, and the number H after every step."""

    def init(params):
        return tx.init(params), jnp.zeros(())

    def update(updates, state, params=None, *, value=0.0, **extra):
        del extra
        updates, inner = tx.update(updates, state[0], params)
        m = dx.LionState.from_optax(state[0])
        return updates, (inner, opt.energy(0.0, params, m, value, LR))

    return optax.GradientTransformationExtraArgs(init, update)


def compiled(tx, case: Case):
    def step(carry, i):
        params, state = carry
        batch = jax.tree.map(lambda a: a[i % a.shape[0]], case.batches)
        value, grads = jax.value_and_grad(loss)(params, batch)
        value_fn = lambda p: loss(p, batch)
        updates, state = tx.update(grads, state, params, value=value, value_fn=value_fn)
        return (optax.apply_updates(params, updates), state), value

    def train(carry):
        return jax.lax.scan(step, carry, jnp.arange(case.steps))

    params = jax.tree.map(jnp.array, case.params)  # a copy, as it is given away
    carry = params, tx.init(params)
    before = time.perf_counter()
    run = jax.jit(train, donate_argnums=0).lower(carry).compile()
    return run, carry, time.perf_counter() - before


def bench(case: Case, names: list[str] | None, repeats: int) -> dict[str, Any]:
    chosen = transformations()
    if names is not None:
        chosen = {k: v for k, v in chosen.items() if k in ("optax.lion", *names)}
    runs, carries, rows = {}, {}, {}
    for name, tx in chosen.items():
        runs[name], carry, seconds = compiled(tx, case)
        memory = runs[name].memory_analysis()
        state = [a.shape for a in jax.tree.leaves(carry[1])]
        rows[name] = {
            "compile_s": seconds,
            "temp_bytes": memory.temp_size_in_bytes,
            "carry_bytes": sum(a.nbytes for a in jax.tree.leaves(carry)),
            "scalars_in_state": sum(s == () for s in state),
            "arrays_in_state": sum(s != () for s in state),
        }
        carries[name], _ = jax.block_until_ready(runs[name](carry))  # warm, and step 0
        print(f"    compiled {name:<15} {seconds:5.1f} s", flush=True)
    peer = rows["optax.lion"]
    for name, row in rows.items():
        # the ledger is O(1): no array that plain Lion does not have
        assert row["arrays_in_state"] == peer["arrays_in_state"], name

    def clock(name: str) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        carries[name], _ = jax.block_until_ready(runs[name](carries[name]))
        return time.perf_counter() - wall, time.process_time() - cpu

    seen: dict[str, list] = {name: [] for name in runs}
    for k in range(repeats):
        for name in runs:
            if k % 2:  # the row, then the peer; in turn, to cancel drift
                seen[name].append((clock(name), clock("optax.lion")))
            else:
                seen[name].append((clock("optax.lion"), clock(name))[::-1])
    for name, row in rows.items():
        times = np.array(seen[name])  # (repeat, ours or the peer's, wall or CPU)
        ratios = times[:, 0] / times[:, 1]
        row["ms_per_step"] = list(1e3 * times[:, 0, 0] / case.steps)
        row["peer_ms_per_step"] = list(1e3 * times[:, 1, 0] / case.steps)
        for k, clock_name in enumerate(("cost", "cpu_cost")):
            row[clock_name] = {
                "min": float(ratios[:, k].min()),
                "median": float(np.median(ratios[:, k])),
                "max": float(ratios[:, k].max()),
                "best_of_best": float(times[:, 0, k].min() / times[:, 1, k].min()),
            }
        row["target"] = TARGETS.get(name)
    return rows


def show(case: Case, rows: dict[str, Any]) -> None:
    plain = rows["optax.lion"]
    print(f"\n  {case.about}, {case.steps} steps a repeat")
    print(
        f"  {'':<15} {'ms/step':>8} {'cost ×':>7} {'[min':>7} {'max]':>6} "
        f"{'best/best':>9} {'CPU ×':>6} {'speed ×':>8} {'target':>7} "
        f"{'temp MiB':>9} {'scalars':>8}"
    )
    for name, row in rows.items():
        cost = row["cost"]
        target = f"≤ {row['target']}" if row["target"] else ""
        extra = row["scalars_in_state"] - plain["scalars_in_state"]
        print(
            f"  {name:<15} {min(row['ms_per_step']):8.3f} {cost['median']:7.3f} "
            f"{cost['min']:7.3f} {cost['max']:6.3f} {cost['best_of_best']:9.3f} "
            f"{row['cpu_cost']['median']:6.3f} {1 / cost['median']:8.3f} {target:>7} "
            f"{row['temp_bytes'] / 2**20:9.2f} {extra:+8d}"
        )


def main(argv: list[str]) -> None:
    parser = options("ledger", __doc__, repeats=9)
    parser.add_argument("--quick", action="store_true", help="fewer steps, 5 repeats")
    parser.add_argument("--case", choices=CASES, help="one case (default: all)")
    rows = list(transformations())
    parser.add_argument("--only", nargs="+", choices=rows, help="rows beside the peer")
    with session(parser, argv) as (args, result):
        result["cases"] = {}
        for name in [args.case] if args.case else CASES:
            build, steps, quick_steps = CASES[name]
            case = build(quick_steps if args.quick else steps)
            found = bench(case, args.only, args.repeats)
            show(case, found)
            about = {"about": case.about, "steps": case.steps}
            result["cases"][name] = {**about, "rows": found}
