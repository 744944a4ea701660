"""One picture of all claims: how far each is from its threshold."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dynax.report._outcome import Outcome
from dynax.report._style import COLORS, new_figure, styled


REACH = 6  # decades on each side; what lies farther is drawn at the edge
LOOKS = {
    "claim holds": {"marker": "o", "color": COLORS["blue"]},
    "claim fails": {"marker": "X", "color": COLORS["vermilion"], "s": 60},
    "control is rejected": {"marker": "D", "color": COLORS["orange"], "s": 20},
    "control is not rejected": {"marker": "P", "color": COLORS["purple"], "s": 60},
}


@styled
def margins_figure(outcomes: Sequence[Outcome]) -> Figure:
    """Draw one row an experiment and one mark a claim, over its distance in decades.

    The distance is |log₁₀ of measured/threshold|. A claim that holds lies on the left,
    and a control that is rejected, for which the claim is not met, on the right.
    """
    rows = [o for o in outcomes if o.claims]
    height = 1.1 + 0.3 * len(rows)
    figure, axes = new_figure(size=(7.6, height))
    ax = axes[0, 0]
    marks: dict[str, list] = {look: [] for look in LOOKS}
    for place, outcome in enumerate(rows):
        for claim in outcome.claims:
            words = ("is rejected", "is not rejected", "holds", "fails")
            word = words[2 * (not claim.control) + (not claim.holds)]
            kind = f"{'control' if claim.control else 'claim'} {word}"
            marks[kind].append((_decades(claim), place))
    for label, look in LOOKS.items():
        if marks[label]:
            x, y = np.transpose(marks[label])
            y = y + (0.18 if "control" in label else -0.18)
            look = {"s": 28, "lw": 0, "alpha": 0.8, **look}
            ax.scatter(x, y, label=label, zorder=3, **look)
    ax.axvline(0, color=COLORS["black"], lw=1)
    names = [o.name.replace("_", " ") for o in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ticks = range(-REACH, REACH + 1, 2)
    texts = ["threshold" if t == 0 else f"10{_raised(t)}" for t in ticks]
    texts[0], texts[-1] = f"≤ {texts[0]}", f"≥ {texts[-1]}"
    ax.set_xticks(list(ticks), texts)
    ax.set_xlim(-REACH - 0.4, REACH + 0.4)
    ax.set_xlabel("factor to the threshold (left: it is met, right: it is not)")
    figure.legend(loc="outside upper center", ncols=4, handletextpad=0.2)
    return figure


def _decades(claim) -> float:
    """|log₁₀(measured/threshold)|, at most `REACH`: negative where the claim is met."""
    value, sign = claim.measured, -1.0 if claim.holds != claim.control else 1.0
    try:
        bound = float(claim.threshold.split()[1])
        size = abs(math.log10(abs(value / bound)))
    except (ValueError, IndexError, ZeroDivisionError):  # a zero, or not a number
        size = float(REACH)
    return sign * (min(size, REACH) if size == size else REACH)


def _raised(n: int) -> str:
    return str(n).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
