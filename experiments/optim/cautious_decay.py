"""Cautious weight decay: x₊ = x − η(u + λ1(u∘x ≥ 0)∘x), around four methods.

Each has a Lyapunov function for the loss itself: the printed V̇ of SGD, SGD with
momentum, Lion-κ and Adam are exact. On f = ((x−3)² + (y−3)² − 1)² AdamW stops at the
corner (1, 1) of the box that its decay means, f = 49; with cautious decay Adam reaches
f = 0, at a point of the circle where no |xᵢ| can shrink but at the cost of another;
Adam just stops on it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import kappa as K
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.optim.adam import Adam
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


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


def trails(results) -> dict:
    """From the starts of the figure, and from random ones."""
    config = results.config
    rng = np.random.default_rng(config.seed)
    around = 3 + 3 * rng.normal(size=(config.starts - len(STARTS), 2))
    starts = jnp.asarray(np.concatenate([STARTS, around]))
    how = {"lr": 1e-2, "weight_decay": 1.0, "steps": config.steps}
    go = functools.partial(paths, every=config.steps // 400, **how)
    return jax.device_get(jax.jit(jax.vmap(go))(starts))


PARTS = {"printed": lambda r: as_printed(r.config), "paths": trails}


def exact(results) -> Measured:
    found = results["printed"].items()
    return largest({k: v[0] for k, v in found if k != "Adam"}, "V̇ by one jvp")


def of_adam(results) -> Measured:
    *others, (_, found) = results["printed"].items()
    return Measured(found[1], "; ".join(f"{k}: {v[1]:.1e}" for k, v in others))


def ends(results, name):
    return results["paths"][name][:, -1]


def values(results, name):
    return np.asarray(jax.vmap(toy)(jnp.asarray(ends(results, name))))


def told(results, name) -> str:
    x = ", ".join(f"{v:.3f}" for v in ends(results, name)[0])
    return f"{len(ends(results, name))} starts; from (3.5, 5) to ({x})"


def near(results) -> Measured:
    found = ends(results, "Adam")
    circle = np.abs(np.linalg.norm(found - 3, axis=1) - 1)
    text = f"{told(results, 'Adam')}; all are within {np.max(circle):.0e} of the circle"
    return Measured(float(np.linalg.norm(found[0] - np.array([3.0, 4.0]))), text)


def beyond(results, name):
    """Past the arc of the circle where no |xᵢ| shrinks but at the cost of another."""
    found = np.max(np.max(ends(results, name) - 3, axis=1))
    return Measured(found, told(results, name))


def corner(results) -> Measured:
    far = np.linalg.norm(ends(results, "AdamW") - 1, axis=1)
    return largest(far, f"f = {values(results, 'AdamW')[0]:.2f}")


def reached(results) -> Measured:
    return largest(values(results, "cautious"), told(results, "cautious"))


CLAIMS = [
    Claim(
        "9",
        "V̇ as printed, SGD, SGDM, Lion-κ: |V̇ − formula|/(1 + |V̇|)",
        at_most(1e-11, "round-off of f's gradient and of sums of 6 terms"),
        exact,
    ),
    Claim(
        "9a",
        "V of Adam as printed (γ ≤ 4α, bias correction): the largest V̇",
        at_most(0, "the sign that is claimed"),
        of_adam,
    ),
    Claim(
        "9d",
        "toy: AdamW ends at the corner (1, 1) of the box ‖x‖_∞ ≤ 1/λ, distance",
        at_most(1e-2, "the first learning rate"),
        corner,
    ),
    Claim(
        "9e",
        "toy: Adam with cautious decay, f at the end",
        at_most(1e-6, "second order in the last learning rates"),
        reached,
    ),
    Claim(
        "9f",
        "and it ends on the Pareto arc x, y ≤ 3: max(x, y) − 3",
        at_most(1e-2, "the first learning rate"),
        functools.partial(beyond, name="cautious"),
    ),
    Claim(
        "9g",
        "toy: Adam from (3.5, 5) ends near (3, 4), distance",
        at_most(2e-2, "the figure of the paper, read to two digits"),
        near,
    ),
    Control(
        "9w",
        "claim 9f for Adam without decay: max(x, y) − 3, the greatest",
        at_least(0.5, "half of the circle's radius"),
        functools.partial(beyond, name="Adam"),
        of="9f",
    ),
    Control(
        "9x",
        "claim 9a with decay everywhere (as AdamW): the largest V̇, least over V",
        at_least(0.1, "far above 0"),
        lambda r: smallest({k: v[2] for k, v in r["printed"].items()}),
        of="9a",
    ),
    Control(
        "9z",
        "claim 9e for AdamW: least f",
        at_least(40, "49 at the corner"),
        lambda r: np.min(values(r, "AdamW")),
        of="9e",
    ),
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
    legend_below(left)
    right.set_ylim(1e-22, None)
    legend_below(right)
    return {
        "Cautious decay ends at a Pareto-minimal point of f, where "
        "AdamW does not.": figure
    }


STUDY = Study(
    "Cautious weight decay keeps the loss",
    "Cautious Weight Decay, arXiv:2510.12402",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
