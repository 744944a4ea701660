"""Lorenz-63: three ordinary differential equations, chaotic."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.pde._base import AbstractODE, Functional


class Lorenz(AbstractODE):
    """State the Lorenz system, which is chaotic.

    ẋ = σ(y − x),  ẏ = x(ρ − z) − y,  ż = xy − βz,  from (1, 1, 1).

    E = ½(x² + y² + (z − s)²), s = σ + ρ:   Ė = −σx² − y² − βz(z − s),
    negative outside an ellipsoid, so every solution stays bounded.

    Source: Lorenz, J. Atmos. Sci. 20 (1963), eq. 25–27; the start and horizon of Wang,
    Sankaran, Perdikaris, arXiv:2203.07404.

    Args:
        sigma, rho, beta: σ, ρ, β.
    """

    fields: ClassVar = ("x", "y", "z")
    sizes: ClassVar = (10.0, 10.0, 25.0)
    growth: ClassVar = 1e4
    horizon: ClassVar = 20.0
    sigma: ScalarLike = 10.0
    rho: ScalarLike = 28.0
    beta: ScalarLike = 8 / 3

    def field(self, u):
        x, y, z = jnp.moveaxis(u, -1, 0)
        rates = self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z
        return jnp.stack(rates, -1)

    def initial(self, x):
        return jnp.ones(3, x.dtype)

    def functionals(self):
        top = self.sigma + self.rho

        def variation(x, d):
            x, y, z = jnp.moveaxis(d.u, -1, 0)
            return jnp.stack([x, y, z - top], -1)

        def rate(x, d):
            x, y, z = jnp.moveaxis(d.u, -1, 0)
            return -self.sigma * x**2 - y**2 - self.beta * z * (z - top)

        return {
            "energy": Functional(
                needs="u",
                density=lambda x, d: jnp.sum(variation(x, d) ** 2, -1) / 2,
                rate=rate,
                variation=variation,
                kind="balances",
            )
        }
