"""Populations, food webs and markets.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import Numbers, ScalarLike
from dynax.zoo._base import Flow, point


class Arneodo(Flow):
    """A modified Lotka-Volterra ecosystem, also known as the ACT attractor.

        ẋ = y
        ẏ = z
        ż = −ax − by − cz + dx³

    Source: Arneodo, A., Coullet, P. & Tresser, C. Occurence of strange attractors in
    three-dimensional Volterra equations. Physics Letters A 79, 259--263 (1980).
    """

    a: ScalarLike = -5.5
    b: ScalarLike = 4.5
    c: ScalarLike = 1.0
    d: ScalarLike = -1.0
    start = point(-2.7515698, 0.19079818, 3.4703629)
    period = 3.1641

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z = state
        return y, z, -a * x - b * y - c * z + d * x**3


class Coullet(Flow):
    """A variant of the Arneodo attractor.

        ẋ = y
        ẏ = z
        ż = −ax − by − cz + dx³

    Source: Arneodo, A., Coullet, P. & Tresser, C. Occurence of strange attractors in
    three-dimensional volterra equations. Physics Letters A 79, 259--263 (1980).
    """

    a: ScalarLike = -0.8
    b: ScalarLike = 1.1
    c: ScalarLike = 0.45
    d: ScalarLike = -1.0
    start = point(0.34539837958549907, 0.4284701181998099, 0.086983698175975)
    period = 5.7663

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z = state
        return y, z, -a * x - b * y - c * z + d * x**3


class HastingsPowell(Flow):
    """A three species food web.

        ẋ = x(1 − x) − ya₁x/(1 + b₁x)
        ẏ = ya₁x/(1 + b₁x) − za₂y/(1 + b₂y) − d₁y
        ż = za₂y/(1 + b₂y) − d₂z

    Source: Hastings, Powell. Ecology 1991.
    """

    a1: ScalarLike = 5.0
    a2: ScalarLike = 0.1
    b1: ScalarLike = 3.0
    b2: ScalarLike = 2.0
    d1: ScalarLike = 0.4
    d2: ScalarLike = 0.01
    start = point(0.73207001, 0.17549271, 9.9014657)
    period = 135.19

    @staticmethod
    def rates(state, a1, a2, b1, b2, d1, d2):
        x, y, z = state
        return (
            x * (1 - x) - y * a1 * x / (1 + b1 * x),
            y * a1 * x / (1 + b1 * x) - z * a2 * y / (1 + b2 * y) - d1 * y,
            z * a2 * y / (1 + b2 * y) - d2 * z,
        )


class Blasius(Flow):
    """A chaotic food web composed of interacting predators, consumers, and vegetation.

        ẋ = ax − α₁xy/(1 + k₁x)
        ẏ = −by + α₁xy/(1 + k₁x) − α₂yz/(1 + k₂y)
        ż = −c(z − zs) + α₂yz/(1 + k₂y)

    Source: Blasius, Huppert, Stone. Nature 1999.
    """

    a: ScalarLike = 1.0
    alpha1: ScalarLike = 0.2
    alpha2: ScalarLike = 1.0
    b: ScalarLike = 1.0
    c: ScalarLike = 10.0
    k1: ScalarLike = 0.05
    k2: ScalarLike = 0.0
    zs: ScalarLike = 0.006
    start = point(4.031713, 5.1113788, 0.016508812)
    period = 6.6038

    @staticmethod
    def rates(state, a, alpha1, alpha2, b, c, k1, k2, zs):
        x, y, z = state
        return (
            a * x - alpha1 * x * y / (1 + k1 * x),
            -b * y + alpha1 * x * y / (1 + k1 * x) - alpha2 * y * z / (1 + k2 * y),
            -c * (z - zs) + alpha2 * y * z / (1 + k2 * y),
        )


class TurchinHanski(Flow):
    """A chaotic three species food web. The species growth rate has been increased from
    the default parameters in the original paper, in order to ensure that the system
    exhibits sustained chaotic oscillations.

        ṅ = r(1 − e sin(z))n − rn² − gn²/(n² + h²) − anp/(n + d)
        ṗ = s(1 − e sin(z))p − sp²/n
        ż = 2πλ

    Source: Turchin, Hanski. The American Naturalist 1997. Turchin, Hanski. Ecology
    2000.
    """

    a: ScalarLike = 8.0
    d: ScalarLike = 0.04
    e: ScalarLike = 0.5
    g: ScalarLike = 0.1
    h: ScalarLike = 0.8
    lamb: ScalarLike = 1.0
    r: ScalarLike = 8.12
    s: ScalarLike = 1.25
    start = point(0.018027788, 0.013649976, 30363.85)
    period = 4.40529411764706

    @staticmethod
    def rates(state, a, d, e, g, h, lamb, r, s):
        n, p, z = state
        return (
            r * (1 - e * jnp.sin(z)) * n
            - r * n**2
            - g * n**2 / (n**2 + h**2)
            - a * n * p / (n + d),
            s * (1 - e * jnp.sin(z)) * p - s * p**2 / n,
            2 * jnp.pi * lamb,
        )


class SaltonSea(Flow):
    """An eco-epidemiological model of bird and fish abundances in the Salton sea of
    southern California.

        ẋ = rx(1 − (x + y)/k) − λxy
        ẏ = λxy − myz/(y + a) − μy
        ż = θyz/(y + a) − dz

    Source: Upadhyay, Bairagi, Kundu, Chattopadhyay (2007).Chaos in eco-epidemiological
    problem of the Salton Sea and its possible control. Applied mathematics and
    computation.
    """

    a: ScalarLike = 15.0
    d: ScalarLike = 8.3
    k: ScalarLike = 400.0
    lam: ScalarLike = 0.06
    m: ScalarLike = 15.5
    mu: ScalarLike = 3.4
    r: ScalarLike = 22.0
    th: ScalarLike = 10.0
    start = point(231.92548, 89.511944, 56.753804)
    period = 0.96738

    @staticmethod
    def rates(state, a, d, k, lam, m, mu, r, th):
        x, y, z = state
        return (
            r * x * (1 - (x + y) / k) - lam * x * y,
            lam * x * y - m * y * z / (y + a) - mu * y,
            th * y * z / (y + a) - d * z,
        )


class MacArthur(Flow):
    """Population abundances in a plankton community, based on MacArthur's consumer
    resource model. Growth rates are determined using Liebig's law of the minimum.

        ṅⱼ = nⱼ(μⱼ − m)
        Ṙᵢ = d(sᵢ − Rᵢ) − Σⱼ cᵢⱼμⱼnⱼ
        μⱼ = minᵢ rRᵢ/(kᵢⱼ + Rᵢ)

    Source: MacArthur, R. 1969. Species packing, and what competition minimizes. PNAS
    64:1369. Parameter values taken from a model of phytoplankton in Huisman & Weissing.
    Nature 1999.
    """

    c: Numbers = (
        (0.04, 0.04, 0.07, 0.04, 0.04),
        (0.08, 0.08, 0.08, 0.1, 0.08),
        (0.1, 0.1, 0.1, 0.1, 0.14),
        (0.05, 0.03, 0.03, 0.03, 0.03),
        (0.07, 0.09, 0.07, 0.07, 0.07),
    )
    d: ScalarLike = 0.25
    k: Numbers = (
        (0.39, 0.34, 0.3, 0.24, 0.23),
        (0.22, 0.39, 0.34, 0.3, 0.27),
        (0.27, 0.22, 0.39, 0.34, 0.3),
        (0.3, 0.24, 0.22, 0.39, 0.34),
        (0.34, 0.3, 0.22, 0.2, 0.39),
    )
    m: ScalarLike = 0.25
    r: ScalarLike = 1.0
    s: Numbers = (6.0, 10.0, 14.0, 4.0, 9.0)
    start = point(
        9.4323333,
        18.838654,
        34.37572,
        15.08545,
        42.228427,
        0.17030505,
        0.10144427,
        0.3148045,
        0.21253581,
        0.22598604,
    )
    period = 43.406
    smooth = False

    @staticmethod
    def rates(state, c, d, k, m, r, s):
        n, stock = state[:5], state[5:]
        growth = jnp.min(r * stock[:, None] / (k + stock[:, None]), axis=0)
        return jnp.concatenate([n * (growth - m), d * (s - stock) - c @ (growth * n)])


class CoevolvingPredatorPrey(Flow):
    """A system of predator-prey equations with co-evolving prey.

        ẋ = x(−a₃y/(1 + b₂x) + a₁α(1 − k₁x(−α + αδ))/(1
            + b₁α) − d₁(1 − k₂(−α² + (αδ)²) + k₄(−α⁴ + (αδ)⁴)))
        ẏ = (−d₂ + a₂x/(1 + b₂x))y
        α̇ = vv·(−a₁k₁xαδ/(1 + b₁α) − d₁(−2k₂αδ² + 4k₄α³δ⁴))

    Source: Gilpin & Feldman (2017). PLOS Comp Biol.
    """

    a1: ScalarLike = 2.5
    a2: ScalarLike = 0.05
    a3: ScalarLike = 0.4
    b1: ScalarLike = 6.0
    b2: ScalarLike = 1.333
    d1: ScalarLike = 0.16
    d2: ScalarLike = 0.004
    delta: ScalarLike = 1.0
    k1: ScalarLike = 6.0
    k2: ScalarLike = 9.0
    k4: ScalarLike = 9.0
    vv: ScalarLike = 0.33333
    start = point(0.10946017, 0.46664421, 0.66580212)
    period = 122.77

    @staticmethod
    def rates(state, a1, a2, a3, b1, b2, d1, d2, delta, k1, k2, k4, vv):
        x, y, alpha = state
        return (
            x
            * (
                -(a3 * y / (1 + b2 * x))
                + a1
                * alpha
                * (1 - k1 * x * (-alpha + alpha * delta))
                / (1 + b1 * alpha)
                - d1
                * (
                    1
                    - k2 * (-(alpha**2) + (alpha * delta) ** 2)
                    + k4 * (-(alpha**4) + (alpha * delta) ** 4)
                )
            ),
            (-d2 + a2 * x / (1 + b2 * x)) * y,
            vv
            * (
                -(a1 * k1 * x * alpha * delta / (1 + b1 * alpha))
                - d1 * (-2 * k2 * alpha * delta**2 + 4 * k4 * alpha**3 * delta**4)
            ),
        )


class Finance(Flow):
    """Stock fluctuations under varying investment demand and interest rates.

        ẋ = (1/b − a)x + z + xy
        ẏ = −by − x²
        ż = −x − cz

    Source: Guoliang Cai, Juanjuan Huang. International Journal of Nonlinear Science,
    Vol. 3 (2007).
    """

    a: ScalarLike = 0.001
    b: ScalarLike = 0.2
    c: ScalarLike = 1.1
    start = point(-0.51664739, -3.9568707, 0.0012893581)
    period = 9.8932

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return (1 / b - a) * x + z + x * y, -b * y - x**2, -x - c * z


class Bouali(Flow):
    """Economic cycles with fluctuating demand. Related to the DequanLi attractor.

        ẋ = ay₀x − axy − bz
        ẏ = −gy + gyx²
        ż = −1.5mx + m·bb·xz − cz

    Source: Bouali (1999). Feedback loop in extended Van der Pols equation applied to an
    economic model of cycles. International Journal of Bifurkation and Chaos, Vol. 9,
    No. 4.
    """

    a: ScalarLike = 1.0
    b: ScalarLike = -0.3
    bb: ScalarLike = 1.0
    c: ScalarLike = 0.05
    g: ScalarLike = 1.0
    m: ScalarLike = 1.0
    y0: ScalarLike = 4.0
    start = point(0.38673159, 3.0544196, -0.0067836194)
    period = 3.0411

    @staticmethod
    def rates(state, a, b, bb, c, g, m, y0):
        x, y, z = state
        return (
            a * y0 * x - a * x * y - b * z,
            -g * y + g * y * x**2,
            -1.5 * m * x + m * bb * x * z - c * z,
        )


class Bouali2(Flow):
    """A modified economic cycle model.

        ẋ = ay₀x − axy − bz
        ẏ = −gy + gyx²
        ż = −1.5mx + m·bb·xz − cz

    Source: Bouali (1999). Feedback loop in extended Van der Pols equation applied to an
    economic model of cycles. International Journal of Bifurkation and Chaos, Vol. 9,
    No. 4.
    """

    a: ScalarLike = 3.0
    b: ScalarLike = 2.2
    bb: ScalarLike = 0.0
    c: ScalarLike = 0.0
    g: ScalarLike = 1.0
    m: ScalarLike = -0.0026667
    y0: ScalarLike = 1.0
    start = point(-0.79392257, 1.3617589, -0.030578888)
    period = 7.6779
    rates = staticmethod(Bouali.rates)
