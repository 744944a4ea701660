"""Navier–Stokes in two dimensions: stream function and vorticity on a torus."""

import functools
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.pde._base import AbstractExact, AbstractSemilinear, Functional
from dynax.pde._fourier import imaginary, real


class AbstractNavierStokes(AbstractSemilinear):
    """State the Navier–Stokes equation of the vorticity in the plane.

    ωₜ + ψ_y ω_x − ψ_x ω_y = ν Δω,  Δψ + ω = 0 on [0, 2π]², periodic.

    The velocity is (ψ_y, −ψ_x), free of divergence whatever ψ is; a constant added to ψ
    changes nothing. Two energies fall:

        K = ∫ ψω − ½|∇ψ|² dx,  K̇ = −∫ ν ω² dx;
        Z = ∫ ½ω² dx,          Ż = −∫ ν |∇ω|² dx.

    Where Δψ = −ω, K is the kinetic energy ∫ ½|∇ψ|² dx. That is the largest value which
    K has over all ψ; so an error of ψ changes K in second order only, and K̇ asks for
    no time derivative of the second residual.
    """

    fields: ClassVar = ("stream", "vorticity")
    gauge: ClassVar = ("stream",)
    needs: ClassVar = "u t x y xx yy"
    lower: ClassVar = (0.0, 0.0)
    upper: ClassVar = (2 * jnp.pi, 2 * jnp.pi)
    horizon: ClassVar = 1.0
    viscosity: eqx.AbstractVar[float]

    def __check_init__(self):
        check_nonnegative(viscosity=self.viscosity)

    def equation(self, t, x, d):
        psi_x, omega_x = d.x[..., 0], d.x[..., 1]
        psi_y, omega_y = d.y[..., 0], d.y[..., 1]
        spread = d.xx + d.yy
        carried = psi_y * omega_x - psi_x * omega_y
        vorticity = d.t[..., 1] + carried - self.viscosity * spread[..., 1]
        return jnp.stack([vorticity, spread[..., 0] + d.u[..., 1]], -1)

    def evolved(self, u):
        return u[1:]

    def recover(self, k, u_hat):
        k_squared = jnp.sum(k**2, 0, keepdims=True)
        waves = k_squared > 0
        inverse = jnp.where(waves, 1 / jnp.where(waves, k_squared, 1), 0)
        return jnp.concatenate([real(inverse) * u_hat, u_hat])

    def symbol(self, k):
        return real(-self.viscosity * jnp.sum(k**2, 0, keepdims=True))

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        psi, omega = jnp.split(self.recover(k, u_hat), 2)
        slopes = jnp.concatenate([imaginary(k) * psi, imaginary(k) * omega])
        psi_x, psi_y, omega_x, omega_y = to_grid(slopes)
        return to_modes((psi_x * omega_y - psi_y * omega_x)[None])

    def functionals(self):
        nu = self.viscosity

        def kinetic(x, d):
            gradient = d.x[..., 0] ** 2 + d.y[..., 0] ** 2
            return d.u[..., 0] * d.u[..., 1] - gradient / 2

        def of_kinetic(x, d):
            psi, omega, psi_t = d.u[..., 0], d.u[..., 1], d.t[..., 0]
            return jnp.stack([psi, psi_t + nu * omega], -1)

        def of_enstrophy(x, d):
            omega = d.u[..., 1]
            return jnp.stack([omega, jnp.zeros_like(omega)], -1)

        return {
            "kinetic": Functional(
                needs="u t x y",
                density=kinetic,
                rate=lambda x, d: -nu * d.u[..., 1] ** 2,
                variation=of_kinetic,
                kind="falls",
            ),
            "enstrophy": Functional(
                needs="u x y",
                density=lambda x, d: d.u[..., 1] ** 2 / 2,
                rate=lambda x, d: -nu * (d.x[..., 1] ** 2 + d.y[..., 1] ** 2),
                variation=of_enstrophy,
                kind="falls",
            ),
        }


class NavierStokes(AbstractNavierStokes):
    """State the decay of two-dimensional turbulence from a random start.

    Decaying turbulence: ωₜ + ψ_y ω_x − ψ_x ω_y = ν Δω, Δψ + ω = 0 on [0, 2π]².

    It starts from a sum of all waves with 1 ≤ |k| ≤ 4, each of the same expected
    energy, with random phases.

    Source: the setting of Wang, Sankaran, Perdikaris, arXiv:2203.07404, whose
    initial state is another random field.

    Args:
        viscosity: ν ≥ 0; Re = 1/ν.
        speed: the largest |∇ψ| of the start, on a grid of 128².
        seed: of the waves; not traced.
    """

    viscosity: ScalarLike = 0.01
    speed: ScalarLike = 5.0
    seed: int = eqx.field(static=True, default=0)

    def initial(self, x):
        k, amplitude, phase = (jnp.asarray(a, x.dtype) for a in _waves(self.seed))
        waves = amplitude * jnp.cos(jnp.sum(k * x[None], -1) + phase)
        stream, vorticity = jnp.sum(waves), jnp.sum(jnp.sum(k**2, -1) * waves)
        return self.speed * jnp.stack([stream, vorticity])


class TaylorGreen(AbstractNavierStokes, AbstractExact):
    """Vortices that decay in place: ψ = e^{−2νt} cos x cos y, ω = 2ψ.

    Source: Taylor & Green, Proc. R. Soc. A 158 (1937).

    Args:
        viscosity: ν ≥ 0.
    """

    viscosity: ScalarLike = 0.01

    def exact(self, t, x):
        decay = jnp.exp(-2 * self.viscosity * t)
        psi = decay * jnp.cos(x[0]) * jnp.cos(x[1])
        return jnp.stack([psi, 2 * psi])


@functools.cache
def _waves(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """k, amplitudes and phases of ψ = Σ a cos(k·x + φ) with largest speed 1."""
    k = np.stack(np.meshgrid(np.arange(5), np.arange(-4, 5)), -1).reshape(-1, 2)
    half = (k[:, 0] > 0) | (k[:, 1] > 0)  # of k and −k, one
    size = np.hypot(k[:, 0], k[:, 1])
    k, size = k[half & (size <= 4)], size[half & (size <= 4)]
    stream = np.random.RandomState(seed)  # its numbers never change, see NEP 19
    amplitude = stream.standard_normal(size.shape) / size
    phase = stream.uniform(0, 2 * np.pi, size.shape)
    x = 2 * np.pi * np.arange(128) / 128
    places = np.stack(np.meshgrid(x, x), -1).reshape(-1, 2)
    slopes = (amplitude * np.sin(places @ k.T + phase)) @ k
    return k, amplitude / np.max(np.hypot(*slopes.T)), phase
