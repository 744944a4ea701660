"""Evolutions by Fourier modes: uₜ = L u + N(u) on a periodic box, by ETDRK4.

A box with walls, u = 0 there, is half of a periodic one if the equation keeps odd
states odd. Whether it does, and whether `equation` is L u + N(u) at all, is checked on
a smooth random state. Steps and modes are doubled in turn, the worse first. The doubt
is the distance from half the steps plus the upper half of the modes.
"""

from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from dynax.pde._base import AbstractPDE, AbstractSemilinear
from dynax.pde._scheme import against_symbol, periodic_box, root_mean_square
from dynax.pde.etdrk4 import Torus, etdrk4, split
from dynax.pde.evolve._base import Evolution, Start, State, mean_square, values


POINTS = 0, 128, 64, 32  # of the first grid, along each axis, in 1, 2, 3 dimensions
WORK = 2**25  # points times steps of the largest run


def box(pde: AbstractPDE, start: Start, t: np.ndarray) -> Torus | None:
    """The periodic box of an equivalent problem, on a small grid; None: there is none.

    An equation with a source in time is asked for it at all the times t.
    """
    known = pde.boundary in ("periodic", "zero")
    if not isinstance(pde, AbstractSemilinear) or not known:
        return None
    torus = periodic_box(pde)
    u = sampled(pde, start, torus)
    size = root_mean_square(u)
    if against_symbol(pde, torus, t, size) is not None:
        return None
    if pde.boundary == "zero":
        grid = u.reshape(*torus.n, -1)
        for axis, n in enumerate(torus.n):
            walls = np.take(grid, (0, n // 2), axis)
            if np.any(np.abs(walls) > 1e-9 * size):
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
    upper = torus.mask() & ~torus.mask(1 / 6)

    def save(u):
        u = pde.recover(k, u)
        tail = torus.to_grid(jnp.where(jnp.asarray(upper)[None], u, 0))
        return torus.to_grid(u), jnp.sqrt(jnp.mean(tail**2, range(1, tail.ndim)))

    start = torus.to_modes(pde.evolved(u))
    return etdrk4(*split(pde, torus), start, gaps, counts, save)
