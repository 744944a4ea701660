"""Lorenz-63: three ordinary differential equations, chaotic."""

from typing import ClassVar

import jax.numpy as jnp

from dynax.pde._base import AbstractPDE


class Lorenz(AbstractPDE):
    """ẋ = σ(y − x),  ẏ = x(ρ − z) − y,  ż = xy − βz,  from (1, 1, 1).

    Source: Lorenz, J. Atmos. Sci. 20 (1963), eq. 25–27; the start and horizon of Wang,
    Sankaran, Perdikaris, arXiv:2203.07404, §4.2.

    Args:
        sigma, rho, beta: σ, ρ, β.
    """

    fields: ClassVar = ("x", "y", "z")
    needs: ClassVar = "u t"
    horizon: ClassVar = 20.0
    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8 / 3

    def field(self, u):
        """(ẋ, ẏ, ż) at u = (x, y, z), shape (…, 3)."""
        x, y, z = u[..., 0], u[..., 1], u[..., 2]
        rates = self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z
        return jnp.stack(rates, -1)

    def equation(self, t, x, d):
        return d.t - self.field(d.u)

    def initial(self, x):
        return jnp.ones(3, x.dtype)
