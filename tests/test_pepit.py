"""Theorem 4.1 over *all* L-smooth f and *all* convex κ, by semidefinite programming.

PEPit maximises H₊ − H + ε(aΔ₁ + bΔ₂) − (Lε²/2)‖V − λx₊‖² over every function of the two
classes, in any dimension: the theorem says ≤ 0. The weights are the library's own.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from dynax.optim._lion_block import weights


pep = pytest.importorskip("PEPit", reason="extra `certify`")
pytestmark = pytest.mark.slow


def worst_case(L, beta1, beta2, eps, lam, c_factor=1.0, residual_factor=1.0):
    from PEPit.expression import Expression
    from PEPit.functions import ConvexFunction, SmoothFunction
    from PEPit.point import Point

    w = weights(eps, lam, beta1, beta2, jnp.float64)
    a, b = float(w.a), float(w.c) * (1 - beta2) / (eps * (beta2 - beta1))
    c = float(w.c) * c_factor
    p = pep.PEP()
    f = p.declare_function(SmoothFunction, L=L)
    K = p.declare_function(ConvexFunction)
    x, m = p.set_initial_point(), p.set_initial_point()
    g, fx = f.oracle(x)
    m_next, m_tilde = beta2 * m - (1 - beta2) * g, beta1 * m - (1 - beta1) * g
    V, _ = K.oracle(m_tilde)
    x_next = (x + eps * V) / (1 + eps * lam)
    V_next, k_next = K.oracle(m_next)

    def conjugate(y):
        """κ*(y) = ⟨P, y⟩ − κ(P) for a P with y ∈ ∂κ(P)."""
        P, kP = Point(), Expression()
        K.add_point((P, y, kP))
        return P, P * y - kP

    P, star = conjugate(lam * x)
    Q, star_next = conjugate(lam * x_next)
    d = V - lam * x_next
    before = fx + star / lam + c * (star + K(m) - lam * (m * x))
    after = f(x_next) + star_next / lam
    after += c * (star_next + k_next - lam * (m_next * x_next))
    spent = a * (d * (m_tilde - Q)) + b * ((V - V_next) * (m_tilde - m_next))
    allowed = residual_factor * L * eps**2 / 2 * d**2
    p.set_performance_metric(after - before + eps * spent - allowed)
    points = (x, m, g, V, P, Q, V_next)
    p.set_initial_condition(sum(q**2 for q in points) <= 1)
    return p.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)


def test_theorem_for_every_f_and_kappa():
    rng = np.random.default_rng(0)
    for _ in range(20):
        beta1, beta2 = np.sort(rng.uniform(0.3, 0.99, 2))
        L, eps, lam = rng.uniform(0.5, 5), rng.uniform(0.01, 0.5), rng.uniform(0.1, 2)
        assert worst_case(L, beta1, beta2, eps, lam) <= 1e-6


@pytest.mark.parametrize(
    "wrong", [{"c_factor": 0.9}, {"c_factor": 1.1}, {"residual_factor": 0.95}]
)
def test_its_constants_cannot_be_loosened(wrong):
    assert worst_case(2.0, 0.5, 0.8, 0.3, 1.0, **wrong) > 1e-3
