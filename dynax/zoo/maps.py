"""Maps of one coordinate, and of two that are well known.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Map, point


class Logistic(Map):
    """A population that grows and saturates.

        x₊ = rx(1 − x)

    Source: Robert May. Simple mathematical models with very complicated dynamics.
    Nature (1976).
    """

    r: ScalarLike = 3.9
    start = point(0.51)

    @staticmethod
    def image(state, r):
        (x,) = state
        return (r * x * (1 - x),)


class Ricker(Map):
    """A fish stock with overcompensating recruitment.

    x₊ = x exp(a − x)
    """

    a: ScalarLike = 3.3
    start = point(0.51)

    @staticmethod
    def image(state, a):
        (x,) = state
        return (x * jnp.exp(a - x),)


class Tent(Map):
    """The tent map of two straight branches.

    x₊ = μ(1 − 2|x − 0.5|)
    """

    mu: ScalarLike = 0.95
    start = point(0.51)
    smooth = False

    @staticmethod
    def image(state, mu):
        (x,) = state
        return (mu * (1 - 2 * jnp.abs(x - 0.5)),)


class Gauss(Map):
    """A bell curve, also called the mouse map.

    x₊ = exp(−ax²) + b
    """

    a: ScalarLike = 4.9
    b: ScalarLike = -0.5
    start = point(0.5)

    @staticmethod
    def image(state, a, b):
        (x,) = state
        return (jnp.exp(-a * x**2) + b,)


class Chebyshev(Map):
    """The Chebyshev polynomial of degree a.

    x₊ = cos(a arccos(x))
    """

    a: ScalarLike = 6.0
    start = point(0.51)

    @staticmethod
    def image(state, a):
        (x,) = state
        return (jnp.cos(a * jnp.arccos(x)),)


class Circle(Map):
    """A phase that is kicked each turn.

    θ₊ = θ + ω + k/(2π)·sin(2πθ)
    """

    omega: ScalarLike = 0.333
    k: ScalarLike = 5.7
    start = point(0.0)

    @staticmethod
    def image(state, omega, k):
        (theta,) = state
        return (theta + omega + k / (2 * jnp.pi) * jnp.sin(2 * jnp.pi * theta),)


class Baker(Map):
    """A square that is stretched, cut and stacked.

    x₊ = 2x − ⌊2x⌋,  2 standing for 2 − 10⁻¹⁰
    y₊ = (ay + ⌊2x⌋)/2
    """

    a: ScalarLike = 1.0
    start = point(0.04995935, 0.363224)
    smooth = False

    @staticmethod
    def image(state, a):
        x, y = state
        double = (2.0 - 1e-10) * x
        whole = jnp.floor(double)
        return double - whole, (a * y + whole) / 2


class Henon(Map):
    """The Hénon map: a quadratic map that folds the plane.

    x₊ = 1 − ax² + y
    y₊ = bx
    """

    a: ScalarLike = 1.4
    b: ScalarLike = 0.3
    start = point(1.21674097, 0.03536533)

    @staticmethod
    def image(state, a, b):
        x, y = state
        return 1 - a * x**2 + y, b * x


class MaynardSmith(Map):
    """A population that is regulated with a delay of one generation.

    x₊ = y
    y₊ = ay + b − x²
    """

    a: ScalarLike = 0.87
    b: ScalarLike = 0.75
    start = point(0.0, 0.1)

    @staticmethod
    def image(state, a, b):
        x, y = state
        return y, a * y + b - x**2


class Ikeda(Map):
    """Light in a ring cavity with a nonlinear medium.

    t = 0.4 − 6/(1 + x² + y²)
    x₊ = 1 + u(x cos(t) − y sin(t))
    y₊ = u(x sin(t) + y cos(t))
    """

    u: ScalarLike = 0.9
    start = point(0.9, 0.55524451)

    @staticmethod
    def image(state, u):
        x, y = state
        t = 0.4 - 6 / (1 + x**2 + y**2)
        return 1 + u * (x * jnp.cos(t) - y * jnp.sin(t)), u * (
            x * jnp.sin(t) + y * jnp.cos(t)
        )


class Tinkerbell(Map):
    """A quadratic map of the plane.

    x₊ = x² − y² + ax + by
    y₊ = 2xy + cx + dy
    """

    a: ScalarLike = 0.9
    b: ScalarLike = -0.6013
    c: ScalarLike = 2.0
    d: ScalarLike = 0.5
    start = point(0.13738266, -0.0308518)

    @staticmethod
    def image(state, a, b, c, d):
        x, y = state
        return x**2 - y**2 + a * x + b * y, 2 * x * y + c * x + d * y


class KaplanYorke(Map):
    """A doubling map that drives a contraction.

        x₊ = 2x mod 0.99999995
        y₊ = αy + cos(4πx)

    Source: J.L. Kaplan, J.A. Yorke (1979).Functional Differential Equations and
    Approximations of Fixed Points.
    """

    alpha: ScalarLike = 0.2
    start = point(0.2, 0.2)
    smooth = False

    @staticmethod
    def image(state, alpha):
        x, y = state
        return 2 * x % 0.99999995, alpha * y + jnp.cos(4 * jnp.pi * x)


class Bogdanov(Map):
    """A planar map near the Bogdanov–Takens bifurcation.

        x₊ = x + yp
        y₊ = (1 + ε)y + kx(x − 1) + μxy

    Source: Bogdanov, R (1981). Bifurcations of a Limit Cycle for a Family of Vector
    Fields on the Plane. Selecta Math. Soviet.
    """

    eps: ScalarLike = 0.0
    k: ScalarLike = 1.2
    mu: ScalarLike = 0.0
    start = point(0.51, 0.2)

    @staticmethod
    def image(state, eps, k, mu):
        x, y = state
        yp = (1 + eps) * y + k * x * (x - 1) + mu * x * y
        return x + yp, yp


class Chirikov(Map):
    """The standard map: a kicked rotor, area-preserving.

        p₊ = p + k sin(x)
        x₊ = x + pp

    Source: B. V. Chirikov, Research concerning the theory of nonlinear resonance and
    stochasticity. (1979).
    """

    k: ScalarLike = 0.971635
    start = point(0.1, 0.1)
    pairs = True

    @staticmethod
    def image(state, k):
        p, x = state
        pp = p + k * jnp.sin(x)
        return pp, x + pp


class DuffingMap(Map):
    """A discrete Duffing oscillator.

    x₊ = y
    y₊ = −bx + ay − y³
    """

    a: ScalarLike = 2.75
    b: ScalarLike = 0.2
    start = point(0.51, 0.1)

    @staticmethod
    def image(state, a, b):
        x, y = state
        return y, -b * x + a * y - y**3
