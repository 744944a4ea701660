"""A truss: straight bars, pinned at their ends, in the plane or in space."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from dynax._types import ScalarLike
from dynax.material import AbstractLaw
from dynax.material._points import split
from dynax.mechanics._body import AbstractBody
from dynax.mechanics._parts import Parts, assemble
from dynax.mechanics.bar import check_uniaxial, uniaxial
from dynax.mechanics.mesh import Mesh, demand


class Truss(AbstractBody):
    r"""Discretise a truss: bars in uniaxial stress, hinged at the nodes.

    mₐ v̇ₐ = fₐ − Σ A₀ P₁₁ e of the bars at a node, e along the bar as it is now;

    F = diag(a, b, b) with τ₂₂ = τ₃₃ = 0, a the length over that at rest (as in `Bar`).

    Args:
        law: of `dynax.material`, or your own; not plastic. Its parameters may be arrays
            (m,) with one value a bar.
        mesh: nodes (n, d), d = 2 or 3, and the two ends of each bar, (m, 2).
        density: ρ₀ > 0, kg/m³, () or (m,).
        area: of the sections at rest, m², () or (m,).
        held: which nodes (n,), or components of nodes (n, d), keep their velocity; none
            if None.
        gravity: (d,), m/s².
        force: (n, d), N, dead loads on the nodes.

    Raises:
        ValueError: wrong shapes; a bar without length; a density or area that is not
            positive.
        TypeError: a plastic law.
    """

    law: AbstractLaw
    parts: Parts
    dimension: ClassVar[int | None] = 3
    mean_volume: ClassVar[bool] = False

    def __init__(
        self,
        law: AbstractLaw,
        mesh: Mesh,
        density: ScalarLike | Float[Array, " m"],
        area: ScalarLike | Float[Array, " m"] = 1.0,
        held: ArrayLike | None = None,
        gravity: ArrayLike | None = None,
        force: ArrayLike | None = None,
    ):
        check_uniaxial(law)
        self.law = law
        self.parts = assemble(mesh, density, held, gravity, force, area, bars=True)
        split(law, len(self.parts.elements))
        d, ends = self.parts.nodes.shape[1], self.parts.elements.shape[1]
        demand(d > 1 and ends == 2, "mesh", f"d = {d}, {ends} ends", "d > 1, 2 ends")

    def deformed(self, u, slopes, volume):
        """The stretch |e + Δu/L|, (1, 1, 1), e and L of the bar at rest."""
        del volume
        steep = slopes[:, 1]  # e/L
        short = jnp.sqrt(jnp.sum(steep**2, -1, keepdims=True))
        now = steep / short + (u[1:] - u[:1]) * short
        return jnp.sqrt(jnp.sum(now**2, -1))[:, None, None]

    def point(self, law, A, memory):
        return uniaxial(law, A[0, 0], memory)
