"""The energy of one run and its terms over time."""

import numpy as np
from matplotlib.figure import Figure

from dynax.lyapunov import OUTSIDE, Ledger
from dynax.report._style import COLORS, bins, new_figure, nothing, pick


NAMES = {
    "dissipation_1": ("dissipation 1  (εaΔ₁)", "blue"),
    "dissipation_2": ("dissipation 2  (εbΔ₂)", "sky"),
    "bregman_conjugate": ("Bregman of κ*  (positions)", "green"),
    "bregman_momentum": ("Bregman of κ  (momenta)", "purple"),
    "dissipation": ("dissipation", "blue"),
    "work": ("dissipated work", "blue"),
    "residual": ("residual r", "orange"),
}
GAINS = ("residual",)
SPARE = ("vermilion", "yellow", "grey")


def energy_figure(ledger: Ledger, *, title: str = "", loss=None) -> Figure:
    """The energy, its terms added up over time, and the defect against its tolerance.

    In the second panel losses are stacked below zero and gains above it; the black
    line is H − H₀ itself. Shaded steps are in phase 1, outside the domain of κ*.

    Args:
        ledger: rows stacked along time, as from `dynax.iterate`.
        title: over the first panel.
        loss: f at the same rows, to be drawn beside H.
    """
    rows, keep = _used(ledger)
    equality = rows["checks"].get("balance", rows["checks"].get("identity"))
    panels = 3 if equality is not None else 2
    figure, grid = new_figure(
        panels,
        size=(7.6, 2.4 * panels + 0.4),
        heights=[2, 2.6, 1.6][:panels],
        sharex=True,
    )
    axes = grid[:, 0]
    if not len(rows["step"]):
        for ax in axes:
            nothing(ax, "no audited steps")
        return figure
    at = pick(len(rows["step"]))
    step = rows["step"][at]

    axes[0].plot(step, rows["energy"][at], color=COLORS["black"], label="H")
    if loss is not None:
        f = np.asarray(loss, float).ravel()[keep][at]
        axes[0].plot(step, f, color=COLORS["vermilion"], label="f", lw=1)
        axes[0].legend()
    axes[0].set(ylabel="energy H", title=title or "Energy")
    _stack(axes[1], rows, at)
    if equality is not None:
        _defect(axes[2], rows, equality)
    for ax in axes:
        _shade(ax, rows)
    axes[-1].set_xlabel("step")
    return figure


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
    at = pick(len(distance))
    step, seen = rows["step"][at], np.where(distance > 0, distance, np.nan)[at]
    ax.plot(step, seen, ".-", ms=3, color=COLORS["blue"], label="measured")
    bound = _bound(rows)
    if bound is not None:
        proved = np.where(bound > 0, bound, np.nan)[at]
        label = "proved bound, dist₀ ∏ 1/(1+ελ)"
        ax.plot(step, proved, "--", color=COLORS["vermilion"], label=label)
    ax.set_yscale("log", nonpositive="mask")
    floor = np.nanmin(seen)
    ax.set_ylim(bottom=max(floor / 3, 1e-18))
    if np.any(distance == 0):
        entered = int(rows["step"][np.argmax(distance == 0)])
        ax.axvline(entered, color=COLORS["green"], lw=1)
        label = f" inside from step {entered}"
        ax.text(entered, 0.9, label, transform=ax.get_xaxis_transform(), fontsize=8.5)
    ax.set(xlabel="step", ylabel="distance to the domain", title=title or "Phases")
    ax.legend(loc="lower left")
    return figure


def _used(ledger: Ledger):
    """The audited rows as NumPy arrays, and their indices."""
    steps = np.asarray(ledger.step).ravel()
    keep = np.flatnonzero(steps >= 0)

    def take(a):
        return np.asarray(a).ravel()[keep].astype(float)

    checks = {k: (take(c.margin), take(c.tolerance)) for k, c in ledger.checks.items()}
    rows = {
        "step": steps[keep],
        "energy": take(ledger.energy),
        "change": take(ledger.change),
        "defect": take(ledger.defect),
        "distance": take(ledger.distance),
        "outside": take(ledger.phase) == OUTSIDE,
        "terms": {k: take(v) for k, v in ledger.terms.items()},
        "checks": checks,
    }
    return rows, keep


def _stack(ax, rows, at):
    step = rows["step"][at]
    spare = iter(SPARE)
    below, above = np.zeros(len(at)), np.zeros(len(at))
    for name, term in rows["terms"].items():
        label, color = NAMES.get(name, (name, next(spare, "grey")))
        total = np.cumsum(np.nan_to_num(term, nan=0, posinf=0, neginf=0))[at]
        part = total if name in GAINS else -total
        fill = {"color": COLORS[color], "alpha": 0.75, "lw": 0}
        up, down = np.maximum(part, 0), np.minimum(part, 0)
        if np.any(up):
            ax.fill_between(step, above, above + up, **fill, label=label)
            label = None
        if np.any(down) or label:
            ax.fill_between(step, below, below + down, **fill, label=label)
        above, below = above + up, below + down
    finite = np.nan_to_num(rows["change"], nan=0, posinf=0, neginf=0)
    net = np.cumsum(finite)[at]
    ax.plot(step, net, color=COLORS["black"], lw=1.2, label="H − H₀")
    ax.axhline(0, color="#666666", lw=0.6)
    ax.set(ylabel="added up", title="Where the energy went (losses below, gains above)")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=1.2)


def _defect(ax, rows, equality):
    """Per bin the row that comes closest to its tolerance."""
    tolerance = equality[1]
    defect = -equality[0]
    ratio = np.nan_to_num(defect / np.where(tolerance > 0, tolerance, np.nan), nan=-1)
    edges = bins(len(defect))
    ends = np.append(edges[1:], len(defect))
    at = np.array([a + np.argmax(ratio[a:b]) for a, b in zip(edges, ends, strict=True)])
    step = rows["step"][at]
    shown = np.where(defect[at] > 0, defect[at], np.nan)
    ax.plot(step, shown, ".", ms=2.5, color=COLORS["blue"], label="|defect|")
    ax.plot(step, tolerance[at], color=COLORS["vermilion"], lw=1, label="tolerance")
    if np.any(np.isfinite(shown)) or np.any(tolerance[at] > 0):
        ax.set_yscale("log", nonpositive="mask")
    ax.set(ylabel="|defect|", title="What the balance does not account for")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), handlelength=1.2)


def _shade(ax, rows):
    step, outside = rows["step"], rows["outside"]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], outside, [0]])))
    spans = edges.reshape(-1, 2)
    if len(spans) > 60:  # too many to tell apart: one band over all of them
        spans = np.array([[spans[0, 0], spans[-1, 1]]])
    for first, last in spans:
        end = step[min(last, len(step) - 1)]
        ax.axvspan(step[first], end, color=COLORS["orange"], alpha=0.12, lw=0)
    bad = ~np.isfinite(rows["energy"] + rows["change"] + rows["defect"])
    if np.any(bad):
        ax.axvline(step[np.argmax(bad)], color=COLORS["vermilion"], ls=":", lw=1.2)
    if not ax.get_subplotspec().is_first_row():
        return
    place = {"transform": ax.get_xaxis_transform(), "fontsize": 8}
    if len(spans):
        ax.text(step[spans[0, 0]], 0.92, " phase 1: outside the domain", **place)
    if np.any(bad):
        begun = step[np.argmax(bad)]
        ax.text(begun, 0.8, f" not finite from step {begun:.0f}", **place)


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
