"""Iterate a map under `lax.scan`, its ledger among the outputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax._types import Params, ScalarLike, State
from dynax.flow import AbstractOptimizer, Step
from dynax.lyapunov import Ledger
from dynax.monitor._optax import LearningRate, _rate
from dynax.monitor._row import row_of_step


def iterate(
    opt: AbstractOptimizer,
    f: Callable,
    x: Params,
    learning_rate: LearningRate,
    *,
    steps: int | None = None,
    batches: PyTree | None = None,
    every: int = 1,
    smoothness: ScalarLike | None = None,
) -> tuple[tuple[Params, State], Ledger]:
    """Run the map and return ((x, state), ledger), rows stacked along time.

    Args:
        opt: the optimizer.
        f: loss, f(x) with `steps`, or f(x, batch) with `batches`.
        x: the start.
        learning_rate: a number or a schedule (count → number).
        steps: the number of steps.
        batches: a tree of arrays whose leading axis is time.
        every: audit steps 0, every, 2·every, …; the steps between cost nothing extra.
        smoothness: a Lipschitz constant of ∇f, to have the theorem's bound audited too.
    """
    look = lambda step: row_of_step(opt, step, smoothness)
    length = {"steps": steps, "batches": batches, "every": every}
    return scan_steps(opt, f, x, learning_rate, look, **length)


def scan_steps(
    opt: AbstractOptimizer,
    f: Callable,
    x: Params,
    learning_rate: LearningRate,
    look: Callable[[Step], PyTree],
    *,
    steps: int | None = None,
    batches: PyTree | None = None,
    every: int = 1,
) -> tuple[tuple[Params, State], PyTree]:
    """Run the map and return ((x, state), what `look` made of its steps, stacked).

    The arguments are those of `iterate`.
    """
    if (steps is None) == (batches is None):
        raise ValueError(
            f"steps, batches: given {'neither' if steps is None else 'both'}; accepted "
            "is one of the two."
        )
    length = steps if steps is not None else tree.leaves(batches)[0].shape[0]
    if every < 1 or length % every:
        raise ValueError(
            f"every: given {every}; accepted is a divisor of the {length} steps."
        )
    first = () if batches is None else (tree.map(lambda a: a[0], batches),)
    out = jax.eval_shape(f, x, *first)
    tree.check_scalar(tree.map(lambda s: np.zeros(s.shape, s.dtype), out), "f(x)")
    value_and_grad = jax.value_and_grad(f)
    dtype = tree.result_dtype(x)

    def advance(carry, batch, audited):
        k, x, state = carry
        data = () if batches is None else (batch,)
        value, grad = value_and_grad(x, *data)
        rate = _rate(learning_rate, k)
        delta, state_next = opt.update(x, state, grad, rate)
        x_next = tree.add(x, delta)
        out = None
        if audited:
            seen = Step(
                k,
                x,
                state,
                grad,
                rate,
                x_next,
                state_next,
                value.astype(dtype),
                f(x_next, *data).astype(dtype),
                delta,
            )
            out = look(seen)
        return (k + 1, x_next, state_next), out

    def group(carry, data):
        first = tree.map(lambda a: a[0], data)
        carry, row = advance(carry, first, True)
        rest = tree.map(lambda a: a[1:], data)
        carry, _ = jax.lax.scan(
            lambda c, b: advance(c, b, False), carry, rest, length=every - 1
        )
        return carry, row

    start = jnp.zeros((), jnp.int32), x, opt.init(x)
    grouped = tree.map(
        lambda a: a.reshape(length // every, every, *a.shape[1:]), batches
    )
    (_, x, state), rows = jax.lax.scan(group, start, grouped, length=length // every)
    return (x, state), rows
