"""A bar: one dimension, uniaxial stress."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from dynax._types import Scalar, ScalarLike
from dynax.material import AbstractLaw, AbstractPlastic
from dynax.material._points import split
from dynax.material.kinematics import matmul
from dynax.mechanics._body import AbstractBody
from dynax.mechanics._parts import Parts, assemble
from dynax.mechanics.mesh import Mesh


ITERATIONS = 10  # of Newton's method, quadratic: enough for stretches of ½ to 2


class Bar(AbstractBody):
    r"""Discretise a bar in uniaxial stress.

    ρ₀ ẍ = ∂P₁₁/∂X + ρ₀ g in uniaxial stress: F = diag(a, b, b) with τ₂₂ = τ₃₃ = 0.

    The same three-dimensional law as everywhere; b solves τ₂₂(diag(a, b, b)) = 0 in
    each element and is differentiated as the implicit function it is. Small waves run
    at c = √(E/ρ₀). Inertia across the bar is neglected; the law is isotropic.

    Source: Love, "A Treatise on the Mathematical Theory of Elasticity", ch. XX.

    Args:
        law: of `dynax.material`, or your own; not plastic. Its parameters may be arrays
            (m,) with one value an element.
        mesh: of lines, `box_mesh((cells,), (length,))`.
        density: ρ₀ > 0, kg/m³, () or (m,).
        area: of the section at rest, m².
        held: (n,) or (n, 1), which nodes keep their velocity; none if None.
        gravity: (1,), m/s².
        force: (n, 1), N, dead loads on the nodes.

    Raises:
        ValueError: see `assemble`; not a mesh of lines.
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
        area: ScalarLike = 1.0,
        held: ArrayLike | None = None,
        gravity: ArrayLike | None = None,
        force: ArrayLike | None = None,
    ):
        check_uniaxial(law)
        self.law = law
        self.parts = assemble(mesh, density, held, gravity, force, area)
        split(law, len(self.parts.elements))
        d = self.parts.nodes.shape[1]
        if d != 1:
            raise ValueError(f"mesh: given d = {d}; accepted is d = 1.")

    def point(self, law, A, memory):
        return uniaxial(law, A[0, 0], memory)


def check_uniaxial(law: AbstractLaw) -> None:
    """It has no return.

    Raises:
        TypeError: it has.
    """
    if isinstance(law, AbstractPlastic):
        raise TypeError(
            f"law: given {type(law).__name__}; accepted is one without a plastic "
            "return, which does not know of the free section (use a Solid)."
        )


def uniaxial(law: AbstractLaw, a: Scalar, memory) -> Array:
    """F = diag(a, b, b) with τ₂₂ = 0: the state of a bar whose stretch is a."""
    numbers, rest = eqx.partition((law, a, memory), eqx.is_array)
    fixed = eqx.combine(jax.lax.stop_gradient(numbers), rest)

    def across(law, a, memory, s):
        F = _stretch(a, s)
        if not memory:
            return law.kirchhoff(F)[1, 1]
        G, alpha = memory
        return law.kirchhoff(matmul(F, G), alpha)[1, 1]

    def newton(_, at):
        s, _ = at
        law, a, memory = fixed
        still = lambda s: across(law, a, memory, s)
        value, slope = jax.jvp(still, (s,), (jnp.ones_like(s),))
        return s - value / slope, slope

    start = -jnp.log(fixed[1]) / 4, jnp.ones_like(fixed[1])
    s, slope = jax.lax.fori_loop(0, ITERATIONS, newton, start)
    # one more step, whose derivative is that of the implicit function
    return _stretch(a, s - across(law, a, memory, s) / slope)


def _stretch(a, s):
    b = jnp.exp(s)
    return jnp.diag(jnp.stack([a, b, b]))
