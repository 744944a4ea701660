"""Points where the residual is large."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dynax._check import require
from dynax._tree import cast, safe_divide
from dynax._types import ScalarLike
from dynax.pde import AbstractPDE, Points


class RAD(eqx.Module):
    """Residual-based adaptive distribution: of a pool of candidates keep some, without
    replacement, with probability

        p ∝ |r|ᵏ / mean|r|ᵏ + c.

    At each time places compete among themselves; with `pool_times`, so do times, each
    by its mean |r|ᵏ. Times stay ascending. It is a sampler for `Trainer`.
    Source: Wu, Zhu, Tan, Kartha, Lu, arXiv:2207.10289.

    Args:
        times, points: to keep, as in `AbstractPDE.sample`.
        pool: candidate places at each time.
        pool_times: candidate times; None: all times are kept.
        power, offset: k, c.
    """

    times: int = eqx.field(static=True)
    points: int = eqx.field(static=True)
    pool: int = eqx.field(static=True)
    pool_times: int | None = eqx.field(static=True, default=None)
    power: ScalarLike = 1.0
    offset: ScalarLike = 1.0

    def __check_init__(self):
        points, times, pool = self.points, self.times, self.pool_times
        require(self.pool >= points, "pool", self.pool, f"at least points, {points}")
        enough = pool is None or pool >= times
        require(enough, "pool_times", pool, f"None, or at least times, {times}")

    def __call__(self, key, pde: AbstractPDE, window, dtype, residual) -> Points:
        """New points in the window, by the residual there, (t, x) → (r,)."""
        key_pool, key = jax.random.split(key)
        times = self.times if self.pool_times is None else self.pool_times
        pool = pde.sample(key_pool, times, self.pool, window.t0, window.t1, dtype)
        found = jax.vmap(jax.vmap(residual, (None, 0)))(*pool)
        return self.choose(key, pool, jnp.linalg.norm(found, axis=-1))

    def choose(self, key, pool: Points, size: Float[Array, "times pool"]) -> Points:
        """From the pool, by |r| at its points."""
        key_t, key_x = jax.random.split(key)
        size = size ** cast(self.power, size.dtype)
        if self.pool_times is not None:
            kept = jnp.sort(self._draw(key_t, jnp.mean(size, 1), self.times))
            pool, size = Points(pool.t[kept], pool.x[kept]), size[kept]
        keys = jax.random.split(key_x, self.times)
        draw = lambda key, size, x: x[self._draw(key, size, self.points)]
        return Points(pool.t, jax.vmap(draw)(keys, size, pool.x))

    def _draw(self, key, size, count) -> Array:
        """Indices: the largest of log p + Gumbel noise, draws without replacement."""
        log_p = jnp.log(density(size, self.offset))
        noise = jax.random.gumbel(key, size.shape, size.dtype)
        return lax.top_k(log_p + noise, count)[1]


class RAR(eqx.Module):
    """Residual-based adaptive refinement: fresh points, and the worst of a pool.

    At each time there are `points` places without regard to the residual, and those
    `worst` of a pool of candidates where |r| is largest. Where `RAD` draws, this picks:
    it finds a sharp front sooner, and sees less of the rest. It is a sampler for
    `Trainer`. Points are fresh in every cycle, so none are collected.
    Source: Lu, Meng, Mao, Karniadakis, SIAM Review 63 (2021), §2.8.

    Args:
        times, points: as in `AbstractPDE.sample`.
        worst: places at each time beside these.
        pool: candidates for them.
    """

    times: int = eqx.field(static=True)
    points: int = eqx.field(static=True)
    worst: int = eqx.field(static=True)
    pool: int = eqx.field(static=True)

    def __check_init__(self):
        worst = self.worst
        require(self.pool >= worst, "pool", self.pool, f"at least worst, {worst}")

    def __call__(self, key, pde: AbstractPDE, window, dtype, residual) -> Points:
        """New points in the window, by the residual there, (t, x) → (r,)."""
        both = jax.random.split(key)
        sample = lambda key, count: pde.sample(
            key, self.times, count, window.t0, window.t1, dtype
        )
        t, plain = sample(both[0], self.points)
        pool = sample(both[1], self.pool).x
        size = jnp.linalg.norm(
            jax.vmap(jax.vmap(residual, (None, 0)))(t, pool), axis=-1
        )
        kept = lax.top_k(size, self.worst)[1]
        worst = jnp.take_along_axis(pool, kept[..., None], 1)
        return Points(t, jnp.concatenate([plain, worst], 1))


def density(size: Float[Array, " n"], offset: ScalarLike = 1.0) -> Float[Array, " n"]:
    """Return the weights by which points are drawn where a size is large.

    p = size/mean(size) + c up to a factor; uniform where all sizes are 0.
    """
    mean = jnp.mean(size)
    share = safe_divide(size, mean, 1)
    return share + cast(offset, size.dtype)
