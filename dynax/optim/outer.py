"""An outer Nesterov step around many inner ones: MuLoCo on one worker, Lookahead."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_parameter, check_positive
from dynax._types import Params, Scalar, ScalarLike, State
from dynax.flow import AbstractOptimizer, AbstractSwitchedOptimizer
from dynax.optim._averages import check_betas
from dynax.optim._common import rate_of_map
from dynax.optim._relatives import check_optimizer


class OuterState(NamedTuple):
    """The inner state, the anchor θ, the outer momentum u, and steps since then."""

    inner: State
    anchor: Params
    u: Params
    count: Scalar


class Outer(AbstractSwitchedOptimizer):
    """Take every `interval` steps of an optimizer as one gradient of an outer method.

    Inside, x moves by `opt`. Every `interval` steps, from the anchor θ,

        Δ = θ − x,   u₊ = μu + Δ,   x₊ = θ₊ = θ − η(Δ + μu₊)

    With η = 1, μ = 0 nothing changes; with μ = 0, η < 1 it is Lookahead. MuLoCo is this
    around Muon, DiLoCo around AdamW, each with several workers whose Δ are averaged.

    The flow is read off the map, Euler's step exactly: a step at every `interval` has
    no autonomous limit. No certificate known.

    Source: Thérien et al., arXiv:2505.23725 (MuLoCo, K = 1); Douillard et al.,
    arXiv:2311.08105 (DiLoCo); Zhang et al., arXiv:1907.08610 (Lookahead). Twin of
    Lookahead: optax.lookahead, which evaluates at both points.

    Args:
        opt: any optimizer.
        interval: inner steps to an outer one, ≥ 1.
        outer_lr: η > 0.
        momentum: μ in [0, 1).
    """

    opt: AbstractOptimizer
    interval: ScalarLike = 30
    outer_lr: ScalarLike = 0.7
    momentum: ScalarLike = 0.6

    def __check_init__(self):
        check_optimizer(self.opt)
        check_parameter("interval", self.interval, lambda k: k >= 1, "a number ≥ 1")
        check_positive(outer_lr=self.outer_lr)
        check_betas(momentum=self.momentum)

    @property
    def continuous(self):
        return False

    def init(self, x):
        zero = jnp.zeros((), tree.result_dtype(x))
        inner = self.opt.init(x)
        return OuterState(inner, tree.copy(x), tree.zeros_like(x), zero)

    def update(self, x, state, grad, lr):
        delta, inner = self.opt.update(x, state.inner, grad, lr)
        count = state.count + 1
        due = count >= tree.cast(self.interval, count.dtype)

        def outer(x, d, anchor, u):
            mu, eta = (
                tree.cast(self.momentum, x.dtype),
                tree.cast(self.outer_lr, x.dtype),
            )
            gap = anchor - (x + d)
            u_next = mu * u + gap
            moved = anchor - eta * (gap + mu * u_next)
            pick = lambda new, old: jnp.where(due, new, old)
            return pick(moved - x, d), pick(moved, anchor), pick(u_next, u)

        rows = [tree.leaves(t) for t in (x, delta, state.anchor, state.u)]
        out = [outer(*row) for row in zip(*rows, strict=True)]
        to_tree = lambda k: _unflatten(x, [row[k] for row in out])
        delta, anchor, u = map(to_tree, range(3))
        return delta, OuterState(inner, anchor, u, jnp.where(due, 0, count))

    def flow(self, t, x, state, grad, lr):
        del t
        return rate_of_map(self, x, state, grad, lr)


def _unflatten(like: Params, leaves: list) -> Params:
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
