"""The estimated error of a function that claims to solve an equation.

The oracles are closed forms and scipy; none is a solver of dynax.
"""

import dataclasses
import itertools
import json
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from jax.scipy.special import erf

from dynax import pde
from dynax.pde.evolve import evolutions, exactly
from dynax.pinn import Certificate
from dynax.pinn.estimate import TIMES, ErrorEstimate, estimate_error


class Pulse(pde.AbstractPDE):
    """u̇ = (−u + a pulse of area 1, in units of `size`)/`time`, from 1."""

    needs: ClassVar = "u t"
    horizon: ClassVar = 2.0
    at: float = 0.7
    width: float = 2e-2
    time: float = 1.0
    size: float = 1.0

    def equation(self, t, x, d):
        s = (t / self.time - self.at) / self.width
        pulse = jnp.exp(-(s**2) / 2) / (self.width * np.sqrt(2 * np.pi))
        return d.t + (d.u - self.size * pulse) / self.time

    def initial(self, x):
        return self.size * jnp.ones(1, x.dtype)

    def exact(self, t):
        """In units of time and size."""
        late = (t - self.at) / self.width - self.width
        area = (1 + erf(late / np.sqrt(2))) / 2
        return jnp.exp(-t) + jnp.exp(self.at - t + self.width**2 / 2) * area


class Claimed(eqx.Module):
    """`seen` = 1: the solution; 0: what it is without the pulse."""

    problem: Pulse
    seen: float

    def __call__(self, t, x):
        p = self.problem
        s = t / p.time
        right = p.exact(s)
        return p.size * (self.seen * right + (1 - self.seen) * jnp.exp(-s))[None]


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e6, 1e-6), (1e-6, 1e6)])
@pytest.mark.parametrize(
    "at, width", [(0.7, 2e-2), (0.7, 3e-3), (0.7, 3e-4), (1.94, 2e-2), (1.999, 3e-4)]
)
def test_a_pulse_between_points(at, width, units):
    """It is seen wherever it is, in any units; and who saw it is not accused."""
    time, size = units
    problem = Pulse(*map(jnp.asarray, (at, width, time, size)))
    found = [
        estimate_error(problem, Claimed(problem, jnp.asarray(s)), 0.0, 2.0 * time)
        for s in (0.0, 1.0)
    ]
    t = jnp.linspace(0, 2, 129)
    right = problem.exact(t)
    miss = jnp.max(abs(right - jnp.exp(-t))) / jnp.sqrt(jnp.mean(right**2))
    assert abs(found[0].relative / miss - 1) < 1e-3
    assert found[1].relative < 1e-4 and found[1].doubt < 1e-4
    assert found[0].relative > 0.2  # nobody could call it solved


class Wrong(eqx.Module):
    """A solution times 1 + off·t, plus a slope by which it is not periodic."""

    problem: pde.AbstractExact
    off: float = 0.0
    slope: float = 0.0
    size: float = 1.0

    def __call__(self, t, x):
        right = self.problem.exact(t, x) * (1 + self.off * t)
        return self.size * (right + self.slope * t * x[:1])


class Sized(eqx.Module):
    problem: pde.AbstractPDE
    size: float

    def __call__(self, x):
        return self.size * self.problem.initial(x)


def test_heat():
    """The error of a linear equation, of any size; and a slope that no residual shows:
    uₓₓ = 0, so x·t/100 costs the residual 1/100 only, and periodicity all."""
    heat = pde.Heat(jnp.asarray(0.1))
    decay = np.exp(-0.1 * np.pi**2 * np.linspace(0, 1, 65))
    typical = np.sqrt(np.mean(decay**2))
    for size in (1.0, 1e-6, 1e6):
        size = jnp.asarray(size)
        given = Wrong(heat, jnp.asarray(1e-3), jnp.asarray(0.0), size)
        found = estimate_error(heat, given, 0.0, 1.0, Sized(heat, size))
        true = np.max(1e-3 * np.linspace(0, 1, 65) * decay) / typical
        assert abs(found.relative / true - 1) < 1e-6
        np.testing.assert_allclose(found.absolute[0], size * true * typical / 2**0.5)
    slanted = Wrong(heat, jnp.asarray(0.0), jnp.asarray(0.01), jnp.asarray(1.0))
    found = estimate_error(heat, slanted, 0.0, 1.0)
    true = 0.01 / np.sqrt(3) / (typical / 2**0.5)
    assert abs(found.relative / true - 1) < 0.05


def test_a_stream_function_is_known_up_to_a_constant():
    """A constant added to ψ is no error; to ω, or a wave added to ψ, it is."""
    vortices = pde.TaylorGreen()

    def off(stream, vorticity):
        more = lambda t, x: jnp.stack([stream(x) * t, vorticity * t])
        u = lambda t, x: vortices.exact(t, x) + more(t, x)
        return estimate_error(vortices, u, 0.0, 0.1).relative

    assert off(lambda x: 100.0, 0.0) < 1e-6
    assert off(lambda x: 0.0, 0.1) > 1e-3
    assert off(lambda x: 0.1 * jnp.cos(x[0]), 0.0) > 1e-3


def test_windows_accumulate():
    """The end of one window starts the next: two give what one gives at the end."""
    heat = pde.Heat(jnp.asarray(0.1))
    given = Wrong(heat, *map(jnp.asarray, (1e-3, 0.0, 1.0)))
    whole = estimate_error(heat, given, 0.0, 1.0)
    first = estimate_error(heat, given, 0.0, 0.5)
    second = estimate_error(heat, given, 0.5, 1.0, first.end)
    alone = estimate_error(heat, given, 0.5, 1.0, lambda x: given(jnp.asarray(0.5), x))
    np.testing.assert_allclose(second.absolute, whole.absolute, rtol=1e-9)
    assert second.start > 4e-4 and alone.start < 1e-12
    assert alone.relative < 0.6 * second.relative


class Rod(pde.AbstractPDE):
    """uₜ = uₓₓ between walls at 1 and 0."""

    needs: ClassVar = "u t xx"
    lower: ClassVar = (0.0,)
    upper: ClassVar = (1.0,)
    boundary: ClassVar = "zero"
    horizon: ClassVar = 0.1

    def equation(self, t, x, d):
        return d.t - d.xx

    def initial(self, x):
        return 1 - x + jnp.sin(np.pi * x)


class OnRod(eqx.Module):
    """Solutions of the equation; `free` lets the wall at 0 go."""

    off: float
    free: float

    def __call__(self, t, x):
        right = 1 - x + jnp.exp(-(np.pi**2) * t) * jnp.sin(np.pi * x)
        return (1 + self.off * t) * right + self.free * t * (1 - x)


def test_walls():
    """Walls keep what they start as; a function that leaves them has no excuse."""
    rod = Rod()
    right, wrong, free = (
        estimate_error(rod, OnRod(*map(jnp.asarray, given)), 0.0, 0.1)
        for given in ((0.0, 0.0), (0.1, 0.0), (0.0, 1.0))
    )
    assert right.relative < 1e-6
    x = np.linspace(0, 1, 2001)
    at = lambda t: 1 - x + np.exp(-(np.pi**2) * t) * np.sin(np.pi * x)
    mean = lambda a: np.sqrt(np.trapezoid(a**2, x))
    typical = np.sqrt(np.mean([mean(at(t)) ** 2 for t in np.linspace(0, 0.1, 65)]))
    # of both the walls are off by 1e-2 and 1e-1 at the end
    assert abs(wrong.relative / (0.01 * mean(at(0.1)) / typical) - 1) < 0.02
    assert abs(free.relative / (0.1 * mean(1 - x) / typical) - 1) < 0.02


class Moved(eqx.Module):
    """A run of the equation from another start, saved at the times compared at."""

    t: np.ndarray
    u: np.ndarray  # (nt, n), on equispaced points
    lower: float
    side: float

    def __call__(self, t, x):
        k = jnp.argmin(abs(self.t - t))
        modes = jnp.fft.rfft(self.u[k]) / self.u.shape[1]
        turn = jnp.arange(float(len(modes))) * (2 * np.pi / self.side)
        turn = turn * (x[0] - self.lower)
        wave = modes.real * jnp.cos(turn) - modes.imag * jnp.sin(turn)
        return 2 * jnp.sum(wave, keepdims=True) - modes[:1].real


def test_what_the_equation_multiplies():
    """Even perturbations of Kuramoto–Sivashinsky's odd start grow thousands of times: a
    start that is off by 1e-6 ends 1e-2 off, and no residual shows it."""
    problem = pde.KuramotoSivashinsky(*map(jnp.asarray, (5.0, 0.5, 0.005)))
    t = np.linspace(0, 1, 65)
    other = lambda x: problem.initial(x) + 1e-6 * jnp.cos(2 * np.pi * x)
    with exactly():
        *_, run = itertools.islice(evolutions(problem, other, t), 5)
    given = Moved(jnp.asarray(t), jnp.asarray(run.u[..., 0]), -1.0, 2.0)
    found = estimate_error(problem, given, 0.0, 1.0)
    grown = found.relative / found.start
    assert 5e-7 < found.start < 2e-6
    assert problem.growth / 3 < grown < problem.growth * 3
    assert found.doubt < found.relative / 10


class Unstable(pde.AbstractPDE):
    """u̇ = λ(u − cos t) − sin t, from 1: cos t, from which all else runs away."""

    needs: ClassVar = "u t"
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return d.t - 14 * (d.u - jnp.cos(t)) + jnp.sin(t)

    def initial(self, x):
        return jnp.ones(1, x.dtype)


def test_an_unstable_problem_is_refused_for_that_reason():
    """The residual is 0, the start off by 1e-7, and the end by 0.12."""
    given = lambda t, x: (jnp.cos(t) + 1e-7 * jnp.exp(14 * t))[None]
    found = estimate_error(Unstable(), given, 0.0, 1.0)
    np.testing.assert_allclose(found.absolute, 1e-7 * np.exp(14), rtol=1e-3)
    verdict = RESIDUAL.judged(found, 1e-2)
    assert verdict.status == "not solved"
    assert "the equation multiplies it by 1.2e+06" in verdict.reason
    assert estimate_error(Unstable(), lambda t, x: jnp.cos(t)[None], 0.0, 1.0).doubt < (
        1e-2
    )


class Sheet(pde.AbstractPDE):
    """Walls in two dimensions: no classical method here serves."""

    needs: ClassVar = "u t xx yy"
    lower: ClassVar = (0.0, 0.0)
    upper: ClassVar = (1.0, 1.0)
    boundary: ClassVar = "zero"
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return d.t - d.xx - d.yy

    def initial(self, x):
        return jnp.prod(jnp.sin(np.pi * x))[None]


class Growing(Sheet):
    growth: ClassVar = 10.0


def test_without_a_classical_method_it_says_so():
    still = lambda t, x: jnp.prod(jnp.sin(np.pi * x))[None]
    found = estimate_error(Sheet(), still, 0.0, 0.5)
    assert (
        "no growth is known" in found.method
        and found.doubt == np.inf
        and found.growth is None
    )
    np.testing.assert_allclose(found.relative, 0.5 * 2 * np.pi**2, rtol=1e-6)
    declared = estimate_error(Growing(), still, 0.0, 0.5)
    np.testing.assert_allclose(declared.relative, 10**0.5 * found.relative)
    assert "declared" in declared.method and declared.doubt == 0


class Robertson(pde.AbstractODE):
    fields: ClassVar = ("a", "b", "c")
    sizes: ClassVar = (1.0, 1e-5, 1.0)
    horizon: ClassVar = 40.0

    def field(self, u):
        a, b, c = u[..., 0], u[..., 1], u[..., 2]
        slow, fast = 0.04 * a - 1e4 * b * c, 3e7 * b**2
        return jnp.stack([-slow, slow - fast, fast], -1)

    def initial(self, x):
        return jnp.asarray([1, 0, 0], x.dtype)


@pytest.mark.slow
def test_stiff():
    """Robertson's reaction, each field on its own: scipy's Radau is the oracle."""
    problem = Robertson()
    run = scipy.integrate.solve_ivp(
        lambda t, u: np.asarray(problem.field(jnp.asarray(u))),
        (0, 40),
        [1.0, 0, 0],
        "Radau",
        t_eval=np.linspace(0, 40, 129),
        rtol=1e-9,
        atol=1e-14,
    )
    saved = jnp.asarray(run.y.T), jnp.asarray(run.t)

    def near(t, x):
        return saved[0][jnp.argmin(abs(saved[1] - t))] * jnp.asarray([1, 1 + 1e-3, 1])

    found = estimate_error(problem, near, 0.0, 40.0)
    assert found.per_field[0] < 1e-6 and found.per_field[2] < 1e-6
    true = 1e-3 * np.max(run.y[1]) / np.sqrt(np.mean(run.y[1] ** 2))
    np.testing.assert_allclose(found.per_field[1], true, rtol=0.02)


@pytest.mark.slow
def test_unknown_problems_are_refused():
    class Steady(Sheet):
        needs: ClassVar = "u xx yy"

    with pytest.raises(ValueError, match="evolution"):
        estimate_error(Steady(), lambda t, x: x[:1], 0.0, 1.0)


RESIDUAL = Certificate(
    "solved", "min w > 0.99", 1e4, 1e4, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1e-3, 9
)


def of(relative, start=0.0, residual=1e-4, doubt=0.0, method="ETDRK4"):
    none = np.zeros(1)
    known = relative, none, none, start, residual, doubt, None, method, None
    return ErrorEstimate(*known)


@pytest.mark.parametrize(
    "estimate, status, word",
    [
        (of(2e-3), "solved", "estimated error 2.0e-03"),
        (of(2e-3, doubt=7e-3), "solved", "estimated"),
        (of(0.15), "not solved", "multiplies it by 1.5e+03"),
        (of(0.15, residual=0.0), "not solved", "between the points"),
        (of(0.15, start=0.1), "not solved", "the start is off"),
        (of(0.15, residual=0.1), "not solved", "the residual makes it"),
        (of(2e-3, doubt=9e-3), "undecided", "known to 9.0e-03 only"),
        (of(0.02, doubt=0.015), "undecided", "known to"),
        (of(2e-3, doubt=np.inf, method="no growth is known"), "undecided", "no growth"),
        (of(np.nan), "undecided", "its effect"),
        (None, "undecided", "without uₜ"),
    ],
)
def test_what_is_made_of_an_estimate(estimate, status, word):
    found = RESIDUAL.judged(estimate, 1e-2)
    assert found.status == status and word in found.reason
    assert found.holds == (status == "solved")
    json.dumps(found.to_dict())
    refused = dataclasses.replace(RESIDUAL, status="not solved", reason="min w = 0")
    again = refused.judged(estimate, 1e-2)
    assert again.status == "not solved" and again.reason == "min w = 0"


MEMBERS = {  # (equation, end, points along each axis of the reference)
    "heat": (pde.Heat(), 1.0, 1024),
    "advection": (pde.Advection(3.0), 1.0, 1024),
    "Burgers": (pde.Burgers(0.02), 0.5, 1024),
    "KdV": (pde.KdV(), 0.3, 1024),
    "Allen–Cahn": (pde.AllenCahn(), 0.2, 2048),
    "KS": (pde.KuramotoSivashinsky(), 0.5, 1024),
    "chaotic KS": (pde.ChaoticKuramotoSivashinsky(), 0.2, 1024),
    "wave": (pde.Wave(), 0.5, 192),
    "vortices": (pde.NavierStokes(), 0.1, 128),
    "Lorenz": (pde.Lorenz(), 3.0, 1),
    "Lotka–Volterra": (pde.LotkaVolterra(), 8.0, 1),
    "pendulum": (pde.Pendulum(), 8.0, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
def test_estimate_beside_truth(name):
    """The reference, all fields wrong by a share that grows to 1e-3 at the end."""
    problem, end, points = MEMBERS[name]
    d = len(problem.lower)
    t = np.linspace(0, end, TIMES[d])
    truth = pde.reference(problem, t, points, accuracy=1e-6)
    table, times = jnp.asarray(truth.u), jnp.asarray(t)

    def given(t, x):
        k = jnp.argmin(abs(times - t))
        at = [
            jnp.round((x[i] - a) / (b - a) * points).astype(int) % points
            for i, (a, b) in enumerate(zip(problem.lower, problem.upper, strict=True))
        ]
        return table[(k, *at)] * (1 + 1e-3 * t / end)

    found = estimate_error(problem, given, 0.0, end)
    rms = np.sqrt(np.mean(truth.u**2, tuple(range(1, d + 1))))
    true = np.max(1e-3 * (t / end)[:, None] * rms, 0) / np.sqrt(np.mean(rms**2, 0))
    np.testing.assert_allclose(found.per_field, true, rtol=0.1)
    assert found.doubt < found.relative / 5
