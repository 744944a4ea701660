"""What the adaptive methods share: averages, and divisions where nothing moved yet."""

import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Params, ScalarLike
from dynax.lyapunov import Check


def average(beta: ScalarLike, old: Array, new: Array) -> Array:
    """(1−β)·new + β·old in the dtype of `old`."""
    new = new.astype(old.dtype)
    return tree.cast(1 - beta, old.dtype) * new + tree.cast(beta, old.dtype) * old


def square(g: Array) -> Array:
    return g * g


def approach(rate: ScalarLike, old: Array, new) -> Array:
    """rate·(new − old): what an average does in continuous time."""
    return tree.cast(rate, old.dtype) * (tree.cast(new, old.dtype) - old)


def sqrt(a: Array) -> Array:
    """√a, with the derivative 0 at 0."""
    return jnp.where(a > 0, jnp.sqrt(tree.safe_denominator(a)), 0)


def times(a: Params, b: Params) -> Params:
    return tree.map(lambda a, b: a * b, a, b)


def stored(
    seen: Params, due: Params, size: Params, old: Params, new: Params, k: float = 8
) -> Check:
    """That an average is what it should be: |seen − due| ≤ k·u·size + u(|old| + |new|).

    u is the unit round-off of what is stored, and how well β is known: the optimizer
    may hold it as an array. Judged entry by entry.
    """

    def entry(a, b, s, old, new):
        u = float(jnp.finfo(a.dtype).eps) / 2
        allowed = k * u * s + u * (jnp.abs(old) + jnp.abs(new))
        allowed = tree.wide(allowed + jnp.finfo(a.dtype).tiny)
        far = jnp.max(tree.wide(jnp.abs(a - b)) - allowed, initial=0)
        return far, jnp.sum(allowed), jnp.sum(tree.wide(jnp.abs(b)))

    rows = zip(*map(tree.leaves, (seen, due, size, old, new)), strict=True)
    none = jnp.zeros(3, tree.result_dtype(seen))  # of a tree without arrays
    leaves = [jnp.stack(entry(*row)).astype(none.dtype) for row in rows]
    far, allowed, total = jnp.stack([none, *leaves], 1)
    allowed, total, far = jnp.sum(allowed), jnp.sum(total), jnp.max(far)
    blur = tree.safe_divide(allowed, total, jnp.inf)
    return Check(-far, jnp.zeros_like(far), blur)


def check_betas(**betas: ScalarLike) -> None:
    for name, beta in betas.items():
        ok = lambda b: (b >= 0) & (b < 1)
        check_parameter(name, beta, ok, f"0 ≤ {name} < 1")
