"""When training is chaotic: the largest exponent of gradient descent by learning rate.

Below two over the sharpness of the minimum, training settles there, and the exponent is
known. Above, it settles on cycles, whose exponents are negative too; only then, and in
windows, is it chaotic. A tanh network only has cycles before it diverges.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import dynamics as dy, landscape as ls
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    rates: int = 71
    steps: int = 32_000  # over 16 starts


SIZES = {
    "quick": Config(),
    "long": Config(701, 320_000),
    "full": Config(2801, 3_200_000),
}
X = np.linspace(-2, 2, 20)
NOISE = 0.1 * np.random.default_rng(0).normal(size=20)


def wave(w):
    """The error of sin(ax + b), fitted to a noisy sine: bounded slopes."""
    return jnp.mean((jnp.sin(w[0] * X + w[1]) - np.sin(2 * X + 0.5) - NOISE) ** 2)


def network(w):
    """That of three tanh units with a penalty, fitted to the same wave."""
    first, bias, last = w.reshape(3, 3)
    out = jnp.tanh(jnp.outer(X, first) + bias[None]) @ last
    return jnp.mean((out - np.sin(2 * X + 0.5) - NOISE) ** 2) + 1e-3 * jnp.sum(w**2)


def swept(loss, w, shares, steps) -> dict:
    """Exponents at rates that are shares of 2/sharpness, and what training visits."""
    opt = dx.GradientDescent()

    @jax.jit
    def settled(w):
        go = lambda _, w: w - 0.1 * jax.grad(loss)(w)
        w = jax.lax.fori_loop(0, 50_000, go, w)
        return w, jnp.linalg.eigvalsh(jax.hessian(loss)(w))

    w, curvature = settled(jnp.asarray(w))

    @jax.jit
    @jax.vmap
    def run(share):
        step = ls.training_map(opt, loss, 2 * share / curvature[-1])
        y = (w + 1e-3, opt.init(w))
        kind = {"steps": steps, "count": 1, "discard": 1000}
        found = dy.spectrum(step, y, jax.random.key(1), **kind)
        go = lambda y, _: (after := step(y), after[0][0])
        wait = jax.lax.fori_loop(0, 1000, lambda _, y: step(y), y)
        _, seen = jax.lax.scan(go, wait, None, length=100)
        return found.value[0], found.error[0], seen

    value, error, seen = jax.device_get(run(jnp.asarray(shares)))
    rates = 2 * shares / float(curvature[-1])
    known = np.abs(1 - rates[:, None] * np.asarray(curvature)).max(axis=1)
    return {
        "share": shares,
        "value": value,
        "error": error,
        "seen": seen,
        "known": np.log(known),
    }


def fitted(results) -> dict:
    shares = np.linspace(0.5, 4, results.config.rates)
    return swept(wave, [1.8, 0.3], shares, results.config.steps)


def tanh(results) -> dict:
    w = np.random.default_rng(1).normal(size=9)
    return swept(network, w, np.linspace(0.5, 3, 16), results.config.steps // 2)


PARTS = {"fitted": fitted, "tanh": tanh}


def between(found, low, high):
    share = found["share"]
    return (share > low + 1e-9) & (share < high - 1e-9)


def off_known(results, low, high) -> Measured:
    found = results["fitted"]
    at = between(found, low, high)
    return largest(np.abs(found["value"] - found["known"])[at], f"{at.sum()} rates")


def highest(found, low, high) -> Measured:
    """The largest λ₁ less four errors."""
    at = between(found, low, high)
    sure = (found["value"] - 4 * found["error"])[at]
    k = np.nanargmax(sure)
    detail = f"at {found['share'][at][k]:.3g}·2/sharpness, of {at.sum()} rates"
    return Measured(sure[k], detail, (float(np.nanmin(sure)), float(sure[k])))


def chaotic(found) -> np.ndarray:
    """Rates at which four errors do not reach 0; never where training diverges."""
    return found["value"] > 4 * found["error"]


def of_network(results) -> Measured:
    found = results["tanh"]
    count = np.sum(chaotic(found))
    lasts = found["share"][np.isfinite(found["value"])].max()
    return Measured(count, f"it diverges above {lasts:.3g}·2/sharpness")


CLAIMS = [
    Claim(
        "Y13",
        "below 2/sharpness: |λ₁ − ln max|1 − ηh||, h the curvatures of the minimum",
        at_most(1e-11, "round-off; close to 2/sharpness it settles slowly"),
        lambda r: off_known(r, 0, 0.97),
    ),
    Control(
        "Y13x",
        "claim Y13 from 1.05 to 1.5 times 2/sharpness",
        at_least(0.1, "training has left the minimum"),
        lambda r: off_known(r, 1.04, 1.5),
        of="Y13",
    ),
    Claim(
        "Y13a",
        "below 2/sharpness: the largest λ₁ less four errors",
        at_most(0, "the minimum attracts"),
        lambda r: highest(r["fitted"], 0, 1),
    ),
    Claim(
        "Y13b",
        "from 1 to 1.6 times 2/sharpness: the largest λ₁ less four errors",
        at_most(0, "cycles come before chaos"),
        lambda r: highest(r["fitted"], 1, 1.6),
    ),
    Claim(
        "Y13c",
        "above 2/sharpness: the largest λ₁ less four errors",
        at_least(0.1, "half of what is typical of a map with one hump, ln 2"),
        lambda r: highest(r["fitted"], 1, 5),
    ),
    Control(
        "Y13cx",
        "claim Y13c below 2/sharpness",
        at_most(0, "the minimum attracts"),
        lambda r: highest(r["fitted"], 0, 1),
        of="Y13c",
    ),
    Claim(
        "Y13d",
        "a tanh network: rates at which training is chaotic",
        equals(0, "it moves to flatter places on cycles, and then diverges"),
        of_network,
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(9.6, 3.6))
    left, right = axes[0]
    found = results["fitted"]
    left.errorbar(
        found["share"],
        found["value"],
        2 * found["error"],
        fmt=".",
        ms=4,
        lw=0.8,
        color=COLORS["blue"],
        label="sine, ± 2 errors",
    )
    below = found["share"] < 1
    left.plot(
        found["share"][below],
        found["known"][below],
        color=COLORS["orange"],
        label="ln max|1 − ηh|",
    )
    other = results["tanh"]
    left.plot(
        other["share"], other["value"], "x", color=COLORS["green"], label="tanh network"
    )
    left.axhline(0, color=COLORS["grey"], lw=0.8)
    left.axvline(1, color=COLORS["grey"], lw=0.8)
    left.set(xlabel="learning rate · sharpness/2", ylabel="λ₁ a step", ylim=(-1.5, 0.7))
    left.set_title("The exponent of training")
    legend_below(left, 3)
    shares = np.repeat(found["share"], found["seen"].shape[1])
    right.plot(shares, found["seen"].ravel(), ",", color=COLORS["black"])
    right.axvline(1, color=COLORS["grey"], lw=0.8)
    middle = np.median(found["seen"][: max(below.sum(), 1)])
    right.set(xlim=(0.5, 2.5), ylim=(middle - 2, middle + 2))
    right.set(xlabel="learning rate · sharpness/2", ylabel="frequency a")
    right.set_title("Where training goes")
    caption = (
        "Largest exponent of gradient descent by learning rate (left), and the values "
        "of one parameter after 1,000 steps (right)."
    )
    return {caption: figure}


STUDY = Study(
    "When training is chaotic",
    "Cohen et al., ICLR (2021); Chen, Bruna, ICML (2023)",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
