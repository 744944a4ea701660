"""Steps of a method on a loss that stays the same meanwhile."""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx
from jax import lax
from jaxtyping import PyTree


def gradient_state(method: optax.GradientTransformation, params: PyTree):
    """The method's first state."""
    # a weakly typed number in it would have every program compiled twice
    number = lambda a: eqx.is_array(a) and jnp.issubdtype(a.dtype, jnp.number)
    strong = lambda a: a.astype(a.dtype) if number(a) else a
    return jax.tree.map(strong, method.init(params))


def gradient_step(
    method: optax.GradientTransformation,
    loss: Callable,
    params,
    state,
    value,
    grad,
    new,
):
    """(params, state) after one step; `new` where the loss is not the last step's."""
    tx: Any = optax.with_extra_args_support(method)
    given = {"value": value, "grad": grad, "value_fn": loss, "fresh": new}
    asked = inspect.signature(tx.update).parameters
    if not any(a.kind is a.VAR_KEYWORD for a in asked.values()):
        given = {name: a for name, a in given.items() if name in asked}
    updates, state = tx.update(grad, state, params, **given)
    return optax.apply_updates(params, updates), state


def descend(
    method: optax.GradientTransformation, loss: Callable, params, state, count: int
):
    """(params, state) after `count` steps on a loss that the method has not seen."""
    # a line search leaves f and ∇f behind: good until the objective changes
    searched = optax.tree.get_all_with_path(state, "grad")
    if searched:
        value = jax.eval_shape(loss, params)
        state = optax.tree.set(state, value=jnp.full(value.shape, jnp.inf, value.dtype))

    def body(both, first):
        params, state = both
        if searched:
            found = optax.value_and_grad_from_state(loss)(params, state=state)
        else:
            found = jax.value_and_grad(loss)(params)
        return gradient_step(method, loss, params, state, *found, first), None

    first = jnp.arange(count) == 0
    return lax.scan(body, (params, state), first)[0]


def least_squares_state(
    solver: optx.AbstractLeastSquaresSolver, rows: Callable, params, args
):
    """The solver's first state."""
    shape = jax.eval_shape(rows, params, args)[0]
    return solver.init(rows, params, args, {}, shape, None, frozenset())


def least_squares(
    solver: optx.AbstractLeastSquaresSolver,
    rows: Callable,
    params,
    state,
    args,
    count: int,
):
    """(params, state) after `count` steps on ½‖rows(params, args)‖²."""

    def body(both, _):
        params, state = both
        params, state, _ = solver.step(rows, params, args, {}, state, frozenset())
        return (params, state), None

    return lax.scan(body, (params, state), length=count)[0]
