"""How wrong a function is that claims to solve an equation: an estimate of the error.

A small residual r = uₜ − f(u) says little: the equation makes of it the error e,

    ė = f(u + e) − f(u) − r,    e(t₀) = the error of the start,

which may be 1,500 times as large. The sum y = u + e solves ẏ = f(y). So y is computed
by a classical method (`dynax.pde.evolve`), and e = y − u: the same error, but nothing
of u has to be differentiated, and a u that is not periodic or leaves the walls is seen.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde import AbstractPDE, Derivatives, Points, derivatives
from dynax.pde.evolve import Start, State, evolutions, exactly, mean_square
from dynax.pde.reference import widened
from dynax.pinn.objective import over


TIMES = 129, 65, 17, 9  # compared at, in 0, 1, 2, 3 dimensions
SEEN = 2**17  # times × places compared at
FLOOR = 1e-8  # a field smaller than this share of the largest is judged beside that


class ErrorEstimate(NamedTuple):
    """How wrong u is on a window of time, by a classical method.

    ‖·‖ is the root mean square over space, a field's size that over time as well. Of
    the fields in `pde.gauge` the mean over space does not count.

    Args:
        relative: the largest of `per_field`.
        per_field: the largest ‖e(t)‖ in the window over the field's size, (c,).
        absolute: the largest ‖e(t)‖, in units of the fields, (c,).
        start: ‖e(t₀)‖ over the field's size, of the worst field.
        residual: Δt·‖r‖ over the field's size: what the residual would make of a
            window alone.
        doubt: how wrong `relative` may be: the error of the method, from the first
            window on.
        growth: what the equation makes of a small error: relative/(start + residual);
            None where nothing is known of it.
        method: in words.
        end: the state y(t₁), which starts the next window; None where none is known.
    """

    relative: float
    per_field: np.ndarray
    absolute: np.ndarray
    start: float
    residual: float
    doubt: float
    growth: float | None
    method: str
    end: State | np.ndarray | None

    def __str__(self) -> str:
        text = f"estimated error {self.relative:.1e}"
        if np.isfinite(self.doubt):
            text += f" ± {self.doubt:.0e}"
        text += f": start {self.start:.1e}, residual {self.residual:.1e}"
        if self.growth is not None:
            text += f", together × {self.growth:.2g}"
        return f"{text} ({self.method})"


def estimate_error(
    pde: AbstractPDE, u: Callable, t0, t1, start: Start | np.ndarray | None = None
) -> ErrorEstimate:
    """The error of u on [t0, t1] as a solution of an equation.

    Equations of first order in time in at most one dimension are served, and
    semilinear ones in any. Of others nothing is known but the residual: it counts
    `pde.growth` times as far as the window goes, and without that it is a guess.

    Args:
        pde: the equation, its coefficients numbers.
        u: (t, x) → fields; compiled once where it is a module or `eqx.Partial`.
        t0, t1: the window; u is called with numbers of the type of t0.
        start: the true state at t0, x → fields, or the `end` of the window before;
            `pde.initial` unless given.
    """
    if "t" not in pde.needs.split():
        raise ValueError(
            f"pde: given {type(pde).__name__}, which needs {pde.needs!r}; accepted is "
            'an equation of evolution, which needs "t".'
        )
    dtype = getattr(t0, "dtype", jnp.result_type(float))
    t0, t1 = float(t0), float(t1)
    start = pde.initial if start is None else start
    t = np.linspace(t0, t1, TIMES[len(pde.lower)])
    seen = _seen(pde, u, None if isinstance(start, State) else start, t[[0, -1]], dtype)
    best = None
    if not isinstance(start, np.ndarray):
        with exactly():
            widen = lambda tree: jax.tree.map(_widened, tree)
            begin = start if isinstance(start, State) else widen(start)
            runs = evolutions(widen(pde), begin, t)
        while (run := _next(runs)) is not None:
            found, enough = _compared(pde, u, t, run, seen, start, dtype)
            best = found if best is None or found.doubt < best.doubt else best
            if enough:
                break
    return _guessed(pde, t, seen) if best is None else best


class Seen(NamedTuple):
    """What a sample of points shows: Δt‖M⁻¹r‖, ‖u‖ and ‖e(t₀)‖ of each field."""

    residual: np.ndarray
    size: np.ndarray
    start: np.ndarray


def _seen(pde, u, start, window, dtype) -> Seen:
    function = callable(start) and not isinstance(start, np.ndarray)
    at = jnp.asarray(window, dtype)
    found = _look(pde, u, start if function else None, at)
    found = Seen(*(np.asarray(a, np.float64) for a in found))
    return found._replace(start=start) if isinstance(start, np.ndarray) else found


@eqx.filter_jit
def _look(pde, u, start, window):
    count = 64, 16 if pde.lower else 1
    t, x = pde.sample(jax.random.key(0), *count, *window, window.dtype)
    mean = lambda a: jnp.sqrt(jnp.mean(a**2, (0, 1)))

    def at(t, x):
        d = derivatives(u, t, x, tuple({*pde.needs.split(), "u"}))
        f = lambda v: pde.equation(t, x, Derivatives({**d, "t": v}))
        mass, r = jax.jacfwd(f)(d["t"]), f(d["t"])
        return jnp.linalg.pinv(mass) @ r, d["u"]

    rate, values = over(at, Points(t, x))
    off = jnp.zeros_like(values)
    if start is not None:
        off = over(lambda t, x: u(window[0], x) - start(x), Points(t, x))
    return (window[1] - window[0]) * mean(rate), mean(values), mean(off)


def _compared(pde, u, t, run, seen: Seen, start, dtype) -> tuple[ErrorEstimate, bool]:
    """A classical solution beside u, and whether a finer one would tell no more."""
    inside = np.flatnonzero(run.weights)
    k = -(-len(t) * len(inside) // SEEN)
    inside = inside[:: k + (k % 2 == 0)]  # grids are even: an odd stride meets all
    weights = run.weights[inside] / run.weights[inside].sum()
    given = _values(u, jnp.asarray(t, dtype), jnp.asarray(run.x[inside], dtype))
    y = run.u[:, inside]
    gap = np.asarray(given, np.float64) - y
    free = [name in pde.gauge for name in pde.fields]
    gap -= np.where(free, np.einsum("tpf,p->tf", gap, weights)[:, None], 0)
    off = mean_square(gap, weights)
    absolute, size = np.max(off, 0), np.sqrt(np.mean(mean_square(y, weights) ** 2, 0))
    # what was in doubt at the start grows as the error does
    before = getattr(start, "doubt", 0.0) + 0 * absolute
    least = np.where(before > 0, np.maximum(off[0], before), 1)
    grown = before * np.maximum(1, absolute / least)
    relative, at_start, residual, own, doubt = (
        float(np.max(_share(pde, a, size)))
        for a in (absolute, off[0], seen.residual, run.doubt, run.doubt + grown)
    )
    known = at_start + residual
    found = ErrorEstimate(
        relative,
        _share(pde, absolute, size),
        absolute,
        at_start,
        residual,
        doubt,
        relative / known if known > 0 else None,
        run.method,
        run.end._replace(doubt=run.doubt + grown),
    )
    return found, own <= max(relative / 10, (doubt - own) / 10, 1e-9)


def _guessed(pde, t, seen: Seen) -> ErrorEstimate:
    """The start and the residual, times the growth that the equation declares."""
    growth = None
    if pde.growth is not None:
        growth = float(pde.growth) ** ((t[-1] - t[0]) / pde.horizon)
    absolute = (seen.start + seen.residual) * (growth or 1.0)
    share = lambda a: _share(pde, a, seen.size)
    relative, start, residual = (
        float(np.max(share(a))) for a in (absolute, seen.start, seen.residual)
    )
    known = f"{growth:.3g} declared" if growth else "no growth is known: declare one"
    return ErrorEstimate(
        relative,
        share(absolute),
        absolute,
        start,
        residual,
        0.0 if growth else np.inf,
        growth,
        f"no classical method serves, and {known}"
        if growth is None
        else f"Δt·residual, times a growth of {known}",
        absolute,
    )


def _share(pde, a, size):
    """a/size, each field on its own; 0/0 is 0."""
    typical = np.broadcast_to(
        np.asarray(1.0 if pde.sizes is None else pde.sizes), size.shape
    )
    least = FLOOR * np.max(size / typical) * typical
    with np.errstate(divide="ignore", invalid="ignore"):
        share = a / np.maximum(size, least)
    return np.where(a == 0, 0.0, share)


def _next(runs):
    with exactly():
        return next(runs, None)


def _widened(a):
    return widened(a) if eqx.is_array_like(a) else a


@eqx.filter_jit
def _values(u, t, x):
    at = lambda t: jax.lax.map(lambda x: u(t, x), x, batch_size=4096)
    return jax.lax.map(at, t)
