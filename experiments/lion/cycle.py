"""At a constant ε Lion does not stop: on f = ½hx² with λ = 0 it ends in exact 2-cycles
x ∈ {a, a − ε}. They exist iff 2β₁ < 1 + β₂, for β₁/(1+β₂) < a/ε < 1 − β₁/(1+β₂), with
m = h(a − ε/(1+β₂)) (an average of gradients) at x = a; a change of m alone shrinks by
β₂² a cycle, and the mean loss is never less than hε²/8, which a = ε/2 attains.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import LionKappa, LionState
from dynax.claim import Claim, Control, Measured, at_least, at_most
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 4000
    ratios: int = 2001  # values of a/ε in (0, 1)


SIZES = {
    "quick": Config(),
    "long": Config(steps=40_000, ratios=20_001),
    "full": Config(steps=400_000, ratios=200_001),
}
SPACE = {
    "ratio": tuple(np.linspace(0.4, 0.6, 21)),
    "beta1": (0.5, 0.9, 0.95, 0.99),
    "beta2": (0.9, 0.98, 0.99),
    "lr": (1e-2, 1e-4),
    "curvature": (0.1, 1.0, 10.0),
}
POINTS = [  # β₁, β₂, ε, h
    (0.9, 0.99, 1e-2, 1.0),
    (0.9, 0.99, 1e-4, 30.0),
    (0.95, 0.98, 1e-3, 0.1),
    (0.5, 0.9, 0.3, 2.0),
    (0.1, 0.2, 1.0, 1.0),
]
EMPTY = [(0.99, 0.9, 1e-2, 1.0), (0.9, 0.7, 1e-3, 5.0)]  # 2β₁ > 1 + β₂


def run(ratio, beta1, beta2, lr, curvature, steps=4000) -> dict:
    """Start on the cycle with a = ratio·ε and follow it.

    `departure` is the largest distance from {a, a − ε}, in units of ε, `loss` the mean
    loss in units of hε², `multiplier` what two steps make of a change of m by hε/1000.
    """
    opt = LionKappa(beta1=beta1, beta2=beta2)
    a = ratio * lr
    m = curvature * (a - lr / (1 + beta2))
    start = jnp.stack([a])
    state = LionState(-jnp.stack([m]))  # dynax: minus the average of gradients

    def step(x, state):
        return opt.step(x, state, curvature * x, lr)

    def body(carry, odd):
        x, state, departure, loss = carry
        departure = jnp.maximum(departure, jnp.abs(x[0] - (a - odd * lr)) / lr)
        return (*step(x, state), departure, loss + curvature * x[0] ** 2 / 2), None

    zero, parity = jnp.zeros_like(a), jnp.arange(float(steps)) % 2
    (*_, departure, loss), _ = jax.lax.scan(body, (start, state, zero, zero), parity)
    off = curvature * lr / 1000
    _, cycled = step(*step(start, LionState(state.m - off)))
    return {
        "departure": departure,
        "loss": loss / (steps * curvature * lr**2),
        "multiplier": (-cycled.m[0] - m) / off,
    }


def bands(results) -> dict:
    """By point: what `run` gives over all a/ε, and where the edges should be."""
    go = functools.partial(run, steps=results.config.steps)
    sweep = jax.jit(jax.vmap(go, (0, None, None, None, None)))
    found, every = {}, POINTS + EMPTY
    for k, point in enumerate(every):
        results.tell(k / len(every), f"β = {point[:2]}")
        found[point] = jax.device_get(sweep(jnp.asarray(results["ratios"]), *point))
        edge = point[0] / (1 + point[1])
        width = max(0.5 - edge, 1e-3)
        # the middle, both edges from inside, both from outside
        at = [0.5, edge + 0.01 * width, 1 - edge - 0.01 * width]
        at += [edge - 0.01 * width, 1 - edge + 0.01 * width]
        found[point]["at"] = jax.device_get(sweep(jnp.asarray(at), *point))
    return found


PARTS = {
    "ratios": lambda r: np.linspace(0.0, 1.0, r.config.ratios),
    "bands": bands,
}
MANY = f"{len(POINTS)} choices of β₁, β₂, ε, h"


def at(results, key, where, points=POINTS):
    return np.stack([results["bands"][p]["at"][key][where] for p in points])


def edges(results) -> Measured:
    """The largest distance of the ends of what is kept from the edges proved."""
    ratios, found = results["ratios"], results["bands"]
    error, seen = [], []
    for p in POINTS:
        kept = ratios[found[p]["departure"] < 1e-9]
        if not len(kept):
            return Measured(np.inf, f"no cycle at β = {p[:2]}")
        edge = p[0] / (1 + p[1])
        error.append(max(abs(kept[0] - edge), abs(1 - edge - kept[-1])))
        seen.append(f"{kept[0]:.4f}, {kept[-1]:.4f} against {edge:.4f}, {1 - edge:.4f}")
    return Measured(max(error), f"β = {POINTS[0][:2]}: {seen[0]}")


def departure(results) -> Measured:
    text = f"in ε; a = ε/2 and 1 % of the half-width inside both edges; {MANY}"
    return Measured(at(results, "departure", slice(0, 3)).max(), text)


def multiplier(results) -> Measured:
    found = at(results, "multiplier", 0) - [p[1] ** 2 for p in POINTS]
    return Measured(np.max(np.abs(found)), MANY)


def above_the_floor(results, points=POINTS):
    return np.abs(at(results, "loss", 0, points) - 1 / 8)


def outside(results) -> Measured:
    least = at(results, "departure", slice(3, None)).min()
    return Measured(least, f"departure in ε, the least of {MANY}")


def empty(results) -> Measured:
    least = min(results["bands"][p]["departure"].min() for p in EMPTY)
    return Measured(least, ", ".join(str(p[:2]) for p in EMPTY))


def claims(config) -> list:
    spacing = 1 / (config.ratios - 1)
    adding = "round-off of a sum over all steps"
    return [
        Claim(
            "16",
            "2-cycles of Lion on ½hx², λ = 0, in the band: farthest from {a, a − ε}",
            at_most(1e-13, "x ± ε is exact but for an ulp of ε"),
            departure,
        ),
        Claim(
            "16a",
            "band edges β₁/(1+β₂) and 1 − β₁/(1+β₂) of a/ε: largest error of a grid",
            at_most(spacing, "the spacing of the grid"),
            edges,
        ),
        Claim(
            "16b",
            "mean loss/(hε²) − 1/8 at a = ε/2",
            at_most(1e-10, adding),
            lambda r: Measured(above_the_floor(r).max(), MANY),
        ),
        Claim(
            "16c",
            "transverse multiplier − β₂²",
            at_most(1e-10, "cancellation of m against its change, hε/1000"),
            multiplier,
        ),
        Control(
            "16x",
            "claim 16 with a/ε outside the band by 1 % of its half-width",
            at_least(0.5, "half a step; a sign that turns moves x by a whole one"),
            outside,
            of="16",
        ),
        Control(
            "16y",
            "claim 16 with 2β₁ > 1 + β₂: departure in ε, the least over all a/ε",
            at_least(0.5, "half a step; a sign that turns moves x by a whole one"),
            empty,
            of="16",
        ),
        Control(
            "16z",
            "claim 16b with 2β₁ > 1 + β₂: |mean loss/(hε²) − 1/8|",
            at_least(0.01, "far above the rounding that claim 16b allows"),
            lambda r: above_the_floor(r, EMPTY).min(),
            of="16b",
        ),
    ]


def figures(results) -> dict:
    ratios, colors = results["ratios"], ("blue", "green", "purple", "vermilion")
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    shown = [POINTS[0], *POINTS[2:4], EMPTY[1]]
    for point, color in zip(shown, colors, strict=True):
        found, edge = results["bands"][point], point[0] / (1 + point[1])
        style = {"color": COLORS[color], "lw": 1}
        left.plot(ratios, found["departure"], label=f"β = {point[:2]}", **style)
        inside, label = (
            found["departure"] < 1e-9,
            None if color != "blue" else "measured",
        )
        right.plot(ratios[inside], found["loss"][inside], label=label, **style)
        if edge < 0.5:
            for x in (edge, 1 - edge):
                label = "proved edges" if point == shown[0] and x == edge else None
                left.axvline(x, ls=":", label=label, **style)
    left.set(xlabel="a/ε", ylabel="farthest from {a, a − ε}, in ε", ylim=(-0.1, 6.5))
    left.set_title("Cycles persist between the proved edges")
    black = {"ls": ":", "color": COLORS["black"], "label": "(r² + (1 − r)²)/4, r = a/ε"}
    right.plot(ratios, (ratios**2 + (1 - ratios) ** 2) / 4, **black)
    right.axhline(1 / 8, ls="--", color=COLORS["grey"], label="the floor, 1/8")
    right.set(
        xlabel="a/ε", ylabel="mean loss / hε²", xlim=(0.2, 0.8), ylim=(0.12, 0.17)
    )
    right.set_title("The floor hε²/8")
    for ax in (left, right):
        legend_below(ax)
    caption = (
        "Lion at a constant rate stays in 2-cycles between the proved edges (left). "
    )
    return {caption + "Their mean loss follows the formula (right).": figure}


STUDY = Study(
    "The 2-cycles of Lion at a constant learning rate",
    "Derived from the map; Lion: Chen et al., arXiv:2302.06675",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
)
