"""Figures of `viscoelastic_bar.py`."""

import numpy as np
from matplotlib.collections import PolyCollection

from dynax.report import COLORS, legend_below, movie, new_figure
from experiments.material._strip import (
    ALL,
    OMEGA,
    SEEN,
    SPAN,
    closed_form,
    speeds,
    step,
    strip,
    truth,
)


def shown(results) -> dict:
    runs = results["runs"]
    return {
        "truth": (
            results["data"]["true"],
            {"color": COLORS["black"], "lw": 3, "alpha": 0.3},
        ),
        "elastic": (runs["elastic", 0]["motion"], {"color": COLORS["orange"], "lw": 1}),
        "learned": (runs["learned", 0]["motion"], {"color": COLORS["blue"], "lw": 1.2}),
    }


def force_figure(results):
    figure, axes = new_figure(2, 4, size=(7.6, 4.2), sharex=True)
    t = results["data"]["t"]
    for k, (name, ax) in enumerate(zip(ALL, axes.flat, strict=False)):
        if k < SEEN:
            look = {"color": COLORS["grey"], "ms": 1.5, "label": "measured"}
            ax.plot(t[::4], results["data"]["seen"][k][::4] / 1e3, ".", **look)
        for label, ((force, *_), look) in shown(results).items():
            ax.plot(t, force[k] / 1e3, label=label, **look)
        ax.set_title(f"{name}\n{'shown' if k < SEEN else 'not shown'}", fontsize=9)
    figure.supylabel("force, kN", fontsize="medium")
    for ax in axes[1]:
        ax.set_xlabel("t, s")
    axes[1, 3].set_axis_off()
    axes[1, 3].legend(*axes[0, 0].get_legend_handles_labels(), loc="center")
    return figure


def loop_figure(results):
    figure, axes = new_figure(1, 3, size=(7.6, 2.8))
    dt = step(results.config.cells)
    for ax, name in zip(axes[0], ("slow cycle", "cycles", "fast cycles"), strict=True):
        k, u = ALL.index(name), np.cumsum(speeds(name, dt)) * dt
        for label, ((force, *_), look) in shown(results).items():
            ax.plot(u[:-1], force[k, 1:] / 1e3, label=label, **look)
        ax.set(xlabel="grip, m", title=name)
    figure.supylabel("force, kN", fontsize="medium")
    axes[0, 0].legend()
    return figure


def modulus_figure(results):
    figure, axes = new_figure(1, 2, size=(7.6, 3.0))
    exact = closed_form()
    for ax, name, text in zip(axes[0], "EG", ("seen", "not seen apart"), strict=True):
        for part, color, mark in (("real", "blue", "′"), ("imag", "vermilion", "″")):
            value = lambda a, part=part: getattr(a, part) / 1e3
            ax.plot(
                OMEGA,
                value(exact[name]),
                color=COLORS[color],
                lw=4,
                alpha=0.3,
                label=f"{name}{mark}, closed form",
            )
            for k, found in enumerate(results["moduli"].values()):
                label = None if k else f"{name}{mark}, learned"
                ax.plot(
                    OMEGA, value(found[name]), color=COLORS[color], lw=1, label=label
                )
        ax.set(xscale="log", xlabel="ω, 1/s", ylabel="kPa", ylim=(0, None))
        ax.set_title(f"{name}*, {text}")
        ax.legend(fontsize=7)
    return figure


def ledger_figure(results):
    rows = results["ledgers"]["learned"]
    t, work, supply = results["accounts"]
    energy = np.append(rows.energy, rows.energy[-1] + rows.change[-1])
    figure, axes = new_figure(1, 2, size=(7.6, 3.0))
    left, right = axes[0]
    colors = [COLORS["sky"], COLORS["orange"]]
    left.stackplot(t, energy, work, labels=["H, stored", "W, heat"], colors=colors)
    left.plot(t, supply, color=COLORS["black"], lw=1, label="S, supplied")
    left.set(xlabel="t, s", ylabel="J", title="Fast cycles of the learned law")
    left.legend()
    look = {"learned": "blue", "backwards": "vermilion", "without supply": "purple"}
    for name, color in look.items():
        check = results["ledgers"][name].checks["balance"]
        share = -np.asarray(check.margin) / np.asarray(check.tolerance)
        label = f"{name}, D {'< 0' if name == 'backwards' else '≥ 0'}"
        right.plot(t[1:], share + 1e-6, color=COLORS[color], lw=1, label=label)
    right.axhline(1, color=COLORS["grey"], ls=":")
    right.set(xlabel="t, s", ylabel="|H₊ − H + W − S| / allowed", yscale="log")
    right.set_title("Balance, row by row")
    legend_below(right, 1)
    return figure


def strip_movie(results):
    """Fast cycles of the truth and of two laws that learned it."""
    known = results["data"]
    k, every = ALL.index("fast cycles"), len(known["t"]) // 40
    elements = np.asarray(strip(truth(), results.config.cells).parts.elements)
    figure, axes = new_figure(4, 1, size=(6.4, 5.2), heights=[1, 1, 1, 2])
    looks, t = shown(results), known["t"]
    top = float(np.max(np.abs(known["true"][2][k]))) / 1e3
    patches, lines = {}, {}
    low = axes[3, 0]
    for ax, (name, (_, look)) in zip(axes[:3, 0], looks.items(), strict=True):
        patches[name] = PolyCollection([], cmap="coolwarm", ec="#555555", lw=0.5)
        patches[name].set_clim(-top, top)
        ax.add_collection(patches[name])
        ax.set(xlim=(-0.02, 1.25), ylim=(-0.05, 0.3), title=name, aspect="equal")
        ax.set_axis_off()
        (lines[name],) = low.plot([], [], label=name, **look)
    figure.colorbar(patches["truth"], ax=axes[:3, 0], label="P₁₁, kPa")
    force = np.stack([motion[0][k] for motion, _ in looks.values()]) / 1e3
    low.set(xlim=(0, SPAN), ylim=(1.3 * force.min(), 1.1 * force.max()))
    low.set(xlabel="t, s", ylabel="force, kN")
    low.legend(loc="upper left", ncols=3)

    def draw(frame):
        n = frame * every
        for name, ((force, x, stress), _) in looks.items():
            patches[name].set_verts(np.asarray(x[k, n])[elements])
            patches[name].set_array(np.asarray(stress[k, n]) / 1e3)
            lines[name].set_data(t[: n + 1], np.asarray(force[k, : n + 1]) / 1e3)

    return movie(figure, draw, 40)
