"""Which scheme solves the problem that an equation states; else one sentence why none.

A subclass may have another start, coefficient, equation or box than its parent, and
inherit a symbol, a field or a closed form that is no longer its own. So each is checked
at a few points against `equation`, `initial` and `boundary`.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde._base import AbstractExact, AbstractODE, AbstractPDE, AbstractSemilinear
from dynax.pde._float64 import exactly
from dynax.pde.derivatives import LETTERS, Derivatives, derivatives
from dynax.pde.etdrk4 import Torus, split


CHECKED = 24  # points along each axis, where the equation is checked
SAME = 1e-6  # of the terms: what a closed form or a field may be off by
Scheme = Literal["closed form", "Runge–Kutta", "periodic", "odd"]


def scheme(pde: AbstractPDE, t: np.ndarray, accuracy: float) -> Scheme:
    """The scheme that serves this equation from `pde.initial`.

    "odd" is the periodic one on twice the box, for a start that is continued oddly
    beyond its walls; with a start that is odd by itself the box itself will do.

    Raises:
        TypeError: none serves.
        ValueError: the start does not fit the boundary.
    """
    wrong = "which is no AbstractExact, AbstractSemilinear or AbstractODE"
    with exactly():
        if isinstance(pde, AbstractExact):
            wrong = _against_closed_form(pde, t)
            if wrong is None:
                return "closed form"
        if isinstance(pde, AbstractODE):
            wrong = _against_field(pde, t)
            if wrong is None:
                return "Runge–Kutta"
        if isinstance(pde, AbstractSemilinear):
            _check_start(pde, accuracy)
            wrong = _against_symbol(pde, t)
            if wrong is None:
                walls = pde.boundary == "zero"
                return "odd" if walls and not _is_odd(pde) else "periodic"
    raise TypeError(
        f"pde: given {type(pde).__name__}, {wrong}; accepted is an equation that a "
        "closed form, a field or a symbol of its own solves."
    )


def _starts(pde, x) -> np.ndarray:
    return np.asarray(jax.vmap(pde.initial)(jnp.asarray(x)))


def _inside(pde, n: int) -> np.ndarray:
    """Random points of the box."""
    shape = n, len(pde.lower)
    return np.random.RandomState(0).uniform(pde.lower, pde.upper, shape)


def _faces(pde) -> tuple[np.ndarray, np.ndarray]:
    """Points of the box's lower faces and, opposite to them, of its upper ones."""
    low, high = [], []
    for axis, (a, b) in enumerate(zip(pde.lower, pde.upper, strict=True)):
        for face, points in ((a, low), (b, high)):
            x = _inside(pde, 16 if len(pde.lower) > 1 else 1)
            x[:, axis] = face
            points.append(x)
    return np.concatenate(low), np.concatenate(high)


def _check_start(pde: AbstractSemilinear, accuracy: float) -> None:
    if pde.boundary not in ("periodic", "zero"):
        return
    (u, v), walls = (_starts(pde, x) for x in _faces(pde)), pde.boundary == "zero"
    off = np.max(np.abs(np.stack([u, v]) if walls else u - v))
    size = np.max(np.abs(_starts(pde, _inside(pde, 64))))
    if not off <= accuracy * (size if size > 0 else 1):
        place = "on the walls" if walls else "apart on opposite sides of its box"
        raise ValueError(
            f"initial: given by {type(pde).__name__} a start of size {size:.2g} that "
            f"is {off:.2g} {place}; accepted is 0 there, to the accuracy {accuracy:g}."
        )


def _is_odd(pde: AbstractSemilinear) -> bool:
    """Whether u(0, ·), as its formula goes on beyond the walls, is odd about each."""
    x = _inside(pde, 32)
    u = _starts(pde, x)
    for axis in range(len(pde.lower)):
        for wall in (pde.lower[axis], pde.upper[axis]):
            y = x.copy()
            y[:, axis] = 2 * wall - x[:, axis]
            if not np.max(np.abs(u + _starts(pde, y))) <= 1e-12 * np.max(np.abs(u)):
                return False
    return True


def _against_closed_form(pde: AbstractExact, t) -> str | None:
    x = jnp.asarray(_inside(pde, 16))
    low, high = map(jnp.asarray, _faces(pde) if pde.lower else (x, x))
    seen = _look_at_closed_form(pde, jnp.asarray(t[[0, len(t) // 2, -1]]), x, low, high)
    for words, (off, of) in seen.items():
        if not float(off) <= SAME * float(of):
            return f"whose closed form is not that of {words}"
    return None


@eqx.filter_jit
def _look_at_closed_form(pde, t, x, low, high):
    """By what is compared: how far the closed form is from it, and in what size."""
    largest = lambda a: jnp.max(jnp.abs(a), initial=0.0)
    each = lambda f, x: jax.vmap(jax.vmap(f, (None, 0)), (0, None))(t, x)
    u = each(pde.exact, x)
    start = jax.vmap(pde.initial)(x)
    first = jax.vmap(pde.exact, (None, 0))(jnp.zeros_like(t[0]), x)

    def residual(t, x):
        d = derivatives(pde.exact, t, x, tuple({*pde.needs.split(), "t"}))
        rest = {**d, "t": jnp.zeros_like(d["t"])}
        return [pde.equation(t, x, Derivatives(a)) for a in (d, rest)], d["t"]

    (r, rest), rate = each(residual, x)
    tiny = 1e-6 * largest(u) / pde.horizon
    seen = {
        "its start": (largest(first - start), largest(start)),
        "its equation": (largest(r), largest(rest) + largest(rate) + tiny),
    }
    if pde.lower and pde.boundary == "periodic":
        both = lambda t, x: (pde.exact(t, x), jax.jacfwd(pde.exact, 1)(t, x))
        for a, b in zip(each(both, low), each(both, high), strict=True):
            size = largest(a) + largest(b) + largest(u)
            seen |= {f"its boundary{len(seen)}": (largest(a - b), size)}
    elif pde.lower and pde.boundary == "zero":
        for x in (low, high):
            off = each(pde.exact, x) - jax.vmap(pde.initial)(x)
            seen |= {f"its boundary{len(seen)}": (largest(off), largest(u))}
    return seen


def _against_field(pde: AbstractODE, t) -> str | None:
    if type(pde).equation is AbstractODE.equation:
        return None
    u = _starts(pde, np.zeros((1, 0)))
    noise = np.random.RandomState(0).uniform(-0.1, 0.1, (16, 1, u.shape[-1]))
    u = jnp.asarray(u * (1 + noise) + 0.1 * noise * np.max(np.abs(u)))
    rate = pde.field(u)
    at = lambda rate: (
        lambda t: pde.equation(
            t, jnp.zeros((*u.shape[:-1], 0)), Derivatives({"u": u, "t": rate})
        )
    )
    off, rest = (jax.vmap(at(a))(jnp.asarray(t)) for a in (rate, jnp.zeros_like(rate)))
    size = np.max(np.abs(rest)) + np.max(np.abs(rate))
    return None if np.max(np.abs(off)) <= SAME * size else "whose field is not its own"


def _against_symbol(pde: AbstractSemilinear, t) -> str | None:
    if pde.boundary not in ("periodic", "zero"):
        return f"whose boundary is {pde.boundary}, which no symbol knows"
    starts = _starts(pde, _inside(pde, 64))
    return against_symbol(pde, periodic_box(pde), t, root_mean_square(starts))


def periodic_box(pde: AbstractSemilinear) -> Torus:
    """The box on which the equation is periodic: doubled along each axis beyond walls.

    Its grid is that of `against_symbol`.
    """
    lower, upper = (tuple(map(float, ends)) for ends in (pde.lower, pde.upper))
    if pde.boundary == "zero":
        upper = tuple(2 * b - a for a, b in zip(lower, upper, strict=True))
    return Torus(lower, upper, (CHECKED,) * len(lower))


def root_mean_square(u: np.ndarray) -> np.ndarray:
    """The size of each field of states (n, c); of all fields where one is zero."""
    size = np.sqrt(np.mean(u**2, 0))
    return np.where(size > 0, size, max(size.max(), 1e-300))


def against_symbol(pde: AbstractSemilinear, box: Torus, t, size) -> str | None:
    """Why `equation` is not uₜ − L u − N(u) for states of this size; None if it is."""
    off, even = map(float, _misfit(pde, box, jnp.asarray(t), jnp.asarray(size)))
    if not off < 1e-5:
        return (
            f"whose equation is not that of its symbol and nonlinear, off by {off:.1e}"
        )
    if pde.boundary == "zero" and not even < 1e-9:
        return "which has walls and does not keep odd states odd"
    return None


@eqx.filter_jit
def _misfit(pde, torus, t, size):
    """How far `equation` is from uₜ − L u − N(u), and L u + N(u) of an odd state from
    odd, each as a share of the terms."""
    d = len(torus.n)
    k, x = jnp.asarray(torus.waves()), torus.points()
    phase = 2 * np.pi * (x - torus.lower) / np.subtract(torus.upper, torus.lower)
    odd = sum(a * np.prod(np.sin(m * phase), -1) for m, a in ((1, 0.8), (2, 0.5)))
    mixed = 1 + 0.1 * odd + 0.07 * np.prod(np.cos(phase + 0.4), -1)
    linear, nonlinear = split(pde, torus)
    size = size.reshape(-1, *(1,) * d)
    modes = lambda shape: torus.to_modes(pde.evolved(size * jnp.asarray(shape)[None]))

    u = modes(mixed)
    terms = linear * u, nonlinear(u)
    full = {"u": pde.recover(k, u), "t": pde.recover(k, terms[0] + terms[1])}
    for name in {*pde.needs.split()} - {*full}:
        full[name] = full["u"]
        for letter in name:
            full[name] = 1j * k[LETTERS.index(letter)] * full[name]
    flat = lambda a: torus.to_grid(a).reshape(a.shape[0], -1).T
    flat, points = {w: flat(a) for w, a in full.items()}, jnp.asarray(x.reshape(-1, d))
    at = lambda t, x, d: pde.equation(t, x, Derivatives(d))
    r = jax.vmap(jax.vmap(at, (None, 0, 0)), (0, None, None))(t, points, flat)
    largest = lambda a, axis=None: jnp.max(jnp.abs(a), axis)
    linear_, rest = (largest(torus.to_grid(a), range(1, d + 1)) for a in terms)
    scale = linear_ + rest

    u = modes(odd)
    v = mirrored = torus.to_grid(linear * u + nonlinear(u))
    for axis in range(1, d + 1):
        mirrored = jnp.roll(jnp.flip(mirrored, axis), 1, axis)
    tiny = jnp.finfo(v.dtype).tiny
    off = largest(r[..., : len(scale)], (0, 1)) / (scale + tiny)
    return largest(off), largest(v - (-1) ** d * mirrored) / (largest(v) + tiny)
