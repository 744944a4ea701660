"""Mohr–Coulomb plasticity: sand."""

import functools
import math
from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.material._base import Elastoplastic, number
from dynax.material.drucker_prager import friction
from dynax.material.hencky import Hencky
from dynax.material.principal import AbstractRadial, deviator, radial_return


class MohrCoulomb(AbstractRadial):
    r"""Give the plastic part of dry sand by the Mohr–Coulomb criterion.

    Dry sand: τ₁ − τ₃ ≤ −(τ₁ + τ₃) sin φ of the largest and the least stress.

        tr ε ≥ 0:  ε ← 0
        else:      ε ← ε − max(‖ε̂‖ + α (3λ + 2μ)/2μ · tr ε, 0) ε̂/‖ε̂‖,
                   α = ⅔ sin φ/(n₁ − n₃ + (n₁ + n₃) sin φ),  n = ε̂/‖ε̂‖

    ε are the principal logarithmic strains. It is a cone whose slope α depends on the
    direction n of the deviator, which the return does not change: so φ is the angle of
    friction in every state, in plane strain as in compression. Flow keeps the volume
    (no dilatancy) where there is pressure, and ψ falls. Where two of ε are equal and
    the third is not, α has a kink.

    Source: de Souza Neto, Perić, Owen, "Computational Methods for Plasticity", Wiley
    2008, §6.3 (the surface); here with a radial return, as `DruckerPrager`.

    Args:
        friction_angle: 0 ≤ φ < π/2, rad.
    """

    accepts: ClassVar = Hencky
    friction_angle: ScalarLike

    def __check_init__(self):
        friction(self.friction_angle)

    def change(self, elastic, dt):
        lam, mu = elastic.lame(dt.dtype)
        sine = jnp.sin(number(self, "friction_angle", dt.dtype))
        return _change, ((3 * lam + 2 * mu) / (2 * mu), sine)


def _change(eps, ratio, sine):
    volume = jnp.sum(eps, -1, keepdims=True)
    dev, norm = deviator(eps)
    n = dev / jnp.where(norm > 0, norm, 1)
    # pair by pair: the slope of jnp.max divides by how many entries are found equal to
    # it, which is none of them where a compiler works n out twice
    entries = jnp.split(n, 3, -1)
    top = functools.reduce(jnp.maximum, entries)
    low = functools.reduce(jnp.minimum, entries)
    width = jnp.where(norm > 0, top - low + (top + low) * sine, 1)
    slope = 2 / 3 * sine / width * ratio
    return jnp.where(volume >= 0, -eps, radial_return(dev, norm, -slope * volume))


def sand() -> Elastoplastic:
    """Return the elastoplastic law of NCLaw's sand.

    E = 10⁶ Pa, ν = 0.2, φ = 25°: the constants of Ma et al. 2023.

    They have a `DruckerPrager` of the same φ, which agrees in triaxial compression.
    """
    return Elastoplastic(Hencky(1e6, 0.2), MohrCoulomb(math.radians(25.0)))
