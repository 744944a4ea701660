"""What rows mean: one judgement, made once, on the host."""

import dataclasses
import json
from typing import Any, Literal

import jax
import numpy as np

from dynax import _display as display
from dynax.lyapunov._ledger import Ledger
from dynax.lyapunov._tally import NEVER, Tally, tally


SHARE = 0.5  # a check has judged a run if it saw on half of its rows

_tally = jax.jit(tally)  # one program, where no other program has it inside

Status = Literal["holds", "violated", "undecided", "no certificate"]
Evidence = Literal["run", "box", "class", "local", "sequential"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a ledger says about a claim.

    `violated`: some check fell below −tolerance. `no certificate`: nothing is claimed
    that could fail. `undecided`: nothing was violated, but the numbers stopped being
    finite at `non_finite`, no row was audited, or some check was blind: it saw on fewer
    than half of the rows to which it applies. A check *sees* on a row where its
    resolution is at most a tenth, or where its margin is above its tolerance.
    `holds`: none of these; `reason` is empty then and where checks were violated.

    `resolution` is that of the balance (or identity) on the rows where it saw: no error
    below it, relative to Σ|terms|, could be seen. It is infinite if it saw nowhere, and
    None where no balance is judged. `error` is the largest |defect|/Σ|terms|, or None
    where nothing predicts the change of H. `outside` is None where H is finite.

    `evidence` says what was looked at: one run, every state of a box, every function of
    a class. `assumes` has what the certificate rests on, in sentences; `covered` is the
    share of the region that is certified; `counterexample` a state where the claim
    fails.
    """

    status: Status
    claim: str
    reason: str
    audited: int
    violations: int
    first: int | None
    worst: dict[str, Any] | None
    rises: int
    outside: int | None
    non_finite: int | None
    error: float | None
    resolution: float | None
    origin: str
    checks: dict[str, dict[str, Any]]
    evidence: Evidence = "run"
    assumes: tuple[str, ...] = ()
    counterexample: Any = None
    covered: float | None = None

    def __str__(self) -> str:
        lines = [f"{self.status.upper()}: {self.claim}"]
        if self.reason:
            lines.append(f"  {self.reason}")
        if self.evidence != "run":
            return "\n".join([*lines, *self._evidence()])
        lines.append(f"  {self.audited} rows audited, {self.violations} violations")
        if self.non_finite is not None:
            lines[-1] += f"; not finite from step {self.non_finite} on"
        if self.first is not None:
            lines[-1] += f"; first at step {self.first}"
        for name, check in self.checks.items():
            if check["violations"]:
                text = (
                    f"{check['violations']} violations, first at step {check['first']}"
                )
            elif check["worst_step"] is None:
                text = "never audited"
            elif _blind(check):
                text = "undecided"
            else:
                text = "holds"
            if check["seen"] < check["rows"]:
                text += f"; {check['seen']} of {check['rows']} rows could see an error"
            if check["worst_step"] is not None:
                at, ratio = check["worst_step"], check["worst"] + 0.0  # −0 is 0
                text += f"; worst {check['worst_margin'] + 0.0:+.2e} at step {at}"
                # a tolerance of zero: what is allowed is in the margin already
                text += f" ({ratio:+.2g} tolerances)" if abs(ratio) < 1e20 else ""
            lines.append(f"  {name:<22} {text}")
        if self.error is None:
            text = "no balance: nothing predicts the change of H"
        else:
            text = f"largest |defect|/Σ|terms| {self.error:.1e}"
            if self.resolution is None:
                text += ", not judged"
            else:
                text += f"; smallest visible {self.resolution:.1e}"
        lines.append(f"  {text} (tolerances: {self.origin})")
        if self.audited > 1:
            rose = f"H rose on {self.rises}"
            if self.outside is not None:
                rose += f" and lay outside its domain on {self.outside}"
            lines.append(f"  {rose} of {self.audited} rows (reported, not judged)")
        return "\n".join(lines)

    def __repr__(self) -> str:
        count = f"{self.audited} rows, {self.violations} violations"
        count = count if self.evidence == "run" else f"evidence: {self.evidence}"
        return f"<Verdict {self.status}: {self.claim!r}; {count}>"

    def _repr_html_(self) -> str:
        return display.details(self.status, self.claim, str(self))

    def _evidence(self) -> list[str]:
        lines = [f"  evidence: {self.evidence}"]
        if self.covered is not None:
            lines[0] += f"; {self.covered:.2%} of the region in {self.audited} boxes"
        if self.counterexample is not None:
            lines.append(f"  fails at {self.counterexample}")
        if self.worst is not None:
            lines += [f"  {name}: {value}" for name, value in self.worst.items()]
        return lines + [f"  assumes: {text}" for text in self.assumes]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Strict JSON: what is not a finite number becomes null."""

        def clean(v):
            if isinstance(v, dict):
                return {k: clean(u) for k, u in v.items()}
            if isinstance(v, float) and not np.isfinite(v):
                return None
            return v

        return json.dumps(clean(self.to_dict()), indent=2, ensure_ascii=False)


def _blind(check: dict[str, Any]) -> bool:
    return check["seen"] < SHARE * check["rows"]


def verdict(rows: Ledger | Tally, claim: str, origin: str = "round-off") -> Verdict:
    """Judge stacked ledger rows, or a tally.

    Args:
        rows: what was measured.
        claim: the sentence being judged.
        origin: where the tolerances come from, in words.
    """
    t = jax.device_get(_tally(rows) if isinstance(rows, Ledger) else rows)

    def step(n):
        return None if int(n) == NEVER else int(n)

    checks = {
        name: {
            "rows": int(c.rows),
            "seen": int(c.seen),
            "resolution": float(c.resolution) if c.seen else float("inf"),
            "violations": int(c.violations),
            "first": step(c.first),
            "worst": float(c.worst),
            "worst_step": step(c.worst_step),
            "worst_margin": float(c.worst_margin),
        }
        for name, c in t.counts.items()
    }
    violations = sum(c["violations"] for c in checks.values())
    firsts = [c["first"] for c in checks.values() if c["first"] is not None]
    non_finite = step(t.non_finite)
    judged = {k: c for k, c in checks.items() if c["worst_step"] is not None}
    name = min(judged, key=lambda k: judged[k]["worst"], default=None)
    blind = [name for name, check in checks.items() if _blind(check)]
    status: Status
    if violations:
        status, reason = "violated", ""
    elif not checks:
        status, reason = "no certificate", "nothing is claimed that could fail"
    elif int(t.audited) == 0:
        status, reason = "undecided", "no row was audited"
    elif non_finite is not None:
        status, reason = "undecided", "the numbers did not stay finite"
    elif not judged:
        status, reason = "no certificate", "no check applied to any row"
    elif blind:
        status, reason = "undecided", f"blind to errors: {', '.join(blind)}"
    else:
        status, reason = "holds", ""
    equality = checks.get("balance", checks.get("identity"))
    return Verdict(
        status=status,
        claim=claim,
        reason=reason,
        audited=int(t.audited),
        violations=violations,
        first=min(firsts, default=None),
        worst=None if name is None else {"check": name, **judged[name]},
        rises=int(t.rises),
        outside=None if t.outside is None else int(t.outside),
        non_finite=non_finite,
        error=None if t.error is None else float(t.error),
        resolution=None if equality is None else equality["resolution"],
        origin=origin,
        checks=checks,
    )
