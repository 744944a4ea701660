"""One window: the residual in the dual norm, Gauss–Newton steps, and the verdict.

With r̂_k = ∂ₜû_k − λ_k û_k − N̂_k(û), for all |k| that N makes of the modes there are,

    ρ_k(t) = r̂_k(t)/((1/Δ + |λ_k|) S),   S the size of the field,

is free of units, and its root mean square over time estimates the relative error that
the window makes: a residual in a mode that decays fast does little. Modes above K are
in it, too: they are what truncation in space costs.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax._types import Flag, Scalar, Step
from dynax.pinn.causal import AbstractScheme, log_weights
from dynax.pinn.marching.ansatz import AbstractAnsatz, relative


DELTA = 0.99  # δ of the causal weights, as everywhere
FLOOR = 1e-8  # of weights: where none is left, late times would be free
STALE = 3  # cycles that do not halve the best loss end a window


class Attempt(NamedTuple):
    """What came of one window.

    Args:
        y: what was found.
        end: û at its end.
        solved: ρ ≤ rtol at fresh times, twice in a row.
        residual: ρ, over the last fresh times.
        share: of ρ² in modes that the ansatz does not have.
        cycles: steps taken.
    """

    y: Any
    end: Array
    solved: Flag
    residual: Scalar
    share: Scalar
    cycles: Step


def residual(ansatz: AbstractAnsatz, y, start, length, sizes, tau, offset):
    """ρ at one time, (c, rows)."""
    space = ansatz.space
    moved = lambda s: ansatz.displacement(y, s, offset)
    by, speed = jax.jvp(moved, (tau,), (jnp.ones_like(tau),))
    return relative(space, by, speed, start, length, sizes)


@eqx.filter_jit
def attempt(
    ansatz: AbstractAnsatz,
    y,
    start: Array,
    length: Scalar,
    sizes: Float[Array, " c"],
    rtol: Scalar,
    key,
    scheme: AbstractScheme,
    cycles: int,
) -> Attempt:
    """Solve a window of this length from û, or give up: a pure function.

    Each cycle looks at fresh times, one in each of n equal slices, weighs them
    causally, ε as large as the loss allows, and takes a Levenberg–Marquardt step.
    """
    n, dtype = ansatz.times, length.dtype
    solver = ansatz.method(dtype)
    dimensions = len(ansatz.pde.lower)

    def times(key):
        key, other = jax.random.split(key)
        tau = jnp.arange(n, dtype=dtype) + jax.random.uniform(key, (n,), dtype)
        return tau / n, jax.random.uniform(other, (n, dimensions), dtype)

    def rows(y, args):
        start, length, sizes, tau, offset, root = args
        one = lambda tau, offset: residual(ansatz, y, start, length, sizes, tau, offset)
        found = jax.vmap(one)(tau, offset)
        return found * root[:, None, None], None

    final = -jnp.log(DELTA) / (n * rtol**2)
    args = start, length, sizes, *times(key), jnp.ones(n, dtype)
    lm = solver.init(rows, y, args, {}, None, None, frozenset())

    class Now(NamedTuple):
        y: Any
        lm: Any
        cycle: Array
        best: Array
        stale: Array
        residual: Array
        share: Array
        passed: Array
        solved: Array
        lost: Array

    def cycle(now: Now) -> Now:
        tau, offset = times(jax.random.fold_in(key, now.cycle))
        every = jnp.ones(n, dtype)
        found = rows(now.y, (start, length, sizes, tau, offset, every))[0]
        losses = jnp.sum(found**2, (1, 2))
        mean, tail = jnp.mean(losses), jnp.sum(found[..., ansatz.space.tail] ** 2) / n
        share = tail / jnp.maximum(mean, jnp.finfo(dtype).tiny)
        passed = mean <= rtol**2
        solved = passed & now.passed
        halved = mean < now.best / 2
        stale = jnp.where(halved, 0, now.stale + 1)
        best = jnp.where(halved, mean, now.best)
        lost = ~jnp.isfinite(mean) | (stale >= STALE) & ~passed
        first = jnp.sum(losses[: max(n // 8, 1)])
        epsilon = jnp.minimum(final, 1 / jnp.maximum(first, 1e-30))
        log_w = log_weights(scheme, losses, 0.0, epsilon)
        root = jnp.sqrt(jnp.maximum(jnp.exp(log_w), FLOOR) / n)

        def step():
            args = start, length, sizes, tau, offset, root
            y, lm, _ = solver.step(rows, now.y, args, {}, now.lm, frozenset())
            return y, lm

        y, lm = jax.lax.cond(passed | lost, lambda: (now.y, now.lm), step)
        rho = jnp.sqrt(mean)
        return Now(y, lm, now.cycle + 1, best, stale, rho, share, passed, solved, lost)

    big = jnp.asarray(jnp.inf, dtype)
    zero, no = jnp.asarray(0), jnp.asarray(False)
    begun = Now(y, lm, zero, big, zero - 1, big, jnp.zeros_like(big), no, no, no)
    going = lambda now: ~(now.solved | now.lost) & (now.cycle <= cycles)
    now = jax.lax.while_loop(going, cycle, begun)
    one = jnp.ones((), dtype)
    end = start + ansatz.displacement(now.y, one, jnp.zeros(dimensions, dtype))
    return Attempt(now.y, end, now.solved, now.residual, now.share, now.cycle)
