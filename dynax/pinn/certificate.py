"""Whether a window is solved: a claim that can fail, from (ε, min w) and unseen points.

min w alone says little: it depends on ε. At a small ε it can be 0.95 beside an error
of 1. So a window counts as solved only if, at the *last* ε, min w > δ on the training
points and again on points that no step has seen.
"""

import dataclasses
import math
from typing import Any, Literal


Status = Literal["solved", "not solved", "diverged"]


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The verdict on one window.

    Args:
        status: "solved", "not solved" or "diverged".
        reason: in words.
        strength, final: ε reached, and the last ε of the annealing.
        min_weight: min w at ε, on the points last trained on before they were.
        unseen_min_weight: the same on unseen points; NaN where it was never asked.
        loss, unseen_loss: mean squared residuals there.
        cycles: how many were run.
    """

    status: Status
    reason: str
    strength: float
    final: float
    min_weight: float
    unseen_min_weight: float
    loss: float
    unseen_loss: float
    cycles: int

    @property
    def holds(self) -> bool:
        return self.status == "solved"

    @classmethod
    def of(cls, last, carry, annealing) -> "Certificate":
        """From the last row of training and what it carries (host numbers)."""
        final = float(annealing.levels[-1]) * float(carry.anneal.unit)
        eps, w = float(last.strength), math.exp(min(float(last.log_min), 0.0))
        delta = float(annealing.delta)
        asked = math.isfinite(float(carry.unseen))
        unseen = math.exp(float(carry.unseen_log_min)) if asked else math.nan
        if bool(carry.diverged):
            status, reason = "diverged", f"the loss is {float(last.loss)}"
        elif bool(carry.solved):
            status = "solved"
            reason = f"min w > {delta:g} at the last ε, on unseen points too"
        elif int(last.cycle) < 0:
            status, reason = "not solved", "no cycle was run"
        elif eps < final:
            status = "not solved"
            reason = f"ε reached {eps:.3g} of {final:.3g}"
        elif w <= delta:
            status = "not solved"
            reason = f"min w = {w:.4f} ≤ {delta:g} at the last ε"
        else:
            status = "not solved"
            reason = f"min w = {unseen:.4f} ≤ {delta:g} on unseen points"
        return cls(
            status,
            reason,
            eps,
            final,
            w,
            unseen,
            float(last.loss),
            float(carry.unseen) if asked else math.nan,
            int(carry.cycle),
        )

    def __str__(self) -> str:
        text = (
            f"{self.status.upper()} after {self.cycles} cycles: {self.reason}\n"
            f"  ε = {self.strength:.3g} of {self.final:.3g}, min w = "
            f"{self.min_weight:.4f}, loss {self.loss:.2e}"
        )
        if math.isfinite(self.unseen_loss):
            text += (
                f"\n  unseen points: min w = {self.unseen_min_weight:.4f}, "
                f"loss {self.unseen_loss:.2e}"
            )
        return text

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
