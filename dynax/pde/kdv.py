"""Korteweg–de Vries: solitons; three of its infinitely many conserved quantities."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.pde._base import AbstractSemilinear, Functional
from dynax.pde._fourier import imaginary
from dynax.pde._functionals import half_square, mass, nothing


class KdV(AbstractSemilinear):
    """State the Korteweg–de Vries equation, whose solitons keep their shape.

    uₜ + u uₓ + δ² uₓₓₓ = 0 on [−1, 1], periodic; u(0, x) = cos πx.

    Conserved: ∫ u dx, the momentum ∫ ½u² dx and the energy

        H = ∫ ⅙u³ − ½δ² uₓ² dx,  of which it is the flow uₜ = −∂ₓ δH/δu.

    Source: Zabusky & Kruskal, Phys. Rev. Lett. 15 (1965), eq. 1, with their δ; the box
    is theirs.

    Args:
        delta: δ.
    """

    needs: ClassVar = "u t x xxx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0
    delta: ScalarLike = 0.022

    def equation(self, t, x, d):
        return d.t + d.u * d.x + self.delta**2 * d.xxx

    def initial(self, x):
        return jnp.cos(jnp.pi * x)

    def symbol(self, k):
        return imaginary(self.delta**2 * k**3)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return -imaginary(k) * to_modes(to_grid(u_hat) ** 2 / 2)

    def functionals(self):
        def density(x, d):
            return d.u[..., 0] ** 3 / 6 - (self.delta * d.x[..., 0]) ** 2 / 2

        energy = Functional(
            needs="u x xx",
            density=density,
            rate=nothing,
            variation=lambda x, d: d.u**2 / 2 + self.delta**2 * d.xx,
            kind="conserved",
        )
        return {"mass": mass(), "momentum": half_square(), "energy": energy}
