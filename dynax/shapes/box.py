"""An interval, a rectangle or a cuboid."""

import functools

import numpy as np

from dynax._check import require
from dynax.shapes._base import AbstractShape, Piece, namespace, row


NAMES = ("left", "right"), ("bottom", "top"), ("back", "front")


class Box(AbstractShape):
    """Describe an interval, a rectangle or a cuboid.

    Its sides are left, right; bottom, top; back, front.

    Args:
        lower, upper: opposite corners, 1 to 3 coordinates each.
    """

    def __init__(self, lower, upper):
        lower, upper = tuple(map(float, lower)), tuple(map(float, upper))
        fits = len(lower) == len(upper) and len(lower) in (1, 2, 3)
        require(
            fits and all(a < b for a, b in zip(lower, upper, strict=True)),
            "lower, upper",
            f"{lower}, {upper}",
            "corners with 1 to 3 coordinates each, lower < upper",
        )
        self.lower, self.upper = lower, upper

    def __repr__(self):
        return f"Box({self.lower}, {self.upper})"

    @functools.cached_property
    def _inside(self):
        return 1.0

    def distance(self, x):
        xp = namespace(x)
        lower, upper = row(self.lower, x), row(self.upper, x)
        off = xp.maximum(lower - x, x - upper)
        beyond = xp.maximum(off, 0)
        squares = xp.sum(beyond**2, -1)
        outside = xp.sqrt(xp.where(squares > 0, squares, 1))
        return xp.where(squares > 0, outside, xp.max(off, -1))

    def pieces(self):
        found, size = [], np.subtract(self.upper, self.lower)
        for axis, names in enumerate(NAMES[: self.dimension]):
            for name, wall, sign in zip(
                names, (self.lower, self.upper), (-1.0, 1.0), strict=True
            ):
                area = float(np.prod(np.delete(size, axis)))
                at = functools.partial(self._face, axis, wall[axis])
                normal = functools.partial(_normal, axis, sign)
                found.append(Piece(name, area, at, normal))
        return tuple(found)

    def _face(self, axis, wall, s):
        xp, columns, rest = namespace(s), [], iter(range(s.shape[-1]))
        for i, (a, b) in enumerate(zip(self.lower, self.upper, strict=True)):
            if i == axis:
                columns.append(xp.full(s.shape[:-1], wall, s.dtype))
            else:
                columns.append(a + (b - a) * s[..., next(rest)])
        return xp.stack(columns, -1)

    def implicit(self, x):
        """The R-conjunction of 4(x − a)(b − x)/(b − a)² over the axes."""
        found = None
        for axis in range(self.dimension):
            one = self._factor(x, axis, NAMES[axis])
            found = one if found is None else both(found, one)
        return found

    def held(self, sides):
        """A polynomial: the product over the axes, of the walls that are held."""
        sides = {*sides}
        product = functools.partial(self.product, sides=sides)
        return product if sides <= {*self.sides} else None

    def product(self, x, sides=None):
        """∏ over the axes; all sides unless given."""
        found = namespace(x).ones(x.shape[:-1], x.dtype)
        for axis in range(self.dimension):
            chosen = NAMES[axis] if sides is None else sides
            found = found * self._factor(x, axis, chosen)
        return found

    def _factor(self, x, axis, sides):
        a, b = self.lower[axis], self.upper[axis]
        low, high = (name in sides for name in NAMES[axis])
        s = (x[..., axis] - a) / (b - a)
        if low and high:
            return 4 * s * (1 - s)
        return s if low else 1 - s if high else namespace(x).ones_like(s)


def Interval(lower: float, upper: float) -> Box:
    """A box in one dimension, with the sides left and right."""
    return Box((lower,), (upper,))


def both(a, b):
    """R-conjunction: positive where both are, 0 where the lesser is.

    Source: Rvachev, Sheiko, Appl. Mech. Rev. 48 (1995).
    """
    return a + b - root(a, b)


def either(a, b):
    """R-disjunction: positive where one is."""
    return a + b + root(a, b)


def root(a, b):
    """√(a² + b²), with slopes 0 where both vanish."""
    xp = namespace(a)
    square = a**2 + b**2
    some = square > 0
    return xp.where(some, xp.sqrt(xp.where(some, square, 1)), 0)


def _normal(axis, sign, x):
    xp = namespace(x)
    return xp.broadcast_to(row(np.eye(x.shape[-1])[axis] * sign, x), x.shape)
