"""Adam with decoupled weight decay."""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractRefinableOptimizer
from dynax.optim.adam import Adam, AdamState


class AdamW(AbstractRefinableOptimizer):
    """Run Adam with a weight decay that is not divided by the root.

    AdamW: the averages m̂₊, v̂₊ of Adam, and

        x₊ = x − ε[m̂₊/(√(v̂₊ + e_r) + e) + λx]

    Flow at ε: that of Adam with −λx added to ẋ.

    No certificate known. λ‖x‖²/2 is no part of a function that falls: the decay is not
    divided by √v̂ + e as the gradient is, so rest points are not stationary points of
    f + (λ/2)‖x‖². With bounded m̂/√v̂ the box |x| ≤ 1/λ attracts, as with Lion.

    Source: Loshchilov, Hutter, arXiv:1711.05101. That none is known: arXiv:2510.12402.
    Twin: optax.adamw.

    Args:
        beta1, beta2, eps, eps_root, bias_correction: as in Adam.
        weight_decay: λ ≥ 0.
        decay_mask: as optax `mask`: a tree of bools (or a prefix of one) like the
            parameters, or a function that makes it; False leaves are not decayed.
    """

    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.999
    eps: ScalarLike = 1e-8
    eps_root: ScalarLike = 0.0
    weight_decay: ScalarLike = 1e-4
    bias_correction: bool = eqx.field(default=True, static=True)
    decay_mask: PyTree[bool] | Callable[[Params], PyTree[bool]] | None = None

    def __check_init__(self):
        _ = self.adam
        check_nonnegative(weight_decay=self.weight_decay)

    @property
    def adam(self) -> Adam:
        """The same without decay."""
        return Adam(
            self.beta1, self.beta2, self.eps, self.eps_root, self.bias_correction
        )

    def refined(self, lr, finer) -> "AdamW":
        adam = self.adam.refined(lr, finer)
        betas = lambda opt: (opt.beta1, opt.beta2)
        return eqx.tree_at(betas, self, betas(adam))

    def init(self, x: Params) -> AdamState:
        self._mask(x)
        return self.adam.init(x)

    def update(self, x, state, grad, lr):
        delta, state = self.adam.update(x, state, grad, lr)
        return self._decayed(delta, x, lr), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.adam.flow(t, x, state, grad, lr)
        return self._decayed(rate, x, 1.0), dstate

    def _decayed(self, delta: Params, x: Params, lr: ScalarLike) -> Params:
        def decay(d, x, on):
            lam = tree.cast(self.weight_decay, x.dtype)
            return d - tree.cast(lr, x.dtype) * lam * x if on else d

        return tree.map(decay, delta, x, self._mask(x))

    def _mask(self, x: Params) -> PyTree[bool]:
        mask = self.decay_mask(x) if callable(self.decay_mask) else self.decay_mask
        try:
            on = True if mask is None else mask
            return tree.map(bool, jax.tree.broadcast(on, x))
        except ValueError as error:
            raise ValueError(
                f"decay_mask: given {jax.tree.structure(mask)}; accepted is a tree of "
                f"bools that is a prefix of the parameters, {jax.tree.structure(x)}."
            ) from error
