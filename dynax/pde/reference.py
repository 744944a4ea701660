"""Reference solutions: computed here, in float64, with the error they are known by.

A run is kept together with its distance from two cheaper ones: with half the steps, and
with 2/3 of the modes. Where these converge, at orders 4 and ≥ 2, each distance is more
than the error it stands for, the first by 15 times. Unless told, steps and modes are
doubled, the worse first, until both distances are below half the accuracy asked for.

Before that `_scheme` looks whether a scheme solves the problem that the class states.
"""

import dataclasses
import functools
import json
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import _digest
from dynax.pde import _cache
from dynax.pde._base import (
    AbstractExact,
    AbstractODE,
    AbstractPDE,
    AbstractSemilinear,
    Function,
)
from dynax.pde._float64 import float64, widened
from dynax.pde._scheme import scheme
from dynax.pde.derivatives import Derivatives
from dynax.pde.etdrk4 import Torus, integrate, oddly, split


FORMAT = 3  # of what is cached; raised when a recipe gives other numbers than before
POINTS = 1, 512, 128, 32  # along each axis, in 0, 1, 2, 3 dimensions
MODES = 1, 192, 96, 48  # along each axis, that refinement starts from
WORK = 2**28  # modes times steps of the largest run that is tried unasked
UNSTABLE = 1e-3  # an error above it is no round-off: more modes may need more steps
TOLERANCE = 1e-13  # of ordinary differential equations


class Reference(NamedTuple):
    """A solution on a grid, in NumPy arrays of float64.

    Args:
        t: times, (nt,).
        axes: the coordinates along each axis of space.
        u: the fields, (nt, *n, c).
        self_error: a bound of the relative L2 error, over all times, places and fields.
        recipe: how it was made.
    """

    t: np.ndarray
    axes: tuple[np.ndarray, ...]
    u: np.ndarray
    self_error: float
    recipe: dict[str, Any]


class Error(NamedTuple):
    """How far a function is from a reference, in shares of the fields' sizes.

    Args:
        overall: ‖e‖/‖u‖ over all times, places and fields.
        fields: the same of each field, (c,).
        largest: the largest ‖e_f(t)‖ over space, beside ‖u_f‖ over both, (c,).
    """

    overall: float
    fields: np.ndarray
    largest: np.ndarray


def reference(
    pde: AbstractPDE,
    times: int | Sequence[float] | np.ndarray = 101,
    points: int | None = None,
    *,
    accuracy: float = 1e-7,
    modes: int | None = None,
    step: float | None = None,
    cache: bool = False,
) -> Reference:
    """Compute the solution that starts from `pde.initial`. It takes seconds.

    In closed form where one is known; else by ETDRK4 (`AbstractSemilinear`), or by a
    Runge–Kutta method of order 8 with tolerance 1e-13 (`AbstractODE`). It is computed
    on the CPU, whatever else there is, and x64 may be off. Between walls a start that
    is not odd about them is continued oddly.

    Args:
        pde: the equation, its coefficients numbers.
        times: ascending; or how many, equally spaced from 0 to the horizon.
        points: along each axis of the grid that is returned.
        accuracy: what `self_error` is to be, as far as `modes` and `step` leave it
            open; where that would cost too much a warning says what was reached.
        modes: along each axis, of the run that is kept.
        step: in time, the largest, of the run that is kept.
        cache: take the solution from $DYNAX_CACHE, else ~/.cache/dynax, if it is there,
            and leave it there.

    Raises:
        TypeError: no method here solves this equation: it has none, or inherits one
            that is not its own (`equation`, `boundary` or `initial` say another thing).
        ValueError: an argument that means nothing, or a start that is not 0 on the
            walls, or not periodic, to the accuracy.
    """
    t = np.linspace(0, pde.horizon, max(times, 0)) if isinstance(times, int) else times
    t = np.asarray(t, np.float64)
    if t.ndim != 1 or not t.size or not t[0] >= 0 < t[-1] or not np.all(np.diff(t) > 0):
        raise ValueError(
            f"times: given {times}; accepted are ascending times ≥ 0, the last > 0, or "
            "an integer ≥ 2."
        )
    points = POINTS[len(pde.lower)] if points is None else points
    if points < 1 or (modes or 4) < 4 or not (1 if step is None else step) > 0:
        raise ValueError(
            f"points, modes, step: given {points}, {modes}, {step}; accepted are "
            "integers ≥ 1 and ≥ 4, and a time > 0."
        )
    with float64():
        pde = jax.tree.map(widened, pde)
        settings = t, points, accuracy, modes, step
        if not cache:
            return _solve(pde, *settings)
        name = f"{type(pde).__name__}-{_identity(pde, *settings)}"
        found = _cache.read(name)
        solution = _solve(pde, *settings) if found is None else _unpacked(found)
        if found is None:
            _cache.write(name, _packed(solution))
        return solution


def relative_l2(u: Function, reference: Reference, points: int = 2**16) -> Error:
    """How far a function is from the reference: ‖u − reference‖/‖reference‖.

    Args:
        u: (t, x) → fields; it is called with numbers of JAX's default float type.
        points: about how many of the grid are looked at: all times, and along each axis
            of space every k-th, k the same for all.
    """
    times, *n, c = reference.u.shape
    k = 1
    while times * np.prod([-(-m // k) for m in n]) > points and k < max(n, default=1):
        k += 1
    axes = np.meshgrid(*(a[::k] for a in reference.axes), indexing="ij")
    x = np.stack([a.ravel() for a in axes], -1) if axes else np.zeros((1, 0))
    known = reference.u[:, *(slice(None, None, k) for _ in n)].reshape(times, -1, c)
    dtype = jnp.result_type(float)
    given = _values(u, jnp.asarray(reference.t, dtype), jnp.asarray(x, dtype))
    if given.shape != known.shape:
        raise ValueError(
            f"u: given values of shape {given.shape[2:]}; accepted is ({c},), the "
            "fields of the reference."
        )
    off, size = (np.mean(a**2, 1) for a in (np.asarray(given) - known, known))
    most, off, size = np.max(off, 0), np.mean(off, 0), np.mean(size, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (np.sqrt(a / size) for a in (off, most))
        return Error(float(np.sqrt(off.sum() / size.sum())), *shares)


@eqx.filter_jit
def _values(u, t, x):
    at = lambda t: jax.lax.map(lambda x: u(t, x), x, batch_size=4096)
    return jax.lax.map(at, t)


def _solve(pde, t, points, accuracy, modes, step) -> Reference:
    made_by = {"equation": type(pde).__name__, "coefficients": _coefficients(pde)}
    axes = Torus(pde.lower, pde.upper, (points,) * len(pde.lower)).axes()
    kind = scheme(pde, t, accuracy)
    if kind == "closed form":
        x = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        at = jax.vmap(jax.vmap(pde.exact, (None, 0)), (0, None))
        u = at(jnp.asarray(t), jnp.asarray(x.reshape(-1, x.shape[-1])))
        u = np.asarray(u).reshape(t.size, *x.shape[:-1], -1)
        recipe = made_by | {"method": "closed form"}
        return Reference(t, axes, u, float(np.finfo(u.dtype).eps), recipe)
    if kind == "Runge–Kutta":
        u = _integrate(pde, t, TOLERANCE)
        error = _distance(u, _integrate(pde, t, 10 * TOLERANCE))
        recipe = made_by | {"method": "Dopri8", "tolerance": TOLERANCE}
        return Reference(t, (), u, error, recipe)
    u, error, used = _refined(pde, kind == "odd", t, points, accuracy, modes, step)
    if unseen := _between(pde, kind == "odd", used["modes"]):
        error += unseen
        used["errors"] |= {"start": unseen}
    if not error <= accuracy and (modes is None or step is None):
        warnings.warn(
            f"accuracy: given {accuracy:g}; reached {error:.1e} with {used}.",
            RuntimeWarning,
            stacklevel=3,
        )
    return Reference(t, axes, u, error, made_by | {"method": "ETDRK4"} | used)


def _refined(pde: AbstractSemilinear, odd, t, points, accuracy, modes, step):
    """u, the sum of its distances from the cheaper runs, and how it was made."""
    gaps = np.diff(t, prepend=0.0)
    after = gaps[gaps > 0]
    if np.ptp(after) <= 1e-12 * t[-1]:  # then all steps are the same to the last bit
        gaps[gaps > 0] = np.mean(after)
    h = t[-1] / 128 if step is None else step
    pairs = np.ceil(gaps / (2 * h) * (1 - 1e-12)).astype(int)

    @functools.cache
    def run(n, m):
        counts = jnp.asarray(m * pairs)
        return np.asarray(integrate(pde, jnp.asarray(gaps), counts, n, points, odd))

    n, m, kept = modes or MODES[len(pde.lower)], 2, None
    while True:
        u = run(n, m)
        by_steps = _distance(u, run(n, m // 2))
        by_modes = _distance(u, run(2 * n // 3, m))
        error = by_steps + by_modes
        worse = kept is not None and kept[1] < error
        if worse and error < UNSTABLE:
            return kept  # finer and worse: that is round-off
        used = {"modes": n, "steps": m * int(pairs.sum())}
        if odd:
            used["continued"] = "oddly beyond the walls, in as many modes again"
        used["errors"] = {"half the steps": by_steps, "2/3 of the modes": by_modes}
        kept = kept if worse else (u, error, used)
        finer = []  # steps come first: with too few, the modes needed are not seen
        if step is None and by_steps > accuracy / 2:
            finer.append((10 * by_steps, n, 2 * m))
        if modes is None and by_modes > accuracy / 2:
            finer.append((by_modes, 2 * n, m))
        _, *best = max(finer, key=lambda choice: choice[0], default=(0, n, m))
        if best == [n, m] or best[0] ** len(pde.lower) * best[1] * pairs.sum() > WORK:
            return kept
        n, m = best


def _between(pde: AbstractSemilinear, odd, n) -> float:
    """What is unknown of a rough start: its relative L2 distance, between the points,
    from the trigonometric polynomial through them; 0 if nowhere above 1 % of its range.

    Where the start jumps, solutions converge too slowly for `self_error` to be told by
    the distance of two of them.
    """
    start = oddly(pde.initial, pde.upper) if odd else pde.initial
    upper = [b + odd * (b - a) for a, b in zip(pde.lower, pde.upper, strict=True)]
    torus = Torus(pde.lower, tuple(upper), ((1 + odd) * n,) * len(upper))
    half = np.subtract(upper, pde.lower) / torus.n / 2
    given = lambda x: jax.vmap(start)(jnp.asarray(x.reshape(-1, len(upper))))
    grid = lambda x: given(x).T.reshape(-1, *torus.n)
    x, turn = torus.points(), np.exp(1j * np.tensordot(half, torus.waves(), 1))
    known, between = (np.asarray(grid(at)) for at in (x, x + half))
    through = torus.to_grid(torus.to_modes(jnp.asarray(known)) * turn[None])
    off = np.asarray(through) - between
    rough = np.max(np.abs(off)) > 1e-2 * np.ptp(between)
    return float(np.linalg.norm(off) / np.linalg.norm(between)) if rough else 0.0


@eqx.filter_jit
def _integrate(pde: AbstractODE, t, tolerance) -> Any:
    along = diffrax.PIDController(rtol=tolerance, atol=tolerance)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, u, pde: pde.field(u)),
        diffrax.Dopri8(),
        t0=0.0,
        t1=t[-1],
        dt0=None,
        y0=pde.initial(jnp.zeros(0, t.dtype)),
        args=pde,
        saveat=diffrax.SaveAt(ts=t),
        stepsize_controller=diffrax.ClipStepSizeController(along, step_ts=t),
        max_steps=2**20,
    ).ys


def _distance(u, v) -> float:
    """‖u − v‖/‖u‖; +∞ where a run blew up."""
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(u - v) / max(np.linalg.norm(u), np.finfo(float).tiny)
    return float(distance) if np.isfinite(distance) else np.inf


def _coefficients(pde) -> dict[str, Any]:
    values = {f.name: getattr(pde, f.name) for f in dataclasses.fields(pde)}
    return {
        k: np.asarray(v).tolist() if eqx.is_array_like(v) else repr(v)
        for k, v in values.items()
    }


def _identity(pde, t, *settings) -> str:
    """A digest of everything that a solution depends on."""
    kind, d, c = type(pde), len(pde.lower), len(pde.fields)
    word = pde.boundary is None or isinstance(pde.boundary, str)
    walls = pde.boundary if word else repr(pde.boundary)
    about = [FORMAT, kind.__module__, kind.__qualname__, walls, pde.horizon]
    text = json.dumps([*about, pde.lower, pde.upper, t.tolist(), *settings])
    ones = lambda *shape: jnp.ones(shape, np.float64)

    def code(pde, x, u):
        """All of the equation's own functions that a reference may call."""
        one = u.reshape(c, -1)[:, 0]
        names = {*pde.needs.split(), "u", "t"}
        same = Derivatives(dict.fromkeys(sorted(names), one))
        seen = [pde.initial(x), pde.equation(jnp.sum(x), x, same)]
        if isinstance(pde, AbstractExact):
            seen.append(pde.exact(jnp.sum(x), x))
        if isinstance(pde, AbstractODE):
            seen.append(pde.field(one))
        if isinstance(pde, AbstractSemilinear):
            torus = Torus(pde.lower, pde.upper, u.shape[1:])
            linear, nonlinear = split(pde, torus)
            v = torus.to_modes(pde.evolved(u))
            rest = nonlinear(v), pde.recover(jnp.asarray(torus.waves()), v)
            seen += [linear * v, *rest]
        return seen

    lowered = eqx.filter_jit(code).lower(pde, ones(d), ones(c, *(8,) * max(d, 1)))
    made = _digest.program(lowered.as_text())
    return _digest.short(repr([text, _digest.numbers(pde=pde), made]))


def _packed(solution: Reference) -> dict[str, np.ndarray]:
    t, axes, u, error, recipe = solution
    arrays = {"t": t, "u": u, "self_error": error, "recipe": json.dumps(recipe)}
    arrays |= {f"axis{i}": axis for i, axis in enumerate(axes)}
    return {name: np.asarray(value) for name, value in arrays.items()}


def _unpacked(found: dict[str, np.ndarray]) -> Reference:
    axes = tuple(found[f"axis{i}"] for i in range(found["u"].ndim - 2))
    error, recipe = float(found["self_error"]), json.loads(found["recipe"].item())
    return Reference(found["t"], axes, found["u"], error, recipe)
