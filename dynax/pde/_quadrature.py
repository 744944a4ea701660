"""Integrals over a box, and how far the grid can be trusted with them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax._reduce import rounding_depth
from dynax.pde.etdrk4 import Torus


class Rule(NamedTuple):
    """Points of a box and what each weighs.

    Args:
        x, weights: (n, d), (n,).
        upper: which waves are of the upper third, in the layout of `fftn` on the grid,
            mirrored at walls.
        periodic: whether there are no walls.
    """

    x: Array
    weights: Array
    upper: Array
    periodic: bool

    @property
    def unit(self) -> float:
        """k·u: a sum over the points is off by this part of its absolute terms."""
        eps = float(jnp.finfo(self.weights.dtype).eps)
        return rounding_depth(self.weights.size) * eps / 2

    def total(self, f: Array) -> Array:
        """∫ f dx of values f, (…, n)."""
        return jnp.sum(f * self.weights.reshape((1,) * (f.ndim - 1) + (-1,)), -1)

    def tail(self, f: Array) -> Array:
        """|box| √Σ|f̂|² over the upper third of the waves: what is hardly resolved, and
        errors that differ from point to point."""
        lead, shape = f.shape[:-1], self.upper.shape
        f = f.reshape(-1, *(n if self.periodic else n // 2 + 1 for n in shape))
        axes = range(1, f.ndim)
        for axis in () if self.periodic else axes:
            inner = jax.lax.slice_in_dim(f, 1, -1, axis=axis)
            f = jnp.concatenate([f, jnp.flip(inner, axis)], axis)
        waves = jnp.fft.fftn(f, axes=axes) if shape else f
        tail = jnp.sum(jnp.abs(waves) ** 2 * self.upper[None], axes)
        tail = jnp.sqrt(tail) * jnp.sum(self.weights) / self.upper.size
        return tail.reshape(lead)


def equispaced(lower, upper, n: int, dtype) -> Rule:
    """The trapezoidal rule on a torus: spectrally exact."""
    lines = Torus(lower, upper, (n,) * len(lower)).axes()
    weights = [np.full(n, (b - a) / n) for a, b in zip(lower, upper, strict=True)]
    return _product(lines, weights, np.fft.fftfreq(n), True, dtype)


def chebyshev(lower, upper, n: int, dtype) -> Rule:
    """Clenshaw & Curtis' rule on n + 1 points from wall to wall, n made even."""
    n += n % 2
    angles = np.pi * np.arange(n + 1) / n
    box = [((a + b) / 2, (b - a) / 2) for a, b in zip(lower, upper, strict=True)]
    lines = [middle - half * np.cos(angles) for middle, half in box]
    # ∫ T_k = 2/(1 − k²) for even k; the first and the last point and wave count half
    k, ends = np.arange(0, n + 1, 2), np.ones(n + 1)
    ends[[0, -1]] = 0.5
    integrals = ends[k] * 2 / (1 - k**2)
    rule = 2 / n * ends * (np.cos(np.outer(angles, k)) @ integrals)
    weights = [half * rule for _, half in box]
    return _product(lines, weights, np.fft.fftfreq(2 * n), False, dtype)


def _product(lines, weights, waves, periodic, dtype) -> Rule:
    d = len(lines)
    x = np.stack(np.meshgrid(*lines, indexing="ij"), -1) if d else np.zeros((1, 0))
    weights = functools.reduce(np.multiply.outer, weights, np.ones(()))
    high = np.zeros(())
    for _ in lines:
        high = np.maximum.outer(high, abs(waves) > 1 / 3)
    x, weights, high = (
        jnp.asarray(a, dtype)
        for a in (x.reshape(weights.size, d), weights.ravel(), high)
    )
    return Rule(x, weights, high, periodic)


def between(t: np.ndarray, stencil: int) -> np.ndarray:
    """The matrix (nt − 1, nt) that takes values at times t to the integrals between
    them, of the polynomials through the `stencil` nearest."""
    stencil = max(1, min(stencil, t.size))
    matrix = np.zeros((t.size - 1, t.size))
    powers = np.arange(stencil)
    moments = (0.5 ** (powers + 1) - (-0.5) ** (powers + 1)) / (powers + 1)
    for k, (a, b) in enumerate(zip(t[:-1], t[1:], strict=True)):
        first = np.clip(k + 1 - stencil // 2, 0, t.size - stencil)
        near = slice(first, first + stencil)
        s = (t[near] - (a + b) / 2) / (b - a)
        matrix[k, near] = (b - a) * np.linalg.solve(s ** powers[:, None], moments)
    return matrix
