"""Neo-Hookean: rubber."""

import jax.numpy as jnp

from dynax.material._base import AbstractClassical
from dynax.material.kinematics import (
    spherical,
    square,
    strain,
    trace,
    transpose,
    volume_change,
)


class NeoHookean(AbstractClassical):
    r"""ψ = ½μ(tr FᵀF − d − 2 log J) + ½λ log²J,  τ = μ(FFᵀ − I) + λ log J I.

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
        log = jnp.log1p(volume_change(F))
        return mu / 2 * (trace(strain(F)) - 2 * log) + lam / 2 * log**2

    def kirchhoff(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        pressure = lam * jnp.log1p(volume_change(F))
        return mu * strain(transpose(F)) + spherical(pressure, F.shape[-1])

    def stiffness(self, F):
        """μ(1 + σ₁²) + λ(1 − log J), with σ₁² ≤ 1 + ‖FᵀF − I‖."""
        lam, mu = self.lame(F.dtype)
        stretch = 1 + jnp.sqrt(square(strain(F)))
        return mu * (1 + stretch) + lam * (1 - jnp.log1p(volume_change(F)))
