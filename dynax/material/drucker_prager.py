"""Drucker–Prager plasticity: the cone of sand."""

import math
from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.material._base import number
from dynax.material.hencky import Hencky
from dynax.material.principal import AbstractRadial, deviator, radial_return


class DruckerPrager(AbstractRadial):
    r"""Give the plastic part of dry sand by the Drucker–Prager cone.

    Dry sand: ‖dev τ‖ ≤ −α·tr τ, α = √(2/3)·2 sin φ/(3 − sin φ), no tension.

        tr ε ≥ 0:  ε ← 0
        else:      ε ← ε − max(‖ε̂‖ + α (3λ + 2μ)/2μ · tr ε, 0) ε̂/‖ε̂‖

    ε are the principal logarithmic strains. Flow keeps the volume (no dilatancy) where
    there is pressure. ψ falls in both cases.

    A circular cone has the friction angle φ in triaxial compression only, where it
    meets the pyramid of `MohrCoulomb`. In plane strain, where ε̂₃₃ → 0 as it flows,
    sin φ becomes 2√3 sin φ/(3 − sin φ): of 25° that makes 34.6°. `MohrCoulomb` has φ in
    every state.

    Source: Klár et al., "Drucker–Prager elastoplasticity for sand animation", ACM TOG
    35 (2016), §6 and its supplement; without their hardening.

    Args:
        friction_angle: 0 ≤ φ < π/2, rad, in triaxial compression.
    """

    accepts: ClassVar = Hencky
    friction_angle: ScalarLike

    def __check_init__(self):
        friction(self.friction_angle)

    def slope(self, dtype):
        """α."""
        sine = jnp.sin(number(self, "friction_angle", dtype))
        return math.sqrt(2 / 3) * 2 * sine / (3 - sine)

    def change(self, elastic, dt):
        lam, mu = elastic.lame(dt.dtype)

        def change(eps, slope):
            volume = jnp.sum(eps, -1, keepdims=True)
            yielded = radial_return(*deviator(eps), -slope * volume)
            return jnp.where(volume >= 0, -eps, yielded)

        return change, (self.slope(dt.dtype) * (3 * lam + 2 * mu) / (2 * mu),)


def friction(angle: ScalarLike) -> None:
    """The check of a friction angle.

    Raises:
        ValueError: it is none.
    """
    inside = lambda phi: (phi >= 0) & (phi < math.pi / 2)
    check_parameter("friction_angle", angle, inside, "0 ≤ φ < π/2, in rad")
