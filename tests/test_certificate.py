"""The certificate: no unit changes it, doing nothing fails, walls and start count."""

import warnings
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import pde, pinn
from dynax.newton import LevenbergMarquardt
from dynax.pinn import networks
from dynax.pinn.account import account
from dynax.pinn.train import warn_if_cut


KEY = jax.random.key(0)
number = lambda value: jnp.asarray(float(value))


class Epidemic(pde.AbstractODE):
    """s, i, r of `amount` people; rates 0.4 and 0.1 per `unit` of time."""

    fields = ("s", "i", "r")
    horizon = 100.0
    sick: jax.Array  # the share at the start
    unit: jax.Array
    amount: jax.Array

    def field(self, u):
        s, i = u[..., 0] / self.amount, u[..., 1] / self.amount
        rate = self.amount / self.unit
        return rate * jnp.stack([-0.4 * s * i, (0.4 * s - 0.1) * i, 0.1 * i], -1)

    def initial(self, x):
        return self.amount * jnp.stack([1 - self.sick, self.sick, 0 * self.sick])


class Logistic(pde.AbstractODE):
    """u̇ = u − u³ from far below 1."""

    horizon = 20.0
    start: jax.Array

    def field(self, u):
        return u - u**3

    def initial(self, x):
        return self.start[None]


def recipe(points=1, levels=(1.0, 1e2, 1e4), **kw):
    objective = pinn.Objective(times=32, points=points, chunks=16, **kw)
    annealing = pinn.Annealing(levels, patience=30)
    return pinn.Trainer(objective, LevenbergMarquardt(), annealing)


def of_residual(out, annealing):
    """What the residual says, before any estimate of the error."""
    carry = jax.device_get(out.state)
    return pinn.Certificate.of(carry.last, carry, annealing)


@eqx.filter_jit
def solve(how, problem, t1, cycles):
    network = pinn.mlp_field(problem, KEY, width=16, depth=2)
    over = pinn.Window(jnp.zeros_like(t1), t1, problem.initial)
    out = pinn.solve(how, pinn.Model(network, problem), over, KEY, cycles)
    u = how.objective.ansatz(problem, out.model.network, over)
    times = jnp.linspace(0, t1, 21)
    return out, jax.vmap(lambda t: u(t, jnp.zeros(len(problem.lower))))(times)


def epidemic(sick, days, unit=1.0, amount=1.0):
    problem = Epidemic(*map(number, (sick, unit, amount)))
    out, u = solve(recipe(), problem, number(days * unit), 60)
    return of_residual(out, pinn.Annealing((1.0, 1e2, 1e4))), u / amount


def runge_kutta(sick, days):
    """The classical method, 100 steps between two of 21 times."""
    f = Epidemic(*map(number, (sick, 1, 1))).field
    h = days / 2000

    def step(u, _):
        a = f(u)
        b = f(u + h / 2 * a)
        c = f(u + h / 2 * b)
        return u + h / 6 * (a + 2 * b + 2 * c + f(u + h * c)), u

    start = jnp.asarray([1 - sick, sick, 0.0])
    return np.asarray(jax.jit(lambda: jax.lax.scan(step, start, length=2001))()[1])[
        ::100
    ]


def test_units_change_nothing():
    """Days or seconds, shares or people: the same cycles, the same solution."""
    first, u = epidemic(1e-2, 10.0)
    assert first.holds and first.causality == first.final
    gap = np.linalg.norm(u - runge_kutta(1e-2, 10.0), axis=0)
    assert max(gap / np.linalg.norm(u, axis=0)) < first.tolerance
    for unit, amount in ((1e6, 1e-6), (1e-6, 1e6)):
        other, v = epidemic(1e-2, 10.0, unit, amount)
        assert (other.holds, other.cycles) == (first.holds, first.cycles)
        np.testing.assert_allclose(other.null, first.null, rtol=1e-9)
        np.testing.assert_allclose(v, u, atol=1e-6)


@pytest.mark.parametrize("sick", [1e-3, 1e-6])
def test_an_outbreak_that_nobody_saw_is_not_solved(sick):
    """Its residual of nearly nothing is as large as the outbreak at that time."""
    certificate, u = epidemic(sick, 100.0)
    truth = runge_kutta(sick, 100.0)
    assert np.linalg.norm(u - truth) > 0.1 * np.linalg.norm(truth)
    assert certificate.status == "not solved" and certificate.null > 1


def test_where_doing_nothing_passes_the_test_is_empty():
    """Next to a state of rest the start kept is right to nine digits, so nothing that
    could be seen is asked for; at ε = 1e20 it is."""
    problem, how = Logistic(number(1 - 1e-9)), recipe()
    model = pinn.Model(pinn.mlp_field(problem, KEY, width=4, depth=1), problem)
    out = pinn.train(how, model, pinn.Window(0.0, 1.0, problem.initial), KEY, 0)
    certificate = of_residual(out, how.annealing)
    assert certificate.status == "empty test" and not certificate.holds
    assert "initial state kept as it is" in certificate.reason
    fine = of_residual(out, pinn.Annealing((1.0, 1e20)))
    assert fine.status == "not solved"


def test_the_loss_of_a_certificate_is_unweighted():
    certificate, _ = epidemic(1e-3, 100.0)
    problem = Epidemic(*map(number, (1e-3, 1, 1)))
    out, _ = solve(recipe(), problem, number(100.0), 60)
    last = np.asarray(out.records.chunks)[-1]
    np.testing.assert_allclose(certificate.loss, last.mean(), rtol=1e-6)
    assert float(out.records.loss[-1]) < 0.5 * certificate.loss  # the weighted one


# --- sizes


class Rod(pde.AbstractPDE):
    """factor·(uₜ − ν uₓₓ) = 0 between walls; its sizes are its own."""

    needs = "u t xx"
    lower, upper, horizon = (0.0,), (2.0,), 1.0
    boundary: ClassVar = "zero"
    factor: float = 1.0

    def equation(self, t, x, d):
        return self.factor * (d.t - 0.1 * d.xx)

    def initial(self, x):
        return 1 + x + jnp.sin(jnp.pi / 2 * x)


class Ring(Rod):
    boundary: ClassVar = "periodic"

    def initial(self, x):
        return jnp.sin(jnp.pi * x)


class Nobody(Ring):
    boundary: ClassVar = None


def test_a_factor_of_the_equation_changes_no_relative_residual():
    scale = pinn.Window(0.0, 0.5, Ring().initial).measured(Ring()).scale
    thousand = Ring(1e3)
    other = pinn.Window(0.0, 0.5, thousand.initial).measured(thousand).scale
    np.testing.assert_allclose(other.rows, 1e3 * scale.rows, rtol=1e-12)
    np.testing.assert_allclose(other.null, scale.null, rtol=1e-12)
    # R = S/Δt, S² the mean of sin²; and doing nothing is off by Δt·νπ²
    np.testing.assert_allclose(scale.rows, 2 * 0.5**0.5, rtol=1e-2)
    np.testing.assert_allclose(scale.null, (0.05 * np.pi**2) ** 2, rtol=1e-2)
    np.testing.assert_allclose(scale.driven, 0.05 * np.pi**2 * 0.5**0.5, rtol=1e-2)


def test_own_sizes():
    """The largest yet; from zero, what the first rate drives to; undriven, all's."""
    scale = pinn.Window(0.0, 1.0, Ring().initial).measured(Ring()).scale
    scale = scale._replace(
        start=jnp.asarray([1e-6, 0.0, 0.0]), driven=jnp.asarray([1e-5, 0.5, 0.0])
    )
    t = jnp.asarray([0.0, 0.5, 1.0, 1.5])
    u = jnp.stack([1e-6 * jnp.exp(10 * t), jnp.sin(jnp.pi * t), 0 * t], -1)[:, None]
    own = scale.own(u)
    np.testing.assert_allclose(own[:, 0], 1e-6 * jnp.exp(10 * t).at[0].set(10))
    np.testing.assert_allclose(own[:, 1], [0.5, 1, 1, 1])
    np.testing.assert_allclose(own[:, 2], np.sqrt(np.mean(own[:, :] ** 2, 1)), rtol=0.3)
    assert scale.own(1e-170 * u)[3, 0] > 0  # whose square is none


# --- walls


@eqx.filter_jit
def accounted(problem, network, ansatz, start):
    objective = pinn.Objective(times=16, points=8, chunks=8, ansatz=ansatz)
    over = pinn.Window(0.0, 1.0, start).measured(problem)
    model = pinn.Model(network, problem)
    batch = objective.sample(KEY, problem, over)
    blocks = objective.blocks(model, over, batch)
    return account(objective, model, over, batch, blocks)


def walls(problem, network, ansatz=pinn.exact_initial, start=None):
    start = problem.initial if start is None else start
    return float(accounted(problem, network, ansatz, start).walls) ** 0.5


def test_walls_that_are_not_periodic_are_seen():
    """By the network's values, or by the start's slope: 2π·|x| has a kink at ±1."""
    free = lambda t, x: 0.1 * x
    waves = lambda t, x: jnp.cos(2 * jnp.pi * x)
    assert walls(Ring(), waves) < 1e-12
    assert walls(Ring(), free) > 0.05
    even = lambda x: (x - 1) ** 2  # the same values at both walls, not slopes
    assert walls(Ring(), waves, start=even) > 0.1
    assert walls(Ring(), waves, start=lambda x: 0 * x + 2.0) < 1e-12


def test_walls_are_met_by_every_ansatz():
    """u = u₀ at the walls, which are not zero, at all times."""
    network = lambda t, x: 3 + jnp.cos(x)
    rod = Rod()
    melting = pinn.interpolate(rod, lambda t, x: rod.initial(x), 0.0)
    assert jnp.all(melting.error < 1e-12)
    for ansatz in (
        pinn.exact_initial,
        pinn.penalised_initial,
        pinn.HeatKernelInitial(0.1),
    ):
        assert walls(rod, network, ansatz, melting) < 1e-12
    loose = lambda pde, network, window: network
    assert walls(rod, network, loose) > 0.1  # the control


def test_a_boundary_that_nobody_knows():
    with pytest.raises(ValueError, match="boundary: given 'neumann' by Bad"):

        class Bad(Rod):
            boundary: ClassVar = "neumann"

        Bad()
    assert np.isinf(walls(Nobody(), lambda t, x: 0 * x))


# --- the start


def test_a_front_between_two_walls():
    """A line between the walls' values and sines: no Gibbs; cut off, it is told."""
    front = lambda t, x: 0.5 - 0.5 * jnp.tanh(8 * (x - 1))
    state = pinn.interpolate(Rod(), front, 0.0, modes=32)
    assert state.error < 1e-4
    coarse = pinn.interpolate(Rod(), front, 0.0, modes=4)
    assert coarse.error > 1e-2
    x = jnp.linspace(0, 2, 9)[:, None]
    found = jax.vmap(state)(x)
    np.testing.assert_allclose(found, jax.vmap(lambda x: front(0, x))(x), atol=1e-4)
    cut = accounted(Rod(), lambda t, x: 0 * x, pinn.exact_initial, coarse)
    assert float(cut.start) ** 0.5 > 1e-3
    for given, warned in ((state, False), (coarse, True)):
        window = pinn.Window(0.0, 1.0, given).measured(Rod())
        with warnings.catch_warnings(record=True) as said:
            warn_if_cut(recipe(), window)
        assert len(said) == warned
        assert not said or "window.initial: given an inter" in str(said[0].message)


# --- slow: trained


class Pulsed(pde.AbstractODE):
    """u̇ = −u + a pulse of area 1 at `at`, of a width."""

    fields = ("u", "clock")
    horizon = 2.0
    at: jax.Array
    width: jax.Array

    def field(self, u):
        off = (u[..., 1] - self.at) / self.width
        pulse = jnp.exp(-0.5 * off**2) / (self.width * (2 * jnp.pi) ** 0.5)
        return jnp.stack([pulse - u[..., 0], jnp.ones_like(off)], -1)

    def initial(self, x):
        return jnp.asarray([1.0, 0.0])


@pytest.mark.slow
@pytest.mark.parametrize("at, width", [(1.94, 0.02), (0.7, 3e-2), (0.7, 3e-3)])
def test_a_pulse_that_is_missed_is_no_solution(at, width):
    problem = Pulsed(number(at), number(width))
    for seed in range(3):
        key = jax.random.key(seed)
        network = pinn.mlp_field(problem, key, width=12, depth=1)
        over = pinn.Window(0.0, 2.0, problem.initial)
        out = pinn.train(recipe(), pinn.Model(network, problem), over, key, 60)
        u = pinn.exact_initial(problem, out.model.network, over)
        end = float(u(number(2.0), jnp.zeros(0))[0])
        # ∫ the pulse is over by then, but for its tail beyond t = 2
        truth = np.exp(-2) + np.exp(-(2 - at))
        assert not of_residual(out, recipe().annealing).holds or abs(end - truth) < 1e-2


@pytest.mark.slow
def test_a_network_that_is_not_periodic_is_not_certified():
    heat = pde.Heat()
    key, how = jax.random.key(0), recipe(points=16)
    features = networks.Box(heat.lower, heat.upper)
    body = networks.MLP(features.size, 1, 16, 2, key=key)
    model = pinn.Model(networks.Field(features, body), heat)
    out = pinn.train(how, model, pinn.Window(0.0, 1.0, heat.initial), key, 120)
    certificate = of_residual(out, how.annealing)
    assert not certificate.holds and "walls" in certificate.reason


class Warm(pde.Heat):
    """Heat of another amplitude, time and length."""

    amount: float = 1.0
    unit: float = 1.0

    def equation(self, t, x, d):
        return d.t - 0.1 * self.upper[0] ** 2 / self.unit * d.xx

    def initial(self, x):
        return self.amount * jnp.sin(jnp.pi * x / self.upper[0])


class Long(Warm):
    lower: ClassVar = (-1e6,)
    upper: ClassVar = (1e6,)


@pytest.mark.slow
def test_heat_of_any_amplitude_time_and_length():
    cycles = []
    for kind, amount, unit in (
        (Warm, 1.0, 1.0),
        (Warm, 1e-2, 1.0),
        (Warm, 1e-4, 1.0),
        (Warm, 1e6, 1e-6),
        (Warm, 1e-6, 1e6),
        (Long, 1.0, 1.0),
    ):
        problem = kind(number(0.1), amount=number(amount), unit=number(unit))
        key, how = jax.random.key(0), recipe(points=16)
        model = pinn.Model(pinn.mlp_field(problem, key, width=16, depth=2), problem)
        window = pinn.Window(number(0), number(unit), problem.initial)
        out = pinn.train(how, model, window, key, 60)
        certificate = of_residual(out, how.annealing)
        u = pinn.exact_initial(problem, out.model.network, window)
        x = jnp.linspace(problem.lower[0], problem.upper[0], 33)
        found = jax.vmap(lambda x, u=u, t=window.t1: u(t, x[None])[0])(x)
        truth = np.exp(-0.1 * np.pi**2) * amount * np.sin(np.pi * x / x[-1])
        off = np.linalg.norm(found - truth) / np.linalg.norm(truth)
        assert certificate.holds and off < certificate.tolerance
        cycles.append(certificate.cycles)
    assert max(cycles) - min(cycles) <= 1


@pytest.mark.slow
def test_growth_from_nearly_nothing():
    """Certified only where it is right: the closed solution is u²/(1 − u²) ∝ e^{2t}."""
    held = 0
    for start, t1 in (
        (1e-6, 20.0),
        (1e-4, 20.0),
        (1e-2, 20.0),
        (1e-6, 2.0),
        (0.1, 2.0),
    ):
        problem = Logistic(number(start))
        out, u = solve(recipe(), problem, number(t1), 100)
        odds = start**2 / (1 - start**2) * np.exp(2 * np.linspace(0, t1, 21))
        truth = np.sqrt(odds / (1 + odds))
        off = np.linalg.norm(u[:, 0] - truth) / np.linalg.norm(truth)
        holds = of_residual(out, recipe().annealing).holds
        assert not holds or off < 1e-3
        held += holds
    rest, _ = solve(recipe(), Logistic(number(1 - 1e-9)), number(1.0), 100)
    assert of_residual(rest, recipe().annealing).status == "empty test"
    assert not rest.state.solved
    assert held >= 2  # the short ones
