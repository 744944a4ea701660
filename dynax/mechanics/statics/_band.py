r"""Linear systems of a mesh by block elimination: every step is an array operation.

Nodes are numbered so that neighbours are near (reverse Cuthill–McKee). The matrix is
then block tridiagonal, with blocks as large as the band is wide:

    Sᵢ = Dᵢ − Lᵢ Sᵢ₋₁⁻¹ Uᵢ₋₁,   yᵢ = Sᵢ⁻¹(rᵢ − Lᵢ yᵢ₋₁),   pᵢ = yᵢ − Sᵢ⁻¹Uᵢ pᵢ₊₁,

about 5 N b² operations for N unknowns and a band of b. Pivots are sought within Sᵢ.

Source: George, Liu, "Computer Solution of Large Sparse Positive Definite Systems".
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Float, Int
from scipy.sparse.csgraph import reverse_cuthill_mckee


LEAST = 16  # nodes a block: below, LU of one block costs what calling it costs


class Layout(eqx.Module):
    """Where the nodes of a mesh go.

    Args:
        elements: (m, c).
        place: the position of each node, (n,).
        owner: an element of each node, and its corner there, (2, n).
        width: nodes a block; neighbours are at most so far apart.
    """

    elements: Int[np.ndarray, "m c"]
    place: Int[np.ndarray, " n"]
    owner: Int[np.ndarray, "2 n"]
    width: int = eqx.field(static=True)


class Factors(NamedTuple):
    """Hold S = LU, L and S⁻¹U of each block, and the size of held rows."""

    lu: Float[Array, "k b b"]
    pivots: Int[Array, "k b"]
    lower: Float[Array, "k b b"]
    ahead: Float[Array, "k b b"]
    unit: Float[Array, ""]


def layout(elements: Int[np.ndarray, "m c"], n: int) -> Layout:
    """Number the n nodes of a mesh."""
    m, c = elements.shape
    touch = sp.csr_matrix(
        (np.ones(m * c), (np.repeat(np.arange(m), c), elements.ravel())), (m, n)
    )
    place = np.empty(n, np.int32)
    graph = sp.csr_matrix(touch.T @ touch)
    place[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(n)
    at = place[elements]
    apart = int(np.max(at.max(1) - at.min(1)))
    _, first = np.unique(elements, return_index=True)
    owner = np.stack(np.divmod(first, c)).astype(np.int32)
    return Layout(elements, place, owner, min(max(apart, LEAST), n))


def at_nodes(layout: Layout, K: Float[Array, "m c d c d"], blocks: Array):
    """K of the elements with a block (d, d) more for each node."""
    e, c = layout.owner
    return K.at[e, c, :, c].add(blocks)


def factor(layout: Layout, K: Float[Array, "m c d c d"], free: Array) -> Factors:
    """Factorise ΣK of the elements, with the rows of held unknowns p = r."""
    (m, c, d), n = K.shape[:3], len(layout.place)
    b = layout.width * d
    k = -(-n // layout.width)
    K = K * free[layout.elements][..., None, None]
    unit = jnp.max(jnp.abs(K))
    unit = jnp.where(unit > 0, unit, 1)
    axis = np.arange(d, dtype=np.int32)[None, None]
    i = (layout.place[layout.elements][..., None] * d + axis).reshape(m, c * d)
    rows, columns = i[:, :, None], i[:, None, :]
    block = rows // b
    band = jnp.zeros((k, b, 3 * b), K.dtype)
    band = band.at[block, rows % b, columns - (block - 1) * b].add(
        K.reshape(m, c * d, c * d)
    )
    held = _spread(layout, 1 - free, 1.0)
    D = band[:, :, b : 2 * b] + unit * jax.vmap(jnp.diag)(held)

    def eliminate(ahead, blocks):
        L, D, U = blocks
        lu, pivots = lu_factor(D - L @ ahead)
        ahead = lu_solve((lu, pivots), U)
        return ahead, (lu, pivots, ahead)

    L, U = band[:, :, :b], band[:, :, 2 * b :]
    _, (lu, pivots, ahead) = jax.lax.scan(eliminate, jnp.zeros_like(D[0]), (L, D, U))
    return Factors(lu, pivots, L, ahead, unit)


def solve(layout: Layout, factors: Factors, r: Float[Array, "n d"], free: Array):
    """p with K p = r at free unknowns and p = r at held ones, (n, d)."""
    lu, pivots, lower, ahead, unit = factors
    r = r * free + unit * r * (1 - free)

    def down(y, block):
        r, *factors, L = block
        y = lu_solve(tuple(factors), r - L @ y)
        return y, y

    def up(p, block):
        y, ahead = block
        p = y - ahead @ p
        return p, p

    rows = _spread(layout, r, 0.0)
    none = jnp.zeros_like(rows[0])
    _, y = jax.lax.scan(down, none, (rows, lu, pivots, lower))
    _, p = jax.lax.scan(up, none, (y, ahead), reverse=True)
    return p.reshape(-1, r.shape[1])[layout.place]


def _spread(layout, a, fill):
    """(n, d) by position, in blocks (k, b); what is beyond n is `fill`."""
    n, d = a.shape
    k = -(-n // layout.width)
    full = jnp.full((k * layout.width, d), fill, a.dtype).at[layout.place].set(a)
    return full.reshape(k, layout.width * d)
