"""The figure of a march through time: its windows, and its errors."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dynax.report._style import COLORS, new_figure


def march_figure(marched: Any, known: Any = None) -> Figure:
    """Draw how long each window is, and how wrong: alone, and with all before it.

        report.march_figure(pinn.march(…)).savefig("march.png")

    Args:
        marched: what `pinn.march` returns.
        known: (times, relative errors), to be drawn beside the estimate.
    """
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    draw_march(left, right, marched, known)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def draw_march(left, right, marched: Any, known: Any = None) -> None:
    """Draw `march_figure` in two axes that are there."""
    good = marched.windows
    bad = [w for w in marched.tried if not w.solved]
    length = lambda windows: ([w.t0 for w in windows], [w.t1 - w.t0 for w in windows])
    edges = [w.t0 for w in good] + [marched.reached]
    steps = length(good)[1]
    if good:
        left.stairs(steps, edges, baseline=None, color=COLORS["blue"], label="solved")
    left.plot(*length(bad), "x", color=COLORS["vermilion"], ms=4, label="refused")
    left.set(xlabel="t", ylabel="Δ", yscale="log", title="Windows")
    modes = [w.modes for w in good]
    if len(set(modes)) > 1:
        for w, before in zip(good[1:], modes, strict=False):
            if w.modes > before:
                left.axvline(w.t0, color=COLORS["grey"], lw=0.6)
                left.text(w.t0, left.get_ylim()[1], f" K = {w.modes}", va="top", size=7)
    ends = edges[1:]
    alone, together = [w.residual for w in good], [w.error for w in good]
    right.plot(ends, np.asarray(alone), ".", color=COLORS["sky"], label="of itself")
    right.plot(ends, together, color=COLORS["blue"], label="accumulated, estimated")
    if known is not None:
        right.plot(*known, "--", color=COLORS["black"], label="accumulated, true")
    right.axhline(marched.rtol, color=COLORS["grey"], lw=0.8, ls=":", label="rtol")
    right.set(xlabel="t", ylabel="relative error", yscale="log", title="Errors")
