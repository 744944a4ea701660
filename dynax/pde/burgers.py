"""Burgers: advection that steepens against diffusion."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.pde._base import AbstractSemilinear, Functional
from dynax.pde._fourier import imaginary, real
from dynax.pde._functionals import half_square
from dynax.pde.symmetry import odd


class Burgers(AbstractSemilinear):
    """State the viscous Burgers equation, which forms a shock.

    uₜ + u uₓ = ν uₓₓ on [−1, 1], u = 0 at both walls; u(0, x) = −sin πx.

    M = ∫ u dx,    Ṁ = ∫ ν uₓₓ dx, the flux through the walls;
    E = ∫ ½u² dx,  Ė = −∫ ν uₓ² dx.

    The initial state is odd and the equation keeps it so; an odd function of period 2
    vanishes at ±1. So the periodic problem on the same box has the same solution, and
    that is the one a spectral solver sees.

    Source: Basdevant et al., Comput. Fluids 14 (1986).

    Args:
        viscosity: ν ≥ 0.
    """

    needs: ClassVar = "u t x xx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    boundary: ClassVar = "zero"
    symmetry: ClassVar = odd()
    horizon: ClassVar = 1.0
    viscosity: ScalarLike = 0.01 / jnp.pi

    def __check_init__(self):
        check_nonnegative(viscosity=self.viscosity)

    def equation(self, t, x, d):
        return d.t + d.u * d.x - self.viscosity * d.xx

    def initial(self, x):
        return -jnp.sin(jnp.pi * x)

    def symbol(self, k):
        return real(-self.viscosity * k**2)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return -imaginary(k) * to_modes(to_grid(u_hat) ** 2 / 2)

    def functionals(self):
        def loss(x, d):
            return -self.viscosity * d.x[..., 0] ** 2

        mass = Functional(
            needs="u xx",
            density=lambda x, d: d.u[..., 0],
            rate=lambda x, d: self.viscosity * d.xx[..., 0],
            variation=lambda x, d: jnp.ones_like(d.u),
            kind="balances",
        )
        return {"mass": mass, "square": half_square("u x", loss, "falls")}
