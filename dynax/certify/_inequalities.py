"""The matrix inequalities behind a rate over a class, posed and proved in fractions.

Unknowns: P (its upper triangle), p, a multiplier λ for each of the six interpolation
inequalities among x, x₊ and x*, and a multiplier ν for each of the two without x₊:

    ρ²V − V₊ = Σ λ·(an inequality) + [z; g; g₊]ᵀ F [z; g; g₊],   F ⪰ 0
    V − (f − f*) = Σ ν·(an inequality) + [z; g]ᵀ G [z; g],       G ⪰ 0
"""

import functools
import importlib
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse


STRICT = 1e-9  # the margin by which F and G must be positive in floating point
LARGE = 100.0  # the most that p may be: V ≥ f − f* fixes its scale from below
fractions = np.vectorize(Fraction, otypes=[object])


class Inequalities:
    """Those of z₊ = Az + Bg for F(μ, L), in units where L = 1.

    Args:
        A, B: the step.
        ratio: μ/L.
    """

    def __init__(self, A: np.ndarray, B: np.ndarray, ratio: float):
        n = B.size
        unit = fractions(np.eye(n + 2, dtype=int))
        z, g, g_next = unit[:n], unit[n], unit[n + 1]
        z_next = fractions(A) @ z + np.outer(fractions(B), g)
        self.now, self.next = np.vstack([z, g]), np.vstack([z_next, g_next])
        zero = unit[0] * 0
        self.points = {"0": (z[0], g), "1": (z_next[0], g_next), "*": (zero, zero)}
        self.ratio = Fraction(ratio)
        self.pairs = list(itertools.permutations("01*", 2))
        self.short = [pair for pair in self.pairs if "1" not in pair]
        self.triangle = [(i, j) for i in range(n + 1) for j in range(i, n + 1)]
        self.free = len(self.triangle)
        self.count = self.free + 1 + len(self.pairs) + len(self.short)
        self.place = {pair: self.free + 1 + k for k, pair in enumerate(self.pairs)}
        after = self.free + 1 + len(self.pairs)
        self.place_short = {pair: after + k for k, pair in enumerate(self.short)}

    def form(self, pair) -> np.ndarray:
        """Q of the inequality f_i − f_j ≥ [z; g; g₊]ᵀQ[z; g; g₊]."""
        (yi, gi), (yj, gj) = (self.points[name] for name in pair)
        y, g, r = yi - yj, gi - gj, np.asarray(self.ratio, object)
        both = lambda a, b: (np.outer(a, b) + np.outer(b, a)) / 2
        rest = both(g, g) + r * both(y, y) - 2 * r * both(g, y)
        return both(gj, y) + rest / (2 * (1 - r))

    @functools.cached_property
    def parts(self) -> tuple[list, list, list]:
        """The share of each unknown in F, as ρ²·first − second, and in G."""

        def quadratic(frame, i, j):
            matrix = np.outer(frame[i], frame[j])
            return matrix if i == j else matrix + matrix.T

        forms = {pair: self.form(pair) for pair in self.pairs}
        blank, cut = forms["0", "*"] * 0, slice(0, len(self.now))
        rest = [blank, *(-f for f in forms.values()), *[blank] * len(self.short)]
        now = [quadratic(self.now, i, j) for i, j in self.triangle]
        after = [quadratic(self.next, i, j) for i, j in self.triangle]
        above = [matrix[cut, cut] for matrix in now]
        above += [blank[cut, cut]] * (1 + len(self.pairs))
        above += [forms[pair][cut, cut] for pair in self.short]
        return now + [blank] * len(rest), after + rest, above

    def matrices(self, rho2: Fraction) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The share of each unknown in F and in G."""
        now, after, above = self.parts
        return [rho2 * a - b for a, b in zip(now, after, strict=True)], above

    def balance(self, rho2: Fraction) -> tuple[np.ndarray, np.ndarray]:
        """The equalities: f and f₊ vanish in the first line, f in the second."""
        rows = np.full((3, self.count), Fraction(0), dtype=object)
        rows[:, self.free] = rho2, Fraction(-1), Fraction(1)
        for places, at in ((self.place, (0, 1)), (self.place_short, (2,))):
            for pair, k in places.items():
                for row, name in zip(at, "01", strict=False):
                    rows[row, k] = Fraction((pair[1] == name) - (pair[0] == name))
        return rows, fractions(np.array([0, 0, 1]))

    @functools.cached_property
    def program(self) -> tuple:
        """Rows of the solver's matrix as first + ρ²·second, its sides and cones."""
        n = self.count
        rows, _ = self.balance(Fraction(0))
        more = self.balance(Fraction(1))[0] - rows
        last = [self.free, n]  # p and the margin, which have upper bounds
        bounds = np.vstack([-np.eye(n + 1)[self.free : n], np.eye(n + 1)[last]])
        pack = lambda family: np.stack([packed(m.astype(float)) for m in family], 1)
        wide = lambda block: np.hstack([block, np.zeros((len(block), 1))])
        first, second = [wide(rows.astype(float)), bounds], [wide(more.astype(float))]
        second.append(0 * bounds)
        now, after, above = self.parts
        for fixed, moving in ((after, now), ([-m for m in above], None)):
            unit = packed(np.eye(len(fixed[0])))[:, None]
            first.append(np.hstack([pack(fixed), unit]))
            second.append(
                0 * first[-1]
                if moving is None
                else np.hstack([-pack(moving), 0 * unit])
            )
        right = self.balance(Fraction(0))[1].astype(float)
        sides = [right, np.zeros(n - self.free), np.array([LARGE, 1.0])]
        sides += [np.zeros(len(block)) for block in first[2:]]
        sizes = [len(now[0]), len(above[0])]
        return np.vstack(first), np.vstack(second), np.concatenate(sides), sizes

    def propose(self, rho2: Fraction) -> np.ndarray | None:
        """The unknowns at this ρ², from the solver; None where nothing was found.

        The margin by which F and G are positive is maximised, up to 1, for p ≤ 100.

        Raises:
            ImportError: the extra `certify` is missing.
        """
        clarabel = solver()
        first, second, sides, sizes = self.program
        n = self.count
        cones = [
            clarabel.ZeroConeT(3),
            clarabel.NonnegativeConeT(n - self.free + 2),
            *map(clarabel.PSDTriangleConeT, sizes),
        ]
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        found = clarabel.DefaultSolver(
            scipy.sparse.csc_matrix((n + 1, n + 1)),
            -np.eye(n + 1)[n],
            scipy.sparse.csc_matrix(first + float(rho2) * second),
            sides,
            cones,
            settings,
        ).solve()
        x = np.asarray(found.x)
        if str(found.status) not in ("Solved", "AlmostSolved") or not x[n] > STRICT:
            return None
        return x[:n]

    def read(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """P and p."""
        P = np.zeros((len(self.now), len(self.now)))
        for value, (i, j) in zip(x, self.triangle, strict=False):
            P[i, j] = P[j, i] = value
        return P, float(x[self.free])

    def proved(self, x, rho2: Fraction) -> bool:
        """Whether the numbers, as fractions, satisfy all of it exactly.

        Multipliers of (*, x) and (*, x₊) take up what rounding left of the equalities.
        """
        v, place = fractions(x), self.place
        v[self.free + 1 :] = [max(e, Fraction(0)) for e in v[self.free + 1 :]]
        rows, right = self.balance(rho2)
        spare = [place["*", "0"], place["*", "1"], self.place_short["*", "0"]]
        v[spare] = Fraction(0)
        for row, side, k in zip(rows, right, spare, strict=True):
            v[k] = (side - row @ v) / row[k]
        if any(e < 0 for e in v[self.free :]) or any(rows @ v != right):
            return False
        total = lambda family: sum(c * m for c, m in zip(v, family, strict=True))
        return all(is_positive(total(family)) for family in self.matrices(rho2))


def solver() -> Any:
    """The package of the solver.

    Raises:
        ImportError: the extra `certify` is missing.
    """
    try:
        return importlib.import_module("clarabel")
    except ImportError as missing:
        raise ImportError(
            "over_class needs the extra `certify`: pip install dynax-lab[certify]"
        ) from missing


def packed(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle, column by column, off-diagonal entries times √2."""
    columns = [(i, j) for j in range(len(matrix)) for i in range(j + 1)]
    return np.array([matrix[i, j] * (1.0 if i == j else 2**0.5) for i, j in columns])


def is_positive(matrix) -> bool:
    """Whether a symmetric matrix of fractions is positive definite, by elimination."""
    m = np.array(matrix)
    for k in range(len(m)):
        if m[k, k] <= 0:
            return False
        for i in range(k + 1, len(m)):
            m[i, k:] = m[i, k:] - m[i, k] / m[k, k] * m[k, k:]
    return True
