"""A run with equal steps: `diffeqsolve`, and what can be said before and after."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dynax import _tree as tree
from dynax.material.kinematics import det
from dynax.mechanics.mpm.body import Body, Materials, several, wave_speed
from dynax.mechanics.mpm.film import plot
from dynax.mechanics.mpm.solver import MPM, RESULTS, Stress


class Motion(NamedTuple):
    """What came of a run.

    Args:
        t: (k,), times of the saved states in s; +∞ where a failed run did not arrive.
        y: the states, or what was observed of them, each leaf leading by time.
        result: of `mpm.RESULTS`; `RESULTS[result]` is its message.
        steps: how many were made; of a failed run, the last of them failed.
    """

    t: Float[Array, " k"]
    y: Any
    result: Any
    steps: Int[Array, ""]

    def plot(self, panels: int = 4):
        """Draw the motion as a row of pictures (`mpm.plot`; `mpm.film` moves)."""
        return plot(self, panels)


def simulate(
    solver: MPM,
    args: Materials,
    y0: Body,
    dt: float,
    steps: int,
    save_every: int = 1,
    adjoint: diffrax.AbstractAdjoint | None = None,
    throw: bool = True,
    observe: Callable[[Body], Any] = lambda y: y,
) -> Motion:
    """Run a simulation of material points with equal steps.

    `steps` steps of dt from t = 0, in the dtype of y0, y0 itself saved first.

    Args:
        solver: the method.
        args: a material, or a tuple of them.
        y0: the state at 0.
        dt: in s.
        steps: how many.
        save_every: save each such step; `steps` is a multiple of it.
        adjoint: if None, by reverse mode with every state kept: fastest. For the least
            memory `diffrax.RecursiveCheckpointAdjoint()`.
        throw: raise where a run fails and that can be seen: not within jit, vmap, grad,
            where `result` tells. If False, only `result` does.
        observe: what of a state is saved.

    Raises:
        ValueError: bad input; `check_start` of what is not traced.
        RuntimeError: the run failed, in which step and why.
    """
    for name, given in (("steps", steps), ("save_every", save_every)):
        if not isinstance(given, int | np.integer):
            raise ValueError(f"{name}: given {given!r}; accepted is an integer.")
    if not (steps > 0 and save_every > 0 and steps % save_every == 0):
        raise ValueError(
            f"save_every: given {save_every} with steps = {steps}; accepted is a "
            "divisor of steps > 0."
        )
    if isinstance(adjoint, diffrax.BacksolveAdjoint):
        raise ValueError(
            "adjoint: given BacksolveAdjoint; accepted are those that differentiate "
            "the steps made: contact and plastic flow cannot be run backwards."
        )
    check_start(solver, args, y0, dt)
    if adjoint is None:
        adjoint = diffrax.RecursiveCheckpointAdjoint(checkpoints=steps)
    times = tree.cast(dt, y0.x.dtype) * jnp.arange(steps + 1, dtype=y0.x.dtype)
    solution: Any = diffrax.diffeqsolve(
        Stress(),
        solver,
        times[0],
        times[-1],
        None,
        y0,
        args,
        stepsize_controller=diffrax.StepTo(times),
        saveat=diffrax.SaveAt(
            t0=True,
            steps=save_every,
            solver_state=True,
            fn=lambda t, y, args: observe(y),
        ),
        adjoint=adjoint,
        max_steps=steps,
        throw=False,
    )
    result, made = outcome(solution), solution.stats["num_steps"]
    if throw and not result.is_traced() and result != RESULTS.successful:
        raise RuntimeError(f"step {int(made)} of {steps}: {RESULTS[result]}")
    return Motion(solution.ts, solution.ys, result, made)


def outcome(solution: diffrax.Solution) -> Any:
    """Tell why a run ended, of `mpm.RESULTS`, if saved with
    `SaveAt(solver_state=True)`.
    """
    result = RESULTS.promote(solution.result)
    own = RESULTS.not_finite, RESULTS.outside, RESULTS.cfl, RESULTS.inverted
    for code, item in enumerate(own, 1):
        result = RESULTS.where(solution.solver_state == code, item, result)
    return result


def check_start(solver: MPM, args: Materials, y: Body, dt: float) -> None:
    """Refuse a start from which a run cannot begin: shapes always, and values where
    they are known.

    Raises:
        ValueError: which argument is wrong, and how.
    """
    solver.check(y, args)
    if not tree.is_concrete(solver, args, y, dt):
        return
    with jax.ensure_compile_time_eval():
        seen = {k: float(v) for k, v in _seen(solver, args, y).items()}
    for name in Body._fields:
        if not seen[name]:
            raise ValueError(f"y0.{name}: given NaN or infinity; accepted is finite.")
    if seen["lost"]:
        raise ValueError(
            f"y0.x: given {seen['lost']:.0f} points outside; accepted is ½dx ≤ x < "
            f"(n − 3/2)dx, with n = {solver.grid.nodes}, dx = {solver.grid.dx}."
        )
    if seen["det"] <= 0:
        raise ValueError(
            f"y0.F: given det F = {seen['det']:.3g}; accepted is det F > 0."
        )
    if not seen["stress"]:
        laws = ", ".join(type(g.law).__name__ for g in several(args))
        raise ValueError(
            f"law: given {laws}, whose stress of y0.F is not finite; accepted is one "
            "that is."
        )
    longest = float(solver.grid.dx) / seen["speed"]
    if not 0 < dt < longest:
        raise ValueError(
            f"dt: given {dt}; accepted is 0 < dt < {longest:.3g} s = dx/(c + |v|) with "
            f"c + |v| = {seen['speed']:.4g} m/s."
        )


@eqx.filter_jit
def _seen(solver: MPM, args: Materials, y: Body) -> dict[str, Array]:
    fine = lambda a: jnp.all(jnp.stack([jnp.all(jnp.isfinite(b)) for b in a]))
    tau = Stress().vf(0, y, args)
    speed = jnp.sqrt(jnp.max(jnp.sum(y.v**2, -1))) + wave_speed(args, y)
    return dict(
        lost=jnp.sum(~solver.grid.inside(y.x)),
        det=jnp.min(det(y.F)),
        stress=fine([tau]),
        speed=speed,
    ) | {name: fine([*tree.leaves(a), y.x[0]]) for name, a in y._asdict().items()}
