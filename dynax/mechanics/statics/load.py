"""Equilibrium under loads that grow by steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from dynax._types import ScalarLike
from dynax.mechanics._body import AbstractBody
from dynax.mechanics.mesh import demand
from dynax.mechanics.statics._equation import Equation, constant, traced_floats
from dynax.mechanics.statics._newton import newton
from dynax.mechanics.statics.obstacle import Obstacle
from dynax.mechanics.statics.path import Path, finished, prepared, with_start


def load(
    body: AbstractBody,
    factors: int | ArrayLike = 1,
    moved: ArrayLike | None = None,
    dt: ScalarLike = np.inf,
    start: Path | None = None,
    throw: bool = True,
    obstacle: Obstacle | None = None,
    krylov: bool = False,
) -> Path:
    r"""Load a body by steps, each in equilibrium.

    u with λ fₐ − Σ V₀ P ∇Nₐ = 0 where nodes are free, u = λ moved where they are held,

    for each λ of `factors`, with the history of the law carried from step to step: at
    every trial of u its `update` is made from the last equilibrium. Newton's method is
    damped; each system is solved directly. Compiles once for a mesh and a law.

    Differentiable in both modes by parameters of the law, loads, `moved` and places of
    nodes, once, by the implicit function theorem: u = ū + K⁻¹r(ū), where ū and K count
    as constants.

    Args:
        body: a `Solid` or `Bar`; its `force` at λ = 1, with gravity.
        factors: k, for equal steps up to 1, or the λ themselves.
        moved: (n, d), displacements of held nodes at λ = 1; 0 if None.
        dt: duration of a step, s, for viscous laws; by default they relax fully.
        start: the path to continue, from its last state.
        throw: raise where no equilibrium is found; else `found` tells, as under jit.
        obstacle: what the body may touch; its distance is given λ.
        krylov: solve each system by conjugate gradients, for bodies in space of some
            thousand elements and more. Not for laws whose tangent is not symmetric, as
            with friction angles, nor beyond a limit point.

    Raises:
        ValueError: bad input; a body that can move or turn as a whole.
        TypeError: a mesh that is traced.
        RuntimeError: no equilibrium, at which step.
    """
    equal = isinstance(factors, int | np.integer)
    given = np.arange(1, factors + 1) / factors if equal else factors
    body, plan, begun, moved, dt = prepared(body, moved, dt, start)
    factors = jnp.asarray(given, begun[1].dtype)
    demand(
        factors.ndim == 1 and factors.size > 0,
        "factors",
        f"shape {factors.shape}",
        "a number of steps, or (k,)",
    )
    if obstacle is not None:
        n, given = len(moved), jnp.shape(obstacle.area)
        demand(given == (n,), "obstacle.area", f"shape {given}", f"({n},)")
        obstacle = traced_floats(obstacle)
    path = _load(body, plan, begun, factors, moved, dt, obstacle, krylov)
    return finished(path, throw)


@eqx.filter_jit
def _load(body, plan, begun, factors, moved, dt, obstacle, krylov) -> Path:
    def step(state, factor):
        (u, history), go = state
        equation = Equation(body, plan, history, moved, dt, obstacle, krylov)
        still, begin, at = constant((equation, u, factor))
        floor = still.floor(begin)
        found = newton(
            lambda u: still.residual(u, at),
            lambda u: still.tangent(u, at),
            lambda u, r: still.close(u, r, at, floor),
            begin,
            go,
        )
        u = found.y + equation.tangent(found.y, factor)(
            equation.residual(found.y, factor)
        )
        u = jnp.where(found.done, u, jnp.nan)
        history, reaction = equation.after(u, factor)
        row = Path(factor, u, history, reaction, found.done, found.iterations)
        return ((u, history), found.done), row

    start = begun[1:3], jnp.ones((), bool)
    _, path = jax.lax.scan(step, start, factors)
    return with_start(begun, path)
