"""Waves on a string, as a system of first order in time."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.pde._base import AbstractExact, Functional
from dynax.pde._functionals import nothing


class Wave(AbstractExact):
    """State the wave equation as a system of first order.

    uₜ = v,  vₜ = c² uₓₓ on [−1, 1], periodic, from

        u = sin πx + ½ sin 4πx,  v = 0:
        u(t, x) = cos πct sin πx + ½ cos 4πct sin 4πx.

    E = ∫ ½v² + ½c² uₓ² dx is conserved. With the velocity v a field of its own, (u, v)
    at one time is a complete state. u is odd and vanishes at x = 0, ±1.

    Source: state and speed of Wang, Yu, Perdikaris, arXiv:2007.14527, there with walls
    at 0 and 1.

    Args:
        speed: c.
    """

    fields: ClassVar = ("u", "v")
    needs: ClassVar = "u t xx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0
    speed: ScalarLike = 2.0

    def equation(self, t, x, d):
        v, u_xx = d.u[..., 1], d.xx[..., 0]
        return d.t - jnp.stack([v, self.speed**2 * u_xx], -1)

    def exact(self, t, x):
        n = jnp.asarray([1, 4], x.dtype) * jnp.pi
        shape = jnp.sin(n * x) / jnp.asarray([1, 2], x.dtype)
        phase = n * self.speed * t
        u = jnp.sum(jnp.cos(phase) * shape)
        v = -jnp.sum(n * self.speed * jnp.sin(phase) * shape)
        return jnp.stack([u, v])

    def functionals(self):
        def density(x, d):
            return (d.u[..., 1] ** 2 + (self.speed * d.x[..., 0]) ** 2) / 2

        def variation(x, d):
            return jnp.stack([-(self.speed**2) * d.xx[..., 0], d.u[..., 1]], -1)

        return {
            "energy": Functional(
                needs="u x xx",
                density=density,
                rate=nothing,
                variation=variation,
                kind="conserved",
            )
        }
