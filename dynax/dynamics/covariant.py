"""Covariant Lyapunov vectors: the directions that grow at each exponent's rate.

    Q₊R = ∂φ·Q forwards,   C = R⁻¹C₊ backwards with columns of length 1,   V = QC

∂φ·V is along V₊, vector by vector; of Gram–Schmidt's vectors only the first has that.

Source: Ginelli, Poggi, Turchi, Chaté, Livi, Politi, Physical Review Letters 99 (2007)
130601.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from dynax import _tree as tree
from dynax._check import require
from dynax._types import ScalarLike
from dynax.dynamics._starts import Plan, counted, length_of, settled
from dynax.dynamics._walk import begin, orthonormal, push
from dynax.dynamics.steps import check_step


class Covariant(NamedTuple):
    """States along a run, their covariant vectors, and Gram–Schmidt's.

    `vectors[i, j]` is the unit vector j at `states[i]`, in the order of
    `ravel_pytree`; `forward[i, j]` is that of Gram–Schmidt. `growth[i, j]` is the
    logarithm of its growth to state i + 1; `exponents` are the means per unit of time.
    """

    states: PyTree
    vectors: Float[Array, "time k n"]
    forward: Float[Array, "time k n"]
    growth: Float[Array, "time k"]
    exponents: Float[Array, " k"]

    def angles(self) -> Float[Array, "time k k"]:
        """The angles between the vectors at each state, in radians, up to π/2."""
        cosines = jnp.einsum("tin,tjn->tij", self.vectors, self.vectors)
        return jnp.arccos(jnp.clip(jnp.abs(cosines), 0, 1))


def covariant(
    step: Callable[[PyTree], PyTree],
    y: PyTree,
    key: PRNGKeyArray,
    *,
    steps: int,
    settle: int,
    count: int | None = None,
    every: int = 1,
    time: ScalarLike | None = None,
) -> Covariant:
    """Compute the covariant vectors along a run (Ginelli's algorithm).

    All bases are kept: memory for (steps + settle)/every × count × n numbers.

    Args:
        steps: the steps along which vectors are returned.
        settle: steps before them, for the state and the tangents, and as many behind
            them, over which the backward iteration converges.
        count: how many vectors; all if not given.
        every: steps between two bases.
        time: what one step lasts.

    Raises:
        ValueError: `steps` or `settle` is no multiple of `every`; or as `spectrum`.
    """
    y = tree.map(jnp.asarray, y)
    check_step(step, y)
    for name, given in (("steps", steps), ("settle", settle)):
        ok = given >= every and given % every == 0
        require(ok, name, given, f"a multiple of every = {every}")
    count = counted(count, y)
    plan = Plan(1, steps // every, every, settle, drawn=False)
    return _covariant(step, y, key, plan, count, length_of(step, time))


@eqx.filter_jit
def _covariant(step, y, key, plan: Plan, count: int, time) -> Covariant:
    walker = settled(step, begin(y, key, count), plan)

    def forwards(carry, _):
        y, q = carry
        once = lambda c, _: (push(step, *c), None)
        (after, pushed), _ = jax.lax.scan(once, carry, length=plan.every)
        unit, lower = orthonormal(pushed)
        return (after, unit), (y, q, lower)

    kept = plan.blocks + plan.discard // plan.every
    start = walker.y, walker.tangents
    _, (states, q, lower) = jax.lax.scan(forwards, start, length=kept)

    def backwards(after, lower):
        c = jax.scipy.linalg.solve_triangular(lower.T, after.T).T
        length = jnp.linalg.norm(c, axis=1)
        c = c / length[:, None]
        return c, (c, -jnp.log(length))

    last = jnp.eye(count, dtype=q.dtype)
    _, (c, growth) = jax.lax.scan(backwards, last, lower, reverse=True)
    shown = lambda a: a[: plan.blocks]
    return Covariant(
        states=tree.map(shown, states),
        vectors=jnp.einsum("tij,tjn->tin", shown(c), shown(q)),
        forward=shown(q),
        growth=shown(growth),
        exponents=jnp.mean(shown(growth), 0) / (plan.every * tree.cast(time, q.dtype)),
    )
