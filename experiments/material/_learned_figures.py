"""Figures of `learned.py`."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynax.report import COLORS, legend_below, movie, new_figure
from experiments.material._scenes import DT, floats


LOOK = {
    "nclaw": ("blue", "o"),
    "icnn": ("green", "s"),
    "positions": ("sky", "D"),
    "supervised": ("orange", "^"),
    "family": ("purple", "v"),
    "zero stress": ("grey", "x"),
}


def figures(results) -> dict:
    out: dict[str, Any] = {
        "The loss over the epochs of training.": _learning(results),
        "The errors of free runs, on motions that were not seen too.": _unseen(results),
        "The stress of each law along a stretch and a shear.": _response(results),
    }
    for name in ("drop", "contact"):
        if name in results["motions"]["films"]:
            out[f"The {name} in motion, true and by the laws."] = _film(results, name)
    return out


def _learning(results):
    config = results.config
    figure, axes = new_figure(1, 1, size=(6.0, 3.4))
    ax = axes[0, 0]
    for name, all in results["runs"].items():
        for k, run in enumerate(all):
            loss = np.asarray(run["record"].loss)
            epochs = (1 + np.arange(loss.size)) * config.epochs / loss.size
            color = COLORS[LOOK[name][0]]
            ax.plot(epochs, loss, color=color, lw=1, label=None if k else name)
    for k in range(1, len(config.horizons)):
        edge = config.epochs * k // len(config.horizons)
        ax.axvline(edge, color=COLORS["grey"], lw=0.5)
    ax.set(xlabel="epochs", ylabel="loss", yscale="log")
    steps = ", ".join(map(str, config.horizons))
    ax.set_title(f"Segments of {steps} steps")
    legend_below(ax)
    return figure


def _unseen(results):
    errors = results["motions"]["errors"]
    figure, axes = new_figure(1, 1, size=(7.6, 3.8))
    ax, names = axes[0, 0], list(errors)
    models = [m for m in LOOK if m in errors["drop"]]
    for k, model in enumerate(models):
        color, mark = COLORS[LOOK[model][0]], LOOK[model][1]
        place = np.arange(len(names)) + 0.12 * (k - (len(models) - 1) / 2)
        low, middle, high = (
            np.array([f(errors[n][model]) for n in names])
            for f in (np.min, np.mean, np.max)
        )
        bars = [middle - low, high - middle]
        ax.errorbar(place, middle, bars, fmt=mark, color=color, ms=4, lw=1, label=model)
    ax.set_xticks(np.arange(len(names)), names, rotation=30, ha="right")
    ax.set(ylabel="MSE of places, m²", yscale="log")
    ax.set_title("The motion that was seen, and those that were not")
    figure.legend(loc="outside lower center", ncols=len(models))
    return figure


def _response(results):
    """τ along a stretch and a shear, after the plastic return."""
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    eye = jnp.eye(3, dtype=jnp.float32)
    s = jnp.linspace(-0.3, 0.15, 46, dtype=jnp.float32)
    paths = (
        ("stretch", "τ₁₁, kPa", (0, 0), lambda s: eye.at[0, 0].add(s)),
        ("shear", "τ₁₂, kPa", (0, 1), lambda s: eye.at[0, 1].add(s)),
    )
    laws = {n: all[0]["law"] for n, all in results["runs"].items()}

    def along(law, path):
        def one(s):
            F, alpha = law.update(path(s), law.init(eye), DT)
            return law.kirchhoff(F, alpha)

        return np.asarray(jax.vmap(one)(s)) / 1e3

    for ax, (title, label, at, path) in zip(axes[0], paths, strict=True):
        known = along(floats(results["truth"]), path)[:, *at]
        ax.plot(s, known, color=COLORS["black"], lw=4, alpha=0.3)
        for name, law in laws.items():
            ax.plot(s, along(law, path)[:, *at], color=COLORS[LOOK[name][0]], lw=1.2)
            ax.lines[-1].set_label(name)
        top = 1.3 * np.abs(known).max() + 1
        ax.set(xlabel=title, ylabel=label, ylim=(-top, top))
    axes[0, 0].set_title("Grey: the truth")
    legend_below(axes[0, 1])
    return figure


def _film(results, name):
    truth, found = results["motions"]["films"][name]
    shown = {"truth": truth} | {m: found[m] for m in ("nclaw", "icnn") if m in found}
    figure, axes = new_figure(1, len(shown), size=(3.0 * len(shown), 3.2))
    order = np.argsort(-truth[0, :, 2])
    dots = []
    for ax, (title, x) in zip(axes[0], shown.items(), strict=True):
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
        ax.set_xlabel("x, m")
        ax.grid(False)
        height = truth[0, order, 1]
        dots.append(ax.scatter(*x[0, order, :2].T, c=height, s=9, cmap="viridis"))
    axes[0, 0].set_ylabel("height, m")
    every = math.ceil(len(truth) / 50)

    def draw(k):
        for dot, x in zip(dots, shown.values(), strict=True):
            dot.set_offsets(x[k * every, order, :2])

    return movie(figure, draw, (len(truth) - 1) // every + 1)
