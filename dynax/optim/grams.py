"""Grams: the length of a step from memory, its sign from the present gradient."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax.flow import AbstractLyapunovOptimizer, AbstractOptimizer
from dynax.optim._relatives import AbstractWrapper


class Grams(AbstractWrapper, AbstractLyapunovOptimizer):
    """Keep the size of each entry of an optimizer's step, and point it downhill.

        x₊ = x − sign(g)∘|δ|,   δ the step of any optimizer

    Flow: ẋ = −sign(g)∘|ẋ_opt|, the state as without. Certificate, whatever `opt` is:
        H = f,   Ḣ = −Σ|g∘ẋ_opt| ≤ 0
    of the flow only; on steps of finite length f may rise. Where `Cautious` leaves an
    entry out, this one turns it round.

    Source: Cao et al., arXiv:2412.17107, Definition 4.1 (Grams around Adam), Theorem
    4.9. No twin in optax.

    Args:
        opt: any optimizer; give it no weight decay.
    """

    opt: AbstractOptimizer

    def update(self, x, state, grad, lr):
        delta, state = self.opt.update(x, state, grad, lr)
        return tree.map(_downhill, delta, grad), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.opt.flow(t, x, state, grad, lr)
        return tree.map(_downhill, rate, grad), dstate

    def energy(self, t, x, state, value, lr):
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        return -tree.vdot(grad, self.flow(t, x, state, grad, lr)[0])


def _downhill(delta, grad):
    return -jnp.sign(grad).astype(delta.dtype) * jnp.abs(delta)
