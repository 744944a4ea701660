"""Sparse least squares, and which columns the data cannot tell apart."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from dynax import _tree as tree
from dynax._types import ScalarLike


def stlsq(
    gram: Float[Array, "p p"],
    moment: Float[Array, " p"],
    square: Float[Array, ""],
    threshold: ScalarLike,
) -> tuple[Float[Array, " p"], Bool[Array, " p"]]:
    """Sequentially thresholded least squares: (ξ, support) of y = Θξ.

    All terms are fitted; the weakest is dropped if the fit loses less than
    threshold·‖y‖ by that, and the rest fitted again, until every term counts. What the
    fit loses is |ξⱼ|/√(ΘᵀΘ)⁻¹ⱼⱼ: |ξⱼ| itself for orthonormal columns, where this is the
    method of Brunton, Proctor, Kutz, PNAS 113 (2016), Ẋ = Θ(X)Ξ; but units do not
    matter, and of columns that can replace one another only one goes at a time.

    Args:
        gram, moment, square: ΘᵀΘ, Θᵀy, yᵀy.
    """
    p, size = len(gram), jnp.sqrt(jnp.diagonal(gram))
    unit = jnp.where(size > 0, size, 1)
    gram, moment = gram / jnp.outer(unit, unit), moment / unit
    floor = tree.cast(threshold, gram.dtype) ** 2 * square
    border = jnp.append(moment, square)
    table = jnp.concatenate([jnp.c_[gram, moment], border[None]])
    alone = p * jnp.finfo(gram.dtype).eps  # of a column, beside those already in

    def enter(k, carry):
        table, kept = carry
        ok = table[k, k] > alone
        return jnp.where(ok, sweep(table, k), table), kept.at[k].set(ok)

    def leave(_, carry):
        table, kept = carry
        inverse = jnp.where(kept, -jnp.diagonal(table)[:p], 1)
        loss = jnp.where(kept, table[:p, p] ** 2 / inverse, jnp.inf)
        k = jnp.argmin(loss)
        out = loss[k] < floor
        return jnp.where(out, sweep(table, k), table), kept.at[k].set(kept[k] & ~out)

    carry = lax.fori_loop(0, p, enter, (table, jnp.zeros(p, bool)))
    table, kept = lax.fori_loop(0, p, leave, carry)
    return jnp.where(kept, table[:p, p], 0) / unit, kept


def sweep(table: Float[Array, "q q"], k) -> Float[Array, "q q"]:
    """Column k of a least-squares problem goes into the fit, or out of it again.

    Of (A b; bᵀ c) with all of A in: (−A⁻¹ A⁻¹b; · c − bᵀA⁻¹b). Source: Goodnight, Am.
    Stat. 33 (1979), signs such that the table stays symmetric and going out is the same
    step but for the row's sign.
    """
    row, pivot = table[k], table[k, k]
    scaled = row / jnp.abs(pivot)
    table = table - jnp.outer(row, row) / pivot
    return table.at[k].set(scaled).at[:, k].set(scaled).at[k, k].set(-1 / pivot)


def collinear(columns: Float[Array, "n p"]) -> tuple[Array, Array]:
    """Tell which columns are nearly collinear, and how nearly.

    Condition indices of the columns, each scaled to length 1, ascending, and the
    variance proportions (index, column) that tell which columns a large one is about.

    With Θ = U Σ Vᵀ: ηₖ = σ₁/σₖ,  πₖⱼ = (vⱼₖ/σₖ)²/Σₗ(vⱼₗ/σₗ)².
    Source: Belsley, Kuh, Welsch, Regression Diagnostics (1980), §3.2.
    """
    size = jnp.linalg.norm(columns, axis=0)
    _, s, vt = jnp.linalg.svd(
        columns / jnp.where(size > 0, size, 1)[None], full_matrices=False
    )
    s = jnp.maximum(s, jnp.finfo(s.dtype).tiny ** 0.25)
    share = (vt / s[:, None]) ** 2
    return s[0] / s, share / jnp.sum(share, 0)[None]
