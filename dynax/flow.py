"""An optimizer, written once and seen three ways: a map, a flow, an energy for both.

Conventions. x is any pytree of real floating arrays, `state` a NamedTuple of arrays,
`grad` a tree like x, `lr` the learning rate. Hyper-parameters are traced fields of the
class, so sweeping them never recompiles. The flow at learning rate `lr` is the ODE
whose discretisation with time step `lr` is the map; a method whose flow does not depend
on the step (heavy ball) ignores the argument.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple, overload

import equinox as eqx
import jax
from jaxtyping import Array, Int

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike, State
from dynax.kappa import AbstractKappa
from dynax.lyapunov import Check, Ledger


class AbstractOptimizer(eqx.Module):
    """A map and its flow, without a claim about any energy."""

    @abc.abstractmethod
    def init(self, x: Params) -> State:
        """The state that belongs to the starting point x."""

    @abc.abstractmethod
    def update(
        self, x: Params, state: State, grad: Params, lr: ScalarLike
    ) -> tuple[Params, State]:
        """One step of the map as the displacement x₊ − x, and the new state."""

    @abc.abstractmethod
    def flow(
        self, t: ScalarLike, x: Params, state: State, grad: Params, lr: ScalarLike
    ) -> tuple[Params, State]:
        """(ẋ, ṡ), the continuous-time limit."""

    def step(
        self, x: Params, state: State, grad: Params, lr: ScalarLike
    ) -> tuple[Params, State]:
        """One step of the map, (x₊, s₊)."""
        delta, state = self.update(x, state, grad, lr)
        return tree.add(x, delta), state


class AbstractLyapunovOptimizer(AbstractOptimizer):
    """An optimizer whose flow has a Lyapunov function.

    An optimizer whose flow has a Lyapunov function H with Ḣ = −D, D ≥ 0.
    """

    @abc.abstractmethod
    def energy(
        self,
        t: ScalarLike,
        x: Params,
        state: State,
        value: ScalarLike,
        lr: ScalarLike,
    ) -> Scalar:
        """H, where `value` = f(x)."""

    @abc.abstractmethod
    def dissipation(
        self, t: ScalarLike, x: Params, state: State, grad: Params, lr: ScalarLike
    ) -> Scalar:
        """The claimed D = −Ḣ ≥ 0 along the flow with `grad` = ∇f(x)."""


class Step(NamedTuple):
    """Everything observed of one step: what a balance is drawn up from.

    `delta` is the displacement as the optimizer returned it, before x₊ = x + δ was
    rounded to the dtype of x. None: it is read off, x₊ − x, and known to that rounding.
    """

    index: Int[Array, ""]
    x: Params
    state: State
    grad: Params
    lr: ScalarLike
    x_next: Params
    state_next: State
    value: Scalar
    value_next: Scalar
    delta: Params | None = None

    @property
    def displacement(self) -> Params:
        """δ as kept, or as read off."""
        if self.delta is not None:
            return self.delta
        return tree.sub(tree.wide(self.x_next), tree.wide(self.x))


class AbstractAccountedOptimizer(AbstractOptimizer):
    """A method whose steps have an exact account in some energy.

    The account need not promise that the energy falls: it says where the change went.
    """

    @abc.abstractmethod
    def balance(self, step: Step, smoothness: ScalarLike | None = None) -> Ledger:
        """The account of an observed step, with what is claimed of it as checks.

        Args:
            step: before, after, and the vector fed to the optimizer as its gradient.
            smoothness: a Lipschitz constant L of ∇f, if one is known.
        """


class AbstractBalancedOptimizer(AbstractAccountedOptimizer, AbstractLyapunovOptimizer):
    """An optimizer whose *map* has a known energy balance too: a proved account."""


class AbstractKappaOptimizer(AbstractBalancedOptimizer):
    """A balanced method that steps along ∇κ of any convex κ.

    What is claimed of it for every κ is asked of it with κ replaced.
    """

    kappa: eqx.AbstractVar[AbstractKappa]


class Minimum(NamedTuple):
    """Where f is smallest, and how small it is there.

    A minimiser x* and f* = f(x*): what a rate of convergence is measured against.
    """

    x: Params
    value: Scalar


class AbstractRatedFlow(AbstractOptimizer):
    """A method whose flow has a V ≥ 0 that falls at a proved rate on a class of f.

    V may depend on the minimum, which only an experiment knows, so this is no
    certificate for a training run; its law is V̇ ≤ −decay.
    """

    @abc.abstractmethod
    def lyapunov(
        self,
        t: ScalarLike,
        x: Params,
        state: State,
        f: Callable[[Params], Scalar],
        minimum: Minimum,
        lr: ScalarLike,
    ) -> Scalar:
        """V along the flow."""

    @abc.abstractmethod
    def decay(
        self,
        t: ScalarLike,
        x: Params,
        state: State,
        f: Callable[[Params], Scalar],
        minimum: Minimum,
        lr: ScalarLike,
    ) -> Scalar:
        """The proved lower bound of −V̇, as √μ·V."""


class AbstractRatedMap(AbstractOptimizer):
    """A method whose map has a V_k ≥ 0 with V_{k+1} ≤ factor·V_k on a class of f."""

    @abc.abstractmethod
    def potential(
        self,
        k: ScalarLike,
        x: Params,
        state: State,
        f: Callable[[Params], Scalar],
        minimum: Minimum,
        lr: ScalarLike,
    ) -> Scalar:
        """V before step k = 0, 1, …; f may be evaluated wherever the proof does."""

    @abc.abstractmethod
    def factor(self, k: ScalarLike, lr: ScalarLike) -> Scalar:
        """The proved bound of V_{k+1}/V_k, at most 1."""


class AbstractRefinableOptimizer(AbstractOptimizer):
    """A method whose hyper-parameters count steps, not time: β = 1 − a·lr.

    Its map tends to its flow when the step is refined at a fixed a, not at a fixed β.
    """

    @abc.abstractmethod
    def refined(self, lr: ScalarLike, finer: ScalarLike) -> AbstractOptimizer:
        """The method whose flow at the step `finer` is the flow of this one at `lr`."""


class AbstractSwitchedOptimizer(AbstractOptimizer):
    """A method whose flow may jump, as a sign does where an entry passes through 0.

    No adaptive solver follows a flow that jumps; what is claimed of it is checked at
    states one by one.
    """

    @property
    @abc.abstractmethod
    def continuous(self) -> bool:
        """Whether (ẋ, ṡ) depends continuously on the state."""


class AbstractConditionalOptimizer(AbstractLyapunovOptimizer):
    """A method whose D ≥ 0 is proved for some of its hyper-parameters only."""

    @abc.abstractmethod
    def condition(self) -> dict[str, Check]:
        """The proof's conditions by name, known before any run: margin ≥ 0.

        Where one is violated the claimed D is still −Ḣ, but nothing says D ≥ 0.
        """


def is_continuous(opt: AbstractOptimizer) -> bool:
    return not isinstance(opt, AbstractSwitchedOptimizer) or opt.continuous


class AbstractFlow(eqx.Module):
    """ẏ = field(t, y, args), y = (x, state): plug `field` into `diffrax.ODETerm`."""

    opt: eqx.AbstractVar[AbstractOptimizer]
    f: eqx.AbstractVar[Callable[[Params], Scalar]]
    lr: eqx.AbstractVar[ScalarLike]

    def init(self, x: Params) -> tuple[Params, State]:
        return x, self.opt.init(x)

    def field(self, t, y, args=None):
        del args
        x, state = y
        return self.opt.flow(t, x, state, jax.grad(self.f)(x), self.lr)


class Flow(AbstractFlow):
    """A flow about whose energy nothing is claimed."""

    opt: AbstractOptimizer
    f: Callable[[Params], Scalar]
    lr: ScalarLike


class LyapunovFlow(AbstractFlow):
    """A flow with its energy and the claimed dissipation.

    A flow with an energy H(t, y, args) that claims Ḣ = −dissipation(t, y, args).
    """

    opt: AbstractLyapunovOptimizer
    f: Callable[[Params], Scalar]
    lr: ScalarLike

    def energy(self, t, y, args=None):
        del args
        x, state = y
        return self.opt.energy(t, x, state, self.f(x), self.lr)

    def dissipation(self, t, y, args=None):
        del args
        x, state = y
        return self.opt.dissipation(t, x, state, jax.grad(self.f)(x), self.lr)


@overload
def as_flow(
    opt: AbstractLyapunovOptimizer,
    f: Callable[[Params], Scalar],
    lr: ScalarLike = 1.0,
) -> LyapunovFlow: ...
@overload
def as_flow(
    opt: AbstractOptimizer, f: Callable[[Params], Scalar], lr: ScalarLike = 1.0
) -> Flow | LyapunovFlow: ...
def as_flow(
    opt: AbstractOptimizer, f: Callable[[Params], Scalar], lr: ScalarLike = 1.0
) -> Flow | LyapunovFlow:
    """The continuous-time limit of `opt` on the loss f.

    Args:
        opt: the optimizer.
        f: x → scalar loss; close over the data.
        lr: the learning rate at which the flow is read off (see the module docstring).

    Returns:
        A `LyapunovFlow` when the optimizer has a Lyapunov function, else a `Flow`:
        an energy that does not exist is absent by type.
    """
    if not callable(f):
        raise TypeError(
            f"f: given {type(f).__name__}; accepted is a function x → loss."
        )
    if isinstance(opt, AbstractLyapunovOptimizer):
        return LyapunovFlow(opt, f, lr)
    return Flow(opt, f, lr)
