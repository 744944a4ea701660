"""A polygon."""

import functools

import numpy as np

from dynax._check import require
from dynax.shapes._base import AbstractShape, Piece, namespace, row


class Polygon(AbstractShape):
    """Describe a polygon, convex or not, without holes.

    Its sides are "edge 1" (from the first corner to the second), "edge 2", … unless
    `names` says otherwise.

    Args:
        corners: three or more, in order, (x, y) each.
        names: of the edges.
    """

    def __init__(self, corners, names=None):
        p = np.asarray(corners, float)
        fits = p.ndim == 2 and p.shape[1] == 2 and len(p) >= 3
        require(fits, "corners", corners, "three or more pairs of numbers")
        area = _area(p)
        size = np.ptp(p, 0).max()
        require(
            abs(area) > 1e-12 * size**2 and not _crosses(p),
            "corners",
            corners,
            "a polygon with a positive area whose edges do not cross",
        )
        names = [f"edge {i + 1}" for i in range(len(p))] if names is None else names
        require(len(names) == len(p), "names", names, f"{len(p)} names, one per edge")
        if area < 0:  # counterclockwise, the edges in the same order as their names
            p, names = np.roll(p[::-1], 1, 0), [*names][::-1]
        self.corners, self.names, self.area = p, tuple(names), abs(area)
        self.lower, self.upper = tuple(p.min(0)), tuple(p.max(0))

    def __repr__(self):
        return f"Polygon({self.corners.tolist()})"

    @property
    def volume(self):
        return self.area

    @property
    def _ends(self):
        return self.corners, np.roll(self.corners, -1, 0)

    def _to_edges(self, x):
        """Distances to the edges (…, edges), and whether x is inside."""
        xp = namespace(x)
        x = x[..., None, :]
        a, b = (row(end, x[..., 0, :]) for end in self._ends)
        edge, gap = b - a, x - a
        share = xp.clip(xp.sum(gap * edge, -1) / xp.sum(edge**2, -1), 0, 1)
        off = gap - share[..., None] * edge
        square = xp.sum(off**2, -1)
        far = xp.where(square > 0, xp.sqrt(xp.where(square > 0, square, 1)), 0)
        above, below = x[..., 1] >= a[..., 1], x[..., 1] < b[..., 1]
        turn = edge[..., 0] * gap[..., 1] - edge[..., 1] * gap[..., 0]
        crossed = xp.where(above & below & (turn > 0), 1, 0)
        crossed = crossed - xp.where(~above & ~below & (turn < 0), 1, 0)
        return far, xp.sum(crossed, -1) != 0

    def distance(self, x):
        xp = namespace(x)
        far, inside = self._to_edges(x)
        least = xp.min(far, -1)
        return xp.where(inside, -least, least)

    def pieces(self):
        found = []
        for name, a, b in zip(self.names, *self._ends, strict=True):
            length = float(np.linalg.norm(b - a))
            across = np.array([b[1] - a[1], a[0] - b[0]]) / length
            at = functools.partial(_between, a, b)
            found.append(Piece(name, length, at, functools.partial(_same, across)))
        return tuple(found)

    def implicit(self, x):
        """± 1/Σ 1/ω over the edges, ω as in `segment`; the sign is the side's."""
        xp = namespace(x)
        found = self._joined(x, range(len(self.corners)))
        return xp.where(self._to_edges(x)[1], found, -found)

    def held(self, sides):
        """The product of the edges' half-planes where all are held and it is convex."""
        sides = {*sides}
        if not sides <= {*self.names}:
            return None
        a, b = self._ends
        edge = b - a
        following = np.roll(edge, -1, 0)
        convex = edge[:, 0] * following[:, 1] > edge[:, 1] * following[:, 0]
        chosen = [i for i, name in enumerate(self.names) if name in sides]
        if np.all(convex):
            return functools.partial(self._product, chosen)
        return functools.partial(self._joined, chosen=chosen)

    def _product(self, chosen, x):
        xp = namespace(x)
        found = xp.ones(x.shape[:-1], x.dtype)
        size = np.max(np.subtract(self.upper, self.lower))
        for i in chosen:
            a, b = (end[i] for end in self._ends)
            across = np.array([a[1] - b[1], b[0] - a[0]]) / np.linalg.norm(b - a)
            far = xp.sum((x - row(a, x)) * row(across, x), -1)
            found = found * (2 / size) * far
        return found

    def _joined(self, x, chosen):
        """R-equivalence: ∏ω/Σ∏_{others}, of the same order as the distance."""
        xp = namespace(x)
        parts = [segment(x, *(end[i] for end in self._ends)) for i in chosen]
        size = np.max(np.subtract(self.upper, self.lower)) / 2
        below = xp.zeros(x.shape[:-1], x.dtype)
        for i in range(len(parts)):
            rest = xp.ones(x.shape[:-1], x.dtype)
            for j, part in enumerate(parts):
                rest = rest if i == j else rest * part / size
            below = below + rest
        above = xp.ones(x.shape[:-1], x.dtype)
        for part in parts:
            above = above * part / size
        return xp.where(below > 0, above / xp.where(below > 0, below, 1), 0)


def segment(x, a, b):
    """A function that is 0 on a segment only, with slope 1 across it.

    ω = √(f² + ((√(t² + f⁴) − t)/2)²), f the distance from the line and t > 0 within
    the circle around the segment. Source: Sukumar, Srivastava, CMAME 389 (2022).
    """
    xp = namespace(x)
    length = float(np.linalg.norm(b - a))
    gap = x - row(a, x)
    f = gap[..., 0] * ((b[1] - a[1]) / length) - gap[..., 1] * ((b[0] - a[0]) / length)
    middle = x - row((a + b) / 2, x)
    t = ((length / 2) ** 2 - xp.sum(middle**2, -1)) / length
    inner = t**2 + f**4
    some = inner > 0
    rest = (xp.where(some, xp.sqrt(xp.where(some, inner, 1)), 0) - t) / 2
    square = f**2 + rest**2
    some = square > 0
    return xp.where(some, xp.sqrt(xp.where(some, square, 1)), 0)


def _between(a, b, s):
    return row(a, s) + s[..., :1] * row(b - a, s)


def _same(values, x):
    return namespace(x).broadcast_to(row(values, x), x.shape)


def _area(p) -> float:
    q = np.roll(p, -1, 0)
    return float(np.sum(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2)


def _crosses(p) -> bool:
    """Whether two edges that do not follow each other meet."""
    q, n = np.roll(p, -1, 0), len(p)
    turn = lambda a, b, c: np.sign(
        (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    )
    for i in range(n):
        for j in range(i + 2, n - (i == 0)):
            one = turn(p[i], q[i], p[j]) * turn(p[i], q[i], q[j])
            two = turn(p[j], q[j], p[i]) * turn(p[j], q[j], q[i])
            if one <= 0 and two <= 0 and not one == two == 0:
                return True
    return False
