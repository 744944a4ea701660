"""Reference solutions: computed here, in float64, with the error they are known by.

A run is kept together with its distance from two cheaper ones: with half the steps, and
with 2/3 of the modes. Where these converge, at orders 4 and ≥ 2, each distance is more
than the error it stands for, the first by 15 times. Unless told, steps and modes are
doubled, the worse first, until both distances are below half the accuracy asked for.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde import _cache
from dynax.pde._base import (
    AbstractExact,
    AbstractODE,
    AbstractPDE,
    AbstractSemilinear,
    Function,
)
from dynax.pde.etdrk4 import Torus, integrate, split


FORMAT = 1  # of what is cached; raised when a recipe gives other numbers than before
POINTS = 1, 512, 128, 32  # along each axis, in 0, 1, 2, 3 dimensions
MODES = 1, 192, 96, 48  # along each axis, that refinement starts from
WORK = 2**28  # modes times steps of the largest run that is tried unasked
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
    """Relative L2 errors: of all fields together, and of each, (c,)."""

    overall: float
    fields: np.ndarray


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
    """The solution that starts from `pde.initial`; it takes seconds.

    In closed form where one is known; else by ETDRK4 (`AbstractSemilinear`), or by a
    Runge–Kutta method of order 8 with tolerance 1e-13 (`AbstractODE`). It is computed
    on the CPU, whatever else there is, and x64 may be off.

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
        TypeError: no method here solves this equation.
        ValueError: an argument that means nothing.
    """
    if not isinstance(pde, AbstractExact | AbstractSemilinear | AbstractODE):
        raise TypeError(
            f"pde: given {type(pde).__name__}; accepted is an AbstractExact, "
            "AbstractSemilinear or AbstractODE."
        )
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
        name = f"{type(pde).__name__}-{_digest(pde, *settings)}"
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
    off, size = (np.sum(a**2, (0, 1)) for a in (np.asarray(given) - known, known))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Error(float(np.sqrt(off.sum() / size.sum())), np.sqrt(off / size))


@eqx.filter_jit
def _values(u, t, x):
    at = lambda t: jax.lax.map(lambda x: u(t, x), x, batch_size=4096)
    return jax.lax.map(at, t)


def _solve(pde, t, points, accuracy, modes, step) -> Reference:
    made_by = {"equation": type(pde).__name__, "coefficients": _coefficients(pde)}
    axes = Torus(pde.lower, pde.upper, (points,) * len(pde.lower)).axes()
    if isinstance(pde, AbstractExact):
        x = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        at = jax.vmap(jax.vmap(pde.exact, (None, 0)), (0, None))
        u = at(jnp.asarray(t), jnp.asarray(x.reshape(-1, x.shape[-1])))
        u = np.asarray(u).reshape(t.size, *x.shape[:-1], -1)
        recipe = made_by | {"method": "closed form"}
        return Reference(t, axes, u, float(np.finfo(u.dtype).eps), recipe)
    if isinstance(pde, AbstractODE):
        u = _integrate(pde, t, TOLERANCE)
        error = _distance(u, _integrate(pde, t, 10 * TOLERANCE))
        recipe = made_by | {"method": "Dopri8", "tolerance": TOLERANCE}
        return Reference(t, (), u, error, recipe)
    u, error, used = _refined(pde, t, points, accuracy, modes, step)
    if not error <= accuracy and (modes is None or step is None):
        warnings.warn(
            f"accuracy: given {accuracy:g}; reached {error:.1e} with {used}.",
            RuntimeWarning,
            stacklevel=3,
        )
    return Reference(t, axes, u, error, made_by | {"method": "ETDRK4"} | used)


def _refined(pde: AbstractSemilinear, t, points, accuracy, modes, step):
    """u, the sum of its distances from the cheaper runs, and how it was made."""
    gaps = np.diff(t, prepend=0.0)
    after = gaps[gaps > 0]
    if np.ptp(after) <= 1e-12 * t[-1]:  # then all steps are the same to the last bit
        gaps[gaps > 0] = np.mean(after)
    h = t[-1] / 128 if step is None else step
    pairs = np.ceil(gaps / (2 * h) * (1 - 1e-12)).astype(int)

    @functools.cache
    def run(n, m):
        u = integrate(pde, jnp.asarray(gaps), jnp.asarray(m * pairs), n, points)
        return np.asarray(u)

    n, m, kept = modes or MODES[len(pde.lower)], 2, None
    while True:
        u = run(n, m)
        by_steps = _distance(u, run(n, m // 2))
        by_modes = _distance(u, run(2 * n // 3, m))
        error = by_steps + by_modes
        if kept is not None and kept[1] < min(error, 1e-3):
            return kept  # finer and worse: that is round-off
        used = {"modes": n, "steps": m * int(pairs.sum())}
        used["errors"] = {"half the steps": by_steps, "2/3 of the modes": by_modes}
        kept = u, error, used
        finer = []  # steps come first: with too few, the modes needed are not seen
        if step is None and by_steps > accuracy / 2:
            finer.append((10 * by_steps, n, 2 * m))
        if modes is None and by_modes > accuracy / 2:
            finer.append((by_modes, 2 * n, m))
        _, *best = max(finer, key=lambda choice: choice[0], default=(0, n, m))
        if best == [n, m] or best[0] ** len(pde.lower) * best[1] * pairs.sum() > WORK:
            return kept
        n, m = best


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


@contextlib.contextmanager
def float64():
    """Numbers of 64 bits, on the CPU, in this thread."""
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # $JAX_PLATFORMS leaves it out
        cpu = None
    with jax.enable_x64(True), jax.default_device(cpu):
        yield


def widened(a):
    a = np.asarray(a)
    return jnp.asarray(a, np.float64) if np.issubdtype(a.dtype, np.floating) else a


def _coefficients(pde) -> dict[str, Any]:
    values = {f.name: getattr(pde, f.name) for f in dataclasses.fields(pde)}
    return {
        k: np.asarray(v).tolist() if eqx.is_array_like(v) else repr(v)
        for k, v in values.items()
    }


def _digest(pde, t, *settings) -> str:
    """Of everything that a solution depends on; of the code of the equation it knows
    what that makes of a few random numbers."""
    kind = type(pde)
    about = [FORMAT, kind.__module__, kind.__qualname__, _coefficients(pde)]
    text = json.dumps([*about, pde.lower, pde.upper, t.tolist(), *settings])
    digest = hashlib.sha256(text.encode())
    random, d, c = np.random.RandomState(0), len(pde.lower), len(pde.fields)
    x = jnp.asarray(random.uniform(pde.lower, pde.upper, (7, d)))
    seen = [jax.vmap(pde.initial)(x)]
    if isinstance(pde, AbstractExact):
        seen.append(jax.vmap(pde.exact, (None, 0))(jnp.asarray(t[-1]), x))
    elif isinstance(pde, AbstractODE):
        seen.append(pde.field(jnp.asarray(random.uniform(1, 2, (7, c)))))
    else:
        torus = Torus(pde.lower, pde.upper, (8,) * d)
        grid = jnp.asarray(random.uniform(1, 2, (c, *torus.n)))
        linear, nonlinear = split(pde, torus)
        u = torus.to_modes(pde.evolved(grid))
        seen += [linear * u, nonlinear(u), pde.recover(jnp.asarray(torus.waves()), u)]
    for values in map(np.asarray, seen):
        size = max(np.max(np.abs(values)), np.finfo(float).tiny)
        digest.update((np.round(values / size, 6) + 0.0).tobytes())
    return digest.hexdigest()[:24]


def _packed(solution: Reference) -> dict[str, np.ndarray]:
    t, axes, u, error, recipe = solution
    arrays = {"t": t, "u": u, "self_error": error, "recipe": json.dumps(recipe)}
    arrays |= {f"axis{i}": axis for i, axis in enumerate(axes)}
    return {name: np.asarray(value) for name, value in arrays.items()}


def _unpacked(found: dict[str, np.ndarray]) -> Reference:
    axes = tuple(found[f"axis{i}"] for i in range(found["u"].ndim - 2))
    error, recipe = float(found["self_error"]), json.loads(found["recipe"].item())
    return Reference(found["t"], axes, found["u"], error, recipe)
