"""What the velocity of the grid may not do: walls, slopes and moving colliders."""

import abc
from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.mechanics.mpm.transfer import Grid


Velocity = Float[Array, "*nodes d"]
Kind = Literal["slip", "sticky"]


class AbstractWall(eqx.Module):
    r"""Hold the velocity of the grid back, at the nodes within the wall.

    With u = v − V against the wall's own velocity V, and the normal n out of it:

        sticky   v ← V
        slip     where u·n < 0:  v ← V + s max(1 − μ|u·n|/|s|, 0),   s = u − (u·n)n

    which is Coulomb's law, |impulse along| ≤ μ |impulse across|. A node that leaves is
    free.
    """

    @property
    @abc.abstractmethod
    def kind(self) -> Kind:
        """Which kind it is, "slip" or "sticky"."""

    @property
    @abc.abstractmethod
    def friction(self) -> ScalarLike | None:
        """μ ≥ 0 of a "slip" wall. None is 0."""

    def __check_init__(self):
        _one_of("kind", self.kind, ("slip", "sticky"))
        if self.friction is None:
            return
        check_nonnegative(friction=self.friction)
        if self.kind == "sticky":
            raise ValueError(
                f"friction: given {self.friction} of a sticky wall; accepted is None "
                '(it holds all), or kind="slip".'
            )

    def check(self, grid: Grid) -> None:
        """It fits the grid.

        Raises:
            ValueError: it does not.
        """
        del grid

    @abc.abstractmethod
    def surface(self, grid: Grid, t: Scalar) -> tuple[Array, Array, Array]:
        """Which nodes are within, (*nodes, 1), n and V there, (*nodes, d), or (1, …, d)
        of all, in the dtype of t."""

    def __call__(self, grid: Grid, v: Velocity, t: Scalar) -> Velocity:
        """The velocity of the grid as the wall lets it be."""
        within, n, V = self.surface(grid, t.astype(v.dtype))
        if self.kind == "sticky":
            return jnp.where(within, V, v)
        u = v - V
        across = jnp.sum(u * n, -1, keepdims=True)
        into = jnp.minimum(across, 0)
        if self.friction is None:
            return jnp.where(within, v - into * n, v)
        along = u - across * n
        square = jnp.sum(along**2, -1, keepdims=True)
        size = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 1)
        left = jnp.maximum(1 + tree.cast(self.friction, v.dtype) * into / size, 0)
        return jnp.where(within & (across < 0), V + left * along, v)


class Side(AbstractWall):
    """One side of the grid, `width` nodes thick.

    Args:
        axis: 0, 1, 2.
        end: 0, where the axis begins, or 1.
        kind: "slip" or "sticky".
        width: nodes i < width; at the other end i > n − width (as Ma et al. 2023).
        friction: μ ≥ 0 of a "slip" wall. None is 0.
    """

    axis: int = eqx.field(static=True)
    end: int = eqx.field(static=True)
    kind: Kind = eqx.field(default="slip", static=True)
    width: int = eqx.field(default=3, static=True)
    friction: ScalarLike | None = None

    def __check_init__(self):
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

    def surface(self, grid, t):
        n, d = grid.nodes[self.axis], len(grid.nodes)
        shape = [1] * (d + 1)
        shape[self.axis] = n
        i = jnp.arange(n, dtype=jnp.int32).reshape(shape)
        within = i < self.width if self.end == 0 else i > n - self.width
        none = jnp.zeros((1,) * d + (d,), t.dtype)
        return within, none.at[..., self.axis].set(1 - 2 * self.end), none


class Slope(AbstractWall):
    """The half-space (x − point)·normal ≤ 0.

    Args:
        point: on its face, (d,), m.
        normal: out of it, (d,), of any length.
        kind: "slip" or "sticky".
        friction: μ ≥ 0 of a "slip" wall. None is 0.
    """

    point: Float[Array, " d"] = eqx.field(converter=jnp.asarray)
    normal: Float[Array, " d"] = eqx.field(converter=jnp.asarray)
    kind: Kind = eqx.field(default="slip", static=True)
    friction: ScalarLike | None = None

    def __check_init__(self):
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

    def surface(self, grid, t):
        shape = (1,) * len(grid.nodes) + (-1,)
        given = self.point, self.normal
        point, normal = (a.astype(t.dtype).reshape(shape) for a in given)
        normal = normal / jnp.sqrt(jnp.sum(normal**2))
        depth = jnp.sum((grid.places(t.dtype) - point) * normal, -1, keepdims=True)
        return depth <= 0, normal, jnp.zeros_like(normal)


class Collider(AbstractWall):
    """A rigid body that may move, given by its signed distance.

    Its velocity is −∂φ/∂t ∇φ unless `velocity` says more, such as a turn about an axis
    that leaves φ what it is.

    Args:
        distance: (x, t) → φ in m of a place (d,), < 0 inside; |∇φ| = 1.
        velocity: (x, t) → V in m/s, (d,).
        kind: "slip" or "sticky".
        friction: μ ≥ 0 of a "slip" wall. None is 0.
    """

    distance: Callable[[Array, Scalar], Scalar]
    velocity: Callable[[Array, Scalar], Array] | None = None
    kind: Kind = eqx.field(default="slip", static=True)
    friction: ScalarLike | None = None

    def check(self, grid):
        x = jax.ShapeDtypeStruct((len(grid.nodes),), jnp.result_type(float))
        t = jax.ShapeDtypeStruct((), x.dtype)
        for name, fn, accepted in (
            ("distance", self.distance, ()),
            ("velocity", self.velocity, x.shape),
        ):
            given = accepted if fn is None else eqx.filter_eval_shape(fn, x, t).shape
            if given != accepted:
                raise ValueError(
                    f"{name}: given a function to shape {given}; accepted is "
                    f"{accepted}, at one place."
                )

    def surface(self, grid, t):
        d, places = len(grid.nodes), grid.places(t.dtype)

        def at(x):
            both = jax.value_and_grad(self.distance, (0, 1))
            depth, (normal, rate) = both(x, t)
            V = -rate * normal if self.velocity is None else self.velocity(x, t)
            return depth < 0, normal, V

        within, normal, V = jax.vmap(at)(places.reshape(-1, d))
        back = lambda a: a.reshape(*grid.nodes, -1)
        return back(within), back(normal), back(V)


def box_walls(
    d: int,
    kind: Kind = "slip",
    width: int = 3,
    friction: ScalarLike | None = None,
) -> tuple[Side, ...]:
    """Make all 2d sides of one kind. A tuple of `Side`s mixes them."""
    ends = [(axis, end) for axis in range(d) for end in (0, 1)]
    return tuple(Side(*at, kind, width, friction) for at in ends)


def _one_of(name: str, given: ScalarLike | str, accepted: tuple) -> None:
    if given not in accepted:
        raise ValueError(f"{name}: given {given!r}; accepted is one of {accepted}.")
