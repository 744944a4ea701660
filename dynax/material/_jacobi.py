"""Eigenvectors of symmetric 2×2 and 3×3 matrices by Jacobi's rotations."""

import functools

import jax
import jax.numpy as jnp

from dynax.material._algebra import dot


SWEEPS = {2: {4: 1, 8: 1}, 3: {4: 4, 8: 5}}  # dimension, bytes a number


PLANES = {2: ((0, 1),), 3: ((0, 1), (0, 2), (1, 2))}


def eigen(a):
    """λ, V of the symmetric matrix with entries a[i][j]; V[k] is the k-th vector.

    Unsorted. A rotation in the plane (p, q) by t = tan θ, the smaller root of
    t² + t(a_qq − a_pp)/a_pq − 1 = 0, makes a_pq zero; cyclic sweeps converge
    quadratically, 2×2 in one. Errors are ε‖A‖, for repeated λ too.
    """
    d, dtype = len(a), a[0][0].dtype
    start = [[jnp.full_like(a[0][0], i == j) for j in range(d)] for i in range(d)]

    def sweep(_, carry):
        a, V = carry
        for p, q in PLANES[d]:
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
    off = a[p, q]
    t = tangent(off, a[q, q] - a[p, p])
    c = 1 / jnp.sqrt(1 + t**2)
    s = t * c
    a[p, p], a[q, q] = a[p, p] - t * off, a[q, q] + t * off
    a[p, q] = jnp.zeros_like(off)
    if len(V) == 3:
        r = 3 - p - q
        rp, rq = (min(r, p), max(r, p)), (min(r, q), max(r, q))
        a[rp], a[rq] = c * a[rp] - s * a[rq], s * a[rp] + c * a[rq]
    return a, turned(V, p, q, c, s)


def turned(V, p, q, c, s):
    V, pairs = list(V), [*zip(V[p], V[q], strict=True)]
    V[p], V[q] = [c * x - s * y for x, y in pairs], [s * x + c * y for x, y in pairs]
    return V


def orthogonal(F, V):
    """V turned until the vectors Fv are orthogonal, to ε of their sizes; and |Fv|².

    `eigen` leaves the errors ε‖FᵀF‖, which is all of a crushed direction. So Jacobi's
    rotations are repeated on FV itself (Hestenes, J. SIAM 6, 1958), in planes where a
    stretch is below 0.7 or above 1.5; mostly there are none to make.
    """
    planes = PLANES[len(V)]
    limit = 8 * jnp.finfo(V[0][0].dtype).eps

    def moved(V):
        return [[dot(row, v) for row in F] for v in V]

    def seen(W, p, q):
        a, b, off = (dot(W[i], W[j]) for i, j in ((p, p), (q, q), (p, q)))
        far = (jnp.minimum(a, b) < 0.49) | (jnp.maximum(a, b) > 2.25)
        bad = far & (jnp.abs(off) > limit * jnp.sqrt(a) * jnp.sqrt(b))
        return bad, jnp.where(far, off, 0), b - a

    def sizes(V):
        return [dot(w, w) for w in moved(V)]

    def unfinished(V):
        W = moved(V)
        bad = [jnp.any(seen(W, *plane)[0]) for plane in planes]
        return functools.reduce(jnp.logical_or, bad)

    def sweep(carry):
        count, V, _, _ = carry
        W = moved(V)
        for p, q in planes:
            t = tangent(*seen(W, p, q)[1:])
            c = 1 / jnp.sqrt(1 + t**2)
            V, W = (turned(X, p, q, c, t * c) for X in (V, W))
        return count + 1, V, sizes(V), unfinished(V)

    # Whether to go on is carried, not computed where it is asked: under vmap it is
    # asked twice a turn, and two answers that differ by rounding turn for ever.
    go = lambda carry: (carry[0] < 6) & carry[3]
    return jax.lax.while_loop(go, sweep, (0, V, sizes(V), unfinished(V)))[1:3]
