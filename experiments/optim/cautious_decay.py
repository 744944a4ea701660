"""Cautious weight decay: x₊ = x − η(u + λ1(u∘x ≥ 0)∘x), around four methods.

Each has a Lyapunov function for the loss itself: the printed V̇ of SGD, SGD with
momentum, Lion-κ and Adam are exact, and so are those of the methods as they are run,
which look ahead. On f = ((x−3)² + (y−3)² − 1)² AdamW stops at the corner (1, 1) of the
box that its decay means, f = 49; with cautious decay Adam reaches f = 0, at a point of
the circle where no |xᵢ| can shrink but at the cost of another; Adam just stops on it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import Claim, kappa as K
from dynax.optim.adam import Adam
from dynax.report import COLORS, new_figure


TITLE = "Cautious weight decay keeps the loss"
SOURCE = "Cautious Weight Decay, arXiv:2510.12402"


@dataclasses.dataclass(frozen=True)
class Config:
    states: int = 20_000  # random ones, for each formula
    steps: int = 20_000
    starts: int = 16
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(states=1_000_000, steps=200_000, starts=1000),
    "full": Config(states=10_000_000, steps=1_000_000, starts=10_000),
}
SPACE = {
    "lr": (1e-2, 3e-3, 1e-3),
    "weight_decay": (0.3, 1.0, 3.0),
    "seed": (0, 1, 2),
}
DIMS = {
    "AdamW_x": ["coordinate"],
    "Adam_x": ["coordinate"],
    "cautious_x": ["coordinate"],
}
LAM, LR, SIZE, FEATURES = 0.7, 1e-2, 6, 24
STARTS = np.array([[3.5, 5.0], [4.0, 6.0], [0.5, 4.0]])  # of the figure


def loss(seed):
    """Smooth and not convex: f(x) = 0.05‖x‖² + Σ sin(w·x + b)/√K."""
    kw, kb = jax.random.split(jax.random.key(seed))
    w = jax.random.normal(kw, (FEATURES, SIZE))
    b = 2 * jnp.pi * jax.random.uniform(kb, (FEATURES,))

    def f(x):
        waves = jnp.sin(jnp.sum(w * x[None], axis=1) + b)
        return 0.05 * jnp.sum(x**2) + jnp.sum(waves) / FEATURES**0.5

    return f


def printed(f, lam=LAM, a=1.3, rate=0.7, b=2.0, e=0.1) -> dict:
    """Per method: field, V and V̇ as the paper has them; y = (x, m, v), time t.

    SGDM: β = `rate`. Lion-κ: α = a, γ = `rate`, κ = Σ√(m² + 0.04). Adam: α = a, γ = b
    ≤ 4a, averages corrected by α_t = 1/(1 − e^{−at}), γ_t = 1/(1 − e^{−bt}).
    """
    g = jax.grad(f)
    on = lambda u, x: (u * x >= 0).astype(x.dtype)
    soft = K.SoftAbs(0.2)
    still = lambda x, m, v: (jnp.zeros_like(m), jnp.zeros_like(v))

    def sgd(t, x, m, v):
        return (-g(x) - lam * on(g(x), x) * x, *still(x, m, v))

    def sgdm(t, x, m, v):
        return -m - lam * on(m, x) * x, rate * (g(x) - m), jnp.zeros_like(v)

    def lion(t, x, m, v):
        u = soft.grad(m)
        return u - lam * on(-m, x) * x, -a * g(x) - rate * m, jnp.zeros_like(v)

    def size(t, v):
        return (jnp.sqrt(v / -jnp.expm1(-b * t)) + e) * -jnp.expm1(-a * t)

    def adam(t, x, m, v):
        return (
            -m / size(t, v) - lam * on(m, x) * x,
            a * (g(x) - m),
            b * (g(x) ** 2 - v),
        )

    return {
        "SGD": (
            sgd,
            lambda t, x, m, v: f(x),
            lambda t, x, m, v: (
                -jnp.sum(g(x) ** 2) - lam * jnp.sum(jax.nn.relu(g(x) * x))
            ),
        ),
        "SGDM": (
            sgdm,
            lambda t, x, m, v: (
                rate * f(x) + jnp.sum(m**2) / 2 + lam * jnp.sum(jax.nn.relu(m * x))
            ),
            lambda t, x, m, v: (
                -jnp.sum((lam * on(m, x) + rate) * m**2)
                - lam * (rate + lam) * jnp.sum(jax.nn.relu(m * x))
            ),
        ),
        "Lion-κ": (
            lion,
            lambda t, x, m, v: (
                a * f(x) + soft.value(m) + lam * jnp.sum(jax.nn.relu(-m * x))
            ),
            lambda t, x, m, v: (
                -jnp.sum((lam * on(-m, x) + rate) * soft.grad(m) * m)
                - lam * (lam + rate) * jnp.sum(jax.nn.relu(-m * x))
            ),
        ),
        "Adam": (
            adam,
            lambda t, x, m, v: (
                a * f(x)
                + jnp.sum(m**2 / size(t, v)) / 2
                + lam * jnp.sum(jax.nn.relu(m * x))
            ),
            None,  # the paper bounds it: V̇ ≤ 0 for γ ≤ 4α
        ),
    }


def methods() -> dict:
    """The same four as they are run, in discrete steps, by dynax."""
    return {
        "SGD": dx.GradientDescent(),
        "sign": dx.SignSGD(),
        "SGDM": dx.Momentum(0.9),
        "heavy ball": dx.HeavyBall(0.5),
        "smooth Lion": dx.LionKappa(K.SoftAbs(0.2)),
        "Adam": Adam(),
    }


def draws(config):
    """Random x, m of many sizes, v ≥ 0, t."""
    keys = jax.random.split(jax.random.key(config.seed), 5)
    shape = config.states, SIZE
    x, m = (2 * jax.random.normal(k, shape) for k in keys[:2])
    m = m * 10 ** jax.random.uniform(keys[4], (config.states, 1), minval=-3)
    v = jax.random.normal(keys[2], shape) ** 2
    return x, m, v, jax.random.uniform(keys[3], (config.states,), minval=0.1, maxval=5)


def as_printed(config) -> dict:
    """|V̇ − formula|/(1 + |V̇|) at random states, and the largest V̇."""
    x, m, v, t = draws(config)

    def one(case):
        field, energy, formula = case

        def at(x, m, v, t):
            rates = field(t, x, m, v)
            primal, tangent = (t, x, m, v), (jnp.ones_like(t), *rates)
            _, slope = jax.jvp(energy, primal, tangent)
            expected = slope if formula is None else formula(t, x, m, v)
            plain = -LAM * jnp.where(-rates[0] * x < 0, x, 0)
            # the same with the decay everywhere, as AdamW has it
            everywhere = (plain, jnp.zeros_like(m), jnp.zeros_like(v))
            _, added = jax.jvp(energy, primal, (jnp.zeros_like(t), *everywhere))
            error = jnp.abs(slope - expected) / (1 + jnp.abs(slope))
            return error, slope, slope + added

        error, slope, plain = jax.vmap(at)(x, m, v, t)
        return jnp.max(error), jnp.max(slope), jnp.max(plain)

    cases = printed(loss(config.seed))
    found = jax.jit(lambda: [one(case) for case in cases.values()])()
    return dict(zip(cases, jax.tree.map(float, found), strict=True))


def as_run(config) -> dict:
    """|V̇ + D|/(1 + D), the least D, and the first for D of the base alone."""
    f = loss(config.seed)
    xs, ms, vs, _ = draws(config)

    def one(opt):
        decayed = dx.cautious_decay(opt, LAM)
        assert isinstance(decayed, dx.AbstractLyapunovOptimizer)

        def at(x, m, v):
            state = opt.init(x)
            if isinstance(opt, Adam):
                w = jnp.asarray(0.7)
                state = state._replace(m=m, v=v, weight_m=w, weight_v=w / 4)
            else:
                state = jax.tree.map(lambda _: m, state)
            y, flow = (x, state), dx.LyapunovFlow(decayed, f, LR)
            _, slope = dx.lie_derivative(flow.energy, flow.field)(0.0, y)
            d = flow.dissipation(0.0, y)
            short = opt.dissipation(0.0, x, state, jax.grad(f)(x), LR)
            gap = lambda d: jnp.abs(slope + d) / (1 + jnp.abs(d))
            return gap(d), d, gap(short)

        error, d, short = jax.vmap(at)(xs, ms, vs)
        return jnp.max(error), jnp.min(d), jnp.max(short)

    cases = methods()
    found = jax.jit(lambda: [one(opt) for opt in cases.values()])()
    return dict(zip(cases, jax.tree.map(float, found), strict=True))


def toy(x):
    return (jnp.sum((x - 3) ** 2) - 1) ** 2


def follow(method, x, lr, weight_decay, steps, every=1):
    """x along a run with ε falling linearly from lr to 0."""

    def body(carry, k):
        x, state = carry
        rate = lr * (1 - k / steps)
        delta, state = method.update(x, state, jax.grad(toy)(x), rate)
        if not isinstance(method, dx.CautiousDecayAdam):
            delta = delta - rate * weight_decay * x
        return (x + delta, state), x + delta

    def group(carry, k):
        carry, xs = jax.lax.scan(body, carry, k)
        return carry, xs[-1]

    ks = jnp.arange(float(steps)).reshape(-1, every)
    _, xs = jax.lax.scan(group, (x, method.init(x)), ks)
    return xs


def paths(x, lr, weight_decay, steps, every) -> dict:
    adam = Adam()
    return {
        "Adam": follow(adam, x, lr, 0.0, steps, every),
        "AdamW": follow(adam, x, lr, weight_decay, steps, every),
        "cautious": follow(
            dx.cautious_decay(adam, weight_decay), x, lr, 0.0, steps, every
        ),
    }


def run(lr, weight_decay, seed, steps=20_000) -> dict:
    """Where the three end on the toy, from a random start around it: x and f."""
    x = 3 + 3 * jax.random.normal(jax.random.key(seed), (2,))
    found = {k: v[-1] for k, v in paths(x, lr, weight_decay, steps, steps).items()}
    values = {f"{k}_f": toy(v) for k, v in found.items()}
    return {f"{k}_x": v for k, v in found.items()} | values


def measure(config: Config, progress) -> dict:
    progress(0.0, "V̇ as printed")
    formulas = as_printed(config)
    progress(0.3, "V̇ of the methods as run")
    found = as_run(config)
    progress(0.7, "the toy")
    rng = np.random.default_rng(config.seed)
    around = 3 + 3 * rng.normal(size=(config.starts - len(STARTS), 2))
    starts = jnp.asarray(np.concatenate([STARTS, around]))
    every = config.steps // 400
    go = functools.partial(paths, lr=1e-2, weight_decay=1.0)
    go = functools.partial(go, steps=config.steps, every=every)
    trails = jax.device_get(jax.jit(jax.vmap(go))(starts))
    return {"printed": formulas, "run": found, "starts": starts, "paths": trails}


def claims(results) -> list[Claim]:
    formulas, found = results["printed"], results["run"]
    ends = {k: v[:, -1] for k, v in results["paths"].items()}
    f = {k: np.asarray(jax.vmap(toy)(jnp.asarray(v))) for k, v in ends.items()}
    exact = [name for name in formulas if name != "Adam"]
    # a point of the circle from which no |xᵢ| shrinks but at the cost of another
    beyond = lambda v: np.max(v - 3, axis=1)
    circle = np.linalg.norm(ends["Adam"] - 3, axis=1)
    shown = lambda k: "(" + ", ".join(f"{v:.3f}" for v in ends[k][0]) + ")"
    many = f"{len(circle)} starts"

    claim = functools.partial(Claim.judged, SOURCE)

    return [
        claim(
            "9",
            f"V̇ as printed, {', '.join(exact)}: |V̇ − formula|/(1 + |V̇|)",
            max(formulas[name][0] for name in exact),
            "≤ 1e-8",
            "V̇ by one jvp at random states",
        ),
        claim(
            "9a",
            "V of Adam as printed (γ ≤ 4α, bias correction): the largest V̇",
            formulas["Adam"][1],
            "≤ 0",
            "of the others: "
            + ", ".join(f"{name} {formulas[name][1]:.1e}" for name in exact),
        ),
        claim(
            "9b",
            "V̇ of the methods as run, with look-ahead: |V̇ + D|/(1 + D)",
            max(v[0] for v in found.values()),
            "≤ 1e-8",
            ", ".join(found),
        ),
        claim(
            "9c",
            "the least D of these",
            min(v[1] for v in found.values()),
            "≥ 0",
            f"λ = {LAM:g}, λε below every condition",
        ),
        claim(
            "9d",
            "toy: AdamW ends at the corner (1, 1) of the box ‖x‖_∞ ≤ 1/λ, distance",
            np.max(np.linalg.norm(ends["AdamW"] - 1, axis=1)),
            "≤ 1e-2",
            f"f = {f['AdamW'][0]:.2f}; {many}",
        ),
        claim(
            "9e",
            "toy: Adam with cautious decay, f at the end",
            np.max(f["cautious"]),
            "≤ 1e-6",
            f"{many}; from (3.5, 5) to {shown('cautious')}",
        ),
        claim(
            "9f",
            "and it ends on the Pareto arc x, y ≤ 3: max(x, y) − 3",
            np.max(beyond(ends["cautious"])),
            "≤ 1e-2",
            many,
        ),
        claim(
            "9g",
            "toy: Adam from (3.5, 5) ends near (3, 4), distance",
            float(np.linalg.norm(ends["Adam"][0] - np.array([3.0, 4.0]))),
            "≤ 2e-2",
            f"{shown('Adam')}; all starts are within {np.max(np.abs(circle - 1)):.0e} "
            "of the circle",
        ),
        claim(
            "9w",
            "claim 9f for Adam without decay: max(x, y) − 3, the greatest",
            np.max(beyond(ends["Adam"])),
            "≥ 0.5 rejected",
            control=True,
        ),
        claim(
            "9x",
            "claim 9a with decay everywhere (as AdamW): the largest V̇, least over V",
            min(v[2] for v in formulas.values()),
            "≥ 0.1 rejected",
            ", ".join(f"{name} {v[2]:.1f}" for name, v in formulas.items()),
        ),
        claim(
            "9y",
            "claim 9b with the D of the method without decay",
            min(v[2] for v in found.values()),
            "≥ 0.1 rejected",
            "the least over methods",
        ),
        claim("9z", "claim 9e for AdamW: least f", np.min(f["AdamW"]), "≥ 40 rejected"),
    ]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.7))
    left, right = axes[0]
    colors = {"Adam": "vermilion", "AdamW": "grey", "cautious": "blue"}
    x = np.linspace(0, 6.5, 200)
    X, Y = np.meshgrid(x, x)
    left.contour(
        X,
        Y,
        np.abs((X - 3) ** 2 + (Y - 3) ** 2 - 1),
        levels=[0.5, 2, 5, 9],
        colors=COLORS["grey"],
        linewidths=0.4,
    )
    angle = np.linspace(0, 2 * np.pi, 200)
    left.plot(3 + np.cos(angle), 3 + np.sin(angle), ":", color=COLORS["black"], lw=1)
    arc = np.linspace(np.pi, 1.5 * np.pi, 60)
    left.plot(
        3 + np.cos(arc),
        3 + np.sin(arc),
        color=COLORS["green"],
        lw=3,
        label="Pareto-minimal |x|",
    )
    left.plot([0, 1, 1], [1, 1, 0], "--", color=COLORS["grey"], lw=1)
    for name, color in colors.items():
        label = "Adam, cautious decay" if name == "cautious" else name
        for k, start in enumerate(STARTS):
            trail = np.concatenate([start[None], results["paths"][name][k]])
            style = {"color": COLORS[color], "label": label if k == 0 else None}
            left.plot(*trail.T, lw=1, **style)
            left.plot(*trail[-1], "o", ms=4, color=COLORS[color])
    left.set(xlim=(0, 6.5), ylim=(0, 6.5), aspect="equal", xlabel="x", ylabel="y")
    left.set_title("f = ((x−3)² + (y−3)² − 1)²")
    for name, color in colors.items():
        trail = results["paths"][name][0]
        values = (np.sum((trail - 3) ** 2, axis=1) - 1) ** 2
        share = np.linspace(0, 1, len(trail))
        label = "Adam, cautious decay" if name == "cautious" else name
        right.plot(share, np.maximum(values, 1e-16), color=COLORS[color], label=label)
    right.set(yscale="log", xlabel="share of the run", ylabel="f")
    right.set_title("from (3.5, 5)")
    left.legend(loc="lower right")
    right.set_ylim(1e-22, None)
    right.legend(loc="lower left")
    return {"toy": figure}
