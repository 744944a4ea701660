"""Kuramoto–Sivashinsky: long waves grow, short ones decay, advection mixes them."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.pde._base import AbstractSemilinear
from dynax.pde._fourier import imaginary, real
from dynax.pde._functionals import half_square, mass
from dynax.pde.symmetry import odd


class AbstractKuramotoSivashinsky(AbstractSemilinear):
    """State the Kuramoto–Sivashinsky equation with any coefficients.

    uₜ + α u uₓ + β uₓₓ + γ uₓₓₓₓ = 0, periodic.

    ∫ u dx is conserved;  E = ∫ ½u² dx,  Ė = ∫ β uₓ² − γ uₓₓ² dx, of either sign: waves
    with k² < β/γ feed on the equation.
    """

    needs: ClassVar = "u t x xx xxxx"
    horizon: ClassVar = 1.0
    alpha: eqx.AbstractVar[float]
    beta: eqx.AbstractVar[float]
    gamma: eqx.AbstractVar[float]

    def __check_init__(self):
        check_nonnegative(gamma=self.gamma)

    def equation(self, t, x, d):
        steepening = self.alpha * d.u * d.x
        return d.t + steepening + self.beta * d.xx + self.gamma * d.xxxx

    def symbol(self, k):
        return real(self.beta * k**2 - self.gamma * k**4)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return -imaginary(k) * to_modes(self.alpha * to_grid(u_hat) ** 2 / 2)

    def functionals(self):
        def rate(x, d):
            return (self.beta * d.x**2 - self.gamma * d.xx**2)[..., 0]

        return {"mass": mass(), "square": half_square("u x xx", rate, "balances")}


class KuramotoSivashinsky(AbstractKuramotoSivashinsky):
    """The regular one: uₜ + α u uₓ + β uₓₓ + γ uₓₓₓₓ = 0 on [−1, 1], periodic;
    u(0, x) = −sin πx.

    The state is odd and stays so. What is not odd grows: a perturbation cos 2πx of the
    initial state 1.6·10³ times until t = 0.5 and 9·10³ times until t = 1.

    Source: Wang, Sankaran, Perdikaris, arXiv:2203.07404.

    Args:
        alpha, beta, gamma: α, β, γ ≥ 0.
    """

    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    growth: ClassVar = 9e3
    symmetry: ClassVar = odd()
    alpha: ScalarLike = 5.0
    beta: ScalarLike = 0.5
    gamma: ScalarLike = 0.005

    def initial(self, x):
        return -jnp.sin(jnp.pi * x)


class ChaoticKuramotoSivashinsky(AbstractKuramotoSivashinsky):
    """The chaotic one: uₜ + α u uₓ + β uₓₓ + γ uₓₓₓₓ = 0 on [0, 2π], periodic;
    u(0, x) = cos x (1 + sin x).

    A perturbation of the initial state grows 10³ times until t = 0.5 and 3·10⁴ times
    until t = 1: in float32 nothing follows it.

    Source: Wang, Sankaran, Perdikaris, arXiv:2203.07404; the state is that of
    Kassam & Trefethen, SIAM J. Sci. Comput. 26 (2005), there on [0, 32π].

    Args:
        alpha, beta, gamma: α, β, γ ≥ 0.
    """

    lower: ClassVar = (0.0,)
    upper: ClassVar = (2 * jnp.pi,)
    growth: ClassVar = 3.6e4
    symmetry: ClassVar = odd(jnp.pi / 2)
    alpha: ScalarLike = 100 / 16
    beta: ScalarLike = 100 / 16**2
    gamma: ScalarLike = 100 / 16**4

    def initial(self, x):
        return jnp.cos(x) * (1 + jnp.sin(x))
