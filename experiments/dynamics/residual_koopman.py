"""Koopman eigenpairs from data, and the residual that tells which of them are real.

A matrix fitted to snapshots has as many eigenpairs as the dictionary has functions.
For a linear map the true ones are known; of a motion over two wells a few survive; of
the cat map, which mixes, none but the constant does.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dynax import dynamics as dy, reconstruct as rc
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


LIMIT = 0.05  # of the residual, relative to the size of the function
RATES = np.array([0.9, 0.5])
TRUE = np.array([1, 0.9, 0.5, 0.81, 0.45, 0.25])  # products of the rates
PLANTED = 12
TIME = 1.0  # between two snapshots of the two wells


@dataclasses.dataclass(frozen=True)
class Config:
    points: int = 4000
    functions: int = 130
    grid: int = 41


SIZES = {
    "quick": Config(),
    "long": Config(40_000, 400, 81),
    "full": Config(100_000, 800, 161),
}


def wells(t, u, args):
    q, p = u
    return jnp.stack([p, q - q**3])


def linear(results) -> rc.Koopman:
    """A linear map; monomials of degree two are closed under it, waves are not."""
    x = jax.random.uniform(jax.random.key(0), (2000, 2), minval=-1, maxval=1)
    waves = 30 + 7.0 * jnp.arange(PLANTED)

    def dictionary(z):
        x, y = z
        exact = jnp.stack([jnp.ones(()), x, y, x * x, x * y, y * y])
        return jnp.concatenate([exact, jnp.cos(waves * (x + y))])

    return rc.residual_dmd(dictionary, x, RATES * x)


def duffing(results) -> rc.Koopman:
    """Motion over two wells from random states of an energy below ½, which form a set
    that it keeps, with their area: bumps around some of them."""
    config = results.config
    drawn = np.random.default_rng(1).uniform(-2, 2, (8 * config.points, 2))
    q, p = drawn.T
    start = drawn[p**2 / 2 - q**2 / 2 + q**4 / 4 < 0.5][: config.points]
    go = dy.flow_map(dy.rk4(wells, TIME / 10), 10)
    after = jax.jit(jax.vmap(go))(start)
    middle = start[: config.functions - 1]

    def dictionary(z):
        far = jnp.sum((z - middle) ** 2, axis=1)
        return jnp.append(jnp.exp(-4 * far), 1.0)

    return rc.residual_dmd(dictionary, start, after)


def cat(results) -> rc.Koopman:
    """The cat map of the torus and 49 waves: it carries a wave to another one."""
    line = np.arange(64) / 64
    x = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    image = x @ np.array([[2.0, 1.0], [1.0, 1.0]])
    k = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2), -1).reshape(-1, 2)
    return rc.residual_dmd(lambda z: jnp.exp(2j * jnp.pi * (k @ z)), x, image)


PARTS = {"linear": linear, "duffing": duffing, "cat": cat}


def missed(results) -> Measured:
    """How far the true eigenvalues are from verified ones."""
    found = results["linear"].verified(1e-6).values
    apart = np.abs(TRUE[:, None] - found[None])
    return largest(apart.min(axis=1), f"{len(found)} pairs verified at 1e-6")


def dropped(results) -> Measured:
    pairs = results["duffing"]
    share = np.mean(pairs.residuals >= LIMIT)
    median = np.median(pairs.residuals)
    detail = f"of {len(pairs.values)} pairs; median residual {median:.2f}"
    return Measured(share, detail)


def off_circle(pairs: rc.Koopman) -> Measured:
    return largest(np.abs(np.abs(pairs.values) - 1), f"{len(pairs.values)} pairs")


def constant(pairs: rc.Koopman) -> Measured:
    """|λ − 1| and the residual of the pair nearest to λ = 1, the larger of the two."""
    k = np.argmin(np.abs(pairs.values - 1))
    return largest([abs(pairs.values[k] - 1), pairs.residuals[k]])


CLAIMS = [
    Claim(
        "Y11",
        "a linear map: the six true eigenvalues are among those with residual < 1e-6",
        at_most(1e-11, "round-off of a dictionary with condition 10³"),
        missed,
    ),
    Claim(
        "Y11a",
        "the same map: the smallest residual of the pairs that waves made",
        at_least(0.5, "a wave goes to another, outside of the dictionary"),
        lambda r: smallest(np.sort(r["linear"].residuals)[len(TRUE) :]),
    ),
    Control(
        "Y11x",
        "claim Y11 without residuals: pairs kept beyond the six",
        at_least(PLANTED, "one for each wave"),
        lambda r: len(r["linear"].values) - len(TRUE),
        of="Y11",
    ),
    Claim(
        "Y11b",
        f"two wells: share of pairs with a residual above {LIMIT}",
        at_least(0.9, "the spectrum is continuous but for functions of the energy"),
        dropped,
    ),
    Claim(
        "Y11c",
        "two wells: the constant is kept: |λ − 1| and its residual",
        at_most(1e-10, "round-off, summed over the sample"),
        lambda r: constant(r["duffing"]),
    ),
    Claim(
        "Y11d",
        "two wells: verified eigenvalues, ||λ| − 1|",
        at_most(LIMIT, "the operator is unitary, so ||λ| − 1| ≤ res(λ, v)"),
        lambda r: off_circle(r["duffing"].verified(LIMIT)),
    ),
    Control(
        "Y11dx",
        "claim Y11d for all pairs",
        at_least(0.5, "eigenvalues of a compression fill the disc"),
        lambda r: off_circle(r["duffing"]),
        of="Y11d",
    ),
    Claim(
        "Y11e",
        "the cat map: the second smallest residual",
        at_least(0.99, "all others go to waves outside, or to 0: residual 1"),
        lambda r: float(np.sort(r["cat"].residuals)[1]),
    ),
    Control(
        "Y11ex",
        "claim Y11e for the constant: one over its residual",
        at_least(1e11, "the constant is an eigenfunction of every map"),
        lambda r: 1 / max(float(r["cat"].residuals[0]), 1e-16),
        of="Y11e",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 3, size=(9.6, 3.2))
    left, middle, right = axes[0]
    size = results.config.grid
    line = np.linspace(-1.3, 1.3, size)
    up = line[line >= 0]  # the other half is its mirror image
    grid = line[None] + 1j * up[:, None]
    names = {"duffing": "Two wells", "cat": "Cat map"}
    for axis, name in zip((left, middle), names, strict=True):
        pairs = results[name]
        least = np.maximum(pairs.pseudospectrum(grid), 1e-3)
        levels = [0, 0.05, 0.1, 0.2, 0.5, 1, 2]
        whole = np.concatenate([least[:0:-1], least])
        shade = axis.contourf(line, line, whole, levels, cmap="viridis")
        figure.colorbar(shade, ax=axis, shrink=0.6)
        good = pairs.residuals < LIMIT
        for which, color, label in (
            (~good, "black", "residual above 0.05"),
            (good, "vermilion", "below"),
        ):
            z = pairs.values[which]
            axis.plot(z.real, z.imag, ".", ms=4, color=COLORS[color], label=label)
        axis.set(xlabel="Re λ", ylabel="Im λ", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        axis.set_aspect("equal")
        axis.set_title(f"{names[name]}: min res(λ, v)")
        legend_below(axis, 2)
    for name, color in (("linear", "blue"), ("duffing", "orange"), ("cat", "green")):
        found = np.maximum(np.sort(results[name].residuals), 1e-12)
        at = np.linspace(0, 1, len(found))
        label = {"linear": "linear map, 12 waves planted", **names}[name]
        right.plot(at, found, color=COLORS[color], label=label)
    right.axhline(LIMIT, color=COLORS["grey"], lw=0.8)
    right.set(xlabel="share of the pairs", ylabel="residual", yscale="log")
    right.set_title("All pairs by residual")
    legend_below(right, 1)
    caption = (
        "Pseudospectra and eigenvalues of two maps (left, middle), and the residuals "
        "of all pairs (right)."
    )
    return {caption: figure}


STUDY = Study(
    "Koopman eigenpairs that are real",
    "Colbrook, Townsend, Comm. Pure Appl. Math. 77 (2024)",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
