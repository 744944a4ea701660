"""Allen–Cahn: phase separation, the gradient flow of a double-well energy."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.pde._base import AbstractSemilinear, Functional
from dynax.pde._fourier import real
from dynax.pde.symmetry import even


class AllenCahn(AbstractSemilinear):
    r"""State the Allen–Cahn equation of phase separation.

    uₜ = ν uₓₓ − γ(u³ − u) on [−1, 1], periodic; u(0, x) = x² cos πx.

    E = ∫ ½ν uₓ² + ¼γ(u² − 1)² dx,  Ė = −∫ (ν uₓₓ − γ(u³ − u))² dx.

    The initial state has a kink at x = ±1 (its odd part of the slope jumps there).
    Source: Wang, Sankaran, Perdikaris, arXiv:2203.07404.

    Args:
        diffusion: ν ≥ 0.
        reaction: γ.
    """

    needs: ClassVar = "u t xx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    symmetry: ClassVar = even()
    horizon: ClassVar = 1.0
    diffusion: ScalarLike = 1e-4
    reaction: ScalarLike = 5.0

    def __check_init__(self):
        check_nonnegative(diffusion=self.diffusion)

    def force(self, d):
        """−δE/δu."""
        return self.diffusion * d.xx - self.reaction * (d.u**3 - d.u)

    def equation(self, t, x, d):
        return d.t - self.force(d)

    def initial(self, x):
        return x**2 * jnp.cos(jnp.pi * x)

    def symbol(self, k):
        return real(self.reaction - self.diffusion * k**2)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return to_modes(-self.reaction * to_grid(u_hat) ** 3)

    def functionals(self):
        def density(x, d):
            gradient = self.diffusion * d.x**2 / 2
            return jnp.sum(gradient + self.reaction * (d.u**2 - 1) ** 2 / 4, -1)

        return {
            "energy": Functional(
                needs="u x xx",
                density=density,
                rate=lambda x, d: -jnp.sum(self.force(d) ** 2, -1),
                variation=lambda x, d: -self.force(d),
                kind="falls",
            )
        }
