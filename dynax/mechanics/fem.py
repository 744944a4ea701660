"""Solids by finite elements, in plane strain and in space."""

from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float

from dynax._types import ScalarLike
from dynax.material import AbstractLaw
from dynax.material._points import split
from dynax.mechanics._body import AbstractBody
from dynax.mechanics._parts import Parts, assemble
from dynax.mechanics.mesh import Mesh, demand


class Solid(AbstractBody):
    r"""Discretise a solid by finite elements.

    mₐ v̇ₐ = fₐ − Σ V₀ P ∇Nₐ, d = 2 (plane strain) or 3, by the mesh's kind of element:

        triangle 3, tetrahedron 4           too stiff in bending and for ν → ½
        quadrilateral 4, hexahedron 8       too stiff in bending if few, and for ν → ½
        the same with `mean_volume`         for ν → ½ too
        triangle 6, tetrahedron 10          for bending

    Total Lagrangian: V₀ and ∇N are those of the body at rest, computed once. Momentum
    is conserved to round-off in free flight, angular momentum where τ is symmetric.
    Masses are lumped, each node's share ∝ ∫N² > 0, and gravity pulls on these.

    Source: Bonet, Wood, "Nonlinear Continuum Mechanics for Finite Element Analysis",
    2nd ed., ch. 9; Belytschko, Liu, Moran, "Nonlinear Finite Elements", §4.8; mean J:
    Simo, Taylor, Pister, CMAME 51 (1985); F-bar: de Souza Neto et al., IJSS 33 (1996);
    lumping: Hinton, Rock, Zienkiewicz, Earthq. Eng. Struct. Dyn. 4 (1976).

    Args:
        law: of `dynax.material`, or your own. Its parameters may be arrays (m,) with
            one value an element.
        mesh: the body at rest.
        density: ρ₀ > 0, kg/m³, () or (m,).
        held: which nodes (n,), or components of nodes (n, d), keep their velocity; none
            if None.
        gravity: (d,), m/s².
        force: (n, d), N, dead loads on the nodes (`traction`).
        mean_volume: replace det F by its mean over the element (F-bar), of
            quadrilaterals and hexahedra.

    Raises:
        ValueError: see `assemble`; a mesh of lines; `mean_volume` with simplices: det F
            of linear ones is its own mean, and quadratic ones lose the stiffness by
            which their volume varies within (1.18 of a beam's deflection, not 0.99).
    """

    law: AbstractLaw
    parts: Parts
    mean_volume: bool = eqx.field(static=True)
    dimension: ClassVar[int | None] = None

    def __init__(
        self,
        law: AbstractLaw,
        mesh: Mesh,
        density: ScalarLike | Float[Array, " m"],
        held: ArrayLike | None = None,
        gravity: ArrayLike | None = None,
        force: ArrayLike | None = None,
        mean_volume: bool = False,
    ):
        self.law = law
        self.parts = assemble(mesh, density, held, gravity, force)
        split(law, len(self.parts.elements))
        if self.parts.nodes.shape[1] == 1:
            raise ValueError("mesh: given d = 1; accepted is d = 2 or 3 (else a Bar).")
        corners, d = mesh.elements.shape[1], self.parts.nodes.shape[1]
        text = "it with quadrilaterals or hexahedra, else False"
        given = f"True with {corners} corners in {d} dimensions"
        demand(corners == 2**d or not mean_volume, "mean_volume", given, text)
        self.mean_volume = mean_volume

    def point(self, law, A, memory):
        del law, memory
        return A
