"""The theorem of Lion-κ over every L-smooth f and every convex κ, in any dimension.

With V = ∇κ(m̃), V₊ = ∇κ(m₊), P = ∇κ*(λx), Q = ∇κ*(λx₊), δ = x₊ − x and

    D = a⟨δ, m̃ − Q⟩ + b⟨V₊ − V, m − m₊⟩

the claims are H₊ − H + D − (L/2)‖δ‖² ≤ 0 and −D ≤ 0. Both are quadratic in the seven
vectors x, m, g, V, P, Q, V₊, and linear in f₊ − f ≤ ⟨g, δ⟩ + (L/2)‖δ‖² and in the
values of κ at m, m̃, m₊, P, Q. For a convex κ

    κ_i ≥ κ_j + ⟨s_j, p_i − p_j⟩,   s_j the subgradient at p_j ≠ m.

With x₊ = dx + uV, the least τ with (left side) ≤ uτ·Σ‖vector‖² is a semidefinite
program in τ and the multipliers of these; τ = 0 is the theorem. The floating point
answer only proposes: for τ = 10⁻⁶ the multipliers become fractions, and the matrix is
factored exactly.

Source: Chen, Liu, Liang, Liu, arXiv:2310.05898, Theorem 4.1.
"""

from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from dynax.certify._inequalities import fractions, is_positive, packed, solver
from dynax.flow import AbstractKappaOptimizer, Step


SMALL = Fraction(1, 10**6)  # the τ that is proved
SIZE = 7
# the vectors in the order of the unit matrix, and the points of κ
X, M, G, V, P, Q, V_NEXT = range(SIZE)


class Constants(NamedTuple):
    """x₊ = dx + uV, β₁, β₂, the weights a, b, c of the claim, and L."""

    d: float
    u: float
    beta1: float
    beta2: float
    a: float
    b: float
    c: float
    smoothness: float
    allowed: float = 1.0  # times (L/2)‖δ‖²

    @property
    def decay(self) -> float:
        return (1 - self.d) / self.u

    @property
    def in_units(self) -> "Constants":
        """Where λ = 1 and L = 1: x in units of 1/λ, m in units of L/λ."""
        lam = self.decay
        return self._replace(
            u=self.u * lam, b=self.b * lam, c=self.c * lam, smoothness=1.0
        )


def read(opt: AbstractKappaOptimizer, lr: float, A, B, smoothness: float) -> Constants:
    """The constants, off the balance of a κ = ½‖·‖² whose step is z₊ = Az + Bg."""
    u = A[0, 1] - B[0]  # V = m̃, and β₁ + (1 − β₁) = 1
    d, beta1, beta2 = A[0, 0], A[0, 1] / u, A[1, 1]
    with jax.enable_x64(True):
        zero, x, m, g = (jnp.asarray(v) for v in (0.0, 0.3, -1.0, 0.7))

        def row(x, g):
            state = opt.init(x)._replace(m=m)
            after = opt.step(x, state, g, lr)
            return after, opt.balance(Step(zero, x, state, g, lr, *after, zero, zero))

        (x_next, after), seen = row(x, g)
        m_tilde = beta1 * m - (1 - beta1) * g
        lam = (1 - d) / u
        first = (x_next - x) * (m_tilde - lam * x_next)
        second = (after.m - m_tilde) * (m - after.m)
        a = seen.terms["dissipation_1"] / first
        b = seen.terms["dissipation_2"] / second
        c = 2 * row(zero, zero)[1].energy
    return Constants(*map(float, (d, u, beta1, beta2, a, b, c, smoothness)))


class Excess(NamedTuple):
    """The least τ of both claims, and whether both are proved at 10⁻⁶."""

    theorem: float
    dissipation: float
    proved: bool


def excess(k: Constants) -> Excess:
    """How far the claims are from true, over all f and κ."""
    d, u, beta1, beta2, a, b, c, L, allowed = fractions(np.array(k))
    lam = (1 - d) / u
    e = fractions(np.eye(SIZE, dtype=int))
    x, m, g, v, p, q, v_next = e
    m_tilde, m_next = beta1 * m - (1 - beta1) * g, beta2 * m - (1 - beta2) * g
    x_next = d * x + u * v
    delta = x_next - x
    both = lambda left, right: (np.outer(left, right) + np.outer(right, left)) / 2
    D = a * both(delta, m_tilde - q) + b * both(v_next - v, m - m_next)
    star = 1 / lam + c
    rise = both(g, delta) + (1 - allowed) * L / 2 * both(delta, delta)
    rise = rise + star * lam * (both(q, x_next) - both(p, x))
    rise = rise - c * lam * (both(m_next, x_next) - both(m, x))
    points = {"m": (m, None), "m̃": (m_tilde, v), "m₊": (m_next, v_next)}
    points |= {"P": (p, lam * x), "Q": (q, lam * x_next)}
    values = {"m": -c, "m̃": c * 0, "m₊": c, "P": star, "Q": -star}
    found = [
        _worst(form / u, {n: height / u for n, height in heights.items()}, points, both)
        for form, heights in ((rise + D, values), (-D, dict.fromkeys(values, c * 0)))
    ]
    (theorem, first), (dissipation, second) = found
    return Excess(theorem, dissipation, first and second)


def _worst(form, values, points, both) -> tuple[float, bool]:
    """The least τ with form + Σ values·κ ≤ τ Σ‖vector‖², and whether 10⁻⁶ is proved."""
    clarabel = solver()
    names = list(points)
    pairs = [
        (i, j) for i in names for j in names if i != j and points[j][1] is not None
    ]
    pulls = [both(points[j][1], points[i][0] - points[j][0]) for i, j in pairs]
    rows = np.array([[(n == i) - (n == j) for i, j in pairs] for n in names])
    right = np.array([-values[n] for n in names])
    unit = np.eye(SIZE)
    columns = [packed(f.astype(float)) for f in pulls] + [packed(unit)]
    blocks = [np.hstack([rows, np.zeros((len(names), 1))]), -np.eye(len(pairs) + 1)]
    blocks.append(-np.stack(columns, axis=1))
    sides = [right.astype(float), np.zeros(len(pairs) + 1), -packed(form.astype(float))]
    cones = [
        clarabel.ZeroConeT(len(names)),
        clarabel.NonnegativeConeT(len(pairs) + 1),
        clarabel.PSDTriangleConeT(SIZE),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    n = len(pairs) + 1
    solution = clarabel.DefaultSolver(
        scipy.sparse.csc_matrix((n, n)),
        np.eye(n)[-1],
        scipy.sparse.csc_matrix(np.vstack(blocks)),
        np.concatenate(sides),
        cones,
        settings,
    ).solve()
    if str(solution.status) not in ("Solved", "AlmostSolved"):
        return np.inf, False
    *multipliers, tau = np.asarray(solution.x)
    return float(tau), proved(multipliers, form, right, names, pairs, pulls)


def proved(multipliers, form, right, names, pairs, pulls) -> bool:
    """Whether τ = 10⁻⁶ holds exactly, with the multipliers as fractions.

    What rounding left of the equalities is taken up: at m by m ≥ m₊ alone, elsewhere by
    pairs with m̃.
    """
    s = {
        k: max(Fraction(v), Fraction(0))
        for k, v in zip(pairs, multipliers, strict=True)
    }
    left = dict(zip(names, right, strict=True))
    short = lambda n: (
        left[n] - sum((n == i) * v - (n == j) * v for (i, j), v in s.items())
    )
    s |= {("m", n): Fraction(0) for n in ("m̃", "P", "Q")}
    s["m", "m₊"] = left["m"]
    for n in ("m₊", "P", "Q"):
        gap = short(n)
        s[(n, "m̃") if gap > 0 else ("m̃", n)] += abs(gap)
    if min(s.values()) < 0 or any(short(n) for n in names):
        return False
    total = sum(v * f for v, f in zip(s.values(), pulls, strict=True))
    return is_positive(SMALL * fractions(np.eye(SIZE, dtype=int)) - form + total)
