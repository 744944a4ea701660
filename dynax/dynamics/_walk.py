"""Runs with tangents and neighbours: what all results of this package are read from.

A walker is a state y, k tangents Q (rows) and m neighbours yᵢ at distances δᵢ. All take
one step; every few steps the tangents are made orthonormal again, and the neighbours
are brought back to their distances. What is recorded is by how much that was needed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from dynax import _tree as tree


FEW = 8  # tangents up to which Gram–Schmidt, written out, is faster than Householder


class Walker(NamedTuple):
    """A state, its tangents and its neighbours, one of each a start."""

    y: PyTree
    tangents: Float[Array, "tangents n"]
    others: PyTree


class Row(NamedTuple):
    """What one block of steps did: logarithms of growth, and whether y is finite."""

    grown: Float[Array, " tangents"]
    parted: Float[Array, " sizes"]
    finite: Bool[Array, ""]
    seen: Any


def flat(y: PyTree) -> tuple[Float[Array, " n"], Callable]:
    """The coordinates of a state as one vector, and the way back."""
    moving, fixed = eqx.partition(y, eqx.is_inexact_array)
    dtype = tree.result_dtype(moving)
    z, restore = ravel_pytree(tree.map(lambda a: a.astype(dtype), moving))
    back = lambda z: eqx.combine(tree.cast_like(restore(z), moving), fixed)
    return z, back


def push(step: Callable, y: PyTree, q: Float[Array, "k n"]) -> tuple[PyTree, Array]:
    """step(y), and the tangents carried along by its derivative."""
    z, back = flat(y)

    def go(z):
        image = step(back(z))
        return flat(image)[0], image

    one = lambda v: jax.jvp(go, (z,), (v,), has_aux=True)
    _, q, y = jax.vmap(one, out_axes=(None, 0, None))(q)
    return y, q


def orthonormal(q: Float[Array, "k n"]) -> tuple[Array, Array]:
    """Make rows orthonormal: Q = R Q̂ with R lower triangular; return Q̂ and R."""
    k = q.shape[0]
    large = tree.safe_denominator(jnp.max(jnp.abs(q), axis=1))  # squares underflow
    q = q / large[:, None]
    if k > FEW:
        basis, r = jnp.linalg.qr(q.T)
        sign = jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(q.dtype)
        return (basis * sign).T, (r * sign[:, None]).T * large[:, None]
    rows: list[Array] = []
    lower = jnp.zeros((k, k), q.dtype)
    for j in range(k):
        v = q[j]
        for _ in range(2):  # once is not enough where tangents have nearly closed up
            for i, unit in enumerate(rows):
                part = jnp.sum(unit * v)
                v, lower = v - part * unit, lower.at[j, i].add(part)
        length = jnp.sqrt(jnp.sum(v * v))
        rows.append(v / tree.safe_denominator(length))
        lower = lower.at[j, j].set(length)
    return jnp.stack(rows), lower * large[:, None]


def begin(y: PyTree, key: PRNGKeyArray, count: int) -> Walker:
    """A walker with random tangents and no neighbours."""
    z, _ = flat(y)
    q, _ = orthonormal(jax.random.normal(key, (count, z.size), z.dtype))
    return Walker(y, q, tree.map(lambda a: a[None][:0], y))


def neighbours(walker: Walker, sizes: Float[Array, " sizes"]) -> Walker:
    """Set out neighbours at distances δ along the first tangent."""
    z, back = flat(walker.y)
    place = lambda d: back(z + d * walker.tangents[0])
    return walker._replace(others=jax.vmap(place)(sizes))


def walk(
    step: Callable,
    walker: Walker,
    sizes: Float[Array, " sizes"],
    length,
    *,
    rescale: bool = True,
    observe: Callable = lambda y: None,
) -> tuple[Walker, Row]:
    """Take blocks of steps, length.blocks times length.every; a row for each block.

    Without `rescale` the neighbours go where they will, and `parted` is ln(distance/δ).
    """

    def once(walker, _):
        y, q = push(step, walker.y, walker.tangents)
        return Walker(y, q, jax.vmap(step)(walker.others)), None

    def block(walker, _):
        seen = observe(walker.y)
        walker, _ = jax.lax.scan(once, walker, length=length.every)
        q, lower = orthonormal(walker.tangents)
        z, _ = flat(walker.y)

        def back_to(other, size):
            at, restore = flat(other)
            gap, far = orthonormal((at - z)[None])
            far = far[0, 0]
            near = restore(z + size * gap[0]) if rescale else other
            return near, jnp.log(far / size)

        others, parted = jax.vmap(back_to)(walker.others, sizes)
        finite = jnp.all(jnp.isfinite(z))
        row = Row(jnp.log(jnp.diagonal(lower)), parted, finite, seen)
        return Walker(walker.y, q, others), row

    return jax.lax.scan(block, walker, length=length.blocks)


def standard_error(each):
    """The standard error of a mean over starts, (starts, …), of either kind of array.
    Of one start it is 0."""
    count = len(each)
    return each.std(axis=0, ddof=min(1, count - 1)) / count**0.5
