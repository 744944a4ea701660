"""An optax transformation, and on fresh batches what it does in expectation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from dynax import _tree as tree
from dynax._check import require
from dynax.certify.assumptions import AbstractGiven, Evidence
from dynax.flow import AbstractLyapunovOptimizer, AbstractOptimizer, Step
from dynax.monitor import row_of_step


FIRST = 3  # audits that look whether the batch is that of the step


class WatchState(NamedTuple):
    """The count of steps, the state of the method within, and the evidence."""

    count: Int[Array, ""]
    inner: Any
    evidence: Evidence


def watched(
    test,
    tx: optax.GradientTransformation,
    claim: AbstractOptimizer | None,
    learning_rate: Any,
    read: Callable[[Any], Any],
) -> optax.GradientTransformationExtraArgs:
    """See `Sequential.watch`."""
    told = isinstance(test.assuming, AbstractGiven)
    if told:
        accepted = "G, or a function (x, x₊) → c, in training"
        require(test.assuming.bound is not None, "bound", None, accepted)
    require(callable(test.losses), "losses", test.losses, "a function (x, batch) → f_i")
    if test.batches is not None:
        _check_fresh(test.batches)
    within = optax.with_extra_args_support(tx)
    rate: Callable[[Any], Any] = (
        learning_rate if callable(learning_rate) else lambda count: learning_rate
    )

    def draw(fresh, count):
        if test.batches is not None:
            key = jax.random.fold_in(jax.random.key(test.seed), count)
            return test.batches(key)
        accepted = "update(…, fresh=batch), or Sequential(batches=key → batch)"
        require(fresh is not None, "fresh", None, accepted)
        return fresh

    def energy(step: Step) -> tuple[Array, Array]:
        """What a change of f adds to that of H, and what H changes by without it."""
        opt = claim
        if not isinstance(opt, AbstractLyapunovOptimizer):
            return step.value + 1, step.value
        row = lambda value: row_of_step(opt, step._replace(value_next=value)).change
        rest = row(step.value)
        return row(step.value + 1) - rest, rest

    def init(params):
        return WatchState(jnp.zeros((), jnp.int32), within.init(params), test.init())

    def update(updates, state, params=None, *, fresh=None, **extra):
        require(params is not None, "params", None, "update(grads, state, params)")
        assert params is not None
        grads = updates
        move = lambda: within.update(grads, state.inner, params, **extra)

        def audit(evidence, updates, inner):
            batch = draw(fresh, state.count)
            x_next = optax.apply_updates(params, updates)
            before = _each(test.losses, params, batch)
            after = _each(test.losses, x_next, batch)
            zero = jnp.zeros((), before.dtype)
            step = Step(
                index=state.count,
                x=params,
                state=read(state.inner),
                grad=grads,
                lr=rate(state.count),
                x_next=x_next,
                state_next=read(inner),
                value=zero,
                value_next=zero,
                delta=updates,
            )
            slope, rest = energy(step)
            if test.decrease is not None:
                rest = rest + test.decrease(params, x_next)
            bound = None
            if told:
                bound = test.assuming.of_step(params, x_next)
                bound = jnp.abs(slope) * bound + jnp.abs(rest)
            size = jnp.mean(jnp.abs(before) + jnp.abs(after)) / 2
            changes = slope * (after - before) + rest
            rounding = jnp.finfo(before.dtype).eps / 2 * size
            found = test.update(evidence, changes, bound, rounding)
            again = jax.lax.cond(
                evidence.audits < FIRST,
                lambda: _same(test.losses, params, batch, grads, updates),
                lambda: jnp.zeros((), bool),
            )
            return found._replace(same=found.same + again.astype(jnp.int32))

        if test.every == 1:
            updates, inner = move()
            evidence = audit(state.evidence, updates, inner)
        else:
            # The step is taken anew where it is audited: to keep it for a branch that
            # rarely runs would cost every step a copy.
            evidence = jax.lax.cond(
                state.count % test.every == 0,
                lambda: audit(state.evidence, *move()),
                lambda: state.evidence,
            )
            updates, inner = move()
        count = jnp.asarray(optax.safe_increment(state.count))
        return updates, WatchState(count, inner, evidence)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore


def _each(losses, x, batch) -> Array:
    """f_i(x), one number an example."""
    found = losses(x, batch)
    shape = jnp.shape(found)
    accepted = "a vector, one number an example"
    require(len(shape) == 1, "losses(x, batch)", f"shape {shape}", accepted)
    return found


def _same(losses, x, batch, grads, updates) -> Array:
    """Whether the mean loss of a batch has the gradient that made the step.

    Compared along the step, to a few roundings of the parameters.
    """
    along = tree.cast_like(updates, x)
    _, here = jax.jvp(lambda x: jnp.mean(losses(x, batch)), (x,), (along,))
    size = tree.map(jnp.abs, grads), tree.map(jnp.abs, updates)
    given, room = tree.vdot(grads, updates), 8 * tree.eps(x) * tree.vdot(*size)
    return (jnp.abs(here.astype(given.dtype) - given) <= room) & (room > 0)


def _check_fresh(batches) -> None:
    """Refuse batches that do not depend on the key."""
    with jax.ensure_compile_time_eval():
        pair = [batches(jax.random.key(k)) for k in (0, 1)]
    a, b = (tree.leaves(batch) for batch in pair)
    if tree.is_concrete(*a, *b):
        alike = all(np.array_equal(u, v) for u, v in zip(a, b, strict=True))
        accepted = "a function of the key that draws another one each time"
        require(not alike, "batches", "one and the same batch for two keys", accepted)
