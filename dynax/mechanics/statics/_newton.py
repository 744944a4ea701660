"""Newton's method for equilibrium, damped so that corrections shrink."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from dynax import _tree as tree
from dynax._types import Flag, Step


ITERATIONS = 50
SHORTEST = 2.0**-12  # a shorter share of a Newton step is no progress


class Found(NamedTuple):
    """Hold where Newton's method ended.

    Args:
        y: the solution.
        done: whether it converged.
        iterations: how many factorisations were made.
    """

    y: PyTree[Array]
    done: Flag
    iterations: Step


class _State(NamedTuple):
    y: Any
    r: Any
    done: Flag
    stuck: Flag
    iterations: Step


def newton(
    residual: Callable[[Any], Any],
    tangent: Callable[[Any], Callable[[Any], Any]],
    close: Callable[[Any, Any], Flag],
    y: PyTree[Array],
    go: Flag,
) -> Found:
    r"""Find r(y) = 0, to ε^0.6 of y.

    y ← y + s p with p = K⁻¹r, K = −∂r/∂y, and the longest of s = 1, ½, ¼, … with

        ‖K⁻¹ r(y + s p)‖ ≤ (1 − s/4)‖p‖.

    That test depends on no unit of r and on no stiffness of the body: a thin body that
    turns may stretch on its way, which a test by ‖r‖ forbids. What is not finite, as an
    element turned inside out, fails it. Done where ‖K⁻¹r‖ ≤ ε^0.6 ‖y‖, or `close`. One
    more step, whose error is the square, is for the caller. ‖y‖ is that of the first
    leaf of y.

    Source: Deuflhard, "Newton Methods for Nonlinear Problems", §3.3 (natural
    monotonicity test).

    Args:
        residual: y → r.
        tangent: y → (r → K⁻¹r).
        close: (y, r) → whether r is round-off.
        y: where to begin.
        go: whether to begin at all.
    """
    norm = lambda p: jnp.linalg.norm(tree.leaves(p)[0])
    small = tree.eps(y) ** 0.6

    def step(state):
        y, r, _, _, k = state
        solve = tangent(y)
        p = solve(r)
        size = norm(p)

        def trial(s):
            there = tree.add(y, tree.scale(s, p))
            left = residual(there)
            more = norm(solve(left))
            near = more <= small * norm(there)
            return there, left, near, near | (more <= (1 - s / 4) * size)

        def bad(at):
            s, (*_, good) = at
            return ~good & (s > SHORTEST)

        shorter = lambda at: (at[0] / 2, trial(at[0] / 2))
        no = jnp.zeros((), bool)
        none = jnp.full((), 2, size.dtype), (y, r, no, no)
        there, r, near, good = jax.lax.while_loop(bad, shorter, none)[1]
        done = near | (good & close(there, r))
        keep = lambda a, b: jax.tree.map(lambda a, b: jnp.where(good, a, b), a, b)
        return _State(keep(there, y), keep(r, state.r), done, ~good, k + 1)

    def running(state):
        return ~state.done & ~state.stuck & (state.iterations < ITERATIONS)

    r = residual(y)
    start = _State(y, r, close(y, r), ~go, jnp.zeros((), jnp.int32))
    end = jax.lax.while_loop(running, step, start)
    # a step that cannot shrink because it is round-off already
    return Found(end.y, go & (end.done | close(end.y, end.r)), end.iterations)
