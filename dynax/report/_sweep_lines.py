"""Outputs of a sweep along one argument, along their own axis, and of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from dynax.report._style import COLORS, new_figure, nothing, pick
from dynax.report._sweep_axes import (
    Scale,
    drawn_log,
    line_colors,
    literally,
    log_ticks,
    show,
)
from dynax.report._sweep_data import (
    arguments,
    check,
    curve,
    influence,
    label,
    listed,
    maximized,
    quantiles,
    shape,
    short,
    space,
    spread,
    summary,
    thinned,
    title,
)


if TYPE_CHECKING:
    import xarray as xr


LINES = 7  # in a figure, at most: of more values, some evenly spread
BYTES = 5e7  # of curves loaded
PANELS = 9
BAND = "median and 10–90 %"


@literally
def sensitivity_figure(
    ds: xr.Dataset, output: str, along: str, by: str | None = None
) -> Figure:
    """How an output depends on one argument: medians with 10–90 % bands.

    Median and band are over all dimensions but `along` and `by`, of the finished
    points; the share of those that failed is drawn below, where any did.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not.
        output: of a curve the last entry.
        along: a dimension with values.
        by: another one: a line for each of its values, or some.
    """
    grid = [d for d in space(ds) if d in ds.coords]
    check("along", along, grid)
    if by is not None:
        check("by", by, [d for d in grid if d != along])
    small = summary(ds[[output, "status"]])
    rest = [d for d in space(ds) if d not in (along, by)]
    found = spread(small[output], small["status"], rest)
    scale = Scale.of(small[along].values)
    troubled = bool(found.failed.sum())
    heights = [3.0, 0.8] if troubled else None
    rows, size = (2, (7.6, 4.2)) if troubled else (1, (7.6, 3.3))
    figure, axes = new_figure(rows, 1, size=size, heights=heights, sharex=True)
    ax, last = axes[0, 0], axes[-1, 0]
    repeated = any(n > 1 for d, n in shape(ds).items() if d in rest)
    mark = "." if len(scale.at) <= 40 else ""
    for line, color, name in _each(small, by):
        at = {} if by is None else {by: line}
        low, mid, high, failed, run = (
            a.isel(at).values[scale.order] for a in found[:5]
        )
        look = {"color": color, "label": _lived(name, mid)}
        if repeated:
            ax.fill_between(scale.at, low, high, color=color, alpha=0.16, lw=0)
        ax.plot(scale.at, mid, f"{mark}-", ms=6, **look)
        if troubled:
            share = failed / np.where(run > 0, run, np.nan)
            last.plot(scale.at, share, f"{mark}-", ms=4, lw=1, color=color)
    if not np.isfinite(found.median).any():
        nothing(ax, "no finished point")
    show(ax, np.stack([q.values for q in found[:3]]), maximized(ds, output))
    scale.apply(last.xaxis, label(ds, along))
    ax.set(ylabel=label(ds, output), title=title(ds, output, BAND, rest))
    if troubled:
        last.set(ylabel="failed", ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
        last.set_yticklabels(["0", "½", "all"])
    if by is not None:
        _legend(ax, ds, by)
    return figure


@literally
def learning_curves(
    ds: xr.Dataset, output: str, along: str | None = None, by: str | None = None
) -> Figure:
    """A curve output over its own axis: medians with 10–90 % bands.

    Both are over all dimensions but `by`, of the finished points. Of a large sweep,
    some points and steps are read.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not.
        output: with an axis of its own.
        along: that axis; need not be given.
        by: a dimension with values: a line for each of them, or some.
    """
    own = curve(ds, output)
    if own is None:
        curves = [str(k) for k in ds.data_vars if curve(ds, str(k))]
        check("output", output, curves)
    check("along", along or str(own), [str(own)])
    grid = [d for d in space(ds) if d in ds.coords]
    if by is not None:
        check("by", by, grid)
    steps = pick(ds.sizes[own], 200)
    few, chosen = ds[[output, "status"]].isel({own: steps}), None
    if by is not None:
        chosen = [k for k, _, _ in _each(ds, by)]
        few = few.isel({by: chosen})
    most = int(BYTES / (len(steps) * few[output].dtype.itemsize))
    whole = int(np.prod(list(shape(few).values())))
    few = thinned(few, most, [by] if by else [])
    few = few.load()
    status = few["status"]
    a = few[output].astype(float).where(status == 0)
    rest = [d for d in space(ds) if d != by]
    figure, axes = new_figure(1, 1, size=(7.6, 3.5))
    ax = axes[0, 0]
    x = ds[own].values[steps] if own in ds.coords else steps
    drawn = []
    for k, (_, color, name) in enumerate(_each(ds, by)):
        one = a if by is None else a.isel({by: k})
        block = one.transpose(own, ...).values.reshape(len(steps), -1)
        low, mid, high = quantiles(block)
        ax.fill_between(x, low, high, color=color, alpha=0.14, lw=0)
        ax.plot(x, mid, color=color, label=_lived(name, mid))
        drawn += [low, mid, high]
    if not np.isfinite(np.array(drawn)).any():
        nothing(ax, "no finished point")
    starts = [v[0] for v in drawn[1::3] if np.isfinite(v).all()]
    show(ax, np.array(drawn), maximized(ds, output), [np.median(starts or np.nan)])
    ax.set_xlim(x[0], max(x[-1], x[0] + 1e-9))
    head = title(ds, output, BAND, rest, entry=False)
    if status.size < whole:
        head += f" ({status.size:,} of {whole:,} points)"
    ax.set(xlabel=label(ds, str(own)), ylabel=label(ds, output), title=head)
    if by is not None:
        _legend(ax, ds, by)
    return figure


@literally
def scatter_figure(
    ds: xr.Dataset,
    output: str,
    along: str | None = None,
    *,
    maximize: bool | None = None,
) -> Figure:
    """Points that were listed, drawn or searched: an output against each argument.

    Of a search, the first panel shows the best so far over the trials, and later trials
    are darker. A dot is the median over all other dimensions; a cross at the top stands
    where half of the points or more failed, and the best dot is ringed.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not.
        output: of a curve the last entry.
        along: the dimension of the table, sample or search; need not be given.
        maximize: whether more is better; by default as the name suggests, and if it
            suggests nothing, no best is marked.
    """
    tables = listed(ds)
    along = along or (tables[0] if tables else "")
    check("along", along, tables)
    maximize = maximized(ds, output) if maximize is None else maximize
    small = summary(ds[[output, "status"]])
    small.attrs = ds.attrs
    rest = [d for d in space(ds) if d != along]
    found = spread(small[output], small["status"], rest)
    v, lost = found.trusted.values, found.lost.values
    order = np.arange(len(v))
    search = "objective" in ds.attrs and maximize is not None
    effect = influence(small, output)
    names = sorted(arguments(ds, along), key=lambda n: -effect[n])[:PANELS]
    count = len(names) + search
    columns = min(3, count) if count != 4 else 2
    rows = -(-count // columns)
    size = (7.6, 2.5 * rows + 0.4)
    figure, axes = new_figure(rows, columns, size=size, sharey=True)
    panels = list(axes.ravel())
    finite = np.flatnonzero(np.isfinite(v))
    if search and panels:
        _progress(panels.pop(0), order, v, lost, maximize)
    some = finite[pick(len(finite), 3000)]
    best = None
    if len(finite) and maximize is not None:
        best = finite[np.argmax(v[finite]) if maximize else np.argmin(v[finite])]
    for ax, name in zip(panels, names, strict=False):
        x = small[name].values
        look = {"c": order[some], "cmap": "Blues", "vmin": -0.6 * len(v)}
        look = look if search else {"color": COLORS["blue"], "alpha": 0.6}
        dots = ax.scatter(x[some], v[some], s=16, lw=0, **look)
        dots.set_rasterized(len(some) > 1000)
        edge_marks(ax, x[lost], "x", COLORS["vermilion"])
        if best is not None:
            ring = {"marker": "o", "ms": 9, "mfc": "none", "mew": 1.6}
            ax.plot(x[best], v[best], **ring, color=COLORS["vermilion"])
            ax.set_title(
                f"best at {short(float(x[best]))}", fontsize=9, fontweight="normal"
            )
        if drawn_log(x):
            ax.set_xscale("log")
            log_ticks(ax.xaxis)
        ax.set_xlabel(label(ds, name))
    for ax in panels[len(names) :]:
        ax.set_axis_off()
    show(axes[0, 0], v, maximize)
    low, high = axes[0, 0].get_ylim()
    for ax, name in zip(panels, names, strict=False):
        edge_marks(ax, small[name].values[v > high], "^", COLORS["blue"])
        edge_marks(ax, small[name].values[v < low], "v", COLORS["blue"], 0.015)
    for ax in axes[:, 0]:
        ax.set_ylabel(label(ds, output))
    head = title(ds, output, "median", rest)
    if lost.any():
        head += f"; × failed ({lost.sum():,} of {len(lost):,})"
    if beyond := int(np.sum((v < low) | (v > high))):
        head += f"; ▲▼ beyond ({beyond:,})"
    figure.suptitle(head, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _progress(ax, order, v, lost, maximize):
    """The best so far."""
    best = (np.fmax if maximize else np.fmin).accumulate(v) if len(v) else v
    at = pick(len(v), 1500)
    ax.plot(order[at], v[at], ".", ms=3.5, color=COLORS["grey"], label="a trial")
    ax.step(order, best, where="post", color=COLORS["vermilion"], label="best so far")
    edge_marks(ax, order[lost], "x", COLORS["vermilion"])
    ax.set_xlabel("trial")
    ax.legend(loc="best", handlelength=1.2, fontsize=8)


def edge_marks(ax, x, marker, color, y=0.985):
    """Points without a value, or with one beyond the axis, along its edge."""
    place = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    x = x[pick(len(x), 500)]
    look = {"ls": "none", "marker": marker, "ms": 4.5, "color": color}
    if len(x):  # of nothing the extent is infinite
        ax.plot(x, np.full(len(x), y), **place, **look)


def _each(ds, by):
    """(place, colour, label) of each line."""
    if by is None:
        return [(0, COLORS["blue"], None)]
    scale = Scale.of(ds[by].values)
    some = pick(len(scale.order), LINES)
    colors = line_colors(ds[by].values[scale.order[some]])
    return [
        (int(scale.order[k]), color, scale.labels[k])
        for k, color in zip(some, colors, strict=True)
    ]


def _lived(name, values):
    return name if name is None or np.isfinite(values).any() else f"{name}: none"


def _legend(ax, ds, by):
    head, count = label(ds, by), ds.sizes[by]
    head += f"\n({LINES} of {count:,})" if count > LINES else ""
    look = {"handlelength": 1.2, "title_fontsize": 8.5, "alignment": "left"}
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.04), title=head, **look)
