"""AdaGrad."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import AbstractBalancedOptimizer, Step
from dynax.lyapunov import Ledger
from dynax.optim._averages import check_sizes, over, sqrt, square
from dynax.optim.rmsprop import SquaresState, descent


class AdaGrad(AbstractBalancedOptimizer):
    r"""AdaGrad: v₊ = v + g²,    x₊ = x − ε g/√(v₊ + e_r).

    Flow at ε: v̇ = g²/ε,  ẋ = −g/√(ṽ + e_r), with the ṽ = v + εv̇ that the map looks
    ahead to.

    Certificate, V = f:
        flow  V̇ = −Σ g²/√(ṽ + e_r)
        map   f₊ − f = −ε Σ g²/√(v₊ + e_r) + r,   r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g; f L-smooth: r ≤ (L/2)‖x₊ − x‖².

    Source: Duchi, Hazan, Singer, JMLR 12 (2011) 2121; V: arXiv:1810.13108.
    Twin: optax.adagrad.

    Args:
        eps_root: e_r ≥ 0, optax's `eps`.
        initial: v before the first step, optax's `initial_accumulator_value`.
    """

    eps_root: ScalarLike = 1e-7
    initial: ScalarLike = 0.1

    def __check_init__(self):
        check_sizes(eps_root=self.eps_root, initial=self.initial)

    def init(self, x):
        tree.check_params(x)
        full = lambda a: jnp.broadcast_to(tree.cast(self.initial, a.dtype), a.shape)
        return SquaresState(tree.map(full, x))

    def update(self, x, state, grad, lr):
        state = self._advance(state, grad)
        return tree.scale(-lr, self._direction(state, grad)), state

    def flow(self, t, x, state, grad, lr):
        del t, x
        ahead = self._advance(state, grad)
        rate = lambda v, g: (square(g) / tree.cast(lr, g.dtype)).astype(v.dtype)
        rates = SquaresState(tree.map(rate, state.v, grad))
        return tree.scale(-1, self._direction(ahead, grad)), rates

    def energy(self, t, x, state, value, lr):
        del t, state, lr
        return tree.cast(value, tree.widest(x))

    def dissipation(self, t, x, state, grad, lr):
        del t, x, lr
        return tree.vdot(grad, self._direction(self._advance(state, grad), grad))

    def balance(self, step: Step, smoothness=None) -> Ledger:
        return descent(
            step,
            self._direction(step.state_next, step.grad),
            self._advance(step.state, step.grad),
            smoothness,
        )

    def _advance(self, state, grad):
        entry = lambda v, g: v + square(g).astype(v.dtype)
        return SquaresState(tree.map(entry, state.v, grad))

    def _direction(self, state, grad):
        entry = lambda v, g: over(g, sqrt(v + tree.cast(self.eps_root, v.dtype)))
        return tree.map(entry, state.v, grad)
