"""Many sums over the same arrays in one pass over memory.

A ledger needs some twenty sums of products of five arrays as large as the model. Asked
for one by one, XLA's CPU back end reads and writes memory for each, ten times the cost
of one loop over slices that stay in cache. Other back ends fuse sums of one shape.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree

from dynax._tree import result_dtype


LANES = 8192

Entries = tuple[dict[str, Array], dict[str, Array]]


def one_pass(entries: Callable[..., Entries], *trees: PyTree) -> Entries:
    """Σ and max of everything that `entries` makes of the trees, elementwise.

    Args:
        entries: (a₁, …, a_k) of one common shape → (what to sum, what to maximise), two
            dicts of arrays of that shape.
        trees: of one structure and the same shapes.

    Returns:
        The two dicts with scalars: sums, maxima (≥ 0).
    """
    rows = list(zip(*map(jax.tree.leaves, trees), strict=True))
    large = [row for row in rows if row[0].size >= 2 * LANES]
    small = [row for row in rows if row[0].size < 2 * LANES]
    parts = [_one_array(entries, *row) for row in large]
    if small:  # biases and the like: one vector, one set of sums
        parts.append(_plain(entries, *map(_joined, zip(*small, strict=True))))
    if not rows:  # a tree without arrays: sums of nothing
        parts.append(_plain(entries, *(jnp.zeros(0, jnp.float32) for _ in trees)))
    return merged(parts)


def merged(parts: list[Entries]) -> Entries:
    """Sums added up, maxima combined by max."""
    sums, maxima = parts[0]
    for more, higher in parts[1:]:
        sums = {k: v + more[k] for k, v in sums.items()}
        maxima = {k: jnp.maximum(v, higher[k]) for k, v in maxima.items()}
    return sums, maxima


def _joined(column) -> Array:
    return jnp.concatenate([a.ravel().astype(result_dtype(column)) for a in column])


def _one_array(entries, *arrays):
    return lax.platform_dependent(
        *(a.ravel() for a in arrays),
        cpu=lambda *a: _sliced(entries, *a),
        default=lambda *a: _plain(entries, *a),
    )


def rounding_depth(n: int) -> float:
    """k such that |fl(Σ) − Σ| ≤ k·u·Σ|aᵢ| for the sums made here, n entries.

    8 for the products, log₂ for the tree, and √ of the serial length of a lane: its
    errors are as likely up as down.
    """
    return 8 + float(np.log2(max(n, 1))) + (n / LANES) ** 0.5


def _plain(entries, *flat):
    sums, maxima = entries(*flat)
    return (
        {k: jnp.sum(v) for k, v in sums.items()},
        {k: jnp.max(v, initial=0) for k, v in maxima.items()},
    )


def _sliced(entries, *flat):
    n = flat[0].size
    slices = n // LANES

    def body(i, acc):
        part = [lax.dynamic_slice(a, (i * LANES,), (LANES,)) for a in flat]
        sums, maxima = entries(*part)
        return (
            {k: acc[0][k] + v for k, v in sums.items()},
            {k: jnp.maximum(acc[1][k], v) for k, v in maxima.items()},
        )

    shapes = jax.eval_shape(entries, *(a[:LANES] for a in flat))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    lanes = lax.fori_loop(0, slices, body, zeros)
    sums, maxima = _plain(lambda: lanes)
    if n % LANES == 0:
        return sums, maxima
    rest = _plain(entries, *(a[slices * LANES :] for a in flat))
    return merged([(sums, maxima), rest])
