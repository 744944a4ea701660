"""Interval arithmetic for traced functions: one rule a primitive, rounded outward.

Evaluated in NumPy, one primitive at a time over a batch of boxes: nothing is compiled,
and every operation is one IEEE operation that no compiler fuses or contracts.
"""

from dynax.certify.interval._functions import ULPS
from dynax.certify.interval._interval import Interval, hull, point
from dynax.certify.interval._program import Program


__all__ = ["ULPS", "Interval", "Program", "hull", "point"]
