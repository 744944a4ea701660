"""Networks that are convex, and non-decreasing in some inputs, for any weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree


class Convex(eqx.Module):
    r"""Compute a convex function by a network.

    N(z): h₁ = s(A₀z + b₀), h₂ = s(⟦W⟧h₁ + A₁z + b₁), N = ⟦w⟧·h₂.

    s(z) = ½(z + √(z² + 4)) rises and is convex, ⟦·⟧ = softplus entry by entry, so that
    weights of any sign give a convex N. Columns of A that belong to the first `rising`
    inputs pass through ⟦·⟧ as well: N does not decrease in them.

    Source: Amos, Xu, Kolter, "Input convex neural networks", ICML 2017,
    arXiv:1609.07152.
    """

    entries: tuple[Array, ...]
    biases: tuple[Array, ...]
    hidden: Array
    last: Array
    rising: int = eqx.field(static=True)

    def __init__(self, key, size: int, rising: int, width: int, dtype=None):
        dtype = jnp.result_type(float) if dtype is None else dtype
        keys = jax.random.split(key, 4)
        normal = lambda k, *shape: jax.random.normal(k, shape, dtype)
        offset = -jnp.log(jnp.asarray(width, dtype))  # ⟦·⟧ ≈ 1/width: sums of order 1
        quarter = offset - jnp.log(jnp.asarray(4, dtype))  # slopes of about ¼ in z
        self.entries = tuple(normal(k, width, size) for k in keys[:2])
        self.biases = tuple(jnp.zeros((width,), dtype) for _ in range(2))
        self.hidden = normal(keys[2], width, width) / 2 + offset
        self.last = normal(keys[3], width) / 2 + quarter
        self.rising = rising

    def __call__(self, z: Array) -> Array:
        s, positive = jax.nn.squareplus, jax.nn.softplus
        cast = lambda a: tree.cast(a, z.dtype)
        first, second = (self._entry(cast(a)) @ z for a in self.entries)
        h = s(first + cast(self.biases[0]))
        h = s(positive(cast(self.hidden)) @ h + second + cast(self.biases[1]))
        return positive(cast(self.last)) @ h

    def _entry(self, a):
        rising, free = a[:, : self.rising], a[:, self.rising :]
        return jnp.concatenate([jax.nn.softplus(rising), free], 1)
