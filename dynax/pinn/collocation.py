"""The error of a steady solution, by a classical method: polynomials that correct it.

A small residual says little of the error e = y − u: it depends on the equation and the
region. So y is looked for in u + span of all Chebyshev polynomials of a degree on the
box around the region: one Gauss–Newton step on the residuals of equation and sides, at
more points than unknowns. What it finds is e, as far as polynomials reach. What they
leave is judged by the residual ρ of u + e at fresh points, equation and sides together:

    ‖e − found‖ ≤ C ρ,   C = max ‖v‖/‖(F'v, Bv)‖ over the same polynomials v,

all in shares of the solution's size. Where the problem is nearly singular C is large;
where the solution is rough, as at a corner, ρ is. Both end as doubt.

Source: Boyd, Chebyshev and Fourier Spectral Methods (2001), ch. 3; for several
dimensions and any region, Adcock, Huybrechs, SIAM Rev. 61 (2019).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

from dynax.pde import AbstractPDE, Derivatives, Periodic, derivatives
from dynax.pde.conditions import by_side, rows_at
from dynax.pinn.estimate import ErrorEstimate
from dynax.pinn.window import Scale, Window, measured


DEGREES = 0, 40, 18, 8  # in 1, 2, 3 dimensions, of all factors together
CUT = 1e-9  # directions in which the polynomials are smaller than this in the region


class Polynomial(eqx.Module):
    """Σ c_{k…l} T_k(x̂) … T_l(ẑ), a function of (t, x), whatever t.

    Args:
        coefficients: (n, c).
        powers: (n, d), the degrees k … l of each term.
        lower, upper: the box that x̂ ∈ [−1, 1] stands for.
    """

    coefficients: Float[Array, "n c"]
    powers: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, t, x):
        del t
        powers = np.asarray(self.powers)
        terms = jnp.ones((len(powers),), x.dtype)
        for axis, (a, b) in enumerate(zip(self.lower, self.upper, strict=True)):
            z = 2 * (x[axis] - a) / (b - a) - 1
            known = [jnp.ones_like(z), z]
            for _ in range(int(powers[:, axis].max()) - 1):
                known.append(2 * z * known[-1] - known[-2])
            terms = terms * jnp.stack(known)[powers[:, axis]]
        return terms @ self.coefficients.astype(x.dtype)


class Correction(NamedTuple):
    """What polynomials find of the error, in shares of the fields' sizes S.

    Args:
        relative: ‖e_f‖/‖u_f‖ of each field, root mean squares over the region.
        absolute: ‖e_f‖.
        before, after: ρ of u, and of u + e: root mean squares at points that did not
            make e.
        stability: C.
        doubt: C·`after`, over the size of each field.
        polynomial: e.
    """

    relative: np.ndarray
    absolute: np.ndarray
    before: float
    after: float
    stability: float
    doubt: np.ndarray
    polynomial: Polynomial

    def estimate(self) -> ErrorEstimate:
        """The same in the words of a certificate."""
        relative, degree = float(np.max(self.relative)), np.max(self.polynomial.powers)
        return ErrorEstimate(
            relative,
            self.relative,
            self.absolute,
            0.0,
            self.before,
            float(np.max(self.doubt)),
            relative / self.before if self.before > 0 else None,
            f"polynomials of degree {degree}, stability {self.stability:.2g}",
            None,
        )


class Rows(NamedTuple):
    """Residuals at n points, their slopes in each derivative, and the values of u."""

    r: Any
    slopes: dict[str, Any]
    u: Any


def correct(
    pde: AbstractPDE, u: Callable, degree: int | None = None, scale: Scale | None = None
) -> Correction:
    """Correct a steady solution by polynomials.

    Args:
        pde: without time.
        u: (t, x) → fields; compiled once where it is a module or `eqx.Partial`.
        degree: of the polynomials.
        scale: of residuals, see `dynax.pinn.window`.
    """
    dtype = jnp.result_type(float)
    if scale is None:
        scale = measured(pde, Window.of(pde), dtype).scale
    assert scale is not None
    d, c = len(pde.lower), len(pde.fields)
    powers = _powers(d, degree)
    count = math.ceil(4 * len(powers) * c / len(scale.rows))
    matrix, r, values = _system(pde, u, powers, scale, count, dtype)
    sizes = np.asarray(scale.sizes, np.float64)
    free = np.array([name in pde.gauge for name in pde.fields])

    # unknowns: coefficients of functions that are orthonormal in the region
    left, s, right = np.linalg.svd(values / np.sqrt(len(values)), full_matrices=False)
    keep = s > CUT * s[0]
    unit = right[keep].T / s[keep]
    constant = left[:, keep].sum(0)
    without = unit @ np.linalg.svd(constant[None])[2][1:].T  # no mean
    units = [
        size * (without if f else unit) for size, f in zip(sizes, free, strict=True)
    ]
    matrix = np.concatenate([matrix[:, f] @ units[f] for f in range(c)], 1)
    found = np.linalg.lstsq(matrix, -r, rcond=None)[0]
    stability = 1 / np.linalg.svd(matrix, compute_uv=False)[-1]
    parts = np.split(found, np.cumsum([a.shape[1] for a in units])[:-1])
    each = np.stack([a @ z for a, z in zip(units, parts, strict=True)], 1)
    polynomial = _polynomial(pde, powers, jnp.asarray(each, dtype))
    both = Sum(u, polynomial)
    before, after = (_judge(pde, f, scale, count, dtype) for f in (u, both))
    error, known = values @ each, before[1]
    mean = lambda a: np.where(free, np.mean(a, 0), 0)
    rms = lambda a: np.sqrt(np.mean((a - mean(a)) ** 2, 0))
    size = np.maximum(rms(known), 1e-8 * sizes)
    return Correction(
        rms(error) / size,
        rms(error),
        before[0],
        after[0],
        float(stability),
        stability * after[0] * sizes / size,
        polynomial,
    )


class Sum(eqx.Module):
    """u + v."""

    u: Callable
    v: Callable

    def __call__(self, t, x):
        return self.u(t, x) + self.v(t, x)


def steady_reference(
    pde: AbstractPDE, degree: int | None = None, steps: int = 8
) -> tuple[Callable, Correction]:
    """A polynomial that solves a steady problem, and what is known of its error.

    Gauss–Newton steps from zero. Smooth solutions only: at corners that point inwards
    `doubt` stays large.
    """
    u: Any = None
    for _ in range(steps):
        start = _nothing(pde, degree) if u is None else u
        found = correct(pde, start, degree)
        step = found.polynomial
        new = step.coefficients + start.coefficients
        u = eqx.tree_at(lambda p: p.coefficients, step, new)
        if np.all(found.relative < 1e-9) or found.after >= 0.9 * found.before:
            break
    return u, correct(pde, u, degree)


def _nothing(pde, degree):
    powers = _powers(len(pde.lower), degree)
    zero = jnp.zeros((len(powers), len(pde.fields)))
    return _polynomial(pde, powers, zero)


def _polynomial(pde, powers, coefficients) -> Polynomial:
    box = tuple(map(float, pde.lower)), tuple(map(float, pde.upper))
    return Polynomial(coefficients, tuple(map(tuple, powers.tolist())), *box)


def _powers(d: int, degree: int | None) -> np.ndarray:
    """The degrees of all terms, (n, d)."""
    degree = DEGREES[d] if degree is None else degree
    powers = np.stack(np.meshgrid(*[np.arange(degree + 1)] * d, indexing="ij"), -1)
    powers = powers.reshape(-1, d)
    return powers[powers.sum(1) <= degree]


def _points(pde, count, seed, dtype):
    """Inside, and on each side with a condition."""
    key = jax.random.key(seed)
    x = pde.shape.sample(key, count, dtype)
    conditions = [
        name for name, c in by_side(pde).items() if not isinstance(c, Periodic)
    ]
    d = len(pde.lower)
    some = 1 if d == 1 else math.ceil(4 * count ** ((d - 1) / d))
    return x, {name: pde.shape.on(name, key, some, dtype) for name in conditions}


@eqx.filter_jit
def _inside(pde, u, x, rows) -> Rows:
    needs = tuple(dict.fromkeys([*pde.needs.split(), "u"]))

    def at(x):
        zero = jnp.zeros((), x.dtype)
        d = derivatives(u, zero, x, needs)
        f = lambda d: pde.equation(zero, x, Derivatives(d)) / rows
        return f(d), jax.jacfwd(f)(d), d["u"]

    return Rows(*jax.lax.map(at, x, batch_size=512))


@eqx.filter_jit
def _beside(pde, u, name, x, n, rows) -> Rows:
    condition = by_side(pde)[name]
    needs = tuple(dict.fromkeys([*condition.needs(len(pde.lower)), "u"]))

    def at(x, n):
        zero = jnp.zeros((), x.dtype)
        d = derivatives(u, zero, x, needs)
        f = lambda d: rows_at(pde, condition, zero, x, n, d) / rows
        return f(d), jax.jacfwd(f)(d), d["u"]

    return Rows(*jax.vmap(at)(x, n))


def _look(pde, u, scale: Scale, count, seed, dtype):
    """(x, rows) inside, then of each side."""
    x, sides = _points(pde, count, seed, dtype)
    found = [(x, _inside(pde, u, x, scale.rows.astype(dtype)))]
    for name, (y, n) in sides.items():
        rows = (scale.sides[name] @ scale.sizes).astype(dtype)
        found.append((y, _beside(pde, u, name, y, n, rows)))
    wide = lambda a: np.asarray(a, np.float64)
    return [(wide(x), jax.tree.map(wide, rows)) for x, rows in found]


def _judge(pde, u, scale, count, dtype):
    """(ρ, values of u inside) at points of another draw."""
    found = _look(pde, u, scale, count, 1, dtype)
    squares = [np.mean(np.sum(rows.r**2, 1)) for _, rows in found]
    return float(np.sqrt(sum(squares))), found[0][1].u


def _system(pde, u, powers, scale, count, dtype):
    """(A, r, values): all rows over the root of their number, their slopes in the
    coefficients, (rows, c, terms), and the polynomials inside, (n, terms)."""
    seen, slopes, r = _look(pde, u, scale, count, 0, dtype), [], []
    for x, rows in seen:
        n, count = rows.r.shape
        matrix = np.zeros((n, count, len(pde.fields), len(powers)))
        for name, slope in rows.slopes.items():
            basis = _basis(pde, powers, x, name.strip("u"))
            matrix += np.einsum("nrc,nb->nrcb", slope, basis)
        slopes.append(matrix.reshape(n * count, *matrix.shape[2:]) / np.sqrt(n))
        r.append(rows.r.ravel() / np.sqrt(n))
    values = _basis(pde, powers, seen[0][0], "")
    return np.concatenate(slopes), np.concatenate(r), values


def _basis(pde, powers, x, letters) -> np.ndarray:
    """A derivative of all polynomials at points, (n, terms)."""
    out = np.ones((len(x), len(powers)))
    for axis, (a, b) in enumerate(zip(pde.lower, pde.upper, strict=True)):
        order = letters.count("xyz"[axis])
        z = 2 * (x[:, axis] - a) / (b - a) - 1
        top = int(powers[:, axis].max())
        unit = np.eye(top + 1)
        slopes = chebyshev.chebder(unit, order, (2 / (b - a)), axis=0)
        table = chebyshev.chebvander(z, max(len(slopes) - 1, 0)) @ slopes
        out = out * table[:, powers[:, axis]]
    return out
