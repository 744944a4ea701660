"""RMSprop."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from dynax import _tree as tree
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractBalancedOptimizer, Step
from dynax.lyapunov import Check, Ledger
from dynax.optim import _balance
from dynax.optim._averages import (
    approach,
    average,
    check_betas,
    check_sizes,
    excess,
    over,
    sqrt,
    square,
)


class SquaresState(NamedTuple):
    """The average, or the sum, v of g²."""

    v: Params

    @classmethod
    def from_optax(cls, state: Any) -> "SquaresState":
        """v inside a state of optax.rmsprop (`nu`) or adagrad (`sum_of_squares`)."""
        for name in ("nu", "sum_of_squares"):
            v = optax.tree.get(state, name)
            if v is not None:
                return cls(v)
        raise ValueError(
            "state: no `nu` or `sum_of_squares` in it; accepted: of RMSprop, AdaGrad."
        )


class RMSprop(AbstractBalancedOptimizer):
    r"""RMSprop: v₊ = βv + (1−β)g²,

        x₊ = x − ε g/(√(v₊ + e_r) + e)

    optax's `eps` is e_r with `eps_in_sqrt` (its default), else e.

    Flow at ε (b = (1−β)/ε): v̇ = b(g² − v),  ẋ = −g/D,  D = √(ṽ + e_r) + e, with the
    ṽ = v + εv̇ that the map looks ahead to; as ε → 0 at a given b, ṽ → v.

    Certificate, V = f:
        flow  V̇ = −Σ g²/D
        map   f₊ − f = −ε Σ g²/D + r,   r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g; f L-smooth: r ≤ (L/2)‖x₊ − x‖².

    Source: Tieleman, Hinton, Lecture 6.5 (2012); V: arXiv:1810.13108.
    Twin: optax.rmsprop without `momentum` and `centered`.

    Args:
        beta: in [0, 1).
        eps, eps_root: e and e_r, ≥ 0.
        initial: v before the first step.
    """

    beta: ScalarLike = 0.9
    eps: ScalarLike = 0.0
    eps_root: ScalarLike = 1e-8
    initial: ScalarLike = 0.0

    def __check_init__(self):
        check_betas(beta=self.beta)
        check_sizes(eps=self.eps, eps_root=self.eps_root, initial=self.initial)

    def init(self, x):
        tree.check_params(x)
        full = lambda a: jnp.broadcast_to(tree.cast(self.initial, a.dtype), a.shape)
        return SquaresState(tree.map(full, x))

    def update(self, x, state, grad, lr):
        state = self._advance(state, grad)
        return tree.scale(-lr, self._direction(state, grad)), state

    def flow(self, t, x, state, grad, lr):
        del t, x
        ahead, b = self._advance(state, grad), (1 - self.beta) / lr
        rate = tree.map(lambda v, g: approach(b, v, square(g)), state.v, grad)
        return tree.scale(-1, self._direction(ahead, grad)), SquaresState(rate)

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
        entry = lambda v, g: average(self.beta, v, square(g))
        return SquaresState(tree.map(entry, state.v, grad))

    def _direction(self, state, grad):
        def entry(v, g):
            root = sqrt(v + tree.cast(self.eps_root, v.dtype))
            return over(g, root + tree.cast(self.eps, v.dtype))

        return tree.map(entry, state.v, grad)


def descent(
    step: Step, direction: Params, due: SquaresState, smoothness: ScalarLike | None
) -> Ledger:
    """f₊ − f = −ε⟨g, d⟩ + r for x₊ = x − εd, and that v₊ is what it should be."""
    lr = tree.cast(step.lr, tree.widest(step.x))
    row = _balance.ledger(
        step,
        jnp.zeros_like(lr),
        [],
        {"descent": (lr, step.grad, direction)},
        smoothness,
    )
    far = excess(step.state_next.v, due.v, due.v)  # a sum of squares: nothing cancels
    return row._replace(checks=row.checks | {"v": Check(-far, jnp.zeros_like(far))})
