"""Eigenvectors of symmetric 2×2 and 3×3 matrices by Jacobi's rotations."""

import jax
import jax.numpy as jnp


SWEEPS = {2: {4: 1, 8: 1}, 3: {4: 4, 8: 5}}  # dimension, bytes a number


def eigen(a):
    """λ, V of the symmetric matrix with entries a[i][j]; V[k] is the k-th vector.

    Unsorted. A rotation in the plane (p, q) by t = tan θ, the smaller root of
    t² + t(a_qq − a_pp)/a_pq − 1 = 0, makes a_pq zero; cyclic sweeps converge
    quadratically, 2×2 in one. Errors are ε‖A‖, for repeated λ too.
    """
    d, dtype = len(a), a[0][0].dtype
    planes = ((0, 1),) if d == 2 else ((0, 1), (0, 2), (1, 2))
    start = [[jnp.full_like(a[0][0], i == j) for j in range(d)] for i in range(d)]

    def sweep(_, carry):
        a, V = carry
        for p, q in planes:
            a, V = rotated(a, V, p, q)
        return a, V

    count = SWEEPS[d][dtype.itemsize]
    a = {(i, j): a[i][j] for i in range(d) for j in range(i, d)}
    a, V = jax.lax.fori_loop(0, count, sweep, (a, start))
    return [a[i, i] for i in range(d)], V


def tangent(off, gap):
    """t of the rotation that makes `off` zero, |t| ≤ 1: of numbers of any size, for
    squares are taken of their ratio only."""
    twice, gap_size = 2 * jnp.abs(off), jnp.abs(gap)
    big = jnp.maximum(twice, gap_size) + jnp.finfo(off.dtype).tiny
    ratio = jnp.minimum(twice, gap_size) / big
    t = 2 * off / (gap_size + big * jnp.sqrt(1 + ratio**2))
    return jnp.where(gap < 0, -t, t)


def rotated(a, V, p, q):
    a, V = dict(a), list(V)
    t = tangent(a[p, q], a[q, q] - a[p, p])
    off = a[p, q]
    c = 1 / jnp.sqrt(1 + t**2)
    s = t * c
    a[p, p], a[q, q] = a[p, p] - t * off, a[q, q] + t * off
    a[p, q] = jnp.zeros_like(off)
    if len(V) == 3:
        r = 3 - p - q
        rp, rq = (min(r, p), max(r, p)), (min(r, q), max(r, q))
        a[rp], a[rq] = c * a[rp] - s * a[rq], s * a[rp] + c * a[rq]
    pairs = list(zip(V[p], V[q], strict=True))
    V[p], V[q] = [c * x - s * y for x, y in pairs], [s * x + c * y for x, y in pairs]
    return a, V
