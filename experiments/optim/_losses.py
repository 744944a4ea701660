"""Random convex losses whose minimum is known exactly, without a solver."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import dynax as dx


N = 8


class Loss(NamedTuple):
    """f = ½‖x−x*‖²_Q + Σ (w/s²)·D_h(sx, sx*) + ⟨b, x−x*⟩, h = √(1+u²): f* = 0 at x*.

    D_h is a Bregman distance, 0 at x* with its gradient; b, zero unless x* lies on the
    boundary of a set, is in the normal cone there. `soft` is a direction in which Q
    curves least; f is μ-strongly convex and L-smooth.
    """

    q: jax.Array
    weight: jax.Array
    scale: jax.Array
    best: jax.Array
    tilt: jax.Array
    soft: jax.Array
    mu: jax.Array
    L: jax.Array

    def __call__(self, x):
        off = x - self.best
        bent = _distance(self.scale * off, self.scale * self.best)
        curved = off @ self.q @ off / 2 + jnp.sum(self.weight / self.scale**2 * bent)
        return curved + self.tilt @ off


def _distance(d, b):
    """D_h(b + d, b) = (√((1+a²)(1+b²)) − 1 − ab)/√(1+b²), a = b + d.

    Without cancellation: the product under the root is (1+ab)² + d².
    """
    along = 1 + (b + d) * b
    size = jnp.sqrt((1 + (b + d) ** 2) * (1 + b**2))
    near = d**2 / (size + jnp.abs(along))
    return jnp.where(along > 0, near, size - along) / jnp.sqrt(1 + b**2)


class Quartic(NamedTuple):
    """Σ(x − x*)⁴/4, neither strongly convex nor smooth."""

    best: jax.Array
    soft: jax.Array
    mu: jax.Array
    L: jax.Array

    def __call__(self, x):
        return jnp.sum((x - self.best) ** 4) / 4


def strong(key, condition) -> Loss:
    """Curvatures from μ = 1 to L ≤ condition, a quarter of them quadratic."""
    k = jax.random.split(jax.random.fold_in(key, 0), 6)
    basis = jnp.linalg.qr(jax.random.normal(k[0], (N, N)))[0]
    share = jnp.minimum(jax.random.uniform(k[1], minval=0.2, maxval=1.3), 1.0)
    top = jnp.maximum(share * condition, 1.0)
    inner = top ** jax.random.uniform(k[2], (N,)).at[0].set(0.0).at[-1].set(1.0)
    weight = (condition - top) * jax.random.uniform(k[3], (N,))
    scale = 10 ** jax.random.uniform(k[4], (N,), minval=-1.0)
    q, best = (basis * inner[None]) @ basis.T, jax.random.normal(k[5], (N,))
    mu, L = jnp.ones(()), top + jnp.max(weight)
    return Loss(q, weight, scale, best, jnp.zeros(N), basis[:, 0], mu, L)


def convex(key, condition) -> Loss:
    """As `strong`, or without Q, half of these nearly a cone over x*."""
    a, b = jax.random.split(jax.random.fold_in(key, 1))
    f, kind = strong(key, condition), jax.random.randint(a, (), 0, 3)
    weight = jax.random.uniform(b, (N,), minval=0.1)
    keep, cone = kind == 0, kind == 2
    return f._replace(
        q=jnp.where(keep, f.q, 0.0),
        weight=jnp.where(keep, f.weight, weight),
        scale=jnp.where(cone, 1e3, f.scale),
        best=jnp.where(cone, 0.0, f.best),
        mu=jnp.where(keep, f.mu, 0.0),
        L=jnp.where(keep, f.L, jnp.max(weight)),
    )


def _tilted(f: Loss, key, normal) -> Loss:
    """With a slope b; half of the losses nearly linear, at 10⁻⁴ of their curvature."""
    a, b = jax.random.split(jax.random.fold_in(key, 2))
    share = jnp.where(jax.random.bernoulli(a), 1e-4, 1.0)
    tilt = normal * jnp.abs(jax.random.normal(b, (N,)))
    return f._replace(
        q=share * f.q, weight=share * f.weight, tilt=tilt, mu=share, L=share * f.L
    )


def simplex(key, condition) -> Loss:
    """x* on a face of the simplex; L is that of ‖·‖₁, from max|Q|."""
    f = strong(key, condition)
    best = jax.nn.softmax(2 * f.best).at[0].set(0.0)
    L = jnp.max(jnp.abs(f.q)) + jnp.max(f.weight)
    f = f._replace(best=best / jnp.sum(best), L=L)
    return _tilted(f, key, jnp.eye(N)[0])


def box(key, condition) -> Loss:
    """x* on a face of the box |xᵢ| ≤ 1."""
    f = strong(key, condition)
    best = jnp.clip(f.best, -1.0, 1.0)
    outward = jnp.where(jnp.abs(best) == 1, best, 0.0)
    return _tilted(f._replace(best=best), key, -outward)


def quartic(key, condition) -> Quartic:
    f = strong(key, condition)
    return Quartic(f.best, f.soft, jnp.zeros(()), jnp.ones(()))


INSIDE: dict[Callable, Callable] = {simplex: jax.nn.softmax, box: jnp.tanh}


class Draw(NamedTuple):
    """A loss, and what states are made of: a time, two displacements."""

    f: Loss | Quartic
    start: jax.Array
    time: jax.Array
    first: jax.Array
    second: jax.Array

    @property
    def minimum(self) -> dx.Minimum:
        return dx.Minimum(self.f.best, jnp.zeros(()))


def draw(losses: Callable, key, condition, states: int) -> Draw:
    """Displacements near and far, half of them along the soft direction; and half of
    the second ones equal to the first."""
    f = losses(key, condition)

    def one(key):
        k = jax.random.split(key, 5)
        sizes = 10 ** jax.random.uniform(k[0], (2,), minval=-2.0, maxval=1.0)
        t = 10 ** jax.random.uniform(k[1], minval=-1.0, maxval=1.0)
        unit = jnp.where(
            jax.random.bernoulli(k[2]), f.soft[None], jax.random.normal(k[3], (2, N))
        )
        first, second = sizes[:, None] * unit
        return t, first, jnp.where(jax.random.bernoulli(k[4]), first, second)

    keys = jax.random.split(jax.random.fold_in(key, 3), states)
    time, first, second = jax.vmap(one)(keys)
    size = jnp.max(jnp.abs(first[0]))
    return Draw(f, first[0] / size, time, first, second)
