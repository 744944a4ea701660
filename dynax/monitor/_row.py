"""Ledger rows of what an optimizer claims: of one step, of its hyper-parameters."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import Params, ScalarLike
from dynax.flow import (
    AbstractAccountedOptimizer,
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
    Step,
)
from dynax.lyapunov import Ledger, ledger_row


def row_of_step(
    opt: AbstractOptimizer, step: Step, smoothness: ScalarLike | None = None
) -> Ledger:
    """Draw up the ledger row of one step.

    An optimizer with an account of its steps is audited by that. One with a Lyapunov
    function of its flow only has H recorded beside −lr·D, the first-order prediction;
    the map's H may rise, so nothing is judged. Any other has its loss recorded.
    """
    if isinstance(opt, AbstractAccountedOptimizer):
        return opt.balance(step, smoothness)
    dtype = tree.result_dtype(step.x)
    predicted, terms = None, {}
    if isinstance(opt, AbstractLyapunovOptimizer):
        # an autonomous time: H at the step's own clock, before and after
        t = step.index.astype(dtype) * tree.cast(step.lr, dtype)
        t_next = t + tree.cast(step.lr, dtype)
        before = opt.energy(t, step.x, step.state, step.value, step.lr)
        after = opt.energy(
            t_next, step.x_next, step.state_next, step.value_next, step.lr
        )
        fall = opt.dissipation(t, step.x, step.state, step.grad, step.lr)
        spent = tree.cast(step.lr, dtype) * fall.astype(dtype)
        predicted, terms = -spent, {"dissipation": spent}
    else:
        before, after = step.value, step.value_next
    before, after = before.astype(dtype), after.astype(dtype)
    change = after - before
    return ledger_row(step.index, before, change, {}, predicted=predicted, terms=terms)


def condition_row(opt: AbstractConditionalOptimizer, x: Params) -> Ledger:
    """Draw up the row of what a proof asks of the hyper-parameters: no energy in it.

    The checks are of numbers of order 1.
    """
    zero = jnp.zeros((), tree.result_dtype(x))
    return ledger_row(0, zero, zero, opt.condition(), scale=zero + 1)
