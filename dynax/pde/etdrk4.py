"""ETDRK4: stiff semilinear equations u̇ = Lu + N(u) on a periodic box, in Fourier modes.

The linear part is exact, the rest is Runge–Kutta of fourth order. With z = hL,

    a = e^{z/2}u + Q N(u)     b = e^{z/2}u + Q N(a)     c = e^{z/2}a + Q(2N(b) − N(u))
    u₊ = e^z u + f₁N(u) + 2f₂(N(a) + N(b)) + f₃N(c)

    Q  = h (e^{z/2} − 1)/z                  f₁ = h (−4 − z + e^z(4 − 3z + z²))/z³
    f₂ = h (2 + z + e^z(z − 2))/z³          f₃ = h (−4 − 3z − z² + e^z(4 − z))/z³

The four quotients cancel near z = 0, but are entire: each is its mean over a circle
around z. They are complex where L is (dispersion): their real part would be of first
order only.

Source: Cox & Matthews, J. Comput. Phys. 176 (2002), eq. 26–29; the circle: Kassam &
Trefethen, SIAM J. Sci. Comput. 26 (2005), §3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from dynax.pde._base import AbstractSemilinear, Modes


ROOTS = 32  # the mean's error is the 32nd Taylor coefficient, below 1/32! ≈ 1e-36


class Torus(NamedTuple):
    """Real fields (c, *n) on a periodic box and their modes, laid out as by `rfftn`.

    Args:
        lower, upper: corners of the box.
        n: points along each axis; the first sits on `lower`, none on `upper`.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    n: tuple[int, ...]

    def axes(self) -> tuple[np.ndarray, ...]:
        """The coordinates along each axis."""
        corners = zip(self.lower, self.upper, self.n, strict=True)
        return tuple(a + (b - a) * np.arange(n) / n for a, b, n in corners)

    def points(self) -> np.ndarray:
        """Coordinates of the points, (*n, d)."""
        return np.stack(np.meshgrid(*self.axes(), indexing="ij"), -1)

    def waves(self) -> np.ndarray:
        """Angular wave numbers k, (d, *modes)."""
        periods = np.meshgrid(*self._periods(), indexing="ij")
        sides = np.subtract(self.upper, self.lower)
        return np.stack(
            [2 * np.pi / s * c for s, c in zip(sides, periods, strict=True)]
        )

    def mask(self, part: float = 1 / 3) -> np.ndarray:
        """The modes below a part of n along each axis. Those up to 2/3 of the highest
        wave number, n/3: squares of what they hold alias to none of them."""
        return self._within(self._periods(), part)

    def to_grid(self, modes: Array) -> Array:
        return jnp.fft.irfftn(modes, self.n, axes=range(1, 1 + len(self.n)))

    def to_modes(self, grid: Array) -> Array:
        return jnp.fft.rfftn(grid, axes=range(1, 1 + len(self.n)))

    def resize(self, modes: Array, n: tuple[int, ...]) -> Array:
        """The modes of the same trigonometric polynomial on a grid of n points, without
        the highest of this one: its sine is unknown."""
        if n == self.n:
            return modes
        fine = self._replace(n=n)._periods()
        both = zip(fine, self.n, strict=True)
        near = [np.where(abs(c) < m / 2, c, 0) % m for c, m in both]
        modes = modes[:, *np.ix_(*near)] * (np.prod(n) / np.prod(self.n)).item()
        return jnp.where(jnp.asarray(self._within(fine, 1 / 2))[None], modes, 0)

    def _periods(self):
        """Periods in the box, of the modes along each axis."""
        *full, half = self.n
        line = [np.round(np.fft.fftfreq(n, 1 / n)).astype(int) for n in full]
        return [*line, np.arange(half // 2 + 1)]

    def _within(self, periods, part):
        lines = [abs(c) < part * n for c, n in zip(periods, self.n, strict=True)]
        return np.all(np.meshgrid(*lines, indexing="ij"), axis=0)


class Coefficients(NamedTuple):
    """e^z, e^{z/2}, Q, f₁, f₂, f₃ of every mode."""

    whole: Array
    half: Array
    q: Array
    f1: Array
    f2: Array
    f3: Array


def coefficients(linear: Complex[Array, "..."], h: Float[Array, ""]) -> Coefficients:
    """Those of a step h."""
    h = h.astype(linear.dtype)
    z = h * linear
    angles = 2 * np.pi * (np.arange(ROOTS) + 0.5) / ROOTS
    circle = jnp.asarray(np.exp(1j * angles), z.dtype)

    def add(total, root):
        r = z + root
        half = jnp.exp(r / 2)
        whole = half * half
        cube = h / ROOTS / (r * r * r)
        terms = (
            (half - 1) * (h / ROOTS / r),
            (-4 - r + whole * (4 - 3 * r + r * r)) * cube,
            (2 + r + whole * (r - 2)) * cube,
            (-4 - 3 * r - r * r + whole * (4 - r)) * cube,
        )
        return tuple(a + b for a, b in zip(total, terms, strict=True)), None

    sums, _ = jax.lax.scan(add, (jnp.zeros_like(z),) * 4, circle)
    return Coefficients(jnp.exp(z), jnp.exp(z / 2), *sums)


def step(by: Coefficients, nonlinear: Callable[[Array], Array], u: Array) -> Array:
    """u₊."""
    at_u = nonlinear(u)
    a = by.half * u + by.q * at_u
    at_a = nonlinear(a)
    at_b = nonlinear(by.half * u + by.q * at_a)
    at_c = nonlinear(by.half * a + by.q * (2 * at_b - at_u))
    return by.whole * u + by.f1 * at_u + 2 * by.f2 * (at_a + at_b) + by.f3 * at_c


def etdrk4(
    linear: Modes,
    nonlinear: Callable[[Array], Array],
    u: Modes,
    gaps: Float[Array, " saves"],
    counts: Int[Array, " saves"],
    save: Callable[[Array], Any] = lambda u: u,
) -> Any:
    """u after each of the gaps in time, each walked in its count of equal steps.

    Args:
        linear: L, the symbol.
        nonlinear: û ↦ N̂(u).
        u: û at the start.
        gaps, counts: times between saves, and how many steps each takes.
        save: what to keep of û.
    """

    sizes = gaps / jnp.maximum(counts, 1).astype(gaps.dtype)

    def walk(carry, h_and_count):
        (u, by, before), (h, count) = carry, h_and_count
        known = (h == before) | (count == 0)
        by, h = jax.lax.cond(
            known, lambda: (by, before), lambda: (coefficients(linear, h), h)
        )
        u = jax.lax.fori_loop(0, count, lambda _, u: step(by, nonlinear, u), u)
        return (u, by, h), save(u)

    unknown = Coefficients(*(jnp.zeros_like(linear),) * 6)
    start = u, unknown, jnp.full_like(sizes[0], jnp.nan)
    return jax.lax.scan(walk, start, (sizes, counts))[1]


def split(pde: AbstractSemilinear, torus: Torus) -> tuple[Array, Callable]:
    """L and û ↦ N̂(u) of an equation on a grid, dealiased."""
    k, mask = jnp.asarray(torus.waves()), jnp.asarray(torus.mask())[None]

    def nonlinear(u):
        to_grid = lambda modes: torus.to_grid(jnp.where(mask, modes, 0))
        to_modes = lambda grid: jnp.where(mask, torus.to_modes(grid), 0)
        return pde.nonlinear(k, u, to_grid, to_modes)

    return pde.symbol(k).astype(np.result_type(k.dtype, np.complex64)), nonlinear


@eqx.filter_jit
def integrate(
    pde: AbstractSemilinear,
    gaps: Float[Array, " saves"],
    counts: Int[Array, " saves"],
    n: int,
    points: int,
    odd: bool = False,
) -> Float[Array, "saves *points c"]:
    """All fields after each gap, from the initial state.

    Args:
        n: points along each axis, computed with.
        points: the same, returned; of a finer grid if n is no multiple of it.
        odd: continue the initial state oddly beyond the upper walls, and compute on the
            periodic box of twice the size, on twice as many points: the solution that
            vanishes at the walls, of an equation that keeps odd states odd.
    """
    d, upper = len(pde.lower), pde.upper
    stride, twice = -(-n // points), 1 + odd
    if odd:
        upper = tuple(2 * b - a for a, b in zip(pde.lower, upper, strict=True))
    torus = Torus(pde.lower, upper, (twice * n,) * d)
    fine = torus._replace(n=(twice * stride * points,) * d)
    k, x = jnp.asarray(torus.waves()), jnp.asarray(torus.points())
    start = oddly(pde.initial, pde.upper) if odd else pde.initial
    u = jax.vmap(start)(x.reshape(-1, d))
    u = jnp.moveaxis(u.reshape(*torus.n, -1), -1, 0)

    def save(u):
        grid = fine.to_grid(torus.resize(pde.recover(k, u), fine.n))
        cut = slice(None, stride * points, stride)
        return jnp.moveaxis(grid[:, *(cut,) * d], 0, -1)

    begun = torus.to_modes(pde.evolved(u))
    return etdrk4(*split(pde, torus), begun, gaps, counts, save)


def oddly(initial: Callable[[Array], Array], walls) -> Callable[[Array], Array]:
    """A state within the box; beyond its upper walls continued oddly."""

    def start(x):
        upper = jnp.asarray(walls, x.dtype)
        sign = jnp.prod(jnp.where(x > upper, -1.0, 1.0)).astype(x.dtype)
        return sign * initial(jnp.where(x > upper, 2 * upper - x, x))

    return start
