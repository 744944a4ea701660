"""Independent starts on an attractor, and how long each of them runs."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive, require
from dynax._types import ScalarLike
from dynax.dynamics._walk import Walker, walk
from dynax.dynamics.steps import FlowStep, check_step


class Plan(NamedTuple):
    """How many starts there are, and how many blocks of steps each of them takes."""

    runs: int
    blocks: int
    every: int
    discard: int
    drawn: bool


def planned(step, y, steps, every, starts, discard, spread) -> Plan:
    """Check what was asked for; the arguments of `spectrum`."""
    require(every >= 1, "every", every, "at least 1")
    check_nonnegative(spread=spread)
    shapes = [jnp.shape(a) for a in tree.leaves(y)]
    runs, one = starts, y
    if starts is None:
        ok = len({s[:1] for s in shapes}) == 1 and () not in shapes
        accepted = "arrays that all lead by the start"
        require(ok, "y", f"arrays of shapes {shapes}", accepted)
        runs = shapes[0][0]
        one = jax.eval_shape(lambda y: tree.map(lambda a: a[0], y), y)
    require(runs >= 1, "starts", starts, "at least 1, or None")
    check_step(step, one)
    whole = steps >= 1 and steps % (every * runs) == 0
    require(whole, "steps", steps, f"a multiple of every × starts = {every * runs}")
    blocks = steps // (every * runs)
    discard = blocks * every if discard is None else discard
    require(discard >= 0, "discard", discard, "at least 0")
    alike = starts is not None and starts > 1 and discard == 0
    accepted = "at least 1, for the starts are drawn from so many steps"
    require(not alike, "discard", discard, accepted)
    return Plan(runs, blocks, every, discard, starts is not None)


def counted(count: int | None, y: PyTree, runs: int = 1) -> int:
    """How many tangents: as asked for, or one for each coordinate."""
    size = sum(a.size for a in tree.leaves(y) if eqx.is_inexact_array(a)) // runs
    count = size if count is None else count
    require(1 <= count <= size, "count", count, f"1 to {size}, the coordinates")
    return count


def length_of(step: Callable, time: ScalarLike | None) -> Array:
    """What one step lasts: as given, or as the step knows, or 1."""
    if time is None:
        return step.h if isinstance(step, FlowStep) else jnp.asarray(1.0)
    check_positive(time=time)
    return jnp.asarray(time)


def from_each(run: Callable, step: Callable, y: PyTree, key, plan: Plan, spread):
    """Draw the starts where they are not given, and do run(start, key) from each."""
    key, draw = jax.random.split(key)
    if plan.drawn:
        y = independent(step, y, draw, plan.runs, spread, plan.discard)
    return jax.vmap(run)(y, jax.random.split(key, plan.runs))


def settled(step: Callable, walker: Walker, plan: Plan) -> Walker:
    """Let a state come near its attractor, and its tangents turn."""
    whole, rest = divmod(plan.discard, plan.every)
    none = jnp.zeros(0, walker.tangents.dtype)
    for part in (plan._replace(blocks=whole), plan._replace(blocks=rest, every=1)):
        if part.blocks:
            walker, _ = walk(step, walker, none, part)
    return walker


def independent(
    step: Callable, y: PyTree, key: PRNGKeyArray, count: int, spread, steps: int
) -> PyTree:
    """Return states at random times of one run, each moved towards the next of them.

    Where a system is chaotic, states of one run would follow each other; where it is
    not, the times tell runs on a cycle apart. Moved by the share `spread` of the way,
    they stay between states that were visited, and in any units.
    """
    times = jnp.sort(jax.random.randint(key, (count,), 0, steps + 1))
    after = lambda y, n: (jax.lax.fori_loop(0, n, lambda _, y: step(y), y),) * 2
    _, ys = jax.lax.scan(after, y, jnp.diff(times, prepend=0))

    def moved(a):
        if not jnp.issubdtype(a.dtype, jnp.floating):
            return a
        return a + tree.cast(spread, a.dtype) * (jnp.roll(a, 1, axis=0) - a)

    return tree.map(moved, ys)
