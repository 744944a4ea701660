"""Gray–Scott: two substances that react and diffuse into patterns."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.pde._base import AbstractSemilinear, Functional
from dynax.pde._fourier import real


CENTRES = (1.0, 1.3), (1.5, 1.1)
WIDTH = 0.1


class GrayScott(AbstractSemilinear):
    """State the Gray–Scott reaction and diffusion of two substances.

    uₜ = Dᵤ Δu − uv² + F(1 − u),  vₜ = Dᵥ Δv + uv² − (F + κ)v on [0, 2.5]², periodic.

    M = ∫ u + v dx,  Ṁ = ∫ F(1 − u) − (F + κ)v dx: fed and drained, not made.

    The start is (1, 0) with two smooth spots of (½, ¼), so placed that no symmetry is
    left.

    Source: Pearson, Science 261 (1993), eq. 1–2, with his box and diffusivities; F and
    κ lie among his patterns.

    Args:
        diffusion_u, diffusion_v: Dᵤ, Dᵥ ≥ 0.
        feed: F.
        kill: κ.
    """

    fields: ClassVar = ("u", "v")
    needs: ClassVar = "u t xx yy"
    lower: ClassVar = (0.0, 0.0)
    upper: ClassVar = (2.5, 2.5)
    horizon: ClassVar = 1000.0
    diffusion_u: ScalarLike = 2e-5
    diffusion_v: ScalarLike = 1e-5
    feed: ScalarLike = 0.04
    kill: ScalarLike = 0.06

    def __check_init__(self):
        check_nonnegative(diffusion_u=self.diffusion_u, diffusion_v=self.diffusion_v)

    def equation(self, t, x, d):
        u, v = d.u[..., 0], d.u[..., 1]
        spread = d.xx + d.yy
        made = u * v**2
        u_t = self.diffusion_u * spread[..., 0] - made + self.feed * (1 - u)
        v_t = self.diffusion_v * spread[..., 1] + made - (self.feed + self.kill) * v
        return d.t - jnp.stack([u_t, v_t], -1)

    def initial(self, x):
        box = jnp.asarray(self.upper, x.dtype)

        def spot(centre):
            from_centre = x - jnp.asarray(centre, x.dtype)
            chord = box / jnp.pi * jnp.sin(jnp.pi * from_centre / box)
            return jnp.exp(-jnp.sum(chord**2) / (2 * WIDTH**2))

        spots = sum(spot(centre) for centre in CENTRES)
        return jnp.stack([1 - spots / 2, spots / 4])

    def symbol(self, k):
        k_squared = jnp.sum(k**2, 0)
        u = -self.diffusion_u * k_squared - self.feed
        v = -self.diffusion_v * k_squared - (self.feed + self.kill)
        return real(jnp.stack([u, v]))

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        u, v = to_grid(u_hat)
        made = u * v**2
        return to_modes(jnp.stack([self.feed - made, made]))

    def functionals(self):
        def rate(x, d):
            u, v = d.u[..., 0], d.u[..., 1]
            return self.feed * (1 - u) - (self.feed + self.kill) * v

        return {
            "mass": Functional(
                needs="u",
                density=lambda x, d: jnp.sum(d.u, -1),
                rate=rate,
                variation=lambda x, d: jnp.ones_like(d.u),
                kind="balances",
            )
        }
