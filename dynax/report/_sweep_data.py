"""A sweep made small enough to draw: one number a point, medians, failures counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np


if TYPE_CHECKING:
    import xarray as xr


POINTS = 2**21  # loaded at most; of more, every k-th along the longest dimensions
HIGHER = "accuracy|score|reward|return|likelihood|elbo|auc|r2|f1|success"
LOWER = "loss|error|risk|regret|residual|violation|defect|cost|objective|distance"


def space(ds: xr.Dataset) -> tuple[str, ...]:
    """The dimensions of the space: those of `status`."""
    return tuple(map(str, ds["status"].dims))


def shape(ds: xr.Dataset) -> dict[str, int]:
    return {dim: ds.sizes[dim] for dim in space(ds)}


def arguments(ds: xr.Dataset, dim: str) -> list[str]:
    """What varies along a dimension: itself, or the columns of a table or search."""
    return [str(k) for k, c in ds.coords.items() if c.dims == (dim,)]


def listed(ds: xr.Dataset) -> list[str]:
    """The dimensions along which points are listed: a table, a sample, a search."""
    return [dim for dim in space(ds) if dim not in ds.coords and arguments(ds, dim)]


def replicates(ds: xr.Dataset) -> list[str]:
    """The dimensions that only repeat: seeds."""
    return [d for d in space(ds) if re.search("seed|replicate|repeat", d.lower())]


def outputs(ds: xr.Dataset) -> list[str]:
    """Real outputs of at most one axis of their own; what is wanted most comes first.

    That is the objective of a search, else what is called a loss or an error.
    """

    def real(name):
        a = ds[name]
        return a.dtype.kind in "biuf" and a.ndim <= ds["status"].ndim + 1 and a.size

    def order(name):
        if name == ds.attrs.get("objective"):
            return 0
        exact = name.lower() in ("loss", "objective")
        return 1 if exact else 2 if re.search("loss|error", name.lower()) else 3

    names = [str(k) for k in ds.data_vars if k != "status" and real(k)]
    return sorted(names, key=order)


def curve(ds: xr.Dataset, output: str) -> str | None:
    """The axis of an output that is a curve."""
    own = [str(d) for d in ds[output].dims if d not in space(ds)]
    return own[0] if own else None


def _entry(ds, own: str) -> str:
    """`at the last step`; an axis whose name the sweep made up is not named."""
    return f"at the last {own}" if own in ds.coords else "at the end"


def maximized(ds: xr.Dataset, output: str) -> bool | None:
    """Whether more is better: the objective of a search says so, else the name may."""
    if ds.attrs.get("objective") == output:
        return bool(ds.attrs.get("maximize"))
    higher, lower = (re.search(w, output.lower()) for w in (HIGHER, LOWER))
    return bool(higher) if higher or lower else None


def label(ds: xr.Dataset, name: str) -> str:
    units = ds[name].attrs.get("units") if name in ds.variables else None
    return f"{name} [{units}]" if units else name


def check(argument: str, name: str, accepted: Sequence[str]) -> None:
    """Refuse a name that is not one of those accepted."""
    if name not in accepted:
        have = ", ".join(accepted) or "none, as there is no such dimension or output"
        raise ValueError(f"{argument}: given {name!r}; accepted are {have}.")


def title(
    ds: xr.Dataset, output: str, what: str, rest: Sequence[str], entry: bool = True
) -> str:
    """`loss at the last step, median over seed`; `rest` of one point is not named."""
    rest = [d for d in rest if ds.sizes[d] > 1]
    own = curve(ds, output)
    last = _entry(ds, own) if own else ds[output].attrs.get("entry")
    text = f"{output} {last}" if last and entry else output
    over = " and ".join([", ".join(rest[:-1]), rest[-1]] if rest[1:] else rest)
    return f"{text}, {what} over {over}" if rest else text


def thinned(ds: xr.Dataset, most: int = POINTS, keep: Sequence[str] = ()) -> xr.Dataset:
    """At most about `most` points: every k-th along the longest dimensions."""
    sizes = shape(ds)
    steps = dict.fromkeys(sizes, 1)
    free = [d for d in sizes if d not in keep]
    while free and np.prod([-(-n // steps[d]) for d, n in sizes.items()]) > most:
        longest = max(free, key=lambda d: -(-sizes[d] // steps[d]))
        if sizes[longest] <= steps[longest]:
            break
        steps[longest] *= 2
    return ds.isel({d: slice(None, None, k) for d, k in steps.items() if k > 1})


def summary(ds: xr.Dataset) -> xr.Dataset:
    """In memory: `status`, and each output as one float a point.

    That is the last entry of a curve, and NaN where the point has no result.
    """
    import xarray as xr

    ds = thinned(ds)
    status = ds["status"].load()
    made: dict[str, Any] = {"status": status}
    for name in outputs(ds):
        own = curve(ds, name)
        a = ds[name] if own is None else ds[name].isel({own: -1}, drop=True)
        made[name] = a.astype(float).where(status == 0)
        last = {} if own is None else {"entry": _entry(ds, own)}
        made[name].attrs = {**ds[name].attrs, **last}
    return xr.Dataset(made, attrs=ds.attrs)


def values(ds: xr.Dataset, output: str) -> xr.DataArray:
    """One float a point, NaN where there is none."""
    return summary(ds[[output, "status"]])[output]


def point_said(ds: xr.Dataset, number: int) -> str:
    """The arguments of a point: `learning_rate = 1e-3, seed = 2`."""
    place = np.unravel_index(number, list(shape(ds).values()))
    given = {
        name: ds[name].values[k].item()
        for dim, k in zip(space(ds), place, strict=True)
        for name in arguments(ds, dim)
    }
    return ", ".join(f"{name} = {plain(value)}" for name, value in given.items())


def short(value: float) -> str:
    """0.0001 → 1e-4."""
    text = f"{value:.3g}"
    mantissa, e, exponent = text.partition("e")
    if not e and value and abs(value) < 1e-2:
        mantissa, e, exponent = f"{value:.2e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        if -int(exponent) == 3 and len(mantissa) > 1:
            return text
    return f"{mantissa}e{int(exponent)}" if e else text


def plain(value: Any) -> str:
    """A number, or a label, in a few characters."""
    return str(value) if isinstance(value, str | bool) else short(float(value))


class Spread(NamedTuple):
    """Over some dimensions: quantiles of the finished points, and counts of all."""

    low: xr.DataArray
    median: xr.DataArray
    high: xr.DataArray
    failed: xr.DataArray
    run: xr.DataArray

    @property
    def lost(self) -> xr.DataArray:
        """Where half of the points or more have failed: a median would flatter."""
        return (self.failed > 0) & (2 * self.failed >= self.run)

    @property
    def trusted(self) -> xr.DataArray:
        return self.median.where(~self.lost)


def spread(a: xr.DataArray, status: xr.DataArray, over: Sequence[str]) -> Spread:
    """Median and 10–90 % of `a` over dimensions, with what failed left out."""
    import xarray as xr

    over = [d for d in over if d in a.dims]
    kept = [d for d in a.dims if d not in over]
    coords = {k: c for k, c in a.coords.items() if set(c.dims) <= set(kept)}
    moved = a.transpose(*kept, *over)
    low, median, high = (
        xr.DataArray(q, coords, kept)
        for q in quantiles(moved.values.reshape(*moved.shape[: len(kept)], -1))
    )
    count = status.dims and [d for d in status.dims if d in over]
    failed, run = (status > 0).sum(count), (status >= 0).sum(count)
    return Spread(low, median, high, failed, run)


def quantiles(a: np.ndarray, at=(0.1, 0.5, 0.9)) -> list[np.ndarray]:
    """Along the last axis, of what is finite (NaN if nothing is)."""
    a = np.sort(np.where(np.isfinite(a), a, np.nan), axis=-1)  # NaN at the end
    count = np.isfinite(a).sum(axis=-1, keepdims=True)
    found = []
    for q in at:
        place = q * np.maximum(count - 1, 0)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        x, y = (np.take_along_axis(a, k, -1) for k in (below, above))
        found.append((x + (y - x) * (place - below))[..., 0])
    return found


def influence(ds: xr.Dataset, output: str) -> dict[str, float]:
    """argument → η², the share of the variance of the output's ranks it explains alone.

    A column of a table is cut into five bins of equally many points.
    """
    a = values(ds, output)
    ranks = np.full(a.shape, np.nan)
    there = np.isfinite(a.values)
    flat = a.values[there]
    ranks[there] = np.searchsorted(np.sort(flat), flat)
    whole = np.var(ranks[there]) if flat.size else 0.0
    found = {}
    for axis, dim in enumerate(space(ds)):
        rows = np.moveaxis(ranks, axis, 0).reshape(a.shape[axis], -1)
        for name in arguments(ds, dim):
            groups = _groups(ds[name].values, dim not in ds.coords)
            sums, counts = np.zeros(groups.max() + 1), np.zeros(groups.max() + 1)
            np.add.at(sums, groups, np.nansum(rows, axis=1))
            np.add.at(counts, groups, np.isfinite(rows).sum(axis=1))
            have = counts > 0
            if whole == 0 or have.sum() < 2:
                found[name] = 0.0
                continue
            means = sums[have] / counts[have]
            middle = np.average(means, weights=counts[have])
            between = np.average((means - middle) ** 2, weights=counts[have])
            found[name] = float(between / whole)
    return found


def _groups(given, column):
    if not column or given.dtype.kind not in "iuf":
        return np.unique(given, return_inverse=True)[1].ravel()
    order = np.argsort(np.argsort(given, kind="stable"), kind="stable")
    return order * min(5, len(given)) // len(given)


class Best(NamedTuple):
    """The best settings: where they are, and how all outputs came out there."""

    place: list[dict[str, int]]
    arguments: list[dict[str, Any]]
    medians: list[dict[str, float]]
    low: list[float]
    high: list[float]
    failed: list[int]
    run: list[int]


def best(ds: xr.Dataset, output: str, count: int, *, maximize: bool | None) -> Best:
    """The settings whose median over the seeds is best; lost ones do not count."""
    small = summary(ds)
    over = replicates(ds) if len(replicates(ds)) < len(space(ds)) else []
    spreads = {k: spread(small[k], small["status"], over) for k in outputs(ds)}
    main = spreads[output]
    score = main.trusted.values.ravel()
    order = np.argsort(-score if maximize else score, kind="stable")
    order = [k for k in order[:count] if np.isfinite(score[k])]
    at = [np.unravel_index(k, main.median.shape) for k in order]
    dims = [str(d) for d in main.median.dims]
    names = [(n, k) for k, dim in enumerate(dims) for n in arguments(ds, dim)]
    numbered = [(d, k) for k, d in enumerate(dims) if d in listed(ds)]
    given = [
        {d: int(place[k]) for d, k in numbered}
        | {n: small[n].values[place[k]].item() for n, k in names}
        for place in at
    ]
    return Best(
        [dict(zip(dims, map(int, p), strict=True)) for p in at],
        given,
        [
            {k: float(s.median.values[place]) for k, s in spreads.items()}
            for place in at
        ],
        [float(main.low.values[place]) for place in at],
        [float(main.high.values[place]) for place in at],
        [int(main.failed.values[place]) for place in at],
        [int(main.run.values[place]) for place in at],
    )


def sweep_best(
    ds: xr.Dataset,
    output: str | None = None,
    *,
    count: int = 10,
    maximize: bool | None = None,
) -> list[dict[str, Any]]:
    """The best settings, the best one first: name → value of arguments and outputs.

    Outputs are medians over the seeds; a curve counts by its last entry. A setting at
    which half of the points or more failed is left out.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not.
        output: the one that decides; by default a search's objective, a loss, an error.
        count: of settings, at most.
        maximize: whether more of it is better; by default as its name suggests.
    """
    check("output", output or outputs(ds)[0], outputs(ds))
    output = output or outputs(ds)[0]
    if maximize is None:
        maximize = bool(maximized(ds, output))
    found = best(ds, output, count, maximize=maximize)
    rows = zip(found.arguments, found.medians, strict=True)
    return [arguments | medians for arguments, medians in rows]
