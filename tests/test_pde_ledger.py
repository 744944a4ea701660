"""The ledger of differential equations: of functions, networks and references."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import dynax as dx
from dynax import pde as P
from dynax.pde._quadrature import between, chebyshev, equispaced
from dynax.pde.ledger import audit


TIMES = np.linspace(0.0, 1.0, 4)


class Network(eqx.Module):
    """A random MLP that meets the boundary condition of an equation exactly."""

    mlp: eqx.nn.MLP
    lower: tuple = eqx.field(static=True)
    upper: tuple = eqx.field(static=True)
    periodic: bool = eqx.field(static=True)

    def __init__(self, pde, dtype):
        self.lower, self.upper = pde.lower, pde.upper
        self.periodic = pde.boundary == "periodic"
        inputs = len(pde.lower) * (1 + self.periodic) + 1
        self.mlp = eqx.nn.MLP(
            inputs, len(pde.fields), 16, 2, jnp.tanh, key=jax.random.key(1), dtype=dtype
        )

    def __call__(self, t, x):
        lower, upper = (jnp.asarray(a, x.dtype) for a in (self.lower, self.upper))
        s = 2 * jnp.pi * (x - lower) / (upper - lower)
        features = [jnp.cos(s), jnp.sin(s)] if self.periodic else [x]
        out = self.mlp(jnp.concatenate([*features, t[None]]))
        return out if self.periodic else out * jnp.prod((x - lower) * (upper - x))


def boastful(pde):
    """The same equation, whose functionals claim to change 1 % faster along r."""

    class Boastful(type(pde)):
        def functionals(self):
            def louder(f):
                variation = lambda x, d: 1.01 * f.variation(x, d)
                return f._replace(variation=variation)

            return {k: louder(f) for k, f in type(pde).functionals(self).items()}

    return Boastful()


class Fisher(P.AbstractSemilinear):
    """uₜ = D uₓₓ + ρ u(1 − u) on a circle; ∫ ½D uₓ² − ρ(½u² − ⅓u³) dx falls."""

    needs: ClassVar = "u t xx"
    lower: ClassVar = (0.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0
    diffusion: float = 1e-2
    rate: float = 5.0

    def force(self, d):
        return self.diffusion * d.xx + self.rate * d.u * (1 - d.u)

    def equation(self, t, x, d):
        return d.t - self.force(d)

    def initial(self, x):
        return 0.5 * (1 + 0.8 * jnp.sin(2 * jnp.pi * x))

    def symbol(self, k):
        grow = self.rate - self.diffusion * k**2
        return jax.lax.complex(grow, jnp.zeros_like(grow))

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return -self.rate * to_modes(to_grid(u_hat) ** 2)

    def functionals(self):
        def density(x, d):
            well = d.u**2 / 2 - d.u**3 / 3
            return jnp.sum(self.diffusion * d.x**2 / 2 - self.rate * well, -1)

        rate = lambda x, d: -jnp.sum(self.force(d) ** 2, -1)
        variation = lambda x, d: -self.force(d)
        return {
            "energy": P.Functional(
                needs="u x xx",
                density=density,
                rate=rate,
                variation=variation,
                kind="falls",
            )
        }


class BackwardKdV(P.AbstractSemilinear):
    """The control: KdV with its dispersion the other way round."""

    needs: ClassVar = "u t x xxx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return d.t + d.u * d.x - 0.022**2 * d.xxx

    def initial(self, x):
        return jnp.cos(jnp.pi * x)

    def symbol(self, k):
        return jax.lax.complex(jnp.zeros_like(k), -(0.022**2) * k**3)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        slope = jax.lax.complex(jnp.zeros_like(k), k)
        return -slope * to_modes(to_grid(u_hat) ** 2 / 2)


def judged(rows, check):
    """How one check fared, of a verdict."""
    return dx.verdict(rows, "a claim", "measured").checks[check]


EQUATIONS = [
    (Fisher(), "energy"),
    (P.KuramotoSivashinsky(), "square"),
    (P.Burgers(), "mass"),
    (P.Wave(), "energy"),
    (P.NavierStokes(), "kinetic"),
    (P.Lorenz(), "energy"),
]
NAMES = [type(pde).__name__ for pde, _ in EQUATIONS]


@pytest.mark.parametrize("pde, name", EQUATIONS, ids=NAMES)
def test_the_identity_holds_for_a_network_that_solves_nothing(pde, name):
    rows = audit(pde, Network(pde, jnp.float64), TIMES, name=name)
    assert not judged(rows, "identity")["violations"]
    # change and prediction are two different integrals over time, of a smooth function
    np.testing.assert_allclose(rows.change, rows.predicted, rtol=1e-9)
    assert rows.energy.shape == (3,) and rows.step.dtype == jnp.int32


@pytest.mark.parametrize("pde, name", EQUATIONS[::4], ids=NAMES[::4])
def test_control_a_claim_that_is_off_by_one_percent(pde, name):
    rows = audit(boastful(pde), Network(pde, jnp.float64), TIMES, name=name)
    assert judged(rows, "identity")["violations"] == 3


def test_float32():
    pde = Fisher()
    u, times = Network(pde, jnp.float32), jnp.asarray(TIMES, jnp.float32)
    rows = audit(pde, u, times)
    floats = [a for a in jax.tree.leaves(rows) if jnp.issubdtype(a.dtype, jnp.floating)]
    assert all(a.dtype == jnp.float32 for a in floats)
    assert not judged(rows, "identity")["violations"]
    assert judged(audit(boastful(pde), u, times), "identity")["violations"]
    assert float(jnp.max(rows.checks["identity"].tolerance / rows.scale)) < 1e-4


def test_control_a_function_that_slips_through_the_walls():
    """∫ u is no functional of the interior alone: the flux u² at the walls shows."""
    free = lambda t, x: jnp.exp(x - t)
    rows = audit(P.Burgers(), free, TIMES, 32, "mass")
    assert judged(rows, "identity")["violations"] == 3


def test_rows_are_those_of_the_closed_form():
    """Heat: E = ∫ ½uₓ² dx = ½π² e^{−2νπ²t}, all of it dissipated."""
    pde = P.Heat()
    rows = audit(pde, pde.exact, TIMES, 16, "dirichlet")
    energy = np.pi**2 / 2 * np.exp(-2 * pde.diffusion * np.pi**2 * TIMES)
    np.testing.assert_allclose(rows.energy, energy[:-1], rtol=1e-13)
    np.testing.assert_allclose(rows.change, np.diff(energy), rtol=1e-12)
    # Gauss–Legendre, 8 nodes: (2νπ²h)^16/16!·… < 1e-16
    np.testing.assert_allclose(rows.terms["dissipation"], -np.diff(energy), rtol=1e-12)
    np.testing.assert_allclose(rows.terms["residual"], 0, atol=1e-13)
    verdict = dx.verdict(rows, "the Dirichlet energy falls")
    assert verdict.status == "holds" and [*verdict.checks] == [
        "dissipation",
        "fall",
        "identity",
    ]


def test_control_an_energy_that_rises():
    """Backwards in time heat solves nothing: E rises, and by the residual's work."""
    pde = P.Heat()
    rows = audit(pde, lambda t, x: pde.exact(-t, x), TIMES, 16, "dirichlet")
    verdict = dx.verdict(rows, "the Dirichlet energy falls")
    assert verdict.status == "violated"
    assert verdict.checks["fall"]["violations"] == 3
    assert not verdict.checks["identity"]["violations"]
    np.testing.assert_allclose(rows.change, rows.predicted, rtol=1e-12)


class Soliton(eqx.Module):
    """Of KdV; one that decays is no solution."""

    decay: jax.Array

    def __call__(self, t, x):
        s = (x - 0.4 * t + 1) % 2 - 1
        return 1.2 * jnp.exp(-self.decay * t) / jnp.cosh(0.4**0.5 * s / 0.044) ** 2


@pytest.mark.parametrize("name", ["mass", "momentum", "energy"])
def test_a_soliton_conserves_what_kdv_does(name):
    """To round-off and what 192 points do not resolve; one that decays does not, but
    for who claims no more than that of it."""

    def conserved(decay, accuracy):
        u = Soliton(jnp.asarray(decay))
        rows = audit(P.KdV(), u, TIMES, 192, name, accuracy=accuracy)
        return dx.verdict(rows, name)

    exact = conserved(0.0, None)
    assert exact.status == "holds" and exact.resolution < 1e-3, str(exact)
    assert conserved(1e-3, 1e-6).checks["conserved"]["violations"]
    # u loses 3e-4 of itself in an interval, u³ 1e-3
    assert not conserved(1e-3, 1e-3).checks["conserved"]["violations"]
    # who claims no digit of u sees nothing of what it conserves, whatever it does
    assert conserved(0.0, 0.2).status == conserved(0.01, 0.2).status == "undecided"


def test_the_free_energy_of_allen_cahn_falls():
    """The kink of the start is resolved by no grid: the first rows are the least sure.
    4096 modes leave an error of 1e-7, and dissipate what the energy loses."""
    pde = P.AllenCahn()
    r = P.reference(pde, 41, 1024, modes=4096, step=2.5e-3)
    rows = audit(pde, r)
    verdict = dx.verdict(rows, "the free energy falls")
    assert verdict.status == "holds" and verdict.audited == 40, str(verdict)
    late = rows.step >= 8
    np.testing.assert_allclose(rows.change[late], rows.predicted[late], rtol=2e-3)
    other = P.AllenCahn(reaction=5.5)
    assert judged(audit(other, r), "balance")["violations"] > 20


def test_the_invariants_of_kdv_hold():
    pde = P.KdV()
    r = P.reference(pde, 21, 256, modes=384, step=1 / 4000)
    for name in pde.functionals():
        assert dx.verdict(audit(pde, r, name=name), name).status == "holds"
    rows = audit(pde, r, name="energy")
    assert float(np.max(np.abs(rows.change))) < 1e-6
    wrong = P.reference(BackwardKdV(), 21, 256, modes=384, step=1 / 4000)
    assert dx.verdict(audit(pde, wrong, name="momentum"), "").status == "holds"
    assert dx.verdict(audit(pde, wrong, name="energy"), "").status == "violated"


def test_vortices_lose_kinetic_energy_and_enstrophy():
    pde = P.NavierStokes(viscosity=0.05, speed=1.0)
    r = P.reference(pde, 13, 48, modes=48, step=1 / 24)
    for name in pde.functionals():
        verdict = dx.verdict(audit(pde, r, name=name), name)
        assert verdict.status == "holds", str(verdict)
    inviscid = P.NavierStokes(viscosity=0.0, speed=1.0)
    assert judged(audit(inviscid, r, name="kinetic"), "balance")["violations"] == 12


def test_an_ordinary_equation_solved_by_scipy():
    t, field = np.linspace(0, 10, 81), lambda t, u: np.asarray([u[1], -np.sin(u[0])])
    sol = scipy.integrate.solve_ivp(
        field, (0, 10), [2.0, 0.0], "DOP853", t, rtol=1e-12, atol=1e-12
    )
    r = P.Reference(t, (), sol.y.T, 1e-11, {})
    assert dx.verdict(audit(P.Pendulum(), r), "H is conserved").status == "holds"
    other = audit(P.Pendulum(frequency=1.01), r)
    assert dx.verdict(other, "H is conserved").status == "violated"


def test_walls_that_a_periodic_run_keeps_to():
    pde = P.Burgers(viscosity=0.1)
    r = P.reference(pde, 41, 128, modes=192, step=5e-3)
    assert dx.verdict(audit(pde, r, name="square"), "½∫u² falls").status == "holds"


def test_the_ledger_of_a_reference_is_float64_without_x64():
    pde = P.Heat()
    with jax.enable_x64(False):
        rows = audit(pde, P.reference(pde, 11, 16), name="square")
        assert rows.change.dtype == np.float64
        verdict = dx.verdict(rows, "½∫u² falls")
        assert jnp.zeros(()).dtype == jnp.float32
    assert verdict.status == "holds"
    decay = 2 * pde.diffusion * np.pi**2 * np.linspace(0, 1, 11)
    np.testing.assert_allclose(rows.change, np.diff(np.exp(-decay)) / 2, rtol=1e-13)


def test_what_is_not_a_number_is_undecided():
    rows = audit(P.Heat(), lambda t, x: jnp.sin(jnp.pi * x) / t, TIMES, 16, "square")
    assert dx.verdict(rows, "").non_finite == 0


def test_quadratures():
    """Exact for low waves and low powers, whose tail is round-off; not beyond."""
    torus = equispaced((0.0, -1.0), (1.0, 1.0), 24, jnp.float64)
    box = chebyshev((0.0, -1.0), (1.0, 1.0), 24, jnp.float64)
    wave = lambda k, x: 1 + jnp.cos(2 * jnp.pi * (k * x[:, 0] + x[:, 1]))
    power = lambda k, x: x[:, 0] ** k * x[:, 1] ** 2
    for rule, f, exact in ((torus, wave, 2.0), (box, power, 2 / 3 / 8)):
        low = f(7, rule.x)
        np.testing.assert_allclose(rule.total(low), exact, rtol=1e-14)
        assert rule.tail(low) < 1e-14
    assert torus.tail(wave(10, torus.x)) > 0.5
    steep = jnp.exp(-200 * box.x[:, 0] ** 2)
    exact = 2 * np.sqrt(np.pi / 800)
    error = abs(box.total(steep) - exact)
    assert 1e-10 < error < box.tail(steep) < 0.1


def test_integrals_between_saved_times():
    """Exact for polynomials that the nearest times determine."""
    t = np.asarray([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 1.0])
    for stencil in (6, 4):
        powers = t ** (stencil - 1)
        given = between(t, stencil) @ powers
        np.testing.assert_allclose(given, np.diff(t**stencil) / stencil, atol=1e-14)
    assert between(t[:2], 6).shape == (1, 2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: audit(P.Heat(), P.Heat().exact, TIMES), "name: given 'energy'"),
        (lambda: audit(P.Wave(), P.Wave().exact), "times: given"),
        (lambda: audit(P.Wave(), P.Wave().exact, [0.5]), "times: given"),
        (lambda: audit(Walled(), P.reference(Walled(), 3)), "u: given a reference of"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


class Walled(P.AbstractExact):
    """The wave equation again, held at both ends."""

    fields: ClassVar = P.Wave.fields
    needs: ClassVar = P.Wave.needs
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    boundary: ClassVar = "zero"
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return P.Wave().equation(t, x, d)

    def exact(self, t, x):
        return P.Wave().exact(t, x)

    def functionals(self):
        return P.Wave().functionals()
