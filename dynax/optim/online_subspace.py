"""Online subspace descent: any optimizer run in a moving subspace."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from dynax import _tree as tree
from dynax._types import Params, Scalar, State
from dynax.flow import (
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractRefinableOptimizer,
    AbstractSwitchedOptimizer,
    is_continuous,
)
from dynax.optim._relatives import (
    check_hamiltonian,
    check_optimizer,
    condition_of,
    refine,
)


class SubspaceState(NamedTuple):
    """The time, by which the subspace moves, and the state of the optimizer in it."""

    time: Scalar
    inner: State


class OnlineSubspaceDescent(
    AbstractConditionalOptimizer, AbstractRefinableOptimizer, AbstractSwitchedOptimizer
):
    """Run an optimizer in a subspace that is updated as it goes.

    x₊ − x = P_t·δ̂,  δ̂ the step of `opt` on the gradient P_tᵀg: its state is small.

    Flow, with H(x, s) = w·f(x) + K(s) of `opt`:
        ẋ = P_t·a(s, P_tᵀg),  ṡ = b(s, P_tᵀg),  ṫ = 1      (a, b the flow of `opt`)

    Certificate: the same H and the same Ḣ = −D(s, P_tᵀg), for any P_t, however it
    moves: ⟨g, Pa⟩ = ⟨Pᵀg, a⟩. So P must be the adjoint of what projects the gradient;
    it is not written down here but taken as the transpose of `project`. Euler steps of
    length h leave H rising by O(h²) at most where P_t is smooth.

    Source: Liang et al., arXiv:2408.12857, Sections 3 and 4 (any schedule P_t; there it
    is learnt). GaLore is P_t that is piecewise constant.

    Args:
        opt: an optimizer with H = w·f(x) + K(s), as LionKappa at λ = 0.
        project: (t, g) → P_tᵀg, linear in g; a tree like x to a smaller one. If it has
            parameters to trace, an equinox Module or `jax.tree_util.Partial`.
    """

    opt: AbstractLyapunovOptimizer
    project: Callable[[Scalar, Params], Params]

    def __init__(self, opt: AbstractLyapunovOptimizer, project: Callable[..., Any]):
        check_optimizer(opt, AbstractLyapunovOptimizer)
        if not callable(project):
            raise TypeError(
                f"project: given {type(project).__name__}; accepted is a function "
                "(t, g) → P_tᵀg."
            )
        self.opt = opt
        held: Any = project
        if not isinstance(project, eqx.Module | Partial):
            held = Partial(project)
        self.project = held

    @property
    def continuous(self):
        return is_continuous(self.opt)

    def condition(self):
        return condition_of(self.opt)

    def refined(self, lr, finer):
        return OnlineSubspaceDescent(refine(self.opt, lr, finer), self.project)

    def init(self, x):
        tree.check_params(x)
        time = jnp.zeros((), tree.result_dtype(x))
        small = tree.map(jnp.zeros_like, self.project(time, x))
        check_hamiltonian(self.opt, small)
        return SubspaceState(time, self.opt.init(small))

    def update(self, x, state, grad, lr):
        small, up = self._both(state.time, x, grad)
        here = tree.zeros_like(small)
        delta, inner = self.opt.update(here, state.inner, small, lr)
        time = state.time + tree.cast(lr, state.time.dtype)
        return up(delta), SubspaceState(time, inner)

    def flow(self, t, x, state, grad, lr):
        small, up = self._both(state.time, x, grad)
        here = tree.zeros_like(small)
        rate, inner = self.opt.flow(t, here, state.inner, small, lr)
        return up(rate), SubspaceState(jnp.ones_like(state.time), inner)

    def energy(self, t, x, state, value, lr):
        here = tree.zeros_like(jax.eval_shape(self.project, state.time, x))
        return self.opt.energy(t, here, state.inner, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        small, _ = self._both(state.time, x, grad)
        here = tree.zeros_like(small)
        return self.opt.dissipation(t, here, state.inner, small, lr)

    def _both(self, time, x, grad):
        """P_tᵀg, and y ↦ P_t y."""
        down = lambda g: self.project(time, g)
        up = jax.linear_transpose(down, x)
        return down(grad), lambda y: up(y)[0]
