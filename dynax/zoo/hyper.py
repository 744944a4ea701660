"""Flows with two positive exponents, of four coordinates.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class Qi(Flow):
    """A hyperchaotic system with a wide power spectrum.

        ẋ = ay − ax + yzw
        ẏ = bx + by − xzw
        ż = −cz + xyw
        ẇ = −dw + xyz

    Source: G. Qi, M. A. van Wyk, B. J. van Wyk, and G. Chen, (2008). On a new
    hyperchaotic system. Physics Letters A.
    """

    a: ScalarLike = 45.0
    b: ScalarLike = 10.0
    c: ScalarLike = 1.0
    d: ScalarLike = 10.0
    start = point(
        0.2562042648386667, 0.1956116640569919, 7.259823760387948, 1.3162558970131963
    )
    period = 0.40820999999999996

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return (
            a * y - a * x + y * z * w,
            b * x + b * y - x * z * w,
            -c * z + x * y * w,
            -d * w + x * y * z,
        )


class HyperBao(Flow):
    """Hyperchaos in the Lu system.

        ẋ = ay − ax + w
        ẏ = cy − xz
        ż = xy − bz
        ẇ = ex + dyz

    Source: Bao, Liu (2008). A hyperchaotic attractor coined from the chaotic Lu system.
    Chin. Physics Letters, Vol. 25, pp 2396-2399.
    """

    a: ScalarLike = 36.0
    b: ScalarLike = 3.0
    c: ScalarLike = 20.0
    d: ScalarLike = 0.1
    e: ScalarLike = 21.0
    start = point(
        9.271308063781017, 9.752247178805291, 23.919154915696105, -16.69675939965203
    )
    period = 0.5831505997603473

    @staticmethod
    def rates(state, a, b, c, d, e):
        x, y, z, w = state
        return a * y - a * x + w, c * y - x * z, x * y - b * z, e * x + d * y * z


class HyperCai(Flow):
    """A hyperchaotic variant of the Finance system.

        ẋ = ay − ax
        ẏ = bx + cy − xz + w
        ż = −dz + y²
        ẇ = −ex

    Source: Guoliang, Huang (2007). A New Finance Chaotic Attractor. International
    Journal of Nonlinear Science.
    """

    a: ScalarLike = 27.5
    b: ScalarLike = 3.0
    c: ScalarLike = 19.3
    d: ScalarLike = 2.9
    e: ScalarLike = 3.3
    start = point(
        -10.691273602120157,
        -15.541159376570342,
        18.388272900250726,
        -14.904493939514888,
    )
    period = 0.6113936187028436

    @staticmethod
    def rates(state, a, b, c, d, e):
        x, y, z, w = state
        return a * y - a * x, b * x + c * y - x * z + w, -d * z + y**2, -e * x


class HyperJha(Flow):
    """A hyperchaotic system.

        ẋ = ay − ax + w
        ẏ = −xz + bx − y
        ż = xy − cz
        ẇ = −xz + dw

    Source: Jürgen Meier (2003). Presentation of Attractors with Cinema.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 28.0
    c: ScalarLike = 2.667
    d: ScalarLike = 1.3
    start = point(
        13.76544888070825, 20.203791990082554, 32.08179795423583, -51.189321449994914
    )
    period = 0.8564467295817622

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return a * y - a * x + w, -x * z + b * x - y, x * y - c * z, -x * z + d * w


class HyperLorenz(Flow):
    """A hyperchaotic variant of the Lorenz attractor.

        ẋ = ay − ax + w
        ẏ = −xz + cx − y
        ż = −bz + xy
        ẇ = dw − xz

    Source: Jürgen Meier (2003). Presentation of Attractors with Cinema.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 2.667
    c: ScalarLike = 28.0
    d: ScalarLike = 1.1
    start = point(
        -9.186073735061425, -0.6744570634419695, 16.440536886214517, -145.0243848950473
    )
    period = 1.277546730110058

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return a * y - a * x + w, -x * z + c * x - y, -b * z + x * y, d * w - x * z


class HyperLu(Flow):
    """A hyperchaotic variant of the Lu attractor.

        ẋ = ay − ax + w
        ẏ = −xz + cy
        ż = xy − bz
        ẇ = dw + xz

    Source: Chen, A., Lu, J., Lü, J., & Yu, S. (2006). Generating hyperchaotic Lü
    attractor via state feedback control. Physica A: Statistical Mechanics and its
    Applications, 364, 103-110.
    """

    a: ScalarLike = 36.0
    b: ScalarLike = 3.0
    c: ScalarLike = 20.0
    d: ScalarLike = 1.3
    start = point(8.11348619, 10.55664382, 18.44590719, -28.38151717)
    period = 0.7162856981996777

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return a * y - a * x + w, -x * z + c * y, x * y - b * z, d * w + x * z


class HyperPang(Flow):
    """A hyperchaotic system.

        ẋ = ay − ax
        ẏ = −xz + cy + w
        ż = xy − bz
        ẇ = −dx − dy

    Source: Pang, S., & Liu, Y. (2011). A new hyperchaotic system from the Lü system and
    its control. Journal of Computational and Applied Mathematics, 235(8), 2775-2789.
    """

    a: ScalarLike = 36.0
    b: ScalarLike = 3.0
    c: ScalarLike = 20.0
    d: ScalarLike = 2.0
    start = point(8.40863585, 4.67210241, 27.91032548, -1.26300886)
    period = 0.8439374360017028

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return a * y - a * x, -x * z + c * y + w, x * y - b * z, -d * x - d * y


class HyperQi(Flow):
    """A hyperchaotic variant of the Qi system.

        ẋ = ay − ax + yz
        ẏ = bx + by − xz
        ż = −cz − ew + xy
        ẇ = −dw + fz + xy

    Source: G. Qi, M. A. van Wyk, B. J. van Wyk, and G. Chen, (2008). On a new
    hyperchaotic system. Physics Letters A.
    """

    a: ScalarLike = 50.0
    b: ScalarLike = 24.0
    c: ScalarLike = 13.0
    d: ScalarLike = 8.0
    e: ScalarLike = 33.0
    f: ScalarLike = 30.0
    start = point(
        11.250900857894639, -3.647077762541555, 50.16987924937642, -168.2485185683687
    )
    period = 0.06186038560173437

    @staticmethod
    def rates(state, a, b, c, d, e, f):
        x, y, z, w = state
        return (
            a * y - a * x + y * z,
            b * x + b * y - x * z,
            -c * z - e * w + x * y,
            -d * w + f * z + x * y,
        )


class HyperWang(Flow):
    """A hyperchaotic variant of the Wang system.

        ẋ = ay − ax
        ẏ = −xz + bx + w
        ż = −cz + ex²
        ẇ = −dx

    Source: Wang, Z., Sun, Y., van Wyk, B. J., Qi, G. & van Wyk, M. A (2009). A 3-D
    four-wing attractor and its analysis. Brazilian J. Phys. 39.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 40.0
    c: ScalarLike = 2.5
    d: ScalarLike = 10.6
    e: ScalarLike = 4.0
    start = point(0.16824907, 0.16854103, 37.04033781, -15.29027381)
    period = 0.6481520567576332

    @staticmethod
    def rates(state, a, b, c, d, e):
        x, y, z, w = state
        return a * y - a * x, -x * z + b * x + w, -c * z + e * x**2, -d * x


class HyperXu(Flow):
    """A hyperchaotic system.

        ẋ = ay − ax + w
        ẏ = bx + exz
        ż = −cz − xy
        ẇ = xz − dy

    Source: Letellier & Rossler (2007). Hyperchaos. Scholarpedia 2.8 (2007): 1936.
    """

    a: ScalarLike = 10.0
    b: ScalarLike = 40.0
    c: ScalarLike = 2.5
    d: ScalarLike = 2.0
    e: ScalarLike = 16.0
    start = point(0.68944486, -0.60254126, -0.5814657, 0.26629277)
    period = 1.1328151255687646

    @staticmethod
    def rates(state, a, b, c, d, e):
        x, y, z, w = state
        return a * y - a * x + w, b * x + e * x * z, -c * z - x * y, x * z - d * y


class HyperYan(Flow):
    """A hyperchaotic system.

        ẋ = ay − ax
        ẏ = (c − a)x − xz + cy
        ż = −bz + xy − yz + xz − w
        ẇ = −dw + yz − xz

    Source: Jürgen Meier (2003). Presentation of Attractors with Cinema.
    """

    a: ScalarLike = 37.0
    b: ScalarLike = 3.0
    c: ScalarLike = 26.0
    d: ScalarLike = 38.0
    start = point(
        -6.576620730899293, -4.617145437320736, 17.796515255115004, 0.8072357311545831
    )
    period = 0.9127028626966961

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return (
            a * y - a * x,
            (c - a) * x - x * z + c * y,
            -b * z + x * y - y * z + x * z - w,
            -d * w + y * z - x * z,
        )


class HyperYangChen(Flow):
    """A hyperchaotic system.

        ẋ = ay − ax
        ẏ = cx − xz + w
        ż = −bz + xy
        ẇ = −dx

    Source: Jürgen Meier (2003). Presentation of Attractors with Cinema.
    """

    a: ScalarLike = 30.0
    b: ScalarLike = 3.0
    c: ScalarLike = 35.0
    d: ScalarLike = 8.0
    start = point(
        3.534464234888686, 4.82852516302869, 25.04917588890622, 17.118520274514353
    )
    period = 0.9127028626966961

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return a * y - a * x, c * x - x * z + w, -b * z + x * y, -d * x
