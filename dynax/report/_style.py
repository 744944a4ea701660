"""The look of every figure: Okabe–Ito colours, thin lines, text left as text."""

import functools
import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.transforms import ScaledTranslation


COLORS = {
    "black": "#222222",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#8A8A8A",
}

CYCLE = ["blue", "vermilion", "green", "purple", "orange", "sky", "black"]

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.labelcolor": "#333333",
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=[COLORS[c] for c in CYCLE]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "path.simplify_threshold": 0.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "dynax",
    "xtick.color": "#555555",
    "xtick.labelsize": 8.5,
    "ytick.color": "#555555",
    "ytick.labelsize": 8.5,
}

POINTS = 400  # on a time axis: more than the pixels of a printed figure can tell apart


def styled(draw):
    """`draw`, with `STYLE` in force while it runs and undone after."""

    @functools.wraps(draw)
    def inner(*args, **kwargs):
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inner


class Picture(Figure):
    """A figure that a notebook shows, though pyplot knows nothing of it."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=100)
        return data.getvalue()


@styled
def new_figure(rows=1, columns=1, *, size=(7.6, 3.6), heights=None, **kwargs):
    """A figure in this style and its axes as a (rows, columns) array.

    What is added later (titles, legends) follows it inside
    `matplotlib.rc_context(dynax.report.STYLE)`, as everything does that an experiment's
    `figures` draws for `dynax report`.

    Args:
        size: in inches; a report shows 7.6 in at full width.
        heights: relative heights of the rows.
        kwargs: of `Figure.subplots`, as `sharex=True`.
    """
    figure = Picture(figsize=size, layout="constrained")
    ratios = {} if heights is None else {"height_ratios": heights}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=ratios, **kwargs)
    return figure, axes


def legend_below(axes, columns: int = 2, **kwargs) -> None:
    """Put the legend of a panel under its x label, where it covers no curve.

    Args:
        axes: a matplotlib `Axes`.
        columns: of the legend.
        kwargs: of `Axes.legend`.
    """
    lower = ScaledTranslation(0, -34 / 72, axes.figure.dpi_scale_trans)
    look = {"loc": "upper left", "borderaxespad": 0, "ncols": columns, **kwargs}
    place = {"bbox_to_anchor": (0, 0), "bbox_transform": axes.transAxes + lower}
    axes.legend(**look, **place)


def legend_beside(axes, **kwargs) -> None:
    """Put the legend of a panel to its right."""
    look = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.04), "handlelength": 1.2}
    axes.legend(**look, **kwargs)


def nothing(axes, text: str) -> None:
    """A panel about which there is nothing to draw says why."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()


def pick(length: int, points: int = POINTS) -> np.ndarray:
    """Indices of at most about `points` rows, the first and the last among them."""
    if length <= points:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, points).round().astype(int))


def bins(length: int, points: int = POINTS) -> np.ndarray:
    """Where each of at most `points` equal bins of rows begins."""
    return np.unique(np.linspace(0, length, min(length, points) + 1)[:-1].astype(int))
