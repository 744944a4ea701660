"""Electronic circuits, lasers and control.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import Numbers, ScalarLike
from dynax.zoo._base import Flow, point


def clamp(x):
    """x between −1 and 1."""
    return 0.5 * (jnp.abs(x + 1) - jnp.abs(x - 1))


class Chua(Flow):
    """An electronic circuit with a diode providing negative resistance.

        ramp_x = m₁x + 0.5(m₀ − m₁)(|x + 1| − |x − 1|)
        ẋ = α(y − x − ramp_x)
        ẏ = x − y + z
        ż = −βy

    Source: Chua, L. O. (1969) Introduction to Nonlinear Network Theory, McGraw-Hill,
    New York.
    """

    alpha: ScalarLike = 15.6
    beta: ScalarLike = 28.0
    m0: ScalarLike = -1.142857
    m1: ScalarLike = -0.71429
    start = point(1.1262351, -0.11386474, -0.78324421)
    period = 1.4235
    smooth = False

    @staticmethod
    def rates(state, alpha, beta, m0, m1):
        x, y, z = state
        ramp_x = m1 * x + 0.5 * (m0 - m1) * (jnp.abs(x + 1) - jnp.abs(x - 1))
        return alpha * (y - x - ramp_x), x - y + z, -beta * y


class MultiChua(Flow):
    """Multiple interacting Chua electronic circuits.

        ẋ = a(y − g(x))
        ẏ = x − y + z
        ż = −by
        g(x) = m₅x + ½ Σᵢ (mᵢ₋₁ − mᵢ)(|x + cᵢ| − |x − cᵢ|)

    Source: Mufcstak E. Yalcin, Johan A. K. Suykens, Joos Vandewalle. Cellular Neural
    Networks, Multi-Scroll Chaos And Synchronization.
    """

    a: ScalarLike = 9.0
    b: ScalarLike = 14.286
    c: Numbers = (0.0, 1.0, 2.15, 3.6, 8.2, 13.0)
    m: Numbers = (
        -0.14285714,
        0.28571429,
        -0.57142857,
        0.28571429,
        -0.57142857,
        0.28571429,
    )
    start = point(-21.160123, 1.0322356, 27.405269)
    period = 2.2586
    smooth = False

    @staticmethod
    def rates(state, a, b, c, m):
        x, y, z = state
        steps = (m[:-1] - m[1:]) * (jnp.abs(x + c[1:]) - jnp.abs(x - c[1:]))
        diode = m[-1] * x + 0.5 * jnp.sum(steps)
        return a * (y - diode), x - y + z, -b * y


class JerkCircuit(Flow):
    """An electronic circuit with nonlinearity provided by a diode.

        ẋ = y
        ẏ = z
        ż = −z − x − ε(exp(y/y₀) − 1)

    Source: Sprott (2011). A new chaotic jerk circuit. IEEE Circ. Sys. 2011.
    """

    eps: ScalarLike = 1e-09
    y0: ScalarLike = 0.026
    start = point(-1.300882, 0.065382947, 0.91801911)
    period = 19.4546
    resolution = 2000

    @staticmethod
    def rates(state, eps, y0):
        x, y, z = state
        return y, z, -z - x - eps * (jnp.exp(y / y0) - 1)


class Colpitts(Flow):
    """An electrical circuit used as a signal generator.

        u = z − (e − 1)
        fz = −u(1 − H(u))
        ẋ = y − a·fz
        ẏ = c − x − by − z
        ż = y − dz

    Source: Kennedy (2007). IEEE Trans Circuits & Systems. 1994: 771-774. Li, Zhou,
    Yang. Chaos, Solitons, & Fractals.
    """

    a: ScalarLike = 30.0
    b: ScalarLike = 0.8
    c: ScalarLike = 20.0
    d: ScalarLike = 0.08
    e: ScalarLike = 10.0
    start = point(8.9389043, 0.64637337, 8.7869304)
    period = 4.2676
    smooth = False

    @staticmethod
    def rates(state, a, b, c, d, e):
        x, y, z = state
        u = z - (e - 1)
        fz = -u * (1 - jnp.heaviside(u, 0))
        return y - a * fz, c - x - b * y - z, y - d * z


class AnishchenkoAstakhov(Flow):
    """Stochastic resonance in forced oscillators.

        ẋ = μx + y − xz
        ẏ = −x
        ż = −ηz + η H(x)·x²

    Source: Anishchenko, et al. Nonlinear dynamics of chaotic and stochastic systems:
    tutorial and modern developments. 2007.
    """

    eta: ScalarLike = 0.5
    mu: ScalarLike = 1.2
    start = point(3.6225814, 3.3226339, 1.9973142)
    period = 6.814
    smooth = False

    @staticmethod
    def rates(state, eta, mu):
        x, y, z = state
        return mu * x + y - x * z, -x, -eta * z + eta * jnp.heaviside(x, 0) * x**2


class Laser(Flow):
    """A semiconductor laser model.

        ẋ = ay − ax + byz²
        ẏ = cx + dxz²
        ż = hz + kx²

    Source: Abooee, Yaghini-Bonabi, Jahed-Motlagh (2013). Analysis and circuitry
    realization of a novel three-dimensional chaotic system. Comm Nonline Sci 2013.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 1.0
    c: ScalarLike = 5.0
    d: ScalarLike = -1.0
    h: ScalarLike = -5.0
    k: ScalarLike = -6.0
    start = point(-2.540801356216252, -1.940570579119389, -2.9680975444071955)
    period = 0.94667

    @staticmethod
    def rates(state, a, b, c, d, h, k):
        x, y, z = state
        return a * y - a * x + b * y * z**2, c * x + d * x * z**2, h * z + k * x**2


class GenesioTesi(Flow):
    """A nonlinear control system with feedback.

        ẋ = y
        ẏ = z
        ż = −cx − by − az + x²

    Source: Genesio, Tesi (1992). Harmonic balance methods for the analysis of chaotic
    dynamics in nonlinear systems. Automatica 28.3 (1992): 531-548.
    """

    a: ScalarLike = 0.44
    b: ScalarLike = 1.1
    c: ScalarLike = 1.0
    start = point(-0.053772565, -0.26162564, 0.33501557)
    period = 5.9431

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return y, z, -c * x - b * y - a * z + x**2


class Chen(Flow):
    """A system based on feedback anti-control in engineering.

        ẋ = ay − ax
        ẏ = (c − a)x − xz + cy
        ż = xy − bz

    Source: Chen (1997). Proc. First Int. Conf. Control of Oscillations and Chaos.
    """

    a: ScalarLike = 35.0
    b: ScalarLike = 3.0
    c: ScalarLike = 28.0
    start = point(3.2689697, 5.2990458, 19.435349)
    period = 0.58689

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return a * y - a * x, (c - a) * x - x * z + c * y, x * y - b * z


class Dadras(Flow):
    """An electronic circuit capable of producing multiple attractors under
    bifurcations.

        ẋ = y − px + oyz
        ẏ = ry − xz + z
        ż = cxy − ez

    Source: S Dadras, HR Momeni (2009). A novel three-dimensional autonomous chaotic
    system generating two, three and four-scroll attractors. Physics Letters A.
    """

    c: ScalarLike = 2.0
    e: ScalarLike = 9.0
    o: ScalarLike = 2.7
    p: ScalarLike = 3.0
    r: ScalarLike = 1.7
    start = point(1.0284085, -3.5348655, -0.72081646)
    period = 3.2886

    @staticmethod
    def rates(state, c, e, o, p, r):
        x, y, z = state
        return y - p * x + o * y * z, r * y - x * z + z, c * x * y - e * z


class YuWang(Flow):
    """A temperature-compensation circuit with an operational amplifier.

        ẋ = a(y − x)
        ẏ = bx − cxz
        ż = exp(xy) − dz

    Source: Yu, Wang (2012). A novel three dimension autonomous chaotic system with a
    quadratic exponential nonlinear term. Eng Techn & Applied Science Research.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 40.0
    c: ScalarLike = 2.0
    d: ScalarLike = 2.5
    start = point(-0.21422356, -0.17935495, 14.105516)
    period = 1.3366

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z = state
        return a * (y - x), b * x - c * x * z, jnp.exp(x * y) - d * z


class YuWang2(Flow):
    """An alternative temperature-compensation circuit with an operational amplifier.

        ẋ = a(y − x)
        ẏ = bx − cxz
        ż = cosh(xy) − dz

    Source: Yu, Wang (2012). A novel three dimension autonomous chaotic system with a
    quadratic exponential nonlinear term. Eng Techn & Applied Science Research.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 30.0
    c: ScalarLike = 2.0
    d: ScalarLike = 2.5
    start = point(0.12581483, 1.2467348, 18.358568)
    period = 0.39265

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z = state
        return a * (y - x), b * x - c * x * z, jnp.cosh(x * y) - d * z


class SanUmSrisuchinwong(Flow):
    """A two-scroll attractor arising from dynamical equations with piecewise
    nonlinearities. Equivalent to the Wimol-Banlue system.

        ẋ = y − x
        ẏ = −z tanh(x)
        ż = −a + xy + |y|

    Source: San-Um, Srisuchinwong. J. Comp 2012.
    """

    a: ScalarLike = 2.0
    start = point(0.63878078, 1.0901873, 2.4479814)
    period = 7.4654
    smooth = False

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return y - x, -z * jnp.tanh(x), -a + x * y + jnp.abs(y)


class ZhouChen(Flow):
    """A feedback circuit model.

        ẋ = ax + by + yz
        ẏ = cy − xz + dyz
        ż = ez − xy

    Source: Zhou, Chen (2004). A simple smooth chaotic system with a 3-layer attractor.
    Int J Bifurcat Chaos, 2004.
    """

    a: ScalarLike = 2.97
    b: ScalarLike = 0.15
    c: ScalarLike = -3.0
    d: ScalarLike = 1.0
    e: ScalarLike = -8.78
    start = point(-0.60390203, 0.012111953, 0.00083277923)
    period = 0.87518

    @staticmethod
    def rates(state, a, b, c, d, e):
        x, y, z = state
        return a * x + b * y + y * z, c * y - x * z + d * y * z, e * z - x * y


class CellularNeuralNetwork(Flow):
    """Cellular neural network dynamics.

        ẋ = −x + df(x) − bf(y) − bf(z)
        ẏ = −y − bf(x) + cf(y) − af(z)
        ż = −z − bf(x) + af(y) + f(z)
        f(x) = ½(|x + 1| − |x − 1|)

    Source: Arena, Caponetto, Fortuna, and Porto., Int J Bifurcat Chaos. 1998:
    1527-1539.
    """

    a: ScalarLike = 4.4
    b: ScalarLike = 3.21
    c: ScalarLike = 1.1
    d: ScalarLike = 1.24
    start = point(-0.26574016, -0.36754928, -0.073094132)
    period = 3.2
    resolution = 2000
    smooth = False

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z = state
        f, g, h = clamp(x), clamp(y), clamp(z)
        return (
            -x + d * f - b * g - b * h,
            -y - b * f + c * g - a * h,
            -z - b * f + a * g + h,
        )
