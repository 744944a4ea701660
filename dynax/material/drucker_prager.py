"""Drucker–Prager plasticity: sand."""

import math

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.material._base import AbstractReturn, Elastoplastic, moduli, within
from dynax.material.hencky import Hencky, deviator, logarithm, shortened
from dynax.material.kinematics import isotropic, matmul, strain


class DruckerPrager(AbstractReturn):
    r"""Dry sand: ‖dev τ‖ ≤ −α·tr τ, α = √(2/3)·2 sin φ/(3 − sin φ), no tension.

        tr ε ≥ 0:  ε ← 0
        else:      ε ← ε − max(‖ε̂‖ + α (dλ + 2μ)/2μ · tr ε, 0) ε̂/‖ε̂‖

    ε are the principal logarithmic strains. Flow keeps the volume (no dilatancy) where
    there is pressure. ψ falls in both cases.

    Source: Klár et al., "Drucker–Prager elastoplasticity for sand animation", ACM TOG
    35 (2016), §6 and its supplement; without their hardening.

    Args:
        friction_angle: 0 ≤ φ < π/2, rad.
    """

    friction_angle: ScalarLike

    def __check_init__(self):
        inside = lambda phi: (phi >= 0) & (phi < math.pi / 2)
        within("friction_angle", self.friction_angle, inside, "0 ≤ φ < π/2, in rad")

    def slope(self, dtype):
        """α."""
        sine = jnp.sin(jnp.asarray(self.friction_angle).astype(dtype))
        return math.sqrt(2 / 3) * 2 * sine / (3 - sine)

    def project(self, F, elastic):
        lam, mu = moduli(elastic, F.dtype)
        slope = self.slope(F.dtype) * (F.shape[-1] * lam + 2 * mu) / (2 * mu)
        return F + matmul(F, isotropic(_correction, strain(F), slope))


def _correction(e, slope):
    """σ_new/σ − 1."""
    eps = logarithm(e)
    volume = jnp.sum(eps, -1, keepdims=True)
    yielded = shortened(*deviator(eps), -slope * volume)
    return jnp.expm1(jnp.where(volume >= 0, -eps, yielded))


def sand() -> Elastoplastic:
    """E = 10⁶ Pa, ν = 0.2, φ = 25° (Ma et al. 2023)."""
    return Elastoplastic(Hencky(1e6, 0.2), DruckerPrager(math.radians(25.0)))
