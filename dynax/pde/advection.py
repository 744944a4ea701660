"""Advection: a wave carried along, the hardest easy problem for causality."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.pde._base import AbstractExact, AbstractSemilinear
from dynax.pde._fourier import imaginary
from dynax.pde._functionals import half_square, mass


class Advection(AbstractSemilinear, AbstractExact):
    """State the advection of a sine wave, with its closed form.

    uₜ + c uₓ = 0 on [0, 2π], periodic; u(t, x) = sin(x − ct).

    ∫ u dx and ∫ ½u² dx are conserved.

    Source: the speed of Krishnapriyan et al., arXiv:2109.01050, from which on
    plain physics-informed networks fail.

    Args:
        speed: c.
    """

    needs: ClassVar = "u t x"
    lower: ClassVar = (0.0,)
    upper: ClassVar = (2 * jnp.pi,)
    horizon: ClassVar = 1.0
    speed: ScalarLike = 30.0

    def equation(self, t, x, d):
        return d.t + self.speed * d.x

    def exact(self, t, x):
        return jnp.sin(x - self.speed * t)

    def symbol(self, k):
        return imaginary(-self.speed * k)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return jnp.zeros_like(u_hat)

    def functionals(self):
        return {"mass": mass(), "square": half_square()}
