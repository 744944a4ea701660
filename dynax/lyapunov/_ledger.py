"""What was measured: one row of accounts for each audited step."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dynax import _display as display


class Check(NamedTuple):
    """One claimed inequality: it holds when margin ≥ −tolerance.

    `resolution` is the smallest error that the check can see, relative to the size of
    what it judges. Where it is None it is tolerance/`scale` of the row.
    """

    margin: Float[Array, "..."]
    tolerance: Float[Array, "..."]
    resolution: Float[Array, "..."] | None = None


class Ledger(NamedTuple):
    """The rows of accounts of a run, one for each audited step.

    One row of accounts for the step (x, s) → (x₊, s₊); stacked rows lead by time.

    Every family of systems fills the same columns; `ledger_row` derives some of them.

    Attributes:
        step: the number of the step; a row with step < 0 is unused.
        energy: H before the step, or its finite part where H = +∞.
        change: H₊ − H.
        predicted: what H₊ − H should be, or None where nothing predicts it.
        defect: `change` − `predicted`, summed term by term where that is possible.
        scale: the size of what is judged, Σ|terms|.
        terms: the parts of the change by name.
        checks: the claimed inequalities by name.
        facts: what only some families have, by name, such as `outside` (whether H = +∞
            before the step), `distance` (to the domain of H) and `stationarity`.
    """

    step: Int[Array, "..."]
    energy: Float[Array, "..."]
    change: Float[Array, "..."]
    predicted: Float[Array, "..."] | None
    defect: Float[Array, "..."] | None
    scale: Float[Array, "..."]
    terms: dict[str, Float[Array, "..."]]
    checks: dict[str, Check]
    facts: dict[str, Array]

    def finite(self) -> Bool[Array, "..."]:
        """Whether the row is made of numbers (a margin of +∞ means: not applicable).

        A margin of −∞ is an overflow, not a violation.
        """
        numbers = self.energy, self.change, self.defect
        flags = [jnp.isfinite(n) for n in numbers if n is not None]
        flags += [c.margin + c.tolerance > -jnp.inf for c in self.checks.values()]
        return jnp.all(jnp.stack(flags), axis=0)

    def __repr__(self) -> str:
        return display.ledger_line(self)

    def _repr_html_(self) -> str:
        return display.ledger_table(self)


def ledger_row(
    step,
    energy,
    change,
    checks: dict[str, Check],
    *,
    predicted=None,
    terms: dict[str, Any] | None = None,
    scale=None,
    defect=None,
    facts: dict[str, Any] | None = None,
) -> Ledger:
    """Draw up one row, or stacked rows, and derive the columns that are not given.

        defect = change − predicted,   scale = Σ|terms|, or |change| without terms

    Without `predicted` there is no balance: `predicted` and `defect` stay None.
    """
    terms = {} if terms is None else terms
    if defect is None and predicted is not None:
        defect = change - predicted
    if scale is None:
        parts = list(terms.values()) or [change]
        scale = sum(map(jnp.abs, parts[1:]), jnp.abs(parts[0]))
    step = jnp.asarray(step, jnp.int32)
    facts = {} if facts is None else facts
    return Ledger(step, energy, change, predicted, defect, scale, terms, checks, facts)
