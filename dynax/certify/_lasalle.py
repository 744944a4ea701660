"""LaSalle's argument on a box: an energy that falls only weakly, Ḣ = −D with D ≥ 0.

A state stays where D = 0 only if D̈ = 0 there too. D ≥ 0 vanishes with its gradient, so
D̈ = Fᵀ(∇²D)F where D = 0. If max(D, Fᵀ(∇²D)F) > 0 on {H ≤ c} outside of a ball, then no
whole path with D = 0 lies there, and no equilibrium. What starts in {H ≤ c} reaches the
ball (LaSalle 1960). For the heavy ball D = γ‖v‖² and D̈ = 2γ‖∇f‖² where v = 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynax.certify._edge import Edge
from dynax.certify.region import Ball, Region
from dynax.certify.search import MARGIN, Bounded, largest, search


class Argument(NamedTuple):
    """The part of {H − H(0) ≤ level} in the box of half widths `half` is attracted."""

    level: float = 0.0
    half: np.ndarray | None = None
    boxes: int = 0
    assumes: tuple[str, ...] = (
        "Ḣ = −D by the identity of the method",
        "LaSalle: where D = 0 but at z*, Fᵀ(∇²D)F > 0, so that no other equilibrium "
        "and no whole path with D = 0 lies inside",
    )


def reach(
    H: Callable, D: Callable, F: Callable, n: int, ball: float, budget: int
) -> Argument:
    """The largest level of H found, about 0 and from a ball that 0 attracts."""
    with jax.enable_x64(True):
        least = float(H(np.zeros(n)))
        bend = np.asarray(jax.hessian(H)(np.zeros(n)))
    curvature = np.linalg.eigvalsh((bend + bend.T) / 2)
    if not curvature[0] > 1e-8 * curvature[-1]:
        return Argument()
    shape = np.sqrt(2 * np.diag(np.linalg.inv(bend)))
    V = lambda z: H(z) - least

    def stays(z):
        moved = F(z)
        slope = lambda z: jax.jvp(D, (z,), (moved,))[1]
        return -jnp.maximum(D(z), jax.jvp(slope, (z,), (moved,))[1])

    edge = Edge(V, n)
    rises = Bounded(lambda z: -D(z), n, level=V)
    rests = Bounded(stays, n, level=V)
    boxes, best = 0, Argument()

    def falls(wanted: float) -> bool:
        nonlocal boxes, best
        half = shape * np.sqrt(wanted)
        if np.linalg.norm(half) <= ball * (1 + MARGIN):
            return False  # nothing beyond what is known
        level, used = edge.least(-half, half)
        boxes += used
        if not level > best.level:
            return False
        region = Region.of(-half, half, Ball(ball))
        for claim, below in ((rises, 0.0), (rests, -np.finfo(float).tiny)):
            found = search(claim, region, below, level, budget)
            boxes += found.boxes
            if not found.certified:
                return False
        best = Argument(level, half)
        return True

    largest(falls, 4 * (ball / float(np.max(shape))) ** 2)
    return best._replace(boxes=boxes)


__all__ = ["Argument", "reach"]
