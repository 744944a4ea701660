"""A weakly compressible fluid: water."""

import jax.numpy as jnp

from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.material._base import AbstractHyperelastic, number
from dynax.material.kinematics import log_volume, spherical, volume_change


class WeaklyCompressible(AbstractHyperelastic):
    r"""Give a fluid that resists changes of volume only.

    ψ = ½λ(J − 1)²,  τ = λJ(J − 1)I,  F ← J^{1/d} I after each step.

    No viscosity, no resistance to shear: of F only the volume is kept. det F ≤ 0 gives
    NaN in the update.

    Source: Ma et al., arXiv:2304.14369.

    Args:
        bulk: λ > 0, Pa.
    """

    bulk: ScalarLike

    def __check_init__(self):
        check_parameter("bulk", self.bulk, lambda bulk: bulk > 0, "λ > 0, in Pa")

    def energy(self, F, alpha=()):
        del alpha
        return number(self, "bulk", F.dtype) / 2 * volume_change(F) ** 2

    def kirchhoff(self, F, alpha=()):
        del alpha
        change = volume_change(F)
        pressure = number(self, "bulk", F.dtype) * (1 + change) * change
        return spherical(pressure, F.shape[-1])

    def update(self, F, alpha, dt):
        del dt
        d = F.shape[-1]
        return spherical(jnp.exp(log_volume(F) / d), d), alpha

    def stiffness(self, F, alpha=()):
        """λJ²."""
        return number(self, "bulk", F.dtype) * (1 + volume_change(F)) ** 2


def water() -> WeaklyCompressible:
    """Return the law of NCLaw's water.

    λ of E = 10⁵ Pa, ν = 0.3 (Ma et al. 2023).
    """
    return WeaklyCompressible(1e5 * 0.3 / (1.3 * 0.4))
