"""Points that are more even than random ones: a Kronecker lattice, shifted at random.

xᵢ = (shift + i·α) mod 1, α_j = φ^{−j}, φ^{d+1} = φ + 1. Each point is uniform, and
means over n of them are off by O(log n/n) instead of 1/√n. What of it lies in a region
is as even.

Source: Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods (1992), ch.
3; Cranley, Patterson, SIAM J. Numer. Anal. 13 (1976), for the shift.
"""

import jax
import jax.numpy as jnp
import numpy as np


def lattice(n: int, d: int) -> np.ndarray:
    """The first n points, (n, d), unshifted."""
    golden = 2.0
    for _ in range(64):
        golden = (1 + golden) ** (1 / (d + 1))
    steps = golden ** -np.arange(1.0, d + 1)
    return np.arange(n)[:, None] * steps % 1


def shifted(key, n: int, d: int, dtype):
    """The first n points, (n, d), shifted at random."""
    shift = jax.random.uniform(key, (d,), dtype)
    return (jnp.asarray(lattice(n, d), dtype) + shift[None]) % 1


def first(good, n: int, *arrays):
    """The first n rows that are good, again from the start if there are fewer."""
    order = jnp.argsort(~good, stable=True)
    count = jnp.maximum(jnp.sum(good), 1)
    chosen = order[jnp.arange(n) % count]
    return tuple(a[chosen] for a in arrays)
