"""A layer whose units have scales of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.pinn.networks.linear import AbstractLinear, glorot


class FactorisedLinear(AbstractLinear):
    """Random weight factorisation: W = diag(eˢ) V, s ~ N(μ, σ²), one s a unit; V such
    that W is what `Linear` draws with the same key.

    Source: Wang, Wang, Seidman, Perdikaris, arXiv:2210.01274.

    Args:
        size_in, size_out: as for `Linear`.
        mean, spread: μ, σ.
    """

    direction: Float[Array, "out in"]
    log_scale: Float[Array, " out"]
    bias: Float[Array, " out"]

    def __init__(self, size_in, size_out, *, key, dtype=None, mean=1.0, spread=0.1):
        weight = glorot(key, size_in, size_out, dtype)
        normal = jax.random.normal(jax.random.fold_in(key, 1), (size_out,), dtype)
        self.log_scale = mean + spread * normal
        self.direction = weight / jnp.exp(self.log_scale)[:, None]
        self.bias = jnp.zeros_like(self.log_scale)

    def matrix(self):
        return jnp.exp(self.log_scale)[:, None] * self.direction

    def set(self, matrix, bias):
        direction = matrix / jnp.exp(self.log_scale)[:, None]
        return eqx.tree_at(lambda l: (l.direction, l.bias), self, (direction, bias))
