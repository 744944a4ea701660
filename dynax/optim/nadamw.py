"""NadamW: Adam that looks ahead."""

from typing import NamedTuple

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractOptimizer
from dynax.optim._averages import average, check_betas, square
from dynax.optim._common import rate_of_map


class NadamWState(NamedTuple):
    """The number of steps, and averages m of g and v of g²."""

    count: Scalar
    m: Params
    v: Params


class NadamW(AbstractOptimizer):
    """Run AdamW with Nesterov's look-ahead.

    m₊, v₊ as in Adam, and at the step k = 1, 2, …

        m̄ = β₁m₊/(1−β₁ᵏ⁺¹) + (1−β₁)g/(1−β₁ᵏ)
        x₊ = x − ε[m̄/(√(v₊/(1−β₂ᵏ)) + e) + λx]

    The flow is read off the map, Euler's step exactly: corrected averages leave no
    simpler autonomous limit. No certificate known.

    Source: Dozat, 2016; the correction is that of Kasimbeg et al. and optax. Twin:
    optax.nadamw.

    Args:
        beta1, beta2: in [0, 1).
        eps: e > 0.
        weight_decay: λ ≥ 0.
    """

    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.999
    eps: ScalarLike = 1e-8
    weight_decay: ScalarLike = 1e-4

    def __check_init__(self):
        check_betas(beta1=self.beta1, beta2=self.beta2)
        check_positive(eps=self.eps)
        check_nonnegative(weight_decay=self.weight_decay)

    def init(self, x):
        tree.check_params(x)
        zero = jnp.zeros((), tree.result_dtype(x))
        return NadamWState(zero, tree.zeros_like(x), tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        k = state.count + 1
        m = tree.map(lambda m, g: average(self.beta1, m, g), state.m, grad)
        v = tree.map(lambda v, g: average(self.beta2, v, square(g)), state.v, grad)

        def displace(x, m, v, g):
            as_x = lambda a: tree.cast(a, x.dtype)
            weight = lambda beta, n: as_x(share(beta, n))
            now, later = weight(self.beta1, k), weight(self.beta1, k + 1)
            ahead = average(self.beta1, m / later, g / now)
            root = jnp.sqrt(v / weight(self.beta2, k)) + as_x(self.eps)
            return -as_x(lr) * (ahead / root + as_x(self.weight_decay) * x)

        return tree.map(displace, x, m, v, grad), NadamWState(k, m, v)

    def flow(self, t, x, state, grad, lr):
        del t
        return rate_of_map(self, x, state, grad, lr)


def share(beta: ScalarLike, n: Scalar) -> Scalar:
    """1 − βⁿ, not as a difference."""
    return -jnp.expm1(n * jnp.log1p(-tree.cast(1 - beta, n.dtype)))
