"""Neo-Hookean: rubber."""

import jax.numpy as jnp

from dynax.material._base import AbstractClassical
from dynax.material._waves import largest_eigenvalue
from dynax.material.kinematics import (
    log_volume,
    spherical,
    trace,
    transpose,
    twice_green_lagrange,
)


class NeoHookean(AbstractClassical):
    r"""Give the compressible neo-Hookean energy.

    ψ = ½μ(tr FᵀF − d − 2 log J) + ½λ log²J,  τ = μ(FFᵀ − I) + λ log J I.

    Infinite for det F → 0, NaN for an inverted F.

    Source: Simo, Pister, CMAME 46 (1984); Bonet, Wood, "Nonlinear Continuum Mechanics
    for Finite Element Analysis", 2nd ed., eq. 6.27.

    Args:
        young: E > 0, Pa.
        poisson: −1 < ν < ½.
    """

    def energy(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        log = log_volume(F)
        return mu / 2 * (trace(twice_green_lagrange(F)) - 2 * log) + lam / 2 * log**2

    def kirchhoff(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        pressure = lam * log_volume(F)
        B = twice_green_lagrange(transpose(F))
        return mu * B + spherical(pressure, F.shape[-1])

    def stiffness(self, F, alpha=()):
        """μσ₁² + max(μ + λ(1 − log J), 0): of m·Q(n)m = μ n·FFᵀn + (…)(m·n)²."""
        lam, mu = self.lame(F.dtype)
        along = mu + lam * (1 - log_volume(F))
        stretch = 1 + largest_eigenvalue(twice_green_lagrange(F))
        return mu * stretch + jnp.maximum(along, 0)
