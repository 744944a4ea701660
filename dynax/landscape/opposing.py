"""Opposing signals: two small groups of outliers pull a weight in opposite directions.

A share p of the samples has the feature ±A, large, and a label offset c that does not
depend on its sign; all others have the feature 0. In a two-layer linear network
f(x) = w·Vx the feature's coefficient q = w·v sees the groups' losses

    ℓ± = (±A q − c)²,   so   ∇ℓ₊ ≈ −∇ℓ₋  while A|q| ≪ |c|:   the pulls cancel,

and the mean loss has the curvature 2pA²‖w‖² along v (loss: the mean of squares). As the
rest of the task is learnt ‖w‖ grows, so the network sharpens along the feature; at the
edge of stability q oscillates, and what one group's loss gains the other's loses.

Source: Rosenfeld, Risteski, arXiv:2311.04163 (the phenomenon); this model is made here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from dynax._types import Scalar, ScalarLike


class Weights(NamedTuple):
    """f(x) = w·Vx."""

    w: Float[Array, " k"]
    v: Float[Array, "k d"]


class Data(NamedTuple):
    """Inputs, the outliers' feature first; labels; +1, −1 or 0 by group."""

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    group: Float[Array, " n"]

    @classmethod
    def sample(
        cls,
        key: PRNGKeyArray,
        *,
        samples: int = 200,
        dimension: int = 10,
        outliers: int = 2,
        size: ScalarLike = 20.0,
        offset: ScalarLike = 1.0,
    ) -> "Data":
        """`outliers` samples in each group, of feature ±`size`, label offset c."""
        kx, kb = jax.random.split(key)
        x = jax.random.normal(kx, (samples, dimension - 1))
        beta = jax.random.normal(kb, (dimension - 1,))
        index = jnp.arange(samples)
        sign = jnp.where(index < outliers, 1.0, jnp.where(index < 2 * outliers, -1, 0))
        y = x @ (beta / jnp.linalg.norm(beta)) + offset * jnp.abs(sign)
        return cls(jnp.column_stack([size * sign, x]), y, sign)


def begin(key: PRNGKeyArray, dimension: int, width: int, scale: ScalarLike) -> Weights:
    """Random weights of standard deviation `scale`/√width and `scale`/√dimension."""
    kw, kv = jax.random.split(key)
    w = jax.random.normal(kw, (width,)) * scale / width**0.5
    v = jax.random.normal(kv, (width, dimension)) * scale / dimension**0.5
    return Weights(w, v)


def errors(weights: Weights, data: Data) -> Float[Array, " n"]:
    """Each sample's (f(x) − y)²."""
    return (data.x @ weights.v.T @ weights.w - data.y) ** 2


def loss(weights: Weights, data: Data) -> Scalar:
    """The mean of squares."""
    return jnp.mean(errors(weights, data))


def group_losses(weights: Weights, data: Data) -> Float[Array, " 3"]:
    """Mean losses of the outliers +, of the outliers −, of all others."""
    each = errors(weights, data)
    masks = jnp.stack([data.group == 1, data.group == -1, data.group == 0])
    masks = masks.astype(each.dtype)
    return masks @ each / jnp.maximum(jnp.sum(masks, axis=1), 1)


def feature_curvature(weights: Weights, data: Data) -> Scalar:
    """2·E[x₁²]·‖w‖² = 2pA²‖w‖²: the mean loss's curvature along the feature's v."""
    return 2 * jnp.mean(data.x[:, 0] ** 2) * jnp.sum(weights.w**2)
