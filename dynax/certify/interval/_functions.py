"""Rules of elementary functions.

NumPy's and SciPy's functions are not correctly rounded. Each computed end is moved
outward by the number of units in the last place that `ULPS` states, which a test
measures against mpmath. A certificate is rigorous up to that assumption.
"""

from collections.abc import Callable

import numpy as np
import scipy.special

from dynax.certify.interval._arithmetic import (
    add,
    corners,
    integer_power,
    mul,
    reciprocal,
)
from dynax.certify.interval._choices import magnitude
from dynax.certify.interval._interval import Interval, whole


ULPS = 4
_UNIT = ULPS * np.finfo(float).eps
_TINY = ULPS * np.finfo(float).smallest_subnormal


def loose(lo, hi, least=-np.inf, most=np.inf) -> Interval:
    """Computed ends moved outward by `ULPS` units, within the range of the function."""
    lo = np.maximum(lo - np.abs(lo) * _UNIT - _TINY, least)
    hi = np.minimum(hi + np.abs(hi) * _UNIT + _TINY, most)
    lo, hi = np.where(np.isnan(lo), least, lo), np.where(np.isnan(hi), most, hi)
    return Interval(lo, hi)


def increasing(f: Callable, least=-np.inf, most=np.inf, fixed: float | None = None):
    """The rule of an increasing function; f(fixed) is exact, and keeps signs exact."""

    def rule(a: Interval) -> Interval:
        found = loose(f(a.lo), f(a.hi), least, most)
        if fixed is None:
            return found
        at = f(fixed)
        lo = np.where(a.lo >= fixed, np.maximum(found.lo, at), found.lo)
        hi = np.where(a.hi <= fixed, np.minimum(found.hi, at), found.hi)
        return Interval(lo, hi)

    return rule


def limited(rule: Callable, least=-np.inf, most=np.inf):
    """A function that is defined on [least, most] only: unknown on a box beyond."""

    def inside(a: Interval) -> Interval:
        cut = Interval(np.clip(a.lo, least, most), np.clip(a.hi, least, most))
        return whole(rule(cut), (a.lo < least) | (a.hi > most))

    return inside


def cosh(a: Interval) -> Interval:
    size = magnitude(a)
    return loose(np.cosh(size.lo), np.cosh(size.hi), 1.0)


def sine(a: Interval) -> Interval:
    return _wave(np.sin, a, -0.25, 0.25)


def cosine(a: Interval) -> Interval:
    return _wave(np.cos, a, 0.5, 0.0)


def _wave(f: Callable, a: Interval, trough: float, crest: float) -> Interval:
    """f between −1 and 1, with its extremes wherever these turns may lie inside."""
    ends = loose(f(a.lo), f(a.lo)), loose(f(a.hi), f(a.hi))
    lo = np.maximum(np.minimum(ends[0].lo, ends[1].lo), -1)
    hi = np.minimum(np.maximum(ends[0].hi, ends[1].hi), 1)
    low, high = _may_hold(a, trough), _may_hold(a, crest)
    return Interval(np.where(low, -1.0, lo), np.where(high, 1.0, hi))


def _may_hold(a: Interval, turn: float):
    """Whether [lo, hi] may hold a point 2π(k + turn); generous by round-off."""
    lo, hi = a.lo / (2 * np.pi) - turn, a.hi / (2 * np.pi) - turn
    room = 1e-14 * (1 + np.maximum(np.abs(lo), np.abs(hi)))
    inside = np.ceil(lo - room) <= np.floor(hi + room)
    return inside | ~np.isfinite(lo) | ~np.isfinite(hi)


def logistic(a: Interval) -> Interval:
    return loose(scipy.special.expit(a.lo), scipy.special.expit(a.hi), 0.0, 1.0)


def power(a: Interval, b: Interval) -> Interval:
    """a^b for a ≥ 0, by corners: it is monotone in each. Else unknown.

    A constant whole exponent serves negative a too.
    """
    exponent = b.lo.flat[0] if b.constant and b.lo.size == 1 else 0.5
    if float(exponent).is_integer() and abs(exponent) <= 64:
        return integer_power(a, int(exponent))
    base = Interval(np.maximum(a.lo, 0), np.maximum(a.hi, 0))
    found = loose(*corners(np.power, base, b), 0.0)
    positive = (base.lo == 0) & (b.lo > 0)  # 0^b is 0 exactly
    found = Interval(np.where(positive, 0.0, found.lo), found.hi)
    return whole(found, (a.lo < 0) | ((base.lo == 0) & (b.lo <= 0)))


def rsqrt(a: Interval) -> Interval:
    return reciprocal(FUNCTIONS["sqrt"](a))


def tangent(a: Interval) -> Interval:
    return mul(sine(a), reciprocal(cosine(a)))


def atan2(a: Interval, b: Interval) -> Interval:
    """The angle of (b, a), by corners for b > 0; else somewhere in [−π, π]."""
    found, left = loose(*corners(np.arctan2, a, b)), b.lo <= 0
    return Interval(np.where(left, -3.15, found.lo), np.where(left, 3.15, found.hi))


FUNCTIONS: dict[str, Callable[..., Interval]] = {
    "sqrt": limited(increasing(np.sqrt, 0.0, fixed=0.0), 0.0),
    "rsqrt": rsqrt,
    "cbrt": increasing(np.cbrt, fixed=0.0),
    "exp": increasing(np.exp, 0.0),
    "exp2": increasing(np.exp2, 0.0),
    "expm1": increasing(np.expm1, -1.0, fixed=0.0),
    "log": limited(increasing(np.log, fixed=1.0), 0.0),
    "log1p": limited(increasing(np.log1p, fixed=0.0), -1.0),
    "tanh": increasing(np.tanh, -1.0, 1.0, fixed=0.0),
    "sinh": increasing(np.sinh, fixed=0.0),
    "cosh": cosh,
    "asinh": increasing(np.arcsinh, fixed=0.0),
    "acosh": limited(increasing(np.arccosh, 0.0, fixed=1.0), 1.0),
    "atanh": limited(increasing(np.arctanh, fixed=0.0), -1.0, 1.0),
    "atan": increasing(np.arctan, fixed=0.0),
    "asin": limited(increasing(np.arcsin, fixed=0.0), -1.0, 1.0),
    "sin": sine,
    "cos": cosine,
    "tan": tangent,
    "erf": increasing(scipy.special.erf, -1.0, 1.0, fixed=0.0),
    "logistic": logistic,
    "atan2": atan2,
    "pow": power,
}


def erfc(a: Interval) -> Interval:
    """1 − erf: SciPy's own erfc errs by hundreds of units where it is small."""
    erf = FUNCTIONS["erf"](a)
    found = add(Interval(np.ones(1), np.ones(1)), Interval(-erf.hi, -erf.lo))
    return Interval(np.maximum(found.lo, 0), np.minimum(found.hi, 2))


def acos(a: Interval) -> Interval:
    """π/2 − asin a."""
    asin = FUNCTIONS["asin"](a)
    half = Interval(np.array([np.pi / 2 - 1e-15]), np.array([np.pi / 2 + 1e-15]))
    return add(half, Interval(-asin.hi, -asin.lo))


FUNCTIONS |= {"erfc": erfc, "acos": acos}
