"""Bodies, pendula, nuclei and stars.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class DoublePendulum(Flow):
    """Two coupled rigid pendula without damping.

        θ̇₁ = (l₂p₁ − l₁p₂ cos Δ)/(l₁D)
        θ̇₂ = ((m₁ + m₂)l₁p₂ − m₂l₂p₁ cos Δ)/(m₂l₂D)
        ṗ₁ = −(m₁ + m₂)gl₁ sin θ₁ − h₁ + h₂
        ṗ₂ = −m₂gl₂ sin θ₂ + h₁ − h₂
        Δ = θ₁ − θ₂,  D = l₁l₂(m₁ + m₂ sin²Δ),  h₁ = p₁p₂ sin Δ/D
        h₂ = ½ sin 2Δ (m₂l₂p₁²/(l₁D²) + m₂l₁l₂p₂θ̇₂/D)

    Source: See, for example: Marion (2013). Classical dynamics of particles and
    systems.
    """

    g: ScalarLike = 9.81
    l1: ScalarLike = 1.0
    l2: ScalarLike = 1.0
    m1: ScalarLike = 1.0
    m2: ScalarLike = 1.0
    start = point(-44.334542, 223.53554, -1.2249799, 2.535486)
    period = 4.0234
    zeros = 2
    pairs = True

    @staticmethod
    def rates(state, g, l1, l2, m1, m2):
        th1, th2, p1, p2 = state
        cos_diff = jnp.cos(th1 - th2)
        sin_diff = jnp.sin(th1 - th2)
        denom = l1 * l2 * (m1 + m2 * sin_diff**2)
        h1 = p1 * p2 * sin_diff / denom
        h2 = m2 * l2 * p1**2 / (2 * l1 * denom**2)
        th2dot = ((m1 + m2) * l1 * p2 - m2 * l2 * p1 * cos_diff) / (m2 * l2 * denom)
        h2 = h2 + 0.5 * m2 * p2 * l2 * l1 * th2dot / denom
        h2 = h2 * jnp.sin(2 * (th1 - th2))
        return (
            (l2 * p1 - l1 * p2 * cos_diff) / (l1 * denom),
            th2dot,
            -(m1 + m2) * g * l1 * jnp.sin(th1) - h1 + h2,
            -m2 * g * l2 * jnp.sin(th2) + h1 - h2,
        )


class SwingingAtwood(Flow):
    """A mechanical system consisting of two swinging weights connected by ropes and
    pulleys. This is only chaotic when m2 is sufficiently larger than m1, and there are
    nonzero initial momenta.

        g = 9.82
        ṙ = pr/(m₁ + m₂)
        θ̇ = pth/(m₁r²)
        ṗr = pth²/(m₁r³) − m₂g + m₁g cos(θ)
        ṗth = −m₁gr sin(θ)

    Source: Tufillaro, Nicholas B.; Abbott, Tyler A.; Griffiths, David J. (1984).
    Swinging Atwood's Machine. American Journal of Physics. 52 (10): 895--903.
    """

    m1: ScalarLike = 1.0
    m2: ScalarLike = 4.5
    start = point(0.113296, 1.5707963267948966, 0.10992, 0.17747)
    period = 0.3417647058823529
    zeros = 2
    pairs = True

    @staticmethod
    def rates(state, m1, m2):
        r, th, pr, pth = state
        g = 9.82
        return (
            pr / (m1 + m2),
            pth / (m1 * r**2),
            pth**2 / (m1 * r**3) - m2 * g + m1 * g * jnp.cos(th),
            -m1 * g * r * jnp.sin(th),
        )


class HenonHeiles(Flow):
    """A star's motion around the galactic center.

        ẋ = px
        ẏ = py
        ṗx = −x − 2λxy
        ṗy = −y − λx² + λy²

    Source: Henon, M.; Heiles, C. (1964). The applicability of the third integral of
    motion: Some numerical experiments. The Astronomical Journal. 69: 73.
    """

    lam: ScalarLike = 1.0
    start = point(-0.29707259, -0.0031367513, 0.42548865, 0.071905482)
    period = 6.37
    zeros = 2
    pairs = True

    @staticmethod
    def rates(state, lam):
        x, y, px, py = state
        return px, py, -x - 2 * lam * x * y, -y - lam * x**2 + lam * y**2


class NuclearQuadrupole(Flow):
    """A quadrupole boson Hamiltonian that produces chaos via a resonance overlap
    mechanism.

        q̇₁ = ap₁
        q̇₂ = ap₂
        ṗ₁ = −aq₁ + 3/√(2)·bq₁² − 3/√(2)·bq₂² − dq₁³ − dq₁q₂²
        ṗ₂ = −aq₂ − 3·√(2)·bq₁q₂ − dq₂q₁² − dq₂³

    Source: Baran V. and Raduta A. A. (1998), International Journal of Modern Physics E.
    """

    a: ScalarLike = 1.0
    b: ScalarLike = 0.55
    d: ScalarLike = 0.4
    start = point(-0.85591178, 1.48078342, -0.85075322, 1.63576085)
    period = 6.023076923076923
    zeros = 2
    pairs = True

    @staticmethod
    def rates(state, a, b, d):
        q1, q2, p1, p2 = state
        return (
            a * p1,
            a * p2,
            -a * q1
            + 3 / jnp.sqrt(2) * b * q1**2
            - 3 / jnp.sqrt(2) * b * q2**2
            - d * q1**3
            - d * q1 * q2**2,
            -a * q2 - 3 * jnp.sqrt(2) * b * q1 * q2 - d * q2 * q1**2 - d * q2**3,
        )


class ArnoldWeb(Flow):
    """A quasi-integrable system that transitions to Chirikov diffusive dynamics when
    perturbed.

        denom = 4 + cos(z) + cos(x₁) + cos(x₂)
        ṗ₁ = −μ sin(x₁)/denom²
        ṗ₂ = −μ sin(x₂)/denom²
        ẋ₁ = p₁
        ẋ₂ = p₂
        ż = w

    Source: Froeschle, C., Guzzo, M. & Legga, E (2000). Graphical evolution of the
    Arnold web: From order to chaos. Science 289.
    """

    mu: ScalarLike = 0.01
    w: ScalarLike = 1.0
    start = point(0.10469507, 0.0892929984, 11025.3686, 6055.32273, 0.1)
    period = 67.25
    pairs = True

    @staticmethod
    def rates(state, mu, w):
        p1, p2, x1, x2, z = state
        denom = 4 + jnp.cos(z) + jnp.cos(x1) + jnp.cos(x2)
        return -mu * jnp.sin(x1) / denom**2, -mu * jnp.sin(x2) / denom**2, p1, p2, w


class NoseHoover(Flow):
    """Fixed temperature molecular dynamics for a strained flow under a reduced order
    model.

        ẋ = y
        ẏ = −x + yz
        ż = a − y²

    Source: Nose, S (1985). A unified formulation of the constant temperature
    molecular-dynamics methods. Journal of Chemical Physics (1984). Hoover, William G.
    Canonical dynamics: Equilibrium phase-space distributions. Phys. Rev. A. Hoover,
    William G., Anthony JC Ladd, and Bill Moran (1982). High-strain-rate plastic flow
    studied via nonequilibrium molecular dynamics. Physical Review Letters.
    """

    a: ScalarLike = 1.5
    start = point(-1.9758582, 0.24647527, 0.79024299)
    period = 5.8673
    pairs = True

    @staticmethod
    def rates(state, a):
        x, y, z = state
        return y, -x + y * z, a - y**2


class NewtonLiepnik(Flow):
    """Euler's equations for a rigid body, augmented with a linear feedback term.

        ẋ = −ax + y + 10yz
        ẏ = −x − 0.4y + 5xz
        ż = bz − 5xy

    Source: Leipnik, R. B., and T. A. Newton (1981). Double strange attractors in rigid
    body motion with linear feedback control. Physics Letters A 86.2 (1981): 63-67.
    """

    a: ScalarLike = 0.4
    b: ScalarLike = 0.175
    start = point(0.29430753, 0.10649486, 0.29081125)
    period = 8.5095

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return -a * x + y + 10 * y * z, -x - 0.4 * y + 5 * x * z, b * z - 5 * x * y


class ChenLee(Flow):
    """A rigid body with feedback anti-control.

        ẋ = ax − yz
        ẏ = by + xz
        ż = cz + 1/3·xy

    Source: Chen HK, Lee CI (2004). Anti-control of chaos in rigid body motion. Chaos,
    Solitons & Fractals.
    """

    a: ScalarLike = 5.0
    b: ScalarLike = -10.0
    c: ScalarLike = -0.38
    start = point(0.17177112, 0.10360479, 6.2553878)
    period = 2.8043

    @staticmethod
    def rates(state, a, b, c):
        x, y, z = state
        return a * x - y * z, b * y + x * z, c * z + 1 / 3 * x * y


class Duffing(Flow):
    """A monochromatically-forced rigid pendulum, with the nonlinearity approximated as
    cubic.

        ẋ = y
        ẏ = −δy − βx − αx³ + γ cos(z)
        ż = ω

    Source: Duffing, G. (1918), Forced oscillations with variable natural frequency and
    their technical relevance, Heft 41/42, Braunschweig: Vieweg.
    """

    alpha: ScalarLike = 1.0
    beta: ScalarLike = -1.0
    delta: ScalarLike = 0.1
    gamma: ScalarLike = 0.35
    omega: ScalarLike = 1.4
    start = point(-1.1635382, -0.5092374, 0.0)
    period = 7.4496

    @staticmethod
    def rates(state, alpha, beta, delta, gamma, omega):
        x, y, z = state
        return y, -delta * y - beta * x - alpha * x**3 + gamma * jnp.cos(z), omega


class ForcedVanDerPol(Flow):
    """An electronic circuit containing a triode.

        ẋ = y
        ẏ = μ(1 − x²)y − x + a sin(z)
        ż = w

    Source: B. van der Pol (1920). A theory of the amplitude of free and forced triode
    vibrations. Radio Review 1.
    """

    a: ScalarLike = 1.2
    mu: ScalarLike = 8.53
    w: ScalarLike = 0.63
    start = point(-1.520504, 0.19640249, 687.39073)
    period = 14.476875
    resolution = 2000

    @staticmethod
    def rates(state, a, mu, w):
        x, y, z = state
        return y, mu * (1 - x**2) * y - x + a * jnp.sin(z), w


class StickSlipOscillator(Flow):
    """A weakly forced (quasiautonomous) oscillator with dynamics similar to stick-slip
    friction. The parameter gamma controls the transition to chaos.

        tq = t₀ sign(v − vs) − αv + β(v − vs)³
        ẋ = v
        v̇ = ε(γ cos(θ) − tq) + ax − bx³
        θ̇ = w

    Source: Awrejcewicz, Jan, and M. M. Holicke (1999). Int J of Bifurcation and Chaos.
    """

    a: ScalarLike = 1.0
    alpha: ScalarLike = 0.3
    b: ScalarLike = 1.0
    beta: ScalarLike = 0.3
    eps: ScalarLike = 0.05
    gamma: ScalarLike = 1.0
    t0: ScalarLike = 0.3
    vs: ScalarLike = 0.4
    w: ScalarLike = 2.0
    start = point(0.85539847, -0.39125834, 0.0)
    period = 1.6129
    smooth = False

    @staticmethod
    def rates(state, a, alpha, b, beta, eps, gamma, t0, vs, w):
        x, v, th = state
        tq = t0 * jnp.sign(v - vs) - alpha * v + beta * (v - vs) ** 3
        return v, eps * (gamma * jnp.cos(th) - tq) + a * x - b * x**3, w


class Torus(Flow):
    """A minimal quasiperiodic flow on a torus. All Lyapunov exponents and related
    quantities are zero.

        ẋ = −an sin(nt)·cos(t) − (r + a cos(nt)) sin(t)
        ẏ = −an sin(nt)·sin(t) + (r + a cos(nt)) cos(t)
        ż = an cos(nt)

    Source: See, for example, Strogatz (1994). Nonlinear Dynamics and Chaos.
    """

    a: ScalarLike = 0.5
    n: ScalarLike = 15.3
    r: ScalarLike = 1.0
    start = point(-13.72884, 1.9094726, 0.72831447)
    period = 6.36
    zeros = 3
    driven = True

    @staticmethod
    def rates(t, state, a, n, r):
        x, y, z = state
        return (
            -a * n * jnp.sin(n * t) * jnp.cos(t)
            - (r + a * jnp.cos(n * t)) * jnp.sin(t),
            -a * n * jnp.sin(n * t) * jnp.sin(t)
            + (r + a * jnp.cos(n * t)) * jnp.cos(t),
            a * n * jnp.cos(n * t),
        )
