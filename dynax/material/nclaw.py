"""The networks of NCLaw, as published: a stress and a return without a potential."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.material._base import AbstractLaw, AbstractReturn, number
from dynax.material.kinematics import (
    matmul,
    polar,
    singular_values,
    transpose,
    twice_green_lagrange,
    volume_change,
)


class NCElastic(AbstractLaw):
    r"""Give the stress of NCLaw's elastic network, which has no energy.

    τ = R X Fᵀ,  X = sym N(σ − 1, FᵀF − I, J − 1),  F = RS.

    N is 13 → 64 → 64 → 9 in three dimensions (7 → 64 → 64 → 4 in two, where it is a
    two-dimensional material, not one in plane strain), GELU, no biases.

    It is objective, and free of stress at F = I (no biases). It is **not** symmetric
    (X and S do not commute: angular momentum is not conserved), **not** isotropic, and
    has **no** potential, so no energy and no ledger. Sorted σ have kinks, and so has τ,
    where two are equal. Outputs are Pa of weights of order
    one: Ma et al. train with Adam at a learning rate of 1.

    Source: Ma et al., "Learning neural constitutive laws from motion observations for
    generalizable PDE dynamics", ICML 2023, arXiv:2304.14369.

    Args:
        key: of the Xavier-uniform weights.
        d: 2 or 3.
    """

    weights: tuple[Array, ...]

    def __init__(self, key, d: int = 3, dtype=None):
        self.weights = _weights(key, d, dtype)

    def kirchhoff(self, F, alpha=()):
        del alpha
        return matmul(_response(self.weights, F), transpose(F))


class NCPlastic(AbstractReturn):
    r"""Correct F by NCLaw's plastic network, F ← F + s R X, X of a network as in
    `NCElastic`.

    Nothing is guaranteed but objectivity and I ← I: no yield surface, no sign of the
    dissipation, no det F > 0.

    Args:
        key: of the Xavier-uniform weights.
        d: 2 or 3.
        scale: s.
    """

    weights: tuple[Array, ...]
    scale: ScalarLike

    def __init__(self, key, d: int = 3, scale: ScalarLike = 1e-3, dtype=None):
        self.weights = _weights(key, d, dtype)
        self.scale = scale

    def project(self, F, alpha, dt, elastic):
        del dt, elastic
        return F + number(self, "scale", F.dtype) * _response(self.weights, F), alpha


def _weights(key, d, dtype):
    if d not in (2, 3):
        raise ValueError(f"d: given {d}; accepted is 2 or 3.")
    sizes = d + d * d + 1, 64, 64, d * d
    keys = jax.random.split(key, 3)
    xavier = jax.nn.initializers.glorot_uniform()
    shapes = zip(sizes[:-1], sizes[1:], strict=True)
    dtype = jnp.result_type(float) if dtype is None else dtype
    return tuple(xavier(k, s, dtype) for k, s in zip(keys, shapes, strict=True))


def _response(weights, F):
    """R X."""
    C = twice_green_lagrange(F)
    h = [singular_values(F) - 1, C.reshape(-1), volume_change(F)[None]]
    first, second, last = (tree.cast(w, F.dtype) for w in weights)
    h = jax.nn.gelu(jnp.concatenate(h) @ first, approximate=False)
    h = jax.nn.gelu(h @ second, approximate=False)
    X = (h @ last).reshape(F.shape)
    return matmul(polar(F)[0], (X + transpose(X)) / 2)
