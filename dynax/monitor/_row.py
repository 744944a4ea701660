"""One ledger row of one observed step, for whatever the optimizer is able to claim."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
    Step,
)
from dynax.lyapunov import INSIDE, Ledger


def observe(
    opt: AbstractOptimizer, step: Step, smoothness: ScalarLike | None = None
) -> Ledger:
    """The row of `step`.

    A balanced optimizer is audited by its own balance. One with a Lyapunov function of
    its flow only has H recorded beside −lr·D, the first-order prediction; the map's H
    may rise, so nothing is judged. Any other has its loss recorded.
    """
    if isinstance(opt, AbstractBalancedOptimizer):
        return opt.balance(step, smoothness)
    dtype = tree.widest(step.x)
    zero = jnp.zeros((), dtype)
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
        terms = {"dissipation": spent}
    else:
        before, after, spent, terms = step.value, step.value_next, zero, {}
    before, after = before.astype(dtype), after.astype(dtype)
    return Ledger(
        step=step.index,
        energy=before,
        change=after - before,
        predicted=-spent,
        defect=after - before + spent,
        scale=jnp.abs(spent),
        terms=terms,
        phase=jnp.asarray(INSIDE),
        distance=zero,
        stationarity=zero,
        checks={},
    )
