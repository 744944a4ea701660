"""What the relatives of Lion-κ share."""

import abc
import dataclasses
from typing import TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
    AbstractRefinableOptimizer,
    AbstractSwitchedOptimizer,
)
from dynax.lyapunov import Check
from dynax.optim.lion_kappa import LionKappa


class AbstractLion(AbstractBalancedOptimizer, AbstractSwitchedOptimizer):
    """A Lion-κ under a name of its own: all it does and claims is that of `lion`."""

    @property
    @abc.abstractmethod
    def lion(self) -> LionKappa: ...

    @property
    def continuous(self):
        return self.lion.continuous

    def init(self, x):
        return self.lion.init(x)

    def update(self, x, state, grad, lr):
        return self.lion.update(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return self.lion.flow(t, x, state, grad, lr)

    def energy(self, t, x, state, value, lr):
        return self.lion.energy(t, x, state, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        return self.lion.dissipation(t, x, state, grad, lr)

    def balance(self, step, smoothness=None):
        return self.lion.balance(step, smoothness)


def check_optimizer(opt, kind: type = AbstractOptimizer) -> None:
    if not isinstance(opt, kind):
        raise TypeError(
            f"opt: given {type(opt).__name__}; accepted is a dynax.{kind.__name__}."
        )


class AbstractWrapper(AbstractRefinableOptimizer, AbstractSwitchedOptimizer):
    """A method around any optimizer: its state, refined with it, a map that jumps."""

    opt: eqx.AbstractVar[AbstractOptimizer]

    def __check_init__(self):
        check_optimizer(self.opt)

    @property
    def continuous(self):
        return False

    def refined(self, lr, finer):
        return dataclasses.replace(self, opt=refine(self.opt, lr, finer))

    def init(self, x):
        return self.opt.init(x)


Opt = TypeVar("Opt", bound=AbstractOptimizer)


def refine(opt: Opt, lr: ScalarLike, finer: ScalarLike) -> Opt:
    """`opt` refined if it has to be, for a method wrapped around it."""
    if isinstance(opt, AbstractRefinableOptimizer):
        return cast(Opt, opt.refined(lr, finer))
    return opt


def condition_of(opt: AbstractOptimizer) -> dict[str, Check]:
    """What the proof for `opt` asks, for a method that rests on it."""
    if isinstance(opt, AbstractConditionalOptimizer):
        return opt.condition()
    return {"none": Check(jnp.asarray(jnp.inf), jnp.zeros(()))}


def slope_in_value(
    opt: AbstractLyapunovOptimizer,
    t: ScalarLike,
    x: Params,
    state,
    lr: ScalarLike,
) -> Scalar:
    """∂H/∂f: the weight of the loss in H, which is linear in it."""
    at = lambda value: opt.energy(t, x, state, value, lr)
    return jax.grad(at)(jnp.zeros((), tree.result_dtype(x)))


def check_hamiltonian(opt: AbstractLyapunovOptimizer, x: Params) -> None:
    """H = w·f(x) + K(state): the energy itself is asked whether x enters otherwise.

    Asked at arrays of ones shaped like x and its state, so hyper-parameters need to be
    known, x not; where they are traced nothing is asked.
    """
    with jax.ensure_compile_time_eval():
        x = tree.map(lambda a: jnp.ones(a.shape, a.dtype), x)
        state = tree.map(jnp.ones_like, opt.init(x))
        one = jnp.ones((), tree.result_dtype(x))
        slope = jax.grad(lambda x: opt.energy(one, x, state, one, one))(x)
        known = tree.is_concrete(slope)
        if known and any(bool(jnp.any(a != 0)) for a in tree.leaves(slope)):
            raise ValueError(
                f"opt: given {type(opt).__name__}, whose energy depends on x besides "
                "through f(x); accepted is one with H = w·f(x) + K(state), as "
                "LionKappa with weight_decay = 0."
            )
