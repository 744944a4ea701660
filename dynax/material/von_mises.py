"""Von Mises plasticity: plasticine."""

from typing import ClassVar

from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.material._base import Elastoplastic, number
from dynax.material.hencky import Hencky
from dynax.material.principal import AbstractRadial, relaxed


class VonMises(AbstractRadial):
    r"""Radial return to ‖dev τ‖ ≤ σ_y: ε ← ε − max(‖ε̂‖ − σ_y/2μ, 0) ε̂/‖ε̂‖.

    ε are the principal logarithmic strains, ε̂ = ε − tr ε/3; volume is kept. It is the
    closest point in energy, so ψ falls. σ_y bounds the norm of the deviator: a bar
    yields at √(3/2) σ_y.

    Source: Simo 1992 (see `Hencky`), box 2; Ma et al., arXiv:2304.14369.

    Args:
        yield_stress: σ_y > 0, Pa.
    """

    accepts: ClassVar = Hencky
    yield_stress: ScalarLike

    def __check_init__(self):
        check_parameter(
            "yield_stress", self.yield_stress, lambda y: y > 0, "σ_y > 0, in Pa"
        )

    def change(self, elastic, dt):
        _, mu = elastic.lame(dt.dtype)
        limit = number(self, "yield_stress", dt.dtype) / (2 * mu)
        return relaxed, (limit,)


def plasticine() -> Elastoplastic:
    """Return the elastoplastic law of NCLaw's plasticine.

    E = 3·10⁵ Pa, ν = 0.25, σ_y = 5·10³ Pa (Ma et al. 2023).
    """
    return Elastoplastic(Hencky(3e5, 0.25), VonMises(5e3))
