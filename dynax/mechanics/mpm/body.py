"""What moves: material points, their state, and what they are made of."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.material import AbstractLaw
from dynax.material._points import each, split


Vectors = Float[Array, "N d"]
Matrices = Float[Array, "N d d"]


class Body(NamedTuple):
    """The state of material points.

    The state of N material points in d = 2 or 3 dimensions.

    Args:
        x: (N, d), places in m.
        v: (N, d), velocities in m/s.
        C: (N, d, d), the affine part of the velocity, ∇v, in 1/s.
        F: (N, d, d), the deformation gradient, of the elastic part if there is another.
        alpha: internal variables, one tree a material, each leaf leading by its points;
            None stands for the () of a law, which diffrax cannot save.
    """

    x: Vectors
    v: Vectors
    C: Matrices
    F: Matrices
    alpha: tuple[PyTree[Array], ...]


class Material(eqx.Module):
    """A number of points of one law. Several materials are consecutive slices of a
    `Body`.

    Args:
        law: of each point; its parameters are differentiable through `args`, and may be
            arrays (count,) with one value a point.
        density: ρ₀ > 0, kg/m³ (plane strain: of a slice 1 m thick), () or (count,).
        volume: V₀ > 0 of each point, m³, () or (count,).
        count: how many points, > 0.
    """

    law: AbstractLaw
    density: ScalarLike | Float[Array, " count"]
    volume: ScalarLike | Float[Array, " count"]
    count: int = eqx.field(static=True)

    def __check_init__(self):
        check_parameter(
            "density", self.density, lambda rho: rho > 0, "ρ₀ > 0, in kg/m³"
        )
        check_parameter("volume", self.volume, lambda V: V > 0, "V₀ > 0, in m³")
        if not isinstance(self.count, int | np.integer) or self.count < 1:
            raise ValueError(f"count: given {self.count}; accepted is an integer > 0.")
        if not isinstance(self.law, AbstractLaw):
            raise TypeError(
                f"law: given {type(self.law).__name__}; accepted is an AbstractLaw (of "
                "several, make a Material each)."
            )
        split(self.law, self.count)
        for name in ("density", "volume"):
            shape = np.shape(getattr(self, name))
            if shape not in ((), (self.count,)):
                raise ValueError(
                    f"{name}: given shape {shape}; accepted are () and ({self.count},)."
                )


Materials = Material | Sequence[Material]


def several(args: Materials) -> tuple[Material, ...]:
    """What `diffeqsolve` is given as args: one material, or some.

    Raises:
        TypeError: something else.
    """
    groups = (args,) if isinstance(args, Material) else args
    kind = isinstance(groups, tuple | list)
    if not kind or not groups or not all(isinstance(g, Material) for g in groups):
        raise TypeError(
            f"args: given {type(args).__name__}; accepted is a Material, or a tuple of "
            "them."
        )
    return tuple(groups)


def volumes(args: Materials, dtype) -> Float[Array, " N"]:
    """Return the volume V₀ of each point, in m³."""
    one = lambda g: jnp.broadcast_to(tree.cast(g.volume, dtype), (g.count,))
    return jnp.concatenate([one(g) for g in several(args)])


def masses(args: Materials, dtype) -> Float[Array, " N"]:
    """Return the mass of each point.

    m = ρ₀V₀ of each point, kg.
    """
    return densities(args, dtype) * volumes(args, dtype)


def densities(args: Materials, dtype) -> Float[Array, " N"]:
    """ρ₀ of each point, kg/m³."""
    one = lambda g: jnp.broadcast_to(tree.cast(g.density, dtype), (g.count,))
    return jnp.concatenate([one(g) for g in several(args)])


def stored(alpha: PyTree) -> PyTree:
    """As `Body.alpha` has it: None for ()."""
    nothing = lambda a: type(a) is tuple and not a
    return jax.tree.map(lambda a: None if nothing(a) else a, alpha, is_leaf=nothing)


def _shown(alpha: PyTree) -> PyTree:
    nothing = lambda a: a is None
    return jax.tree.map(lambda a: () if nothing(a) else a, alpha, is_leaf=nothing)


def by_law(fn, args: Materials, *values) -> list:
    """`fn(law, *values)` for every point, one result a material.

    `values` lead by all N points; the last may be `alpha`, one tree a material.
    """
    out, start = [], 0
    for i, group in enumerate(several(args)):
        here = slice(start, start := start + group.count)
        mine = [_shown(v[i]) if isinstance(v, tuple) else v[here] for v in values]
        out.append(each(fn, group.law, group.count, *mine))
    return out


def at_rest(
    args: Materials, x: ArrayLike, velocity: ArrayLike = 0.0, spin: ArrayLike = 0.0
) -> Body:
    """Undeformed points at x that move as a rigid body turning about their mean.

    Args:
        args: what they are made of.
        x: (N, d), floating.
        velocity: of their mean, () or (d,), m/s.
        spin: ω in rad/s, (3,); () in the plane.

    Raises:
        ValueError: wrong shapes.
    """
    x = jnp.asarray(x)
    d = x.shape[-1] if x.ndim == 2 else 0
    count = sum(g.count for g in several(args))
    if x.shape != (count, d) or d not in (2, 3) or x.dtype.kind != "f":
        raise ValueError(
            f"x: given {x.dtype} of shape {x.shape}; accepted is floating, "
            f"({count}, d) with d = 2 or 3, for all points of the materials."
        )
    velocity, spin = (jnp.asarray(a, x.dtype) for a in (velocity, spin))
    if velocity.shape not in ((), (d,)):
        raise ValueError(
            f"velocity: given shape {velocity.shape}; accepted are () and ({d},)."
        )
    if spin.shape not in ((), (3,)[: d - 2]):
        raise ValueError(
            f"spin: given shape {spin.shape}; accepted is () in the plane, else (3,)."
        )
    if d == 2:
        turn = spin * jnp.array([[0, -1], [1, 0]], x.dtype)
    else:
        turn = jnp.cross(jnp.broadcast_to(spin, (3, 3)), jnp.eye(3, dtype=x.dtype)).T
    away = x - jnp.mean(x, 0, keepdims=True)
    v = jnp.broadcast_to(velocity, (1, d)) + jnp.sum(turn[None] * away[:, None], -1)
    every = lambda a: jnp.broadcast_to(a, (count, d, d))
    C, F = every(turn), every(jnp.eye(d, dtype=x.dtype))
    alpha = by_law(lambda law, F: law.init(F), args, F)
    return Body(x, v, C, F, stored(tuple(alpha)))


def wave_speed(args: Materials, y: Body) -> Scalar:
    """Return the largest wave speed of all points.

    c = √(M/ρ₀), the fastest of all points, m/s.
    """
    stiffness = lambda law, F, alpha: law.stiffness(F, alpha)
    M = jnp.concatenate(by_law(stiffness, args, y.F, y.alpha))
    return jnp.sqrt(jnp.max(M / densities(args, M.dtype)))
