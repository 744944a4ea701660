"""Union, intersection and difference of two shapes."""

import abc

import numpy as np

from dynax._check import require
from dynax.shapes._base import AbstractShape, namespace
from dynax.shapes.box import both, either


class AbstractComposite(AbstractShape):
    """Two shapes, of the same dimension."""

    @abc.abstractmethod
    def _corners(self) -> tuple:
        """Of a box around it."""

    def __init__(self, a: AbstractShape, b: AbstractShape):
        require(
            a.dimension == b.dimension,
            "shapes",
            f"{a.dimension} and {b.dimension} dimensions",
            "two shapes of the same dimension",
        )
        self.a, self.b = a, b
        self.lower, self.upper = (tuple(map(float, c)) for c in self._corners())
        _ = self._inside  # a shape without area is refused here

    def pieces(self):
        return self.a.pieces() + self.b.pieces()

    @property
    def sides(self):
        """Those of both that are not hidden within the other."""
        return tuple(n for n in super().sides if self._share(n) > 0)

    def _parts(self, sides) -> tuple[set[str], set[str]]:
        return {*sides} & {*self.a.sides}, {*sides} & {*self.b.sides}


class Union(AbstractComposite):
    """Describe all places in one of two shapes or in both: A | B."""

    def __repr__(self):
        return f"({self.a!r} | {self.b!r})"

    def _corners(self):
        lower = np.minimum(self.a.lower, self.b.lower)
        return lower, np.maximum(self.a.upper, self.b.upper)

    def distance(self, x):
        return namespace(x).minimum(self.a.distance(x), self.b.distance(x))

    def implicit(self, x):
        return either(self.a.implicit(x), self.b.implicit(x))


class Intersection(AbstractComposite):
    """Describe all places in both of two shapes: A & B."""

    def __repr__(self):
        return f"({self.a!r} & {self.b!r})"

    def _corners(self):
        lower = np.maximum(self.a.lower, self.b.lower)
        upper = np.minimum(self.a.upper, self.b.upper)
        accepted = "two shapes that overlap"
        require(np.all(lower < upper), "intersection", repr(self), accepted)
        return lower, upper

    def distance(self, x):
        return namespace(x).maximum(self.a.distance(x), self.b.distance(x))

    def implicit(self, x):
        return both(self.a.implicit(x), self.b.implicit(x))

    def held(self, sides):
        """The product: both shapes contain all of the region."""
        first, second = self._parts(sides)
        return _product(self.a.held(first), self.b.held(second))


class Difference(AbstractComposite):
    """Describe all places in one shape and not in another: A − B."""

    def __repr__(self):
        return f"({self.a!r} - {self.b!r})"

    def _corners(self):
        return self.a.lower, self.a.upper

    def distance(self, x):
        return namespace(x).maximum(self.a.distance(x), -self.b.distance(x))

    def pieces(self):
        inward = lambda normal: lambda x: -normal(x)
        cut = tuple(p._replace(normal=inward(p.normal)) for p in self.b.pieces())
        return self.a.pieces() + cut

    def implicit(self, x):
        return both(self.a.implicit(x), -self.b.implicit(x))

    def held(self, sides):
        """The product, where all that is seen of B is held, or nothing."""
        first, second = self._parts(sides)
        whole = {*self.b.sides} & {*self.sides}
        if second not in (set(), whole):
            return None
        without = lambda x: -self.b.implicit(x)
        return _product(self.a.held(first), without if second else _one)


def _one(x):
    return namespace(x).ones(x.shape[:-1], x.dtype)


def _product(f, g):
    return None if f is None or g is None else lambda x: f(x) * g(x)
