"""Rules of arithmetic. Signs are exact: a zero that is known is not moved.

Without that no dissipation is ever certified: D ≥ 0 is a sum of squares that touches 0.
"""

import functools
import math

import numpy as np

from dynax.certify.interval._choices import magnitude
from dynax.certify.interval._interval import Interval, down, enclosing, up, whole


LARGE = 8  # entries of a known matrix from which on it is multiplied as one


def corners(f, a: Interval, b: Interval):
    """The least and the largest f over the ends of both; NaN where one of them is."""
    values = [f(p, q) for p in (a.lo, a.hi) for q in (b.lo, b.hi)]
    return functools.reduce(np.minimum, values), functools.reduce(np.maximum, values)


def add(a: Interval, b: Interval) -> Interval:
    """a + b; a sum that is computed as 0, or one of whose terms is 0, is exact."""
    lo, hi = a.lo + b.lo, a.hi + b.hi
    exact = lambda s, p, q: (s == 0) | (p == 0) | (q == 0)
    return enclosing(lo, hi, exact(lo, a.lo, b.lo), exact(hi, a.hi, b.hi))


def neg(a: Interval) -> Interval:
    return Interval(-a.hi, -a.lo)


def sub(a: Interval, b: Interval) -> Interval:
    if a is b:  # 0 where a is finite
        zero = Interval(np.zeros_like(a.lo), np.zeros_like(a.hi))
        return whole(zero, np.isinf(a.lo) | np.isinf(a.hi)) if a.inexact else zero
    return add(a, neg(b))


def square(a: Interval) -> Interval:
    return integer_power(a, 2)


def _product(p, q):
    """p·q, where 0·∞ is 0: an infinite end stands for any finite number."""
    value = p * q
    return np.where(np.isnan(value), 0, value)


def mul(a: Interval, b: Interval) -> Interval:
    """a·b; of one value with itself the square. Its sign is that of the factors."""
    if a.lo.dtype == bool:
        return Interval(a.lo & b.lo, a.hi & b.hi)
    if a is b:
        return square(a)
    lo, hi = corners(_product, a, b)
    if not a.inexact:
        return Interval(lo, hi)
    zero = ((a.lo == 0) & (a.hi == 0)) | ((b.lo == 0) & (b.hi == 0))
    alike = ((a.lo >= 0) & (b.lo >= 0)) | ((a.hi <= 0) & (b.hi <= 0))
    unlike = ((a.lo >= 0) & (b.hi <= 0)) | ((a.hi <= 0) & (b.lo >= 0))
    lo, hi = down(lo), up(hi)
    lo = np.where(zero, 0.0, np.where(alike, np.maximum(lo, 0), lo))
    hi = np.where(zero, 0.0, np.where(unlike, np.minimum(hi, 0), hi))
    return Interval(lo, hi)


def reciprocal(a: Interval) -> Interval:
    """1/a; the whole line where 0 lies inside, a half line where it is an end."""
    lo = np.where(a.hi == 0, -np.inf, 1 / a.hi)
    hi = np.where(a.lo == 0, np.inf, 1 / a.lo)
    found = enclosing(lo, hi)
    sign = np.where(a.lo >= 0, 0.0, -np.inf), np.where(a.hi <= 0, 0.0, np.inf)
    found = Interval(np.maximum(found.lo, sign[0]), np.minimum(found.hi, sign[1]))
    return whole(found, ((a.lo < 0) & (a.hi > 0)) | ((a.lo == 0) & (a.hi == 0)))


def div(a: Interval, b: Interval) -> Interval:
    """a/b, by corners where 0 is not in b, else through the reciprocal."""
    if not a.inexact:
        if not np.all((b.lo == b.hi) & (a.lo >= 0) & (b.lo > 0)):
            raise NotImplementedError("an integer is divided by one that may be ≤ 0")
        return Interval(a.lo // b.lo, a.hi // b.hi)
    lo, hi = corners(np.divide, a, b)
    alike = ((a.lo >= 0) & (b.lo > 0)) | ((a.hi <= 0) & (b.hi < 0))
    unlike = ((a.lo >= 0) & (b.hi < 0)) | ((a.hi <= 0) & (b.lo > 0))
    found = enclosing(lo, hi)
    lo = np.where(alike, np.maximum(found.lo, 0), found.lo)
    hi = np.where(unlike, np.minimum(found.hi, 0), found.hi)
    zero = (a.lo == 0) & (a.hi == 0)
    inside = (b.lo <= 0) & (b.hi >= 0)
    if not np.any(inside):
        return Interval(np.where(zero, 0.0, lo), np.where(zero, 0.0, hi))
    slow = mul(a, reciprocal(b))
    lo = np.where(inside, slow.lo, np.where(zero, 0.0, lo))
    hi = np.where(inside, slow.hi, np.where(zero, 0.0, hi))
    return whole(Interval(lo, hi), inside & zero)


def integer_power(a: Interval, n: int) -> Interval:
    """aⁿ; an even power is at least 0, and is 0 where a may be."""
    if n < 0:
        return reciprocal(integer_power(a, -n))
    if n == 0:
        return Interval(np.ones_like(a.lo), np.ones_like(a.hi))
    if n == 1:
        return a
    if n % 2 == 0:
        size = magnitude(a)
        return Interval(_power(size.lo, n, down), _power(size.hi, n, up))
    low = np.where(
        a.lo < 0, -_power(np.abs(a.lo), n, up), _power(np.abs(a.lo), n, down)
    )
    high = np.where(
        a.hi < 0, -_power(np.abs(a.hi), n, down), _power(np.abs(a.hi), n, up)
    )
    return Interval(low, high)


def _power(x, n, outward):
    """xⁿ for x ≥ 0, by n − 1 products, each rounded outward; 0 and 1 stay."""
    if not np.issubdtype(x.dtype, np.floating):
        return x**n
    value = x
    for _ in range(n - 1):
        value = outward(value * x)
    return np.where((x == 0) | (x == 1), x, np.maximum(value, 0))


def total(a: Interval, axes: tuple[int, ...]) -> Interval:
    """Σ over axes; computed in any order, it errs by at most n·ε·Σ|aᵢ|.

    It is exact where at most one term is not 0, and has the sign of its terms.
    """
    if not axes:
        return a
    lo, hi = np.sum(a.lo, axis=axes), np.sum(a.hi, axis=axes)
    if not a.inexact:
        return Interval(lo, hi)
    n = np.prod([a.lo.shape[k] for k in axes], dtype=int)
    single = lambda e: np.count_nonzero(e, axis=axes) <= 1
    slack = lambda e: n * np.finfo(float).eps * np.sum(np.abs(e), axis=axes)
    low = np.where(single(a.lo), lo, down(lo - slack(a.lo)))
    high = np.where(single(a.hi), hi, up(hi + slack(a.hi)))
    low = np.where(np.all(a.lo >= 0, axis=axes), np.maximum(low, 0), low)
    high = np.where(np.all(a.hi <= 0, axis=axes), np.minimum(high, 0), high)
    return enclosing(low, high, True, True)


def dot(a: Interval, b: Interval, dimension_numbers) -> Interval:
    """Contraction and batching as `lax.dot_general`; of x with itself Σx²."""
    (ca, cb), (ba, bb) = dimension_numbers
    na, nb = a.lo.ndim - 1, b.lo.ndim - 1
    free_a = [k for k in range(na) if k not in (*ca, *ba)]
    free_b = [k for k in range(nb) if k not in (*cb, *bb)]

    def arranged(x: Interval, order, shape):
        turn = lambda e: e.transpose(*order, e.ndim - 1).reshape(*shape, e.shape[-1])
        return Interval(turn(x.lo), turn(x.hi))

    size = lambda x, ks: [x.lo.shape[k] for k in ks]
    if not ba and max(a.lo.shape[-1], b.lo.shape[-1]) > 1:
        k, m, n = (math.prod(size(*s)) for s in ((a, ca), (a, free_a), (b, free_b)))
        shape = [*size(a, free_a), *size(b, free_b), -1]
        if _plain(a, k * m) and _plain(b, 0):
            matrix = arranged(a, [*free_a, *ca], [m, k])
            found = _linear(matrix, arranged(b, [*cb, *free_b], [k, n]))
            return Interval(found.lo.reshape(shape), found.hi.reshape(shape))
        if _plain(b, k * n) and _plain(a, 0):
            matrix = arranged(b, [*free_b, *cb], [n, k])
            found = _linear(matrix, arranged(a, [*ca, *free_a], [k, m]))
            turn = lambda e: e.swapaxes(0, 1).reshape(shape)
            return Interval(turn(found.lo), turn(found.hi))
    left = arranged(
        a,
        [*ba, *free_a, *ca],
        [*size(a, ba), *size(a, free_a), *[1] * len(free_b), *size(a, ca)],
    )
    if a is b and not free_a and not ba and tuple(ca) == tuple(cb):
        products = square(left)
    else:
        right = arranged(
            b,
            [*bb, *free_b, *cb],
            [*size(b, bb), *[1] * len(free_a), *size(b, free_b), *size(b, cb)],
        )
        products = mul(left, right)
    first = len(ba) + len(free_a) + len(free_b)
    return total(products, tuple(range(first, first + len(ca))))


def _plain(x: Interval, entries: int) -> bool:
    """Whether no product of its entries may underflow or overflow; a matrix is known.

    `entries` is that of a matrix, or 0 of what it multiplies.
    """
    if not x.inexact or (entries and not (entries >= LARGE and x.constant)):
        return False
    sizes = np.abs([x.lo, x.hi])
    return bool(np.all((sizes == 0) | ((sizes > 1e-140) & (sizes < 1e140))))


def _linear(matrix: Interval, x: Interval) -> Interval:
    """Wx of a known W (m, k, 1) and boxes x (k, n, batch), by matrix products.

    Computed in any order, Σ|terms| bounds the error: (k + 4)·ε of it are left on each
    side. Terms of one sign give a sum of that sign.
    """
    W = matrix.lo[..., 0]
    both = np.concatenate([np.maximum(W, 0), np.minimum(W, 0)], axis=1)
    slack = (2 * W.shape[1] + 4) * np.finfo(float).eps

    def end(first, second):
        rows = lambda f, g: np.concatenate([f(first, 0), g(second, 0)])
        flat = lambda e: both @ e.reshape(e.shape[0], -1)
        above = flat(rows(np.maximum, np.minimum))
        below = flat(rows(np.minimum, np.maximum))
        shape = (W.shape[0], *x.lo.shape[1:])
        return (e.reshape(shape) for e in (above + below, above, below))

    lo, above, below = end(x.lo, x.hi)
    lo = lo - slack * (above - below)
    lo = np.where(below == 0, np.maximum(lo, 0), lo)
    hi, above, below = end(x.hi, x.lo)
    hi = hi + slack * (above - below)
    return Interval(lo, np.where(above == 0, np.minimum(hi, 0), hi))
