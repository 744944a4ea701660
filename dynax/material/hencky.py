"""Hencky: Hooke's law in the logarithmic strain, on which plastic laws are built."""

import jax.numpy as jnp

from dynax.material._base import AbstractClassical
from dynax.material.kinematics import isotropic, spherical, square, strain, transpose


class Hencky(AbstractClassical):
    r"""ψ = μ‖ε‖² + ½λ tr²ε,  τ = 2με + λ tr ε I,  ε = ½ log FFᵀ (½ log FᵀF in ψ).

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

    def stiffness(self, F):
        """λ + 2μ + √2‖τ‖."""
        lam, mu = self.lame(F.dtype)
        return lam + 2 * mu + jnp.sqrt(2 * square(self.kirchhoff(F)))


def logarithm(e):
    """½ log(1 + e): of eigenvalues of FᵀF − I, the principal logarithmic strains."""
    return jnp.log1p(e) / 2


def log_strain(F):
    """½ log FᵀF."""
    return isotropic(logarithm, strain(F))


def deviator(eps):
    """ε − tr ε/d of principal strains (…, d), and its norm."""
    dev = eps - jnp.mean(eps, -1, keepdims=True)
    size = jnp.sum(dev**2, -1, keepdims=True)
    return dev, jnp.where(size > 0, jnp.sqrt(jnp.where(size > 0, size, 1)), 0)


def shortened(dev, norm, limit):
    """What is added to a deviator so that its norm is at most `limit`."""
    excess = jnp.maximum(norm - limit, 0)
    return -excess * dev / jnp.where(norm > 0, norm, 1)
