"""Solids by finite elements: triangles in plane strain, tetrahedra in space."""

from typing import ClassVar

from jaxtyping import ArrayLike

from dynax._types import ScalarLike
from dynax.material import AbstractLaw
from dynax.material._points import split
from dynax.mechanics._body import AbstractBody
from dynax.mechanics._parts import Parts, assemble
from dynax.mechanics.mesh import Mesh


class Solid(AbstractBody):
    r"""Discretise a solid by triangles or tetrahedra.

    mₐ v̇ₐ = fₐ − Σₑ V₀ P ∇Nₐ with P1 elements (F constant in each), d = 2 or 3.

    Total Lagrangian: V₀ and ∇N are those of the body at rest, computed once. Momentum
    is conserved to round-off in free flight, angular momentum where τ is symmetric.
    P1 elements are too stiff for ν → ½ (volume locking) and in bending (shear locking:
    two elements across a beam give half the deflection, eight 94 %).

    Source: Bonet, Wood, "Nonlinear Continuum Mechanics for Finite Element Analysis",
    2nd ed., ch. 9; Belytschko, Liu, Moran, "Nonlinear Finite Elements", §4.8.

    Args:
        law: of `dynax.material`, or your own. Its parameters may be arrays (m,) with
            one value an element.
        mesh: the body at rest.
        density: ρ₀ > 0, kg/m³.
        held: (n,), which nodes keep their velocity; none if None.
        gravity: (d,), m/s².
        force: (n, d), N, dead loads on the nodes (`traction`).

    Raises:
        ValueError: see `assemble`; a mesh of lines.
    """

    law: AbstractLaw
    parts: Parts
    dimension: ClassVar[int | None] = None

    def __init__(
        self,
        law: AbstractLaw,
        mesh: Mesh,
        density: ScalarLike,
        held: ArrayLike | None = None,
        gravity: ArrayLike | None = None,
        force: ArrayLike | None = None,
    ):
        self.law = law
        self.parts = assemble(mesh, density, held, gravity, force)
        split(law, len(self.parts.elements))
        if self.parts.nodes.shape[1] == 1:
            raise ValueError("mesh: given d = 1; accepted is d = 2 or 3 (else a Bar).")

    def point(self, law, A, memory):
        del law, memory
        return A
