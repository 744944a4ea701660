"""What a model lacks: terms found from pairs of snapshots that it fails to connect."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from dynax import _tree as tree
from dynax._check import check_positive, require
from dynax._types import ScalarLike
from dynax.identify import Regression, regress


def model_error(
    step: Callable,
    library: Callable,
    before: Float[Array, "pairs n"],
    after: Float[Array, "pairs n"],
    key: PRNGKeyArray,
    *,
    time: ScalarLike,
    noise: ScalarLike = 0.01,
    precision: ScalarLike | None = None,
    draws: int = 100,
) -> Regression:
    """Find the terms of u_t that a model lacks, with errors by a bootstrap.

        (u(t + τ) − step(u(t)))/τ ≈ Θ(ū)ξ,   ū at t and t + τ

    The bias of one step, O(τ), stays in ξ. A pure function of arrays, for `vmap`.
    Source: Mojgani, Chattopadhyay, Hassanzadeh, Chaos 32 (2022).

    Args:
        step: the model's map over the time τ.
        library: u ↦ Θ(u), (n, p): each candidate term at each point.
        before, after: snapshots, and the truth a time τ later.
        key: of the bootstrap.
        time: τ.
        noise: a term is dropped if the fit loses less than this share by it.
        precision: relative error of the snapshots; a difference that is no larger has
            no terms. A hundred times round-off if not given.
        draws: of the bootstrap.

    Raises:
        ValueError: snapshots of other shapes, or not finite.
    """
    alike = jnp.ndim(before) == 2 and jnp.shape(before) == jnp.shape(after)
    given = (jnp.shape(before), jnp.shape(after))
    require(alike, "before, after", given, "one shape (pairs, n)")
    check_positive(time=time)
    if tree.is_concrete(before, after):
        finite = np.all(np.isfinite(before)) and np.all(np.isfinite(after))
        require(finite, "before, after", "NaN or infinity", "finite snapshots")
    before, after = jnp.asarray(before), jnp.asarray(after)
    time = tree.cast(time, before.dtype)
    missing = (after - jax.vmap(step)(before)) / time
    mean = lambda a, b: (jax.vmap(library)(a) + jax.vmap(library)(b)) / 2
    columns = mean(before, after)
    rounding = 100 * jnp.finfo(before.dtype).eps
    precision = rounding if precision is None else precision
    size = lambda a: jnp.linalg.norm(a.ravel())
    blur = tree.cast(precision, before.dtype) * size(after) / time
    share = jnp.maximum(
        tree.cast(noise, before.dtype),
        # a hair above 1, so that all terms go where all is blur
        1.01 * blur / tree.safe_denominator(size(missing)),
    )
    return regress(columns, missing[..., None], share, key, draws)
