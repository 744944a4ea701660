"""Perzyna's viscoplasticity: a rate with a power of the relative overstress."""

from dynax._check import check_parameter, check_positive
from dynax._types import ScalarLike
from dynax.material._base import number
from dynax.material.flow import AbstractFlow
from dynax.material.herschel_bulkley import HerschelBulkley


class Perzyna(AbstractFlow):
    r"""Let the deviator flow at a rate with a power of the relative overstress.

    γ̇ = ⟨‖dev τ‖/σ_y − 1⟩ᴺ/t:  R = σ_y γ̇ + σ_y γ̇ (tγ̇)^{1/N}/(1 + 1/N).

    t → 0 is von Mises plasticity, N = 1 Bingham's solid of viscosity σ_y t/2. A step is
    implicit: first order in dt.

    Source: Perzyna, Q. Appl. Math. 20 (1963); de Souza Neto, Perić, Owen,
    "Computational Methods for Plasticity", Wiley 2008, §11.2.

    Args:
        yield_stress: σ_y > 0, Pa.
        time: t > 0, s.
        exponent: N ≥ 1.
    """

    yield_stress: ScalarLike
    time: ScalarLike
    exponent: ScalarLike = 1.0

    def __check_init__(self):
        check_positive(yield_stress=self.yield_stress, time=self.time)
        check_parameter("exponent", self.exponent, lambda n: n >= 1, "N ≥ 1")

    def resistance(self, dtype):
        names = "yield_stress", "time", "exponent"
        sigma, time, N = (number(self, k, dtype) for k in names)
        flow = HerschelBulkley(sigma, sigma * time ** (1 / N), 1 / N)
        return flow.resistance(dtype)
