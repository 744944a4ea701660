"""Which figures say most about a sweep, whatever its dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from dynax.report._sweep_data import (
    arguments,
    best,
    check,
    curve,
    influence,
    listed,
    maximized,
    outputs,
    replicates,
    shape,
    short,
    summary,
)
from dynax.report._sweep_heat import heat_map
from dynax.report._sweep_lines import (
    learning_curves,
    scatter_figure,
    sensitivity_figure,
)


if TYPE_CHECKING:
    import xarray as xr


FIGURES = 12
LISTED = 5  # of the points of a table, whose learning curves are drawn


def sweep_figures(
    ds: xr.Dataset, output: str | None = None, *, maximize: bool | None = None
) -> dict[str, Figure]:
    """Return caption → figure, of any sweep: at most a dozen, the most telling first.

    Heat maps over the two or three arguments that matter most, sensitivities, where
    points failed, learning curves, samples and searches against each argument; then the
    other outputs. Whatever is not on an axis and is no seed is held at the best
    setting, which the caption then says. Dimensions named after seeds are repetitions.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not, of any size.
        output: the one that matters; by default a search's objective, a loss, an error.
        maximize: whether more of it is better; by default as its name suggests.
    """
    if output is not None:
        check("output", output, outputs(ds))
    small = summary(ds)
    if not bool((small["status"] >= 0).any()):
        return {}
    names = sorted(outputs(ds), key=lambda name: name != output)
    names = [n for n in names if bool(small[n].notnull().any())]
    view = _View(small, names[0] if names else None, maximize)
    made: dict[str, Figure] = {}
    if names:
        made |= _main(view, names[0])
    if bool((small["status"] > 0).any()):
        made |= _failures(view)
    for name in [n for n in names if curve(ds, n)][:2]:
        made |= _curves(view, ds, name)
    for name in names[1:]:
        if bool(small[name].min() < small[name].max()):
            made |= _other(view, name)
    return dict(itertools.islice(made.items(), FIGURES))


class _View:
    """Which dimensions matter, and the slices through the best setting."""

    def __init__(self, small: xr.Dataset, main: str | None, maximize: bool | None):
        self.small = small
        self.effect = influence(small, main) if main else {}
        if maximize is None and main:
            maximize = bool(maximized(small, main))
        self.maximize = maximize
        self.grid = [d for d in _grid(small) if d not in replicates(small)]
        self.tables = listed(small)
        if not self.grid and not self.tables:
            self.grid = _grid(small)
        self.grid.sort(key=lambda d: -self.effect.get(d, 0.0))
        found = best(small, main, LISTED, maximize=maximize) if main else None
        self.best = found.place if found else []

    def held(self, axes: Sequence[str]) -> dict[str, int]:
        """The other dimensions, at the best setting."""
        rest = [d for d in self.grid if d not in axes]
        return {d: self.best[0][d] for d in rest if self.best and d in self.best[0]}

    def at(self, axes: Sequence[str]) -> xr.Dataset:
        return self.small.isel({d: [k] for d, k in self.held(axes).items()})

    def said(self, text: str, axes: Sequence[str]) -> str:
        given = []
        for d, k in self.held(axes).items():
            v = self.small[d].values[k]
            number = v.dtype.kind in "iuf"
            given.append(f"{d} = {short(float(v)) if number else v}")
        return f"{text}, at {', '.join(given)}" if given else text


def _grid(ds):
    return [d for d, n in shape(ds).items() if n > 1 and d in ds.coords]


def _main(view, name):
    made, more = {}, {"maximize": view.maximize}
    for dim in view.tables:
        axes = [dim]
        caption = view.said(f"{name} against what varies along {dim}", axes)
        made[caption] = scatter_figure(view.at(axes), name, dim, **more)
        pair = _pair(view, dim)
        if pair:
            caption = view.said(f"{name} over {pair[0]} and {pair[1]}", axes)
            made[caption] = heat_map(view.at(axes), name, *pair, **more)
    for pair in itertools.combinations(view.grid[:3], 2):
        x, y = _wide(view, pair)
        caption = view.said(f"{name} over {x} and {y}", (x, y))
        made[caption] = heat_map(view.at((x, y)), name, x, y, **more)
    for k, along in enumerate(view.grid[:3]):
        others = [d for d in view.grid if d != along]
        by = others[0] if others else None
        axes = [along, *others[:1]]
        if k < 2 or by:
            caption = view.said(_by(f"{name} along {along}", by), axes)
            made[caption] = sensitivity_figure(view.at(axes), name, along, by)
    return made


def _failures(view):
    pairs = [_wide(view, view.grid[:2])] if len(view.grid) > 1 else []
    pairs += [pair for dim in view.tables if (pair := _pair(view, dim))]
    return {
        f"Where points failed, over {x} and {y}": heat_map(view.small, "status", x, y)
        for x, y in pairs[:1]
    }


def _curves(view, ds, name):
    if view.small["status"].shape != ds["status"].shape:
        held = {}  # thinned: places are not those of the whole
    elif view.tables and view.best:
        dim = view.tables[0]
        rows = [place[dim] for place in view.best]
        few = view.held([dim]) | {dim: rows}
        few = {d: k if d == dim else [k] for d, k in few.items()}
        labels = {dim: [f"{k}" for k in rows]}
        caption = view.said(f"{name} along its curve, for the best of {dim}", [dim])
        chosen = ds.isel(few).assign_coords(labels)
        return {caption: learning_curves(chosen, name, by=dim)}
    else:
        held = view.held(view.grid[:1])
    by = view.grid[0] if view.grid else None
    some = ds.isel({d: [k] for d, k in held.items()})
    caption = _by(f"{name} along its curve", by)
    caption = view.said(caption, view.grid[:1]) if held else caption
    return {caption: learning_curves(some, name, by=by)}


def _other(view, name):
    if len(view.grid) >= 2:
        x, y = _wide(view, view.grid[:2])
        caption = view.said(f"{name} over {x} and {y}", (x, y))
        return {caption: heat_map(view.at((x, y)), name, x, y)}
    if view.tables:
        dim = view.tables[0]
        caption = view.said(f"{name} against what varies along {dim}", [dim])
        return {caption: scatter_figure(view.at([dim]), name, dim)}
    if view.grid:
        along = view.grid[0]
        return {f"{name} along {along}": sensitivity_figure(view.small, name, along)}
    return {}


def _wide(view, dims):
    """The longest first: it goes along the page."""
    return sorted(dims, key=lambda d: -shape(view.small)[d])


def _pair(view, dim):
    """The two columns of a table that matter most."""
    names = arguments(view.small, dim)
    names.sort(key=lambda n: -view.effect.get(n, 0.0))
    return names[:2] if len(names) > 1 else None


def _by(text, by):
    return f"{text}, by {by}" if by else text
