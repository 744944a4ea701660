"""Lion on many workers, one bit of each parameter sent."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.flow import AbstractRatedFlow, AbstractRatedMap
from dynax.optim._averages import approach, average, check_betas
from dynax.optim._common import check_lr
from dynax.optim.lion_kappa import LionState


class DistributedLion(AbstractRatedFlow, AbstractRatedMap):
    """Run Lion on several workers that vote on the sign of each entry.

    Worker i: mᵢ₊ = β₂mᵢ − (1−β₂)gᵢ,  m̃ᵢ = β₁mᵢ − (1−β₁)gᵢ, sends sign m̃ᵢ. All:

        x₊ = x + ε(Δ − λx),   Δ = sign Σ sign m̃ᵢ ("majority") or mean sign m̃ᵢ ("mean")

    To be called where `axis` is bound (`jax.shard_map`, or `jax.vmap` for virtual
    workers), with x the same and grad, state those of the worker. Signs are summed in
    the smallest integer type that holds the number of workers: one byte up to 127.
    axis=None is a worker alone: Lion. m is *minus* optax's `mu`.

    Flow, γ = (1−β₂)/ε: ṁᵢ = −γ(gᵢ + mᵢ),  ẋ = Δ − λx.

    Certificate, for |Δ| ≤ 1 whatever the gradients (phase 1 of Lion-κ, the box):
        V = (‖λx‖_∞ − 1)₊,   V̇ ≤ −λV,   V_{k+1} ≤ (1 − ελ)V_k   if ελ ≤ 1
    No energy that falls inside the box is known (alone, it is LionKappa).

    Source: Liu et al., arXiv:2404.00438, Algorithm 1; contraction: arXiv:2310.05898.

    Args:
        axis: the mesh axis (or axes) of the workers.
        vote: how signs become Δ.
        beta1, beta2: in [0, 1).
        weight_decay: λ ≥ 0.
    """

    axis: str | tuple[str, ...] | None = eqx.field(default=None, static=True)
    vote: Literal["majority", "mean"] = eqx.field(default="majority", static=True)
    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.99
    weight_decay: ScalarLike = 0.0

    def __check_init__(self):
        if self.vote not in ("majority", "mean"):
            raise ValueError(
                f"vote: given {self.vote!r}; accepted is 'majority' or 'mean'."
            )
        check_betas(beta1=self.beta1, beta2=self.beta2)
        check_nonnegative(weight_decay=self.weight_decay)

    def init(self, x):
        tree.check_params(x)
        return LionState(tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        rate = self._toward(x, state, grad)
        m = tree.map(lambda m, g: average(self.beta2, m, -g), state.m, grad)
        return tree.scale(lr, rate), LionState(m)

    def flow(self, t, x, state, grad, lr):
        del t
        gamma = (1 - self.beta2) / lr
        dm = tree.map(lambda m, g: approach(gamma, m, -g), state.m, grad)
        return self._toward(x, state, grad), LionState(dm)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, state, f, minimum, lr
        lam = tree.cast(self.weight_decay, tree.result_dtype(x))
        far = [jnp.max(jnp.abs(a)).astype(lam.dtype) for a in tree.leaves(x)]
        return jax.nn.relu(lam * jnp.max(jnp.stack(far)) - 1)

    def decay(self, t, x, state, f, minimum, lr):
        v = self.lyapunov(t, x, state, f, minimum, lr)
        return tree.cast(self.weight_decay, v.dtype) * v

    def potential(self, k, x, state, f, minimum, lr):
        return self.lyapunov(k, x, state, f, minimum, lr)

    def factor(self, k, lr):
        del k
        return 1 - jnp.asarray(lr * self.weight_decay)

    def _toward(self, x, state, grad):
        def rate(x, m, g):
            send = jnp.sign(average(self.beta1, m, -g))
            return (
                self._elect(send, x.dtype) - tree.cast(self.weight_decay, x.dtype) * x
            )

        return tree.map(rate, x, state.m, grad)

    def _elect(self, sign, dtype):
        if self.axis is None:
            return sign.astype(dtype)
        workers = jax.lax.axis_size(self.axis)
        narrow = next(d for d in ("int8", "int16", "int32") if workers <= _most(d))
        votes = jax.lax.psum(sign.astype(narrow), self.axis)
        if self.vote == "majority":
            return jnp.sign(votes).astype(dtype)
        return votes.astype(dtype) / jnp.asarray(workers, dtype)


def _most(dtype: str) -> int:
    return jnp.iinfo(dtype).max
