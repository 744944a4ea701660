"""Descent along g over a root of accumulated g²: what RMSprop and AdaGrad share."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractBalancedOptimizer, Step
from dynax.lyapunov import Ledger
from dynax.optim import _balance
from dynax.optim._averages import square, stored


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
            "state: given one without `nu` and `sum_of_squares`; accepted is that of "
            "RMSprop or AdaGrad."
        )


class AbstractSquares(AbstractBalancedOptimizer):
    """v₊ = accumulate(v, g),  x₊ = x − ε·scaled(v₊, g);  V = f."""

    initial: eqx.AbstractVar[ScalarLike]

    @abc.abstractmethod
    def accumulate(self, v: Array, g: Array) -> Array:
        """v₊ of one leaf."""

    @abc.abstractmethod
    def rate(self, v: Array, g: Array, lr: ScalarLike) -> Array:
        """v̇ of one leaf."""

    @abc.abstractmethod
    def scaled(self, v: Array, g: Array) -> Array:
        """g over the root of v."""

    def init(self, x):
        tree.check_params(x)
        full = lambda a: jnp.full_like(a, tree.cast(self.initial, a.dtype))
        return SquaresState(tree.map(full, x))

    def update(self, x, state, grad, lr):
        v = tree.map(self.accumulate, state.v, grad)
        return tree.scale(-lr, tree.map(self.scaled, v, grad)), SquaresState(v)

    def flow(self, t, x, state, grad, lr):
        del t, x
        rate = tree.map(lambda v, g: self.rate(v, g, lr), state.v, grad)
        return tree.scale(-1, self._ahead(state, grad)), SquaresState(rate)

    def energy(self, t, x, state, value, lr):
        del t, state, lr
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        del t, x, lr
        return tree.vdot(grad, self._ahead(state, grad))

    def balance(self, step: Step, smoothness=None) -> Ledger:
        """f₊ − f = −ε⟨g, d⟩ + r, and that v₊ is what it should be."""
        lr = tree.cast(step.lr, tree.result_dtype(step.x))
        direction = tree.map(self.scaled, step.state_next.v, step.grad)
        spent: dict[str, _balance.Product] = {"descent": (lr, step.grad, direction)}
        row = _balance.ledger(step, jnp.zeros_like(lr), [], spent, smoothness)
        due = tree.map(self.accumulate, step.state.v, step.grad)
        # a sum of squares: nothing cancels, and its size is itself
        given = step.state.v, tree.map(square, step.grad)
        check = stored(step.state_next.v, due, due, *given)
        return row._replace(checks=row.checks | {"v": check})

    def _ahead(self, state: SquaresState, grad: Params) -> Params:
        entry = lambda v, g: self.scaled(self.accumulate(v, g), g)
        return tree.map(entry, state.v, grad)
