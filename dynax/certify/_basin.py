"""The certificate of a set {V ≤ c} that an equilibrium attracts, in three parts.

On the faces of a box V > c. Where V ≤ c, outside of a ball, V̇ < 0 (boxes). The ball
lies in a set {zᵀPz ≤ c'} that the equilibrium attracts (`dynax.certify.locally`). So
V falls along paths from {V ≤ c} until the ball is reached, and none leaves by a face.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dynax.certify._edge import Edge
from dynax.certify.interval import point
from dynax.certify.local import Near
from dynax.certify.region import Ball, Region
from dynax.certify.search import MARGIN, Bounded, Outcome, largest, search


TINY = np.finfo(float).tiny
LOCAL = 0.15  # of the distance to the nearest face: what is left to a quadratic V


class Found(NamedTuple):
    """What was judged of one V.

    Args:
        level: c, or 0 where the equilibrium is not stable or V has no c.
        ball: the radius of the ball.
        miss: how far the equilibrium is from one.
        outcome: of the boxes where V ≤ c.
    """

    level: float
    ball: float
    miss: float
    outcome: Outcome


class Judge:
    """The certificate of {V ≤ c} about 0 in a box, with parameters as arguments.

    Args:
        F: (z, w) → ż, with F(0, w) = 0.
        V: (z, w) → V ≥ 0.
        slope: (z, w) → V̇.
        low, high: the ends of the box.
        w: a vector; others of its length may be given later.
        budget: boxes for each search.
    """

    def __init__(self, F: Callable, V: Callable, slope: Callable, low, high, w, budget):
        n = low.size
        self.low, self.high, self.budget = low, high, budget
        self.near, self.edge = Near(F, n, False, w), Edge(V, n, w)
        self.change = Bounded(slope, n, w, level=V)

    def __call__(self, w) -> Found:
        spot = self.near.spot(w)
        if not spot.growth < -spot.neutral:
            return Found(0.0, 0.0, spot.miss, self._open(0))
        most = LOCAL * float(np.min(np.minimum(self.high, -self.low)))
        P, _, level, boxes = self.near.quadratic(
            spot, w, budget=self.budget // 10, most=most
        )
        ball = np.sqrt(level / np.linalg.eigvalsh(P)[-1]) * (1 - MARGIN)
        c, used = self.edge.least(self.low, self.high, w, budget=self.budget // 10)
        if not min(ball, c) > 0:
            return Found(0.0, ball, spot.miss, self._open(boxes + used))
        return self._searched(w, c, ball, spot.miss, boxes + used)

    def _open(self, boxes: int) -> Outcome:
        lo, hi = self.low[:, None], self.high[:, None]
        none = np.empty((self.low.size, 0))
        worst = self.low, self.high, np.inf
        return Outcome(boxes, 0.0, None, worst, (lo, hi), (none, none))

    def _searched(self, w, level, ball, miss, boxes) -> Found:
        self.change.parameters = [point(np.asarray(w))]
        region = Region.of(self.low, self.high, Ball(ball))
        found = search(self.change, region, -TINY, level, self.budget, keep=True)
        return Found(level, ball, miss, found._replace(boxes=boxes + found.boxes))

    def shrunk(self, w, found: Found) -> Found:
        """What is certified of V at a smaller level; `found` itself if nothing is."""
        if found.outcome.certified or not found.level > 0:
            return found
        best = found

        def falls(level: float) -> bool:
            nonlocal best
            boxes = found.outcome.boxes
            now = self._searched(w, level, found.ball, found.miss, boxes)
            best = now if now.outcome.certified else best
            return now.outcome.certified

        largest(falls, found.level / 2)
        return best
