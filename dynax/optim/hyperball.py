"""Hyperball: matrices that keep their length."""

from typing import NamedTuple

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import Params, State
from dynax.flow import AbstractOptimizer
from dynax.kappa.norms import norm, norm_grad
from dynax.optim._common import check_lr
from dynax.optim._relatives import AbstractWrapper


class HyperballState(NamedTuple):
    """The optimizer's own state, and the Frobenius norm R of each matrix (or a 0)."""

    inner: State
    radius: Params


class Hyperball(AbstractWrapper):
    """Keep the Frobenius norm of every matrix, and take steps of one length.

    With δ the step of any optimizer and N(Y) = Y/‖Y‖_F, for leaves of two axes or more

        X₊ = R·N(X + εR·N(δ)),   R = ‖X₀‖_F

    and x₊ = x + δ for the others. "MuonH" is Hyperball(Muon()).

    Flow: Ẋ = R(I − X̂⟨X̂, ·⟩)N(δ),  X̂ = X/R, the part of the step along the sphere.

    What survives: ‖X‖_F = R, whatever δ is. No energy is known. Around gradient descent
    f falls along the flow, ḟ = −R‖g − X̂⟨X̂, g⟩‖²/‖g‖. Around Muon it need not: with
    δ = −UVᵀ of g, r = rank g, over all X̂ the largest ḟ is
    R(√r‖g‖_F − ‖g‖_*)/2√r ≥ 0, and 0 only where all σ(g) are equal.

    Source: Wen et al., arXiv:2606.16899. No twin in optax.

    Args:
        opt: any optimizer; give it no weight decay.
    """

    opt: AbstractOptimizer

    def init(self, x):
        tree.check_params(x)
        radius = lambda a: (
            jnp.sum(norm(a, 2.0)) if a.ndim > 1 else jnp.zeros((), a.dtype)
        )
        return HyperballState(self.opt.init(x), tree.map(radius, x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        delta, inner = self.opt.update(x, state.inner, grad, lr)

        def turn(d, x, radius):
            if x.ndim < 2:
                return d
            ahead = x + tree.cast(lr, x.dtype) * radius * norm_grad(d, 2.0)
            return radius * norm_grad(ahead, 2.0) - x

        delta = tree.map(turn, delta, x, state.radius)
        return delta, HyperballState(inner, state.radius)

    def flow(self, t, x, state, grad, lr):
        rate, inner = self.opt.flow(t, x, state.inner, grad, lr)

        def along(v, x, radius):
            if x.ndim < 2:
                return v
            way, outward = norm_grad(v, 2.0), norm_grad(x, 2.0)
            return radius * (way - outward * jnp.sum(outward * way))

        rate = tree.map(along, rate, x, state.radius)
        return rate, HyperballState(inner, tree.zeros_like(state.radius))
