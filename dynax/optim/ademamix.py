"""AdEMAMix."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractRefinableOptimizer
from dynax.optim._averages import approach, average, check_betas
from dynax.optim.adam import Adam, AdamState


class AdEMAMixState(NamedTuple):
    """Adam's averages, and a slow average of the gradients."""

    adam: AdamState
    slow: Params


class AdEMAMix(AbstractRefinableOptimizer):
    """Run AdamW with a second, much slower average of the gradients.

    m̂₊, v̂₊ as in Adam,  s₊ = β₃s + (1−β₃)g, not corrected for its start,

        x₊ = x − ε[(m̂₊ + αs₊)/(√(v̂₊ + e_r) + e) + λx]

    Flow at ε: Adam's with ṡ = ((1−β₃)/ε)(g − s) and the same sum in ẋ.

    No certificate known.

    Source: Pagliardini et al., arXiv:2409.03137, without the schedules of α and β₃.
    Twin: optax.contrib.ademamix.

    Args:
        beta1, beta2, eps, eps_root: as in Adam.
        beta3: of the slow average, in [0, 1).
        alpha: its share, ≥ 0.
        weight_decay: λ ≥ 0.
    """

    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.999
    beta3: ScalarLike = 0.9999
    alpha: ScalarLike = 5.0
    eps: ScalarLike = 1e-8
    eps_root: ScalarLike = 0.0
    weight_decay: ScalarLike = 0.0

    def __check_init__(self):
        _ = self.adam
        check_betas(beta3=self.beta3)
        check_nonnegative(alpha=self.alpha, weight_decay=self.weight_decay)

    @property
    def adam(self) -> Adam:
        """The fast part."""
        return Adam(self.beta1, self.beta2, self.eps, self.eps_root)

    def refined(self, lr, finer) -> "AdEMAMix":
        adam = self.adam.refined(lr, finer)
        beta3 = 1 - (1 - self.beta3) * (finer / lr)
        betas = lambda opt: (opt.beta1, opt.beta2, opt.beta3)
        return eqx.tree_at(betas, self, (adam.beta1, adam.beta2, beta3))

    def init(self, x):
        return AdEMAMixState(self.adam.init(x), tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        adam = self.adam.advance(state.adam, grad)
        slow = tree.map(lambda s, g: average(self.beta3, s, g), state.slow, grad)
        rate = self._rate(x, adam, slow, grad)
        return tree.scale(lr, rate), AdEMAMixState(adam, slow)

    def flow(self, t, x, state, grad, lr):
        _, adam = self.adam.flow(t, x, state.adam, grad, lr)
        b = (1 - self.beta3) / lr
        slow = tree.map(lambda s, g: approach(b, s, g), state.slow, grad)
        rate = self._rate(x, state.adam, state.slow, grad)
        return rate, AdEMAMixState(adam, slow)

    def _rate(self, x: Params, adam: AdamState, slow: Params, grad: Params) -> Params:
        def entry(x, m, v, s, g):
            m, _, root = self.adam._corrected(adam, m, v, g)
            ahead = m + tree.cast(self.alpha, m.dtype) * s
            ratio = tree.safe_divide(ahead, root + tree.cast(self.eps, root.dtype))
            lam = tree.cast(self.weight_decay, x.dtype)
            return -(jnp.asarray(ratio, x.dtype) + lam * x)

        return tree.map(entry, x, adam.m, adam.v, slow, grad)
