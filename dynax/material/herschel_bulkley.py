"""Herschel and Bulkley's fluid: a yield stress and a power of the rate; Bingham's."""

import jax.numpy as jnp

from dynax._check import check_nonnegative, check_parameter
from dynax._types import ScalarLike
from dynax.material._base import number
from dynax.material.flow import AbstractFlow


class HerschelBulkley(AbstractFlow):
    r"""Let the deviator flow where ‖dev τ‖ > σ_y, at a rate with a power of the excess.

    ‖dev τ‖ = σ_y + K γ̇ⁿ while it flows, γ̇ = −d‖e‖/dt:  R = σ_y γ̇ + K γ̇ⁿ⁺¹/(n + 1).

    n = 1 is Bingham's fluid of viscosity K/2 (τ = 2ηe for a viscosity η), and
    Perzyna's linear viscoplasticity; σ_y = 0 a power-law fluid; K = 0 von Mises
    plasticity of any `AbstractIsotropic`. A step is implicit: first order in dt.

    Source: Herschel, Bulkley, Kolloid-Z. 39 (1926); Yue et al., ACM TOG 34 (2015).

    Args:
        yield_stress: σ_y ≥ 0, Pa.
        consistency: K ≥ 0, Pa sⁿ.
        exponent: n > 0.
    """

    yield_stress: ScalarLike
    consistency: ScalarLike
    exponent: ScalarLike = 1.0

    def __check_init__(self):
        check_nonnegative(yield_stress=self.yield_stress, consistency=self.consistency)
        check_parameter("exponent", self.exponent, lambda n: n > 0, "n > 0")

    def resistance(self, dtype):
        names = "yield_stress", "consistency", "exponent"
        start = lambda sigma, K, n: sigma
        rise = lambda rate, sigma, K, n: sigma + K * _power(rate, n)
        return start, rise, tuple(number(self, name, dtype) for name in names)


def _power(rate, n):
    """rateⁿ, 0 where the rate is not positive."""
    moves = rate > 0
    return jnp.where(moves, jnp.where(moves, rate, 1) ** n, 0)
