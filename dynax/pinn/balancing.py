"""Weights of the initial state and the data that follow training, carried along."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from dynax._types import ScalarLike
from dynax.pinn import weighting


class AbstractBalance(eqx.Module):
    """Weight the blocks of a loss by the inverse of their sizes.

    λᵢ = mean_j(sizeⱼ)/sizeᵢ, averaged over updates.

    Args:
        every: cycles between updates.
        decay: of the average.
    """

    every: eqx.AbstractVar[int]
    decay: eqx.AbstractVar[ScalarLike]

    @abc.abstractmethod
    def sizes(self, blocks, params) -> weighting.Blocks:
        """One size a block.

        Args:
            blocks: params → {name: rows}, each block's rows over the root of their
                number, the equation's with their causal weights.
            params: what is trained.
        """


class GradientNorms(AbstractBalance):
    """Take the norm of a block's gradient as its size: sizeᵢ = ‖∇Lᵢ‖."""

    every: int = eqx.field(static=True, default=100)
    decay: ScalarLike = 0.9

    def sizes(self, blocks, params):
        losses = lambda p: {k: jnp.sum(r**2) for k, r in blocks(p).items()}
        return weighting.gradient_norms(losses, params)


class TangentKernel(AbstractBalance):
    """Take the trace of a block's tangent kernel as its size.

    sizeᵢ = tr Kᵢ = ‖∂rowsᵢ/∂params‖²_F, estimated by random signs z as the mean of
    ‖∂⟨z, rowsᵢ⟩/∂params‖² (Hutchinson): one pull-back a sample, whatever the rows."""

    every: int = eqx.field(static=True, default=100)
    decay: ScalarLike = 0.9
    samples: int = eqx.field(static=True, default=16)

    def sizes(self, blocks, params):
        rows, pull = jax.vjp(blocks, params)
        keys = jax.random.split(jax.random.key(0), self.samples)

        def trace(name):
            def one(key):
                sign = jax.random.rademacher(key, rows[name].shape, rows[name].dtype)
                only = {k: jnp.zeros_like(r) for k, r in rows.items()} | {name: sign}
                grad = ravel_pytree(pull(only)[0])[0]
                return grad @ grad

            return jnp.mean(jax.lax.map(one, keys))

        return {name: trace(name) for name in rows}
