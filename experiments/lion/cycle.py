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

from dynax import Claim, LionKappa, LionState
from dynax.report import COLORS, new_figure


TITLE = "The 2-cycles of Lion at a constant learning rate"
SOURCE = "Derived from the map; Lion: Chen et al., arXiv:2302.06675"


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


def measure(config: Config, progress) -> dict:
    go = functools.partial(run, steps=config.steps)
    ratios = jnp.linspace(0.0, 1.0, config.ratios)
    sweep = jax.jit(jax.vmap(go, (0, None, None, None, None)))
    bands, every = {}, POINTS + EMPTY
    for k, point in enumerate(every):
        progress(k / len(every), f"β = {point[:2]}")
        beta1, beta2 = point[:2]
        bands[point] = jax.device_get(sweep(ratios, *point))
        edge = beta1 / (1 + beta2)
        width = max(0.5 - edge, 1e-3)
        # the middle, both edges from inside, both from outside
        at = [0.5, edge + 0.01 * width, 1 - edge - 0.01 * width]
        at += [edge - 0.01 * width, 1 - edge + 0.01 * width]
        bands[point]["at"] = jax.device_get(sweep(jnp.asarray(at), *point))
    return {"ratios": np.asarray(ratios), "bands": bands}


def claims(results) -> list[Claim]:
    ratios, bands = results["ratios"], results["bands"]
    spacing = float(ratios[1] - ratios[0])
    kept = {p: ratios[bands[p]["departure"] < 1e-9] for p in bands}
    edge = {p: p[0] / (1 + p[1]) for p in bands}
    ends = {p: (kept[p].min(), kept[p].max()) for p in POINTS if len(kept[p])}
    error = [max(lo - edge[p], 1 - edge[p] - hi) for p, (lo, hi) in ends.items()]
    beyond = [max(edge[p] - lo, hi - 1 + edge[p]) for p, (lo, hi) in ends.items()]
    worst = max(*error, *beyond) if len(ends) == len(POINTS) else np.inf
    at = np.stack([bands[p]["at"]["departure"] for p in POINTS])
    floor = max(abs(bands[p]["at"]["loss"][0] - 1 / 8) for p in POINTS)
    multiplier = max(abs(bands[p]["at"]["multiplier"][0] - p[1] ** 2) for p in POINTS)
    many = f"{len(POINTS)} choices of β₁, β₂, ε, h"
    first = POINTS[0]
    seen = ", ".join(f"{v:.4f}" for v in ends.get(first, ()))

    claim = functools.partial(Claim.judged, SOURCE)

    return [
        claim(
            "16",
            "2-cycles of Lion on ½hx², λ = 0, in the band: farthest from {a, a − ε}",
            at[:, :3].max(),
            "≤ 1e-9",
            f"in ε; a = ε/2 and 1 % of the half-width inside both edges; {many}",
        ),
        claim(
            "16a",
            "band edges β₁/(1+β₂) and 1 − β₁/(1+β₂) of a/ε: largest error of a grid",
            worst,
            f"≤ {spacing:g}",
            f"β = {first[:2]}: {seen} against {edge[first]:.4f}, {1 - edge[first]:.4f}",
        ),
        claim("16b", "mean loss/(hε²) − 1/8 at a = ε/2", floor, "≤ 1e-9", many),
        claim("16c", "transverse multiplier − β₂²", multiplier, "≤ 1e-9", many),
        claim(
            "16x",
            "claim 16 with a/ε outside the band by 1 % of its half-width",
            at[:, 3:].min(),
            "≥ 0.5 rejected",
            f"departure in ε, the least of {many}",
        ),
        claim(
            "16y",
            "claim 16 with 2β₁ > 1 + β₂: departure in ε, the least over all a/ε",
            min(bands[p]["departure"].min() for p in EMPTY),
            "≥ 0.5 rejected",
            ", ".join(str(p[:2]) for p in EMPTY),
        ),
        claim(
            "16z",
            "claim 16b with 2β₁ > 1 + β₂: |mean loss/(hε²) − 1/8|",
            min(abs(bands[p]["at"]["loss"][0] - 1 / 8) for p in EMPTY),
            "≥ 0.01 rejected",
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
        inside = found["departure"] < 1e-9
        right.plot(ratios[inside], found["loss"][inside], **style)
        if edge < 0.5:
            for x in (edge, 1 - edge):
                left.axvline(x, ls=":", **style)
    left.set(xlabel="a/ε", ylabel="farthest from {a, a − ε}, in ε", ylim=(-0.1, 6.5))
    left.set_title("Cycles persist between the proved edges")
    left.legend(loc="upper left")
    right.plot(ratios, (ratios**2 + (1 - ratios) ** 2) / 4, ":", color=COLORS["black"])
    right.axhline(1 / 8, ls="--", color=COLORS["grey"])
    right.set(
        xlabel="a/ε", ylabel="mean loss / hε²", xlim=(0.2, 0.8), ylim=(0.12, 0.17)
    )
    right.set_title("The floor hε²/8")
    return {"cycles": figure}
