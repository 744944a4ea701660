"""Bingham's solid: what exceeds the yield stress relaxes, exactly in time."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_nonnegative, check_positive
from dynax._types import ScalarLike
from dynax.material._base import number
from dynax.material.hencky import Hencky
from dynax.material.principal import AbstractRadial, relaxed


class Bingham(AbstractRadial):
    r"""Let what exceeds a yield stress flow against a viscosity.

    Perzyna's form, of the overstress:  dε̂/dt = −⟨‖dev τ‖ − σ_y⟩/(2η) ε̂/‖ε̂‖.

    While F rests, ‖ε̂‖ decays to Y = σ_y/2μ as e^{−dt μ/η}; that is the update, exact
    for every dt: two steps of dt are one of 2dt. σ_y = 0 is Maxwell's fluid, η → 0
    `VonMises`. ψ falls at the rate ⟨‖dev τ‖ − σ_y⟩‖dev τ‖/2η.

    Source: Bingham, "Fluidity and Plasticity", McGraw-Hill 1922; Perzyna, Q. Appl.
    Math. 20 (1963).

    Args:
        yield_stress: σ_y ≥ 0, Pa.
        viscosity: η > 0, Pa s.
    """

    accepts: ClassVar = Hencky
    yield_stress: ScalarLike
    viscosity: ScalarLike

    def __check_init__(self):
        check_nonnegative(yield_stress=self.yield_stress)
        check_positive(viscosity=self.viscosity)

    def change(self, elastic, dt):
        _, mu = elastic.lame(dt.dtype)
        limit = number(self, "yield_stress", dt.dtype) / (2 * mu)
        lost = -jnp.expm1(-dt * mu / number(self, "viscosity", dt.dtype))
        return relaxed, (limit, lost)
