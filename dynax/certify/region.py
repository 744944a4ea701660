"""Regions of states: a box, cut down to a sublevel set, with balls taken out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dynax.certify.interval import Interval


class Ball(NamedTuple):
    """The open ball of a radius about a centre, by default the origin."""

    radius: float
    centre: tuple[float, ...] | None = None

    def at(self, n: int) -> np.ndarray:
        centre = np.zeros(n) if self.centre is None else np.asarray(self.centre, float)
        if centre.shape != (n,):
            raise ValueError(
                f"centre: given {centre.size} numbers; accepted are {n}, one a state."
            )
        return centre

    def holds(self, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """Whether boxes (n, batch) lie inside, with room for round-off."""
        centre = self.at(lo.shape[0])[:, None]
        far = np.maximum(np.abs(lo - centre), np.abs(hi - centre))
        return np.sqrt(np.sum(far**2, axis=0)) * (1 + 1e-12) < self.radius

    def meets(self, z: np.ndarray) -> np.ndarray:
        """Whether points (n, batch) lie inside or on its edge, to round-off."""
        centre = self.at(z.shape[0])[:, None]
        return np.sqrt(np.sum((z - centre) ** 2, axis=0)) <= self.radius * (1 + 1e-12)


class Region(NamedTuple):
    """The box lower ≤ z ≤ upper of n numbers, without the balls `excluding`."""

    lower: np.ndarray
    upper: np.ndarray
    excluding: Sequence[Ball] = ()

    @classmethod
    def of(cls, lower, upper, excluding=(), most: int = 4) -> "Region":
        """The region of two vectors.

        Raises:
            ValueError: they differ in length, are not finite, are in the wrong order,
                or have more than `most` entries.
        """
        lower, upper = (np.atleast_1d(np.asarray(e, float)) for e in (lower, upper))
        if lower.ndim != 1 or lower.shape != upper.shape:
            raise ValueError(
                f"lower, upper: given shapes {lower.shape} and {upper.shape}; accepted "
                "are two vectors of one length."
            )
        if not (np.all(np.isfinite(lower)) and np.all(np.isfinite(upper))):
            raise ValueError(
                f"lower, upper: given {lower} and {upper}; accepted are finite numbers."
            )
        if not np.all(lower < upper):
            k = int(np.flatnonzero(~(lower < upper))[0])
            raise ValueError(
                f"lower[{k}], upper[{k}]: given {lower[k]:g} and {upper[k]:g}; "
                "accepted is lower < upper."
            )
        if lower.size > most:
            raise ValueError(
                f"lower: given {lower.size} states; accepted are at most {most}: the "
                "number of boxes grows as a power of it. Fix some states, or judge "
                "runs (dynax.verify)."
            )
        balls = (excluding,) if isinstance(excluding, Ball) else tuple(excluding)
        for ball in balls:
            if not ball.radius > 0:
                raise ValueError(
                    f"excluding: given a radius of {ball.radius:g}; accepted is > 0."
                )
            ball.at(lower.size)
        return cls(lower, upper, balls)

    def removes(self, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """Which boxes lie in a ball, and need no certificate."""
        gone = np.zeros(lo.shape[1], bool)
        for ball in self.excluding:
            gone |= ball.holds(lo, hi)
        return gone

    def contains(self, z: np.ndarray) -> np.ndarray:
        """Which points of the box are surely outside all balls."""
        inside = np.ones(z.shape[1], bool)
        for ball in self.excluding:
            inside &= ~ball.meets(z)
        return inside

    def box(self) -> Interval:
        return Interval(self.lower[:, None], self.upper[:, None])
