"""Evolutions by Fourier modes: uₜ = L u + N(u) on a periodic box, by ETDRK4.

A box with walls, u = 0 there, is half of a periodic one if the equation keeps odd
states odd. Whether it does, and whether `equation` is L u + N(u) at all, is checked on
a smooth random state. Steps and modes are doubled in turn, the worse first. The doubt
is the distance from half the steps plus the upper half of the modes.
"""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde._base import AbstractPDE, AbstractSemilinear
from dynax.pde.derivatives import LETTERS, Derivatives
from dynax.pde.etdrk4 import Torus, etdrk4, split
from dynax.pde.evolve._base import Evolution, Start, State, mean_square, values


POINTS = 0, 128, 64, 32  # of the first grid, along each axis, in 1, 2, 3 dimensions
WORK = 2**25  # points times steps of the largest run
CHECKED = 24  # points along each axis, where the equation is checked


def box(pde: AbstractPDE, start: Start, t: np.ndarray) -> Torus | None:
    """The periodic box of an equivalent problem, on a small grid; None: there is none.

    An equation with a source in time is asked for it at all the times t.
    """
    if not isinstance(pde, AbstractSemilinear):
        return None
    d, walls = len(pde.lower), pde.boundary == "zero"
    lower, upper = tuple(map(float, pde.lower)), tuple(map(float, pde.upper))
    if walls:
        upper = tuple(2 * b - a for a, b in zip(lower, upper, strict=True))
    elif pde.boundary != "periodic":
        return None
    torus = Torus(lower, upper, (CHECKED,) * d)
    u = sampled(pde, start, torus)
    size = np.sqrt(np.mean(u**2, 0))
    size = jnp.asarray(np.where(size > 0, size, max(size.max(), 1e-300)))
    off, even = map(float, _misfit(pde, torus, jnp.asarray(t), size))
    if not off < 1e-5:
        return None
    if walls:
        grid = u.reshape(*torus.n, -1)
        edges = [np.take(grid, (0, CHECKED // 2), axis) for axis in range(d)]
        if not even < 1e-9 or any(np.any(abs(e) > 1e-9 * size) for e in edges):
            return None
    return torus


def sampled(pde: AbstractPDE, start: Start, torus: Torus) -> np.ndarray:
    """A state at the nodes, (m, c), continued oddly beyond walls."""
    if isinstance(start, State):
        assert (old := start.torus) is not None
        grid = jnp.moveaxis(jnp.asarray(start.u).reshape(*old.n, -1), -1, 0)
        grid = torus.to_grid(old.resize(old.to_modes(grid), torus.n))
        return np.asarray(grid).reshape(len(grid), -1).T
    x = torus.points().reshape(-1, len(torus.n))
    upper = np.asarray(pde.upper, float)
    beyond = x > upper
    sign = np.prod(np.where(beyond, -1, 1), -1)[:, None]
    return values(start, np.where(beyond, 2 * upper - x, x)) * sign


def evolutions(pde, start: Start, t: np.ndarray, torus: Torus) -> Iterator[Evolution]:
    d, walls = len(torus.n), pde.boundary == "zero"
    n, count = POINTS[d] * (1 + walls), 2
    if isinstance(start, State):
        n = max(n, torus.n[0])
    gaps = np.diff(t, prepend=t[0])
    gaps[1:] = np.where(np.ptp(gaps[1:]) < 1e-9 * gaps[1], np.mean(gaps[1:]), gaps[1:])

    def run(n, count):
        fine = torus._replace(n=(n,) * d)
        u = sampled(pde, start, fine).T.reshape(-1, *fine.n)
        counts = jnp.asarray(np.where(gaps > 0, count, 0))
        saved = _integrate(pde, jnp.asarray(u), fine, jnp.asarray(gaps), counts)
        u, tail = map(np.asarray, saved)
        return fine, np.moveaxis(u.reshape(*u.shape[:2], -1), 1, -1), np.max(tail, 0)

    before = None
    while n**d * count * len(t) <= WORK:
        fine, u, by_modes = run(n, count)
        finer = False
        if before is not None and np.all(np.isfinite(u)):
            x = fine.points().reshape(-1, d)
            inside = np.all(x <= np.asarray(pde.upper) * (1 + 1e-12), 1)
            with np.errstate(over="ignore", invalid="ignore"):
                by_steps = np.max(mean_square(u - before, np.ones(len(x)) / len(x)), 0)
            if np.all(np.isfinite(by_steps)):
                yield Evolution(
                    x,
                    inside / inside.sum(),
                    u,
                    by_steps + by_modes,
                    f"ETDRK4 with {n} modes and {count * (len(t) - 1)} steps",
                    State(fine, x, u[-1]),
                )
                finer = np.max(by_modes) > np.max(by_steps)
        before = None if finer else u
        n, count = (2 * n, count // 2) if finer else (n, 2 * count)


@eqx.filter_jit
def _integrate(pde, u, torus, gaps, counts):
    """All fields at the times, (nt, c, *n), and the size of their upper modes."""
    k = jnp.asarray(torus.waves())
    upper = torus.mask() & ~torus._within(torus._periods(), 1 / 6)

    def save(u):
        u = pde.recover(k, u)
        tail = torus.to_grid(jnp.where(jnp.asarray(upper)[None], u, 0))
        return torus.to_grid(u), jnp.sqrt(jnp.mean(tail**2, range(1, tail.ndim)))

    start = torus.to_modes(pde.evolved(u))
    return etdrk4(*split(pde, torus), start, gaps, counts, save)


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
