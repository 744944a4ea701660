"""Figures of the study of discovery: solutions, hidden terms, coefficients."""

import jax
import jax.numpy as jnp
import numpy as np

from dynax.report import COLORS, legend_below, new_figure
from experiments.pinn import _hidden_terms as hidden


def solutions(results):
    """Data, the solutions that made them, and those found with the terms."""
    first = results.config.noises[0], 0
    figure, axes = new_figure(1, 3, size=(10.5, 3.2))
    left, middle, right = axes[0]
    run = results["swing"][first]
    t = jnp.linspace(0, hidden.Duffing.horizon, 201)
    truth = hidden.runge_kutta(jnp.asarray(hidden.SWUNG), t)
    for k, (name, color) in enumerate((("q", "blue"), ("p", "vermilion"))):
        left.plot(t, truth[:, k], color=COLORS["black"], lw=3, alpha=0.25)
        left.plot(run["data"].t, run["data"].value[:, k], ".", color=COLORS[color])
        if "u" in run:
            found = jax.vmap(lambda t, k=k: run["u"](t, jnp.zeros(0))[k])(t)
            left.plot(t, found, color=COLORS[color], lw=1, label=name)
    left.set(xlabel="t", title="Swing: 25 times")
    legend_below(left)
    run = results["field"][first]
    for k, color in enumerate(("blue", "vermilion")):
        truth = results["references"]["fields"][k]
        profiles(middle, truth, run, k, COLORS[color], (0, 20, 40))
    middle.set(xlabel="x", title="Field, two states: t = 0, ½, 1")
    run = results["viscosity"][first]
    profiles(right, results["references"]["shock"], run, 0, COLORS["blue"], (0, 20, 40))
    right.set(xlabel="x", title="Burgers: t = 0, ½, 1")
    return figure


def profiles(ax, truth, run, k, color, rows):
    """The k-th field at some times, and all data about it."""
    x = truth.axes[0]
    value = np.asarray(run["data"].value[:, k])
    ax.plot(run["data"].x[:, 0], value, ".", color=color, ms=3)
    for row in rows:
        ax.plot(x, truth.u[row, :, 0], color=COLORS["black"], lw=3, alpha=0.25)
        if "u" in run:
            at = jnp.asarray(truth.t[row])
            found = jax.vmap(lambda x, at=at: run["u"](at, x[None])[k])(jnp.asarray(x))
            ax.plot(x, found, color=color, lw=1)


def hidden_terms(results):
    """h as the network has it, as its formula has it, and as it is."""
    config = results.config
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    for ax, name, of, rate in zip(
        axes[0], ("swing", "field"), ("q", "u"), (1.0, 2.0), strict=True
    ):
        every = [results[name][config.noises[0], seed] for seed in range(config.seeds)]
        z = np.linspace(every[0]["z"].min(), every[0]["z"].max(), 101)
        true = rate * (z - z**3)
        ax.plot(z, true, color=COLORS["black"], lw=3, alpha=0.25, label="true")
        for k, run in enumerate(every):
            label = "network, where the solution goes" if k == 0 else None
            ax.plot(run["z"], run["h"], ".", ms=1, color=COLORS["sky"], label=label)
        for k, run in enumerate(run for run in every if run["holds"]):
            powers = z[:, None] ** np.asarray(run["places"])
            label = "formula" if k == 0 else None
            ax.plot(z, powers @ run["values"], color=COLORS["blue"], lw=1, label=label)
        ax.set(xlabel=of, ylabel=f"h({of})", title=f"{name.capitalize()}")
    legend_below(axes[0, 0])
    return figure


def coefficients(results, truths):
    """What came over what is true, with two standard errors."""
    config = results.config
    figure, axes = new_figure(1, 1, size=(7.6, 3.4))
    ax = axes[0, 0]
    ax.axhspan(0.95, 1.05, color=COLORS["grey"], alpha=0.2, lw=0)
    ax.axhline(1, color=COLORS["black"], lw=0.8)
    below = ax.get_xaxis_transform()
    shown = ("swing", ("q", "−q³")), ("field", ("2u", "−2u³")), ("viscosity", ("ν",))
    ticks, place = [], 0.0
    colors = "blue", "orange", "vermilion", "green", "purple"
    for name, terms in shown:
        for k, what in enumerate(terms):
            for noise, color in zip(sorted(config.noises), colors, strict=False):
                for seed in range(config.seeds):
                    run = results[name][noise, seed]
                    if run["holds"] and run["off"] < 1:
                        truth = truths[name][k]
                        y, bar = run["values"][k] / truth, 2 * run["errors"][k]
                        bar = bar / abs(truth)
                        ax.errorbar(place, y, bar, fmt=".", color=COLORS[color], lw=0.8)
                    else:
                        ax.plot(place, 0.03, "x", color=COLORS[color], transform=below)
                    place += 1
            ticks.append((place - 0.5 - len(config.noises) * config.seeds / 2, what))
            place += 2
    for noise, color in zip(sorted(config.noises), colors, strict=False):
        ax.plot([], [], ".", color=COLORS[color], label=f"noise {noise:.1%}")
    ax.set_xticks([x for x, _ in ticks], [f"{name}" for _, name in ticks])
    ax.set(
        ylabel="found / true",
        title="Coefficients ± 2 standard errors; grey: ± 5 %; ×: none given",
    )
    legend_below(ax)
    return figure
