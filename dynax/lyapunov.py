"""Energy along a system: its exact derivative, the ledger, the verdict.

A *ledger* is what was measured: one row a step (or a save point), arrays only, so it
is carried through `jit`, `scan` and `vmap` as data. A *tally* is any number of rows
folded into O(1) scalars; tallies form a monoid under `merge`. A *verdict* is what they
mean, built once, on the host.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dynax import _display as display, _tree as tree
from dynax._types import State


Energy = Callable[[Any, State, Any], Array]
Field = Callable[[Any, State, Any], State]

NEVER = np.iinfo(np.int32).max
VISIBLE = 0.1  # a check sees where an error of a tenth of what it judges would show
SHARE = 0.5  # and has judged a run if it saw on half of the rows to which it applies


def lie_derivative(energy: Energy, field: Field) -> Callable:
    r"""Return a function that gives an energy and its exact slope along a flow.

    V and V̇ = ∂ₜV + ⟨∇V, F⟩ along ẏ = F(t, y), exactly, by one jvp.

    Args:
        energy: V(t, y, args) → scalar.
        field: F(t, y, args) → like y.

    Returns:
        (t, y, args) → (V, V̇).
    """

    def derivative(t, y, args=None):
        t = jnp.asarray(t, tree.result_dtype(y))
        tangents = jnp.ones_like(t), field(t, y, args)
        return jax.jvp(lambda t, y: energy(t, y, args), (t, y), tangents)

    return derivative


def along(energy: Energy, field: Field) -> Callable:
    """Return a function that saves an energy and its slope along a diffrax solve.

    `diffrax.SaveAt(ts=…, fn=along(H, field))` saves {"V": V, "dV": V̇}.
    """
    derivative = lie_derivative(energy, field)

    def fn(t, y, args):
        v, dv = derivative(t, y, args)
        return {"V": v, "dV": dv}

    return fn


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


_tally = jax.jit(tally)  # one program, where no other program has it inside


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
