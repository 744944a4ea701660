"""Von Mises plasticity: plasticine."""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.material._base import AbstractReturn, Elastoplastic, moduli, within
from dynax.material.hencky import Hencky, deviator, logarithm, shortened
from dynax.material.kinematics import isotropic, matmul, strain


class VonMises(AbstractReturn):
    r"""Radial return to ‖dev τ‖ ≤ σ_y: ε ← ε − max(‖ε̂‖ − σ_y/2μ, 0) ε̂/‖ε̂‖.

    ε are the principal logarithmic strains, ε̂ = ε − tr ε/d; volume is kept. With
    `Hencky` it is the closest point in energy, so ψ falls. σ_y bounds the norm of the
    deviator: a bar yields at √(3/2) σ_y.

    Source: Simo 1992 (see `Hencky`), box 2; Ma et al., arXiv:2304.14369.

    Args:
        yield_stress: σ_y > 0, Pa.
    """

    yield_stress: ScalarLike

    def __check_init__(self):
        within("yield_stress", self.yield_stress, lambda y: y > 0, "σ_y > 0, in Pa")

    def project(self, F, elastic):
        _, mu = moduli(elastic, F.dtype)
        limit = jnp.asarray(self.yield_stress).astype(F.dtype) / (2 * mu)
        return F + matmul(F, isotropic(_correction, strain(F), limit))


def _correction(e, limit):
    """σ_new/σ − 1."""
    return jnp.expm1(shortened(*deviator(logarithm(e)), limit))


def plasticine() -> Elastoplastic:
    """E = 3·10⁵ Pa, ν = 0.25, σ_y = 5·10³ Pa (Ma et al. 2023)."""
    return Elastoplastic(Hencky(3e5, 0.25), VonMises(5e3))
