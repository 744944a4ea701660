"""How the values along a dimension of a sweep are laid out on an axis of a figure."""

import functools
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter, NullLocator

from dynax.report._style import COLORS, CYCLE, styled
from dynax.report._sweep_data import short


def literally(draw):
    """`draw` in the style of reports, but labels and units as they are, even with $."""

    @functools.wraps(draw)
    def inner(*args, **kwargs):
        figure = styled(draw)(*args, **kwargs)
        axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
        ticks = {id(text) for axis in axes for text in axis.findobj(Text)}
        ticks -= {id(axis.label) for axis in axes}  # the powers of ten are formulas
        for text in figure.findobj(Text):
            if id(text) not in ticks:
                text.set_parse_math(False)
        return figure

    return inner


class Scale(NamedTuple):
    """Where on an axis the values lie, in increasing order.

    Values over a factor of fifty, or each the same factor above the last, are on a
    logarithmic axis. Set out evenly are names, zero before such values, and a dozen
    numbers at most whose distances are very unlike.
    """

    order: np.ndarray
    at: np.ndarray
    kind: Literal["linear", "log", "even"]
    labels: list[str]
    numbers: bool = True

    @classmethod
    def of(cls, values: np.ndarray) -> "Scale":
        if values.dtype.kind not in "biuf":
            order = np.arange(len(values))
            return cls(
                order, order.astype(float), "even", [str(v) for v in values], False
            )
        order = np.argsort(values, kind="stable")
        v = values[order].astype(float)
        labels = [short(x) for x in v]
        kind = _kind(v)
        at = np.arange(len(v), dtype=float) if kind == "even" else v
        return cls(order, at, kind, labels)

    def edges(self) -> np.ndarray:
        """Of the cells around the values."""
        t = np.log(self.at) if self.kind == "log" else self.at
        if len(t) == 1:
            e = np.array([t[0] - 0.5, t[0] + 0.5])
        else:
            middle = (t[1:] + t[:-1]) / 2
            e = np.concatenate(
                [[2 * t[0] - middle[0]], middle, [2 * t[-1] - middle[-1]]]
            )
        return np.exp(e) if self.kind == "log" else e

    def apply(self, axis, label: str) -> None:
        """Set the scale, the ticks and the label of an axis of a figure."""
        if self.kind == "even" and self.numbers:
            label = f"{label} (not to scale)"
        axis.axes.set(**{f"{axis.axis_name}label": label})
        if self.kind == "log":
            axis._set_axes_scale("log")
        span = np.log(self.at[[0, -1]]) if self.kind == "log" else self.at[[0, -1]]
        few = len(self.at) <= (14 if self.kind == "even" else 6)
        whole = self.kind == "linear" and np.all(self.at == np.round(self.at))
        labels = [text.replace("$", r"\$") for text in self.labels]
        if few or (whole and len(self.at) <= 12 and span[1] - span[0] < 24):
            axis.set_ticks(self.at, labels)
        elif self.kind == "even":
            some = np.unique(np.linspace(0, len(self.at) - 1, 10).round().astype(int))
            axis.set_ticks(self.at[some], [labels[k] for k in some])
        else:
            return
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def _kind(v):
    if len(v) < 2 or not np.all(np.isfinite(v)) or np.any(np.diff(v) <= 0):
        return "even"
    rest = v[1:] if v[0] == 0 else v
    if rest[0] <= 0 or len(rest) < 2:
        return "linear"
    factors = rest[1:] / rest[:-1]
    same = len(v) > 2 and factors.max() / factors.min() < 1.05
    apart = np.diff(v)
    regular = apart.max() / apart.min() < 1.05
    wide = rest[-1] / rest[0] >= (8 if v[0] == 0 else 50)
    if wide and v[0] == 0 and not regular:
        return "even"
    if v[0] > 0 and not regular and (same or wide):
        return "log"
    uneven = len(v) <= 12 and apart.max() / apart.min() > 4
    return "even" if uneven else "linear"


def many_decades(values: np.ndarray, decades: float = 2.0) -> bool:
    """Whether values are positive and reach over so many powers of ten."""
    v = values[np.isfinite(values)]
    return bool(v.size and v.min() > 0 and v.max() / v.min() > 10**decades)


def drawn_log(values: np.ndarray) -> bool:
    """Whether a sample looks as if the logarithms were what is evenly spread."""
    if not many_decades(values, 1.0):
        return False
    v = values[np.isfinite(values)]
    middles = []
    for t in (v, np.log(v)):
        middles.append(abs((np.median(t) - t.min()) / np.ptp(t) - 0.5))
    return bool(middles[1] < middles[0])


def window(values: np.ndarray, maximize: bool | None) -> tuple[float, float, bool]:
    """What to show of values: from where to where, and whether on a logarithmic scale.

    Values more than two interquartile ranges outside the middle half are left out, but
    never on the side of the best.
    """
    v = values[np.isfinite(values)]
    log = many_decades(v, 1.3)
    t = np.log(v) if log else v
    low, high = np.quantile(t, [0.25, 0.75])
    reach = 2 * (high - low) if high > low else np.inf
    low = t.min() if maximize is False else max(t.min(), low - reach)
    high = t.max() if maximize is True else min(t.max(), high + reach)
    ends = [v[np.argmin(np.abs(t - end))] for end in (low, high)]  # values that occur
    return float(ends[0]), float(ends[1]), log


def show(ax, values: np.ndarray, maximize: bool | None, also=()) -> None:
    """Set the vertical axis so that a few that diverged do not flatten all others.

    Args:
        also: values that are to be seen in any case.
    """
    if not np.isfinite(values).any():
        return
    low, high, log = window(values, maximize)
    also = [a for a in also if np.isfinite(a)]
    low, high = min([low, *also]), max([high, *also])
    if log:
        ax.set_yscale("log")
        edge = (high / low) ** 0.06 if high > low else 1.5
        ax.set_ylim(low / edge, high * edge)
        log_ticks(ax.yaxis)
    else:
        edge = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        ax.set_ylim(low - edge, high + edge)


def log_ticks(axis) -> None:
    """Of a logarithmic axis: powers of ten, and others only where those are too few."""
    low, high = sorted(axis.get_view_interval())
    if low > 0 and high / low >= 100:
        axis.set_minor_formatter(NullFormatter())


def line_colors(values: np.ndarray) -> list:
    """Of one line for each value: in order for numbers, distinct for names."""
    if values.dtype.kind in "iuf" and len(values) > 2:
        shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(values)))
        return list(shades)
    return [COLORS[CYCLE[k % len(CYCLE)]] for k in range(len(values))]
