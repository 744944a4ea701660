"""The largest Lyapunov exponent of a map, of training for one.

    Λ = lim (1/t) ln‖Dφᵗ(y₀)·v₀‖

The tangent v is carried by one jvp a step and brought back to length 1; the logarithms
of its lengths add up. Λ > 0 is chaos, Λ < 0 a stable cycle or point.

Beside it goes a second run from a finite distance δ, for what a derivative cannot see:

    Λ_δ = (1/t) ln(‖φᵗ(y₀ + δw) − φᵗ(y₀)‖/δ)

is negative where the two meet, as they do around a stable run of a smooth map. A map
that jumps (a sign) has a derivative almost everywhere that knows nothing of the jumps:
there Λ < 0 < Λ_δ is common. In chaos Λ_δ falls short of Λ once the runs are far apart.

Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980) 9.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractOptimizer


class Exponent(NamedTuple):
    """A Lyapunov exponent Λ per unit of time, the mean over independent starts, and its
    standard error.

    `error` is from how the starts differ: ∞ if there is one only. `each` is Λ and
    `parting` Λ_δ of each start, `duration` is t, and `series[k]` the mean of Λ after
    k + 1 steps. Λ = −∞ where the tangent vanishes; where it should, rounding leaves
    about ln u a step instead, u the machine epsilon. Λ_δ = −∞ where the two runs meet.
    """

    value: Scalar
    error: Scalar
    parting: Float[Array, " starts"]
    duration: Scalar
    each: Float[Array, " starts"]
    series: Float[Array, " steps"]
    end: PyTree

    @property
    def status(self) -> Literal["chaotic", "stable", "undecided"]:
        """The sign of Λ, if a run of this length shows it.

        Three errors must not reach 0, and Λ_δ of every start must have that sign too.
        And |Λ| times the duration must exceed ln(steps): along a neutral direction
        tangents may grow like the number of steps.
        """
        value, error = float(self.value), 3 * float(self.error)
        seen = abs(value) * float(self.duration) > math.log(self.series.size)
        if seen and value > error and bool(jnp.all(self.parting > 0)):
            return "chaotic"
        if seen and value < -error and bool(jnp.all(self.parting < 0)):
            return "stable"
        return "undecided"


def largest_exponent(
    step: Callable[[PyTree], PyTree],
    starts: PyTree,
    key: PRNGKeyArray,
    *,
    steps: int,
    discard: int = 0,
    time: ScalarLike = 1.0,
    separation: ScalarLike | None = None,
) -> Exponent:
    """Estimate the largest Lyapunov exponent of y ↦ step(y).

    Args:
        step: one step of the map; of a flow, one step of a solver.
        starts: independent starts, a pytree whose arrays lead by the start. Floating-
            point arrays are the coordinates, others (a counter) are carried along.
        key: of the random first tangents.
        steps: the steps that count.
        discard: steps before, while y comes near the attractor and v turns.
        time: what one step lasts, so that Λ is per unit of it.
        separation: δ; u^⅓ of each start's size after `discard` if not given.
    """
    for name, given, least in (("steps", steps, 1), ("discard", discard, 0)):
        if given < least:
            raise ValueError(f"{name}: given {given}; accepted is at least {least}.")
    moving, _ = eqx.partition(starts, eqx.is_inexact_array)
    if not tree.leaves(moving):
        raise ValueError(
            "starts: given no floating-point array; accepted is at least one."
        )
    shapes = [jnp.shape(a) for a in tree.leaves(starts)]
    if len({s[:1] for s in shapes}) > 1 or () in shapes:
        raise ValueError(
            f"starts: given arrays of shapes {shapes}; accepted are arrays that all "
            "lead by the start."
        )
    count = shapes[0][0]
    run = lambda y, key: _run(step, y, key, steps, discard, separation)
    end, logs, apart = jax.vmap(run)(starts, jax.random.split(key, count))
    span = tree.cast(time, logs.dtype)
    each, parting = jnp.mean(logs, axis=1) / span, apart / (span * steps)
    series = jnp.cumsum(jnp.mean(logs, axis=0))
    series = series / (span * jnp.arange(1, steps + 1, dtype=logs.dtype))
    error = jnp.std(each, ddof=1) / count**0.5 if count > 1 else jnp.inf
    error = jnp.asarray(error, logs.dtype)
    return Exponent(jnp.mean(each), error, parting, span * steps, each, series, end)


def _run(step, y, key, steps, discard, separation):
    """The end, ln of the tangent's growth at each step, ln(distance at the end/δ)."""
    draw = lambda a, k: jax.random.normal(k, a.shape, a.dtype)
    moving, _ = eqx.partition(y, eqx.is_inexact_array)
    keys = jax.random.split(key, len(tree.leaves(moving)))
    keys = jax.tree.unflatten(jax.tree.structure(moving), list(keys))
    tangent, _ = _unit(tree.map(draw, moving, keys), tree.zeros_like(moving))

    def advance(carry, _):
        y, tangent = carry
        moving, fixed = eqx.partition(y, eqx.is_inexact_array)

        def go(moving):
            return eqx.partition(step(eqx.combine(moving, fixed)), eqx.is_inexact_array)

        moving, image, fixed = jax.jvp(go, (moving,), (tangent,), has_aux=True)
        tangent, length = _unit(image, tangent)
        return (eqx.combine(moving, fixed), tangent), jnp.log(length)

    (y, tangent), _ = jax.lax.scan(advance, (y, tangent), length=discard)
    moving, fixed = eqx.partition(y, eqx.is_inexact_array)
    _, size = _unit(moving, moving)
    if separation is None:
        u = float(jnp.finfo(size.dtype).eps)
        separation = u ** (1 / 3) * jnp.where(size > 0, size, 1)
    distance = tree.cast(separation, size.dtype)
    # w is the tangent, which has turned to where growth is largest
    other = eqx.combine(tree.add(moving, tree.scale(distance, tangent)), fixed)

    def both(carry, _):
        (y, tangent), other = carry
        carry, grown = advance((y, tangent), None)
        return (carry, step(other)), grown

    ((y, _), other), logs = jax.lax.scan(both, ((y, tangent), other), length=steps)
    ends = [eqx.filter(a, eqx.is_inexact_array) for a in (other, y)]
    _, far = _unit(tree.sub(*ends), ends[0])
    return y, logs, jnp.log(far / distance)


def training_map(
    opt: AbstractOptimizer, f: Callable[[Params], Scalar], lr: ScalarLike
) -> Callable[[PyTree], PyTree]:
    """Return one training step as a map of parameters and state.

    (x, state) ↦ (x₊, state₊), one step of `opt` on the loss f.
    """

    def step(y):
        x, state = y
        return opt.step(x, state, jax.grad(f)(x), lr)

    return step


def _unit(v: PyTree, otherwise: PyTree) -> tuple[PyTree, Scalar]:
    """v/‖v‖, or `otherwise` if v = 0, and ‖v‖."""
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(a)) for a in tree.leaves(v)]))
    large = jnp.where(largest > 0, largest, 1)  # a square may underflow
    v = tree.scale(1 / large, v)
    length = jnp.sqrt(tree.vdot(v, v))
    unit = lambda a, b: jnp.where(length > 0, a / length.astype(a.dtype), b)
    return tree.map(unit, v, otherwise), length * large.astype(length.dtype)
