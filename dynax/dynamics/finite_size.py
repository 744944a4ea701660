"""How fast a separation of finite size grows: λ(δ).

    λ(δ) = (1/t) Σ ln(|φ(y + d) − φ(y)|/δ),   |d| = δ again after each block

As δ → 0 it is the largest exponent where the map is smooth. Where it jumps, no δ above
round-off need agree: infinitesimal separations may shrink while all that a computer
can hold grow. Both are true, and the one at the precision in use is what a run does.

Source: Aurell, Boffetta, Crisanti, Paladin, Vulpiani, J. Phys. A 30 (1997) 1.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.dynamics._starts import Plan, from_each, length_of, planned, settled
from dynax.dynamics._walk import begin, flat, neighbours, standard_error, walk


class FiniteSize(NamedTuple):
    """The growth rate λ(δ) at each size, and the exponent of small separations.

    Attributes:
        sizes: δ.
        value: λ(δ), the mean over the starts.
        error: its standard error, from how the starts differ; 0 of one.
        exponent: λ₁, from the derivative.
        exponent_error: its standard error.
        growth: the mean of ln(distance/δ) after each block, summed over the blocks.
        duration: how long each run lasted.
        floor: the round-off of a state: at sizes near it rounding is what grows.
    """

    sizes: Float[Array, " sizes"]
    value: Float[Array, " sizes"]
    error: Float[Array, " sizes"]
    exponent: Scalar
    exponent_error: Scalar
    growth: Float[Array, "blocks sizes"]
    duration: Scalar
    floor: Scalar

    def __str__(self) -> str:
        if np.ndim(self.exponent):
            return f"FiniteSize of shape {np.shape(self.value)}"
        pairs = zip(self.sizes, self.value, self.error, strict=True)
        lines = [f"λ₁ = {self.exponent:.4g} ± {self.exponent_error:.1g} (δ → 0)"]
        lines += [f"λ({d:.0e}) = {v:.4g} ± {e:.1g}" for d, v, e in pairs]
        return "\n".join([*lines, f"round-off of a state: {self.floor:.0e}"])

    __repr__ = __str__


def finite_size(
    step: Callable[[PyTree], PyTree],
    y: PyTree,
    key: PRNGKeyArray,
    *,
    sizes: Sequence[float] | ArrayLike,
    steps: int,
    every: int = 10,
    rescale: bool = True,
    time: ScalarLike | None = None,
    starts: int | None = 16,
    spread: ScalarLike = 0.01,
    discard: int | None = None,
) -> FiniteSize:
    """Measure λ(δ) at several sizes beside the exponent of the derivative.

    Args:
        sizes: the distances δ, in the units of the state.
        rescale: whether neighbours are brought back to δ. If not they run freely, and
            λ(δ) is ln(distance at the end/δ) over the duration.

    The others are those of `spectrum`.

    Raises:
        ValueError: a size that is not positive; or as `spectrum`.
    """
    check_parameter("sizes", jnp.asarray(sizes), lambda v: v > 0, "sizes δ > 0")
    y = tree.map(jnp.asarray, y)
    plan = planned(step, y, steps, every, starts, discard, spread)
    sizes = jnp.atleast_1d(jnp.asarray(sizes))
    time, spread = length_of(step, time), jnp.asarray(spread)
    return _finite_size(step, y, key, plan, sizes, rescale, time, spread)


@eqx.filter_jit
def _finite_size(step, y, key, plan: Plan, sizes, rescale: bool, time, spread):
    def run(y, key):
        walker = settled(step, begin(y, key, 1), plan)
        z, _ = flat(walker.y)
        delta = sizes.astype(z.dtype)
        walker = neighbours(walker, delta)
        _, rows = walk(step, walker, delta, plan, rescale=rescale)
        parted = jnp.cumsum(rows.parted, axis=0) if rescale else rows.parted
        floor = jnp.finfo(z.dtype).eps * jnp.max(jnp.abs(z))
        return parted, jnp.sum(rows.grown[:, 0]), floor

    parted, grown, floor = from_each(run, step, y, key, plan, spread)
    span = tree.cast(time, grown.dtype) * plan.every * plan.blocks
    each, tangent = parted[:, -1] / span, grown / span
    return FiniteSize(
        sizes=sizes,
        value=jnp.mean(each, axis=0),
        error=standard_error(each),
        exponent=jnp.mean(tangent),
        exponent_error=standard_error(tangent),
        growth=jnp.mean(parted, axis=0),
        duration=span,
        floor=jnp.max(floor),
    )
