"""The least value of a function on the boundary of a box, certified."""

from collections.abc import Callable

import numpy as np

from dynax.certify.interval import point
from dynax.certify.region import Region
from dynax.certify.search import MARGIN, Bounded, search


ROOMS = (1e-2, 0.1)  # below the least value found, relative to it


class Edge:
    """V on the 2n faces of a box, traced once.

    A face is z = base + Ms for s in a box: M is the identity but for one zero.
    """

    def __init__(self, V: Callable, n: int, *parameters):
        fall = lambda s, base, M, *p: -V(base + M @ s, *p)
        self.n = n
        self.fall = Bounded(fall, n, np.zeros(n), np.eye(n), *parameters)

    def least(self, lower, upper, *parameters, budget: int = 100_000):
        """A c > 0 with V > c on all faces, and the boxes it took; 0 if none is found.

        It is at most 10 % below the least value of V there.
        """
        found = [self._face(lower, upper, k, end, parameters, budget)
                 for k in range(self.n) for end in (lower, upper)]  # fmt: skip
        least = min(c for c, _ in found) * (1 - MARGIN)
        return least, sum(boxes for _, boxes in found)

    def _face(self, lower, upper, axis, end, parameters, budget):
        M, base = np.eye(self.n), np.zeros(self.n)
        M[axis, axis], base[axis] = 0.0, end[axis]
        values = (base, M, *parameters)
        self.fall.parameters = [point(np.asarray(p, float)) for p in values]
        region = Region.of(lower, upper, most=self.n)
        shares = np.random.default_rng(0).random((self.n, 256))
        z = region.lower[:, None] + (region.upper - region.lower)[:, None] * shares
        least = float(np.min(-self.fall.at(z)[0].hi))
        boxes = 0
        for room in ROOMS:
            for _ in range(8):
                c = least - room * abs(least)
                if not c > 0:
                    return 0.0, boxes
                outcome = search(self.fall, region, -c, budget=budget, climbing=False)
                boxes += outcome.boxes
                if outcome.certified:
                    return c, boxes
                if outcome.counterexample is None:
                    break
                least = -outcome.counterexample[1]
        return 0.0, boxes


__all__ = ["Edge"]
