"""A region known by points only."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from dynax._check import require
from dynax.shapes._base import AbstractShape


class Cloud(AbstractShape):
    """Describe a region by points of it, and points and normals of its sides.

    Nothing is known between the points: points are drawn from these, conditions are
    soft, and there is no reference.

    Args:
        points: inside, (n, d).
        walls: name of a side → (points (m, d), outward unit normals (m, d)).
    """

    def __init__(self, points, walls: Mapping[str, tuple] | None = None):
        self.points = np.asarray(points, float)
        good = self.points.ndim == 2 and self.points.shape[1] in (1, 2, 3)
        shape = self.points.shape
        require(good and len(self.points), "points", shape, "(n ≥ 1, d ≤ 3) numbers")
        self.walls = {
            name: tuple(np.asarray(a, float) for a in pair)
            for name, pair in (walls or {}).items()
        }
        for name, (x, normal) in self.walls.items():
            given = f"{x.shape} and {normal.shape} for {name!r}"
            fits = x.shape == normal.shape == (len(x), self.points.shape[1])
            accepted = "points and normals, (m ≥ 1, d) each"
            require(fits and len(x), "walls", given, accepted)
        every = np.concatenate([self.points, *(x for x, _ in self.walls.values())])
        self.lower, self.upper = tuple(every.min(0)), tuple(every.max(0))

    def __repr__(self):
        return f"Cloud({len(self.points)} points, sides {', '.join(self.walls)})"

    @property
    def sides(self):
        return tuple(self.walls)

    def sample(self, key, n, dtype=None):
        return _draw(key, n, dtype, (self.points,))[0]

    def on(self, side, key, n, dtype=None):
        accepted = f"one of {', '.join(self.walls)}"
        require(side in self.walls, "side", side, accepted)
        return _draw(key, n, dtype, self.walls[side])

    def held(self, sides):
        return None

    def distance(self, x):
        raise TypeError(
            "distance: given a Cloud, of which no boundary is known; accepted is a "
            "shape that knows its own."
        )

    implicit = distance

    def pieces(self):
        return ()


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draw(key, n, dtype, arrays):
    """n rows: without repeats until all were drawn."""
    dtype = jnp.result_type(float) if dtype is None else dtype
    count = len(arrays[0])
    order = jax.random.permutation(key, count)[jnp.arange(n) % count]
    return tuple(jnp.asarray(a, dtype)[order] for a in arrays)
