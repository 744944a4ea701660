"""The energy of one run and its terms over time."""

import numpy as np
from matplotlib.figure import Figure

from dynax.lyapunov import Ledger
from dynax.report._style import (
    COLORS,
    bins,
    legend_beside,
    new_figure,
    nothing,
    pick,
    styled,
)


NAMES = {
    "dissipation_1": ("dissipation 1  (εaΔ₁)", "blue"),
    "dissipation_2": ("dissipation 2  (εbΔ₂)", "sky"),
    "bregman_conjugate": ("Bregman of κ*  (positions)", "green"),
    "bregman_momentum": ("Bregman of κ  (momenta)", "purple"),
    "dissipation": ("dissipation", "blue"),
    "work": ("dissipated work", "blue"),
    "residual": ("residual r", "orange"),
    "rounding": ("rounding of x₊, m₊", "yellow"),
}
GAINS = ("residual", "rounding")
SPARE = ("vermilion", "yellow", "grey")


@styled
def energy_figure(ledger: Ledger, *, title: str = "", loss=None) -> Figure:
    """Where the energy went, in up to four panels over the same steps.

    H itself; its terms added up from the start, losses stacked below zero and gains
    above, with the sum of H₊ − H as a line; what each step consists of, as shares of
    Σ|terms|; and the defect of the balance against the smallest that could be seen.
    Shaded steps are in phase 1, outside the domain of H.

    Args:
        ledger: rows stacked along time, as from `dynax.iterate`.
        title: over the first panel.
        loss: f at the same rows, to be drawn beside H.
    """
    rows, keep = _used(ledger)
    equality = rows["checks"].get("balance", rows["checks"].get("identity"))
    heights = [1.9]
    if rows["terms"]:
        heights += [2.4, 1.9]
    if equality is not None:
        heights += [1.6]
    size = (7.6, 0.6 + sum(heights))
    figure, grid = new_figure(len(heights), size=size, heights=heights, sharex=True)
    axes = list(grid[:, 0])
    if not len(rows["step"]):
        for ax in axes:
            nothing(ax, "no audited steps")
        return figure
    last = axes[-1]
    _energy(axes.pop(0), rows, title, None if loss is None else (loss, keep))
    if rows["terms"]:
        _stack(axes.pop(0), rows)
        _shares(axes.pop(0), rows)
    if equality is not None:
        _defect(axes.pop(0), rows, equality)
    last.set_xlabel("step")
    begin, end = rows["step"][[0, -1]]
    if _early(rows):
        last.set_xscale("symlog", linthresh=10, linscale=0.5)
    last.set_xlim(begin, max(end, begin + 1))
    return figure


@styled
def phase_figure(ledger: Ledger, *, title: str = "") -> Figure:
    """The distance to the domain over time, beside the contraction that was proved.

    The bound is compounded from the first row on: each step's proved
    dist₊ ≤ dist/(1 + ελ) is read off the ledger's contraction check (every step has to
    be in it; of a thinned ledger only the distance is drawn).
    """
    rows, _ = _used(ledger)
    figure, grid = new_figure(1, 1, size=(7.6, 2.8))
    ax = grid[0, 0]
    distance = rows["distance"]
    if not np.any(distance > 0):
        nothing(ax, "never outside: every audited step lies in the domain of κ*")
        return figure
    last = np.flatnonzero(distance > 0)[-1]
    at = pick(min(last + 2, len(distance)))
    step, seen = rows["step"][at], np.where(distance > 0, distance, np.nan)[at]
    ax.plot(step, seen, ".-", ms=3, color=COLORS["blue"], label="measured")
    floor = np.nanmin(seen)
    bound = _bound(rows)
    if bound is not None:
        proved = np.where(bound > 0, bound, np.nan)[at]
        label = "proved bound, dist₀ ∏ 1/(1+ελ)"
        ax.plot(step, proved, "--", color=COLORS["vermilion"], label=label)
        slack = rows["checks"]["contraction"][1][at]
        if np.nanmax(slack, initial=0) > floor / 10:
            label = "round-off of a step, allowed for"
            ax.plot(step, slack, ":", color=COLORS["grey"], label=label)
    ax.set_yscale("log", nonpositive="mask")
    ax.set_ylim(bottom=max(floor / 3, 1e-18))
    if np.any(distance == 0):
        entered = int(rows["step"][np.argmax(distance == 0)])
        ax.axvline(entered, color=COLORS["green"], label=f"inside from step {entered}")
    ax.set(xlabel="step", ylabel="distance to the domain", title=title or "Phases")
    legend_beside(ax)
    return figure


def _early(rows) -> bool:
    """Whether nine tenths of what H does is over after a twentieth of the steps."""
    moved = np.cumsum(np.abs(_finite(rows["change"])))
    twentieth = moved[len(moved) // 20]
    return bool(len(moved) > 200 and twentieth > 0.9 * moved[-1] > 0)


def _at(rows) -> np.ndarray:
    """The rows to draw: evenly spread along the axis as it is shown."""
    n = len(rows["step"])
    if not _early(rows):
        return pick(n)
    return np.unique([*range(200), *np.geomspace(200, n - 1, 200).round().astype(int)])


def _used(ledger: Ledger):
    """The audited rows as NumPy arrays, and their indices."""
    steps = np.asarray(ledger.step).ravel()
    keep = np.flatnonzero(steps >= 0)

    def take(a):
        return np.asarray(a).ravel()[keep].astype(float)

    def visible(check):  # the smallest defect that the check can see
        within = take(check.tolerance)  # none of these is seen, whatever their size
        if check.resolution is None:
            return within
        return np.maximum(within, take(check.resolution) * take(ledger.scale))

    checks = {
        k: (take(c.margin), take(c.tolerance), visible(c))
        for k, c in ledger.checks.items()
    }
    nought, outer = np.zeros(len(keep)), {"distance", "outside"} <= ledger.facts.keys()
    rows = {
        "step": steps[keep],
        "energy": take(ledger.energy),
        "change": take(ledger.change),
        "defect": nought if ledger.defect is None else take(ledger.defect),
        "distance": take(ledger.facts["distance"]) if outer else nought,
        "outside": take(ledger.facts["outside"]) > 0 if outer else nought > 0,
        "terms": {k: take(v) for k, v in ledger.terms.items()},
        "checks": checks,
    }
    return rows, keep


def _energy(ax, rows, title, loss):
    at = _at(rows)
    step = rows["step"][at]
    ax.plot(step, rows["energy"][at], color=COLORS["black"], label="H")
    if loss is not None:
        f = np.asarray(loss[0], float).ravel()[loss[1]][at]
        ax.plot(step, f, color=COLORS["vermilion"], label="f", lw=1)
    ax.set(ylabel="energy", title=title or "Energy")
    _shade(ax, rows, "phase 1: outside")
    bad = ~np.isfinite(rows["energy"] + rows["change"] + rows["defect"])
    if np.any(bad):
        begun = rows["step"][np.argmax(bad)]
        look = {"color": COLORS["vermilion"], "ls": ":"}
        ax.axvline(begun, **look, label=f"not finite from step {begun:.0f}")
    legend_beside(ax)


def _stack(ax, rows):
    at = _at(rows)
    step = rows["step"][at]
    totals = {k: np.cumsum(v)[at] for k, v in rows["terms"].items()}
    _areas(ax, step, totals)
    net = np.cumsum(rows["change"])[at]
    ax.plot(step, net, color=COLORS["black"], lw=1.2, label="Σ (H₊ − H)")
    ax.set(
        ylabel="sum since the start",
        title="Where the energy went: losses below 0, gains above",
    )
    _shade(ax, rows)
    legend_beside(ax)


def _shares(ax, rows):
    edges = bins(len(rows["step"]), 160)
    if _early(rows):
        edges = _at(rows)
    sums = {k: np.add.reduceat(_finite(v), edges) for k, v in rows["terms"].items()}
    whole = sum(np.abs(v) for v in sums.values())
    shares = {k: v / np.where(whole > 0, whole, 1) for k, v in sums.items()}
    _areas(ax, rows["step"][edges], shares, step="post")
    look = {"ylabel": "share of Σ|terms|", "ylim": (-1.02, 1.02)}
    ax.set(title="The same, step by step", **look)
    _shade(ax, rows)


def _areas(ax, x, terms, **kwargs):
    spare = iter(SPARE)
    below, above = np.zeros(len(x)), np.zeros(len(x))
    for name, term in terms.items():
        label, color = NAMES.get(name, (name, next(spare, "grey")))
        part = term if name in GAINS else -term
        fill = {"color": COLORS[color], "alpha": 0.85, "lw": 0, **kwargs}
        up, down = np.maximum(part, 0), np.minimum(part, 0)
        if np.any(down):
            ax.fill_between(x, below, below + down, **fill, label=label)
            label = None
        if np.any(up) or label:
            ax.fill_between(x, above, above + up, **fill, label=label)
        above, below = above + up, below + down
    ax.axhline(0, color="#666666", lw=0.6)


def _defect(ax, rows, equality):
    """Per bin the row that comes closest to its tolerance."""
    above, tolerance = equality[0] + equality[1], equality[2]
    # what is violated is drawn beyond the line
    defect = np.where(above < 0, tolerance - above, np.abs(rows["defect"]))
    ratio = np.nan_to_num(defect / np.where(tolerance > 0, tolerance, np.nan), nan=-1)
    edges = _at(rows) if _early(rows) else bins(len(defect))
    ends = np.append(edges[1:], len(defect))
    at = np.array([a + np.argmax(ratio[a:b]) for a, b in zip(edges, ends, strict=True)])
    step = rows["step"][at]
    shown = np.where(defect[at] > 0, defect[at], np.nan)
    ax.plot(step, shown, ".", ms=2.5, color=COLORS["blue"], label="|defect|")
    look = {"color": COLORS["vermilion"], "lw": 1, "label": "smallest visible"}
    ax.plot(step, tolerance[at], **look)
    if np.any(defect[at] > 0) or np.any(tolerance[at] > 0):
        ax.set_yscale("log", nonpositive="mask")
    ax.set(ylabel="|defect|", title="What the balance does not account for")
    _shade(ax, rows)
    legend_beside(ax)


def _shade(ax, rows, label=None):
    step, outside = rows["step"], rows["outside"]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], outside, [0]])))
    spans = edges.reshape(-1, 2)
    if len(spans) > 60:  # too many to tell apart: one band over all of them
        spans = np.array([[spans[0, 0], spans[-1, 1]]])
    for first, after in spans:
        end = step[min(after, len(step) - 1)]
        look = {"color": COLORS["orange"], "alpha": 0.15, "lw": 0, "zorder": 3}
        ax.axvspan(step[first], end, **look, label=label)
        label = None


def _finite(a):
    return np.nan_to_num(a, nan=0, posinf=0, neginf=0)


def _bound(rows):
    check = rows["checks"].get("contraction")
    distance = rows["distance"]
    if check is None or len(distance) < 2 or np.any(np.diff(rows["step"]) != 1):
        return None
    before, after = distance[:-1], distance[1:]
    proved = check[0][:-1] + after
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(before > 0, proved / before, np.nan)
    inside = np.flatnonzero(~np.isfinite(factor))
    stop = inside[0] if len(inside) else len(factor)
    bound = np.full(len(distance), np.nan)
    bound[: stop + 1] = distance[0] * np.concatenate([[1], np.cumprod(factor[:stop])])
    return bound
