"""A layer, and what every body of a network has: hidden units and a last layer."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class AbstractLinear(eqx.Module):
    """An affine layer, z ↦ Wz + b."""

    bias: eqx.AbstractVar[Float[Array, " out"]]

    @abc.abstractmethod
    def matrix(self) -> Float[Array, "out in"]:
        """W."""

    @abc.abstractmethod
    def set(self, matrix, bias) -> "AbstractLinear":
        """The same layer with another W and b."""

    def __call__(self, z: Float[Array, " in"]) -> Float[Array, " out"]:
        return self.matrix() @ z + self.bias


class Linear(AbstractLinear):
    """A dense layer Wz + b, drawn by Glorot's normal rule: W ~ N(0, 2/(in + out)), b =
    0.
    """

    weight: Float[Array, "out in"]
    bias: Float[Array, " out"]

    def __init__(self, size_in, size_out, *, key, dtype=None):
        self.weight = glorot(key, size_in, size_out, dtype)
        self.bias = jnp.zeros_like(self.weight, shape=(size_out,))

    def matrix(self):
        return self.weight

    def set(self, matrix, bias):
        return eqx.tree_at(lambda l: (l.weight, l.bias), self, (matrix, bias))


class AbstractBody(eqx.Module):
    """A network from features z to fields: `last(hidden(z))`."""

    last: eqx.AbstractVar[AbstractLinear]

    @abc.abstractmethod
    def hidden(self, z: Float[Array, " k"]) -> Float[Array, " width"]:
        """What the last layer sees."""

    def __call__(self, z: Float[Array, " k"]) -> Float[Array, " c"]:
        return self.last(self.hidden(z))


def glorot(key, size_in, size_out, dtype=None):
    scale = (2 / (size_in + size_out)) ** 0.5
    return scale * jax.random.normal(key, (size_out, size_in), dtype)
