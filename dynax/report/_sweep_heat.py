"""An output over two arguments of a sweep: cells of a grid, or dots of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dynax.report._style import COLORS, new_figure, nothing, pick
from dynax.report._sweep_axes import (
    Scale,
    drawn_log,
    literally,
    log_ticks,
    many_decades,
    window,
)
from dynax.report._sweep_data import (
    arguments,
    check,
    label,
    listed,
    maximized,
    outputs,
    short,
    space,
    spread,
    summary,
    title,
)


if TYPE_CHECKING:
    import xarray as xr


CELLS = 250  # counted in words, up to so many; beyond 3,000 drawn as an image
DOTS = 3000
RING = {"ls": "none", "marker": "o", "ms": 9, "mfc": "none", "mec": "white", "mew": 3.2}


@literally
def heat_map(
    ds: xr.Dataset, output: str, x: str, y: str, *, maximize: bool | None = None
) -> Figure:
    """Draw the median of an output over two arguments. What failed is hatched.

    Dimensions x and y make a grid of cells: each the median over all other dimensions.
    A cell in which half of the points or more failed is hatched, and has no colour.
    Columns x and y of one table, sample or search make dots. The best is ringed.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not.
        output: of a curve the last entry; "status" for the share of failed points.
        x, y: arguments.
        maximize: whether more is better; by default as the name suggests, and if it
            suggests nothing, no best is marked.
    """
    grid = [d for d in space(ds) if d in ds.coords]
    check("output", output, [*outputs(ds), "status"])
    if maximize is None and output != "status":
        maximize = maximized(ds, output)
    for dim in listed(ds):
        if {x, y} <= set(arguments(ds, dim)):
            return _dots(ds, output, x, y, dim, maximize)
    check("x", x, grid)
    check("y", y, [d for d in grid if d != x])
    small = summary(ds if output == "status" else ds[[output, "status"]])
    rest = [d for d in space(ds) if d not in (x, y)]
    values = small["status"].astype(float) if output == "status" else small[output]
    found = spread(values, small["status"], rest)
    cells, run = found.trusted, found.run.transpose(y, x).values
    failed, lost = (a.transpose(y, x).values for a in (found.failed, found.lost))
    if output == "status":
        cells, lost = found.failed / found.run.where(found.run > 0), np.zeros_like(lost)
    scales = {d: Scale.of(small[d].values) for d in (x, y)}
    order = np.ix_(scales[y].order, scales[x].order)
    cells = cells.transpose(y, x).values[order]
    failed, run, lost = failed[order], run[order], lost[order]

    height = min(6.0, 1.7 + 0.33 * len(scales[y].at))
    figure, axes = new_figure(1, 1, size=(7.6, height))
    ax = axes[0, 0]
    edges = [scales[d].edges() for d in (x, y)]
    scales[x].apply(ax.xaxis, label(ds, x))
    scales[y].apply(ax.yaxis, label(ds, y))
    ax.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    ax.grid(False)
    ax.set_title(_title(ds, output, rest))
    notes = []
    if np.isfinite(cells).any():
        look = {"ec": "face", "lw": 0.25}  # no seams between cells in an SVG
        look |= _colors(cells, output, maximize)
        mesh = ax.pcolormesh(*edges, cells, **look)
        mesh.set_rasterized(cells.size > 3000)
        _bar(figure, ax, mesh, ds, output, cells)
    notes += _blank(ax, edges, lost, run == 0)
    share = output == "status"
    notes += _failed(ax, edges, np.where(lost, 0, failed), share)
    if maximize is not None and np.isfinite(cells).any():
        j, i = np.unravel_index(
            np.nanargmax(cells) if maximize else np.nanargmin(cells), cells.shape
        )
        said = ", ".join(f"{d} = {scales[d].labels[k]}" for d, k in ((x, i), (y, j)))
        place = [scales[x].at[i]], [scales[y].at[j]]
        notes[:0] = _ring(ax, *place, f"best: {short(cells[j, i])} at {said}")
    _legend(figure, notes)
    return figure


def _dots(ds, output, x, y, dim, maximize):
    """Median over the other dimensions, one dot a row of the table."""
    small = summary(ds if output == "status" else ds[[output, "status"]])
    rest = [d for d in space(ds) if d != dim]
    found = spread(small[output].astype(float), small["status"], rest)
    v, lost = found.trusted.values, found.lost.values
    if output == "status":
        v, lost = (found.failed / found.run.where(found.run > 0)).values, lost & False
    a, b = small[x].values, small[y].values
    figure, axes = new_figure(1, 1, size=(7.6, 3.9))
    ax, notes = axes[0, 0], []
    for axis, name in ((ax.xaxis, x), (ax.yaxis, y)):
        axis.axes.set(**{f"{axis.axis_name}label": label(ds, name)})
        if drawn_log(small[name].values):
            axis._set_axes_scale("log")
    ax.set_title(_title(ds, output, rest))
    keep = np.flatnonzero(np.isfinite(v))
    keep = keep[pick(len(keep), DOTS)]
    if len(keep):
        keep = keep[np.argsort(v[keep] if maximize else -v[keep], kind="stable")]
        look = {"s": 26, "lw": 0.3, "ec": "#666666" if output == "status" else "white"}
        look |= _colors(v[keep], output, maximize)
        dots = ax.scatter(a[keep], b[keep], c=v[keep], **look)
        dots.set_rasterized(len(keep) > 1000)
        _bar(figure, ax, dots, ds, output, v[keep])
        if maximize is not None:
            k = keep[-1]
            value, p, q = (short(float(c[k])) for c in (v, a, b))
            said = f"best: {value} at {x} = {p}, {y} = {q}"
            notes += _ring(ax, [a[k]], [b[k]], said)
    if lost.any():
        said = f"half or more failed ({lost.sum():,})"
        cross = {"marker": "x", "ls": "none", "color": COLORS["vermilion"], "ms": 5}
        notes += ax.plot(a[lost], b[lost], **cross, label=said)
    if not len(keep) and not lost.any():
        nothing(ax, "nothing has been run yet")
    _legend(figure, notes)
    return figure


def _title(ds, output, rest):
    if output == "status":
        return "Share of failed points"
    return title(ds, output, "median", rest)


def _colors(values, output, maximize):
    """Brighter is better. Few that diverged do not use up the colours."""
    if output == "status":
        return {"norm": Normalize(0, 1), "cmap": "Reds"}
    low, high, _ = window(values, maximize)
    log = many_decades(np.array([low, high])) and np.nanmin(values) > 0
    cmap = "viridis_r" if maximize is False else "viridis"
    return {"norm": (LogNorm if log else Normalize)(low, high), "cmap": cmap}


def _bar(figure, ax, drawn, ds, output, values):
    low, high = drawn.get_clim()
    under, above = np.nanmin(values) < low, np.nanmax(values) > high
    extend = "both" if under and above else "min" if under else "max"
    extend = extend if under or above else "neither"
    bar = figure.colorbar(drawn, ax=ax, extend=extend, aspect=14, pad=0.02)
    bar.set_label("share that failed" if output == "status" else label(ds, output))
    bar.outline.set_visible(False)
    log_ticks(bar.ax.yaxis)


def _legend(figure, notes):
    if notes:
        long = max(len(n.get_label()) for n in notes) > 36
        columns = 1 if long and len(notes) > 2 else 2
        figure.legend(handles=notes, loc="outside lower left", ncols=columns)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + 0.19 * -(-len(notes) // columns))


def _blank(ax, edges, lost, absent):
    """Cells without a colour: hatched where they failed, grey where nothing was run."""
    notes = []
    words = "half or more failed", "not run yet"
    for mask, hatch, word in zip((lost, absent), ("/////", None), words, strict=True):
        if not mask.any():
            continue
        x, y = edges
        rows, columns = np.nonzero(mask)
        corners = [
            [(x[i], y[j]), (x[i + 1], y[j]), (x[i + 1], y[j + 1]), (x[i], y[j + 1])]
            for j, i in zip(rows, columns, strict=True)
        ]
        look = {"hatch": hatch, "lw": 0}
        look |= {"fc": "#F6F6F6" if hatch else "#E4E4E4", "ec": "#9A9A9A"}
        cells = PolyCollection(corners, **look)
        cells.set_rasterized(len(corners) > 3000)
        ax.add_collection(cells)
        many = f"{len(corners):,} cell{'s' * (len(corners) > 1)}"
        notes.append(Patch(label=f"{word} ({many})", **look))
    return notes


def _failed(ax, edges, failed, share):
    """How many points of a cell failed, in its upper right corner."""
    if not failed.any():
        return []
    if failed.size <= CELLS:
        for j, i in zip(*np.nonzero(failed), strict=True):
            place = {"textcoords": "offset points", "xytext": (-2, -2), "ha": "right"}
            corner = edges[0][i + 1], edges[1][j + 1]
            text = ax.annotate(f"×{failed[j, i]}", corner, **place, va="top")
            text.set(fontsize=7, color="#222222")
            text.set_bbox({"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6})
    what = "failed points" if share else "failed points are left out"
    return [Line2D([], [], ls="none", label=f"×n: n {what} ({failed.sum():,} in all)")]


def _ring(ax, x, y, said):
    ax.plot(x, y, **RING, zorder=5)
    inner = {**RING, "mec": COLORS["vermilion"], "mew": 1.6}
    return ax.plot(x, y, **inner, zorder=6, label=said)
