"""How often the verdict is wrong: random optimizers, losses, units and precisions.

Each member runs on random losses. f has units from 1e-12 to 1e6, x from 1e-4 to 1e4;
rates go from 1e-6 to 0.3; precisions are float64, float32 and bfloat16. A right one
must never be called *violated* (a false alarm). A broken one must never be called
*holds* (a miss). The faults: a sign, one per cent, one small leaf, one late step, the
momentum, a constant. A fault that changes no bit of the parameters or the state
cannot be seen. One of a hundredth is missed only where every check says that it can see
a hundredth (its resolution).
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from dynax import kappa as K
from dynax.claim import Claim, Control, Measured, at_least, equals
from dynax.report import COLORS, legend_beside, new_figure
from dynax.study import Study


DTYPES = {"float64": jnp.float64, "float32": jnp.float32, "bfloat16": jnp.bfloat16}


def lion(kappa, beta2=0.99, **options):
    return dx.LionKappa(kappa, beta2=beta2, weight_decay=0.5, **options)


# the method as a function of one constant: the right value and a wrong one
MEMBERS = {
    "Lion": (lambda v: lion(K.L1(), v), 0.99, 0.98),
    "Lion, explicit": (lambda v: lion(K.L1(), v, decay="explicit"), 0.99, 0.98),
    "Lion, soft": (lambda v: lion(K.SoftAbs(0.1), v), 0.99, 0.98),
    "Lion, Huber": (lambda v: lion(K.Huber(0.01), v), 0.99, 0.98),
    "Lion, ½‖·‖²": (lambda v: lion(K.HalfSquared(), v), 0.99, 0.98),
    "Lion, groups": (lambda v: lion(K.GroupL2(axis=0), v), 0.99, 0.98),
    "Muon": (lambda v: dx.Muon(v, weight_decay=0.5), 0.95, 0.94),
    "SignSGD": (lambda v: dx.SignSGD(v), 0.5, 0.6),
    "gradient descent": (lambda v: dx.GradientDescent(v), 0.0, 0.1),
    "momentum": (lambda v: dx.Momentum(v), 0.9, 0.89),
    "heavy ball": (lambda v: dx.HeavyBall(v), 1.0, 1.1),
    "Adam": (lambda v: dx.Adam(beta2=v), 0.999, 0.998),
    "RMSprop": (lambda v: dx.RMSprop(v), 0.99, 0.98),
}
SMALL = ("1 %", "momentum")  # faults of a hundredth
FAULTS = ("sign", "1 %", "small leaf still", "small leaf up", "late", "momentum", "β")


@dataclasses.dataclass(frozen=True)
class Config:
    cases: int = 24  # a member, a precision and a fault
    steps: int = 60
    members: tuple[str, ...] = tuple(MEMBERS)
    dtypes: tuple[str, ...] = tuple(DTYPES)


SIZES = {
    "quick": Config(cases=12, members=("Lion", "Lion, soft", "momentum")),
    "long": Config(),
    "full": Config(cases=400, steps=200),
}
SPACE = {
    "loss": (1e-12, 1e-4, 1.0, 1e6),
    "size": (1e-4, 1.0, 1e4),
    "rate": (1e-6, 1e-2),
}


class Case(NamedTuple):
    """Units, a rate, a seed, and what is done to the step from `since` on."""

    loss: Any
    size: Any
    rate: Any
    seed: Any
    large: Any  # factors of the update, of large leaves and of the small one
    small: Any
    momentum: Any
    wrong: Any  # the share of the wrong constant
    since: Any


def problem(seed, loss, size, dtype):
    """f in its units, with a leaf whose gradients are 1e-6 of the others', and x₀."""
    keys = jax.random.split(jax.random.key(seed), 6)
    draw = lambda k, *shape: jax.random.normal(keys[k], shape, jnp.float32)
    a, b, c = draw(0, 8, 6), draw(1, 6), draw(2, 5)
    x = {"large": draw(3, 6, 3), "bias": draw(4, 3), "small": draw(5, 5)}

    def f(x):
        x = jax.tree.map(lambda a: (a / size.astype(a.dtype)).astype(jnp.float32), x)
        y = jnp.tanh(a @ x["large"] + x["bias"][None])
        small = jnp.sum((x["small"] - c) ** 2 + jnp.cos(x["small"]))
        bowl = jnp.sum((x["large"] - b[:, None]) ** 2)
        return loss.astype(jnp.float32) * (jnp.sum(y * y) + bowl + 1e-6 * small)

    return f, jax.tree.map(lambda a: (a * size.astype(a.dtype)).astype(dtype), x)


def follow(make, right, wrong, case: Case, dtype, steps):
    """The tally of a run that is broken as `case` says, and whether any bit differs."""
    f, start = problem(case.seed, case.loss, case.size, dtype)
    claim = make(jnp.asarray(right))
    mixed = make(right + case.wrong * (wrong - right))
    factors = {"large": case.large, "bias": case.large, "small": case.small}

    def init(params):
        return jnp.zeros((), jnp.int32), claim.init(params)

    def update(grads, state, params=None) -> tuple[Any, Any]:
        count, state = state
        broken = count >= case.since.astype(count.dtype)
        right_step = claim.update(params, state, grads, case.rate)
        delta, after = mixed.update(params, state, grads, case.rate)
        delta = {k: factors[k].astype(v.dtype) * v for k, v in delta.items()}
        swell = lambda a: (
            case.momentum.astype(a.dtype) * a if jnp.ndim(a) and dx.tree.size(a) else a
        )
        choose = lambda a, b: jnp.where(broken, a, b)
        out = jax.tree.map(choose, (delta, jax.tree.map(swell, after)), right_step)
        return out[0], (count + 1, out[1])

    tx: Any = optax.GradientTransformation(init, update)  # pyright: ignore
    tx = dx.audit(tx, claim, case.rate, read=lambda state: state[1])

    def body(carry: Any, _):
        x, state, differs = carry
        value, grads = jax.value_and_grad(f)(x)
        honest = claim.update(x, state.inner[1], grads, case.rate)
        made: Any = tx.update(grads, state, x, value=value, value_fn=f)
        delta, state = made
        x_next = optax.apply_updates(x, delta)
        seen = x_next, state.inner[1]
        meant = optax.apply_updates(x, honest[0]), honest[1]
        same = [
            jnp.all(a == b)
            for a, b in zip(jax.tree.leaves(seen), jax.tree.leaves(meant), strict=True)
        ]
        return (x_next, state, differs | ~jnp.all(jnp.stack(same))), None

    carry = start, tx.init(start), jnp.zeros((), bool)
    (_, state, differs), _ = jax.lax.scan(body, carry, length=steps)
    assert isinstance(state, dx.monitor.AuditState)
    return state.tally, differs


def cases(kind: str, config: Config, rng) -> Case:
    """Random cases of one kind: "" is right, else one of `FAULTS`."""
    n = config.cases
    one = np.ones(n)
    large = {"sign": -one, "1 %": 1.01 * one, "late": -one}.get(kind, one)
    small = {"small leaf still": 0 * one, "small leaf up": -one}.get(kind, large)
    return Case(
        loss=10.0 ** rng.uniform(-12, 6, n),
        size=10.0 ** rng.uniform(-4, 4, n),
        rate=10.0 ** rng.uniform(-6, -0.5, n),
        seed=rng.integers(0, 2**31, n),
        large=large,
        small=small,
        momentum=1.01 * one if kind == "momentum" else one,
        wrong=one if kind == "β" else 0 * one,
        since=np.full(n, config.steps - 5 if kind == "late" else 0),
    )


@functools.cache
def program(name, dtype, steps):
    make, right, wrong = MEMBERS[name]
    one = lambda case: follow(make, right, wrong, case, DTYPES[dtype], steps)
    return jax.jit(lambda case: jax.lax.map(one, case))


def run(loss, size, rate, steps=60) -> dict:
    """Lion in float32, with its sign changed or not: violations found."""
    one, no = jnp.ones(()), jnp.zeros(())
    loss, size, rate = (jnp.asarray(v, float) for v in (loss, size, rate))
    start = jnp.zeros((), int)
    case = Case(loss, size, rate, start, one, one, one, no, start)
    make, right, wrong = MEMBERS["Lion"]
    go = lambda c: follow(make, right, wrong, c, jnp.float32, steps)[0]
    number = lambda t: sum(c.violations for c in t.counts.values())
    return {"right": number(go(case)), "climbs": number(go(case._replace(large=-one)))}


def statuses(name, dtype, kind, case: Case, steps) -> list[tuple[str, bool]]:
    """(status, whether the fault changed a bit) of each case."""
    size = len(case.seed)
    case = jax.tree.map(jnp.asarray, case)
    found, differs = jax.device_get(program(name, dtype, steps)(case))

    def said(k):
        v = dx.verdict(jax.tree.map(lambda a: a[k], found), name)
        blur = max((c["resolution"] for c in v.checks.values()), default=0.0)
        coarse = v.status == "holds" and kind in SMALL and blur > 0.01
        return "holds, coarse" if coarse else v.status

    return list(zip(map(said, range(size)), differs.tolist(), strict=True))


def table(results) -> dict:
    """(status, whether there was a fault to see) by member, precision and fault."""
    config, rng = results.config, np.random.default_rng(0)
    pairs = [(m, d) for m in config.members for d in config.dtypes]
    found = {}
    for k, (name, dtype) in enumerate(pairs):
        results.tell(k / len(pairs), f"{name}, {dtype}")
        for kind in ("", *FAULTS):
            these = cases(kind, config, rng)
            found[name, dtype, kind] = statuses(name, dtype, kind, these, config.steps)
    return found


PARTS = {"table": table}
WIDE = ("float64", "float32")


def count(table, kinds, statuses, dtypes=tuple(DTYPES)) -> tuple[int, int]:
    """How many have one of `statuses`, of how many where there is a fault to see."""
    seen = [
        status
        for (_, dtype, kind), found in table.items()
        for status, differs in found
        if kind in kinds and dtype in dtypes and (not kind or differs)
    ]
    return sum(s in statuses for s in seen), len(seen)


def where(table, kinds, statuses) -> str:
    """Which members, with how many."""
    found = {
        key: sum(s in statuses and (not key[2] or d) for s, d in rows)
        for key, rows in table.items()
        if key[2] in kinds
    }
    parts = [f"{' '.join(k).strip()}: {n}" for k, n in found.items() if n]
    return "; ".join(parts)


def counted(results, kinds, *statuses) -> Measured:
    found = results["table"]
    number, of = count(found, kinds, statuses)
    return Measured(number, f"of {of}. {where(found, kinds, statuses)}")


def sure(results) -> Measured:
    found = results["table"]
    held, _ = count(found, ("",), ("holds",), WIDE)
    asked = sum(len(rows) for (_, d, k), rows in found.items() if d in WIDE and not k)
    text = f"{held} of {asked}; the others cannot be decided at their rate"
    return Measured(held / asked, text)


def caught(results) -> Measured:
    found, visible = count(results["table"], FAULTS, ("violated",), WIDE)
    return Measured(found / visible, f"{found} of {visible}; the others are undecided")


CLAIMS = [
    Claim(
        "T1",
        "right optimizers that are called violated",
        equals(0, "a count"),
        lambda r: counted(r, ("",), "violated"),
    ),
    Claim(
        "T2",
        "broken optimizers that are called holds",
        equals(0, "a count"),
        lambda r: counted(r, FAULTS, "holds"),
    ),
    Claim(
        "T3",
        "share of right ones that hold, float64 and float32",
        at_least(0.6, "most; at tiny rates no verdict is possible"),
        sure,
    ),
    Claim(
        "T4",
        "share of broken ones that are violated, float64 and float32",
        at_least(0.6, "most; at tiny rates no verdict is possible"),
        caught,
    ),
    Control(
        "T2x",
        "claim T2 of a judge who says holds where nothing is infinite: misses",
        at_least(1, "one is enough"),
        lambda r: counted(r, ("sign",), "violated", "undecided", "holds"),
        of="T2",
    ),
    Control(
        "T1x",
        "claim T1 of a judge who calls violated what does not hold: false alarms",
        at_least(1, "one is enough"),
        lambda r: counted(r, ("",), "violated", "undecided"),
        of="T1",
    ),
    Control(
        "T3x",
        "claim T3 of optimizers with a wrong sign: how many hold",
        equals(0, "a count"),
        lambda r: count(r["table"], ("sign",), ("holds",), WIDE)[0],
        of="T3",
    ),
    Control(
        "T4x",
        "claim T4 of right optimizers: how many are violated",
        equals(0, "a count"),
        lambda r: count(r["table"], ("",), ("violated",), WIDE)[0],
        of="T4",
    ),
]


def figures(results) -> dict:
    table = results["table"]
    kinds = ("", *FAULTS)
    figure, axes = new_figure(1, 1, size=(7.6, 3.6))
    axis, bottom = axes[0][0], np.zeros(len(kinds))
    colors = {"holds": "blue", "holds, coarse": "sky"}
    colors |= {"undecided": "grey", "violated": "vermilion"}
    for status, color in colors.items():
        share = []
        for kind in kinds:
            n, of = count(table, (kind,), (status,))
            share.append(n / max(of, 1))
        axis.bar(range(len(kinds)), share, bottom=bottom, color=COLORS[color])
        axis.plot([], [], "s", color=COLORS[color], label=status)
        bottom += share
    names = ["right", *FAULTS]
    axis.set_xticks(range(len(kinds)), names, rotation=20)
    axis.set(xlabel="kind of run: right, or with this fault")
    axis.set(ylabel="share of the runs", ylim=(0, 1.05))
    legend_beside(axis)
    return {"What the verdict says of right runs and of each kind of fault.": figure}


STUDY = Study(
    "How often the verdict is wrong",
    "this work: random systems, right ones and broken ones",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
