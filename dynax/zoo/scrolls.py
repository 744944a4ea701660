"""Designed attractors with scrolls and wings, of three coordinates.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class Aizawa(Flow):
    """A torus-like attractor related to the forced Lorenz system.

        ẋ = xz − bx − dy
        ẏ = dx + yz − by
        ż = c + az − z³/3 − x² − y² − ezx² − ezy² + fzx³

    Source: Aizawa, Yoji, and Tatsuya Uezu (1982). Topological Aspects in Chaos and in 2
    k-Period Doubling Cascade. Progress of Theoretical Physics 67.3 (1982): 982-985. See
    also Langford (1984). Numerical studies of torus bifurcations. Numerical Methods for
    Bifurcation Problems. Birkhauser, Basel, 1984. 285-295.
    """

    a: ScalarLike = 0.95
    b: ScalarLike = 0.7
    c: ScalarLike = 0.6
    d: ScalarLike = 3.5
    e: ScalarLike = 0.25
    f: ScalarLike = 0.1
    start = point(-0.78450179, -0.62887672, -0.17620268)
    period = 2.5837

    @staticmethod
    def rates(state, a, b, c, d, e, f):
        x, y, z = state
        return (
            x * z - b * x - d * y,
            d * x + y * z - b * y,
            c
            + a * z
            - z**3 / 3
            - x**2
            - y**2
            - e * z * x**2
            - e * z * y**2
            + f * z * x**3,
        )


class GuckenheimerHolmes(Flow):
    """A nonlinear oscillator.

        ẋ = ax − by + czx + dzx² + dzy²
        ẏ = ay + bx + czy
        ż = e − z² − fx² − fy² − az³

    Source: Guckenheimer, John, and Philip Holmes (1983). Nonlinear oscillations,
    dynamical systems, and bifurcations of vector fields. Vol. 42. Springer Science &
    Business Media.
    """

    a: ScalarLike = 0.4
    b: ScalarLike = 20.25
    c: ScalarLike = 3.0
    d: ScalarLike = 1.6
    e: ScalarLike = 1.7
    f: ScalarLike = 0.44
    start = point(-0.55582369, 0.05181624, 0.37766104)
    period = 0.3076923076923077

    @staticmethod
    def rates(state, a, b, c, d, e, f):
        x, y, z = state
        return (
            a * x - b * y + c * z * x + d * z * x**2 + d * z * y**2,
            a * y + b * x + c * z * y,
            e - z**2 - f * x**2 - f * y**2 - a * z**3,
        )


class RabinovichFabrikant(Flow):
    """A reduced-order model of propagating waves in nonequilibrium media.

        ẋ = yz − y + yx² + gx
        ẏ = 3xz + x − x³ + gy
        ż = −2az − 2xyz

    Source: Rabinovich, Mikhail I.; Fabrikant, A. L. (1979). Stochastic Self-Modulation
    of Waves in Nonequilibrium Media. Sov. Phys. JETP.
    """

    a: ScalarLike = 1.1
    g: ScalarLike = 0.87
    start = point(-1.8207276, 0.83440917, 0.2078248)
    period = 2.3356

    @staticmethod
    def rates(state, a, g):
        x, y, z = state
        return (
            y * z - y + y * x**2 + g * x,
            3 * x * z + x - x**3 + g * y,
            -2 * a * z - 2 * x * y * z,
        )


class PehlivanWei(Flow):
    """A system with quadratic nonlinearity, which undergoes Hopf bifurcations of
    codimension 1 and 2.

        ẋ = y − yz
        ẏ = y + yz − 2x
        ż = 2 − xy − y²

    Source: Pehlivan, Ihsan, and Wei Zhouchao (2012). Analysis, nonlinear control, and
    chaos generator circuit of another strange chaotic system.
    """

    start = point(0.21665608, 0.86710502, 0.50627859)
    period = 3.7487330316742087

    @staticmethod
    def rates(state):
        x, y, z = state
        return y - y * z, y + y * z - 2 * x, 2 - x * y - y**2


class BurkeShaw(Flow):
    """A scroll-like attractor with unique symmetry along the z axis.

        ẋ = −nx − ny
        ẏ = y − nxz
        ż = nxy + e

    Source: Shaw (1981). Zeitschrift fur Naturforschung.
    """

    e: ScalarLike = 13.0
    n: ScalarLike = 10.0
    start = point(-0.79153188, 0.65244479, 0.22517831)
    period = 0.78333

    @staticmethod
    def rates(state, e, n):
        x, y, z = state
        return -n * x - n * y, y - n * x * z, n * x * y + e


class Sakarya(Flow):
    """An attractor that arises due to merging of two disjoint bistable attractors.

        ẋ = ax + hy + syz
        ẏ = −by − px + qxz
        ż = cz − rxy

    Source: Li, Chunbiao, et al (2015). A novel four-wing strange attractor born in
    bistability. IEICE Electronics Express 12.4.
    """

    a: ScalarLike = -1.0
    b: ScalarLike = 1.0
    c: ScalarLike = 1.0
    h: ScalarLike = 1.0
    p: ScalarLike = 1.0
    q: ScalarLike = 0.4
    r: ScalarLike = 0.3
    s: ScalarLike = 1.0
    start = point(-2.8976045, 3.8877978, 3.07465)
    period = 4.9844

    @staticmethod
    def rates(state, a, b, c, h, p, q, r, s):
        x, y, z = state
        return a * x + h * y + s * y * z, -b * y - p * x + q * x * z, c * z - r * x * y


class LiuChen(Flow):
    """Derived from Sakarya.

        ẋ = ax + hy + syz
        ẏ = −by − px + qxz
        ż = cz − rxy

    Source: Liu, Chen. Int J Bifurcat Chaos. 2004: 1395-1403.
    """

    a: ScalarLike = 0.4
    b: ScalarLike = 12.0
    c: ScalarLike = -5.0
    h: ScalarLike = 0.0
    p: ScalarLike = 0.0
    q: ScalarLike = -1.0
    r: ScalarLike = 1.0
    s: ScalarLike = 1.0
    start = point(4.6722764, 5.2437205e-10, -6.4444208e-10)
    period = 8.0164

    @staticmethod
    def rates(state, a, b, c, h, p, q, r, s):
        x, y, z = state
        return a * x + h * y + s * y * z, -b * y - p * x + q * x * z, c * z - r * x * y


class LuChen(Flow):
    """A system that switches shapes between the Lorenz and Chen attractors as the
    parameter c is varied from 12.7 to 28.5. Also called the Chen Celikovsky attractor.

        ẋ = ay − ax
        ẏ = −xz + cy
        ż = xy − bz

    Source: Lu, Chen. Int J Bifurcat Chaos. 2002: 659-661.
    """

    a: ScalarLike = 36.0
    b: ScalarLike = 3.0
    c: ScalarLike = 18.0
    start = point(10.956479, 9.8813092, 22.676714)
    period = 2.3385

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return a * y - a * x, -x * z + c * y, x * y - b * z


class LuChenCheng(Flow):
    """A four scroll attractor that reduces to Lorenz-like dynamics under bifurcations.

        ẋ = (−ab/(a + b))x − yz + c
        ẏ = ay + xz
        ż = bz + xy

    Source: Lu, Chen, Cheng. Int J Bifurcat Chaos. 2004: 1507--1537.
    """

    a: ScalarLike = -10.0
    b: ScalarLike = -4.0
    c: ScalarLike = 18.1
    start = point(-5.5177615, 2.4990595, 10.461798)
    period = 0.92333

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return -(a * b) / (a + b) * x - y * z + c, a * y + x * z, b * z + x * y


class QiChen(Flow):
    """A double-wing chaotic attractor that arises from two bistable attractors. The
    system has quadratic nonlinearity.

        ẋ = ay − ax + yz
        ẏ = cx + y − xz
        ż = xy − bz

    Source: Qi et al. Chaos, Solitons & Fractals 2008.
    """

    a: ScalarLike = 38.0
    b: ScalarLike = 2.666
    c: ScalarLike = 80.0
    start = point(17.420882, 5.5459627, 78.89139)
    period = 0.39179

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return a * y - a * x + y * z, c * x + y - x * z, x * y - b * z


class WangSun(Flow):
    """A four-scroll attractor.

        ẋ = ax + qyz
        ẏ = bx + dy − xz
        ż = ez + fxy

    Source: Wang, Z., Sun, Y., van Wyk, B. J., Qi, G. & van Wyk, M. A (2009). A 3-D
    four-wing attractor and its analysis. Brazilian J. Phys. 39.
    """

    a: ScalarLike = 0.2
    b: ScalarLike = -0.01
    d: ScalarLike = -0.4
    e: ScalarLike = -1.0
    f: ScalarLike = -1.0
    q: ScalarLike = 1.0
    start = point(-0.54770787, 0.73876479, -0.0049284531)
    period = 26.958

    @staticmethod
    def rates(state, a, b, d, e, f, q):
        x, y, z = state
        return a * x + q * y * z, b * x + d * y - x * z, e * z + f * x * y


class DequanLi(Flow):
    """Related to the Three Scroll unified attractor TSUCS-2.

        ẋ = ay − ax + dxz
        ẏ = kx + fy − xz
        ż = cz + xy − εx²

    Source: Li, Phys Lett A. 2008: 387-393.
    """

    a: ScalarLike = 40.0
    c: ScalarLike = 1.833
    d: ScalarLike = 0.16
    eps: ScalarLike = 0.65
    f: ScalarLike = 20.0
    k: ScalarLike = 55.0
    start = point(-11.395722, -104.12614, 202.46173)
    period = 0.083806

    @staticmethod
    def rates(state, a, c, d, eps, f, k):
        x, y, z = state
        return (
            a * y - a * x + d * x * z,
            k * x + f * y - x * z,
            c * z + x * y - eps * x**2,
        )


class PanXuZhou(Flow):
    """A named attractor related to the DequanLi attractor.

        ẋ = ay − ax + dxz
        ẏ = kx + fy − xz
        ż = cz + xy − εx²

    Source: Zhou, Wuneng, et al. On dynamics analysis of a new chaotic attractor.
    Physics Letters A 372.36 (2008): 5773-5777.
    """

    a: ScalarLike = 10.0
    c: ScalarLike = -2.6667
    d: ScalarLike = 0.0
    eps: ScalarLike = 0.0
    f: ScalarLike = 0.0
    k: ScalarLike = 16.0
    start = point(-3.03805747, -1.98052429, 14.65665869)
    period = 1.7829
    rates = staticmethod(DequanLi.rates)


class Tsucs2(Flow):
    """A named attractor related to the DequanLi attractor.

        ẋ = ay − ax + dxz
        ẏ = kx + fy − xz
        ż = cz + xy − εx²

    Source: Pan, Zhou, Li (2013). Synchronization of Three-Scroll Unified Chaotic System
    (TSUCS) and its hyper-chaotic system using active pinning control.
    """

    a: ScalarLike = 40.0
    c: ScalarLike = 0.833
    d: ScalarLike = 0.5
    eps: ScalarLike = 0.65
    f: ScalarLike = 20.0
    k: ScalarLike = 0.0
    start = point(1.2969944, 1.12138, 50.028988)
    period = 0.34526
    rates = staticmethod(DequanLi.rates)
