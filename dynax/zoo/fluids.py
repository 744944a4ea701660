"""Carried particles, a bouncing drop, dynamos, a star and a plasma.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import Numbers, ScalarLike
from dynax.zoo._base import Flow, point


def switched(t, tau):
    """Switch between 0 and 1 once each half of a period τ."""
    return 0.5 + 0.5 * jnp.tanh(20 * tau * jnp.sin(2 * jnp.pi * t / tau))


def rotlet(r, theta, a, b, bc):
    """The velocity (r, θ) around a rotlet at b in a disk of radius a."""
    kappa = a**2 + (b**2 * r**2) / a**2 - 2 * b * r * jnp.cos(theta)
    gamma = (1 - r**2 / a**2) * (a**2 - (b**2 * r**2) / a**2)
    iota = (b**2 * r) / a**2 - b * jnp.cos(theta)
    zeta = b**2 + r**2 - 2 * b * r * jnp.cos(theta)
    nu = a**2 + b**2 - (2 * b**2 * r**2) / a**2
    radial = b * jnp.sin(theta) * (-bc * (gamma / kappa**2) - 1 / kappa + 1 / zeta)
    around = bc * (gamma * iota) / kappa**2 + bc * r * nu / (a**2 * kappa)
    return radial, around + iota / kappa - (r - b * jnp.cos(theta)) / zeta


def blinking(state, a, b, bc, sigma, tau):
    """Two rotlets at ±b that take turns."""
    r, theta, t = state
    weight = switched(t, tau)
    r1, theta1 = rotlet(r, theta, a, b, bc)
    r2, theta2 = rotlet(r, theta, a, -b, bc)
    along = weight * r1 + (1 - weight) * r2
    around = (weight * theta1 + (1 - weight) * theta2) / r
    return sigma * along, sigma * around, 1.0


def lid(x, y, a, b, u1, u2):
    """The velocity where a lid drives a cavity of width a and half height b."""
    vx, vy = 0.0, 0.0
    for k, u in ((1, u1), (2, u2)):
        k = k * jnp.pi
        factor = 2 * u / (2 * k * b + a * jnp.sinh(2 * k * b / a))
        high, wide = jnp.sinh(k * b / a), jnp.cosh(k * b / a)
        up, out = jnp.sinh(k * y / a), jnp.cosh(k * y / a)
        along = -b * k * high * up + wide * (k * y * out + a * up)
        vx = vx + factor * jnp.sin(k * x / a) * along
        across = b * high * out - wide * y * up
        vy = vy + factor * k * jnp.cos(k * x / a) * across
    return vx, vy


class ArnoldBeltramiChildress(Flow):
    """An exact solution of Euler's equation for inviscid flow in 3D. Often referred to
    as the ABC flow.

        ẋ = a sin(z) + c cos(y)
        ẏ = b sin(x) + a cos(z)
        ż = c sin(y) + b cos(x)

    Source: V. I. Arnold, Journal of Applied Mathematics and Mechanics 30, 223 (1966).
    """

    a: ScalarLike = 1.73205
    b: ScalarLike = 1.41421
    c: ScalarLike = 1.0
    start = point(147.91266, -1762.805, -647.37622)
    period = 2.8508
    pairs = True

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return (
            a * jnp.sin(z) + c * jnp.cos(y),
            b * jnp.sin(x) + a * jnp.cos(z),
            c * jnp.sin(y) + b * jnp.cos(x),
        )


class DoubleGyre(Flow):
    """A time-dependent fluid flow exhibiting Lagrangian coherent structures.

        a = ε sin(z)
        b = 1 − 2ε sin(z)
        f = ax² + bx
        ẋ = −απ sin(πf)·cos(πy)
        ẏ = απ cos(πf)·sin(πy)·(2ax + b)
        ż = ω

    Source: Shadden, Lekien, Marsden (2005). Definition and properties of Lagrangian
    coherent structures from finite-time Lyapunov exponents in two-dimensional aperiodic
    flows. Physica D.
    """

    alpha: ScalarLike = 0.1
    eps: ScalarLike = 0.1
    omega: ScalarLike = 0.62832
    start = point(1.5327241, 0.99802126, 3879.3323)
    period = 13.953
    pairs = True

    @staticmethod
    def rates(state, alpha, eps, omega):
        x, y, z = state
        a = eps * jnp.sin(z)
        b = 1 - 2 * eps * jnp.sin(z)
        f = a * x**2 + b * x
        return (
            -alpha * jnp.pi * jnp.sin(jnp.pi * f) * jnp.cos(jnp.pi * y),
            alpha
            * jnp.pi
            * jnp.cos(jnp.pi * f)
            * jnp.sin(jnp.pi * y)
            * (2 * a * x + b),
            omega,
        )


class OscillatingFlow(Flow):
    """A model fluid flow that produces KAM tori. Original parameters have been rescaled
    by k.

        f = x + b sin(z)
        ẋ = u cos(ky)·sin(kf)
        ẏ = −u sin(ky)·cos(kf)
        ż = ω

    Source: T. H. Solomon and J. P. Gollub, Phys. Rev. A 38, 6280 (1988).
    """

    b: ScalarLike = 0.48
    k: ScalarLike = 1.0
    omega: ScalarLike = 0.49
    u: ScalarLike = 0.72
    start = point(3.14159265, 1.04719755, 0.4)
    period = 23.857
    pairs = True

    @staticmethod
    def rates(state, b, k, omega, u):
        x, y, z = state
        f = x + b * jnp.sin(z)
        return (
            u * jnp.cos(k * y) * jnp.sin(k * f),
            -u * jnp.sin(k * y) * jnp.cos(k * f),
            omega,
        )


class BickleyJet(Flow):
    """A zonal jet passing between two counter rotating vortices. A steady Hamiltonian
    with a time-dependent perturbation.

        ẏ = ℓu sech²(y/ℓ) Σᵢ εᵢkᵢ sin(kᵢ(x − σᵢz))
        ẋ = −u sech²(y/ℓ) (1 + 2 tanh(y/ℓ) Σᵢ εᵢ cos(kᵢ(x − σᵢz)))
        ż = ω

    Source: Hadjighasem, Karrasch, Teramoto, Haller (2016). A Spectral Clustering
    Approach to Lagrangian Vortex Detection Phys Rev E.
    """

    ell: ScalarLike = 1.77
    eps: Numbers = (0.0075, 0.15, 0.3)
    k: Numbers = (0.313922, 0.627845, 0.941767)
    omega: ScalarLike = 1.0
    sigma: Numbers = (9.05854e-06, 1.28453e-05, 2.88863e-05)
    u: ScalarLike = 6.266e-05
    start = point(-0.4, 0.3, 0.0)
    period = 97826.57
    pairs = True

    @staticmethod
    def rates(state, ell, eps, k, omega, sigma, u):
        y, x, z = state
        sech2 = 1 / jnp.cosh(y / ell) ** 2
        phase = k * (x - z * sigma)
        along = -1 - 2 * jnp.sum(eps * jnp.cos(phase)) * jnp.tanh(y / ell)
        across = ell * jnp.sum(eps * k * jnp.sin(phase))
        return u * sech2 * across, u * sech2 * along, omega


class BlinkingRotlet(Flow):
    """The location of the mixer is chosen so that there is a stagnation point at its
    symmetric complement. Solution is given in polar coordinates (r, theta).

        ṙ = σ(w v₁ + (1 − w)v₂),  θ̇ = σ(w ω₁ + (1 − w)ω₂)/r,  ṫ = 1
        (v, ω)₁,₂ = rotlet(r, θ; a, ±b, bc),  w = ½ + ½ tanh(20 τ sin(2πt/τ))

    Source: Meleshko & Aref. A blinking rotlet model for chaotic advection. Physics of
    Fluids 1996. See also Tallapragada and Sudarsanam PRE 2019.
    """

    a: ScalarLike = 1.0
    b: ScalarLike = 0.5298833894399929
    bc: ScalarLike = 1.0
    sigma: ScalarLike = -1.0
    tau: ScalarLike = 3.0
    start = point(-0.08541919, -0.05204435, 0.0)
    period = 2.9520625
    pairs = True

    @staticmethod
    def rates(state, a, b, bc, sigma, tau):
        return blinking(state, a, b, bc, sigma, tau)


class BlinkingVortex(Flow):
    """A classic minimal chaotic mixing flow. Solution is given in polar coordinates (r,
    theta).

        ṙ = σ(w v₁ + (1 − w)v₂),  θ̇ = σ(w ω₁ + (1 − w)ω₂)/r,  ṫ = 1
        (v, ω)₁,₂ = rotlet(r, θ; a, ±b, bc),  w = ½ + ½ tanh(20 τ sin(2πt/τ))

    Source: Aref (1984). Stirring by chaotic advection. J. Fluid Mechanics.
    """

    a: ScalarLike = 1.0
    b: ScalarLike = 0.5
    bc: ScalarLike = 0.0
    sigma: ScalarLike = -1.0
    tau: ScalarLike = 3.0
    start = point(-0.08541919, -0.05204435, 0.0)
    period = 2.7616666666666667
    pairs = True

    @staticmethod
    def rates(state, a, b, bc, sigma, tau):
        return blinking(state, a, b, bc, sigma, tau)


class LidDrivenCavityFlow(Flow):
    """A two-dimensional flow alternately driven by translation of the left and right
    walls.

        (ẋ, ẏ) = w v(x, y; u₁, u₂) + (1 − w) v(x, y; −u₁, u₂),  ṫ = 1
        w = ½ + ½ tanh(20 τ sin(2πt/τ)),  v = Σ_{k = π, 2π} uₖ vₖ, see `lid`

    Source: Grover et al. Chaos (2012). Topological chaos, braiding and bifurcation of
    almost-cyclic sets.
    """

    a: ScalarLike = 6.0
    b: ScalarLike = 1.0
    tau: ScalarLike = 1.1
    u1: ScalarLike = 9.92786
    u2: ScalarLike = 8.34932
    start = point(3.966790341130254, 0.18425981346720144, 0.0)
    period = 2.7333134945588955
    pairs = True

    @staticmethod
    def rates(state, a, b, tau, u1, u2):
        x, y, t = state
        weight = switched(t, tau)
        x1, y1 = lid(x, y, a, b, u1, u2)
        x2, y2 = lid(x, y, a, b, -u1, u2)
        return weight * x1 + (1 - weight) * x2, weight * y1 + (1 - weight) * y2, 1.0


class InteriorSquirmer(Flow):
    """Boundary-driven flow of a viscous fluid within a cylinder. Any slip boundary
    condition can be used, as long as it is parametrized by its Fourier coefficients.

        ṙ = Σₙ (gₙ′ cos nθ + aₙ′ sin nθ) n rⁿ⁻¹ (r² − 1)
        θ̇ = Σₙ (2r + n(r² − 1)/r) (aₙ′ cos nθ − gₙ′ sin nθ) rⁿ⁻¹
        ṫ = 1,  a′ = wa,  g′ = (1 − w)g,  w = ½ + ½ tanh(20 τ sin(2πt/τ))

    Source: Blake, J. R. Self propulsion due to oscillations on the surface of a
    cylinder at low Reynolds number. AMS Bulletin 1971.
    """

    a: Numbers = (0.5, 0.5, 0.5, 0.5, 0.5)
    g: Numbers = (0.5, 0.5, 0.5, 0.5, 0.5)
    tau: ScalarLike = 3.0
    start = point(0.1, 0.1, 0.1)
    period = 28.822573200111794
    pairs = True

    @staticmethod
    def rates(state, a, g, tau):
        r, theta, t = state
        weight = switched(t, tau)
        a, g = a * weight, g * (1 - weight)
        n = jnp.arange(1, a.size + 1).astype(r.dtype)
        sine, cosine, power = jnp.sin(n * theta), jnp.cos(n * theta), r**n
        along = (g * cosine + a * sine) * n * power * (r**2 - 1) / r
        around = (2 * r + (r**2 - 1) * n / r) * (a * cosine - g * sine) * power
        return jnp.sum(along), jnp.sum(around) / r, 1.0


class FluidTrampoline(Flow):
    """A droplet bouncing on a horizontal soap film.

        ẋ = y
        ẏ = −1 − H(−x)·(x + ψy|y|) + γ cos(θ)
        θ̇ = w

    Source: Gilet, Bush. The fluid trampoline: droplets bouncing on a soap film. JFM
    2009.
    """

    gamma: ScalarLike = 1.82
    psi: ScalarLike = 0.01019
    w: ScalarLike = 1.21
    start = point(-0.65820064, -2.8807787, 0.1)
    period = 7.7351
    smooth = False

    @staticmethod
    def rates(state, gamma, psi, w):
        x, y, th = state
        return (
            y,
            -1
            - jnp.heaviside(-x, 0) * (x + psi * y * jnp.abs(y))
            + gamma * jnp.cos(th),
            w,
        )


class MooreSpiegel(Flow):
    """A thermo-mechanical oscillator.

        ẋ = y
        ẏ = az
        ż = −z + εy − yx² − bx

    Source: Moore, Spiegel. A Thermally Excited Nonlinear Oscillator, Ap. J., 143, 871
    (1966).
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 4.0
    eps: ScalarLike = 9.0
    start = point(-3.4733266, 19.666962, -3.8262485)
    period = 1.2887

    @staticmethod
    def rates(state, a, b, eps):
        x, y, z = state
        return y, a * z, -z + eps * y - y * x**2 - b * x


class RikitakeDynamo(Flow):
    """Electric current and magnetic field of two coupled disk dynamos.

        ẋ = −μx + yz
        ẏ = −μy − ax + xz
        ż = 1 − xy

    Source: Rikitake, T., Oscillations of a system of disk dynamos, Mathematical
    Proceedings of the Cambridge Philosophical Society, 1958.
    """

    a: ScalarLike = 1.0
    mu: ScalarLike = 1.0
    start = point(-0.7791562791136255, -0.6302244598741468, 2.671200187214492)
    period = 5.8975

    @staticmethod
    def rates(state, a, mu):
        x, y, z = state
        return -mu * x + y * z, -mu * y - a * x + x * z, 1 - x * y


class WindmiReduced(Flow):
    """Energy transfer into the ionosphere and magnetosphere by the solar wind. The
    parameter vsw controls the onset of chaos.

        i̇ = a₁(vsw − v)
        v̇ = b₁i − b₂p¹/2 − b₃v
        ṗ = vsw² − p^(5/4)·vsw^(1/2)·(1 + tanh(d₁(i − 1)))/2

    Source: Smith, Thiffeault, Horton. J Geophys Res. 2000. Horton, Weigel, Sprott.
    Chaos 2001.
    """

    a1: ScalarLike = 0.247
    b1: ScalarLike = 10.8
    b2: ScalarLike = 0.0752
    b3: ScalarLike = 1.06
    d1: ScalarLike = 2200.0
    vsw: ScalarLike = 5.0
    start = point(0.93337506, 6.2678923, 41.969547)
    period = 4.6733
    resolution = 2000

    @staticmethod
    def rates(state, a1, b1, b2, b3, d1, vsw):
        i, v, p = state
        return (
            a1 * (vsw - v),
            b1 * i - b2 * p**1 / 2 - b3 * v,
            vsw**2 - p ** (5 / 4) * vsw ** (1 / 2) * (1 + jnp.tanh(d1 * (i - 1))) / 2,
        )
