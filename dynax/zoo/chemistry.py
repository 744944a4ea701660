"""Reactions that oscillate.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class ForcedBrusselator(Flow):
    """An autocatalytic chemical system.

        ẋ = a + x²y − (b + 1)x + f cos(z)
        ẏ = bx − x²y
        ż = w

    Source: I. Prigogine, From Being to Becoming: Time and Complexity in the Physical
    Sciences, New York: W.H. Freeman and Company, 1980.
    """

    a: ScalarLike = 0.4
    b: ScalarLike = 1.2
    f: ScalarLike = 0.05
    w: ScalarLike = 0.81
    start = point(0.40635464, 1.8192295, 6381.6484)
    period = 20.411

    @staticmethod
    def rates(state, a, b, f, w):
        x, y, z = state
        return a + x**2 * y - (b + 1) * x + f * jnp.cos(z), b * x - x**2 * y, w


class BelousovZhabotinsky(Flow):
    """A reduced-order model of the BZ reaction that exhibits period doubling. The
    bifurcation parameter for controlling the onset of chaos is kf. The system undergoes
    regular cycling when kf=3e-4, and chaotic oscillations when kf=3.5e-4.

        ẋ = t₀(c₁xȳ + c₂ȳ + c₃x² + c₄r + c₅xz − kf·x)
        ż = t₀(c₆r/z₀ + c₇xz + c₈zv + c₉z − kf·z)
        v̇ = t₀(c₁₀xȳ + c₁₁ȳ + c₁₂x² + c₁₃zv − kf·v)
        ȳ = yb₁zv/(y₀(yb₂x + yb₃ + kf)),  r = (ci − z₀z)√x,  x ≥ 0

    Source: Gyorgyi and Field (1992). A three-variable model of deterministic chaos in
    the Belousov-Zhabotinsky reaction. Nature.
    """

    c1: ScalarLike = -8.03474
    c10: ScalarLike = 0.0223915
    c11: ScalarLike = 7.53559e-05
    c12: ScalarLike = 8.07384e-06
    c13: ScalarLike = -0.000499825
    c2: ScalarLike = 0.05408
    c3: ScalarLike = -0.0115886
    c4: ScalarLike = 832.587
    c5: ScalarLike = -0.029155
    c6: ScalarLike = 0.00321617
    c7: ScalarLike = -0.01352
    c8: ScalarLike = -0.0831709
    c9: ScalarLike = -0.0199985
    ci: ScalarLike = 0.000833
    kf: ScalarLike = 0.00035
    t0: ScalarLike = 2308.62
    y0: ScalarLike = 7.72571e-06
    yb1: ScalarLike = 6.92813e-07
    yb2: ScalarLike = 2.00869
    yb3: ScalarLike = 0.01352
    z0: ScalarLike = 8.33e-06
    start = point(0.023491701, 0.61703254, 0.84669066)
    period = 0.038257
    resolution = 5000
    smooth = False

    @staticmethod
    def rates(
        state,
        c1,
        c10,
        c11,
        c12,
        c13,
        c2,
        c3,
        c4,
        c5,
        c6,
        c7,
        c8,
        c9,
        ci,
        kf,
        t0,
        y0,
        yb1,
        yb2,
        yb3,
        z0,
    ):
        x, z, v = state
        ybar = 1 / y0 * yb1 * z * v / (yb2 * x + yb3 + kf)
        x = jnp.maximum(x, 0)
        rf = (ci - z0 * z) * jnp.sqrt(x)
        xdot = c1 * x * ybar + c2 * ybar + c3 * x**2 + c4 * rf + c5 * x * z - kf * x
        zdot = c6 / z0 * rf + c7 * x * z + c8 * z * v + c9 * z - kf * z
        vdot = c10 * x * ybar + c11 * ybar + c12 * x**2 + c13 * z * v - kf * v
        return xdot * t0, zdot * t0, vdot * t0


class KawczynskiStrizhak(Flow):
    """A chemical oscillator model describing mixed-modes in the BZ equations.

        ẋ = γy − γx³ + 3μγx
        ẏ = −2μx − y − z + β
        ż = κx − κz

    Source: P. E. Strizhak and A. L. Kawczynski, J. Phys. Chem. 99, 10830 (1995).
    """

    beta: ScalarLike = -0.4
    gamma: ScalarLike = 0.49
    kappa: ScalarLike = 0.2
    mu: ScalarLike = 2.1
    start = point(-1.160501, 5.8636902, -1.2031947)
    period = 10.991666666666667

    @staticmethod
    def rates(state, beta, gamma, kappa, mu):
        x, y, z = state
        return (
            gamma * y - gamma * x**3 + 3 * mu * gamma * x,
            -2 * mu * x - y - z + beta,
            kappa * x - kappa * z,
        )


class IsothermalChemical(Flow):
    """An isothermal chemical system with mixed-mode oscillations.

        α̇ = μ(κ + γ) − αβ² − α
        β̇ = (αβ² + α − β)/σ
        γ̇ = (β − γ)/δ

    Source: Petrov, Scott, Showalter. Mixed-mode oscillations in chemical systems. J
    Chem Phys 1992.
    """

    delta: ScalarLike = 1.0
    kappa: ScalarLike = 2.5
    mu: ScalarLike = 0.29786
    sigma: ScalarLike = 0.013
    start = point(0.5141505602006595, 0.9984288208727641, 1.0061777118724)
    period = 0.7302799999999999
    resolution = 5000

    @staticmethod
    def rates(state, delta, kappa, mu, sigma):
        alpha, beta, gamma = state
        return (
            mu * (kappa + gamma) - alpha * beta**2 - alpha,
            (alpha * beta**2 + alpha - beta) / sigma,
            (beta - gamma) / delta,
        )


class GlycolyticOscillation(Flow):
    """A model of feedback in glycolytic reactions. Based on the Monod–Wyman–Changeux
    model.

        φ = a(1 + a)(1 + b)²/(l₁ + (1 + a)²(1 + b)²)
        η = b(1 + db)(1 + c)²/(l₂ + (1 + db)²(1 + c)²)
        ȧ = ν − s₁φ
        ḃ = q₁s₁φ − s₂η
        ċ = q₂s₂η − kc

    Source: Decroly, O.; Goldbeter, An amplified sensitivity arising from covalent
    modification in biological systems. A. Proc. Natl. Acad. Sci. USA 1982,
    79,6917–6921.
    """

    d: ScalarLike = 0.0
    k: ScalarLike = 4.422
    l1: ScalarLike = 500000000.0
    l2: ScalarLike = 100.0
    nu: ScalarLike = 1.0
    q1: ScalarLike = 50.0
    q2: ScalarLike = 0.02
    s1: ScalarLike = 22.2222
    s2: ScalarLike = 22.2222
    start = point(29.453349256846987, 130.19350141357407, 0.18407087674169492)
    period = 50.45999420049144
    resolution = 5000

    @staticmethod
    def rates(state, d, k, l1, l2, nu, q1, q2, s1, s2):
        a, b, c = state
        phi = a * (1 + a) * (1 + b) ** 2 / (l1 + (1 + a) ** 2 * (1 + b) ** 2)
        eta = b * (1 + d * b) * (1 + c) ** 2 / (l2 + (1 + d * b) ** 2 * (1 + c) ** 2)
        return nu - s1 * phi, q1 * s1 * phi - s2 * eta, q2 * s2 * eta - k * c


class Rossler(Flow):
    """Spiral-type chaos in a simple oscillator model.

        ẋ = −y − z
        ẏ = x + ay
        ż = b + zx − cz

    Source: Rossler, O. E. (1976), An Equation for Continuous Chaos, Physics Letters,
    57A (5): 3972013398,.
    """

    a: ScalarLike = 0.2
    b: ScalarLike = 0.2
    c: ScalarLike = 5.7
    start = point(6.5134412, 0.4772013, 0.34164294)
    period = 5.9086

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return -y - z, x + a * y, b + z * x - c * z


class HyperRossler(Flow):
    """A hyperchaotic variant of the Rossler system.

        ẋ = −y − z
        ẏ = x + ay + w
        ż = b + xz
        ẇ = −cz + dw

    Source: Rossler, O. E. (1979). An equation for hyperchaos.
    """

    a: ScalarLike = 0.25
    b: ScalarLike = 3.0
    c: ScalarLike = 0.5
    d: ScalarLike = 0.05
    start = point(-93.667697, 15.5078, 0.032086964, 43.792796)
    period = 1.1157476694793766

    @staticmethod
    def rates(state, a, b, c, d):
        x, y, z, w = state
        return -y - z, x + a * y + w, b + x * z, -c * z + d * w
