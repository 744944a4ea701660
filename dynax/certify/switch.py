"""A switch from one mode to another: certified to land in what the second attracts."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynax.certify._verdict import certified
from dynax.certify.learn import Basin
from dynax.certify.region import Region
from dynax.certify.search import Bounded, largest, search
from dynax.lyapunov import Verdict


class Switch(NamedTuple):
    """The condition under which a switch of modes is safe.

    Args:
        verdict: that every state with V₁ ≤ level lands in the second region.
        level: the largest one found, at most that of the first region; 0 if none.
    """

    verdict: Verdict
    level: float


def lands(
    first: Basin,
    second: Basin,
    reset: Callable = lambda y: y,
    *,
    budget: int = 300_000,
) -> Switch:
    """Certifies that a switch of modes lands in the region of the second mode.

    In the first mode V₁ falls, so that {V₁ ≤ s} is reached from all of its region and
    never left. If `reset` takes {V₁ ≤ s} into the region of the second mode, one may
    switch at any time from then on.

    Args:
        first, second: regions of `certify.learn`, one of each mode.
        reset: what the switch does to the state, y → y.
        budget: boxes to bound for each s tried.
    """
    middle = (second.lower + second.upper) / 2
    half = (second.upper - second.lower) / 2

    def outside(y):
        y = reset(y)
        beyond = jnp.max(jnp.abs(y - middle) / half)
        return jnp.maximum(second.V(0.0, y) / second.level, beyond) - 1

    for name, basin in (("first", first), ("second", second)):
        if not basin.level > 0:
            raise ValueError(
                f"{name}: given a region with nothing certified "
                f"({basin.verdict.status}); accepted is one that holds."
            )
    with jax.enable_x64(True):
        level = lambda y: first.V(0.0, y)
        problem = Bounded(outside, first.lower.size, level=level)
    region = Region.of(first.lower, first.upper)
    tried = lambda s: search(problem, region, 0.0, s, budget)
    found = tried(first.level)
    s = first.level
    if not found.certified:
        s = largest(lambda s: tried(s).certified, first.level / 2)
        found = tried(s or first.level)
    limit, end = s or first.level, second.level
    claim = f"every state with V₁ ≤ {limit:.4g} lands where V₂ ≤ {end:.4g}"
    names = zip(("first", "second"), (first, second), strict=True)
    assumes = tuple(f"{k} mode: {b.verdict.claim}" for k, b in names)
    return Switch(certified("box", claim, found, assumes, np.asarray), s)


__all__ = ["Switch", "lands"]
