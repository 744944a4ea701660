"""Whether a window is solved: a claim that can fail.

A window counts as solved only if, at the *last* ε,

    exp(−ε n (L + start² + walls²)) > δ

on the training points and again on points that no step has seen. L is the mean square
of the relative residual in the sizes that the solution itself has by then, n the number
of chunks; `start` and `walls` are relative errors as well (`dynax.pinn.account`). So a
certificate at ε says that each of these is below √(−ln δ/(nε)), whatever the units.
And the state kept as it is must fail: else the test could not have seen an error.

A small residual is not yet a small error: the equation may multiply it. So the error is
estimated (`dynax.pinn.estimate`), and must be below `rtol` beyond doubt.
"""

import dataclasses
import math
from typing import Any, Literal

import numpy as np

from dynax.pinn.estimate import ErrorEstimate


Status = Literal["solved", "not solved", "undecided", "empty test", "diverged"]


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The verdict on one window.

    Args:
        status: "solved", "not solved", "diverged"; "empty test" if doing nothing, u
            kept at its initial state, would pass at the last ε; "undecided" if the
            residual passes, but nobody knows what error that means.
        reason: in words.
        causality, final: ε reached, and the last ε of the annealing.
        min_weight: exp(−ε Σ_{k≤n} L_k), on the points last trained on before they were.
        unseen_min_weight: the same at the last ε on unseen points; NaN where it was
            never asked.
        loss, unseen_loss: mean square of the relative residual there, unweighted; seen
            in the sizes of the window's start, unseen in the solution's own.
        null: the same of doing nothing.
        start, walls: relative errors there, on unseen points; NaN as above.
        tolerance: √(−ln δ/(nε)) of the last ε.
        cycles: how many were run.
        estimate: of the error; None where training diverged, and of an equation
            without uₜ.
        rtol: what the estimate must be below.
    """

    status: Status
    reason: str
    causality: float
    final: float
    min_weight: float
    unseen_min_weight: float
    loss: float
    unseen_loss: float
    null: float
    start: float
    walls: float
    tolerance: float
    cycles: int
    estimate: ErrorEstimate | None = None
    rtol: float = math.nan

    @property
    def holds(self) -> bool:
        return self.status == "solved"

    @classmethod
    def of(cls, last, carry, annealing) -> "Certificate":
        """From the last row of training and what it carries (host numbers)."""
        final, eps = float(annealing.levels[-1]), float(last.causality)
        delta, n = float(annealing.delta), len(last.chunks)
        weight = lambda loss: math.exp(-final * n * loss)
        seen = math.exp(min(float(last.log_min), 0.0))
        unseen, null = carry.unseen, float(carry.null)
        again = weight(float(unseen.total))
        status = "not solved"
        if bool(carry.diverged):
            status, reason = "diverged", f"the loss is {float(last.loss)}"
        elif weight(null) > delta:
            status = "empty test"
            reason = (
                f"at ε = {final:.3g} the initial state kept as it is passes too: raise "
                "the last ε, or lengthen the window"
            )
        elif bool(carry.solved):
            status = "solved"
            reason = f"min w > {delta:g} at the last ε, on unseen points too"
        elif int(last.cycle) < 0:
            status, reason = "not solved", "no cycle was run"
        elif eps < final:
            reason = f"ε reached {eps:.3g} of {final:.3g}"
        elif not seen > delta:
            reason = f"min w = {seen:.4f} ≤ {delta:g} at the last ε"
        elif math.isinf(float(unseen.walls)):
            reason = "the boundary is None, which nobody can test"
        else:
            parts = {name: float(getattr(unseen, name)) for name in unseen._fields}
            worst = max(parts, key=parts.__getitem__)
            reason = f"min w = {again:.4f} ≤ {delta:g} on unseen points: {worst}"
        return cls(
            status,
            reason,
            eps,
            final,
            seen,
            again,
            float(np.mean(last.chunks)),
            float(unseen.equation),
            null,
            math.sqrt(float(unseen.start)),
            math.sqrt(float(unseen.walls)),
            float(annealing.tolerance(n)),
            int(carry.cycle),
        )

    def judged(self, estimate: ErrorEstimate | None, rtol: float) -> "Certificate":
        """The verdict of the residual and of an estimated error together."""
        status, reason = self.status, self.reason
        if status == "solved":
            status, more = _judged(estimate, rtol)
            reason = f"{reason}; {more}" if status == "solved" else more
        return dataclasses.replace(
            self, status=status, reason=reason, estimate=estimate, rtol=rtol
        )

    def __str__(self) -> str:
        text = (
            f"{self.status.upper()} after {self.cycles} cycles: {self.reason}\n"
            f"  ε = {self.causality:.3g} of {self.final:.3g}, min w = "
            f"{self.min_weight:.4f}, relative residual {math.sqrt(self.loss):.1e}"
        )
        if math.isfinite(self.unseen_loss):
            text += (
                f"\n  unseen points: min w = {self.unseen_min_weight:.4f}, relative "
                f"residual {math.sqrt(self.unseen_loss):.1e}, start {self.start:.1e}, "
                f"walls {self.walls:.1e}; {self.tolerance:.1e} is asked for"
            )
        if self.estimate is not None:
            text += f"\n  {self.estimate}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Numbers, texts and lists."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.estimate is not None:
            known = self.estimate._replace(end=None)._asdict()
            arrays = {k: v.tolist() for k, v in known.items() if hasattr(v, "tolist")}
            given["estimate"] = known | arrays
        return given


def _judged(e: ErrorEstimate | None, rtol: float) -> tuple[Status, str]:
    if e is None:
        return "undecided", "of an equation without uₜ nobody estimates the error"
    if e.relative + e.doubt <= rtol:
        return "solved", f"estimated error {e.relative:.1e} ≤ {rtol:g}"
    if not math.isfinite(e.relative) or not math.isfinite(e.doubt):
        return "undecided", f"the residual passes, but of its effect {e.method}"
    if e.relative - e.doubt <= rtol:
        text = f"the estimated error, {e.relative:.1e}, is known to {e.doubt:.1e} only"
        return "undecided", text
    text = f"estimated error {e.relative:.1e} > {rtol:g}: "
    known = e.start + e.residual
    if e.start > rtol:
        text += f"the start is off by {e.start:.1e}"
    elif e.relative > 3 * known:
        text += (
            f"the residual is small, {known:.1e}, but the equation multiplies it by "
            f"{e.relative / known:.2g}, or more of it lies between the points"
            if known > 0
            else "the residual lies between the points"
        )
    else:
        text += f"the residual makes it, {known:.1e} alone"
    return "not solved", text
