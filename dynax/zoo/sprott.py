"""Simple flows found by search. Cases A to S: Sprott, Phys. Rev. E 50 (1994) R647.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class SprottA(Flow):
    """Sprott's case A, of the nineteen simplest chaotic flows.

    ẋ = y
    ẏ = −x + yz
    ż = 1 − y²
    """

    start = point(1.54131864, 1.43079727, -1.52555412)
    period = 6.3728461538461545
    pairs = True

    @staticmethod
    def rates(state):
        x, y, z = state
        return y, -x + y * z, 1 - y**2


class SprottB(Flow):
    """Sprott's case B, of the nineteen simplest chaotic flows.

    ẋ = yz
    ẏ = x − y
    ż = 1 − xy
    """

    start = point(1.6878282, 1.4848132, -0.53706628)
    period = 11.050142857142857

    @staticmethod
    def rates(state):
        x, y, z = state
        return y * z, x - y, 1 - x * y


class SprottC(Flow):
    """Sprott's case C, of the nineteen simplest chaotic flows.

    ẋ = yz
    ẏ = x − y
    ż = 1 − x²
    """

    start = point(-0.47199823, -0.27198066, 1.9418244)
    period = 8.8852

    @staticmethod
    def rates(state):
        x, y, z = state
        return y * z, x - y, 1 - x**2


class SprottD(Flow):
    """Sprott's case D, of the nineteen simplest chaotic flows.

    ẋ = −y
    ẏ = x + z
    ż = xz + 3y²
    """

    start = point(-1.3396906, -0.21238338, 0.32982163)
    period = 4.8333

    @staticmethod
    def rates(state):
        x, y, z = state
        return -y, x + z, x * z + 3 * y**2


class SprottE(Flow):
    """Sprott's case E, of the nineteen simplest chaotic flows.

    ẋ = yz
    ẏ = x² − y
    ż = 1 − 4x
    """

    start = point(0.6173759, 0.66599285, -1.6575023)
    period = 7.6275

    @staticmethod
    def rates(state):
        x, y, z = state
        return y * z, x**2 - y, 1 - 4 * x


class SprottF(Flow):
    """Sprott's case F, of the nineteen simplest chaotic flows.

    ẋ = y + z
    ẏ = −x + ay
    ż = x² − z
    """

    a: ScalarLike = 0.5
    start = point(-0.98941275, -1.4191706, 0.85797204)
    period = 19.244

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return y + z, -x + a * y, x**2 - z


class SprottG(Flow):
    """Sprott's case G, of the nineteen simplest chaotic flows.

    ẋ = ax + z
    ẏ = xz − y
    ż = −x + y
    """

    a: ScalarLike = 0.4
    start = point(-0.77182478, -0.74756595, 1.3073285)
    period = 8.7097

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return a * x + z, x * z - y, -x + y


class SprottH(Flow):
    """Sprott's case H, of the nineteen simplest chaotic flows.

    ẋ = −y + z²
    ẏ = x + ay
    ż = x − z
    """

    a: ScalarLike = 0.5
    start = point(-1.360042, 0.62585352, -1.2788196)
    period = 20.229

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return -y + z**2, x + a * y, x - z


class SprottI(Flow):
    """Sprott's case I, of the nineteen simplest chaotic flows.

    ẋ = −ay
    ẏ = x + z
    ż = x + y² − z
    """

    a: ScalarLike = 0.2
    start = point(-0.060099389, -0.49558355, 0.023159035)
    period = 10.93

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return -a * y, x + z, x + y**2 - z


class SprottJ(Flow):
    """Sprott's case J, of the nineteen simplest chaotic flows.

    ẋ = 2z
    ẏ = −2y + z
    ż = −x + y + y²
    """

    start = point(4.4786928, 2.2977432, 6.5847115)
    period = 4.836

    @staticmethod
    def rates(state):
        x, y, z = state
        return 2 * z, -2 * y + z, -x + y + y**2


class SprottK(Flow):
    """Sprott's case K, of the nineteen simplest chaotic flows.

    ẋ = xy − z
    ẏ = x − y
    ż = x + az
    """

    a: ScalarLike = 0.3
    start = point(-1.3165015, -1.5429951, 0.664053)
    period = 7.006

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return x * y - z, x - y, x + a * z


class SprottL(Flow):
    """Sprott's case L, of the nineteen simplest chaotic flows.

    ẋ = y + bz
    ẏ = ax² − y
    ż = 1 − x
    """

    a: ScalarLike = 0.9
    b: ScalarLike = 3.9
    start = point(4.3611557, 13.705573, -2.6835659)
    period = 6.7262

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return y + b * z, a * x**2 - y, 1 - x


class SprottM(Flow):
    """Sprott's case M, of the nineteen simplest chaotic flows.

    ẋ = −z
    ẏ = −x² − y
    ż = a + ax + y
    """

    a: ScalarLike = 1.7
    start = point(1.6024402, -1.5983203, -2.6236374)
    period = 5.3644

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return -z, -(x**2) - y, a + a * x + y


class SprottN(Flow):
    """Sprott's case N, of the nineteen simplest chaotic flows.

    ẋ = −2y
    ẏ = x + z²
    ż = 1 + y − 2z
    """

    start = point(-8.3258705, 7.3033716, 3.2798909)
    period = 4.8135

    @staticmethod
    def rates(state):
        x, y, z = state
        return -2 * y, x + z**2, 1 + y - 2 * z


class SprottO(Flow):
    """Sprott's case O, of the nineteen simplest chaotic flows.

    ẋ = y
    ẏ = x − z
    ż = x + xz + ay
    """

    a: ScalarLike = 2.7
    start = point(0.20549455, 0.022792985, 0.93636949)
    period = 9.755

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return y, x - z, x + x * z + a * y


class SprottP(Flow):
    """Sprott's case P, of the nineteen simplest chaotic flows.

    ẋ = ay + z
    ẏ = −x + y²
    ż = x + y
    """

    a: ScalarLike = 2.7
    start = point(0.83420675, 0.14915817, 0.44028635)
    period = 5.3414

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return a * y + z, -x + y**2, x + y


class SprottQ(Flow):
    """Sprott's case Q, of the nineteen simplest chaotic flows.

    ẋ = −z
    ẏ = x − y
    ż = ax + y² + bz
    """

    a: ScalarLike = 3.1
    b: ScalarLike = 0.5
    start = point(2.978102, -0.065260683, -2.8031286)
    period = 4.8443

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return -z, x - y, a * x + y**2 + b * z


class SprottR(Flow):
    """Sprott's case R, of the nineteen simplest chaotic flows.

    ẋ = a − y
    ẏ = b + z
    ż = xy − z
    """

    a: ScalarLike = 0.9
    b: ScalarLike = 0.4
    start = point(-1.6914909, -1.9783678, 1.9807775)
    period = 7.0133

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return a - y, b + z, x * y - z


class SprottS(Flow):
    """Sprott's case S, of the nineteen simplest chaotic flows.

    ẋ = −x − 4y
    ẏ = x + z²
    ż = 1 + x
    """

    start = point(0.12635702, 0.12260693, 1.2215429)
    period = 3.3505

    @staticmethod
    def rates(state):
        x, y, z = state
        return -x - 4 * y, x + z**2, 1 + x
