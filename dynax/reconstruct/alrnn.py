"""Almost-linear networks: few kinks, so that orbits have a code and exact fixed points.

Between the kinks the map is affine. With P kinked units there are 2^P such regions;
the numbers of the regions that an orbit visits are its symbolic code.
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from dynax._check import require


class Kinked(eqx.Module):
    """Step a state by a linear map of which a few units are rectified first.

        z₊ = Az + Wφ(z) + h,   A diagonal, φ = relu on the last P units, identity else

    Source: Brenner, Hemmer, Monfared, Durstewitz, NeurIPS (2024), eq. 2.
    """

    a: Float[Array, " n"]
    w: Float[Array, "n n"]
    h: Float[Array, " n"]
    hidden: Float[Array, "m d"]
    kinks: int = eqx.field(static=True)

    def __call__(self, z: Float[Array, " n"]) -> Float[Array, " n"]:
        linear = len(z) - self.kinks
        bent = jnp.concatenate([z[:linear], jax.nn.relu(z[linear:])])
        return self.a * z + self.w @ bent + self.h

    def lift(self, x: Float[Array, " d"]) -> Float[Array, " n"]:
        """Return the state of an observation: x, and a linear map of it."""
        return jnp.concatenate([x, self.hidden @ x])

    def jacobian(self, z: Float[Array, " n"]) -> Float[Array, "n n"]:
        """Return ∂z₊/∂z = A + W D of the region of z."""
        linear = len(z) - self.kinks
        gate = jnp.where(jnp.arange(len(z)) < linear, True, z > 0)
        return jnp.diag(self.a) + self.w * gate.astype(z.dtype)[None]


@dataclasses.dataclass(frozen=True)
class AlmostLinear:
    """An almost-linear network to be trained: `Kinked`, drawn at random.

    Args:
        units: of the state; the first of them are what is observed.
        kinks: P, how many of the last are rectified.
    """

    units: int
    kinks: int

    def __post_init__(self):
        ok = 1 <= self.kinks <= self.units
        given = (self.units, self.kinks)
        require(ok, "units, kinks", given, "1 ≤ kinks ≤ units")

    def draw(self, key: PRNGKeyArray, observed: int, dtype) -> Kinked:
        """Draw weights for `observed` quantities."""
        ok = observed + self.kinks <= self.units
        accepted = f"at least {observed} observed and {self.kinks} kinked"
        require(ok, "units", self.units, accepted)
        mix, lift = jax.random.split(key)
        n = self.units
        return Kinked(
            jnp.full(n, 0.9, dtype),
            0.1 * jax.random.normal(mix, (n, n), dtype) / n**0.5,
            jnp.zeros(n, dtype),
            jax.random.normal(lift, (n - observed, observed), dtype) / observed**0.5,
            self.kinks,
        )


class FixedPoints(NamedTuple):
    """The fixed point of each affine piece, one a region.

    Attributes:
        region: its number, Σ 2ᵏ[kinked unit k is positive].
        z: where (I − A − WD)z = h.
        real: whether z lies in the region of its piece, so that it is one of the map.
        multipliers: eigenvalues of A + WD, by descending modulus.
    """

    region: Int[np.ndarray, " regions"]
    z: Float[np.ndarray, "regions n"]
    real: Bool[np.ndarray, " regions"]
    multipliers: np.ndarray


def fixed_points(cell: Kinked) -> FixedPoints:
    """Solve for all fixed points of an almost-linear network."""
    a, w, h = (np.asarray(p, float) for p in (cell.a, cell.w, cell.h))
    n, kinks = len(a), cell.kinks
    bits = (np.arange(2**kinks)[:, None] >> np.arange(kinks)) & 1
    gate = np.concatenate([np.ones((2**kinks, n - kinks)), bits], axis=1)
    jacobian = np.diag(a) + w * gate[:, None, :]
    z = np.linalg.solve(np.eye(n) - jacobian, np.broadcast_to(h, gate.shape)[..., None])
    z = z[..., 0]
    real = np.all((z[:, n - kinks :] > 0) == bits, axis=1)
    multipliers = np.linalg.eigvals(jacobian)
    order = np.argsort(-np.abs(multipliers), axis=1)
    multipliers = np.take_along_axis(multipliers, order, axis=1)
    return FixedPoints(np.arange(2**kinks), z, real, multipliers)


def symbols(cell: Kinked, states: Float[Array, "steps n"]) -> Int[Array, " steps"]:
    """Return the number of the region of each state."""
    kinked = states[:, states.shape[1] - cell.kinks :] > 0
    return kinked.astype(int) @ 2 ** jnp.arange(cell.kinks)


def transitions(code: Int[Array, " steps"], regions: int) -> Int[Array, "regions r"]:
    """Count the steps from each region to each other, (from, to)."""
    table = jnp.zeros((regions, regions), int)
    return table.at[code[:-1], code[1:]].add(1)
