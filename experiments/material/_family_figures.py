"""The figure of `family_of_laws.py`."""

import jax
import jax.numpy as jnp
import numpy as np

from dynax.report import COLORS, legend_below, new_figure


def figures(results, inside) -> dict:
    """Shear stress of each law that is `inside` the family, and changes of ψ."""
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    shear = jnp.linspace(0.0, 0.1, 41)

    def along(law):
        def one(s):
            F, alpha = jnp.eye(3).at[0, 1].set(s), law.init(jnp.eye(3))
            F, alpha = law.update(F, alpha, 1e-3)
            return law.kirchhoff(F, alpha)[0, 1]

        return np.asarray(jax.vmap(one)(shear)) / 1e3

    for (name, law), color in zip(
        inside.items(), ("blue", "vermilion", "green"), strict=True
    ):
        left.plot(shear, along(law), color=COLORS["grey"], lw=5, alpha=0.4)
        mine = along(results["learned"][name].law)
        left.plot(shear, mine, color=COLORS[color], label=name)
    left.set(xlabel="shear γ", ylabel="shear stress τ₁₂, kPa")
    left.set_title("Learned (lines) and true (grey)")
    shown = (("the family", "blue", "updates"),)
    shown += (("convex in σ: no theorem", "vermilion", "updates of stretches"),)
    for name, color, part in shown:
        change = np.sort(np.ravel(results[part]))[::-1][:1000]
        right.plot(1 + np.arange(change.size), change, color=COLORS[color], label=name)
    right.axhline(0, color=COLORS["grey"], lw=0.8)
    right.set(xlabel="rank", xscale="log", ylabel="change of ψ in an update, of ψ")
    right.set_title("The 1,000 largest changes of ψ")
    for ax in (left, right):
        legend_below(ax, 1)
    caption = (
        "Laws learned from one motion (left), and by how much the return changes ψ for "
        "laws with random weights (right)."
    )
    return {caption: figure}
