"""Deep linear networks, solved: how each mode of the target is learnt, and when.

    f(x) = W_D ⋯ W_1 x,   L = ½‖W_D ⋯ W_1 − Y‖²   (whitened inputs),   τẆ = −∇L

Weights aligned with Y = Σ s·u vᵀ stay aligned, each mode u moves alone, and its D
factors a_i are coupled by τȧ_i = (∏_{j≠i} a_j)(s − u), u = ∏a_i. Balanced factors obey

    τu̇ = D u^(2−2/D)(s − u),       D = 2:  u(t) = s·E/(E − 1 + s/u₀),  E = e^(2st/τ),

a step at t_½ = (τ/2s) ln(s/u₀ − 1). For all weights, aligned or not, the flow conserves
W_{l+1}ᵀW_{l+1} − W_lW_lᵀ, of a mode a_i² − a_j².

Sources: Saxe, McClelland, Ganguli, arXiv:1312.6120; Arora, Cohen, Hazan,
arXiv:1802.06509 (the conserved matrices).
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax._types import Numbers, Scalar, ScalarLike


Weights = Sequence[Float[Array, "_ _"]]


def two_layer(t: Numbers, s: Numbers, start: Numbers, tau: Numbers = 1.0) -> Numbers:
    """u(t) of a mode of strength s in a network of two weight layers, u(0) = start."""
    decay = jnp.exp(-2 * s * t / tau)  # written so that it does not overflow
    return s / (1 + decay * (s / start - 1))


def half_time(s: Numbers, start: Numbers, tau: Numbers = 1.0) -> Numbers:
    """When a two-layer mode is half learnt, for start < s/2."""
    return tau / (2 * s) * jnp.log(s / start - 1)


def rate(u: Numbers, s: Numbers, depth: Numbers, tau: Numbers = 1.0) -> Numbers:
    """u̇ of a balanced mode in a network of `depth` weight layers."""
    return depth * jnp.asarray(u) ** (2 - 2 / depth) * (s - u) / tau


def mode_flow(
    factors: Float[Array, " D"], s: ScalarLike, tau: ScalarLike = 1.0
) -> Float[Array, " D"]:
    """ȧ of the factors of one mode, balanced or not."""
    others = jnp.where(jnp.eye(factors.size, dtype=bool), 1, factors[None, :])
    return jnp.prod(others, axis=1) * (s - jnp.prod(factors)) / tau


def product(weights: Weights) -> Float[Array, "_ _"]:
    """W_D ⋯ W_1, of weights given first layer first."""
    out = weights[0]
    for w in weights[1:]:
        out = w @ out
    return out


def loss(weights: Weights, target: Float[Array, "_ _"]) -> Scalar:
    """½‖W_D ⋯ W_1 − Y‖²."""
    return jnp.sum((product(weights) - target) ** 2) / 2


def conserved(weights: Weights) -> list[Float[Array, "_ _"]]:
    """W_{l+1}ᵀW_{l+1} − W_lW_lᵀ for all neighbours: constant along the flow."""
    pairs = zip(weights[1:], weights[:-1], strict=True)
    return [upper.T @ upper - lower @ lower.T for upper, lower in pairs]


def aligned(
    target: Float[Array, "n n"], start: ScalarLike, depth: int
) -> list[Float[Array, "n n"]]:
    """Balanced weights, aligned with a square target: each mode begins at `start`."""
    u, s, vt = jnp.linalg.svd(target)
    scale = jnp.asarray(start, s.dtype) ** (1 / depth)
    middle = scale * jnp.eye(s.size, dtype=s.dtype)
    if depth == 1:
        return [scale * u @ vt]
    return [scale * vt, *[middle] * (depth - 2), scale * u]


def modes(weights: Weights, target: Float[Array, "n n"]) -> Float[Array, " n"]:
    """Strengths u of the target's singular modes in the network, strongest first."""
    u, _, vt = jnp.linalg.svd(target)
    return jnp.diag(u.T @ product(weights) @ vt.T)
