"""Energies and return maps of principal logarithmic strains."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Scalar
from dynax.material._base import AbstractHyperelastic, AbstractReturn, Matrix
from dynax.material.kinematics import (
    isotropic_function,
    log_stretches,
    matmul,
    spatial,
    transpose,
)


Strains = Float[Array, "*batch 3"]


class AbstractIsotropic(AbstractHyperelastic):
    """Give an energy by the principal logarithmic strains ε: ψ(v, e).

    v = tr ε, e = ε − v/3. Accepted by returns is what keeps the promise that ψ rises
    along each ray e ↦ se, s ≥ 0, convex in s. So does any symmetric function that is
    convex in ε at fixed v.
    """

    @abc.abstractmethod
    def numbers(self, dtype) -> tuple[Array, ...]:
        """The parameters of `potential`."""

    @staticmethod
    @abc.abstractmethod
    def potential(eps: Strains, *numbers: Array) -> Float[Array, "*batch"]:
        """ψ in J/m³."""


def stored(law: AbstractIsotropic, F: Matrix) -> Scalar:
    """ψ of F, which in the plane has F₃₃ = 1."""
    return law.potential(log_stretches(in_space(F)), *law.numbers(F.dtype))


def stress(law: AbstractIsotropic, F: Matrix) -> Matrix:
    """τ = Σ ∂ψ/∂εᵢ nᵢ⊗nᵢ."""
    potential, d = type(law).potential, len(F)
    slope = jax.grad(lambda eps, *numbers: jnp.sum(potential(eps, *numbers)))
    back = transpose(in_space(F))
    return isotropic_function(slope, back, *law.numbers(F.dtype))[:d, :d]


def in_space(F: Matrix) -> Matrix:
    return F if len(F) == 3 else spatial(F, jnp.ones((), F.dtype))


def deviator(eps: Strains) -> tuple[Strains, Float[Array, "*batch 1"]]:
    """e = ε − tr ε/3, and its norm."""
    dev = eps - jnp.mean(eps, -1, keepdims=True)
    size = jnp.sum(dev**2, -1, keepdims=True)
    return dev, jnp.where(size > 0, jnp.sqrt(jnp.where(size > 0, size, 1)), 0)


def radial_return(dev, norm, limit):
    """What is added to a deviator so that its norm is at most `limit`."""
    excess = jnp.maximum(norm - limit, 0)
    return -excess * dev / jnp.where(norm > 0, norm, 1)


def relaxed(eps, limit, lost: Any = 1.0):
    """What is added to ε so that the share `lost` of ‖e‖ − limit > 0 is gone."""
    return lost * radial_return(*deviator(eps), limit)


def strained(F: Matrix, change: Callable[..., Strains], *numbers: Array) -> Matrix:
    """F with ε + change(ε, *numbers) in the place of ε: det F keeps its sign."""
    stretch = lambda eps, *numbers: jnp.expm1(change(eps, *numbers))
    return F + matmul(F, isotropic_function(stretch, F, *numbers))


class AbstractRadial(AbstractReturn):
    """Return by a change of ε that keeps the direction of e.

    e ← se with 0 ≤ s ≤ 1, so ψ falls for every `AbstractIsotropic`.
    """

    accepts: ClassVar = AbstractIsotropic

    @abc.abstractmethod
    def change(
        self, elastic: Any, dt: Scalar
    ) -> tuple[Callable[..., Strains], tuple[Array, ...]]:
        """(ε, *numbers) → what is added to ε, and the numbers."""

    def project(self, F, alpha, dt, elastic):
        if F.shape != (3, 3):
            raise TypeError(
                f"F: given shape {F.shape}; accepted is (3, 3), which Elastoplastic "
                "makes of one in the plane."
            )
        change, numbers = self.change(elastic, tree.cast(dt, F.dtype))
        return strained(F, change, *numbers), alpha
