"""Finite-time exponents on a grid: where neighbours part most, by the derivative.

    σ_T(x) = (1/T) ln ‖∂φ_T(x)‖₂

Ridges of σ are barriers to transport. Differences between neighbouring points of a grid
cannot exceed (1/T) ln(size of the domain/spacing); the derivative can.

Source: Shadden, Lekien, Marsden, Physica D 212 (2005) 271.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_positive, require
from dynax._types import ScalarLike
from dynax.dynamics.steps import FlowStep


class FiniteTime(NamedTuple):
    """The exponent σ at each point, and det ∂φ, 1 where a flow keeps volume."""

    value: Float[Array, "..."]
    determinant: Float[Array, "..."]


def flow_map(step: Callable, steps: int) -> Callable:
    """Return y ↦ φ_T(y): so many steps; of a driven flow, from time 0."""
    require(steps >= 1, "steps", steps, "at least 1")
    driven = isinstance(step, FlowStep) and step.driven

    def run(y):
        state = (jnp.zeros((), jnp.int32), y) if driven else y
        state, _ = jax.lax.scan(lambda y, _: (step(y), None), state, length=steps)
        return state[1] if driven else state

    return run


def ftle(
    flow: Callable[[Float[Array, " n"]], Float[Array, " n"]],
    grid: Float[Array, "*grid n"],
    *,
    time: ScalarLike,
    batch: int = 4096,
) -> FiniteTime:
    """Compute the finite-time exponents of a flow map on a grid of points.

    Args:
        flow: y ↦ φ_T(y), as `flow_map` makes it.
        grid: the points, coordinates last.
        time: T.
        batch: how many points are carried at once.

    Raises:
        ValueError: T is not positive; or a grid without points.
    """
    check_positive(time=time)
    require(grid.ndim >= 1 and grid.size, "grid", grid.shape, "points (…, n)")
    return _ftle(flow, grid, jnp.asarray(time), min(batch, grid[..., 0].size))


@eqx.filter_jit
def _ftle(flow, grid, time, batch: int) -> FiniteTime:
    def one(y):
        j = jax.jacfwd(flow)(y)
        return jnp.log(jnp.linalg.norm(j, 2)), jnp.linalg.det(j)

    points = grid.reshape(-1, grid.shape[-1])
    log, det = jax.lax.map(one, points, batch_size=batch)
    value = log / tree.cast(time, log.dtype)
    return FiniteTime(value.reshape(grid.shape[:-1]), det.reshape(grid.shape[:-1]))
