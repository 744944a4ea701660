"""The figure of the experiment on exponents."""

import numpy as np

from dynax.report import COLORS, legend_below, new_figure


def figures(results, known: float) -> dict:
    figure, axes = new_figure(1, 3, size=(9.6, 3.2))
    left, middle, right = axes[0]
    found = results["sizes"]
    for name, style in (("sign", "-"), ("smooth", ":")):
        curves = np.exp(np.asarray(found[name].growth))
        steps = 50 * np.arange(1, len(curves) + 1)
        for k, color in enumerate(("vermilion", "orange", "blue")):
            size = found[name].sizes[k]
            label = f"{name}, δ = {size:.0e}"
            left.plot(steps, curves[:, k], style, color=COLORS[color], label=label)
    left.set(xlabel="training step", ylabel="separation/δ", yscale="log")
    left.set_title("Lion: growth depends on size")
    legend_below(left, 2)
    names = {"starts": "16 starts", "blocks": "20 blocks"}
    for k, (name, color) in enumerate((("starts", "blue"), ("blocks", "vermilion"))):
        value, error = results["repeated"][name]
        order = np.argsort(value)[:: max(1, len(value) // 40)]
        at = np.arange(len(order)) + 60 * k
        middle.errorbar(
            at,
            value[order],
            2 * error[order],
            fmt=".",
            ms=3,
            lw=0.8,
            color=COLORS[color],
            label=f"{names[name]}, ± 2 errors",
        )
    middle.axhline(known, color=COLORS["grey"], lw=0.8, label="known")
    middle.set(xlabel="run, by its value", ylabel="λ₁ of Lorenz")
    middle.set_xticks([])
    middle.set_title("Bars of repeated runs")
    legend_below(middle, 1)
    field = results["transport"][0].T
    image = right.imshow(field, origin="lower", extent=(0, 2, 0, 1), cmap="viridis")
    figure.colorbar(image, ax=right, shrink=0.5, label="σ")
    right.grid(False)
    right.set(xlabel="x", ylabel="y")
    right.set_title("Double gyre, T = 20")
    caption = (
        "Growth of separations in training (left), error bars of an exponent against "
        "its known value (middle), and a finite-time exponent (right)."
    )
    return {caption: figure}
