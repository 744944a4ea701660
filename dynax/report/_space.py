"""Where the parameters went: paths in the plane, weights against their bound."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from dynax.report._style import COLORS, new_figure, nothing, pick, styled


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
    """Small multiples of paths in the plane, one panel a name, all in one window.

    Args:
        paths: name → (T, 2) positions.
        level: f(X, Y) on arrays, whose level lines are drawn.
        outlines: name → (K, 2) closed curve, the edge of what is allowed there.
        optima: name → (2,) the point that theory predicts.
        columns: panels in a row, at most.
    """
    outlines, optima = outlines or {}, optima or {}
    columns = max(1, min(columns, len(paths)))
    rows = max(1, -(-len(paths) // columns))
    side = 7.6 / columns
    figure, axes = new_figure(rows, columns, size=(7.6, (side + 0.15) * rows + 0.3))
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
            ax.fill(*edge.T, fc="none", ec=COLORS["green"], lw=1.2)
        path = np.asarray(path, float)[pick(len(path))]
        ax.plot(*path.T, color=COLORS["blue"], lw=1.2)
        ax.plot(*path[0], "o", ms=4.5, mfc="white", mec=COLORS["blue"])
        ax.plot(*path[-1], "o", ms=4.5, color=COLORS["blue"])
        if name in optima:
            ax.plot(*np.asarray(optima[name]), "x", ms=7, mew=2, c=COLORS["vermilion"])
        ax.set(xlim=window[0], ylim=window[1], aspect="equal")
        ax.grid(False)
        ax.set_title(name, fontsize=9, fontweight="normal")
    for ax in cells:
        ax.set_axis_off()
    for ax in axes.ravel():
        ax.label_outer()
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


@styled
def histogram_figure(
    weights, bound: float, *, title: str = "", bins: int = 81
) -> Figure:
    """All weights against the box ±bound that the theory predicts, bound = 1/λ.

    Args:
        weights: an array, or name → array for several in one figure.
        bound: the half-width of the box.
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
    reach = max([1.15 * bound, *(np.max(np.abs(w), initial=0) for w in flat.values())])
    colors = ("blue", "vermilion", "green", "purple")
    for (name, w), color in zip(flat.items(), colors * len(flat), strict=False):
        beyond = np.mean(np.abs(w) > bound * (1 + 1e-6)) if len(w) else 0
        label = f"{name + ': ' if name else ''}{beyond:.1%} of {len(w):,} outside"
        count, edges = np.histogram(w, bins=bins, range=(-reach, reach))
        fill = {"color": COLORS[color], "alpha": 0.55 if len(flat) == 1 else 0.35}
        ax.stairs(count, edges, fill=True, **fill)
        ax.stairs(count, edges, color=COLORS[color], lw=0.8, label=label)
    for side in (-bound, bound):
        ax.axvline(side, color=COLORS["black"], lw=1.2, ls="--")
    for side, name in ((-bound, "−1/λ"), (bound, "1/λ")):
        place = {"transform": ax.get_xaxis_transform(), "ha": "center"}
        ax.text(side, 1.02, name, fontsize=8.5, **place)
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="weight", ylabel="count (log)")
    if title:
        ax.set_title(title, pad=16)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
    return figure


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
        ax.contour(*grid, z, levels=lines, colors="#B8B8B8", linewidths=0.6)
