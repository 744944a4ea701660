"""Compare sets of runs over seeds: intervals, corrected tests, seeds still needed."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np


Method = Literal["t", "bootstrap"]


class Interval(NamedTuple):
    """A mean over seeds, and an interval for the true one."""

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}], {self.seeds} seeds"


def interval(values, level: float = 0.95, method: Method = "t") -> Interval:
    """Estimate a mean and its interval from independent runs.

        "t"          x̄ ± t_{n−1}·s/√n, exact for Gaussian values
        "bootstrap"  bias-corrected and accelerated, for skewed values and n ≥ 10 or so

    Args:
        values: one number a seed.
        level: the chance that the interval holds the true mean.
        method: see above.

    Raises:
        ValueError: for fewer than two values, or one that is not finite.
    """
    from scipy import stats

    _check_level(level)
    x = np.asarray(values, float).ravel()
    if x.size < 2 or not np.all(np.isfinite(x)):
        raise ValueError(
            f"values: given {_few(x)}; accepted are at least two finite numbers."
        )
    mean = float(x.mean())
    if np.ptp(x) == 0:
        return Interval(mean, mean, mean, x.size)
    if method == "t":
        low, high = stats.t.interval(level, x.size - 1, mean, stats.sem(x))
    elif method == "bootstrap":
        found = stats.bootstrap(
            (x,), np.mean, confidence_level=level, rng=np.random.default_rng(0)
        )
        low, high = found.confidence_interval
    else:
        raise ValueError(f"method: given {method!r}; accepted is 't' or 'bootstrap'.")
    return Interval(mean, float(low), float(high), x.size)


def compare(a, b, *, along: str = "seed", level: float = 0.95) -> Any:
    """Compare the same points of two sets of runs, seed by seed where seeds agree.

    d = a − b at each point. Where both have the same seeds along `along` the test is
    paired, else Welch's. Over the points, p-values are corrected by Holm's method: the
    chance of *any* false decision is at most 1 − level.

    Args:
        a, b: `xarray.DataArray`s of one output, as `open_sweep(path)["loss"]`. They are
            compared at the coordinates that they share. An axis of one value, which
            the other lacks or has at another value, is left out.
        along: the dimension of independent repeats.
        level: 1 − the chance of a false decision.

    Returns:
        An `xarray.Dataset` over the other dimensions: `mean` of d with `low` and `high`
        (of that point alone), `p`, corrected `p_holm`, `decided` (−1: a is lower, +1:
        a is higher, 0: undecided), the number of `seeds` used, and `more`: about how
        many more would decide a difference of this size with a chance of 0.8 (NaN
        where none of this size would be seen, or where it is decided).

        Where a run failed (NaN) in one set but not in the other, those that are left
        are a biased sample: the point is undecided and `lost` counts the runs.

    Raises:
        ValueError: no point in common, or no dimension of that name.
    """
    import xarray as xr

    _check_level(level)
    for name, array in (("a", a), ("b", b)):
        if along not in array.dims:
            raise ValueError(
                f"along: given {along!r}; accepted is one of {', '.join(array.dims)}, "
                f"the dimensions of {name}."
            )
    a, b = _alone(a, b), _alone(b, a)
    paired = along in a.coords and along in b.coords and bool(a[along].equals(b[along]))
    keep = [along] if not paired else []
    a, b = xr.align(a, b, join="inner", exclude=keep)
    over = [d for d in a.dims if d != along]
    if set(over) != {d for d in b.dims if d != along}:
        raise ValueError(
            f"b: given dimensions {', '.join(b.dims)}; accepted are those of a, "
            f"{', '.join(a.dims)}."
        )
    if not all(a.sizes[d] for d in over):
        raise ValueError("b: given no point that a has too; accepted is at least one.")
    b = b.transpose(*over, along)
    a = a.transpose(*over, along)
    shape = tuple(a.sizes[d] for d in over)
    rows_a, rows_b = (np.asarray(v, float).reshape(-1, v.sizes[along]) for v in (a, b))
    pairs = zip(rows_a, rows_b, strict=True)
    test = _paired if paired else _unpaired
    rows = [test(x, y, level) for x, y in pairs]
    found = {k: np.array([row[k] for row in rows]) for k in rows[0]}
    found["p_holm"] = holm(found["p"])
    sure = (found["p_holm"] <= 1 - level) & (found["lost"] == 0)
    found["decided"] = np.where(sure, np.sign(found["mean"]), 0).astype(int)
    found["more"] = np.where(sure, np.nan, found["more"])
    coords = {k: v for k, v in a.coords.items() if along not in v.dims}
    data = {k: (over, v.reshape(shape)) for k, v in found.items()}
    return xr.Dataset(data, coords, {"paired": int(paired), "level": level})


def holm(p) -> np.ndarray:
    """Correct p-values for being many (Holm, 1979): their family-wise error.

    NaN is left out, and stays NaN.
    """
    p = np.asarray(p, float)
    out, known = np.full(p.shape, np.nan), np.isfinite(p)
    given = p[known]
    order = np.argsort(given)
    steps = np.arange(given.size, 0, -1) * given[order]
    raised = np.minimum(np.maximum.accumulate(steps), 1)
    back = np.empty_like(raised)
    back[order] = raised
    out[known] = back
    return out


def below(values, target: float, margin: float) -> bool:
    """Say whether runs reach a target by the rule of the NanoGPT speed runs.

    (target − mean)·√n ≥ margin over n seeds, all of them finite. With noise of standard
    deviation s it is a z-test at margin/s; a margin of 0.004 was set for s = 0.0013.
    """
    x = np.asarray(values, float).ravel()
    if not x.size or not margin > 0:
        raise ValueError(
            f"margin: given {margin} with {x.size} values; accepted is a number > 0 "
            "with at least one value."
        )
    return bool((target - x.mean()) * math.sqrt(x.size) >= margin)


def _paired(x, y, level) -> dict:
    both = np.isfinite(x) & np.isfinite(y)
    d, n = (x - y)[both], int(both.sum())
    lost = int(np.sum(np.isfinite(x) != np.isfinite(y)))
    if n < 2:
        return _row(d.mean() if n else np.nan, np.nan, np.nan, n, lost, level)
    return _row(d.mean(), d.std(ddof=1) / math.sqrt(n), n - 1, n, lost, level)


def _unpaired(x, y, level) -> dict:
    lost = int(np.sum(~np.isfinite(x)) + np.sum(~np.isfinite(y)))
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    n = min(x.size, y.size)
    if n < 2:
        return _row(np.nan, np.nan, np.nan, n, lost, level)
    gap = x.mean() - y.mean()
    va, vb = x.var(ddof=1) / x.size, y.var(ddof=1) / y.size
    if va + vb == 0:
        return _row(gap, 0.0, 1, n, lost, level)
    df = (va + vb) ** 2 / (va**2 / (x.size - 1) + vb**2 / (y.size - 1))
    return _row(gap, math.sqrt(va + vb), df, n, lost, level)


def _row(mean, error, df, n, lost, level) -> dict:
    """One point, `error` the standard error of its mean difference."""
    from scipy import stats

    half = stats.t.ppf((1 + level) / 2, df) * error if np.isfinite(error) else np.nan
    p = more = np.nan
    if error == 0:  # the same at every seed
        p = float(mean == 0)
    elif np.isfinite(error):
        p = float(2 * stats.t.sf(abs(mean) / error, df))
    if np.isfinite(error) and mean != 0:
        # n with a power of 0.8: (z_{1−α/2} + z_{0.8})² s²/d², s² = n·error²
        z = stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(0.8)
        needed = n * (z * error / mean) ** 2
        more = max(math.ceil(needed) - n, 1.0)
    return {
        "mean": float(mean),
        "low": float(mean - half),
        "high": float(mean + half),
        "p": p,
        "seeds": n,
        "lost": lost,
        "more": more,
    }


def _alone(a, b):
    """`a` without its axes of one value that `b` lacks, or has at another value."""

    def apart(d):
        lacking = d not in b.dims
        return lacking or (b.sizes[d] == 1 and not a.coords[d].equals(b.coords[d]))

    single = [d for d in a.dims if a.sizes[d] == 1 and apart(d)]
    return a.squeeze(single, drop=True)


def _check_level(level) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level: given {level}; accepted is 0 < level < 1.")


def _few(x) -> str:
    shown = ", ".join(f"{v:g}" for v in x[:4])
    return f"[{shown}{', …' if x.size > 4 else ''}]"
