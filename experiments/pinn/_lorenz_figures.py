"""Figures of the study of Lorenz: one window, its front, the diagram, the march."""

import numpy as np

from dynax.report import COLORS, legend_below, movie, new_figure
from experiments.pinn import _study


def one_window(results):
    truth = results["truth"]
    figure, axes = new_figure(1, 3, size=(10.5, 3.2))
    left, middle, right = axes[0]
    left.plot(truth.t, truth.u[:, 0], color=COLORS["black"], lw=3, alpha=0.3)
    for name, color in (("causal", "blue"), ("uniform", "vermilion")):
        first = results[name][0]["u"][:, 0]
        left.plot(truth.t, first, color=COLORS[color], label=name, lw=1)
        for run in results[name]:
            middle.plot(run["records"].chunks.mean(1), color=COLORS[color], lw=0.8)
    left.set(xlabel="t", ylabel="x(t)")
    left.set_title("Window Δt = 1; grey: the solution")
    legend_below(left)
    middle.set(xlabel="cycle", ylabel="mean squared residual", yscale="log")
    middle.set_title("The wrong one's is small at first")
    _study.weights(figure, right, results["causal"][0]["records"], "cycle")
    return figure


def front(results):
    """A frame for each of at most 50 cycles, more of the first ones, in which the front
    moves: w, and the residual by chunks of time."""
    causal, uniform = (results[k][0]["records"] for k in ("causal", "uniform"))
    ran = np.flatnonzero(causal.cycle >= 0)
    chosen = np.linspace(0, 1, 50) ** 1.6 * (len(ran) - 1)
    cycles = np.unique(chosen.round().astype(int))
    t = (np.arange(causal.chunks.shape[1]) + 0.5) / causal.chunks.shape[1]
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    left.set(xlabel="t", ylabel="w(t)", xlim=(0, 1), ylim=(-0.02, 1.05))
    residuals = np.concatenate([causal.chunks[ran], uniform.chunks])
    ends = np.nanmin(residuals) / 2, np.nanmax(residuals) * 2
    right.set(xlabel="t", ylabel="mean squared residual", xlim=(0, 1), ylim=ends)
    right.set(yscale="log", title="Residual by chunks of time")
    fill = left.fill_between(t, 0 * t, color=COLORS["blue"], alpha=0.25, lw=0)
    (weights,) = left.plot(t, 0 * t, color=COLORS["blue"])
    (ours,) = right.plot(
        t, causal.chunks[0], color=COLORS["blue"], label="with causal weights"
    )
    look = {"color": COLORS["vermilion"], "lw": 0.9}
    (plain,) = right.plot(t, uniform.chunks[0], label="without: wrong", **look)
    figure.legend(loc="outside lower center", ncols=2)

    def draw(frame):
        k = cycles[frame]
        w = np.exp(causal.log_weights[k])
        weights.set_ydata(w)
        fill.set_data(t, 0 * t, w)
        ours.set_ydata(causal.chunks[k])
        plain.set_ydata(uniform.chunks[min(k, len(uniform.cycle) - 1)])
        left.set_title(f"Weights, cycle {k}, ε = {causal.causality[k]:g}")

    return movie(figure, draw, len(cycles))


def phase(results, solved):
    """The median error over seeds, and how many of them are solved."""
    config, error = results.config, results["phases"]["error"]
    figure, axes = new_figure(size=(7.6, 3.8))
    ax = axes[0, 0]
    shown = np.log10(np.median(error, 2)).T
    look = {"vmin": -6, "vmax": 0, "cmap": "viridis"}
    image = ax.imshow(shown, origin="lower", aspect="auto", **look)
    ax.grid(False)
    for (j, k), value in np.ndenumerate(shown):
        text = f"{np.sum(error[k, j] <= solved)}/{config.repeats}"
        color = "white" if value < -2.5 else "black"
        ax.text(k, j, text, ha="center", va="center", color=color)
    ax.set_xticks(range(len(config.lengths)), [f"{v:g}" for v in config.lengths])
    levels = [f"{v:g}" for v in config.causalities]
    ax.set_yticks(range(len(levels)), levels)
    ax.set(xlabel="length of the window, Δt", ylabel="last ε (0: no causal weights)")
    ax.set_title(f"Seeds with an error ≤ {solved:g}; colour: the median error")
    figure.colorbar(image, ax=ax, label="log₁₀ relative L2 error", extend="both")
    return figure


def march(results):
    found = results["march"]
    figure, axes = new_figure(2, 1, size=(7.6, 4.6), sharex=True)
    top, bottom = axes[:, 0]
    top.plot(found["t"], found["truth"].u[:, 0], color=COLORS["black"], lw=3, alpha=0.3)
    top.plot(found["t"], found["u"][:, 0], color=COLORS["blue"], lw=1)
    top.set(ylabel="x(t)")
    top.set_title("Marched; grey: the solution")
    later = slice(1, None)  # at t = 0 there is none
    for k, name in enumerate("xyz"):
        error = found["error"][later, k] + 1e-16
        bottom.plot(found["t"][later], error, label=name, lw=0.9)
    bottom.set(xlabel="t", ylabel="|error|", yscale="log")
    bottom.set_title("Grows as the Lyapunov exponent 0.906 says (dashed)")
    grown = found["error"][1:50].max() * np.exp(0.906 * found["t"])
    bottom.plot(found["t"], grown, color=COLORS["grey"], lw=1, ls="--")
    legend_below(bottom)
    return figure
