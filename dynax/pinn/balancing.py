"""Weights of the blocks of a loss that follow training, carried along.

By sizes (`GradientNorms`, `TangentKernel`), or by how fast each block's loss falls
(`SoftAdapt`, `ReLoBRaLo`), which costs nothing.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.pinn import weighting
from dynax.pinn.weighting import Blocks


class AbstractBalance(eqx.Module):
    """Weigh the blocks of a loss anew every so many cycles.

    Args:
        every: cycles between updates.
    """

    every: eqx.AbstractVar[int]

    @abc.abstractmethod
    def init(self, weights: Blocks) -> Any:
        """What is kept from update to update."""

    @abc.abstractmethod
    def update(self, blocks, params, weights: Blocks, kept, key) -> tuple[Blocks, Any]:
        """(weights, what is kept).

        Args:
            blocks: params → {name: rows}, each block's rows over the root of their
                number, the equation's with their causal weights.
            params: what is trained.
            weights: of the last update.
            kept: of the last update.
            key: of this one.
        """


class AbstractSizes(AbstractBalance):
    """Weigh by the inverse of sizes: λᵢ = mean_j(sizeⱼ)/sizeᵢ, averaged over updates.

    Args:
        decay: of the average.
    """

    decay: eqx.AbstractVar[ScalarLike]

    @abc.abstractmethod
    def sizes(self, blocks, params) -> Blocks:
        """One size a block; arguments as of `update`."""

    def init(self, weights):
        return ()

    def update(self, blocks, params, weights, kept, key):
        new = weighting.balance(self.sizes(blocks, params))
        new = {k: a.astype(weights[k].dtype) for k, a in new.items()}
        return weighting.average(weights, new, self.decay), kept


class GradientNorms(AbstractSizes):
    """Take the norm of a block's gradient as its size: sizeᵢ = ‖∇Lᵢ‖."""

    every: int = eqx.field(static=True, default=100)
    decay: ScalarLike = 0.9

    def sizes(self, blocks, params):
        losses = lambda p: {k: jnp.sum(r**2) for k, r in blocks(p).items()}
        return weighting.gradient_norms(losses, params)


class TangentKernel(AbstractSizes):
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


class SoftAdapt(AbstractBalance):
    """Give more weight to blocks whose loss falls slower than that of the others.

    λᵢ = m·softmax(β sᵢ/Σ|s|),  sᵢ = Lᵢ(t) − Lᵢ(t−1),  m blocks. At first all are 1.

    Source: Heydari, Thompson, Mehmood, arXiv:1912.12355, the normalised form.

    Args:
        sharpness: β.
    """

    every: int = eqx.field(static=True, default=1)
    sharpness: ScalarLike = 1.0

    def init(self, weights):
        return _unknown(weights)

    def update(self, blocks, params, weights, kept, key):
        losses = _losses(blocks, params, weights)
        change = tree.map(lambda a, b: a - b, losses, kept)
        total = jnp.sum(jnp.abs(jnp.stack([*change.values()])))
        sharp = {
            k: self.sharpness * tree.safe_divide(a, total, 0) for k, a in change.items()
        }
        new = _shares(sharp)
        return _where(jnp.isfinite(total), new, weights), losses


class ReLoBRaLo(AbstractBalance):
    """Balance how much each loss has fallen, since the last update or since the first.

    λ = α(ρλ(t−1) + (1−ρ)λ̂(t, 0)) + (1−α)λ̂(t, t−1),
    λ̂ᵢ(t, s) = m·softmax(Lᵢ(t)/(T Lᵢ(s))),  ρ = 1 with probability `lookback`, else 0.

    Source: Bischof, Kraus, arXiv:2110.09813.

    Args:
        decay: α.
        temperature: T.
        lookback: the mean of ρ.
    """

    every: int = eqx.field(static=True, default=1)
    decay: ScalarLike = 0.999
    temperature: ScalarLike = 1.0
    lookback: ScalarLike = 0.999

    def init(self, weights):
        return _unknown(weights), _unknown(weights)

    def update(self, blocks, params, weights, kept, key):
        losses = _losses(blocks, params, weights)
        first, last = kept
        new = jnp.any(jnp.isnan(jnp.stack([*last.values()])))
        first, last = _where(new, losses, first), _where(new, losses, last)

        def shares(before):
            ratio = {k: tree.safe_divide(losses[k], before[k], 1) for k in losses}
            return _shares({k: a / self.temperature for k, a in ratio.items()})

        mix = lambda a, share, b: weighting.average(a, b, share)
        rho = jax.random.bernoulli(key, self.lookback)
        before = _where(rho, weights, shares(first))
        return mix(before, self.decay, shares(last)), (first, losses)


def _losses(blocks, params, weights: Blocks) -> Blocks:
    rows = blocks(params)
    return {k: jnp.sum(rows[k] ** 2).astype(a.dtype) for k, a in weights.items()}


def _unknown(weights: Blocks) -> Blocks:
    return tree.map(lambda a: jnp.full_like(a, jnp.nan), weights)


def _shares(of: Blocks) -> Blocks:
    """m·softmax."""
    found = len(of) * jax.nn.softmax(jnp.stack([*of.values()]))
    return dict(zip(of, found, strict=True))


def _where(condition, a: Blocks, b: Blocks) -> Blocks:
    return tree.map(lambda a, b: jnp.where(condition, a, b), a, b)
