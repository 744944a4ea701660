"""Real fields of few Fourier modes as vectors, and an equation seen in these modes.

A field of the modes |kᵢ| ≤ K is a vector z of independent real numbers, so scaled that
|z|² is its mean square over the box. A symmetry leaves out the numbers that it makes 0,
so that whatever is written in the others has it to the last bit.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax.pde import AbstractODE, AbstractSemilinear, Symmetry
from dynax.pde.etdrk4 import Torus, oddly


@dataclasses.dataclass(frozen=True)
class Modes:
    """The modes |kᵢ| ≤ most of a grid, as vectors z of independent real numbers.

    Args:
        torus: the grid, of more than 2·most points along each axis.
        most: K.
        symmetry: of all fields, about the torus' lower corner.
    """

    torus: Torus
    most: int
    symmetry: Symmetry = Symmetry()

    @functools.cached_property
    def periods(self) -> np.ndarray:
        """Of all modes of the grid in one list, (d, all)."""
        lines = np.meshgrid(*self.torus._periods(), indexing="ij")
        return np.stack(lines).reshape(len(lines), -1)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """Where the independent modes stand in that list, of k and −k one, (h,)."""
        kept = np.all(np.abs(self.periods) <= self.most, 0)
        kept &= np.all(self.periods % self.symmetry.copies == 0, 0)
        return np.flatnonzero(kept & (self._order() >= 0))

    @functools.cached_property
    def live(self) -> np.ndarray:
        """Which real and imaginary parts of these are free, (2, h)."""
        constant = self._order()[self.places] == 0
        free = np.stack([constant | True, ~constant])
        free[0] &= self.symmetry.parity >= 0
        free[1] &= self.symmetry.parity <= 0
        return free

    @property
    def size(self) -> int:
        """Numbers of a field."""
        return int(self.live.sum())

    @functools.cached_property
    def highest(self) -> np.ndarray:
        """max |kᵢ| of each number, (size,)."""
        highest = np.abs(self.periods[:, self.places]).max(0)
        return np.broadcast_to(highest, self.live.shape)[self.live]

    def pairs(self, z: Float[Array, "c size"]) -> Array:
        """Complex amplitudes of the independent modes, (c, h)."""
        at = np.cumsum(self.live.ravel()).reshape(self.live.shape)
        both = zip(self.live, at, strict=True)
        padded = jnp.pad(z, ((0, 0), (1, 0)))
        re, im = (padded[:, np.where(f, i, 0)] for f, i in both)
        return jax.lax.complex(re, im)

    def numbers(self, pairs: Array) -> Float[Array, "c size"]:
        """z of complex amplitudes."""
        both = jnp.concatenate([pairs.real, pairs.imag], -1)
        return both[..., np.flatnonzero(self.live.ravel())]

    def unpack(self, z: Float[Array, "c size"]) -> Array:
        """û on the grid, (c, *modes), laid out as by `rfftn`."""
        order, count = self._order(), self.periods.shape[1]
        source, sign = np.full(count, len(self.places)), np.ones(count)
        source[self.places] = np.arange(len(self.places))
        twin = {tuple(-self.periods[:, p]): i for i, p in enumerate(self.places)}
        for p in np.flatnonzero((order < 0) & (self.periods[-1] == 0)):
            source[p] = twin.get(tuple(self.periods[:, p]), len(self.places))
            sign[p] = -1
        scale = np.append(self._scale(), 1.0)[source]
        pairs = jnp.pad(self.pairs(z), ((0, 0), (0, 1)))[:, source]
        weigh = lambda a, s: a * jnp.asarray(s[None], a.dtype)
        flat = jax.lax.complex(
            weigh(pairs.real, scale), weigh(pairs.imag, scale * sign)
        )
        *full, half = self.torus.n
        return flat.reshape(-1, *full, half // 2 + 1)

    def pack(self, modes: Array) -> Float[Array, "c size"]:
        """z of û: the modes above K, and what breaks the symmetry, are left out."""
        pairs = modes.reshape(len(modes), -1)[:, self.places]
        scale = jnp.asarray(1 / self._scale()[None], pairs.real.dtype)
        return self.numbers(jax.lax.complex(pairs.real * scale, pairs.imag * scale))

    def each(self, modes: Array) -> Array:
        """What a factor of every mode is to every number, (c, size): its mode's."""
        pairs = modes.reshape(len(modes), -1)[:, self.places]
        return jnp.concatenate([pairs, pairs], -1)[:, np.flatnonzero(self.live.ravel())]

    def _scale(self) -> np.ndarray:
        """û over the amplitude, (h,): Parseval."""
        constant = self._order()[self.places] == 0
        return np.prod(self.torus.n) / np.where(constant, 1.0, np.sqrt(2.0))

    def _order(self) -> np.ndarray:
        """> 0 for one of k and −k, 0 for k = 0."""
        base = 2 * max(self.torus.n) + 1
        first = [self.periods[-1], *self.periods[:-1]]
        return functools.reduce(lambda a, line: a * base + line, first)


class AbstractSpace(abc.ABC):
    """An equation in the numbers that a solution is made of.

    û stands for the fields that evolve, (c, …): modes, or the fields themselves.
    """

    size: int  # numbers of a field
    tail: np.ndarray  # which rows of the residual no number of the solution can reach

    @abc.abstractmethod
    def unpack(self, z: Float[Array, "c size"]) -> Array:
        """û."""

    @abc.abstractmethod
    def pack(self, modes: Array) -> Float[Array, "c size"]:
        """z, the inverse."""

    @abc.abstractmethod
    def rows(self, modes: Array) -> Float[Array, "c rows"]:
        """All modes of a residual, so that Σ² is its mean square."""

    @abc.abstractmethod
    def stiffness(self, dtype) -> Float[Array, "c rows"]:
        """|λ| of each row."""

    @abc.abstractmethod
    def factors(self, dtype) -> Array:
        """λ of each independent mode, (c, h)."""

    @abc.abstractmethod
    def pairs(self, z: Float[Array, "c size"]) -> Array:
        """z as complex amplitudes of the independent modes, (c, h)."""

    @abc.abstractmethod
    def numbers(self, pairs: Array) -> Float[Array, "c size"]:
        """z of complex amplitudes."""

    @abc.abstractmethod
    def linear(self, dtype) -> Array:
        """λ, like û."""

    @abc.abstractmethod
    def nonlinear(self, modes: Array) -> Array:
        """N̂(û)."""

    @abc.abstractmethod
    def within(self, modes: Array) -> Array:
        """û without the modes that no row sees."""

    @abc.abstractmethod
    def resized(self, modes: Array, other: Any) -> Array:
        """û as the same equation with other modes lays it out."""

    @abc.abstractmethod
    def sample(self, u: Callable, dtype) -> tuple[Array, Float[Array, " c"]]:
        """û of a state, x → fields, and the size of what its numbers cannot hold."""

    @abc.abstractmethod
    def value(self, modes: Array, x: Float[Array, " d"]) -> Float[Array, " fields"]:
        """All fields of û at a point."""

    def rate(self, modes: Array) -> Array:
        """λû + N̂(û), without the modes that alias."""
        linear = self.linear(modes.real.dtype)
        return linear * modes + self.nonlinear(modes)


class NoSpace(AbstractSpace):
    """A system of ordinary differential equations: û is u, λ = 0."""

    size = 1
    tail = np.zeros(1, bool)

    def __init__(self, pde: AbstractODE):
        self.pde = pde

    def unpack(self, z):
        return z

    def pack(self, modes):
        return modes

    def rows(self, modes):
        return modes

    def within(self, modes):
        return modes

    def resized(self, modes, other):
        return modes

    def pairs(self, z):
        return z

    def numbers(self, pairs):
        return pairs

    def stiffness(self, dtype):
        return jnp.zeros((len(self.pde.fields), 1), dtype)

    factors = linear = stiffness

    def nonlinear(self, modes):
        return self.pde.field(modes[:, 0])[:, None]

    def sample(self, u, dtype):
        state = u(jnp.zeros(0, dtype))
        return state[:, None], jnp.zeros_like(state)

    def value(self, modes, x):
        return modes[:, 0]


class Waves(AbstractSpace):
    """A semilinear equation on a periodic box.

    Args:
        modes: |kᵢ| ≤ K, of the solution.
        reach: |kᵢ| ≤ qK, of the residual: q is the degree of the nonlinear part.
        symmetry: of the solution.
        mirrored: the box is the equation's and its image beyond the upper wall, to
            which states are continued oddly.
    """

    def __init__(
        self,
        pde: AbstractSemilinear,
        most: int,
        degree: int,
        symmetry: Symmetry | None = None,
        mirrored: bool = False,
    ):
        symmetry = Symmetry() if symmetry is None else symmetry
        lower, upper = np.asarray(pde.lower, float), np.asarray(pde.upper, float)
        upper = upper + (upper - lower if mirrored else 0)
        if symmetry.parity and symmetry.about is not None:
            # any box of these sides is as good: one whose corner is a mirror, too
            lower, upper = 0 * lower + symmetry.about, upper - lower + symmetry.about
        n = fast(2 * degree * most + 2)
        corners = tuple(map(float, lower)), tuple(map(float, upper))
        self.symmetry, self.mirrored = symmetry, mirrored
        self.pde, self.torus = pde, Torus(*corners, (n,) * len(lower))
        self.modes = Modes(self.torus, most, symmetry)
        self.reach = Modes(self.torus, degree * most, symmetry)
        self.size, self.tail = self.modes.size, self.reach.highest > most

    def unpack(self, z):
        return self.modes.unpack(z)

    def pack(self, modes):
        return self.modes.pack(modes)

    def pairs(self, z):
        return self.modes.pairs(z)

    def numbers(self, pairs):
        return self.modes.numbers(pairs)

    def rows(self, modes):
        return self.reach.pack(modes)

    def waves(self, dtype):
        return jnp.asarray(self.torus.waves(), dtype)

    def linear(self, dtype):
        k = self.waves(dtype)
        found = self.pde.symbol(k)
        return jnp.broadcast_to(found, jnp.broadcast_shapes(found.shape, k[:1].shape))

    def factors(self, dtype):
        linear = self.linear(dtype)
        return linear.reshape(len(linear), -1)[:, self.modes.places]

    def stiffness(self, dtype):
        return self.reach.each(jnp.abs(self.linear(dtype)))

    def nonlinear(self, modes):
        k, torus = self.waves(modes.real.dtype), self.torus
        return self.pde.nonlinear(k, modes, torus.to_grid, torus.to_modes)

    def within(self, modes):
        return self.reach.unpack(self.reach.pack(modes))

    def resized(self, modes, other):
        return self.torus.resize(modes, other.torus.n)

    def sample(self, u, dtype):
        more = (
            4 if len(self.torus.n) == 1 else 2
        )  # times the points, to see what is cut
        fine = self.torus._replace(n=tuple(more * n for n in self.torus.n))
        x = jnp.asarray(fine.points(), dtype)
        u = oddly(u, self.pde.upper) if self.mirrored else u
        values = jax.vmap(u)(x.reshape(-1, x.shape[-1]))
        grid = jnp.moveaxis(values.reshape(*fine.n, -1), -1, 0)
        full = fine.to_modes(self.pde.evolved(grid))
        near = fine.resize(full, self.torus.n)
        kept = self.torus.resize(self.unpack(self.pack(near)), fine.n)
        off = Modes(fine, min(fine.n) // 2 - 1).pack(full - kept)
        return near, jnp.sqrt(jnp.sum(off**2, -1))

    def value(self, modes, x):
        k = self.waves(x.dtype)
        out = self.pde.recover(k, modes)
        lines = [line * 1.0 for line in self.torus._periods()]
        corners = zip(self.torus.lower, self.torus.upper, strict=True)
        for axis, ((a, b), line) in enumerate(zip(corners, lines, strict=True)):
            turn = 2 * np.pi / (b - a) * (x[axis] - a) * jnp.asarray(line, x.dtype)
            wave = jax.lax.complex(jnp.cos(turn), jnp.sin(turn))
            if axis == len(lines) - 1:  # of k and −k, one is there
                wave = wave * jnp.asarray(np.where(line > 0, 2.0, 1.0), wave.dtype)
            out = jnp.tensordot(out, wave, (1, 0))
        return out.real / float(np.prod(self.torus.n))


def fast(least: int) -> int:
    """The least even number, not below, that has no prime factor above 5."""
    n = least + least % 2
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 2
