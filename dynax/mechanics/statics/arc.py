"""Equilibrium along the path of a body whose load may fall: arc length."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.mechanics._body import AbstractBody
from dynax.mechanics.mesh import demand
from dynax.mechanics.statics._equation import Equation
from dynax.mechanics.statics._newton import newton
from dynax.mechanics.statics.path import Path, finished, prepared, with_start


def arc(
    body: AbstractBody,
    steps: int,
    first: ScalarLike,
    moved: ArrayLike | None = None,
    start: Path | None = None,
    throw: bool = True,
) -> Path:
    r"""Follow equilibria past limit points, by steps of equal length ℓ.

    u and λ with r(u, λ) = 0 as in `load` and ⟨t, u − u₀⟩ = ℓ,

    where t is the direction of ∂u/∂λ at the last state u₀, |t| = 1, and points ahead.
    ℓ = |∂u/∂λ|·first of the first step. The load factor is found, and may fall: where a
    body snaps through, softens or loosens. Differentiable as `load` is, where t and ℓ
    count as constants.

    Source: Riks, Int. J. Solids Struct. 15 (1979); Wempner, ibid. 7 (1971).

    Args:
        body, moved, start, throw: as of `load`.
        steps: how many.
        first: about the load factor of the first step; < 0 to go the other way.

    Raises:
        TypeError, ValueError, RuntimeError: as `load`.
    """
    demand(isinstance(steps, int) and steps > 0, "steps", f"{steps}", "an integer > 0")
    check_parameter("first", first, lambda a: a != 0, "a load factor, not 0")
    body, plan, begun, moved, dt = prepared(body, moved, jnp.inf, start)
    first = tree.cast(first, begun[1].dtype)
    return finished(_arc(body, plan, begun, first, moved, dt, steps), throw)


@eqx.filter_jit
def _arc(body, plan, begun, first, moved, dt, steps) -> Path:
    def step(state, _):
        (factor, u, history), before, length, go = state
        equation = Equation(body, plan, history, moved, dt)
        still, begin = jax.lax.stop_gradient((equation, u))
        floor = still.floor(begin)
        rate = still.tangent(begin)(still.push())  # ∂u/∂λ
        size = jnp.linalg.norm(rate)
        length = jnp.where(length > 0, length, jnp.abs(first) * size)
        length, before = jax.lax.stop_gradient((length, before))
        way = rate / size
        turn = jnp.sum(way * before) + jnp.where(jnp.any(before != 0), 0, first)
        way = way * jnp.where(turn < 0, -1, 1)
        gain = jnp.sum(way * rate) / jnp.sum(rate**2)

        def residual(y, of, u):
            gap = length - jnp.sum(way * (y[0] - u))
            return of.residual(*y), gap

        def tangent(y):
            solve = still.tangent(y[0])
            p_load = solve(still.push())
            along = way

            def bordered(r):
                p = solve(r[0])
                more = (r[1] - jnp.sum(along * p)) / jnp.sum(along * p_load)
                return p + more * p_load, more

            return bordered

        guess = u + length * way, factor + length * gain
        found = newton(
            lambda y: residual(y, still, begin),
            tangent,
            lambda y, r: still.close(y[0], r[0], y[1], floor),
            jax.lax.stop_gradient(guess),
            go,
        )
        y = tree.add(found.y, tangent(found.y)(residual(found.y, equation, u)))
        new, factor = tree.map(lambda a: jnp.where(found.done, a, jnp.nan), y)
        history, reaction = equation.after(new, factor)
        row = Path(factor, new, history, reaction, found.done, found.iterations)
        return ((factor, new, history), new - u, length, found.done), row

    none = jnp.zeros_like(first)
    begin = begun[:3], jnp.zeros_like(begun[1]), none, jnp.ones((), bool)
    _, path = jax.lax.scan(step, begin, length=steps)
    return with_start(begun, path)
