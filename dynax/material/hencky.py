"""Hencky: Hooke's law in the logarithmic strain, on which plastic laws are built."""

import jax.numpy as jnp

from dynax.material._base import AbstractClassical
from dynax.material.kinematics import (
    isotropic_function,
    spherical,
    square,
    transpose,
)
from dynax.material.principal import AbstractIsotropic


class Hencky(AbstractClassical, AbstractIsotropic):
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

    def numbers(self, dtype):
        """λ, μ."""
        return self.lame(dtype)

    @staticmethod
    def potential(eps, lam, mu):
        return mu * jnp.sum(eps**2, -1) + lam / 2 * jnp.sum(eps, -1) ** 2


def log_strain(F):
    """½ log FᵀF."""
    return isotropic_function(lambda eps: eps, F)
