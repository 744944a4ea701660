"""How far a law is from a motion that it has not been shown: a free run."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dynax.mechanics.learn.segments import rollout, state
from dynax.mechanics.learn.trajectory import Trajectory
from dynax.mechanics.mpm.body import Materials
from dynax.mechanics.mpm.solver import MPM


class Free(NamedTuple):
    """A free run beside the truth.

    Args:
        x: (k + 1, N, d); where the run failed, the start.
        mse: the mean of (x̂ − x)² over every fifth state after the first, points and
            coordinates, m² (Ma et al. 2023).
        reached: how many steps were made.
    """

    x: Float[Array, "k N d"]
    mse: Float[Array, ""]
    reached: Int[Array, ""]


@eqx.filter_jit
def free_run(
    solver: MPM, args: Materials, trajectory: Trajectory, start: Any = None
) -> Free:
    """From the trajectory's first state, or from `start`, on to its end.

    Nothing is raised where the run fails: `reached` tells, and the points count as if
    they stayed at the start.

    Args:
        solver, args: of the run; `filled(materials, law)` puts a law in its place.
        trajectory: the truth, of which only places are compared.
        start: a `Body`, needed where the trajectory has places only.
    """
    truth, steps = trajectory.y.x, trajectory.steps
    if start is None:
        if not trajectory.full:
            raise ValueError(
                "start: given none and a trajectory of places only; accepted is a "
                "state to start from."
            )
        start = jax.tree.map(lambda a: a[0], state(trajectory, args))
    x, _, reached = rollout(solver, args, start, trajectory.dt, steps)
    mse = jnp.mean((x - truth)[5::5] ** 2)
    return Free(x, mse, reached)
