"""Branch and bound: is G(z) ≤ below for every z of a region?

Upper bound of a box: the natural extension, met with the mean-value form
G(c) + ⟨∂G(box), box − c⟩ where G does not jump. Boxes that stay open are halved along
the largest |∂G|·r. Two ends besides success: a centre whose enclosure lies above
`below` is a counterexample, and the budget may run out.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from dynax.certify.interval import Interval, Program, point
from dynax.certify.interval._arithmetic import add, mul, sub, total
from dynax.certify.region import Region


BATCH = 16_384
MARGIN = 1e-9  # of what is computed in plain floating point, relative to it
HALVINGS, GROWTH = 24, 1024
NARROW = 2.0**-40  # of the region: a box that is not split any more
SAMPLES, CLIMBERS, CLIMB = 2_048, 64, 24


class Outcome(NamedTuple):
    """How a search ended.

    Args:
        boxes: boxes that were bounded.
        covered: share of the region's volume on which G ≤ below is certified, or which
            lies outside of what is asked.
        counterexample: a state with G(z) > below, and G there; or None.
        worst: the open box with the largest bound (lower, upper, bound); or None.
        open: lower and upper ends (n, m) of the boxes that stay open.
        closed: those of the boxes that are certified, if they were kept.
    """

    boxes: int
    covered: float
    counterexample: tuple[np.ndarray, float] | None
    worst: tuple[np.ndarray, np.ndarray, float] | None
    open: tuple[np.ndarray, np.ndarray]
    closed: tuple[np.ndarray, np.ndarray] | None

    @property
    def certified(self) -> bool:
        return self.counterexample is None and self.open[0].shape[1] == 0


class Bounded:
    """G and ∂G of states z ∈ ℝⁿ and parameters, traced once, on any box.

    Args:
        G: (z, *parameters) → scalar.
        n: number of states.
        level: V and the level of a sublevel set, if the region is cut by one.
        parameters: arrays; others of the same shapes may be given later.
    """

    def __init__(self, G: Callable, n: int, *parameters, level: Callable | None = None):
        z = jax.ShapeDtypeStruct((n,), np.float64)
        specs = [jax.ShapeDtypeStruct(np.shape(p), np.float64) for p in parameters]
        out = jax.eval_shape(G, z, *specs)
        if getattr(out, "shape", None) != ():
            raise ValueError(
                f"V: given a function of shape {getattr(out, 'shape', out)}; accepted "
                "is one that returns a scalar."
            )

        def value(z, *p):
            return (G(z, *p), *(() if level is None else (level(z, *p),)))

        self.value = Program(value, z, *specs)
        self.slope = Program(jax.grad(G), z, *specs)
        self.parameters = [point(np.asarray(p, float)) for p in parameters]

    def at(self, z: np.ndarray) -> list[Interval]:
        """G (and the level) at points (n, batch), enclosed."""
        return list(self.value(Interval(z, z), *self.parameters)[0])

    def stands(self, z: np.ndarray, region: Region, below: float) -> bool:
        """Whether G > below on a whole small box about z, however G jumps at z.

        What is computed at the very point of a jump is no counterexample.
        """
        room = (region.upper - region.lower)[:, None] * 2.0**-34
        near = Interval(z[:, None] - room, z[:, None] + room)
        found, _ = self.value(near, *self.parameters)
        return bool(found[0].lo[0] > below)

    def over(
        self, box: Interval
    ) -> tuple[np.ndarray, np.ndarray, list[Interval], list[Interval]]:
        """Upper bounds of G on boxes, |∂G|·r; the level there and at their centres.

        The last two are lists as `at` gives them, G before the level.
        """
        found, marked = self.value(box, *self.parameters)
        slope, _ = self.slope(box, *self.parameters)
        centre = box.lo + (box.hi - box.lo) / 2
        middle = self.at(centre)
        with np.errstate(all="ignore"):
            offset = sub(box, Interval(centre, centre))
            shift = mul(slope, offset)
            mean = add(middle[0], total(shift, (0,)))
            radius = np.maximum(offset.hi, -offset.lo)
            swing = np.maximum(np.abs(slope.lo), np.abs(slope.hi)) * radius
        bound = np.minimum(found[0].hi, np.where(marked, np.inf, mean.hi))
        swing = np.where(np.isfinite(swing), swing, np.inf)
        lost = ~np.isfinite(np.sum(swing, axis=0))
        swing = np.where(lost, radius, swing)
        return bound, swing, list(found), middle


def climb(G: Bounded, region: Region, below: float, level: float | None, seed: int = 0):
    """A state where G > below, by samples and ascent; None where none is found."""
    rng = np.random.default_rng(seed)
    n, width = region.lower.size, region.upper - region.lower
    z = region.lower[:, None] + width[:, None] * rng.random((n, SAMPLES))
    pace = width[:, None] / 16
    for _ in range(CLIMB):
        values = G.at(z)
        allowed = region.contains(z)
        if level is not None:
            allowed &= values[1].hi <= level
        low = np.where(allowed, values[0].lo, -np.inf)
        k = int(np.argmax(low))
        best = z[:, k], float(low[k])
        if best[1] > below and G.stands(best[0], region, below):
            return best
        top = np.argsort(-low)[:CLIMBERS]
        z = z[:, top]
        slope, _ = G.slope(Interval(z, z), *G.parameters)
        with np.errstate(all="ignore"):
            ascent = np.nan_to_num(slope.lo / 2 + slope.hi / 2, posinf=0, neginf=0)
            ascent = ascent / np.max(np.abs(ascent), axis=0) * width[:, None]
            ascent /= np.sqrt(np.sum(ascent**2, axis=0))
        step = np.nan_to_num(ascent) * width[:, None] / 16
        tries = [z] + [z + step * s for s in (2.0, 0.5, 0.1, 0.01)]
        tries.append(z + pace * rng.standard_normal(z.shape))
        pace = pace * 0.7
        z = np.clip(
            np.concatenate(tries, 1), region.lower[:, None], region.upper[:, None]
        )
    return None


def search(
    G: Bounded,
    region: Region,
    below: float = 0.0,
    level: float | None = None,
    budget: int = 1_000_000,
    keep: bool = False,
    climbing: bool = True,
) -> Outcome:
    """Certify G ≤ below on the region, find where it fails, or run out of boxes.

    A state where it fails is looked for by `climbing` first, then at centres of boxes.
    """
    none = np.empty((region.lower.size, 0))
    found = climb(G, region, below, level) if climbing else None
    lo, hi = region.lower[:, None], region.upper[:, None]
    if found is not None:
        return Outcome(0, 0.0, found, None, (lo, hi), (none, none) if keep else None)
    width, total_volume = (hi - lo), float(np.prod(hi - lo))
    boxes, covered, closed = 0, 0.0, []
    stuck: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    worst = None
    bounds = np.full(1, np.inf)
    while lo.shape[1] and boxes < budget:
        take = slice(max(0, lo.shape[1] - BATCH), None)
        now_lo, now_hi = lo[:, take], hi[:, take]
        lo, hi, bounds = lo[:, : take.start], hi[:, : take.start], bounds[: take.start]
        bound, swing, inside, middle = G.over(Interval(now_lo, now_hi))
        boxes += now_lo.shape[1]
        centre = now_lo + (now_hi - now_lo) / 2
        asked = region.contains(centre)
        idle = region.removes(now_lo, now_hi)
        if level is not None:
            asked &= middle[1].hi <= level
            idle |= inside[1].lo > level
        wrong = asked & (middle[0].lo > below)
        if np.any(wrong):
            k = int(np.argmax(np.where(wrong, middle[0].lo, -np.inf)))
            if G.stands(centre[:, k], region, below):
                found = centre[:, k], float(middle[0].lo[k])
                break
        done = (bound <= below) | idle
        covered += float(np.sum(np.prod(now_hi[:, done] - now_lo[:, done], axis=0)))
        if keep:
            certified = done & ~idle
            closed.append((now_lo[:, certified], now_hi[:, certified]))
        left = ~done
        now_lo, now_hi = now_lo[:, left], now_hi[:, left]
        bound, swing = bound[left], swing[:, left]
        small = np.all(now_hi - now_lo <= NARROW * width, axis=0)
        stuck.append((now_lo[:, small], now_hi[:, small], bound[small]))
        now_lo, now_hi = now_lo[:, ~small], now_hi[:, ~small]
        bound, swing = bound[~small], swing[:, ~small]
        swing = np.where(now_hi - now_lo > NARROW * width, swing, -1.0)
        axis = np.argmax(swing, axis=0)
        lanes = np.arange(axis.size)
        middle_of = now_lo[axis, lanes] + (now_hi - now_lo)[axis, lanes] / 2
        left_hi, right_lo = now_hi.copy(), now_lo.copy()
        left_hi[axis, lanes] = right_lo[axis, lanes] = middle_of
        lo = np.concatenate([lo, now_lo, right_lo], axis=1)
        hi = np.concatenate([hi, left_hi, now_hi], axis=1)
        bounds = np.concatenate([bounds, bound, bound])
    lo = np.concatenate([lo, *(s[0] for s in stuck)], axis=1)
    hi = np.concatenate([hi, *(s[1] for s in stuck)], axis=1)
    bounds = np.concatenate([bounds, *(s[2] for s in stuck)])
    if lo.shape[1]:
        k = int(np.argmax(bounds))
        worst = lo[:, k], hi[:, k], float(bounds[k])
    if not lo.shape[1] and found is None:
        covered = total_volume
    kept = None
    if keep:
        kept = tuple(
            np.concatenate([none, *side], 1) for side in zip(*closed, strict=True)
        )
    share = min(covered / total_volume, 1.0)
    return Outcome(boxes, share, found, worst, (lo, hi), kept)  # type: ignore[arg-type]


def largest(falls: Callable[[float], bool], start: float, known: float = 0.0) -> float:
    """The largest number found for which `falls` is true, and at least `known`.

    `start` is doubled, up to `GROWTH` times, or halved while nothing is known; then the
    gap is bisected.
    """
    low, high = known, start
    for _ in range(HALVINGS):
        if falls(high):
            low, high = high, 2 * high
            if low >= GROWTH * start:
                return low
        elif low > 0:
            break
        else:
            high /= 2
    for _ in range(6 if low > 0 else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if falls(middle) else (low, middle)
    return low


__all__ = ["Bounded", "Outcome", "climb", "largest", "search"]
