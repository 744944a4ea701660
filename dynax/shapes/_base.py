"""What a region is here: a signed distance, and sides with names."""

import abc
import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax._check import require
from dynax.shapes._lattice import first, lattice, shifted


Points = Float[Array | np.ndarray, "*n d"]
LOOKS = 2**14  # points by which a region without a closed form is measured


class Piece(NamedTuple):
    """Hold one smooth part of a boundary.

    Args:
        name: of the side that it belongs to.
        measure: its length or area; 1 of a point.
        at: (…, d − 1) in [0, 1) → (…, d), uniform over the piece.
        normal: (…, d) on the piece → the outward unit normal.
    """

    name: str
    measure: float
    at: Callable[[Any], Any]
    normal: Callable[[Any], Any]


class AbstractShape(abc.ABC):
    """Describe a bounded region of space in 1, 2 or 3 dimensions.

    A | B, A & B and A − B are union, intersection and difference. All functions of
    places take arrays (…, d), of NumPy or JAX, and return the same kind.

    Its sides have names, `sides`. `named` gives all of them one name, so that a hole
    can be told from a wall. In a composition, parts of the same name are one side.
    """

    lower: Any  # the corners of a box around it
    upper: Any

    @abc.abstractmethod
    def distance(self, x: Points) -> Array:
        """The signed distance to the boundary, negative inside.

        Of a composition a lower bound of it, exact where one part is the nearest: its
        sign and its zeros are right everywhere.
        """

    @abc.abstractmethod
    def pieces(self) -> tuple[Piece, ...]:
        """The smooth parts of the boundary."""

    @abc.abstractmethod
    def implicit(self, x: Points) -> Array:
        """A smooth function that is 0 on the boundary and positive inside only."""

    def held(self, sides: Iterable[str]) -> Callable[[Array], Array] | None:
        """A smooth function that is positive inside and 0 on these sides; None where
        no closed form is known."""
        return self.implicit if {*sides} == {*self.sides} else None

    def named(self, name: str) -> "AbstractShape":
        """The same region, its whole boundary one side."""
        return Named(self, name)

    def __or__(self, other: "AbstractShape") -> "AbstractShape":
        from dynax.shapes.composite import Union

        return Union(self, other)

    def __and__(self, other: "AbstractShape") -> "AbstractShape":
        from dynax.shapes.composite import Intersection

        return Intersection(self, other)

    def __sub__(self, other: "AbstractShape") -> "AbstractShape":
        from dynax.shapes.composite import Difference

        return Difference(self, other)

    @property
    def dimension(self) -> int:
        return len(self.lower)

    @property
    def sides(self) -> tuple[str, ...]:
        """The names of the sides."""
        return tuple(dict.fromkeys(piece.name for piece in self.pieces()))

    @property
    def volume(self) -> float:
        """Length, area or volume: exact for a primitive, else to about 1e-3."""
        box = float(np.prod(np.subtract(self.upper, self.lower)))
        return box * self._inside

    def measure(self, side: str | None = None) -> float:
        """Length or area of a side, or of all; the number of points in one dimension.

        Exact for a primitive, else to about 1e-3."""
        names = self.sides if side is None else (side,)
        return sum(self._total(n) * self._shown(n) for n in names)

    def contains(self, x: Points) -> Array:
        """Whether places are inside."""
        return self.distance(x) < 0

    def sample(self, key, n: int, dtype=None) -> Float[Array, "n d"]:
        """Points inside, uniform; more even than independent ones."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        require(n >= 1, "n", n, "a number of points ≥ 1")
        _ = self._inside
        return _sample(self, key, n, dtype)

    def _sample(self, key, n, dtype):
        count = _enough(n, self._inside)
        s = shifted(key, count, self.dimension, dtype)
        lower, upper = row(self.lower, s), row(self.upper, s)
        x = lower + (upper - lower) * s
        return x if self._inside == 1 else first(self.contains(x), n, x)[0]

    def on(self, side: str, key, n: int, dtype=None) -> tuple[Array, Array]:
        """Points on a side, uniform, and the outward normals there: (n, d) each.

        Raises:
            ValueError: there is no such side, or none of it is on the boundary.
        """
        dtype = jnp.result_type(float) if dtype is None else dtype
        self._shown(side)
        return _on(self, side, key, n, dtype)

    def _on(self, side, key, n, dtype):
        share = self._shown(side)
        s = shifted(key, _enough(n, share), max(self.dimension - 1, 1), dtype)
        if self.dimension == 1:
            s = jnp.asarray((np.arange(len(s)) + 0.5)[:, None] / len(s), dtype)
        x, normal = self._along(side, s)
        return (x, normal) if share == 1 else first(self._bare(x, normal), n, x, normal)

    # --- how much of the box is inside, and how much of each side is a boundary

    @functools.cached_property
    def _inside(self) -> float:
        s = lattice(LOOKS, self.dimension)
        x = np.asarray(self.lower) + np.subtract(self.upper, self.lower) * s
        share = float(np.mean(self.contains(x)))
        require(
            share > 0,
            type(self).__name__.lower(),
            self,
            "a shape with a positive length, area or volume",
        )
        return share

    @functools.cached_property
    def _shares(self) -> dict[str, float]:
        return {}

    def _share(self, side: str) -> float:
        """The share of a side's pieces that is a boundary, by looking."""
        known = self._shares
        if side not in known:
            s = (lattice(LOOKS, max(self.dimension - 1, 1)) + 0.5 / LOOKS) % 1
            known[side] = float(np.mean(self._bare(*self._along(side, s))))
        return known[side]

    def _shown(self, side: str) -> float:
        """The same of a side that there is."""
        require(side in self.sides, "side", side, f"one of {', '.join(self.sides)}")
        share = self._share(side)
        require(
            share > 0, "side", side, "a side with points on the boundary; it has none"
        )
        return share

    def _total(self, side: str) -> float:
        return sum(p.measure for p in self.pieces() if p.name == side)

    def _along(self, side: str, s) -> tuple[Any, Any]:
        """(points, normals) of a side; the first coordinate of s chooses the piece."""
        xp = namespace(s)
        pieces = [p for p in self.pieces() if p.name == side]
        ends = np.cumsum([p.measure for p in pieces]) / self._total(side)
        k = xp.minimum((s[:, :1] >= row(ends, s)).sum(1), len(ends) - 1)
        starts = xp.asarray(np.concatenate([[0], ends[:-1]]), s.dtype)
        lengths = xp.asarray(np.diff(ends, prepend=0), s.dtype)
        one = (s[:, :1] - starts[k, None]) / lengths[k, None]
        local = xp.concatenate([xp.clip(one, 0, 1), s[:, 1:]], 1)
        x = normal = xp.zeros((len(s), self.dimension), s.dtype)
        for i, piece in enumerate(pieces):
            here = (k == i)[:, None]
            place = piece.at(local)
            x = xp.where(here, place, x)
            normal = xp.where(here, piece.normal(place), normal)
        return x, normal

    def _bare(self, x, normal):
        """Whether a place on a piece has the inside on one side only."""
        step = 1e-4 * float(np.max(np.subtract(self.upper, self.lower)))
        outside, inside = (self.distance(x + a * normal) for a in (step, -step))
        return (outside > 0) & (inside < 0)


class Named(AbstractShape):
    """A shape whose whole boundary is one side."""

    def __init__(self, shape: AbstractShape, name: str):
        self.shape, self.name = shape, name
        self.lower, self.upper = shape.lower, shape.upper

    def __repr__(self):
        return f"{self.shape!r}.named({self.name!r})"

    def distance(self, x):
        return self.shape.distance(x)

    def implicit(self, x):
        return self.shape.implicit(x)

    def held(self, sides):
        return self.shape.held(self.shape.sides) if {*sides} == {self.name} else None

    def pieces(self):
        return tuple(piece._replace(name=self.name) for piece in self.shape.pieces())


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _sample(shape: AbstractShape, key, n, dtype):
    return shape._sample(key, n, dtype)


@functools.partial(jax.jit, static_argnums=(0, 1, 3, 4))
def _on(shape: AbstractShape, side, key, n, dtype):
    return shape._on(side, key, n, dtype)


def _enough(n: int, share: float) -> int:
    """Candidates, of which n are good with room to spare."""
    return n if share == 1 else int(np.ceil((n + 2 * np.sqrt(n) + 4) / share))


def namespace(x) -> Any:
    """NumPy or JAX, as the array is of."""
    return np if isinstance(x, np.ndarray) else jnp


def row(values, x) -> Any:
    """Numbers as an array (1, …, 1, n), of the kind and rank of x."""
    found = namespace(x).asarray(values, x.dtype)
    return found.reshape((1,) * (x.ndim - 1) + found.shape)
