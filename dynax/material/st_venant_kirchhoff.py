"""St. Venant–Kirchhoff: Hooke's law in the Green–Lagrange strain."""

from dynax.material._base import AbstractClassical
from dynax.material.kinematics import (
    matmul,
    spherical,
    square,
    trace,
    transpose,
    twice_green_lagrange,
)


class StVenantKirchhoff(AbstractClassical):
    r"""Give the energy that is quadratic in the Green–Lagrange strain.

    ψ = μ‖E‖² + ½λ tr²E,  τ = F(2μE + λ tr E I)Fᵀ,  E = ½(FᵀF − I).

    For large rotations and small strains: under compression it softens, and a crushed
    point (F → 0) is free of stress.

    Source: Ciarlet, "Mathematical Elasticity I", North-Holland 1988, §4.4.

    Args:
        young: E > 0, Pa.
        poisson: −1 < ν < ½.
    """

    def energy(self, F, alpha=()):
        del alpha
        lam, mu = self.lame(F.dtype)
        E = twice_green_lagrange(F) / 2
        return mu * square(E) + lam / 2 * trace(E) ** 2

    def stress(self, F):
        """S = ∂ψ/∂E, the second Piola–Kirchhoff stress."""
        lam, mu = self.lame(F.dtype)
        E = twice_green_lagrange(F) / 2
        return 2 * mu * E + spherical(lam * trace(E), F.shape[-1])

    def kirchhoff(self, F, alpha=()):
        del alpha
        return matmul(matmul(F, self.stress(F)), transpose(F))
