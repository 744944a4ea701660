"""An optimizer as an optax transformation, and a ledger around any of those."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from dynax import _tree as tree
from dynax._types import Params, ScalarLike, State, Step as Count
from dynax.flow import AbstractOptimizer, Step
from dynax.lyapunov import Ledger, Tally, merge, tally
from dynax.monitor._row import row_of_step


LearningRate = ScalarLike | optax.Schedule


class OptaxState(NamedTuple):
    """The optimizer's own state and the number of steps taken."""

    count: Count
    state: State


class AuditState(NamedTuple):
    """The audited transformation's state beside O(1) scalars: last row and tally."""

    count: Count
    inner: Any
    ledger: Ledger
    tally: Tally


@runtime_checkable
class Watcher(Protocol):
    """What judges a transformation in expectation: `dynax.certify.Sequential`."""

    def watch(
        self,
        tx: optax.GradientTransformation,
        *,
        claim: AbstractOptimizer | None = None,
        learning_rate: Any = None,
        read: Callable[[Any], Any] = ...,
    ) -> optax.GradientTransformationExtraArgs: ...


def as_optax(
    opt: AbstractOptimizer,
    learning_rate: LearningRate,
    *,
    every: int = 0,
    smoothness: ScalarLike | None = None,
    audit: Watcher | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The map of `opt` as an optax transformation, audited every `every` steps.

    Args:
        opt: the optimizer.
        learning_rate: a number or an optax schedule (count → number).
        every: 0 for no ledger; k ≥ 1 to draw up a row at steps 0, k, 2k, …, which needs
            `update(grads, state, params, value=f(params), value_fn=f)` with f the loss
            on the same batch. Find it by `optax.tree.get(state, "ledger")`, and all
            rows so far by `optax.tree.get(state, "tally")`.
        smoothness: a Lipschitz constant of ∇f, to have the theorem's bound audited too.
        audit: a `dynax.certify.Sequential`: on fresh batches it judges whether H of the
            optimizer, or f where it has none, falls in expectation.
    """
    if not isinstance(opt, AbstractOptimizer):
        raise TypeError(
            f"opt: given {type(opt).__name__}; accepted is a dynax.AbstractOptimizer."
        )

    def init(params):
        return OptaxState(jnp.zeros((), jnp.int32), opt.init(params))

    def update(updates, state, params=None, **extra):
        del extra
        grads = updates
        if params is None:
            raise ValueError(
                "params: given None; accepted is update(grads, state, params)."
            )
        tree.check_match(params, grads, "params", "grads")
        delta, inner = opt.update(
            params, state.state, grads, _rate(learning_rate, state.count)
        )
        return delta, OptaxState(_next(state.count), inner)

    tx, read = optax.GradientTransformationExtraArgs(init, update), _state
    if every:
        read = lambda state: state.inner.state
        tx = keep_ledger(
            tx, opt, learning_rate, every=every, read=_state, smoothness=smoothness
        )
    if audit is None:
        return tx
    return audit.watch(tx, claim=opt, learning_rate=learning_rate, read=read)


def _state(state: OptaxState) -> State:
    return state.state


def audit(
    tx: optax.GradientTransformation,
    claim: AbstractOptimizer,
    learning_rate: LearningRate,
    *,
    read: Callable[[Any], State],
    every: int = 1,
    smoothness: ScalarLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Hold the updates of *any* optax transformation against what `claim` says.

    `audit(optax.lion(lr, …), LionKappa(…), lr, read=LionState.from_optax)` changes one
    line of a training loop and no bit of its parameters. Rows come from what `tx` did,
    so an implementation error shows as a defect.

    Args:
        tx: the transformation that trains.
        claim: the optimizer it is said to be.
        learning_rate: the one `tx` uses, a number or a schedule.
        read: state of `tx` → state of `claim`.
        every, smoothness: as in `as_optax`. Skipped steps run none of the accounts.

    Raises:
        ValueError: `every` < 1; at trace time, `value` or `value_fn` missing or not
            scalar, or gradients that differ from the parameters in structure.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every: given {every!r}; accepted is an integer ≥ 1.")
    tx = optax.with_extra_args_support(tx)

    def row(count, params, before, grads, updates, after, value, value_fn):
        dtype = tree.result_dtype(params)
        x_next = optax.apply_updates(params, updates)
        value_next = _loss(value_fn, x_next)
        tree.check_scalar(value_next, "value_fn(params)")
        rate = _rate(learning_rate, count)
        step = Step(
            index=count,
            x=params,
            state=read(before),
            grad=grads,
            lr=rate,
            x_next=x_next,
            state_next=read(after),
            value=jnp.asarray(value).astype(dtype),
            value_next=jnp.asarray(value_next).astype(dtype),
            delta=updates,
        )
        return row_of_step(claim, step, smoothness)

    def init(params):
        tree.check_params(params)
        inner = tx.init(params)
        zero = jnp.zeros((), jnp.int32)
        shapes = jax.eval_shape(
            lambda p, s: row(zero, p, s, p, p, s, 0.0, lambda _: 0.0), params, inner
        )
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        empty = empty._replace(step=jnp.asarray(-1, empty.step.dtype))
        return AuditState(zero, inner, empty, tally(empty))

    def update(updates, state, params=None, *, value=None, value_fn=None, **extra):
        grads = updates
        if params is None:
            raise ValueError(
                "params: given None; accepted is update(grads, state, params)."
            )
        for name, given in (("value", value), ("value_fn", value_fn)):
            if given is None:
                raise ValueError(
                    f"{name}: given None; accepted is update(grads, state, params, "
                    "value=f(params), value_fn=f) with f the loss on the same batch."
                )
        tree.check_scalar(value, "value")
        tree.check_match(params, grads, "params", "grads")

        def transform(grads, inner, params):
            given = {"value": value, "value_fn": value_fn, **extra}
            return tx.update(grads, inner, params, **given)

        def draw(delta, after):
            seen = state.count, params, state.inner, grads, delta, after
            new = row(*seen, value, value_fn)
            return new, merge(state.tally, tally(new))

        before = grads, state.inner, params
        if every == 1:
            updates, inner = transform(*before)
            ledger, folded = draw(updates, inner)
        else:
            # The step is taken anew where it is audited: to keep the displacement and
            # both momenta for a branch that rarely runs would cost every step a copy.
            ledger, folded = jax.lax.cond(
                state.count % every == 0,
                lambda: draw(*transform(*before)),
                lambda: (state.ledger, state.tally),
            )
            updates, inner = transform(*before)
        count = _next(state.count)
        return updates, AuditState(count, inner, ledger, folded)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore


keep_ledger = audit


def _loss(value_fn: Callable, x: Params):
    """f(x), of the parameters as this transformation sees them."""
    try:
        return value_fn(x)
    except Exception as error:
        masked = lambda a: isinstance(a, optax.MaskedNode)
        inside = any(map(masked, jax.tree.leaves(x, is_leaf=masked)))
        given = "masked parts of a tree" if inside else f"{jax.tree.structure(x)}"
        raise ValueError(
            f"value_fn: given {given}, on which it raised an error; accepted is a loss "
            "of the parameters that are audited. Inside optax.masked, partition or "
            "flatten these are not the whole tree that the loss takes: audit outside, "
            "as dx.audit(optax.partition(…), dx.Partition(…), …)."
        ) from error


def _next(count: Count) -> Count:
    return jnp.asarray(optax.safe_increment(count))


def _rate(learning_rate: LearningRate, count: Count) -> Any:
    return learning_rate(count) if callable(learning_rate) else learning_rate
