"""What the classical methods share: states, linear combinations, bad input."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Params, Scalar, ScalarLike, State
from dynax.flow import AbstractOptimizer, Minimum
from dynax.kappa import AbstractKappa


class NoState(NamedTuple):
    """The state of a method without memory."""


class VelocityState(NamedTuple):
    """The velocity v."""

    v: Params


class PointState(NamedTuple):
    """A second point z beside x; with a mirror map, a point of the dual space."""

    z: Params


class TimedState(NamedTuple):
    """A second point z, and the method's own clock: 0 at the start, ṫ = 1."""

    z: Params
    clock: Scalar


def point_state(z: Params) -> PointState:
    return PointState(tree.copy(z))


def timed_state(z: Params) -> TimedState:
    return TimedState(tree.copy(z), jnp.zeros((), tree.result_dtype(z)))


def combine(*terms: tuple[ScalarLike, Params]) -> Params:
    """Σ cᵢ·xᵢ, leaf by leaf in the dtype of the first tree."""

    def total(first, *rest):
        parts = [
            tree.cast(c, first.dtype) * a.astype(first.dtype)
            for (c, _), a in zip(terms, (first, *rest), strict=True)
        ]
        return sum(parts[1:], parts[0])

    return tree.map(total, *(x for _, x in terms))


def rate_of_map(
    opt: AbstractOptimizer, x: Params, state: State, grad: Params, lr: ScalarLike
) -> tuple[Params, State]:
    """(ẋ, ṡ) read off a map that has no simpler limit: Euler's step exactly."""
    delta, after = opt.update(x, state, grad, lr)
    return tree.scale(1 / lr, delta), tree.scale(1 / lr, tree.sub(after, state))


def square(x: Params) -> Scalar:
    """‖x‖²."""
    return tree.vdot(x, x)


def scalars(x: Params, *values: ScalarLike) -> tuple[Array, ...]:
    """Hyper-parameters in the dtype in which scalars of x are computed."""
    return tuple(tree.cast(v, tree.result_dtype(x)) for v in values)


def gap(f: Callable[[Params], Scalar], x: Params, minimum: Minimum) -> Scalar:
    """f(x) − f*."""
    return f(x) - tree.cast(minimum.value, tree.result_dtype(x))


def bregman(mirror: AbstractKappa, z: Params, x: Params) -> Scalar:
    """D_ψ*(z, z') with ∇ψ*(z') = x, also where z' is infinite: ψ*(z) + ψ(x) − ⟨z, x⟩.

    `mirror` is ψ*.
    """
    return mirror.value(z) + mirror.finite_conjugate(x) - tree.vdot(z, x)


def check_lr(lr: ScalarLike) -> None:
    check_parameter("learning_rate", lr, lambda v: v >= 0, "a finite h ≥ 0")


def check_mirror(mirror, name: str = "mirror") -> None:
    """A differentiable κ.

    Raises:
        TypeError: it is no κ.
        ValueError: it has kinks.
    """
    if not isinstance(mirror, AbstractKappa):
        raise TypeError(
            f"{name}: given {type(mirror).__name__}; accepted is a "
            "dynax.kappa.AbstractKappa, such as dynax.kappa.HalfSquared()."
        )
    if not mirror.smooth:
        raise ValueError(
            f"{name}: given {type(mirror).__name__}, which has kinks; accepted is a "
            "differentiable κ (its `smooth` is True)."
        )
