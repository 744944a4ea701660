"""MARS: less variance from the gradient before."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import Params, ScalarLike, State
from dynax.flow import AbstractOptimizer
from dynax.optim._averages import check_betas
from dynax.optim._common import rate_of_map
from dynax.optim._relatives import check_optimizer
from dynax.optim.adamw import AdamW


class MARSState(NamedTuple):
    """The state of the optimizer inside, and the gradient before (0 at the start)."""

    inner: State
    before: Params


class MARS(AbstractOptimizer):
    """Feed an optimizer gradients from which old noise has been taken.

        c = g + γβ₁/(1−β₁)·(g − g_before),   c ← c/max(1, ‖c‖) leaf by leaf

    and c goes into `opt` in the place of g; g_before = 0 at the start. The method as
    published evaluates g_before on the *present* batch; here, as in its "approximate"
    form, it is the gradient that was seen then.

    The flow is read off the map, Euler's step exactly: g − g_before is no function of
    the present state. No certificate known.

    Source: Yuan et al., arXiv:2411.10438, MARS-AdamW with its approximate gradients.
    No twin in optax.

    Args:
        opt: what c is fed to; AdamW with the betas of the paper unless given.
        gamma: γ ≥ 0; 0 is `opt` with clipped gradients.
        beta1: β₁ of the correction, in [0, 1).
    """

    opt: AbstractOptimizer = eqx.field(default_factory=lambda: AdamW(0.95, 0.99))
    gamma: ScalarLike = 0.025
    beta1: ScalarLike = 0.95

    def __check_init__(self):
        check_optimizer(self.opt)
        check_nonnegative(gamma=self.gamma)
        check_betas(beta1=self.beta1)

    def init(self, x):
        return MARSState(self.opt.init(x), tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        weight = self.gamma * self.beta1 / (1 - self.beta1)

        def corrected(g, before):
            c = g + tree.cast(weight, g.dtype) * (g - before)
            size = jnp.sqrt(jnp.sum(c * c))
            return c / jnp.maximum(size, 1)

        c = tree.map(corrected, grad, state.before)
        delta, inner = self.opt.update(x, state.inner, c, lr)
        return delta, MARSState(inner, tree.cast_like(grad, state.before))

    def flow(self, t, x, state, grad, lr):
        del t
        return rate_of_map(self, x, state, grad, lr)
