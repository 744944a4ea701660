"""Norton's creep: a rate with a power of the stress."""

from dynax._check import check_parameter, check_positive
from dynax._types import ScalarLike
from dynax.material._base import number
from dynax.material.flow import AbstractFlow
from dynax.material.herschel_bulkley import HerschelBulkley


class Norton(AbstractFlow):
    r"""Let the deviator creep at a rate that is a power of the stress.

    γ̇ = γ̇₀ (‖dev τ‖/σ₀)ᴺ.

    R = σ₀ γ̇₀ (γ̇/γ̇₀)^{1+1/N}/(1 + 1/N). It flows at any stress, N = 1 as a viscous
    fluid, N → ∞ as plasticity that yields at σ₀.

    Source: Norton, "The Creep of Steel at High Temperatures", McGraw-Hill 1929.

    Args:
        stress: σ₀ > 0, Pa.
        rate: γ̇₀ > 0, 1/s.
        exponent: N ≥ 1.
    """

    stress: ScalarLike
    rate: ScalarLike
    exponent: ScalarLike

    def __check_init__(self):
        check_positive(stress=self.stress, rate=self.rate)
        check_parameter("exponent", self.exponent, lambda n: n >= 1, "N ≥ 1")

    def resistance(self, dtype):
        stress, rate, N = (
            number(self, k, dtype) for k in ("stress", "rate", "exponent")
        )
        zero = stress * 0
        return HerschelBulkley(zero, stress * rate ** (-1 / N), 1 / N).resistance(dtype)
