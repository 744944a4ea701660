"""Proved rates against exact worst cases over *all* functions of their class.

PEPit finds the largest V₊ that one step can leave when V ≤ 1, over every f that is
L-smooth and μ-strongly convex, every state and every dimension, by semidefinite
programming. A claim V₊ ≤ ρV is true if that is ≤ ρ, and tight if it is ρ. The maps
are written anew here; ρ is what the classes say.
"""

import math

import numpy as np
import pytest

import dynax as dx


pep = pytest.importorskip("PEPit", reason="extra `certify`")
pytestmark = pytest.mark.slow

ACCURACY = 1e-6  # of the solver
CONDITIONS = [(0.1, 1.0), (0.5, 1.0), (0.9, 1.0), (0.02, 1.0)]  # μ, L


class Problem:
    """f of the class, its minimum, and the programme to maximise V₊ with V ≤ 1."""

    def __init__(self, mu, L):
        from PEPit.functions import SmoothStronglyConvexFunction

        self.pep = pep.PEP()
        self.f = self.pep.declare_function(SmoothStronglyConvexFunction, mu=mu, L=L)
        self.best = self.f.stationary_point()
        self.value = self.f(self.best)

    def point(self):
        return self.pep.set_initial_point()

    def gap(self, x):
        return self.f(x) - self.value

    def off(self, x):
        return (x - self.best) ** 2

    def worst(self, before, after):
        self.pep.set_initial_condition(before <= 1)
        self.pep.set_performance_metric(after)
        return self.pep.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)


def gradient_descent(mu, L, eps):
    p = Problem(mu, L)
    x = p.point()
    return p.worst(p.off(x) / 2, p.off(x - eps * p.f.gradient(x)) / 2)


def convex_gradient_descent(L, eps, k):
    p = Problem(0.0, L)
    x = p.point()
    after = x - eps * p.f.gradient(x)
    v = lambda k, x: k * eps * p.gap(x) + p.off(x) / 2
    return p.worst(v(k, x), v(k + 1, after))


def heavy_ball(mu, L, h, gamma):
    p = Problem(mu, L)
    x, v = p.point(), p.point()
    beta = 1 / (1 + gamma * h)
    v_next = beta * (v - h * p.f.gradient(x))
    weight = beta / (1 - beta * h**2 * mu) / 2
    before = p.gap(x) + weight * v**2
    return p.worst(before, p.gap(x + h * v_next) + weight * v_next**2)


def nesterov_sc(mu, L, h):
    p = Problem(mu, L)
    r = math.sqrt(mu) * h
    x, z = p.point(), p.point()
    y = (x + r * z) / (1 + r)
    g = p.f.gradient(y)
    v = lambda x, z: p.gap(x) + mu / 2 * p.off(z)
    return p.worst(v(x, z), v(y - h**2 * g, (1 - r) * z + r * (y - g / mu)))


def heavy(mu, L, share, slack=1.0):
    """h and γ with α = share/L and β² = slack²·(1 − αμ)(1 − αL)."""
    alpha = share / L
    beta = slack * math.sqrt((1 - alpha * mu) * (1 - alpha * L))
    h = math.sqrt(alpha / beta)
    return h, (1 / beta - 1) / h


@pytest.mark.parametrize("mu, L", CONDITIONS)
@pytest.mark.parametrize("share", [0.3, 1.0, "largest"])
def test_gradient_descent_is_tight(mu, L, share):
    eps = 2 / (L + mu) if share == "largest" else share / L
    claimed = float(dx.GradientDescent(mu).factor(0, eps))
    assert gradient_descent(mu, L, eps) == pytest.approx(claimed, abs=ACCURACY)


@pytest.mark.parametrize("k", [0, 1, 7])
def test_convex_gradient_descent(k):
    assert convex_gradient_descent(1.0, 1.0, k) <= 1 + ACCURACY
    assert convex_gradient_descent(1.0, 0.5, k) == pytest.approx(1, abs=ACCURACY)


@pytest.mark.parametrize("mu, L", CONDITIONS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_heavy_ball(mu, L, share):
    """True at and within β² = (1 − αμ)(1 − αL); past it, it is not."""
    for slack in (1.0, 0.7):
        h, gamma = heavy(mu, L, share, slack)
        claimed = float(dx.HeavyBall(gamma, mu).factor(0, h))
        assert claimed == pytest.approx(1 - share * mu / L)
        assert heavy_ball(mu, L, h, gamma) <= claimed + ACCURACY


def test_control_heavy_ball_with_more_momentum():
    mu, L, share = 0.5, 1.0, 0.5
    h, gamma = heavy(mu, L, share, 1.2)
    claimed = float(dx.HeavyBall(gamma, mu).factor(0, h))
    assert heavy_ball(mu, L, h, gamma) > claimed + 1e-3


@pytest.mark.parametrize("mu, L", CONDITIONS)
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_nesterov_sc(mu, L, share):
    h = share / math.sqrt(L)
    assert nesterov_sc(mu, L, h) <= float(dx.NesterovSC(mu).factor(0, h)) + ACCURACY


@pytest.mark.parametrize("mu", [0.02, 0.1, 0.5, 0.9])
def test_nesterov_sc_has_room(mu):
    """The exact worst case at h² = 1/L, as its docstring states it: left by ½μ‖x‖²,
    where x₊ = (1−r)(x + rz), z₊ = (1−r)z, and by no other f."""
    r = math.sqrt(mu)
    exact = ((r + math.sqrt(mu + 4)) / 2 * (1 - r)) ** 2
    on_the_bowl = (1 - r) * np.array([[1, r], [0, 1]])
    assert np.linalg.norm(on_the_bowl, 2) ** 2 == pytest.approx(exact, rel=1e-12)
    assert nesterov_sc(mu, 1.0, 1.0) <= exact + ACCURACY
    room = float(dx.NesterovSC(mu).factor(0, 1.0)) / exact
    stated = {0.02: 1.01, 0.1: 1.07, 0.5: 1.71, 0.9: 7.79}[mu]
    assert room == pytest.approx(stated, rel=0.01)


def test_controls_too_long_a_step():
    assert nesterov_sc(0.1, 1.0, 1.2) > float(dx.NesterovSC(0.1).factor(0, 1.2)) + 1e-2
    wrong = gradient_descent(0.1, 1.0, 1.9)
    assert wrong > float(dx.GradientDescent(0.1).factor(0, 1.9)) + 1e-2
