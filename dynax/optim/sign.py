"""Sign descent, without and with momentum."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractSwitchedOptimizer
from dynax.kappa import L1
from dynax.optim._averages import check_betas
from dynax.optim._common import NoState, check_lr
from dynax.optim._relatives import AbstractLion
from dynax.optim.lion_kappa import LionKappa, LionState


class SignSGD(AbstractBalancedOptimizer, AbstractSwitchedOptimizer):
    """Step along the sign of the gradient.

    x₊ = x − ε(sign g + λx): Lion without momentum (β₁ = β₂ = 0), and without state.

    Flow: ẋ = −sign g − λx.   Certificate, H = f(x) + δ(‖x‖_∞ ≤ 1/λ):
        flow  Ḣ = −‖g‖₁ − λ⟨x, g⟩ ≤ 0 in the box; λ = 0: ḟ = −‖g‖₁
        map   f₊ − f = −ε(‖g‖₁ + λ⟨x, g⟩) + r,   r ≤ (L/2)‖x₊ − x‖² for L-smooth f

    Source: Bernstein et al., arXiv:1802.04458, the flow; `balance` as in LionKappa.
    Twin: optax.sign_sgd.

    Args:
        weight_decay: λ ≥ 0; with λ > 0 it solves min f on ‖x‖_∞ ≤ 1/λ.
    """

    weight_decay: ScalarLike = 0.0

    def __check_init__(self):
        _ = self.lion

    @property
    def lion(self) -> LionKappa:
        return LionKappa(L1(), 0.0, 0.0, self.weight_decay)

    @property
    def continuous(self):
        return False

    def init(self, x):
        tree.check_params(x)
        return NoState()

    def update(self, x, state, grad, lr):
        check_lr(lr)
        rate = self.flow(0.0, x, state, grad, lr)[0]
        return tree.scale(lr, rate), state

    def flow(self, t, x, state, grad, lr):
        del t, lr

        def rate(x, g):
            return -(
                jnp.sign(g).astype(x.dtype) + tree.cast(self.weight_decay, x.dtype) * x
            )

        return tree.map(rate, x, grad), state

    def energy(self, t, x, state, value, lr):
        return self.lion.energy(t, x, LionState(tree.zeros_like(x)), value, lr)

    def dissipation(self, t, x, state, grad, lr):
        return self.lion.dissipation(t, x, LionState(tree.zeros_like(x)), grad, lr)

    def balance(self, step, smoothness=None):
        before = LionState(tree.zeros_like(step.x))
        after = LionState(tree.scale(-1.0, step.grad))
        step = step._replace(state=before, state_next=after)
        return self.lion.balance(step, smoothness)


class Signum(AbstractLion):
    """Step along the sign of an average of gradients.

    m₊ = βm − (1−β)g,  x₊ = x + ε(sign m₊ − λx): Lion with β₁ = β₂ = β.

    The momentum is the paper's of Lion, *minus* the average of gradients.

    Flow, a = (1−β)/ε: ṁ = −a(g + m),  ẋ = sign m̃ − λx,  m̃ = m + εṁ.
    Certificate: H, Ḣ and the map's balance of LionKappa; for λ = 0, c = εβ/(1−β):
        H = f + c‖m‖₁,   Ḣ = −‖m̃‖₁ − (β/(1−β))⟨m̃ − m, sign m̃ − sign m⟩
    and as ε → 0 at a given a: aH → V = af + ‖m‖₁,  V̇ = −a‖m‖₁.

    Source: Bernstein et al., arXiv:1802.04458; Lion-κ, arXiv:2310.05898.
    Twin: optax.signum.

    Args:
        beta: in [0, 1).
        weight_decay: λ ≥ 0.
    """

    beta: ScalarLike = 0.9
    weight_decay: ScalarLike = 0.0

    def __check_init__(self):
        check_betas(beta=self.beta)
        _ = self.lion

    @property
    def lion(self) -> LionKappa:
        return LionKappa(L1(), self.beta, self.beta, self.weight_decay)
