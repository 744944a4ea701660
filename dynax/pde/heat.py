"""Heat: the gradient flow of the Dirichlet energy."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.pde._base import AbstractExact, AbstractSemilinear, Functional
from dynax.pde._fourier import real
from dynax.pde._functionals import half_square, mass


class Heat(AbstractSemilinear, AbstractExact):
    """State the heat equation, with its closed form.

    uₜ = ν uₓₓ on [−1, 1], periodic; u(t, x) = e^{−νπ²t} sin πx.

    ∫ u dx is conserved;
    E = ∫ ½u² dx,   Ė = −∫ ν uₓ² dx;
    D = ∫ ½uₓ² dx,  Ḋ = −∫ ν uₓₓ² dx.

    Args:
        diffusion: ν ≥ 0.
    """

    needs: ClassVar = "u t xx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0
    diffusion: ScalarLike = 0.1

    def __check_init__(self):
        check_nonnegative(diffusion=self.diffusion)

    def equation(self, t, x, d):
        return d.t - self.diffusion * d.xx

    def exact(self, t, x):
        decay = jnp.exp(-self.diffusion * jnp.pi**2 * t)
        return decay * jnp.sin(jnp.pi * x)

    def symbol(self, k):
        return real(-self.diffusion * k**2)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return jnp.zeros_like(u_hat)

    def functionals(self):
        def loss(x, d):
            return -self.diffusion * d.x[..., 0] ** 2

        dirichlet = Functional(
            needs="x xx",
            density=lambda x, d: d.x[..., 0] ** 2 / 2,
            rate=lambda x, d: -self.diffusion * d.xx[..., 0] ** 2,
            variation=lambda x, d: -d.xx,
            kind="falls",
        )
        square = half_square("u x", loss, "falls")
        return {"mass": mass(), "square": square, "dirichlet": dirichlet}
