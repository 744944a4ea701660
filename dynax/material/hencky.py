"""Hencky: Hooke's law in the logarithmic strain, on which plastic laws are built."""

import abc
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from dynax._types import Scalar
from dynax.material._base import AbstractClassical, AbstractLaw, AbstractReturn
from dynax.material.kinematics import (
    isotropic_function,
    matmul,
    spherical,
    square,
    transpose,
)


class Hencky(AbstractClassical):
    r"""Give the energy that is quadratic in the logarithmic strain.

    ψ = μ‖ε‖² + ½λ tr²ε,  τ = 2με + λ tr ε I,  ε = ½ log FFᵀ (½ log FᵀF in ψ).

    tr ε = log J: volume and shape part, which is what makes return maps radial. An
    inverted F has the energy of its mirror image; a singular one an infinite energy.
    Differentiate τ once for a Newton step; ψ has no second derivative here.

    Source: Simo, "Algorithms for static and dynamic multiplicative plasticity", CMAME
    99 (1992), §3.

    Args:
        young: E > 0, Pa.
        poisson: −1 < ν < ½.
    """

    def energy(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        eps = log_strain(F)
        return mu * square(eps) + lam / 2 * jnp.trace(eps) ** 2

    def kirchhoff(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        eps = log_strain(transpose(F))
        return 2 * mu * eps + spherical(lam * jnp.trace(eps), F.shape[-1])


class HenckyReturn(AbstractReturn):
    """A return map of principal logarithmic strains, of a body whose law is `Hencky`.

    Only with it is ‖dev τ‖ = 2μ‖ε̂‖, tr τ = (3λ + 2μ) tr ε, and does ψ fall where ‖ε̂‖
    and |tr ε| do; so `Elastoplastic` accepts no other.
    """

    accepts: ClassVar[type[AbstractLaw]] = Hencky

    @abc.abstractmethod
    def numbers(self, elastic: Hencky, dtype) -> tuple[Scalar, ...]:
        """What `change` needs to know."""

    @staticmethod
    @abc.abstractmethod
    def change(eps: Array, *numbers: Array) -> Array:
        """What is added to ε, (…, 3)."""

    def project(self, F, elastic):
        if F.shape[-1] != 3 or not isinstance(elastic, Hencky):
            raise TypeError(
                f"F, elastic: given {F.shape}, {type(elastic).__name__}; accepted are "
                "(3, 3), Hencky (Elastoplastic makes it so in the plane)."
            )
        stretch = lambda eps, *numbers: jnp.expm1(self.change(eps, *numbers))
        numbers = self.numbers(elastic, F.dtype)
        return F + matmul(F, isotropic_function(stretch, F, *numbers))


def log_strain(F):
    """½ log FᵀF."""
    return isotropic_function(lambda eps: eps, F)


def deviator(eps):
    """ε − tr ε/d of principal strains (…, d), and its norm."""
    dev = eps - jnp.mean(eps, -1, keepdims=True)
    size = jnp.sum(dev**2, -1, keepdims=True)
    return dev, jnp.where(size > 0, jnp.sqrt(jnp.where(size > 0, size, 1)), 0)


def radial_return(dev, norm, limit):
    """What is added to a deviator so that its norm is at most `limit`."""
    excess = jnp.maximum(norm - limit, 0)
    return -excess * dev / jnp.where(norm > 0, norm, 1)
