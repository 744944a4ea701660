"""Rows folded into O(1) scalars, a monoid under `merge`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dynax import _display as display, _tree as tree
from dynax.lyapunov._ledger import Check, Ledger


NEVER = np.iinfo(np.int32).max
VISIBLE = 0.1  # a check sees where an error of a tenth of what it judges would show


class Count(NamedTuple):
    """How one check fared: violations, the first, and the worst margin/tolerance.

    `rows` counts the rows to which it applies, `seen` those on which it could see an
    error; `resolution` is the largest on these.
    """

    rows: Int[Array, ""]
    seen: Int[Array, ""]
    resolution: Float[Array, ""]
    violations: Int[Array, ""]
    first: Int[Array, ""]
    worst: Float[Array, ""]
    worst_step: Int[Array, ""]
    worst_margin: Float[Array, ""]


class Tally(NamedTuple):
    """Ledger rows folded into O(1) scalars.

    `rises` counts steps on which H went up: reported, never a verdict. `outside` counts
    those with H = +∞, or is None where H is finite everywhere. `non_finite` is the
    first step with a NaN or infinity. `error` is the largest |defect|/scale, or None
    where nothing is predicted.
    """

    audited: Int[Array, ""]
    rises: Int[Array, ""]
    outside: Int[Array, ""] | None
    non_finite: Int[Array, ""]
    error: Float[Array, ""] | None
    counts: dict[str, Count]

    def __repr__(self) -> str:
        return display.tally_line(self)

    def _repr_html_(self) -> str:
        return display.tally_table(self)


def tally(rows: Ledger) -> Tally:
    """Fold a row, or rows stacked along leading axes (those of step < 0 are unused)."""
    if rows.step.size == 0:
        rows = jax.tree.map(lambda a: jnp.zeros((), a.dtype), rows)
        rows = rows._replace(step=rows.step - 1)
    rows = jax.tree.map(jnp.ravel, rows)
    used = rows.step >= 0
    finite = rows.finite()
    good = used & finite

    def first(flags):
        return jnp.min(jnp.where(flags, rows.step, NEVER)).astype(jnp.int32)

    def number(flags):
        return jnp.sum(flags, dtype=jnp.int32)

    scale = tree.safe_denominator(rows.scale)

    def count(check: Check) -> Count:
        violated = good & (check.margin < -check.tolerance)
        tiny = jnp.finfo(check.margin.dtype).tiny
        ratio = jnp.where(good, check.margin / (check.tolerance + tiny), jnp.inf)
        k = jnp.argmin(ratio)
        blur = check.resolution
        if blur is None:
            blur = tree.safe_divide(check.tolerance, rows.scale, jnp.inf)
        sharp, certain = blur <= VISIBLE, check.margin > check.tolerance
        applies = good & (check.margin < jnp.inf)
        return Count(
            number(applies),
            number(applies & (sharp | certain)),
            jnp.max(jnp.where(applies & sharp, blur, 0)),
            number(violated),
            first(violated),
            ratio[k],
            jnp.where(ratio[k] < jnp.inf, rows.step[k], NEVER).astype(jnp.int32),
            jnp.where(good[k], check.margin[k], jnp.inf).astype(check.margin.dtype),
        )

    outside, error = rows.facts.get("outside"), None
    if rows.defect is not None:
        error = jnp.max(jnp.where(good, jnp.abs(rows.defect) / scale, 0))
    return Tally(
        audited=number(used),
        rises=number(good & (rows.change > 0)),
        outside=None if outside is None else number(good & outside),
        non_finite=first(used & ~finite),
        error=error,
        counts={name: count(check) for name, check in rows.checks.items()},
    )


def merge(a: Tally, b: Tally) -> Tally:
    """Return the tally of both sets of rows. It is associative, so shards and restarts
    combine.
    """

    def count(p: Count, q: Count) -> Count:
        here = p.worst <= q.worst

        def pick(u, v):
            return jnp.where(here, u, v)

        return Count(
            p.rows + q.rows,
            p.seen + q.seen,
            jnp.maximum(p.resolution, q.resolution),
            p.violations + q.violations,
            jnp.minimum(p.first, q.first),
            jnp.minimum(p.worst, q.worst),
            pick(p.worst_step, q.worst_step),
            pick(p.worst_margin, q.worst_margin),
        )

    return Tally(
        a.audited + b.audited,
        a.rises + b.rises,
        jax.tree.map(jnp.add, a.outside, b.outside),
        jnp.minimum(a.non_finite, b.non_finite),
        jax.tree.map(jnp.maximum, a.error, b.error),
        {k: count(a.counts[k], b.counts[k]) for k in a.counts},
    )
