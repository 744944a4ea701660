"""Where the parameters went: paths in the plane, weights against their bound."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from dynax.report._style import COLORS, new_figure, nothing, pick, styled


LEVELS = "#B8B8B8"


@styled
def trajectory_figure(
    paths: Mapping[str, np.ndarray],
    *,
    level: Callable | None = None,
    outlines: Mapping[str, np.ndarray] | None = None,
    optima: Mapping[str, np.ndarray] | None = None,
    title: str = "",
    columns: int = 4,
) -> Figure:
    """Draw paths in the plane, one panel a name, all in one window.

    Args:
        paths: name → (T, 2) positions (x₁, x₂).
        level: f(X, Y) on arrays, whose level lines are drawn.
        outlines: name → (K, 2) closed curve, the edge of what is allowed there.
        optima: name → (2,) the point that theory predicts.
        columns: panels in a row, at most.
    """
    outlines, optima = outlines or {}, optima or {}
    columns = max(1, min(columns, len(paths)))
    rows = max(1, -(-len(paths) // columns))
    side = 7.6 / columns
    figure, axes = new_figure(rows, columns, size=(7.6, (side + 0.15) * rows + 0.7))
    drawn = {**{f"p{k}": v for k, v in paths.items()}, **outlines}
    window = _window(list(drawn.values()))
    cells = iter(axes.ravel())
    for name, path in paths.items():
        ax = next(cells)
        if level is not None:
            _levels(ax, level, window)
        if name in outlines:
            edge = np.asarray(outlines[name], float)
            edge = edge[pick(len(edge))]
            ax.fill(*edge.T, fc=COLORS["green"], alpha=0.10)
            look = {
                "color": COLORS["green"],
                "lw": 1.2,
                "label": "edge of what is allowed",
            }
            ax.plot(*np.concatenate([edge, edge[:1]]).T, **look)
        path = np.asarray(path, float)[pick(len(path))]
        blue = {"color": COLORS["blue"], "lw": 1.2}
        ax.plot(*path.T, **blue, label="path")
        ax.plot(*path[0], "o", ms=4.5, mfc="white", **blue, label="start")
        ax.plot(*path[-1], "o", ms=4.5, **blue, label="end")
        if name in optima:
            look = {"ms": 7, "mew": 2, "color": COLORS["vermilion"], "lw": 0}
            ax.plot(*np.asarray(optima[name]), "x", **look, label="predicted end")
        ax.set(xlim=window[0], ylim=window[1], aspect="equal")
        ax.set(xlabel="x₁", ylabel="x₂")
        ax.grid(False)
        ax.set_title(name, fontsize=9, fontweight="normal")
    for ax in cells:
        ax.set_axis_off()
    for ax in axes.ravel():
        ax.label_outer()
    if level is not None:
        axes[0, 0].plot([], [], color=LEVELS, lw=0.6, label="level of the loss")
    entries: dict = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=5)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


@styled
def histogram_figure(
    weights, bound: float, *, title: str = "", bins: int = 81
) -> Figure:
    """Draw all weights against the box that the theory predicts.

    Args:
        weights: an array, or name → array for several in one figure.
        bound: the half-width 1/λ of the box.
        bins: over [−1.15, 1.15]·bound, or further where weights lie further out.
    """
    named = weights if isinstance(weights, Mapping) else {"": weights}
    figure, grid = new_figure(1, 1, size=(7.6, 3.0))
    ax = grid[0, 0]
    flat = {k: np.asarray(w, float).ravel() for k, w in named.items()}
    flat = {k: w[np.isfinite(w)] for k, w in flat.items()}
    if not any(len(w) for w in flat.values()):
        nothing(ax, "no finite weights")
        return figure
    farthest = {k: float(np.max(np.abs(w), initial=0)) for k, w in flat.items()}
    reach = max(1.15 * bound, 1.05 * max(farthest.values()))
    colors = ("blue", "vermilion", "green", "purple")
    widths = np.linspace(3.5, 1.2, len(flat))  # so that equal ones are all seen
    rows = zip(flat.items(), colors * len(flat), widths, strict=False)
    for (name, w), color, lw in rows:
        count, edges = np.histogram(w, bins=bins, range=(-reach, reach))
        label = f"{name + ': ' if name else ''}{_outside(w, bound)}"
        look = {"color": COLORS[color], "label": label}
        alone = len(flat) == 1
        ax.stairs(count, edges, fill=alone, lw=0 if alone else lw, **look)
    for side in (-bound, bound):
        ax.axvline(side, color=COLORS["black"], lw=1.2, ls="--")
    for side, name in ((-bound, "−1/λ"), (bound, "1/λ")):
        place = {"transform": ax.get_xaxis_transform(), "ha": "center"}
        ax.text(side, 1.02, name, fontsize=8.5, **place)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(0, 2 * ax.get_ylim()[1])
    ax.set(xlabel="weight", ylabel="count (log scale)")
    if title:
        ax.set_title(title, pad=16)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _outside(w, bound) -> str:
    """How many weights lie beyond the bound, and the farthest in units of it."""
    beyond = np.abs(w) > bound
    if not np.any(beyond):
        return f"none of {len(w):,} outside"
    farthest = np.max(np.abs(w)) / bound - 1
    return f"{np.mean(beyond):.1%} of {len(w):,} outside, by at most {farthest:.1g}/λ"


def _window(curves):
    points = np.concatenate([np.asarray(c, float).reshape(-1, 2) for c in curves])
    points = points[np.all(np.isfinite(points), axis=1)]
    if not len(points):
        return (-1.0, 1.0), (-1.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, max(float(np.max(high - low)) / 2, 1e-9) * 1.08
    return tuple((float(m - half), float(m + half)) for m in middle)


def _levels(ax, level, window):
    grid = np.meshgrid(*(np.linspace(low, high, 61) for low, high in window))
    z = np.asarray(level(*grid), float)
    z = np.where(np.isfinite(z), z, np.nan)
    lines = np.unique(np.nanquantile(z, np.linspace(0.02, 0.9, 10)))
    if len(lines) > 1:
        ax.contour(*grid, z, levels=lines, colors=LEVELS, linewidths=0.6)
