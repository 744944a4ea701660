"""Muon as it is used."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractAccountedOptimizer
from dynax.optim import _detour
from dynax.optim._averages import average, check_betas
from dynax.optim._common import check_lr, rate_of_map
from dynax.optim._polar import five_steps
from dynax.optim.lion_kappa import LionKappa
from dynax.optim.muon import Nuclear
from dynax.optim.nadamw import share


class PracticalMuonState(NamedTuple):
    """Averages of g, and of g² where Adam is at work (else a 0)."""

    count: Scalar
    mu: Params
    nu: Params


class PracticalMuon(AbstractAccountedOptimizer):
    """Muon with five Newton–Schulz steps. *Not* a Lion-κ; no certificate known.

    Matrices: μ₊ = βμ + (1−β)g,  x₊ = x − ε(√max(1, columns/rows)·NS₅(μ̂) + λx),
        μ̂ = βμ₊/(1−βᵏ⁺²) + (1−β)g/(1−βᵏ⁺¹)
        NS₅ = five times X ← 3.4445X − 4.7750XXᵀX + 2.0315(XXᵀ)²X from μ̂/‖μ̂‖_F
    All other leaves: Adam with Nesterov momentum (β₁ = 0.9, β₂ = 0.999), no decay.

    NS₅ maps singular values in [0.05, 1] into [0.68, 1.13] without keeping their order,
    so it is no subgradient of any convex κ, and what it converges to is no KKT point of
    a problem known; `Muon` is the method with a certificate. The account of a step is
    that of Muon without decay on the matrices, and all else a detour of no sign:
        H = f + cκ(m),  κ = √max(1, columns/rows)·‖·‖_*,  m = −μ
        H₊ − H = r − [Muon's terms ≥ 0] + ⟨g, x₊ − x − ε∇κ(m̃)⟩
    The flow is read off the map, Euler's step exactly: corrected averages leave no
    simpler autonomous limit.

    Source: Jordan et al., Muon. Twin: optax.contrib.muon, all its defaults.

    Args:
        beta: in [0, 1).
        weight_decay: λ ≥ 0, of the matrices.
        beta1, beta2: Adam's, in [0, 1).
        eps: added to √v and to ‖μ̂‖_F, > 0.
    """

    beta: ScalarLike = 0.95
    weight_decay: ScalarLike = 0.0
    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.999
    eps: ScalarLike = 1e-8

    def __check_init__(self):
        check_betas(beta=self.beta, beta1=self.beta1, beta2=self.beta2)
        check_nonnegative(weight_decay=self.weight_decay)
        check_positive(eps=self.eps)

    def init(self, x):
        tree.check_params(x)
        second = lambda a: jnp.zeros_like(a, shape=() if a.ndim == 2 else None)
        zero = jnp.zeros((), tree.result_dtype(x))
        return PracticalMuonState(zero, tree.zeros_like(x), tree.map(second, x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        k = state.count + 1

        def moments(x, mu, nu, g):
            matrix = x.ndim == 2
            as_x = lambda v: tree.cast(v, x.dtype)
            beta = self.beta if matrix else self.beta1
            mu = average(beta, mu, g)
            now, later = (as_x(share(beta, n)) for n in (k, k + 1))
            ahead = average(beta, mu / later, g / now)
            if matrix:
                shape = as_x(max(1, x.shape[1] / x.shape[0]) ** 0.5)
                v = shape * five_steps(ahead, self.eps) + as_x(self.weight_decay) * x
            else:
                nu = average(self.beta2, nu, g * g)
                size = nu / as_x(share(self.beta2, k))
                v = ahead / (jnp.sqrt(size) + as_x(self.eps))
            return -as_x(lr) * v, mu, nu

        leaves = [tree.leaves(t) for t in (x, state.mu, state.nu, grad)]
        out = zip(*(moments(*row) for row in zip(*leaves, strict=True)), strict=True)
        delta, mu, nu = (
            jax.tree.unflatten(jax.tree.structure(x), part) for part in out
        )
        return delta, PracticalMuonState(k, mu, nu)

    def flow(self, t, x, state, grad, lr):
        del t
        return rate_of_map(self, x, state, grad, lr)

    def balance(self, step, smoothness=None):
        kappa = Nuclear(tall="columns")
        lion = LionKappa(kappa, self.beta**2, self.beta)
        momentum = lambda x, mu: -mu if x.ndim == 2 else None
        m, m_next = (
            tree.map(momentum, step.x, s.mu) for s in (step.state, step.state_next)
        )
        return _detour.ledger(lion, step, m, m_next, smoothness)
