"""Lotka–Volterra: prey and predators, on closed curves."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.pde._base import AbstractODE, Functional
from dynax.pde._functionals import nothing


class LotkaVolterra(AbstractODE):
    """State the Lotka–Volterra equations of predator and prey.

    ẋ = x(α − βy),  ẏ = y(δx − γ),  from (2, 2): x prey, y predators.

    V = δx − γ log x + βy − α log y is conserved where x, y > 0.

    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, §I.1, with
    their coefficients.

    Args:
        alpha, beta: α, β of the prey.
        gamma, delta: γ, δ of the predators.
    """

    fields: ClassVar = ("prey", "predators")
    horizon: ClassVar = 10.0
    alpha: ScalarLike = 1.0
    beta: ScalarLike = 1.0
    gamma: ScalarLike = 2.0
    delta: ScalarLike = 1.0

    def field(self, u):
        x, y = u[..., 0], u[..., 1]
        rates = x * (self.alpha - self.beta * y), y * (self.delta * x - self.gamma)
        return jnp.stack(rates, -1)

    def initial(self, x):
        return jnp.asarray([2, 2], x.dtype)

    def functionals(self):
        def density(x, d):
            x, y = d.u[..., 0], d.u[..., 1]
            of_prey = self.delta * x - self.gamma * jnp.log(x)
            return of_prey + self.beta * y - self.alpha * jnp.log(y)

        def variation(x, d):
            x, y = d.u[..., 0], d.u[..., 1]
            slopes = self.delta - self.gamma / x, self.beta - self.alpha / y
            return jnp.stack(slopes, -1)

        return {"invariant": Functional("u", density, nothing, variation, "conserved")}
