"""The largest Lyapunov exponent of a map, of training for one.

    Λ = lim (1/t) ln‖Dφᵗ(y₀)·v₀‖

The tangent v is carried by one jvp a step and brought back to length 1 every k steps;
the logarithms of its lengths add up. Λ > 0 is chaos, Λ < 0 a stable cycle or point.

Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980) 9.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractOptimizer


class Exponent(NamedTuple):
    """Λ per unit of time, how it converged, and its statistical error.

    `series[j]` is the estimate after renormalisation j; `error` the standard error from
    the means of eight consecutive parts of the run (they are correlated a little).
    """

    value: Scalar
    series: Float[Array, " renormalisations"]
    error: Scalar
    end: PyTree


def largest_exponent(
    step: Callable[[PyTree], PyTree],
    y: PyTree,
    key: PRNGKeyArray,
    *,
    steps: int,
    every: int = 1,
    discard: int = 0,
    time: ScalarLike = 1.0,
) -> Exponent:
    """The largest Lyapunov exponent of y ↦ step(y).

    Args:
        step: one step of the map; of a flow, one step of a solver.
        y: the start, a pytree; its floating-point arrays are the coordinates, anything
            else (a counter) is carried along.
        key: of the random first tangent.
        steps: the steps that count.
        every: renormalise each so many, a divisor of `steps`; too many overflow.
        discard: steps before, while y comes near the attractor and v turns.
        time: what one step lasts, so that Λ is per unit of it.
    """
    for name, given in (("steps", steps), ("discard", discard)):
        if every < 1 or given % every or given < 0:
            raise ValueError(
                f"every: given {every}; a divisor of {name} = {given} accepted."
            )
    if steps < 8 * every:
        raise ValueError(f"steps: given {steps}; at least 8·every accepted.")
    moving, _ = eqx.partition(y, eqx.is_inexact_array)
    keys = jax.random.split(key, max(1, len(tree.leaves(moving))))
    keys = jax.tree.unflatten(jax.tree.structure(moving), list(keys))
    draw = lambda a, k: jax.random.normal(k, a.shape, a.dtype)
    tangent, _ = _unit(tree.map(draw, moving, keys))

    def advance(carry, _):
        y, tangent = carry
        moving, fixed = eqx.partition(y, eqx.is_inexact_array)

        def go(moving):
            after = step(eqx.combine(moving, fixed))
            return eqx.partition(after, eqx.is_inexact_array)

        moving, tangent, fixed = jax.jvp(go, (moving,), (tangent,), has_aux=True)
        return (eqx.combine(moving, fixed), tangent), None

    def group(carry, _):
        (y, tangent), _ = jax.lax.scan(advance, carry, length=every)
        tangent, length = _unit(tangent)
        return (y, tangent), jnp.log(length)

    carry, _ = jax.lax.scan(group, (y, tangent), length=discard // every)
    (end, _), logs = jax.lax.scan(group, carry, length=steps // every)
    span = tree.cast(time, logs.dtype) * every
    count = jnp.arange(1, logs.size + 1, dtype=logs.dtype)
    parts = logs[: logs.size // 8 * 8].reshape(8, -1).mean(axis=1)
    error = jnp.std(parts, ddof=1) / 8**0.5
    series = jnp.cumsum(logs) / (count * span)
    return Exponent(series[-1], series, error / span, end)


def training_map(
    opt: AbstractOptimizer, f: Callable[[Params], Scalar], lr: ScalarLike
) -> Callable[[PyTree], PyTree]:
    """(x, state) ↦ (x₊, state₊), one step of `opt` on the loss f."""

    def step(y):
        x, state = y
        return opt.step(x, state, jax.grad(f)(x), lr)

    return step


def _unit(v: PyTree) -> tuple[PyTree, Scalar]:
    length = jnp.sqrt(tree.vdot(v, v))
    return tree.map(lambda a: a / length.astype(a.dtype), v), length
