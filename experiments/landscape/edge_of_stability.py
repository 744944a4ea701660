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

from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.landscape import sharpness, thresholds
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


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


def plain(results):
    """Gradient descent at the learning rate, and at one too low for the edge."""
    config = results.config
    one = functools.partial(descend, steps=config.steps, **given(config))
    every = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))
    lrs = jnp.asarray([config.lr, config.low])
    return jax.device_get(every(lrs, jnp.arange(config.seeds)))


def adaptive(results):
    config = results.config
    steps = {"steps": config.adam_steps, **given(config)}
    one = functools.partial(adam, config.adam_lr, **steps)
    every = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))
    return jax.device_get(every(jnp.asarray(config.beta1), jnp.arange(config.seeds)))


def given(config) -> dict:
    return {"width": config.width, "every": config.every, "matvecs": config.matvecs}


def edge(results) -> dict:
    """What gradient descent came to, in units of its threshold."""
    config, found = results.config, results["gradient descent"]
    unit = thresholds.gradient_descent(np.asarray([config.lr, config.low]))
    ratio = found["sharpness"] / unit[:, None, None]
    crossing, median, rises, fall = [], [], [], []
    for s, loss in zip(ratio[0], found["loss"][0], strict=True):
        begin = int(np.argmax(s > 1)) if np.any(s > 1) else s.size - 1
        alive = loss[:: config.every][begin:] > LEARNT
        crossing.append(begin * config.every)
        median.append(np.median(s[begin:][alive]))
        tail = loss[crossing[-1] :]
        tail = tail[: max(2, int(np.sum(tail > LEARNT)))]
        rises.append(np.mean(np.diff(tail) > 0))
        fall.append(tail.min() / tail[0])
    residual = np.max(found["residual"] / found["sharpness"])
    names = "ratio", "crossing", "median", "rises", "fall", "residual"
    found = ratio, crossing, np.asarray(median), np.asarray(rises), fall, residual
    return dict(zip(names, found, strict=True))


def adam_edge(results) -> dict:
    """Medians of the second half of Adam, over its thresholds: (β₁, seed)."""
    config, found = results.config, results["Adam"]
    limits = thresholds.adam(config.adam_lr, np.asarray(config.beta1))
    late = found["sharpness"].shape[-1] // 2
    median = lambda key: np.median(found[key][..., late:], axis=-1) / limits[:, None]
    residual = np.median(found["residual"] / found["sharpness"])
    found = {"adam": median("sharpness"), "raw": median("raw")}
    return found | {"limits": limits, "residual": residual}


PARTS = {
    "gradient descent": plain,
    "Adam": adaptive,
    "edge": edge,
    "Adam's edge": adam_edge,
}


def _list(values) -> str:
    return ", ".join(f"{v:.3g}" for v in np.ravel(values))


def off_one(results) -> Measured:
    seen, config = results["edge"], results.config
    text = f"tanh, 6-{config.width}-{config.width}-1, 40 points; medians "
    text += f"{_list(seen['median'])}; crossed at steps {_list(seen['crossing'])}"
    return largest(np.abs(seen["median"] - 1), text)


def adam_off_one(results, which) -> Measured:
    seen, config = results["Adam's edge"], results.config
    limit, ratio = seen["limits"][which] * config.adam_lr, seen["adam"][which]
    text = f"η = {config.adam_lr:g}, second half of {config.adam_steps} steps; "
    text += f"η·λ_max = {_list(ratio * limit)} of {limit:.3g}"
    return largest(np.abs(ratio - 1), text)


def exchanged(results) -> Measured:
    """The runs of the second β₁ over the threshold of the first."""
    seen = results["Adam's edge"]
    limits = seen["limits"]
    return smallest(np.abs(seen["adam"][1] * limits[1] / limits[0] - 1))


def claims(config) -> list:
    first, second = config.beta1[:2]
    hovers = "it hovers: a few per cent, by the published figures"
    return [
        Claim(
            "13",
            f"gradient descent, η = {config.lr:g}: |median λ_max(H)·η/2 − 1| once at 1",
            at_most(0.05, hovers),
            off_one,
        ),
        Claim(
            "13a",
            f"Adam, β₁ = {first:g}: |median of λ_max(P⁻¹H) over its threshold − 1|",
            at_most(0.08, hovers),
            functools.partial(adam_off_one, which=0),
            ADAM,
        ),
        Claim(
            "13b",
            f"the same with β₁ = {second:g}",
            at_most(0.08, hovers),
            functools.partial(adam_off_one, which=1),
            ADAM,
        ),
        Claim(
            "13c",
            "at the edge the loss rises on a share of the steps (least of the seeds)",
            at_least(0.01, "one step in a hundred; a stable run has none"),
            lambda r: smallest(r["edge"]["rises"], f"while the loss is > {LEARNT:g}"),
        ),
        Claim(
            "13d",
            "… and yet falls: least loss over that at the crossing, the worst seed",
            at_most(1e-3, "three decades"),
            lambda r: largest(r["edge"]["fall"]),
        ),
        Control(
            "13x",
            f"η = {config.low:g}, never at the edge: largest λ_max(H)·η/2",
            at_most(0.9, "claim 13 needs a crossing of 1"),
            lambda r: largest(r["edge"]["ratio"][1]),
            of="13",
        ),
        Control(
            "13y",
            "claim 13a with λ_max(H) in place of λ_max(P⁻¹H): distance from 1",
            at_least(0.5, "six times what claim 13a allows"),
            lambda r: smallest(np.abs(r["Adam's edge"]["raw"][0] - 1)),
            ADAM,
            of="13a",
        ),
        Control(
            "13z",
            f"claim 13a with β₁ = {second:g} in the run, {first:g} in the formula",
            at_least(0.5, "six times what claim 13a allows"),
            exchanged,
            ADAM,
            of="13a",
        ),
    ]


def figures(results) -> dict:
    config = results.config
    seen = {**results["Adam's edge"], **results["edge"]}
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
    legend_below(left)
    right.set(xlabel="step", ylabel="loss", yscale="log", ylim=(LEARNT, None))
    right.set_title("… where the loss is not monotone")
    made = {"Gradient descent drives the sharpness up to 2/η, and stays there.": figure}
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
    legend_below(axis)
    return {**made, "Adam does the same with its preconditioned sharpness.": figure}


STUDY = Study(
    "The edge of stability of gradient descent and Adam",
    "Cohen, Kaur, Li, Kolter, Talwalkar, arXiv:2103.00065",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
