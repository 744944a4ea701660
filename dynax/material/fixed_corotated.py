"""Fixed corotated: jelly."""

import jax.numpy as jnp

from dynax.material._base import AbstractClassical
from dynax.material._waves import largest_eigenvalue
from dynax.material.kinematics import (
    cofactor,
    matmul,
    polar,
    square,
    transpose,
    twice_green_lagrange,
    volume_change,
)


class FixedCorotated(AbstractClassical):
    r"""Give the energy of fixed corotated elasticity.

    ψ = μ‖F − R‖² + ½λ(J − 1)²,  τ = 2μ(F − R)Fᵀ + λJ(J − 1)I,  F = RS.

    Finite for every F, inverted ones too; a valid model for moderate compression.

    Source: Stomakhin, Howes, Schroeder, Teran, "Energetically consistent invertible
    elasticity", SCA 2012, eq. 7.

    Args:
        young: E > 0, Pa.
        poisson: −1 < ν < ½.
    """

    def energy(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        return mu * square(F - polar(F)[0]) + lam / 2 * volume_change(F) ** 2

    def kirchhoff(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        P = 2 * mu * (F - polar(F)[0]) + lam * volume_change(F) * cofactor(F)
        return matmul(P, transpose(F))

    def stiffness(self, F, alpha=()):
        """2μσ₁² + max(λ, 0)J², of m·Q(n)m = 2μ(n·FFᵀn − dF:dR) + λJ²(m·n)²: the
        largest where λ ≥ 0, else a bound."""
        lam, mu = self.lame(F.dtype)
        stretch = 1 + largest_eigenvalue(twice_green_lagrange(F))
        return 2 * mu * stretch + jnp.maximum(lam, 0) * (1 + volume_change(F)) ** 2


def jelly() -> FixedCorotated:
    """Return the elastic law of NCLaw's jelly.

    E = 10⁵ Pa, ν = 0.2 (Ma et al. 2023).
    """
    return FixedCorotated(1e5, 0.2)
