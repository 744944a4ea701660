"""Batches of intervals, rounded outward.

The batch of boxes is the last axis, so that scalars of a program broadcast against
arrays as they do in JAX. A constant has a batch of one.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Interval:
    """[lo, hi], entry by entry; of booleans [certainly, possibly].

    Two names of one value are one object: x·x is then known to be a square.
    """

    lo: np.ndarray  # value's shape + (batch,)
    hi: np.ndarray

    @property
    def constant(self) -> bool:
        """Whether it is one value, the same in every box."""
        return self.lo.shape[-1] == 1 and bool(np.all(self.lo == self.hi))

    @property
    def inexact(self) -> bool:
        return np.issubdtype(self.lo.dtype, np.floating)

    @property
    def undecided(self) -> np.ndarray:
        """The boxes on which some entry is not one value."""
        return np.any(self.lo != self.hi, axis=tuple(range(self.lo.ndim - 1)))

    @property
    def infinite(self) -> np.ndarray:
        """The boxes on which some entry is not bounded."""
        if not self.inexact:
            return np.zeros(self.lo.shape[-1], bool)
        lost = ~np.isfinite(self.lo + self.hi)
        return np.any(lost, axis=tuple(range(lost.ndim - 1)))


def point(value) -> Interval:
    """The interval of one value, in every box."""
    value = np.asarray(value)[..., None]
    return Interval(value, value)


def down(x):
    return np.nextafter(x, -np.inf)


def up(x):
    return np.nextafter(x, np.inf)


def enclosing(lo, hi, exact_lo=False, exact_hi=False) -> Interval:
    """[lo, hi] of computed ends, each moved outward by one unit unless exact.

    An end that is not a number says nothing: it becomes infinite.
    """
    lo, hi = np.asarray(lo), np.asarray(hi)
    if np.issubdtype(lo.dtype, np.floating):
        lo = np.where(exact_lo, lo, down(lo))
        hi = np.where(exact_hi, hi, up(hi))
        lo = np.where(np.isnan(lo), -np.inf, lo)
        hi = np.where(np.isnan(hi), np.inf, hi)
    return Interval(lo, hi)


def hull(*xs: Interval) -> Interval:
    """The least interval that contains all of them."""
    lo, hi = xs[0].lo, xs[0].hi
    for x in xs[1:]:
        lo, hi = np.minimum(lo, x.lo), np.maximum(hi, x.hi)
    return Interval(lo, hi)


def whole(x: Interval, where) -> Interval:
    """The real line on the boxes (or entries) `where`; x elsewhere."""
    return Interval(np.where(where, -np.inf, x.lo), np.where(where, np.inf, x.hi))
