"""What the adaptive methods share: averages, and divisions where nothing moved yet."""

import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import Params, ScalarLike
from dynax.optim._common import require


def average(beta: ScalarLike, old: Array, new: Array) -> Array:
    """(1−β)·new + β·old in the dtype of `old`."""
    new = new.astype(old.dtype)
    return tree.cast(1 - beta, old.dtype) * new + tree.cast(beta, old.dtype) * old


def square(g: Array) -> Array:
    return g * g


def approach(rate: ScalarLike, old: Array, new) -> Array:
    """rate·(new − old): what an average does in continuous time."""
    return tree.cast(rate, old.dtype) * (tree.cast(new, old.dtype) - old)


def or_one(a: Array) -> Array:
    return jnp.where(a > 0, a, 1)


def sqrt(a: Array) -> Array:
    """√a, with the derivative 0 at 0."""
    return jnp.where(a > 0, jnp.sqrt(or_one(a)), 0)


def times(a: Params, b: Params) -> Params:
    return tree.map(lambda a, b: a * b, a, b)


def excess(seen: Params, due: Params, size: Params, roundings: float = 8) -> Array:
    """The largest |seen − due| beyond that many roundings of `size`."""

    def entry(a, b, s):
        u = float(jnp.finfo(a.dtype).eps) / 2
        return jnp.max(tree.wide(jnp.abs(a - b) - roundings * u * s), initial=0)

    none = jnp.zeros((), tree.widest(seen))  # of a tree without arrays
    parts = [none, *tree.leaves(tree.map(entry, seen, due, size))]
    return jnp.max(jnp.stack([a.astype(none.dtype) for a in parts]))


def check_betas(**betas: ScalarLike) -> None:
    for name, beta in betas.items():
        require(name, beta, f"0 ≤ {name} < 1", lambda b: (b >= 0) & (b < 1))


def check_sizes(**values: ScalarLike) -> None:
    for name, value in values.items():
        require(name, value, f"{name} ≥ 0", lambda v: v >= 0)
