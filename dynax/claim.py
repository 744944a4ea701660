"""A claim: one sentence of one paper, what was measured of it, and whether it holds."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Claim:
    """One row of the claims table.

    A *control* is a claim made wrong on purpose. It `holds` when the check rejected it,
    as it must; a control that passes the check means the check cannot fail.

    Args:
        id: the claim's number, with a letter where one claim has several parts.
        source: paper and equation.
        statement: the sentence, with its quantities.
        measured: the number obtained.
        threshold: the condition on it, in words or symbols.
        holds: whether `measured` meets `threshold`.
        control: whether this is a control that must fail.
        spread: (least, greatest) over seeds or cases, where there are several.
        detail: anything else worth a line: sizes, seeds, the worst case.
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

    @classmethod
    def judged(
        cls,
        source: str,
        id: str,
        statement: str,
        measured: float,
        threshold: str,
        detail: str = "",
        spread: tuple[float, float] | None = None,
        *,
        control: bool | None = None,
    ) -> "Claim":
        """The claim whose `threshold` text, "≤ 1e-9 …" or "≥ 5 …", is the condition.

        Unless said, a control is what has an id that ends in x, y or z; its threshold
        is the one at which it counts as rejected.
        """
        sign, bound = threshold.split()[:2]
        holds = measured <= float(bound) if sign == "≤" else measured >= float(bound)
        control = id[-1] in "xyz" if control is None else control
        what = id, source, statement, float(measured), threshold
        return cls(*what, bool(holds), control, spread, detail)

    @property
    def verdict(self) -> str:
        if self.control:
            return "rejected (expected)" if self.holds else "NOT REJECTED"
        return "holds" if self.holds else "FAILS"

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "verdict": self.verdict}
