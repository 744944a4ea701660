"""What the velocity of the grid may not do: walls and slopes."""

import abc
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.mechanics.mpm.transfer import Grid


Velocity = Float[Array, "*nodes d"]
Kind = Literal["slip", "sticky"]


class AbstractWall(eqx.Module):
    """A wall within the grid. In it, "slip" takes away the velocity into the wall, and
    "sticky" all of it.
    """

    def check(self, grid: Grid) -> None:
        """It fits the grid.

        Raises:
            ValueError: it does not.
        """
        del grid

    @abc.abstractmethod
    def __call__(self, grid: Grid, v: Velocity) -> Velocity:
        """The velocity of the grid as the wall lets it be."""


class Side(AbstractWall):
    """One side of the grid, `width` nodes thick.

    Args:
        axis: 0, 1, 2.
        end: 0, where the axis begins, or 1.
        kind: "slip" or "sticky".
        width: nodes i < width; at the other end i > n − width (as Ma et al. 2023).
    """

    axis: int = eqx.field(static=True)
    end: int = eqx.field(static=True)
    kind: Kind = eqx.field(default="slip", static=True)
    width: int = eqx.field(default=3, static=True)

    def __check_init__(self):
        _one_of("kind", self.kind, ("slip", "sticky"))
        _one_of("end", self.end, (0, 1))
        _one_of("axis", self.axis, (0, 1, 2))
        if self.width < 1:
            raise ValueError(f"width: given {self.width}; accepted is ≥ 1, in nodes.")

    def check(self, grid):
        d = len(grid.nodes)
        if self.axis >= d or self.width >= grid.nodes[self.axis]:
            raise ValueError(
                f"walls: given Side of axis {self.axis} and width {self.width}; "
                f"accepted are axes below {d} and widths below {min(grid.nodes)} nodes."
            )

    def __call__(self, grid, v):
        n, d = grid.nodes[self.axis], v.ndim - 1
        shape = [1] * (d + 1)
        shape[self.axis] = n
        i = jnp.arange(n, dtype=jnp.int32).reshape(shape)
        within = i < self.width if self.end == 0 else i > n - self.width
        if self.kind == "slip":
            into = v < 0 if self.end == 0 else v > 0
            component = jnp.arange(d, dtype=jnp.int32).reshape((1,) * d + (d,))
            within = within & into & (component == self.axis)
        return jnp.where(within, 0, v)


class Slope(AbstractWall):
    """The half-space (x − point)·normal ≤ 0.

    Args:
        point: on its face, (d,), m.
        normal: out of it, (d,), of any length.
        kind: "slip" or "sticky".
    """

    point: Float[Array, " d"] = eqx.field(converter=jnp.asarray)
    normal: Float[Array, " d"] = eqx.field(converter=jnp.asarray)
    kind: Kind = eqx.field(default="slip", static=True)

    def __check_init__(self):
        _one_of("kind", self.kind, ("slip", "sticky"))
        for name, given in (("point", self.point), ("normal", self.normal)):
            if given.shape not in ((2,), (3,)):
                raise ValueError(
                    f"{name}: given shape {given.shape}; accepted is (2,) or (3,)."
                )
        some = lambda n: np.any(n != 0) & np.all(np.isfinite(n))
        check_parameter("normal", self.normal, some, "finite, and not 0")

    def check(self, grid):
        d = len(grid.nodes)
        for given in (self.point, self.normal):
            if given.shape != (d,):
                raise ValueError(
                    f"walls: given Slope with shape {given.shape}; accepted is ({d},)."
                )

    def __call__(self, grid, v):
        d, dx = v.ndim - 1, tree.cast(grid.dx, v.dtype)
        point, normal = (a.astype(v.dtype) for a in (self.point, self.normal))
        normal = normal / jnp.sqrt(jnp.sum(normal**2))
        depth = -jnp.sum(point * normal)
        for a, n in enumerate(grid.nodes):
            x = dx * jnp.arange(n, dtype=v.dtype) * normal[a]
            depth = jnp.expand_dims(depth, -1) + x.reshape((1,) * a + (n,))
        within = (depth <= 0)[..., None]
        if self.kind == "sticky":
            return jnp.where(within, 0, v)
        normal = normal.reshape((1,) * d + (d,))
        into = jnp.minimum(jnp.sum(v * normal, -1, keepdims=True), 0)
        return jnp.where(within, v - into * normal, v)


def box_walls(d: int, kind: Kind = "slip", width: int = 3) -> tuple[Side, ...]:
    """Make all 2d sides of one kind. A tuple of `Side`s mixes them."""
    return tuple(Side(axis, end, kind, width) for axis in range(d) for end in (0, 1))


def _one_of(name: str, given: ScalarLike | str, accepted: tuple) -> None:
    if given not in accepted:
        raise ValueError(f"{name}: given {given!r}; accepted is one of {accepted}.")
