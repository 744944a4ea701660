"""One step of Lion-κ cut into blocks, with its weights and its round-off."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params, ScalarLike


class Weights(NamedTuple):
    """Implicit ε, λ, c = εβ₁/S, c/ε, a = 1 + λc, 1/λ + c; S = ελ(1−β₁) + (1−β₂)."""

    eps: Array
    lam: Array
    c: Array
    c_per_eps: Array
    a: Array
    conjugate: Array


class Block(NamedTuple):
    """The part of one step whose leaves share a decay λ.

    x₊ and the stored m₊ are as observed; `eps` is the coarsest of the parameters'.
    `read_off` says that δ was read off x₊, not kept from the optimizer.
    """

    weights: Weights
    beta1: ScalarLike
    beta2: ScalarLike
    eps: float
    read_off: bool
    x: Params
    x_next: Params
    delta: Params
    m: Params
    m_stored: Params
    grad: Params

    @property
    def trees(self) -> tuple[Params, ...]:
        return tuple(self)[5:]


def by_leaf(block: Block) -> list[Block]:
    """The leaves one by one, each a block of its own."""
    columns = zip(*map(tree.leaves, block.trees), strict=True)
    return [Block(*block[:5], *leaves) for leaves in columns]


def weights(eps, lam, beta1, beta2, dtype) -> Weights:
    left1, left2 = tree.cast(1 - beta1, dtype), tree.cast(1 - beta2, dtype)
    eps, lam = tree.cast(eps, dtype), tree.cast(lam, dtype)
    c_per_eps = tree.cast(beta1, dtype) / (eps * lam * left1 + left2)
    c = eps * c_per_eps
    return Weights(eps, lam, c, c_per_eps, 1 + lam * c, tree.safe_divide(1.0, lam) + c)


def star(value, lam):
    """κ*(λx), or 0 at λ = 0, where it is a constant."""
    return jnp.where(lam > 0, value, 0)


class Model(NamedTuple):
    """The round-off of one block: u, u times the depth of its sums, u_s and u_m.

    `gap` is u times the depth of what the gap is judged by: of one entry or of a sum.
    `floor` is the smallest normal number of the sums, `least` and `least_m` what is
    lost at most where a step or a momentum underflows. `narrow`: the momentum is stored
    in less precision than sums are made in.
    """

    u: float
    gamma: float
    gap: float
    floor: float
    u_s: float
    least: float
    u_m: float
    least_m: float
    narrow: bool
    read_off: bool

    def doubt(self, w: Weights, delta, x_next):
        """How far the step may be from ε(V − λx₊)."""
        size = jnp.abs(delta) + w.eps * w.lam * jnp.abs(x_next)
        if self.read_off:
            size = size + jnp.abs(x_next)
        return 4 * self.u_s * size + self.least

    @property
    def stored(self) -> float:
        """How far the stored m₊ may be off by rounding, relative to |m| + |g|."""
        return 5 * self.u_s + self.u_m

    def unsure(self, m, g):
        """How far the m̃ that the optimizer computed may be from the m̃ found here."""
        return 4 * self.u_s * (jnp.abs(m) + jnp.abs(g)) + self.least_m


def model_of(block: Block, entrywise: bool) -> Model:
    wide = jnp.finfo(block.weights.c.dtype)
    u, tiny = float(wide.eps) / 2, float(wide.tiny)
    stored = [jnp.finfo(a.dtype) for a in tree.leaves(block.m)]
    half = [jnp.finfo(a.dtype) for a in tree.leaves(block.x)]
    least = lambda kinds: max([float(k.smallest_subnormal) for k in kinds], default=0)
    u_m = max([float(info.eps) for info in stored], default=0) / 2
    gamma = rounding_depth(tree.size(block.x)) * u
    return Model(
        u=u,
        gamma=gamma,
        gap=8 * u if entrywise else gamma,
        floor=tiny,
        u_s=block.eps / 2,
        least=max(least(half), tiny),
        u_m=u_m,
        least_m=max(least(stored), tiny),
        narrow=u_m > u,
        read_off=block.read_off,
    )
