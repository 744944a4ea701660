"""Dimensions of an attractor: from the exponents, and from points on it.

    D_KY = j + (λ₁ + … + λ_j)/|λ_{j+1}|,   j the largest with λ₁ + … + λ_j ≥ 0

    C(r) = share of pairs closer than r ~ r^{D₂}

Sources: Kaplan, Yorke, Lecture Notes in Mathematics 730 (1979) 204; Grassberger,
Procaccia, Physica D 9 (1983) 189.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import require
from dynax._types import Scalar


def kaplan_yorke(exponents: Float[Array, " k"]) -> Scalar:
    """Return the Kaplan–Yorke dimension of exponents in falling order.

    It is 0 where λ₁ < 0, and k where no sum is negative: volumes do not shrink then,
    or the exponents that shrink them were not computed.
    """
    exponents = jnp.asarray(exponents)
    sums = jnp.cumsum(exponents)
    count = jnp.sum(jnp.cumprod(sums >= 0))
    last = jnp.where(count > 0, sums[jnp.maximum(count - 1, 0)], 0)
    following = jnp.append(exponents, -jnp.inf)[count]
    return count.astype(last.dtype) + tree.safe_divide(last, jnp.abs(following))


class Correlation(NamedTuple):
    """The correlation sum at each radius, and its slope between two of them.

    `value` is D₂, the slope of ln C against ln r by least squares over the radii
    where 10 pairs or more, and at most a tenth of all, are closer.
    """

    value: Scalar
    radii: Float[Array, " radii"]
    share: Float[Array, " radii"]


def correlation_dimension(
    points: Float[Array, "time n"], *, radii: Float[Array, " radii"], gap: int = 1
) -> Correlation:
    """Count pairs of points closer than each radius (Grassberger, Procaccia).

    Args:
        points: on the attractor, in the order of time.
        radii: in falling or rising order, in the units of the points.
        gap: pairs nearer in time than this are left out (Theiler's window).

    Raises:
        ValueError: fewer than 100 points; or a gap below 1.
    """
    points, radii = jnp.asarray(points), jnp.asarray(radii)
    require(len(points) >= 100, "points", len(points), "at least 100 points")
    require(gap >= 1, "gap", gap, "at least 1")
    time = jnp.arange(len(points))

    def closer(at):
        k, y = at
        far = jnp.sqrt(jnp.sum((points - y[None]) ** 2, axis=1))
        return jnp.sum((far[None] < radii[:, None]) & (time >= k + gap)[None], axis=1)

    pairs = jnp.sum(jax.lax.map(closer, (time, points)), axis=0)
    every = (len(points) - gap) * (len(points) - gap + 1) // 2
    share = pairs / every
    used = (pairs >= 10) & (share <= 0.1)
    x, y = jnp.log(radii), jnp.log(jnp.where(pairs > 0, share, 1))
    mean = lambda a: jnp.mean(a, where=used)
    dx, dy = x - mean(x), y - mean(y)
    return Correlation(mean(dx * dy) / mean(dx * dx), radii, share)
