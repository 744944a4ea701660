"""Two solved models of learning. A deep linear network on whitened inputs learns each
singular mode of its target along a known curve, in time ∝ 1/s, and conserves
W_{l+1}ᵀW_{l+1} − W_lW_lᵀ. The test error of a linear student of a noisy teacher follows
from the Marchenko–Pastur law alone: it has its dip where one should stop early, and
diverges where there are as many samples as parameters.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.landscape import deep_linear as dl, generalization as gen
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments._together import together
from experiments.landscape._deep_linear import (
    HORIZON,
    NOISE,
    SIGNAL,
    STARTS,
    STRENGTHS,
    descend,
    drift,
    run,
    solve,
    student,
)


ADVANI = "Advani, Saxe, arXiv:1710.03667"


@dataclasses.dataclass(frozen=True)
class Config:
    lr: float = 1e-4
    scales: tuple[float, ...] = (1e-2, 1e-3, 1e-4)  # of random first weights
    networks: int = 4
    size: int = 400  # N, parameters of the student
    loads: tuple[float, ...] = (0.5, 1.0, 2.0)
    seeds: int = 10


SIZES = {
    "quick": Config(),
    "long": Config(lr=2e-5, networks=64, loads=(0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)),
    "full": Config(lr=5e-6, networks=256, size=2000, seeds=40),
}
SPACE = {
    "scale": np.logspace(-5, -1, 9),
    "seed": np.arange(8),
}
DIMS = {name: ["mode"] for name in ("half", "predicted", "learnt")}


def descents(results) -> dict:
    """By depth: times and modes of gradient descent on aligned weights."""
    steps = round(HORIZON / results.config.lr)
    go = lambda depth: lambda: descend(depth, results.config.lr, steps)
    return together({depth: go(depth) for depth in STARTS}, results.tell)


def curves(results):
    """u of the right exponents for each depth, then of the wrong ones."""
    depths = jnp.asarray([2.0, 3.0, 4.0, 2.0, 3.0, 4.0])
    powers = jnp.where(jnp.arange(6) < 3, 2 - 2 / depths, 2 - 1 / depths)
    return np.asarray(solve(depths, powers, jnp.asarray(results["descents"][2][0])))


def scattered(results) -> dict:
    go = jax.jit(jax.vmap(run, (None, 0)))
    config = results.config
    every = {s: go(s, jnp.arange(config.networks)) for s in config.scales}
    return jax.device_get(every)


def students(results) -> dict:
    """By P/N: test errors of each student over time, and the formula's, also of N/P."""
    config, ts = results.config, jnp.logspace(-1, 2, 31)
    theory = functools.partial(gen.generalization_error, signal=SIGNAL, noise=NOISE)
    curve = jax.jit(jax.vmap(theory, (0, None)), static_argnums=1)

    def teach(load):
        one = functools.partial(student, config.size, load)
        every = jax.jit(lambda keys: jax.lax.map(lambda k: one(k, ts), keys))
        return {
            "t": ts,
            "seen": every(jax.random.split(jax.random.key(17), config.seeds)),
            "theory": curve(ts, load),
            "inverse": curve(ts, 1 / load),
        }

    go = lambda load: lambda: teach(load)
    return together({load: go(load) for load in config.loads}, results.tell)


PARTS = {
    "descents": descents,
    "curves": curves,
    "drift": lambda r: drift(jnp.asarray([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]])),
    "random": scattered,
    "students": students,
}
S = np.asarray(STRENGTHS)


def off_closed(results, tau=1.0) -> Measured:
    """Farthest u/s of two layers from the closed form, in time τ."""
    ts, found = results["descents"][2]
    closed = np.asarray(dl.two_layer(ts[:, None], S[None], STARTS[2], tau=tau))
    return largest(np.abs(found - closed) / S, f"dt = {results.config.lr:g}, s = {S}")


def off_curves(results, first=0) -> dict:
    """By depth, farthest u/s from the solution of the ODE; from 3: the wrong one."""
    found, solved = results["descents"].items(), results["curves"]
    off = lambda modes, k: np.max(np.abs(modes - solved[:, k]) / S)
    return {f"{d} layers": off(f[1], first + k) for k, (d, f) in enumerate(found)}


def delay(results) -> Measured:
    found, scale = results["random"], min(results.config.scales)
    rows = sorted(found.items(), reverse=True)
    text = ", ".join(f"{100 * r['variation'].mean():.1f} % at {s:g}" for s, r in rows)
    smallest = found[scale]
    text = f"weights {scale:g}, {smallest['half'].size} modes; t_½·s varies by {text}"
    return largest(np.abs(smallest["half"] / smallest["predicted"] - 1), text)


def means(results, loads=None) -> dict:
    loads = results.config.loads if loads is None else loads
    return {k: results["students"][k]["seen"].mean(axis=0) for k in loads}


def off_theory(results) -> Measured:
    found = results["students"]
    off = {
        k: np.max(np.abs(v / found[k]["theory"] - 1)) for k, v in means(results).items()
    }
    one = max(np.max(np.abs(v["seen"] / v["theory"] - 1)) for v in found.values())
    config = results.config
    text = f"N = {config.size}, mean of {config.seeds} seeds; one seed: {one:.2f}"
    return largest(off, text)


def off_inverse(results) -> Measured:
    found = results["students"]
    loads = [k for k in results.config.loads if k != 1]
    off = means(results, loads).items()
    return smallest({k: np.max(np.abs(v / found[k]["inverse"] - 1)) for k, v in off})


def late(results) -> Measured:
    del results
    formula = lambda load, **scale: gen.generalization_error(1e9, load, **scale)
    scale = {"signal": SIGNAL, "noise": NOISE}
    loads = (0.25, 0.5, 2.0, 4.0)
    off = {k: float(formula(k, **scale)) / gen.limit(k, **scale) - 1 for k in loads}
    return largest({k: abs(v) for k, v in off.items()}, "quadrature of 512 points")


def dip(results) -> Measured:
    found = results["students"][1.0]
    mean, t = found["seen"].mean(axis=0), found["t"]
    text = f"least at t = {t[mean.argmin()]:.2g}, formula: "
    return Measured(mean.min() / mean[-1], f"{text}{t[found['theory'].argmin()]:.2g}")


EULER = "first order in dt, of the fastest mode"
CLAIMS = [
    Claim(
        "18",
        "2 layers, gradient descent: farthest from the closed form u(t)",
        at_most(1e-3, EULER),
        off_closed,
    ),
    Claim(
        "18a",
        "2, 3, 4 layers: farthest from the solution of u̇ = D·u^(2−2/D)·(s − u)",
        at_most(1e-3, EULER),
        lambda r: largest(off_curves(r)),
    ),
    Claim(
        "18b",
        "3 random layers, flow: W_{l+1}ᵀW_{l+1} − W_lW_lᵀ moves, relative to W₁W₁ᵀ",
        at_most(1e-9, "the solver's rtol 1e-10, of some steps"),
        lambda r: r["drift"][0],
        "Arora, Cohen, Hazan, arXiv:1802.06509",
    ),
    Claim(
        "18c",
        "random weights, half learnt at (1/2s)·ln(s/‖p‖² − 1): relative error",
        at_most(0.05, "overlap of the modes' p in 64 hidden units, over the logarithm"),
        delay,
    ),
    Claim(
        "18d",
        "student of a noisy teacher: test error over the formula, less 1, any time",
        at_most(0.05, "finite size and a mean of few seeds: (N·seeds)^−½ = 1.6 %"),
        off_theory,
        ADVANI,
    ),
    Claim(
        "18e",
        "the formula for t → ∞ against σ²/(α−1)+σ², (1−α)S+σ²α/(1−α)+σ²",
        at_most(1e-12, "round-off of a quadrature that converges geometrically"),
        late,
        ADVANI,
    ),
    Claim(
        "18f",
        "P = N: test error at its least over that at the end (early stopping pays)",
        at_most(0.5, "half or less"),
        dip,
        ADVANI,
    ),
    Control(
        "18ax",
        "claim 18a with the exponent 2 − 1/D: the least error",
        at_least(0.1, "a hundred times what claim 18a allows"),
        lambda r: smallest(off_curves(r, first=3)),
        of="18a",
    ),
    Control(
        "18bx",
        "claim 18b with the middle layer trained twice as fast",
        at_least(0.01, "of the order of what the weights move"),
        lambda r: r["drift"][1],
        of="18b",
    ),
    Control(
        "18x",
        "claim 18 without the 2 of e^(2st/τ)",
        at_least(0.1, "a hundred times what claim 18 allows"),
        functools.partial(off_closed, tau=2.0),
        of="18",
    ),
    Control(
        "18dx",
        "claim 18d with N/P in place of P/N: the least error of P ≠ N",
        at_least(0.2, "four times what claim 18d allows"),
        off_inverse,
        ADVANI,
        of="18d",
    ),
]


def figures(results) -> dict:
    colors = [COLORS[c] for c in ("blue", "vermilion", "green", "purple")]
    layers, axes = new_figure(1, 2, size=(7.6, 3.0), sharey=True)
    for k, (axis, depth) in enumerate(zip(axes[0], (2, 4), strict=True)):
        ts, found = results["descents"][depth]
        curve = results["curves"][:, 2 * k]
        for j, color in enumerate(colors):
            axis.plot(ts, found[:, j], color=color, lw=3, alpha=0.4)
            axis.plot(ts, curve[:, j], color=color, lw=1)
            named = f"s = {STRENGTHS[j]:g}"  # the singular value of the mode
            axis.text(HORIZON, found[-1, j] + 0.1, named, ha="right", color=color)
        axis.set(xlabel="time", title=f"{depth} layers: each mode is a step")
    axes[0, 0].plot([], [], color=colors[0], lw=1, label="theory")
    axes[0, 0].plot([], [], color=colors[0], lw=3, alpha=0.4, label="descent")
    axes[0, 0].set_ylabel("strength u of the mode")
    axes[0, 0].set_ylim(-0.3, 1.15 * max(STRENGTHS))
    legend_below(axes[0, 0])
    both, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    for (scale, r), color in zip(results["random"].items(), colors, strict=False):
        times = np.ravel(r["predicted"]), np.ravel(r["half"])
        left.plot(*times, "o", ms=3, color=color, label=f"{scale:g}")
    ends = [0, left.get_xlim()[1]]
    left.plot(ends, ends, color=COLORS["grey"], lw=0.8)
    left.set(xlabel="(1/2s)·ln(s/‖p‖² − 1)", ylabel="half learnt at")
    left.set_title("Not aligned: the same time")
    legend_below(left, title="first weights")
    loads = results.config.loads
    shades = [COLORS[c] for c in ("blue", "vermilion", "green", "purple", "orange")]
    for k, load in enumerate(loads):
        seen, color = results["students"][load], shades[k % len(shades)]
        right.plot(seen["t"], seen["seen"].T, color=color, lw=0.5, alpha=0.35)
        right.plot(seen["t"], seen["theory"], "--", color="black", lw=1)
        right.plot([], [], color=color, label=f"P/N = {load:g}")
    right.set(xscale="log", xlabel="time", ylabel="test error", ylim=(0, 2))
    right.set_title("Students, and the formula (dashed)")
    legend_below(right)
    return {
        "Deep linear networks learn mode by mode, as in closed form.": layers,
        "When a mode is learnt, and how the test error of a student falls.": both,
    }


STUDY = Study(
    "Deep linear networks and the student of a noisy teacher",
    "Saxe, McClelland, Ganguli, arXiv:1312.6120",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
