"""Intervals to draw values from, or to search."""

import math
from typing import NamedTuple

import numpy as np


class Range(NamedTuple):
    """An interval to draw from: made by `uniform`, `log_uniform`, `integers`."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def at(self, u: np.ndarray) -> np.ndarray:
        """The values at u in [0, 1)."""
        if self.integer:
            drawn = np.floor(self.low + u * (self.high - self.low + 1))
            return np.minimum(drawn, self.high).astype(int)  # the sum may round up
        if self.log:
            return np.exp(np.log(self.low) + u * (np.log(self.high) - np.log(self.low)))
        return self.low + u * (self.high - self.low)


def uniform(low: float, high: float) -> Range:
    """An axis of numbers in [low, high), evenly spread."""
    return checked(Range(float(low), float(high)))


def log_uniform(low: float, high: float) -> Range:
    """An axis of numbers in [low, high), their logarithms evenly spread. low > 0."""
    return checked(Range(float(low), float(high), log=True))


def integers(low: int, high: int) -> Range:
    """An axis of the integers low, low + 1, …, high."""
    return checked(Range(low, high, integer=True))


def checked(r: Range) -> Range:
    """The range, unless it makes no sense."""
    if not (math.isfinite(r.low) and math.isfinite(r.high) and r.low < r.high):
        raise ValueError(f"range: given {r.low} … {r.high}; accepted is low < high.")
    if r.integer and (r.log or r.low % 1 or r.high % 1):
        raise ValueError(
            f"range: given integers {r.low} … {r.high}{', logarithmic' * r.log}; "
            "accepted are whole numbers, evenly spread."
        )
    if r.integer:
        r = r._replace(low=int(r.low), high=int(r.high))
    if r.log and r.low <= 0:
        raise ValueError(
            f"range: given low = {r.low}; accepted is > 0 for a log range."
        )
    return r
