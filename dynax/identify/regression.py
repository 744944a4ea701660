"""Sparse regression with a bootstrap over blocks of points."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax._types import ScalarLike
from dynax.identify.sparse import collinear, stlsq


BLOCKS = 20  # of points next to one another in time; a draw takes as many, at random


class Regression(NamedTuple):
    """A sparse regression, in arrays only.

    h = Θ(z)ξ, sparse; all arrays, for vmap.

    Args:
        coefficients: ξ.
        errors: their standard deviation over the draws.
        chosen: the share of draws in which a term is chosen.
        misfit: ‖h − Θξ‖/‖h‖ of each output.
        indices, proportions: of the columns, see `collinear`.
    """

    coefficients: Float[Array, "p r"]
    errors: Float[Array, "p r"]
    chosen: Float[Array, "p r"]
    misfit: Float[Array, " r"]
    indices: Float[Array, " p"]
    proportions: Float[Array, "p p"]


def regress(
    columns: Float[Array, "*members n p"],
    h: Float[Array, "*members n r"],
    noise: ScalarLike,
    key,
    draws: int = 100,
) -> Regression:
    """Sparse regression, with a bootstrap over blocks of points and over members.

    Args:
        columns, h: Θ(z) and h at points of ascending time; with members, fits of the
            same term from other noise or other seeds.
        noise: a term is dropped if the fit loses less than noise·‖h‖ by it.
        draws: of the bootstrap.
    """
    columns, h = (a.reshape(-1, *a.shape[-2:]) for a in (columns, h))
    members, n, p = columns.shape
    count = min(BLOCKS, n)
    rows = columns[:, : n // count * count].reshape(members, count, -1, p)
    targets = h[:, : n // count * count].reshape(members, count, -1, h.shape[-1])
    both = jnp.concatenate([rows, targets], -1)
    squares = jnp.einsum("mbni,mbnj->mbij", both, both)

    @jax.vmap
    def fit(square):
        one = lambda moment, size: stlsq(square[:p, :p], moment, size, noise)
        outputs = square[p:, :p], jnp.diagonal(square)[p:]
        return jax.vmap(one, out_axes=1)(*outputs)

    of, among = jax.random.split(key)
    member = jax.random.randint(of, (draws, 1), 0, members)
    block = jax.random.randint(among, (draws, count), 0, count)
    drawn = jnp.sum(squares[member, block], 1)
    everything = jnp.sum(squares, (0, 1))
    found, kept = fit(jnp.concatenate([everything[None], drawn]))
    off, size = (
        jnp.linalg.norm(a.reshape(-1, a.shape[-1]), axis=0)
        for a in (columns @ found[0] - h, h)
    )
    return Regression(
        found[0],
        jnp.std(found[1:], 0),
        jnp.mean(kept[1:].astype(found.dtype), 0),
        off / jnp.where(size > 0, size, 1),
        *collinear(columns.reshape(-1, p)),
    )
