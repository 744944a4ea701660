"""Prodigy: AdamW that estimates its own rate."""

from typing import NamedTuple

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractOptimizer
from dynax.optim._averages import average, check_betas, square
from dynax.optim._common import rate_of_map
from dynax.optim.nadamw import share


class ProdigyState(NamedTuple):
    """The number of steps, the averages, and what the distance d is estimated from."""

    count: Scalar
    m: Params
    v: Params
    total: Params
    start: Params
    distance: Scalar
    gained: Scalar


class Prodigy(AbstractOptimizer):
    """Run AdamW at a rate that is an estimate of the distance to the solution.

    With d a lower estimate of ‖x₀ − x*‖, at the step k = 1, 2, …

        m₊ = β₁m + (1−β₁)dg,   v₊ = β₂v + (1−β₂)d²g²,   ε̂ = dε√(1−β₂ᵏ)/(1−β₁ᵏ)
        s₊ = β₃s + (d/d₀)ε̂g,   r₊ = β₃r + (d/d₀)ε̂⟨g, x₀ − x⟩
        d₊ = max(d, r₊/‖s₊‖₁)
        x₊ = x − ε̂[m₊/(√v₊ + d₊e) + λx]

    ε is to be 1, or a schedule of height 1. d never falls, and for a convex f with
    exact gradients d ≤ max(d₀, ‖x₀ − x*‖_∞), whatever the βs and ε:
        ⟨s, x₀ − x*⟩ − r = Σ wₖ⟨gₖ, xₖ − x*⟩ ≥ 0,  wₖ ≥ 0 the weights of both sums.
    Where f is not convex, or the gradients are noisy, nothing bounds d.

    The flow is read off the map, Euler's step exactly. No certificate known.

    Source: Mishchenko, Defazio, arXiv:2306.06101. Twin: optax.contrib.prodigy, which
    gives NaN where all gradients so far were 0; here d stays.

    Args:
        beta1, beta2: in [0, 1).
        beta3: of the sums; √β₂ unless given.
        eps: e > 0.
        distance: d₀ > 0, in units of x; far too small costs some tens of steps.
        weight_decay: λ ≥ 0.
    """

    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.999
    beta3: ScalarLike | None = None
    eps: ScalarLike = 1e-8
    distance: ScalarLike = 1e-6
    weight_decay: ScalarLike = 0.0

    def __check_init__(self):
        check_betas(beta1=self.beta1, beta2=self.beta2)
        if self.beta3 is not None:
            check_betas(beta3=self.beta3)
        check_positive(eps=self.eps, distance=self.distance)
        check_nonnegative(weight_decay=self.weight_decay)

    def init(self, x):
        tree.check_params(x)
        zero = jnp.zeros((), tree.result_dtype(x))
        blank = lambda: tree.zeros_like(x)
        first = tree.cast(self.distance, zero.dtype)
        return ProdigyState(
            zero, blank(), blank(), blank(), tree.copy(x), first, jnp.zeros_like(zero)
        )

    def update(self, x, state, grad, lr):
        d, k = state.distance, state.count + 1
        as_d = lambda a: tree.cast(a, d.dtype)
        beta3 = as_d(self.beta2) ** 0.5 if self.beta3 is None else as_d(self.beta3)
        scale = d / as_d(self.distance)
        rate = d * as_d(lr) * jnp.sqrt(share(self.beta2, k)) / share(self.beta1, k)
        dg = tree.scale(d, grad)
        m = tree.map(lambda m, g: average(self.beta1, m, g), state.m, dg)
        v = tree.map(lambda v, g: average(self.beta2, v, square(g)), state.v, dg)
        add = lambda s, g: (
            tree.cast(beta3, s.dtype) * s
            + tree.cast(scale * rate, s.dtype) * g.astype(s.dtype)
        )
        total = tree.map(add, state.total, grad)
        gone = tree.vdot(grad, tree.sub(state.start, x)).astype(d.dtype)
        gained = beta3 * state.gained + scale * rate * gone
        size = tree.vdot(tree.map(jnp.sign, total), total).astype(d.dtype)
        distance = jnp.maximum(d, tree.safe_divide(gained, size))

        def displace(x, m, v):
            as_x = lambda a: tree.cast(a, x.dtype)
            root = jnp.sqrt(v) + as_x(distance * as_d(self.eps))
            return -as_x(rate) * (m / root + as_x(self.weight_decay) * x)

        after = ProdigyState(k, m, v, total, state.start, distance, gained)
        return tree.map(displace, x, m, v), after

    def flow(self, t, x, state, grad, lr):
        del t
        return rate_of_map(self, x, state, grad, lr)
