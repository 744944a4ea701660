"""Convection, weather and the field of the Earth.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class Lorenz(Flow):
    """A minimal weather model based on atmospheric convection.

        ẋ = σy − σx
        ẏ = ρx − xz − y
        ż = xy − βz

    Source: Lorenz, Edward N (1963). Deterministic nonperiodic flow. Journal of the
    atmospheric sciences 20.2 (1963): 130-141.
    """

    beta: ScalarLike = 2.667
    rho: ScalarLike = 28.0
    sigma: ScalarLike = 10.0
    start = point(-9.7869288, -15.03852, 20.533978)
    period = 1.5008

    @staticmethod
    def rates(state, beta, rho, sigma):
        x, y, z = state
        return sigma * y - sigma * x, rho * x - x * z - y, x * y - beta * z


class LorenzBounded(Flow):
    """The Lorenz attractor in the presence of a confining potential.

        ẋ = σy − σx − σ/r²·yx² − σ/r²·y³ − σ/r²·yz² + σ/r²·x³ + σ/r²·xy² + σ/r²·xz²
        ẏ = ρx − xz − y − ρ/r²·x³ − ρ/r²·xy² − ρ/r²·xz²
            + 1/r²·zx³ + 1/r²·xzy² + 1/r²·xz³ + 1/r²·yx²
            + 1/r²·y³ + 1/r²·yz²
        ż = xy − βz − 1/r²·yx³ − 1/r²·xy³ − 1/r²·xyz² + β/r²·zx² + β/r²·zy² + β/r²·z³

    Source: Sprott & Xiong (2015). Chaos.
    """

    beta: ScalarLike = 2.667
    r: ScalarLike = 64.0
    rho: ScalarLike = 28.0
    sigma: ScalarLike = 10.0
    start = point(-13.284881, -12.444334, 34.188198)
    period = 1.3716

    @staticmethod
    def rates(state, beta, r, rho, sigma):
        x, y, z = state
        return (
            sigma * y
            - sigma * x
            - sigma / r**2 * y * x**2
            - sigma / r**2 * y**3
            - sigma / r**2 * y * z**2
            + sigma / r**2 * x**3
            + sigma / r**2 * x * y**2
            + sigma / r**2 * x * z**2,
            rho * x
            - x * z
            - y
            - rho / r**2 * x**3
            - rho / r**2 * x * y**2
            - rho / r**2 * x * z**2
            + 1 / r**2 * z * x**3
            + 1 / r**2 * x * z * y**2
            + 1 / r**2 * x * z**3
            + 1 / r**2 * y * x**2
            + 1 / r**2 * y**3
            + 1 / r**2 * y * z**2,
            x * y
            - beta * z
            - 1 / r**2 * y * x**3
            - 1 / r**2 * x * y**3
            - 1 / r**2 * x * y * z**2
            + beta / r**2 * z * x**2
            + beta / r**2 * z * y**2
            + beta / r**2 * z**3,
        )


class LorenzCoupled(Flow):
    """Two coupled Lorenz attractors.

        ẋ₁ = σy₁ − σx₁
        ẏ₁ = ρ₁x₁ − x₁z₁ − y₁
        ż₁ = x₁y₁ − βz₁
        ẋ₂ = σy₂ − σx₂ + εx₁ − εx₂
        ẏ₂ = ρ₂x₂ − x₂z₂ − y₂
        ż₂ = x₂y₂ − βz₂

    Source: Lorenz, Edward N. Deterministic nonperiodic flow. Journal of the atmospheric
    sciences 20.2 (1963): 130-141.
    """

    beta: ScalarLike = 2.667
    eps: ScalarLike = 2.85
    rho1: ScalarLike = 35.0
    rho2: ScalarLike = 1.15
    sigma: ScalarLike = 10.0
    start = point(7.0921483, 10.117408, 25.708428, 2.1689893, 0.96121877, 0.89550187)
    period = 1.6207

    @staticmethod
    def rates(state, beta, eps, rho1, rho2, sigma):
        x1, y1, z1, x2, y2, z2 = state
        return (
            sigma * y1 - sigma * x1,
            rho1 * x1 - x1 * z1 - y1,
            x1 * y1 - beta * z1,
            sigma * y2 - sigma * x2 + eps * x1 - eps * x2,
            rho2 * x2 - x2 * z2 - y2,
            x2 * y2 - beta * z2,
        )


class Lorenz84(Flow):
    """Atmospheric circulation analogous to Hadley convection.

        ẋ = −ax − y² − z² + af
        ẏ = −y + xy − bxz + g
        ż = −z + bxy + xz

    Source: E. Lorenz (1984). Irregularity: a fundamental property of the atmosphere.
    Tellus A, vol. 36, no. 2, pp. 98--110, 1984.
    """

    a: ScalarLike = 1.32
    b: ScalarLike = 7.91
    f: ScalarLike = 4.83
    g: ScalarLike = 4.194
    start = point(1.926479236120359, -0.13402110197257552, -1.72146730664761)
    period = 6.2586

    @staticmethod
    def rates(state, a, b, f, g):
        x, y, z = state
        return (
            -a * x - y**2 - z**2 + a * f,
            -y + x * y - b * x * z + g,
            -z + b * x * y + x * z,
        )


class Lorenz96(Flow):
    """A climate model containing fluid-like advective nonlinearities, and multiscale
    coupling of fast and slow variables.

        ẋᵢ = (xᵢ₊₁ − xᵢ₋₂)xᵢ₋₁ − xᵢ + f,  i modulo 4

    Source: Lorenz, Edward (1996). Predictability: A problem partly solved. Seminar on
    Predictability, Vol. I, ECMWF.
    """

    f: ScalarLike = 20.0
    start = point(-2.46820633, 0.09570264, 1.59270902, 10.21372147)
    period = 2.1969

    @staticmethod
    def rates(state, f):
        return (
            (jnp.roll(state, -1) - jnp.roll(state, 2)) * jnp.roll(state, 1) - state + f
        )


class LorenzStenflo(Flow):
    """Atmospheric acoustic-gravity waves.

        ẋ = ay − ax + dw
        ẏ = cx − xz − y
        ż = xy − bz
        ẇ = −x − aw

    Source: Letellier & Rossler (2007). Hyperchaos. Scholarpedia 2.8 (2007): 1936.
    """

    a: ScalarLike = 2.0
    b: ScalarLike = 0.7
    c: ScalarLike = 26.0
    d: ScalarLike = 1.5
    start = point(
        4.233438598886809, 9.08970605484108, 21.86662535600487, -1.4080695182833802
    )
    period = 3.8877142857142855

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return a * y - a * x + d * w, c * x - x * z - y, x * y - b * z, -x - a * w


class Hadley(Flow):
    """An atmospheric convective cell.

        ẋ = −y² − z² − ax + af
        ẏ = xy − bxz − y + g
        ż = bxy + xz − z

    Source: G. Hadley (1735). On the cause of the general trade winds. Philosophical
    Transactions of the Royal Society, vol. 34, pp. 58--62.
    """

    a: ScalarLike = 0.2
    b: ScalarLike = 4.0
    f: ScalarLike = 9.0
    g: ScalarLike = 1.0
    start = point(1.3664423, 0.9309146, 0.64283417)
    period = 1.4541

    @staticmethod
    def rates(state, a, b, f, g):
        x, y, z = state
        return (
            -(y**2) - z**2 - a * x + a * f,
            x * y - b * x * z - y + g,
            b * x * y + x * z - z,
        )


class AtmosphericRegime(Flow):
    """A model of regime transition in atmospheric flows. Contains widely-separated
    timescales due a quadratic term, which itself arises from a conservation law.

        ẋ = μ₁x + σxy
        ẏ = μ₂y + ωz + αyz + βz² − σx²
        ż = μ₂z − ωy − αy² − βyz

    Source: Tuwankotta (2006). Chaos in a coupled oscillators system with widely spaced
    frequencies and energy-preserving non-linearity.
    """

    alpha: ScalarLike = -2.0
    beta: ScalarLike = -5.0
    mu1: ScalarLike = 0.05
    mu2: ScalarLike = -0.01
    omega: ScalarLike = 3.0
    sigma: ScalarLike = 1.1
    start = point(0.026544189906947246, 0.20580772677536016, 0.43758119702219506)
    period = 89.59496756697331

    @staticmethod
    def rates(state, alpha, beta, mu1, mu2, omega, sigma):
        x, y, z = state
        return (
            mu1 * x + sigma * x * y,
            mu2 * y + omega * z + alpha * y * z + beta * z**2 - sigma * x**2,
            mu2 * z - omega * y - alpha * y**2 - beta * y * z,
        )


class VallisElNino(Flow):
    """Atmospheric temperature fluctuations with annual forcing.

        ẋ = by − cx − cp
        ẏ = −y + xz
        ż = −z − xy + 1

    Source: Vallis GK. Conceptual models of El Nio and the southern oscillation. J
    Geophys Res 1988.
    """

    b: ScalarLike = 102.0
    c: ScalarLike = 3.0
    p: ScalarLike = 0.0
    start = point(-6.99286331487343, 0.023254276622294345, -0.1658177563067799)
    period = 2.2087

    @staticmethod
    def rates(state, b, c, p):
        x, y, z = state
        return b * y - c * x - c * p, -y + x * z, -z - x * y + 1


class RayleighBenard(Flow):
    """A reduced-order model of a convective cell.

        ẋ = ay − ax
        ẏ = ry − xz
        ż = xy − bz

    Source: Yanagita, Kaneko (1995). Rayleigh-Bénard convection patterns, chaos,
    spatiotemporal chaos and turbulence. Physica D: Nonlinear Phenomena 82.3 (1995):
    288-313.
    """

    a: ScalarLike = 30.0
    b: ScalarLike = 5.0
    r: ScalarLike = 18.0
    start = point(-15.660582, -13.32018, 26.879362)
    period = 0.91967

    @staticmethod
    def rates(state, a, b, r):
        x, y, z = state
        return a * y - a * x, r * y - x * z, x * y - b * z


class ShimizuMorioka(Flow):
    """A system that bifurcates from a symmetric limit cycle to an asymmetric one,
    similar to the Lorenz attractor.

        ẋ = y
        ẏ = x − ay − xz
        ż = −bz + x²

    Source: Shimizu, Morioka. Phys Lett A. 1980: 201-204.
    """

    a: ScalarLike = 0.85
    b: ScalarLike = 0.5
    start = point(0.016838697, 0.03489384, 0.35346848)
    period = 12.038

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return y, x - a * y - x * z, -b * z + x**2


class Rucklidge(Flow):
    """Two-dimensional convection in a horizontal layer of Boussinesq fluid with lateral
    constraints.

        ẋ = −ax + by − yz
        ẏ = x
        ż = −z + y²

    Source: Rucklidge, A.M. (1992). Chaos in models of double convection. Journal of
    Fluid Mechanics.
    """

    a: ScalarLike = 2.0
    b: ScalarLike = 6.7
    start = point(1.9257158, 3.1923835, 5.7829655)
    period = 6.0721

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return -a * x + b * y - y * z, x, -z + y**2
