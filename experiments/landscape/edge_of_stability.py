"""Full-batch training sharpens the loss until the method is just about unstable, and
hovers there: gradient descent at λ_max(H) = 2/η, Adam at λ_max(P⁻¹H) =
(2+2β₁)/((1−β₁)η). Meanwhile the loss rises on many steps and falls in the long run.
With a learning rate so small that the landscape never gets that sharp nothing of the
kind happens.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import Claim
from dynax.landscape import sharpness, thresholds
from dynax.report import COLORS, new_figure
from experiments._together import together


TITLE = "The edge of stability of gradient descent and Adam"
SOURCE = "Cohen, Kaur, Li, Kolter, Talwalkar, arXiv:2103.00065"
ADAM = "Cohen et al., arXiv:2207.14484"
BETA2, EPSILON = 0.999, 1e-8
LEARNT = 1e-8  # a loss below which nothing is left to sharpen for


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 2
    width: int = 24
    lr: float = 0.2
    low: float = 0.05  # of the control
    steps: int = 5000
    every: int = 50  # sharpness measured
    adam_lr: float = 3e-3
    beta1: tuple[float, ...] = (0.9, 0.5)
    adam_steps: int = 6000
    matvecs: int = 14


SIZES = {
    "quick": Config(),
    "long": Config(seeds=8, steps=10_000, adam_steps=15_000, every=25, matvecs=24),
    "full": Config(seeds=16, width=128, steps=20_000, adam_steps=40_000, matvecs=32),
}
SPACE = {
    "lr": np.geomspace(0.025, 0.4, 9),
    "seed": np.arange(4),
}
DIMS = {"loss": ["step"], "ratio": ["group"]}


def problem(seed, width=24, points=40, inputs=6):
    """A tanh network of three layers fits a sine of a random projection; (f, start)."""
    kx, kp, *kw = jax.random.split(jax.random.key(seed), 5)
    x = jax.random.normal(kx, (points, inputs))
    y = jnp.sin(x @ jax.random.normal(kp, (inputs,)))
    sizes = inputs, width, width, 1
    shapes = zip(kw, sizes[:-1], sizes[1:], strict=True)
    start = [
        {"w": jax.random.normal(k, (a, b)) / a**0.5, "b": jnp.zeros(b)}
        for k, a, b in shapes
    ]

    def f(params):
        h = x
        for layer in params[:-1]:
            h = jnp.tanh(h @ layer["w"] + layer["b"][None])
        out = h @ params[-1]["w"] + params[-1]["b"][None]
        return jnp.mean((out[:, 0] - y) ** 2)

    return f, start


def descend(lr, seed, *, width=24, steps=5000, every=50, matvecs=14):
    """Gradient descent: the loss at every step, the sharpness at every `every`th."""
    f, start = problem(seed, width)

    def step(params, _):
        value, grads = jax.value_and_grad(f)(params)
        return jax.tree.map(lambda p, g: p - lr * g, params, grads), value

    def group(params, _):
        ritz = sharpness(f, params, jax.random.key(0), matvecs=matvecs)
        params, values = jax.lax.scan(step, params, length=every)
        return params, (values, ritz.value, ritz.residual)

    values, top, residual = jax.lax.scan(group, start, length=steps // every)[1]
    return {"loss": values.ravel(), "sharpness": top, "residual": residual}


def adam(lr, beta1, seed, *, width=24, steps=6000, every=50, matvecs=14):
    """Adam: as `descend`, with λ_max of P⁻¹H and of H itself."""
    f, start = problem(seed, width)

    def step(carry, _):
        params, m, v, k = carry
        value, grads = jax.value_and_grad(f)(params)
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, grads)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, v, grads)
        move = lambda p, m, q: p - lr * m / q
        params = jax.tree.map(move, params, m, metric(v, k + 1))
        return (params, m, v, k + 1), value

    def metric(v, k):  # P of x₊ = x − ηP⁻¹m after k steps, with the bias correction
        root = lambda v: jnp.sqrt(v / (1 - BETA2**k)) + EPSILON
        return jax.tree.map(lambda v: (1 - beta1**k) * root(v), v)

    def group(carry, _):
        carry, values = jax.lax.scan(step, carry, length=every)
        params, _, v, k = carry
        top = functools.partial(sharpness, f, params, jax.random.key(0))
        ritz = top(matvecs=matvecs, precondition=metric(v, k))
        raw = top(matvecs=matvecs).value
        return carry, (values, ritz.value, ritz.residual, raw)

    zero = jax.tree.map(jnp.zeros_like, start)
    carry = start, zero, zero, jnp.zeros(())
    out = jax.lax.scan(group, carry, length=steps // every)[1]
    names = "loss", "sharpness", "residual", "raw"
    return {**dict(zip(names, out, strict=True)), "loss": out[0].ravel()}


def run(lr, seed) -> dict:
    """Gradient descent at one learning rate, over its threshold 2/η."""
    seen = descend(lr, seed)
    ratio = seen["sharpness"] / thresholds.gradient_descent(lr)
    return {"ratio": ratio, "loss": seen["loss"], "largest": jnp.max(ratio)}


def measure(config: Config, progress) -> dict:
    given = {"width": config.width, "every": config.every, "matvecs": config.matvecs}
    seeds = jnp.arange(config.seeds)

    def plain():
        one = functools.partial(descend, steps=config.steps, **given)
        every = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
        return jax.jit(every)(jnp.asarray([config.lr, config.low]), seeds)

    def adaptive():
        one = functools.partial(adam, config.adam_lr, steps=config.adam_steps, **given)
        every = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
        return jax.jit(every)(jnp.asarray(config.beta1), seeds)

    jobs = {"gradient descent": plain, "Adam": adaptive}
    return {"config": config, **together(jobs, progress)}


def edge(results) -> dict:
    """What the runs came to, in units of the thresholds."""
    config = results["config"]
    plain, adaptive = results["gradient descent"], results["Adam"]
    unit = thresholds.gradient_descent(np.asarray([config.lr, config.low]))
    ratio = plain["sharpness"] / unit[:, None, None]
    crossing, median, rises, fall = [], [], [], []
    for s, loss in zip(ratio[0], plain["loss"][0], strict=True):
        begin = int(np.argmax(s > 1)) if np.any(s > 1) else s.size - 1
        alive = loss[:: config.every][begin:] > LEARNT
        crossing.append(begin * config.every)
        median.append(np.median(s[begin:][alive]))
        tail = loss[crossing[-1] :]
        tail = tail[: max(2, int(np.sum(tail > LEARNT)))]
        rises.append(np.mean(np.diff(tail) > 0))
        fall.append(tail.min() / tail[0])
    limits = thresholds.adam(config.adam_lr, np.asarray(config.beta1))
    late = adaptive["sharpness"].shape[-1] // 2
    found = adaptive["sharpness"][..., late:], adaptive["raw"][..., late:]
    preconditioned, raw = (np.median(a, axis=-1) / limits[:, None] for a in found)
    residual = [
        np.max(plain["residual"] / plain["sharpness"]),
        np.median(adaptive["residual"] / adaptive["sharpness"]),
    ]
    return {
        "ratio": ratio,
        "crossing": crossing,
        "median": np.asarray(median),
        "rises": np.asarray(rises),
        "fall": np.asarray(fall),
        "adam": preconditioned,
        "raw": raw,
        "limits": limits,
        "residual": residual,
    }


def claims(results) -> list[Claim]:
    config, seen = results["config"], edge(results)
    claim = functools.partial(Claim.judged, SOURCE)
    adaptive = functools.partial(Claim.judged, ADAM)
    which = f"tanh, 6-{config.width}-{config.width}-1, 40 points, {config.seeds} seeds"
    at = ", ".join(f"{c}" for c in seen["crossing"])
    spread = lambda a: (float(np.min(a)), float(np.max(a)))
    first, second = config.beta1[:2]
    limits = seen["limits"] * config.adam_lr
    swapped = seen["adam"][1] * limits[1] / limits[0]
    worst = lambda a: np.max(np.abs(a - 1))
    return [
        claim(
            "13",
            f"gradient descent, η = {config.lr:g}: |median λ_max(H)·η/2 − 1| once at 1",
            worst(seen["median"]),
            "≤ 0.05",
            f"{which}; medians {_list(seen['median'])}; crossed at steps {at}",
            spread(seen["median"]),
        ),
        adaptive(
            "13a",
            f"Adam, β₁ = {first:g}: |median of λ_max(P⁻¹H) over its threshold − 1|",
            worst(seen["adam"][0]),
            "≤ 0.08",
            f"η = {config.adam_lr:g}, second half of {config.adam_steps} steps; "
            f"η·λ_max = {_list(seen['adam'][0] * limits[0])} of {limits[0]:.3g}",
            spread(seen["adam"][0]),
        ),
        adaptive(
            "13b",
            f"the same with β₁ = {second:g}",
            worst(seen["adam"][1]),
            "≤ 0.08",
            f"η·λ_max = {_list(seen['adam'][1] * limits[1])} of {limits[1]:.3g}",
            spread(seen["adam"][1]),
        ),
        claim(
            "13c",
            "at the edge the loss rises on a share of the steps (least of the seeds)",
            np.min(seen["rises"]),
            "≥ 0.01",
            f"after crossing, while the loss is > {LEARNT:g}",
            spread(seen["rises"]),
        ),
        claim(
            "13d",
            "… and yet falls: least loss over that at the crossing, the worst seed",
            np.max(seen["fall"]),
            "≤ 1e-3",
        ),
        claim(
            "13x",
            f"η = {config.low:g}, never at the edge: largest λ_max(H)·η/2",
            np.max(seen["ratio"][1]),
            "≤ 0.9 rejected",
            "claim 13 needs a crossing of 1",
        ),
        adaptive(
            "13y",
            "claim 13a with λ_max(H) in place of λ_max(P⁻¹H): distance from 1",
            np.min(np.abs(seen["raw"][0] - 1)),
            "≥ 0.5 rejected",
        ),
        adaptive(
            "13z",
            f"claim 13a with β₁ = {second:g} in the run, {first:g} in the formula",
            np.min(np.abs(swapped - 1)),
            "≥ 0.5 rejected",
        ),
    ]


def _list(values) -> str:
    return ", ".join(f"{v:.3g}" for v in np.ravel(values))


def figures(results) -> dict:
    config, seen = results["config"], edge(results)
    plain, adaptive = results["gradient descent"], results["Adam"]
    steps = config.every * np.arange(seen["ratio"].shape[-1])
    blue, grey = COLORS["blue"], COLORS["grey"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.0))
    left, right = axes[0]
    for k, (lr, color) in enumerate([(config.lr, blue), (config.low, grey)]):
        left.plot(steps, seen["ratio"][k].T, color=color, lw=1)
        left.plot([], [], color=color, label=f"η = {lr:g}")
        right.plot(plain["loss"][k].T, color=color, lw=0.8)
    left.axhline(1, color=COLORS["vermilion"], ls="--", lw=1)
    left.set(xlabel="step", ylabel="λ_max(H)·η/2", ylim=(0, 1.5))
    left.set_title("Sharpness stays at 2/η")
    left.legend(loc="lower right")
    right.set(xlabel="step", ylabel="loss", yscale="log", ylim=(LEARNT, None))
    right.set_title("… where the loss is not monotone")
    made = {"gradient descent": figure}
    figure, axes = new_figure(1, 1, size=(7.6, 3.0))
    axis = axes[0, 0]
    colors = COLORS["blue"], COLORS["green"], COLORS["purple"]
    after = config.every * np.arange(1, adaptive["sharpness"].shape[-1] + 1)
    for beta1, limit, s, color in zip(
        config.beta1, seen["limits"], adaptive["sharpness"], colors, strict=False
    ):
        axis.plot(after, s.T * config.adam_lr, color=color, lw=1)
        axis.axhline(limit * config.adam_lr, color=color, ls="--", lw=1)
        axis.plot([], [], color=color, label=f"β₁ = {beta1:g}")
    axis.set(xlabel="step", ylabel="η·λ_max(P⁻¹H)", yscale="log")
    ticks = [1.0, 2.0, *(config.adam_lr * seen["limits"])]
    axis.set_yticks(ticks, [f"{v:.3g}" for v in ticks])
    axis.minorticks_off()
    axis.set_title("Adam: (2+2β₁)/(1−β₁), dashed")
    axis.legend(loc="lower right")
    return {**made, "Adam": figure}
