"""The error of a steady solution, by a classical method: polynomials that correct it.

A small residual says little of the error e = y − u: it depends on the equation and the
region. So y is looked for in u + span of all Chebyshev polynomials of a degree on the
box around the region: one Gauss–Newton step on the residuals of equation and sides, at
more points than unknowns. Functions that the problem declares as singular are in the
span, too. What it finds is e, as far as the span reaches. What it leaves is judged by
the residual ρ of u + e at fresh points, equation and sides together:

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

from dynax.pde import AbstractPDE, Derivatives, Periodic, derivatives
from dynax.pde.conditions import by_side, rows_at
from dynax.pinn.estimate import ErrorEstimate
from dynax.pinn.polynomials import Basis, Polynomial, orthonormal
from dynax.pinn.window import Scale, Window, measured


DEGREES = 0, 40, 18, 8  # in 1, 2, 3 dimensions, of all factors together
CUT = 1e-9  # directions in which the polynomials are smaller than this in the region


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
        relative, degree = float(np.max(self.relative)), self.polynomial.basis.degree
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


class Place(NamedTuple):
    """Points inside, or on a side, and what a function is there.

    Args:
        side: its name; None inside.
        x, normal: (n, d); None inside.
        d: derivatives by name, (n, c).
    """

    side: str | None
    x: np.ndarray
    normal: Any
    d: dict[str, np.ndarray]

    def moved(self, basis: Basis, coefficients: np.ndarray) -> "Place":
        """Of u + Σ c φ."""
        by = lambda name: basis.table(self.x, name.strip("u")) @ coefficients
        return self._replace(d={name: a + by(name) for name, a in self.d.items()})


class Rows(NamedTuple):
    """Residuals at n points, (n, r), and their slopes in each derivative, (n, r, c)."""

    r: np.ndarray
    slopes: dict[str, np.ndarray]


def correct(
    pde: AbstractPDE, u: Callable, degree: int | None = None, scale: Scale | None = None
) -> Correction:
    """Correct a steady solution by polynomials, and by the problem's own functions.

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
    basis = Basis.of(pde, DEGREES[d] if degree is None else degree)
    count = math.ceil(4 * len(basis) * c / len(scale.rows))
    places = look(pde, u, count, 0)
    matrix, r = _system(pde, places, basis, scale)
    sizes = np.asarray(scale.sizes, np.float64)
    free = np.array([name in pde.gauge for name in pde.fields])

    # unknowns: coefficients of functions that are orthonormal in the region
    values = basis.table(places[0].x, "")
    unit, flat = orthonormal(values / np.sqrt(len(values)), CUT)
    without = unit @ np.linalg.svd(flat.sum(0)[None])[2][1:].T  # no mean
    units = [
        size * (without if f else unit) for size, f in zip(sizes, free, strict=True)
    ]
    matrix = np.concatenate([matrix[:, f] @ units[f] for f in range(c)], 1)
    found = np.linalg.lstsq(matrix, -r, rcond=None)[0]
    stability = 1 / np.linalg.svd(matrix, compute_uv=False)[-1]
    parts = np.split(found, np.cumsum([a.shape[1] for a in units])[:-1])
    each = np.stack([a @ z for a, z in zip(units, parts, strict=True)], 1)
    fresh = look(pde, u, count, 1)
    better = [place.moved(basis, each) for place in fresh]
    before, after = (_size(pde, now, scale) for now in (fresh, better))
    error, known = values @ each, better[0].d["u"]
    mean = lambda a: np.where(free, np.mean(a, 0), 0)
    rms = lambda a: np.sqrt(np.mean((a - mean(a)) ** 2, 0))
    size = np.maximum(rms(known), 1e-8 * sizes)
    return Correction(
        rms(error) / size,
        rms(error),
        before,
        after,
        float(stability),
        stability * after * sizes / size,
        Polynomial(jnp.asarray(each, dtype), basis),
    )


def steady_reference(
    pde: AbstractPDE, degree: int | None = None, steps: int = 8
) -> tuple[Callable, Correction]:
    """A polynomial that solves a steady problem, and what is known of its error.

    Gauss–Newton steps from zero. Smooth solutions only: at corners that point inwards
    `doubt` stays large, unless the problem says what it has there.
    """
    basis = Basis.of(pde, DEGREES[len(pde.lower)] if degree is None else degree)
    u = Polynomial(jnp.zeros((len(basis), len(pde.fields))), basis)
    for _ in range(steps):
        found = correct(pde, u, degree)
        step = found.polynomial
        u = Polynomial(u.coefficients + step.coefficients, basis)
        if np.all(found.relative < 1e-9) or found.after >= 0.9 * found.before:
            break
    return u, correct(pde, u, degree)


def look(pde: AbstractPDE, u: Callable, count: int, seed: int) -> list[Place]:
    """u at so many points inside, and at some on each side that has a condition."""
    dtype, key, d = jnp.result_type(float), jax.random.key(seed), len(pde.lower)
    found = [_looked(u, None, pde.shape.sample(key, count, dtype), None, pde.needs)]
    some = 1 if d == 1 else math.ceil(4 * count ** ((d - 1) / d))
    for side, condition in by_side(pde).items():
        if not isinstance(condition, Periodic):
            x, n = pde.shape.on(side, key, some, dtype)
            found.append(_looked(u, side, x, n, " ".join(condition.needs(d))))
    return found


def _looked(u, side, x, normal, needs: str) -> Place:
    names = tuple(dict.fromkeys([*needs.split(), "u"]))
    wide = lambda a: np.asarray(a, np.float64)
    if isinstance(u, Polynomial):
        table = lambda name: u.basis.table(wide(x), name.strip("u"))
        d = {name: table(name) @ wide(u.coefficients) for name in names}
    else:
        d = jax.tree.map(wide, _derivatives(u, x, names))
    return Place(side, wide(x), None if normal is None else wide(normal), d)


def rows(pde: AbstractPDE, place: Place, sizes) -> Rows:
    """The residuals of an equation, or of a side's condition, over their sizes."""
    given = (place.x, place.normal, place.d, np.asarray(sizes, np.float64))
    cast = lambda a: jnp.asarray(a, jnp.result_type(float))
    found = _rows(pde, place.side, *jax.tree.map(cast, given))
    return Rows(*jax.tree.map(lambda a: np.asarray(a, np.float64), found))


@eqx.filter_jit
def _derivatives(u, x, names):
    at = lambda x: derivatives(u, jnp.zeros((), x.dtype), x, names)
    return jax.lax.map(at, x, batch_size=512)


@eqx.filter_jit
def _rows(pde, side, x, normal, d, sizes):
    def at(x, n, d):
        zero = jnp.zeros((), x.dtype)
        if side is None:
            f = lambda d: pde.equation(zero, x, Derivatives(d)) / sizes
        else:
            condition = by_side(pde)[side]
            f = lambda d: rows_at(pde, condition, zero, x, n, d) / sizes
        return f(d), jax.jacfwd(f)(d)

    return jax.vmap(at)(x, x if normal is None else normal, d)


def _sized(pde, place: Place, scale: Scale) -> Rows:
    by_name = scale.sides
    sizes = scale.rows if place.side is None else by_name[place.side] @ scale.sizes
    return rows(pde, place, sizes)


def _size(pde, places, scale) -> float:
    """ρ."""
    found = [_sized(pde, place, scale).r for place in places]
    return float(np.sqrt(sum(np.mean(np.sum(r**2, 1)) for r in found)))


def _system(pde, places, basis, scale):
    """(A, r): all rows over the root of their number, and their slopes in the
    coefficients, (rows, c, terms)."""
    slopes, every = [], []
    for place in places:
        r, by_name = _sized(pde, place, scale)
        n, count = r.shape
        matrix = np.zeros((n, count, len(pde.fields), len(basis)))
        for name, slope in by_name.items():
            table = basis.table(place.x, name.strip("u"))
            matrix += np.einsum("nrc,nb->nrcb", slope, table)
        slopes.append(matrix.reshape(n * count, *matrix.shape[2:]) / np.sqrt(n))
        every.append(r.ravel() / np.sqrt(n))
    return np.concatenate(slopes), np.concatenate(every)
