"""A disk or a ball."""

import math

from dynax._check import check_positive, require
from dynax.shapes._base import AbstractShape, Piece, namespace, row


class Ball(AbstractShape):
    """Describe a disk in two dimensions, a ball in three.

    Its side is "edge".

    Args:
        center: 2 or 3 coordinates.
        radius: > 0.
    """

    def __init__(self, center, radius: float):
        center = tuple(map(float, center))
        accepted = "2 or 3 coordinates"
        require(len(center) in (2, 3), "center", center, accepted)
        check_positive(radius=radius)
        self.center, self.radius = center, float(radius)
        self.lower = tuple(c - self.radius for c in center)
        self.upper = tuple(c + self.radius for c in center)

    def __repr__(self):
        return f"Ball({self.center}, {self.radius})"

    def _from_center(self, x):
        return x - row(self.center, x)

    def distance(self, x):
        xp, gap = namespace(x), self._from_center(x)
        square = xp.sum(gap**2, -1)
        far = xp.sqrt(xp.where(square > 0, square, 1))
        return xp.where(square > 0, far, 0) - self.radius

    def pieces(self):
        area = (
            2 * math.pi * self.radius * (1 if self.dimension == 2 else 2 * self.radius)
        )
        normal = lambda x: self._from_center(x) / self.radius
        return (Piece("edge", area, self._edge, normal),)

    def _edge(self, s):
        xp = namespace(s)
        turn = 2 * math.pi * s[..., 0]
        way = [xp.cos(turn), xp.sin(turn)]
        if self.dimension == 3:
            height = 2 * s[..., 1] - 1
            flat = xp.sqrt(1 - height**2)
            way = [flat * way[0], flat * way[1], height]
        way = xp.stack(way, -1)
        return row(self.center, way) + self.radius * way

    @property
    def volume(self):
        scale = math.pi if self.dimension == 2 else 4 / 3 * math.pi
        return scale * self.radius**self.dimension

    def implicit(self, x):
        """1 − |x − c|²/R²."""
        gap = self._from_center(x) / self.radius
        return 1 - namespace(x).sum(gap**2, -1)


Disk = Ball
