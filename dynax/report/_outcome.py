"""What became of one experiment, and what all of them come to."""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from dynax.claim import Finding
from dynax.lyapunov import Verdict


Status = Literal["finished", "failed", "interrupted", "not run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One experiment, whatever became of it.

    Args:
        name: of the study.
        file: where it is, relative to the folder of experiments.
        status: `failed` when it raised; `interrupted` when the user stopped it.
        title, source, summary: what the file says of itself.
        claims: those it got to.
        verdicts: by name; one with "control" in its name or claim must not hold.
        figures: caption, a sentence → matplotlib figure or animation.
        seeds: used, if its configuration says so.
        seconds: of wall-clock time.
        error: the reason of a status that is not `finished`, in one line.
        trace: the traceback, where there is one.
    """

    name: str
    status: Status
    title: str = ""
    source: str = ""
    summary: str = ""
    claims: Sequence[Finding] = ()
    verdicts: dict[str, Verdict] = dataclasses.field(default_factory=dict)
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: Any = None
    seconds: float = 0.0
    error: str = ""
    trace: str = ""
    file: str = ""

    @property
    def mark(self) -> str:
        """The status for a table, in a word."""
        marks = {"failed": "✗ FAILED", "interrupted": "✗ interrupted"}
        return marks.get(self.status, f"– {self.status}")

    @property
    def surprises(self) -> list[str]:
        """The verdicts that are not as expected, in words."""
        return [
            f"{name} {'is violated' if v.status == 'violated' else 'holds'}"
            for name, v in self.verdicts.items()
            if not expected(name, v)
        ]


def is_control(name: str, verdict: Verdict) -> bool:
    """Tell whether a verdict is of a control: its name or its claim says so."""
    return "control" in f"{name} {verdict.claim}"


def expected(name: str, verdict: Verdict) -> bool:
    """Tell whether a verdict may stand: a control's does not hold, no other is
    violated."""
    return verdict.status != ("holds" if is_control(name, verdict) else "violated")


class Summary(NamedTuple):
    """All outcomes in numbers."""

    claims: int
    hold: int
    controls: int
    rejected: int
    failed: list[str]
    not_run: list[str]
    interrupted: bool
    surprises: list[str]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Summary":
        claims = [c for o in outcomes for c in o.claims if not c.control]
        controls = [c for o in outcomes for c in o.claims if c.control]
        stopped = any(o.status == "interrupted" for o in outcomes)
        return cls(
            claims=len(claims),
            hold=sum(bool(c.holds) for c in claims),
            controls=len(controls),
            rejected=sum(bool(c.holds) for c in controls),
            failed=[o.name for o in outcomes if o.status == "failed"],
            not_run=[
                o.name for o in outcomes if o.status in ("interrupted", "not run")
            ],
            interrupted=stopped,
            surprises=[
                f"{o.name}: {said}" if len(outcomes) > 1 else said
                for o in outcomes
                for said in o.surprises
            ],
        )

    @property
    def good(self) -> bool:
        """Whether something was measured and all of it came out as it must: claims
        hold, controls are rejected, and no verdict is unexpected."""
        right = self.hold == self.claims and self.rejected == self.controls
        wrong = self.failed or self.interrupted or self.surprises
        return right and self.claims > 0 and not wrong

    def __str__(self) -> str:
        parts = [f"{self.hold} of {self.claims} claims hold"]
        if self.controls:
            parts.append(f"{self.rejected} of {self.controls} controls rejected")
        if self.surprises:
            parts.append(f"unexpected verdicts: {', '.join(self.surprises)}")
        if self.failed:
            parts.append(f"raised an error: {', '.join(self.failed)}")
        if self.not_run:
            parts.append(f"not run: {', '.join(self.not_run)}")
        return "; ".join(parts)


def stem(id: str) -> str:
    """The claim's number, without the letter of the part: `6b` → `6`."""
    found = re.match(r"[A-Za-z]*\d+", id)
    return found.group() if found else id


def arrange(claims: Sequence[Finding]) -> list[Finding]:
    """Each claim followed by the controls that guard it: those of the same number."""
    number = lambda c: stem(c.of or c.id)
    order = list(dict.fromkeys(map(number, claims)))
    return sorted(claims, key=lambda c: (order.index(number(c)), c.control))


def number(value: Any, digits: int = 3) -> str:
    """A measured number for a table: `3.1e-14`, `0.997`, `12,000`."""
    value = float(value)
    if math.isnan(value):
        return "not a number"
    if abs(value) < 1e6 and value == int(value):
        return f"{int(value):,}"
    return f"{value:.{digits}g}"
