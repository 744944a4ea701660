"""Rules of what decides: comparisons, signs, choices, orders.

A comparison is three-valued. Where a choice is undecided on a box, the result is the
hull of what may be taken, and the box is *marked*: the function may jump inside it, and
then no mean-value form is sound there.
"""

from collections.abc import Callable

import numpy as np

from dynax.certify.interval._interval import Interval, hull


Mark = Callable[[np.ndarray], None]


def less(a: Interval, b: Interval) -> Interval:
    return Interval(a.hi < b.lo, a.lo < b.hi)


def less_equal(a: Interval, b: Interval) -> Interval:
    return Interval(a.hi <= b.lo, a.lo <= b.hi)


def equal(a: Interval, b: Interval) -> Interval:
    same = (a.lo == a.hi) & (b.lo == b.hi) & (a.lo == b.lo)
    return Interval(same, (a.lo <= b.hi) & (b.lo <= a.hi))


def negated(a: Interval) -> Interval:
    return Interval(~a.hi, ~a.lo)


def both(a: Interval, b: Interval) -> Interval:
    return Interval(a.lo & b.lo, a.hi & b.hi)


def either(a: Interval, b: Interval) -> Interval:
    return Interval(a.lo | b.lo, a.hi | b.hi)


def finite(a: Interval) -> Interval:
    sure = np.isfinite(a.lo) & np.isfinite(a.hi)
    return Interval(sure, np.ones_like(sure))


def maximum(a: Interval, b: Interval) -> Interval:
    return Interval(np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi))


def minimum(a: Interval, b: Interval) -> Interval:
    return Interval(np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi))


def magnitude(a: Interval) -> Interval:
    """|a|: continuous, no box is marked."""
    small = np.maximum(np.maximum(a.lo, -a.hi), 0)
    return Interval(small, np.maximum(-a.lo, a.hi))


def stepwise(f: Callable) -> Callable:
    """A function that rises by jumps: sign, floor, ceil, round."""

    def rule(mark: Mark, a: Interval) -> Interval:
        found = Interval(f(a.lo), f(a.hi))
        mark(found.undecided)
        return found

    return rule


def select(mark: Mark, which: Interval, *cases: Interval) -> Interval:
    """cases[which], the hull of those that may be taken."""
    lo, hi = which.lo.astype(int), which.hi.astype(int)
    lo, hi = np.clip(lo, 0, len(cases) - 1), np.clip(hi, 0, len(cases) - 1)
    found = None
    for k, case in enumerate(cases):
        may = (lo <= k) & (k <= hi)
        here = Interval(
            np.where(may, case.lo, _top(case)), np.where(may, case.hi, _bottom(case))
        )
        found = here if found is None else hull(found, here)
    assert found is not None
    if any(case is not cases[0] for case in cases):  # else it does not matter which
        mark(Interval(lo, hi).undecided)
    return found


def _top(x: Interval):
    if x.lo.dtype == bool:
        return True
    return np.inf if x.inexact else np.iinfo(x.lo.dtype).max


def _bottom(x: Interval):
    if x.lo.dtype == bool:
        return False
    return -np.inf if x.inexact else np.iinfo(x.lo.dtype).min


def convert(mark: Mark, a: Interval, new_dtype) -> Interval:
    """To another dtype; of float64 into narrower floats nothing is known here."""
    new = np.dtype(new_dtype)
    if np.issubdtype(new, np.floating) and new != np.float64:
        raise NotImplementedError(f"a value becomes {new}; a certificate needs float64")
    if new == a.lo.dtype:
        return a
    if new.kind == "b":
        zero = (a.lo == 0) & (a.hi == 0)
        found = Interval((a.lo > 0) | (a.hi < 0), ~zero)
    elif a.inexact:
        found = Interval(np.trunc(a.lo).astype(new), np.trunc(a.hi).astype(new))
    else:
        found = Interval(a.lo.astype(new), a.hi.astype(new))
    if a.inexact or a.lo.dtype == bool:
        mark(found.undecided)
    return found


def ordered(a: Interval, axis: int) -> Interval:
    """Sorted along an axis: each order statistic is increasing in every entry."""
    return Interval(np.sort(a.lo, axis=axis), np.sort(a.hi, axis=axis))


def extreme(mark: Mark, a: Interval, axis: int, sign: int, dtype) -> Interval:
    """The index of the largest (sign 1) or least (−1) entry: where it may be."""
    x = a if sign > 0 else Interval(-a.hi, -a.lo)
    may = x.hi >= np.max(x.lo, axis=axis, keepdims=True)
    n = may.shape[axis]
    lo = np.argmax(may, axis=axis)
    hi = n - 1 - np.argmax(np.flip(may, axis), axis=axis)
    # a tie of exact values goes to the first, as in JAX
    exact = np.all(x.lo == x.hi, axis=axis)
    hi = np.where(exact, lo, hi)
    found = Interval(lo.astype(dtype), hi.astype(dtype))
    mark(found.undecided)
    return found


def largest(mark: Mark, a: Interval, k: int, dtype) -> list[Interval]:
    """The k largest along the last axis of the value, and where they may stand."""
    lo, hi = (-np.sort(-e, axis=-2)[..., :k, :] for e in (a.lo, a.hi))
    order = np.argsort(-a.lo, axis=-2, kind="stable")
    low = np.take_along_axis(a.lo, order, axis=-2)
    high = np.take_along_axis(a.hi, order, axis=-2)
    # decided if every entry clears all that stand behind it, or ties exactly
    behind = np.flip(np.maximum.accumulate(np.flip(high, -2), axis=-2), -2)
    point = np.all(a.lo == a.hi, axis=-2)
    clear = np.all(
        low[..., :-1, :][..., :k, :] > behind[..., 1:, :][..., :k, :], axis=-2
    )
    sure = np.asarray(point | clear)[..., None, :]
    n = a.lo.shape[-2]
    where = order[..., :k, :]
    found = Interval(
        np.where(sure, where, 0).astype(dtype),
        np.where(sure, where, n - 1).astype(dtype),
    )
    mark(found.undecided)
    return [Interval(lo, hi), found]
