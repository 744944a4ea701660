"""SOAP is Adam in a basis that turns, and what a turn adds to Adam's V has no sign.

In continuous time V̇ = −D + (1/a)⟨m̂/P, Ωᵀm̂⟩ for a basis with Q̇ = QΩ: V can rise at any
β₁, β₂. SOAP itself turns its bases only at renewals. Between two of these it is Adam, V
balances exactly and, b ≤ 4a, falls as Adam's does; a renewal makes V jump, up or down.
How much that is, is measured while two matrices are trained: some percent of what V
loses in all, and in most runs it lowers V.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.flow import Step
from dynax.monitor import row_of_step
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    states: int = 20_000
    steps: int = 600
    seeds: int = 4
    intervals: tuple[int, ...] = (1, 3, 10, 30)
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(
        states=200_000, steps=3000, seeds=20, intervals=(1, 2, 3, 5, 10, 30, 100)
    ),
    "full": Config(
        states=2_000_000, steps=5000, seeds=50, intervals=(1, 2, 3, 5, 10, 30, 100)
    ),
}
SPACE = {
    "interval": (1.0, 3.0, 10.0, 30.0),
    "lr": (1e-3, 1e-2),
    "noise": (0.0, 0.03),
    "seed": (0, 1, 2),
}
SMALL = SPACE["lr"][0]
ROWS, COLUMNS, LR = 5, 3, 1e-2  # of a random state


# A basis that turns without rest ------------------------------------------------------


def orthogonal(key, n):
    """n random reflections, without LAPACK."""
    q = jnp.eye(n)
    for u in jax.random.normal(key, (n, n)):
        q = q - jnp.outer(q @ u, 2 * u / jnp.sum(u**2))
    return q


def skew(key, n, size):
    a = size * jax.random.normal(key, (n, n))
    return a - a.T


def turning(key):
    """V̇ by one jvp, m kept in the original coordinates, at a random state, b ≤ 4a."""
    k = jax.random.split(key, 8)
    b1 = 1 - 10 ** jax.random.uniform(k[0], minval=-3.0, maxval=-0.7)
    b2 = 1 - 4 * (1 - b1) * jax.random.uniform(k[1])
    opt, a, shape = dx.Adam(b1, b2), (1 - b1) / LR, (ROWS, COLUMNS)
    g, m = jax.random.normal(k[2], (2, *shape))
    v = 10 ** jax.random.uniform(k[3], shape, minval=-2.0, maxval=2.0)
    left, right = orthogonal(k[4], ROWS), orthogonal(k[5], COLUMNS)
    spin_left, spin_right = skew(k[6], ROWS, a), skew(k[7], COLUMNS, a)

    def inside(y):
        """Adam's state in the bases, where w ≡ 1, and the gradient there."""
        _, m, v, left, right = y
        one = jnp.ones(())
        return dx.AdamState(left.T @ m @ right, v, one, one), left.T @ g @ right

    def energy(t, y, args):
        return opt.energy(t, y[0], inside(y)[0], jnp.sum(g * y[0]), LR)

    def field(t, y, args):
        x, m, _, left, right = y
        speed, rate = opt.flow(t, x, *inside(y), LR)
        turns = left @ spin_left, right @ spin_right
        return left @ speed @ right.T, a * (g - m), rate.v, *turns

    y = jnp.zeros(shape), m, v, left, right
    _, rate = dx.lie_derivative(energy, field)(0.0, y)
    state, inner = inside(y)
    d, p = opt.dissipation(0.0, y[0], state, inner, LR), jnp.sqrt(v) + opt.eps
    turned = spin_left.T @ state.m + state.m @ spin_right
    term = jnp.sum(state.m / p * turned) / a
    total = jnp.sum(state.m**2 / p)
    size = jnp.sum(jnp.abs(inner * state.m) / p) + total + jnp.abs(term)
    return {
        "with": jnp.abs(rate + d - term) / size,
        "without": jnp.abs(rate + d) / size,
        "term": term / total,
        "rate": rate / total,
    }


# SOAP itself --------------------------------------------------------------------------


def problem(seed):
    """A network of two matrices that is to imitate another one; badly scaled inputs."""
    k = jax.random.split(jax.random.key(seed), 5)
    data = jax.random.normal(k[0], (64, 8)) * jnp.geomspace(1.0, 0.1, 8)[None]
    net = lambda p: jnp.tanh(data @ p["in"]) @ p["out"]
    draw = lambda a, b, size: {
        "in": size * jax.random.normal(a, (8, 12)),
        "out": jax.random.normal(b, (12, 4)) / 12**0.5,
    }
    targets = net(draw(k[1], k[2], 1.0))
    f = lambda p: jnp.mean(jnp.sum((net(p) - targets) ** 2, axis=1)) / 2
    return f, draw(k[3], k[4], 8**-0.5)


def run(interval, lr, noise, seed, steps=600) -> dict:
    """V, V₊ − V as V is defined, and what it is made of; K before the bases turn.

    `noise` is the standard deviation of what is added to every entry of the gradient.
    """
    opt, (f, x) = dx.SOAP(interval=interval), problem(seed)
    potential = lambda x, state: f(x) + opt.adam.kinetic(state.adam, lr)

    def body(carry, k):
        (x, state), key = carry, jax.random.fold_in(jax.random.key(seed), k)
        keys = dict(zip(x, jax.random.split(key, len(x)), strict=True))
        g = jax.tree.map(
            lambda g, key: g + noise * jax.random.normal(key, g.shape),
            jax.grad(f)(x),
            keys,
        )
        x1, state1 = opt.step(x, state, g, lr)
        row = row_of_step(opt, Step(k, x, state, g, lr, x1, state1, f(x), f(x1)))
        t, before = row.terms, potential(x, state)
        return (x1, state1), {
            "V": before,
            "K": opt.adam.kinetic(state1.adam, lr) + t["rotation"],
            "change": potential(x1, state1) - before,
            "residual": t["residual"],
            "spent": t["momentum"] + t["drift"] + t["adaptation"],
            "jump": -t["rotation"],
            "slack": row.checks["balance"].tolerance,
        }

    ks = jnp.arange(steps, dtype=jnp.int32)
    return jax.lax.scan(body, (x, opt.init(x)), ks)[1]


def points(results) -> dict:
    config = results.config
    seeds = np.arange(config.seed, config.seed + config.seeds)
    axes = SPACE | {"interval": np.array(config.intervals, float), "seed": seeds}
    grid = np.meshgrid(*map(np.asarray, axes.values()), indexing="ij")
    return {k: np.ravel(v) for k, v in zip(axes, grid, strict=True)}


def runs(results) -> dict:
    go = functools.partial(run, steps=results.config.steps)
    every = jax.jit(lambda p: jax.lax.map(lambda p: go(**p), p))
    return jax.device_get(every(results["points"]))


def states(results) -> dict:
    keys = jax.random.split(jax.random.key(results.config.seed), results.config.states)
    return jax.device_get(jax.jit(jax.vmap(turning))(keys))


PARTS = {"points": points, "runs": runs, "turning": states}


class Steps(NamedTuple):
    """What the claims read of every step of every run."""

    jump: np.ndarray
    spent: np.ndarray
    slack: np.ndarray
    renewed: np.ndarray
    small: np.ndarray  # runs with the small ε and no noise
    left: np.ndarray  # V₊ − V less what is known of it
    bare: np.ndarray  # V₊ − V less J
    of_k: np.ndarray  # J/K, from the second step on


def seen(results) -> Steps:
    found, at = results["runs"], results["points"]
    jump, spent, change = (found[k] for k in ("jump", "spent", "change"))
    renewed = np.arange(jump.shape[1]) % at["interval"][:, None] == 0
    renewed[:, 0] = False  # the first step only looks
    small = (at["lr"] == SMALL) & (at["noise"] == 0)
    left = change - (found["residual"] - spent + jump)
    of_k = jump[:, 1:] / found["K"][:, 1:]
    slack = found["slack"]
    return Steps(jump, spent, slack, renewed, small, left, change - jump, of_k)


def no_sign(results) -> Measured:
    up, rate = np.mean(results["turning"]["term"] > 0), results["turning"]["rate"]
    text = f"turns as fast as a: V̇/Σ(m̂²/P) up to {np.max(rate):.3g}"
    return Measured(min(up, 1 - up), text)


def between(results) -> Measured:
    s = seen(results)
    text = f"{len(s.jump)} runs of {s.jump.shape[1]} steps"
    return Measured(np.max(np.abs(s.of_k[~s.renewed[:, 1:]]), initial=0), text)


def defect(results) -> float:
    found = results["runs"]
    size = 2 * np.abs(found["V"]) + np.abs(found["change"])
    return np.max(np.abs(seen(results).left) / size)


def rising(results) -> Measured:
    s, at = seen(results), results["points"]
    rates = "; ".join(
        f"ε = {lr:g}, noise {noise:g}: {np.mean(s.bare[on] > s.slack[on]):.1%}"
        for lr in SPACE["lr"]
        for noise in SPACE["noise"]
        for on in [(at["lr"] == lr) & (at["noise"] == noise)]
    )
    count = np.sum(s.bare[s.small] > s.slack[s.small])
    return Measured(count, f"rises are r > 0; of all steps, {rates}")


def both_signs(results) -> Measured:
    s = seen(results)
    jump, slack, of_k = s.jump[s.renewed], s.slack[s.renewed], s.of_k[s.renewed[:, 1:]]
    up, down = np.mean(jump > slack), np.mean(-jump > slack)
    text = f"{jump.size} renewals; up {up:.1%}; J/K from {np.min(of_k):.2f}"
    return Measured(min(up, down), f"{text} to {np.max(of_k):.2f}")


def share(results) -> Measured:
    s = seen(results)
    total = np.sum(s.spent, axis=1)
    net = np.sum(s.jump, axis=1) / total
    text = f"net: from {np.min(net):.3f} to {np.max(net):.3f}, above 0 in "
    text += f"{np.mean(net > 0):.0%} of the runs"
    return largest(np.sum(np.abs(s.jump), axis=1) / total, text)


def without_jump(results):
    s = seen(results)
    return np.mean(np.abs(s.left + s.jump)[s.renewed] > s.slack[s.renewed])


def lifted(results) -> Measured:
    s = seen(results)
    up = s.renewed & (results["runs"]["change"] > s.slack) & (s.bare <= 0)
    text = f"{np.sum(up[s.small])} of them at ε = {SMALL:g} with full gradients"
    return Measured(np.sum(up), text)


CLAIMS = [
    Claim(
        "21",
        "Q̇ = QΩ, m in the original basis: V̇ = −D + (1/a)⟨m̂/P, Ωᵀm̂⟩, by one jvp",
        at_most(1e-12, "round-off of products of small matrices, v over four decades"),
        lambda r: largest(r["turning"]["with"], f"{r.config.states} states, b ≤ 4a"),
    ),
    Claim(
        "21a",
        "that term has no sign: the smaller share of states of the two",
        at_least(0.4, "a half by symmetry, less the spread of a count"),
        no_sign,
    ),
    Claim(
        "21b",
        "SOAP: |J|/K between renewals",
        at_most(1e-12, "0, and round-off of two products by Q"),
        between,
    ),
    Claim(
        "21c",
        "V₊ − V, as defined, is r − what is spent + J: relative defect",
        at_most(1e-12, "round-off of products of small matrices"),
        defect,
    ),
    Claim(
        "21d",
        "what is spent is ≥ 0: steps on which it is not",
        equals(0, "a count, past the ledger's model of round-off; b = a"),
        lambda r: np.count_nonzero(seen(r).spent < -seen(r).slack),
    ),
    Claim(
        "21e",
        f"V less J falls, ε = {SMALL:g}, full gradients: steps on which it rises",
        equals(0, "a count, past the ledger's model of round-off"),
        rising,
    ),
    Claim(
        "21f",
        "J has both signs: the smaller of the shares of renewals, up and down",
        at_least(0.05, "one renewal in twenty, of each sign"),
        both_signs,
    ),
    Claim(
        "21g",
        "Σ|J| of a run over all that is spent in it, the largest",
        at_most(0.25, "small against what is spent: here, a quarter"),
        share,
    ),
    Control(
        "21x",
        "claim 21c without J: share of renewals beyond the model of round-off",
        at_least(0.9, "nearly all"),
        without_jump,
        of="21c",
    ),
    Control(
        "21y",
        "claim 21 without its last term: the median error",
        at_least(0.01, "far above round-off"),
        lambda r: np.median(r["turning"]["without"]),
        of="21",
    ),
    Control(
        "21z",
        "claim 21e for V itself: renewals with V₊ > V ≥ V₊ − J",
        at_least(1, "one is enough"),
        lifted,
        of="21e",
    ),
]


def figures(results) -> dict:
    config, points, seen = results.config, results["points"], results["runs"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    large = SPACE["lr"][-1]
    interval = config.intervals[len(config.intervals) // 2]
    at = slice(interval, None, interval)
    steps = np.arange(config.steps)[at]
    for noise, color in zip(SPACE["noise"], ("blue", "vermilion"), strict=True):
        on = (points["lr"] == large) & (points["noise"] == noise)
        on &= points["interval"] == interval
        share = seen["jump"][on, at] / seen["K"][on, at]
        style = {"ms": 2, "color": COLORS[color]}
        label = "noisy gradients" if noise else "full gradients"
        left.plot(steps, share.T, "o", **style)
        left.plot([], [], "o", **style, label=label)
    left.axhline(0, color=COLORS["black"], lw=0.6)
    left.set(xlabel="step", ylabel="J/K")
    left.set_title(f"Every renewal, interval {interval}, ε = {large:g}")
    legend_below(left)

    total = np.sum(seen["spent"], axis=1)
    colors = iter(("green", "blue", "orange", "vermilion"))
    for noise in SPACE["noise"]:
        for lr in SPACE["lr"]:
            on = (points["lr"] == lr) & (points["noise"] == noise)
            style = {"color": COLORS[next(colors)], "marker": "o", "ms": 3, "lw": 1}
            label = f"ε = {lr:g}, {'noisy' if noise else 'full'}"
            for sign in (1, -1):
                part = np.sum(np.maximum(sign * seen["jump"], 0), axis=1) / total
                mean = [
                    sign * np.mean(part[on & (points["interval"] == k)])
                    for k in config.intervals
                ]
                right.plot(config.intervals, mean, **style, label=label)
                label = None
    right.axhline(0, color=COLORS["black"], lw=0.6)
    right.set(xlabel="interval", ylabel="Σ J / Σ spent, up and down", xscale="log")
    right.set_xticks(config.intervals, [str(k) for k in config.intervals])
    right.minorticks_off()
    right.set_title("What renewals add to V")
    legend_below(right)
    return {"The energy of SOAP jumps where its basis is renewed.": figure}


STUDY = Study(
    "SOAP: what turning the basis does to V",
    "Vyas et al., arXiv:2409.11321; V derived in dynax.optim.soap",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
