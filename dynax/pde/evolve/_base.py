"""What a classical solution is here, and what it starts from."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde.etdrk4 import Torus


class State(NamedTuple):
    """Fields on a grid: what an evolution ends with, and what may start the next one.

    Args:
        torus: the grid, if it is a periodic one of the method of modes.
        x: the nodes, (m, d).
        u: the fields, (m, c).
        doubt: how wrong each may be, (c,), as of an evolution.
    """

    torus: Torus | None
    x: np.ndarray
    u: np.ndarray
    doubt: np.ndarray | float = 0.0


Start = Callable | State


class Evolution(NamedTuple):
    """A solution on a grid, in NumPy arrays of float64.

    Args:
        x: the nodes, (m, d).
        weights: of a mean over the box, (m,).
        u: the fields at the times asked for, (nt, m, c).
        doubt: how wrong each field may be, (c,): the root mean square over space,
            at its largest in time.
        method: in words.
        end: the state at the last time.
    """

    x: np.ndarray
    weights: np.ndarray
    u: np.ndarray
    doubt: np.ndarray
    method: str
    end: State


def mean_square(u: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Root mean squares over space: (…, m, c) → (…, c)."""
    return np.sqrt(np.einsum("...mc,m->...c", u**2, weights))


@eqx.filter_jit
def _values(start, x):
    return jax.vmap(start)(x)


def values(start: Callable, x: np.ndarray) -> np.ndarray:
    """The fields of a state at nodes: (m, d) → (m, c)."""
    return np.asarray(_values(start, jnp.asarray(x)))
