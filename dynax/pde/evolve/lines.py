"""Evolutions by lines: any equation of first order in time, in at most one dimension.

Space is collocated, at equispaced points in a period and at Chebyshev points between
walls. There u stays what it starts as, or is what affine conditions say. Time is left
to Kvaerno5, an implicit method, so stiff equations are served as well. The doubt is the
distance from a run with a tolerance 100 times larger, plus the upper half of the modes
in space.

Where t is explicit in the equation, steps are limited, so that a pulse is seen whose
width is 1e-4 of the time (without space) or 4e-3 (with it); a narrower one may not be.

Source: Trefethen, Spectral Methods in MATLAB (2000), ch. 3, 6; Kvaernø, BIT 44 (2004).
"""

from collections.abc import Iterator
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde._base import AbstractODE, AbstractPDE
from dynax.pde.conditions import Periodic, by_side, columns, periodic_axes, rows_at
from dynax.pde.derivatives import Derivatives
from dynax.pde.etdrk4 import Torus
from dynax.pde.evolve._base import Evolution, Start, State, mean_square, values
from dynax.shapes import Box


TOLERANCES = 1e-6, 1e-8, 1e-10, 1e-12
POINTS = 48, 96, 192
WALLS = ("right", 0, 1.0), ("left", -1, -1.0)  # side, node, outward normal
STEPS = 2**14, 2**8  # at least, in 0 and 1 dimensions, where t is explicit


class Line(NamedTuple):
    """Nodes, and what differentiates and judges values there.

    Args:
        x, weights: (m, d), and (m,) of a mean.
        slopes: name of a derivative → its matrix, (m, m).
        upper: the projection on the upper half of the modes, (m, m).
        held: where no equation moves u: at walls where it stays what it starts as, or
            where a condition says what it is, (m, 1) or (m, c).
    """

    x: np.ndarray
    weights: np.ndarray
    slopes: dict[str, np.ndarray]
    upper: np.ndarray
    held: np.ndarray


def evolutions(pde: AbstractPDE, start: Start, t: np.ndarray) -> Iterator[Evolution]:
    plain = _is_plain(pde, t)
    if plain is None:
        return
    d = len(pde.lower)
    steady = isinstance(pde, AbstractODE) and type(pde).equation is AbstractODE.equation
    largest = 1.0 if steady else 1 / STEPS[d]
    for n in POINTS if d else (1,):
        line, before = _line(pde, n), None
        if isinstance(start, State):
            u = _basis(pde, line.x, len(start.x)) @ np.linalg.solve(
                _basis(pde, start.x, len(start.x)), start.u
            )
        else:
            u = values(start, line.x)
        size = np.max(abs(u), 0)
        size = np.where(size > 0, size, size.max())
        size = np.where(size > 0, size, _sizes(pde))
        for tolerance in TOLERANCES:
            if before is not None:  # what starts from nothing has a size by now
                seen = np.max(abs(before), (0, 1))
                size = np.where(seen > 0, seen, size)
            numbers = jax.tree.map(jnp.asarray, (line, u, size, t, tolerance, largest))
            found, fine = _integrate(pde, plain, *numbers)
            found = np.asarray(found)
            if not (bool(fine) and np.all(np.isfinite(found))):
                before = None
                continue
            if before is not None:
                by_steps = np.max(mean_square(found - before, line.weights), 0)
                by_points = np.max(mean_square(line.upper @ found, line.weights), 0)
                on = f" on {n} points" if d else ""
                yield Evolution(
                    line.x,
                    line.weights,
                    found,
                    by_steps + by_points,
                    f"Kvaerno5 to {tolerance:g}{on}",
                    State(None, line.x, found[-1]),
                )
                if np.max(by_points) > np.max(by_steps):
                    break
            before = found


@eqx.filter_jit
def _integrate(pde, plain, line: Line, u, size, t, tolerance, largest):
    """The fields at the times, and whether the solver thinks so."""
    length = t[-1] - t[0]

    def field(s, z, pde):
        y = closed(pde, line, t[0] + length * s, z * size)
        d = {"u": y} | {name: matrix @ y for name, matrix in line.slopes.items()}
        at = lambda x, d: rate(pde, plain, t[0] + length * s, x, d)
        return jnp.where(line.held, 0, jax.vmap(at)(line.x, d)) * (length / size)

    found = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Kvaerno5(),
        0.0,
        1.0,
        None,
        u / size,
        args=pde,
        saveat=diffrax.SaveAt(ts=(t - t[0]) / length),
        stepsize_controller=diffrax.PIDController(tolerance, tolerance, dtmax=largest),
        max_steps=2**18,
        throw=False,
    )
    assert found.ys is not None
    ys = jax.vmap(lambda t, y: closed(pde, line, t, y))(t, found.ys * size)
    return ys, found.result == diffrax.RESULTS.successful


def closed(pde: AbstractPDE, line: Line, t, y):
    """The fields with those values at the walls that meet the conditions there, which
    are affine: one linear system of a few numbers."""
    held = _prescribed(pde)
    if not np.any(held):
        return y
    sides = by_side(pde)
    pairs = [(name, j, n) for name, j, n in WALLS if name in sides]

    def off(e):
        u = y.at[np.array([0, -1])].set(jnp.where(held, e, y[np.array([0, -1])]))
        rows = []
        for name, j, n in pairs:
            d = {"u": u[j]} | {w: a[j] @ u for w, a in line.slopes.items()}
            normal = jnp.full((1,), n, y.dtype)
            rows.append(rows_at(pde, sides[name], t, line.x[j], normal, d))
        return jnp.concatenate(rows)

    zero = jnp.zeros((2, y.shape[1]), y.dtype)
    slope = jax.jacfwd(off)(zero)[:, held]
    e = zero.at[held].set(jnp.linalg.solve(slope, -off(zero)))
    return y.at[np.array([0, -1])].set(jnp.where(held, e, y[np.array([0, -1])]))


def _prescribed(pde: AbstractPDE) -> np.ndarray:
    """Which fields a condition determines at the first and the last node."""
    held = np.zeros((2, len(pde.fields)), bool)
    if pde.lower and not isinstance(pde.boundary, str | None):
        sides = by_side(pde)
        for name, j, _ in WALLS:
            if name in sides and not isinstance(sides[name], Periodic):
                held[j, columns(pde, sides[name])] = True
    return held


def rate(pde: AbstractPDE, plain: bool, t, x, d):
    """uₜ at a point from the other derivatives: F = F₀ + M uₜ, and M = 1 if `plain`."""
    zero = jnp.zeros_like(d["u"])
    f = lambda v: pde.equation(t, x, Derivatives({**d, "t": v}))
    return -f(zero) if plain else -jnp.linalg.pinv(jax.jacfwd(f)(zero)) @ f(zero)


def _is_plain(pde: AbstractPDE, t) -> bool | None:
    """Whether M = 1; None where the method does not serve: F is not affine in uₜ, M
    cannot be solved with, or there is more than one dimension."""
    names, c, d = pde.needs.split(), len(pde.fields), len(pde.lower)
    walls = pde.boundary is not None and (d == 0 or isinstance(pde.shape, Box))
    highest = 8 if periodic_axes(pde) else 2 * walls
    strange = [w for w in names if w != "t" and ("t" in w or len(w) > highest)]
    if d > 1 or "t" not in names or (d == 1 and strange):
        return None
    if not _affine(pde, t):
        return None
    random = np.random.RandomState(0)
    any_ = lambda: jnp.asarray(random.uniform(0.5, 1.5, (7, c)) * _sizes(pde))
    given = {w: any_() for w in {*names, "u", "t"}}
    x = jnp.asarray(random.uniform(pde.lower, pde.upper, (7, d)))
    mass, off, size = map(np.asarray, _masses(pde, jnp.asarray(t[0]), x, given))
    if mass.shape[1:] != (c, c) or not np.all(abs(off) <= 1e-9 * abs(size).max()):
        return None
    if np.all(mass == np.eye(c)):
        return True
    return False if np.all(np.linalg.cond(mass) < 1e12) else None


def _affine(pde: AbstractPDE, t) -> bool:
    """Whether the walls' conditions are affine in u and uₓ, and as many as needed."""
    if not np.any(_prescribed(pde)):
        return True
    for name, j, n in WALLS:
        condition = by_side(pde).get(name)
        if condition is None:
            continue
        needs = condition.needs(1)
        if not {*needs} <= {"u", "x", *pde.needs.split()} - {"t"}:
            return False
        wall = jnp.asarray(pde.upper if j == 0 else pde.lower, float)

        def rows(s, condition=condition, needs=needs, wall=wall, n=n):
            d = {w: jnp.full(len(pde.fields), s * (1 + k)) for k, w in enumerate(needs)}
            return rows_at(pde, condition, t[0], wall, jnp.full((1,), n), d)

        a, b, c = (np.asarray(rows(s)) for s in (0.0, 1.0, 2.0))
        count = np.sum(_prescribed(pde)[j])
        if len(a) != count or np.max(abs(a - 2 * b + c)) > 1e-9 * np.max(abs(b - a)):
            return False
    return True


def _sizes(pde: AbstractPDE) -> np.ndarray:
    given = np.asarray(1.0 if pde.sizes is None else pde.sizes, float)
    return np.broadcast_to(given, (len(pde.fields),))


@eqx.filter_jit
def _masses(pde, t, x, given):
    """M, how far F is from affine, and F."""

    def at(x, d):
        f = lambda v: pde.equation(t, x, Derivatives({**d, "t": v}))
        zero = jnp.zeros_like(d["t"])
        mass = jax.jacfwd(f)(zero)
        return mass, f(d["t"]) - f(zero) - mass @ d["t"], f(d["t"])

    return jax.vmap(at)(x, given)


def _line(pde: AbstractPDE, n: int) -> Line:
    if not pde.lower:
        none = np.zeros((1, 1))
        return Line(np.zeros((1, 0)), np.ones(1), {}, none, none > 0)
    names = [w for w in pde.needs.split() if w not in ("u", "t")]
    names += ["x"] if "x" not in names and np.any(_prescribed(pde)) else []
    a, b = float(pde.lower[0]), float(pde.upper[0])
    j = np.arange(n)
    if periodic_axes(pde):
        x = Torus((a,), (b,), (n,)).points()
        modes, k = np.fft.rfft(np.eye(n), axis=0), 2 * np.pi / (b - a) * j[: n // 2 + 1]
        k = np.where(j[: n // 2 + 1] < n / 2, k, 0)[:, None]
        slopes = {w: np.fft.irfft((1j * k) ** len(w) * modes, n, 0) for w in names}
        weights, held = np.full(n, 1 / n), np.zeros((n, 1), bool)
    else:
        angle = np.pi * j / (n - 1)
        x = (a + b + (b - a) * np.cos(angle[:, None])) / 2
        ends = (j == 0) | (j == n - 1)
        c = np.where(ends, 2, 1) * (-1.0) ** j
        plus, minus = angle[:, None] + angle, angle[:, None] - angle
        gaps = -2 * np.sin(plus / 2) * np.sin(minus / 2) + np.eye(n)
        slope = np.outer(c, 1 / c) / gaps
        slope = (slope - np.diag(slope.sum(1))) * (2 / (b - a))
        slopes = {w: np.linalg.matrix_power(slope, len(w)) for w in names}
        weights, held = np.sin(angle) / np.sin(angle).sum(), ends[:, None]
        if pde.boundary != "zero":
            held = np.zeros((n, len(pde.fields)), bool)
            held[[0, -1]] = _prescribed(pde)
    basis = _basis(pde, x, n)
    upper = basis[:, n // 2 :] @ np.linalg.inv(basis)[n // 2 :]
    return Line(x, weights, slopes, upper, held)


def _basis(pde: AbstractPDE, x: np.ndarray, n: int) -> np.ndarray:
    """The first n functions at the nodes, (m, n), the smoothest first."""
    if not pde.lower:
        return np.ones((1, 1))
    a, b, k = float(pde.lower[0]), float(pde.upper[0]), np.arange(n)
    s = (x - a) / (b - a)
    if periodic_axes(pde):
        turn = 2 * np.pi * ((k + 1) // 2) * s
        cosine = (k % 2 == 0) | (k == n - 1)  # n is even, so the last sine is 0
        return np.where(cosine, np.cos(turn), np.sin(turn))
    return np.cos(k * np.arccos(np.clip(2 * s - 1, -1, 1)))
