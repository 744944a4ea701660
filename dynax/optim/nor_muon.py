"""NorMuon: Muon with the neurons brought to one length."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive, require
from dynax._types import Params, ScalarLike
from dynax.kappa import L1
from dynax.optim._averages import average, check_betas, sqrt
from dynax.optim._common import check_lr, rate_of_map
from dynax.optim._detour import AbstractDetour
from dynax.optim._polar import five_steps, polar_newton_schulz, polar_svd
from dynax.optim.lion_kappa import LionKappa
from dynax.optim.muon import ByRank, Nuclear, stretch


POLAR = {
    "svd": polar_svd,
    "newton-schulz": polar_newton_schulz,
    "five-steps": five_steps,
}


class NorMuonState(NamedTuple):
    """The momentum and an average of each neuron's mean square (or a 0)."""

    m: Params
    v: Params


class NorMuon(AbstractDetour):
    """Divide each neuron of Muon's step by its usual size. *Not* a Lion-κ.

    m₊ = βm − (1−β)g,  m̃ = βm₊ − (1−β)g,  O = UVᵀ of m̃,  and with oᵢ the neurons of O

        vᵢ₊ = β₂vᵢ + (1−β₂) mean(oᵢ²),   Ôᵢ = oᵢ/√vᵢ₊,   V = sÔ‖O‖_F/‖Ô‖_F
        x₊ = x + ε(V − λx),   s = √max(1, neurons/inputs)

    Leaves of fewer than two axes take Lion's step.

    With no more neurons than inputs an exact O has neurons of length 1, and V = sO:
    what is evened out then is the error of five Newton–Schulz steps, as published.

    V is no gradient of a function of m̃, even at fixed v: no energy is known. For the
    gradient itself, m̃ = −g, the step points downhill, for ⟨DO, m̃⟩ = tr D(m̃m̃ᵀ)^½ ≥ 0.
    The account is that of Muon without decay and a detour of no sign:
        H = f + cκ(m),  κ = s‖·‖_*,   H₊ − H = r − [terms ≥ 0] + ⟨g, x₊ − x − ε∇κ(m̃)⟩

    Source: Li et al., arXiv:2510.05491, and its published code, which takes five
    Newton–Schulz steps for O. No twin in optax.

    Args:
        beta: of the momentum, in [0, 1).
        beta2: of the squares, in [0, 1).
        weight_decay: λ ≥ 0.
        eps: added to √v and to ‖Ô‖_F, > 0.
        nesterov: look ahead, as is usual.
        neurons: which axis of a matrix counts neurons: "columns" for kernels of shape
            (inputs, outputs), as in flax, "rows" for (outputs, inputs).
        factor: O by "svd", "newton-schulz" (both exact) or "five-steps".
    """

    beta: ScalarLike = 0.95
    beta2: ScalarLike = 0.95
    weight_decay: ScalarLike = 0.0
    eps: ScalarLike = 1e-10
    nesterov: bool = eqx.field(default=True, static=True)
    neurons: Literal["columns", "rows"] = eqx.field(default="columns", static=True)
    factor: Literal["svd", "newton-schulz", "five-steps"] = eqx.field(
        default="svd", static=True
    )

    def __check_init__(self):
        check_betas(beta=self.beta, beta2=self.beta2)
        check_nonnegative(weight_decay=self.weight_decay)
        check_positive(eps=self.eps)
        known = self.neurons in ("columns", "rows")
        require(known, "neurons", self.neurons, "'columns' or 'rows'")
        accepted = " or ".join(map(repr, POLAR))
        require(self.factor in POLAR, "factor", self.factor, accepted)

    @property
    def lion(self) -> LionKappa:
        """Muon without decay, whose way is left."""
        ahead = self.beta**2 if self.nesterov else self.beta
        exact = "newton-schulz" if self.factor == "newton-schulz" else "svd"
        kappa = ByRank(Nuclear(exact, tall=self.neurons), L1())
        return LionKappa(kappa, ahead, self.beta)

    def init(self, x):
        def squares(a):
            if a.ndim < 2:
                return jnp.zeros((), a.dtype)
            rows, columns = _matrix(a).shape
            return jnp.zeros(columns if self.neurons == "columns" else rows, a.dtype)

        tree.check_params(x)
        return NorMuonState(tree.zeros_like(x), tree.map(squares, x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        m = tree.map(lambda m, g: average(self.beta, m, -g), state.m, grad)
        ahead = self.lion.beta1
        m_tilde = tree.map(lambda m, g: average(ahead, m, -g), state.m, grad)
        pairs = tree.map(self._direction, m_tilde, state.v)
        v, squares = jax.tree.transpose(
            jax.tree.structure(x), jax.tree.structure((0, 0)), pairs
        )

        def displace(v, x):
            lam = tree.cast(self.weight_decay, x.dtype)
            return tree.cast(lr, x.dtype) * (v.astype(x.dtype) - lam * x)

        return tree.map(displace, v, x), NorMuonState(m, squares)

    def flow(self, t, x, state, grad, lr):
        """The map's own rate: averages of the squares leave no simpler limit."""
        del t
        return rate_of_map(self, x, state, grad, lr)

    def _direction(self, m, v):
        if m.ndim < 2:
            return jnp.sign(m), v
        matrix, axis = _matrix(m), 0 if self.neurons == "columns" else 1
        o = POLAR[self.factor](matrix)
        v = average(self.beta2, v, jnp.mean(o * o, axis=axis))
        eps = tree.cast(self.eps, m.dtype)
        scaled = o / jnp.expand_dims(sqrt(v) + eps, axis)
        restored = _length(o) / (_length(scaled) + eps)
        full = stretch(matrix.shape, self.neurons) * restored * scaled
        return full.reshape(m.shape), v


def _matrix(a):
    return a.reshape(-1, a.shape[-1])


def _length(a):
    return jnp.sqrt(jnp.sum(a * a))
