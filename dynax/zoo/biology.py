"""Cells, rhythms and tumours.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class ExcitableCell(Flow):
    """A reduced-order variant of the Hodgkin-Huxley model. The parameter gkc controls
    the onset of chaos.

        alpham = ams·(amvb + v)/(1 − exp(−ar·v − amvo))
        betam = bms·exp(−bmr·v − bmo)
        minf = alpham/(alpham + betam)
        alphah = ahs·exp(−ahr·v − aho)
        betah = 1/(1 + exp(−bhr·v − bho))
        hinf = alphah/(alphah + betah)
        alphan = ans·(anvb + v)/(1 − exp(−ar·v − anvo))
        betan = bns·exp(−bnr·v − bno)
        ninf = alphan/(alphan + betan)
        τ = 1/(tscl·(alphan + betan))
        ca = c/(1 + c)
        v̇ = gi·minf³·hinf·(vi − v) + gkv·n⁴(vk − v) + gkc·ca·(vk − v) + gl·(vl − v)
        ṅ = (ninf − n)/τ
        ċ = ρ(minf³·hinf·(vc − v) − kc·c)

    Source: Teresa Chay. Chaos In A Three-variable Model Of An Excitable Cell. Physica D
    1985.
    """

    aho: ScalarLike = 2.5
    ahr: ScalarLike = 0.05
    ahs: ScalarLike = 0.07
    ams: ScalarLike = 0.1
    amvb: ScalarLike = 25.0
    amvo: ScalarLike = 2.5
    ans: ScalarLike = 0.01
    anvb: ScalarLike = 20.0
    anvo: ScalarLike = 2.0
    ar: ScalarLike = 0.1
    bho: ScalarLike = 2.0
    bhr: ScalarLike = 0.1
    bmo: ScalarLike = 2.7777777777777777
    bmr: ScalarLike = 0.05555555555555555
    bms: ScalarLike = 4.0
    bno: ScalarLike = 0.375
    bnr: ScalarLike = 0.0125
    bns: ScalarLike = 0.125
    gi: ScalarLike = 1800.0
    gkc: ScalarLike = 11.0
    gkv: ScalarLike = 1700.0
    gl: ScalarLike = 7.0
    kc: ScalarLike = 0.183333
    rho: ScalarLike = 0.27
    tscl: ScalarLike = 230.0
    vc: ScalarLike = 100.0
    vi: ScalarLike = 100.0
    vk: ScalarLike = -75.0
    vl: ScalarLike = -40.0
    start = point(-44.57779976420271, 0.13121643614884418, 0.4658533583951385)
    period = 1.0

    @staticmethod
    def rates(
        state,
        aho,
        ahr,
        ahs,
        ams,
        amvb,
        amvo,
        ans,
        anvb,
        anvo,
        ar,
        bho,
        bhr,
        bmo,
        bmr,
        bms,
        bno,
        bnr,
        bns,
        gi,
        gkc,
        gkv,
        gl,
        kc,
        rho,
        tscl,
        vc,
        vi,
        vk,
        vl,
    ):
        v, n, c = state
        alpham = ams * (amvb + v) / (1 - jnp.exp(-ar * v - amvo))
        betam = bms * jnp.exp(-bmr * v - bmo)
        minf = alpham / (alpham + betam)
        alphah = ahs * jnp.exp(-ahr * v - aho)
        betah = 1 / (1 + jnp.exp(-bhr * v - bho))
        hinf = alphah / (alphah + betah)
        alphan = ans * (anvb + v) / (1 - jnp.exp(-ar * v - anvo))
        betan = bns * jnp.exp(-bnr * v - bno)
        ninf = alphan / (alphan + betan)
        tau = 1 / (tscl * (alphan + betan))
        ca = c / (1 + c)
        return (
            gi * minf**3 * hinf * (vi - v)
            + gkv * n**4 * (vk - v)
            + gkc * ca * (vk - v)
            + gl * (vl - v),
            (ninf - n) / tau,
            rho * (minf**3 * hinf * (vc - v) - kc * c),
        )


class CaTwoPlus(Flow):
    """Intracellular calcium ion oscillations.

        Vin = V₀ + V₁β
        V₂ = Vm₂·z²/(K₂² + z²)
        V₃ = Vm₃·z^m/(Kz^m + z^m)·y²/(Ky² + y²)·a⁴/(Ka⁴ + a⁴)
        V₅ = Vm₅·a^p/(K₅^p + a^p)·z^n/(Kd^n + z^n)
        ż = Vin − V₂ + V₃ + kf·y − kz
        ẏ = V₂ − V₃ − kf·y
        ȧ = βV₄ − V₅ − εa

    Source: Houart, Dupont, Goldbeter. Bull Math Biol 1999.
    """

    K2: ScalarLike = 0.1
    K5: ScalarLike = 0.3194
    Ka: ScalarLike = 0.1
    Kd: ScalarLike = 1.0
    Ky: ScalarLike = 0.3
    Kz: ScalarLike = 0.6
    V0: ScalarLike = 2.0
    V1: ScalarLike = 2.0
    V4: ScalarLike = 3.0
    Vm2: ScalarLike = 6.0
    Vm3: ScalarLike = 30.0
    Vm5: ScalarLike = 50.0
    beta: ScalarLike = 0.65
    eps: ScalarLike = 13.0
    k: ScalarLike = 10.0
    kf: ScalarLike = 1.0
    m: ScalarLike = 2.0
    n: ScalarLike = 4.0
    p: ScalarLike = 1.0
    start = point(0.26162904, 1.0055612, 0.14407867)
    period = 1.343

    @staticmethod
    def rates(
        state,
        K2,
        K5,
        Ka,
        Kd,
        Ky,
        Kz,
        V0,
        V1,
        V4,
        Vm2,
        Vm3,
        Vm5,
        beta,
        eps,
        k,
        kf,
        m,
        n,
        p,
    ):
        z, y, a = state
        Vin = V0 + V1 * beta
        V2 = Vm2 * z**2 / (K2**2 + z**2)
        V3 = (
            Vm3
            * z**m
            / (Kz**m + z**m)
            * (y**2 / (Ky**2 + y**2))
            * (a**4 / (Ka**4 + a**4))
        )
        V5 = Vm5 * (a**p / (K5**p + a**p)) * (z**n / (Kd**n + z**n))
        return (
            Vin - V2 + V3 + kf * y - k * z,
            V2 - V3 - kf * y,
            beta * V4 - V5 - eps * a,
        )


class CaTwoPlusQuasiperiodic(Flow):
    """Intracellular calcium ion oscillations with quasiperiodic parameter values. The
    original paper also includes parameters for a limit cycle.

        Vin = V₀ + V₁β
        V₂ = Vm₂·z²/(K₂² + z²)
        V₃ = Vm₃·z^m/(Kz^m + z^m)·y²/(Ky² + y²)·a⁴/(Ka⁴ + a⁴)
        V₅ = Vm₅·a^p/(K₅^p + a^p)·z^n/(Kd^n + z^n)
        ż = Vin − V₂ + V₃ + kf·y − kz
        ẏ = V₂ − V₃ − kf·y
        ȧ = βV₄ − V₅ − εa

    Source: Houart, Dupont, Goldbeter. Bull Math Biol 1999.
    """

    K2: ScalarLike = 0.1
    K5: ScalarLike = 0.3
    Ka: ScalarLike = 0.2
    Kd: ScalarLike = 0.5
    Ky: ScalarLike = 0.2
    Kz: ScalarLike = 0.5
    V0: ScalarLike = 2.0
    V1: ScalarLike = 2.0
    V4: ScalarLike = 5.0
    Vm2: ScalarLike = 6.0
    Vm3: ScalarLike = 20.0
    Vm5: ScalarLike = 30.0
    beta: ScalarLike = 0.51
    eps: ScalarLike = 0.1
    k: ScalarLike = 10.0
    kf: ScalarLike = 1.0
    m: ScalarLike = 2.0
    n: ScalarLike = 4.0
    p: ScalarLike = 2.0
    start = point(0.26321067, 0.87886607, 0.3148781)
    period = 0.65614
    rates = staticmethod(CaTwoPlus.rates)


class CellCycle(Flow):
    """A simplified model of the cell cycle. The parameter `Kim` controls the
    bifurcations.

        ċ₁ = vi Kim/(Kim + m₂) − vd x₁c₁/(Kd1 + c₁) − kd1 c₁
        ṁ₁ = Vm1 c₁/(Kc + c₁)·(1 − m₁)/(K + 1 − m₁) − V₂m₁/(K + m₁)
        ẋ₁ = Vm3 m₁(1 − x₁)/(K + 1 − x₁) − V₄x₁/(K + x₁)
        and the same with 1 and 2 exchanged

    Source: Romond, Rustici, Gonze, Goldbeter. 1999.
    """

    K: ScalarLike = 0.01
    Kc: ScalarLike = 0.5
    Kd1: ScalarLike = 0.02
    Kim: ScalarLike = 0.65
    V2: ScalarLike = 0.15
    V4: ScalarLike = 0.05
    Vm1: ScalarLike = 0.3
    Vm3: ScalarLike = 0.1
    kd1: ScalarLike = 0.001
    vd: ScalarLike = 0.025
    vi: ScalarLike = 0.05
    start = point(0.71565329, 0.9489355, 0.98910371, 0.72138631, 0.94987035, 0.98912572)
    period = 204.71
    resolution = 5000

    @staticmethod
    def rates(state, K, Kc, Kd1, Kim, V2, V4, Vm1, Vm3, kd1, vd, vi):
        c1, m1, x1, c2, m2, x2 = state

        def half(c, m, x, other):
            c_dot = vi * Kim / (Kim + other) - vd * x * c / (Kd1 + c) - kd1 * c
            rise = Vm1 * c / (Kc + c) * (1 - m) / (K + (1 - m))
            m_dot = rise - V2 * m / (K + m)
            x_dot = m * Vm3 * (1 - x) / (K + (1 - x)) - V4 * x / (K + x)
            return c_dot, m_dot, x_dot

        return *half(c1, m1, x1, m2), *half(c2, m2, x2, m1)


class CircadianRhythm(Flow):
    """The Drosophila circadian rhythm under periodic light/dark forcing.

        vs = vc·(0.5 + 0.5 cos(θ) + vmin)(vmax − vmin)
        ṁ = vs·Ki^n/(Ki^n + fn^n) − vm·m/(km + m)
        ḟc = ks·m − k₁·fc + k₂·fn − k·fc
        ḟs = k·fc − vd·fs/(kd + fs)
        ḟn = k₁·fc − k₂·fn − vdn·fn/(kdn + fn)
        θ̇ = 2π/ps

    Source: Leloup, Gonze, Goldbeter. 1999. Gonze, Leloup, Goldbeter. 2000.
    """

    Ki: ScalarLike = 1.0
    k: ScalarLike = 0.5
    k1: ScalarLike = 0.3
    k2: ScalarLike = 0.15
    kd: ScalarLike = 1.4
    kdn: ScalarLike = 0.4
    km: ScalarLike = 0.4
    ks: ScalarLike = 1.0
    n: ScalarLike = 4.0
    ps: ScalarLike = 24.0
    vc: ScalarLike = 2.5
    vd: ScalarLike = 6.0
    vdn: ScalarLike = 1.5
    vm: ScalarLike = 0.7
    vmax: ScalarLike = 4.7
    vmin: ScalarLike = 1.0
    start = point(1.5401187, 5.3707921, 41.054266, 11.619073, 2004.0233)
    period = 27.0

    @staticmethod
    def rates(
        state, Ki, k, k1, k2, kd, kdn, km, ks, n, ps, vc, vd, vdn, vm, vmax, vmin
    ):
        m, fc, fs, fn, th = state
        vs = vc * (0.5 + 0.5 * jnp.cos(th) + vmin) * (vmax - vmin)
        return (
            vs * Ki**n / (Ki**n + fn**n) - vm * m / (km + m),
            ks * m - k1 * fc + k2 * fn - k * fc,
            k * fc - vd * fs / (kd + fs),
            k1 * fc - k2 * fn - vdn * fn / (kdn + fn),
            2 * jnp.pi / ps,
        )


class ItikBanksTumor(Flow):
    """A model of cancer cell populations.

        ẋ = x(1 − x) − a₁₂xy − a₁₃xz
        ẏ = r₂y(1 − y) − a₂₁xy
        ż = r₃xz/(x + k₃) − a₃₁xz − d₃z

    Source: Itik, Banks. Int J Bifurcat Chaos 2010.
    """

    a12: ScalarLike = 1.0
    a13: ScalarLike = 2.5
    a21: ScalarLike = 1.5
    a31: ScalarLike = 0.2
    d3: ScalarLike = 0.5
    k3: ScalarLike = 1.0
    r2: ScalarLike = 0.6
    r3: ScalarLike = 4.5
    start = point(0.051730215, 0.87071642, 0.015926427)
    period = 49.74

    @staticmethod
    def rates(state, a12, a13, a21, a31, d3, k3, r2, r3):
        x, y, z = state
        return (
            x * (1 - x) - a12 * x * y - a13 * x * z,
            r2 * y * (1 - y) - a21 * x * y,
            r3 * x * z / (x + k3) - a31 * x * z - d3 * z,
        )
