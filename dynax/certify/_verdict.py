"""A verdict from the outcome of a search over boxes."""

from collections.abc import Callable

import jax
import numpy as np

from dynax.certify.interval import ULPS
from dynax.certify.search import Outcome
from dynax.lyapunov import Evidence, Status, Verdict


ARITHMETIC = (
    f"elementary functions of NumPy and SciPy err by at most {ULPS} units in the last "
    "place"
)


def judged(
    evidence: Evidence,
    status: Status,
    claim: str,
    reason: str = "",
    audited: int = 0,
    **fields,
) -> Verdict:
    """A verdict that rests on something else than the rows of a run."""
    return Verdict(
        status=status,
        claim=claim,
        reason=reason,
        audited=audited,
        violations=int(status == "violated"),
        first=None,
        worst=fields.pop("worst", None),
        rises=0,
        outside=None,
        non_finite=None,
        error=None,
        resolution=None,
        origin=fields.pop("origin", "interval arithmetic"),
        checks={},
        evidence=evidence,
        **fields,
    )


def certified(
    evidence: Evidence,
    claim: str,
    outcome: Outcome,
    assumes: tuple[str, ...] = (),
    restore: Callable = lambda z: z,
) -> Verdict:
    """What a search found: certified, refuted by a state, or out of boxes."""
    state, worst = None, None
    if outcome.counterexample is not None:
        z, value = outcome.counterexample
        with jax.enable_x64(True):
            state = jax.tree.map(lambda a: np.asarray(a).tolist(), restore(z))
        status, reason = "violated", f"the left side exceeds the right by {value:.4g}"
    elif outcome.certified:
        status, reason = "holds", ""
    else:
        assert outcome.worst is not None
        lower, upper, bound = outcome.worst
        status, reason = "undecided", "some boxes stay open, to the end of the budget"
        worst = {
            "worst open box": [lower.tolist(), upper.tolist()],
            "its bound": bound,
        }
    return judged(
        evidence,
        status,
        claim,
        reason,
        outcome.boxes,
        worst=worst,
        assumes=(*assumes, ARITHMETIC),
        counterexample=state,
        covered=outcome.covered if outcome.boxes else None,
    )
