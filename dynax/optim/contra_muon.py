"""Contra-Muon: the large singular values get the shorter steps."""

import equinox as eqx
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_parameter
from dynax._types import Params, ScalarLike
from dynax.kappa.spectral import on_singular_values
from dynax.optim._averages import approach, average, check_betas
from dynax.optim._common import check_lr
from dynax.optim._detour import AbstractDetour
from dynax.optim.lion_kappa import LionKappa, LionState
from dynax.optim.muon import Muon


class ContraMuon(AbstractDetour):
    """Subtract from Muon's step a share of the momentum. *Not* a Lion-κ.

    m₊ = βm − (1−β)g,  m̃ = βm₊ − (1−β)g = UΣVᵀ,

        x₊ = x + ε(U(1 − aΣ/σ₁)Vᵀ − λx)

    Leaves of fewer than two axes take Lion's step, as in `Muon`.

    σ ↦ 1 − aσ/σ₁ falls, so it is no subgradient of a convex function and no energy is
    known. The account is that of `Muon` without decay and a detour of no sign:
        H = f + c‖m‖_*,   H₊ − H = r − [Muon's terms ≥ 0] + ⟨g, x₊ − x − εUVᵀ⟩
    (`dynax.optim._detour`). Steps on which the check `fall` fails put energy in.

    Source: github.com/nilin/contra-muon (May 2026): UVᵀ − a·m̃/‖m̃‖_op with a = 0.2, or
    (1 + c)(1 − aσ/σ₁) with a = c/(1 + c). No twin in optax.

    Args:
        contra: a in [0, 1); 0 is `Muon`.
        beta: in [0, 1).
        weight_decay: λ ≥ 0.
        nesterov: look ahead, as is usual.
    """

    contra: ScalarLike = 0.2
    beta: ScalarLike = 0.95
    weight_decay: ScalarLike = 0.0
    nesterov: bool = eqx.field(default=True, static=True)

    def __check_init__(self):
        within = lambda a: (a >= 0) & (a < 1)
        check_parameter("contra", self.contra, within, "0 ≤ contra < 1")
        check_betas(beta=self.beta)
        check_nonnegative(weight_decay=self.weight_decay)

    @property
    def lion(self) -> LionKappa:
        """Muon without decay, whose way is left."""
        return Muon(self.beta, 0.0, self.nesterov).lion

    def init(self, x):
        return self.lion.init(x)

    def update(self, x, state, grad, lr):
        check_lr(lr)
        m = tree.map(lambda m, g: average(self.beta, m, -g), state.m, grad)
        return tree.scale(lr, self._rate(x, state, grad)), LionState(m)

    def flow(self, t, x, state, grad, lr):
        del t
        gamma = (1 - self.beta) / lr
        dm = tree.map(lambda m, g: approach(gamma, m, -g), state.m, grad)
        return self._rate(x, state, grad), LionState(dm)

    def _rate(self, x: Params, state: LionState, grad: Params) -> Params:
        ahead = self.lion.beta1
        m_tilde = tree.map(lambda m, g: average(ahead, m, -g), state.m, grad)

        def rate(x, m):
            lam = tree.cast(self.weight_decay, x.dtype)
            return self._direction(m).astype(x.dtype) - lam * x

        return tree.map(rate, x, m_tilde)

    def _direction(self, m):
        if m.ndim < 2:
            return jnp.sign(m)

        def flatter(sigma):
            share = sigma / tree.safe_denominator(sigma[:1])
            kept = 1 - tree.cast(self.contra, sigma.dtype) * share
            return jnp.where(sigma > 0, kept, 0)

        return on_singular_values(flatter, tree.wide(m)).astype(m.dtype)
