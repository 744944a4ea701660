"""The pendulum: the simplest Hamiltonian that is no quadratic."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.pde._base import AbstractODE, Functional
from dynax.pde._functionals import nothing


class Pendulum(AbstractODE):
    """State the pendulum without friction.

    q̇ = p,  ṗ = −ω² sin q,  from (2, 0): q is the angle, p its velocity.

    H = ½p² + ω²(1 − cos q) is conserved.

    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, §I.1.

    Args:
        frequency: ω, of small swings.
    """

    fields: ClassVar = ("q", "p")
    horizon: ClassVar = 10.0
    frequency: ScalarLike = 1.0

    def field(self, u):
        q, p = u[..., 0], u[..., 1]
        return jnp.stack([p, -(self.frequency**2) * jnp.sin(q)], -1)

    def initial(self, x):
        return jnp.asarray([2, 0], x.dtype)

    def functionals(self):
        def density(x, d):
            q, p = d.u[..., 0], d.u[..., 1]
            return p**2 / 2 + self.frequency**2 * (1 - jnp.cos(q))

        def variation(x, d):
            q, p = d.u[..., 0], d.u[..., 1]
            return jnp.stack([self.frequency**2 * jnp.sin(q), p], -1)

        return {"energy": Functional("u", density, nothing, variation, "conserved")}
