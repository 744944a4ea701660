"""Claims as data: a sentence, a bound with its reason, and how to measure it.

A list of claims can be read, checked and chosen from without running anything. What
comes of measuring one is a `Finding`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, SupportsFloat


Kind = Literal["at most", "at least", "equals"]
SIGNS: dict[Kind, str] = {"at most": "≤", "at least": "≥", "equals": "="}


class Bound(NamedTuple):
    """A condition on one number, and the model behind it.

    Args:
        kind: "at most", "at least" or "equals".
        value: the number.
        why: where it comes from: "round-off of n sums", "solver tolerance × condition",
            "published figure", "ten times below the control".
        loose: why it is far (a factor above 10⁴) from what is measured, if it is.
    """

    kind: Kind
    value: float
    why: str
    loose: str = ""

    def met(self, measured: float) -> bool:
        """Whether the number meets the bound; NaN never does."""
        if self.kind == "at most":
            return measured <= self.value
        return (
            measured >= self.value
            if self.kind == "at least"
            else measured == self.value
        )

    def __str__(self) -> str:
        return f"{SIGNS[self.kind]} {self.value:g}"


def at_most(value: float, why: str, loose: str = "") -> Bound:
    """Ask that the measured number is at most a value.

    measured ≤ value.
    """
    return Bound("at most", _number(value), why, loose)


def at_least(value: float, why: str, loose: str = "") -> Bound:
    """Ask that the measured number is at least a value.

    measured ≥ value.
    """
    return Bound("at least", _number(value), why, loose)


def equals(value: float, why: str) -> Bound:
    """Ask that the measured number is exactly a value.

    measured = value, exactly: for counts and for what has no rounding.
    """
    return Bound("equals", _number(value), why)


def _number(value) -> float:
    if math.isnan(float(value)):
        raise ValueError("value: given NaN; accepted is a number to compare with.")
    return float(value)


class Measured(NamedTuple):
    """A number, a line on how it was got, and its (minimum, maximum) over seeds."""

    value: SupportsFloat
    detail: str = ""
    spread: tuple[float, float] | None = None


def largest(values, detail: str = "") -> Measured:
    """Measure the largest entry of an array, or of arrays by name; NaN if one is."""
    return _extreme(max, values, detail)


def smallest(values, detail: str = "") -> Measured:
    """Measure the smallest entry of an array, or of arrays by name; NaN if one is."""
    return _extreme(min, values, detail)


def _extreme(pick, values, detail) -> Measured:
    rows = values.items() if isinstance(values, Mapping) else [("", values)]
    entries = [(number, str(name)) for name, row in rows for number in _flat(row)]
    bad = [entry for entry in entries if math.isnan(entry[0])]
    value, name = bad[0] if bad else pick(entries, key=lambda entry: entry[0])
    text = "; ".join(filter(None, (f"at {name}" if name else "", detail)))
    return Measured(value, text, (min(entries)[0], max(entries)[0]))


def _flat(values) -> list[float]:
    try:
        rows = iter(values)
    except TypeError:
        return [float(values)]
    return [number for row in rows for number in _flat(row)]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One sentence of a paper that can fail.

    Args:
        id: unique among all studies, as "5b".
        statement: the sentence, with its quantities.
        bound: the condition on the number measured.
        measure: results of the study → `Measured`, or a number.
        source: paper and equation, where it is not the study's.
    """

    id: str
    statement: str
    bound: Bound
    measure: Callable[[Any], Measured | SupportsFloat]
    source: str = ""

    def judge(self, results, source: str = "") -> "Finding":
        """Measure it and compare with the bound."""
        return _judge(self, results, source)


@dataclasses.dataclass(frozen=True)
class Control:
    """A claim made wrong on purpose: it must be rejected, or the check cannot fail.

    Args:
        id, statement, measure, source: as of a claim.
        bound: at which it counts as rejected.
        of: the id of the claim that it guards.
    """

    id: str
    statement: str
    bound: Bound
    measure: Callable[[Any], Measured | SupportsFloat]
    source: str = ""
    of: str = dataclasses.field(kw_only=True)

    def judge(self, results, source: str = "") -> "Finding":
        """Measure it; it holds when it is rejected."""
        return _judge(self, results, source, control=True, of=self.of)


def _judge(claim: Claim | Control, results, source: str, **control) -> "Finding":
    measured = claim.measure(results)
    if not isinstance(measured, Measured):
        measured = Measured(measured)
    value = float(measured.value)
    return Finding(
        id=claim.id,
        source=claim.source or source,
        statement=claim.statement,
        measured=value,
        threshold=str(claim.bound),
        holds=claim.bound.met(value),
        spread=measured.spread,
        detail=measured.detail,
        why=claim.bound.why,
        **control,
    )


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came of one claim: a row of the table of results.

    Args:
        id, source, statement: of the claim.
        measured: the number obtained.
        threshold: the bound, as "≤ 1e-9".
        holds: whether `measured` meets it; of a control, whether it was rejected.
        control: whether this is a control that must fail.
        spread: (minimum, maximum) over seeds or cases, where there are several.
        detail: anything else worth a line: sizes, seeds, the worst case.
        why: the model behind the bound.
        of: the claim that a control guards.
    """

    id: str
    source: str
    statement: str
    measured: float
    threshold: str
    holds: bool
    control: bool = False
    spread: tuple[float, float] | None = None
    detail: str = ""
    why: str = ""
    of: str = ""

    @property
    def verdict(self) -> str:
        if self.control:
            return "rejected (expected)" if self.holds else "NOT REJECTED"
        return "holds" if self.holds else "FAILS"

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "verdict": self.verdict}
