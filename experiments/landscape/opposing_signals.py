"""Two small groups of outliers with one large feature ±A pull its weight in opposite
directions. As the network learns everything else it sharpens along that feature, to
2pA²‖w‖²; at the edge of stability the feature's coefficient oscillates, and what one
group's loss gains the other's loses, step by step, until the network is flat enough.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.landscape import opposing, sharpness
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


WIDTH, DIMENSION = 20, 10
SMALL, EDGE = 0.02, 0.15  # learning rates: 2/η far above, and below what is reached


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 4
    steps: int = 400
    size: float = 20.0
    offset: float = 2.0


SIZES = {
    "quick": Config(),
    "long": Config(seeds=32, steps=2000),
    "full": Config(seeds=256, steps=10_000),
}
SPACE = {
    "lr": np.array([0.02, 0.05, 0.1, 0.12, 0.15]),
    "size": np.array([0.0, 10.0, 20.0]),
    "offset": np.array([0.0, 2.0]),
    "seed": np.arange(6),
}
DIMS = {
    "groups": ["step", "group"],
    **dict.fromkeys(("loss", "curvature", "sharpness"), ["step"]),
    **dict.fromkeys(("alignment", "coefficient"), ["step"]),
}


def run(lr, size, offset, seed, steps=600) -> dict:
    """Gradient descent; sharpness and the groups' losses before every step."""
    kd, kw = jax.random.split(jax.random.key(seed))
    data = opposing.Data.sample(kd, dimension=DIMENSION, size=size, offset=offset)
    start = opposing.begin(kw, DIMENSION, WIDTH, 0.1)
    f = lambda weights: opposing.loss(weights, data)

    def step(weights, _):
        ritz = sharpness(f, weights, jax.random.key(0), matvecs=12)
        seen = {
            "loss": f(weights),
            "groups": opposing.group_losses(weights, data),
            "curvature": opposing.feature_curvature(weights, data),
            "sharpness": ritz.value,
            "alignment": jnp.sum(ritz.vector.v[:, 0] ** 2),
            "coefficient": weights.w @ weights.v[:, 0],
        }
        move = lambda p, g: p - lr * g
        return jax.tree.map(move, weights, jax.grad(f)(weights)), seen

    return jax.lax.scan(step, start, length=steps)[1]


def cases(results) -> dict:
    config = results.config
    given = {
        "small rate": (SMALL, config.size, config.offset),
        "edge": (EDGE, config.size, config.offset),
        "no offset": (EDGE, config.size, 0.0),
        "no outliers": (SMALL, 0.0, config.offset),
    }
    one = functools.partial(run, steps=config.steps)
    go = jax.jit(jax.vmap(jax.vmap(one, (None, None, None, 0)), (0, 0, 0, None)))
    points = [jnp.asarray(column) for column in zip(*given.values(), strict=True)]
    out = jax.device_get(go(*points, jnp.arange(config.seeds)))
    return {name: {key: a[k] for key, a in out.items()} for k, name in enumerate(given)}


PARTS = {"cases": cases}


def opposition(case) -> np.ndarray:
    """For each seed the correlation of the two groups' changes of loss, from the step
    on which the sharpness crosses 2/η."""
    out = []
    for s, groups in zip(case["sharpness"], case["groups"], strict=True):
        begin = int(np.argmax(s > 2 / EDGE))
        change = np.diff(groups[begin:], axis=0)
        out.append(np.corrcoef(change[:, 0], change[:, 1])[0, 1])
    return np.asarray(out)


def last(results, case, name):
    return results["cases"][case][name][:, -1]


def over_formula(results) -> Measured:
    sharp, curved = (last(results, "small rate", k) for k in ("sharpness", "curvature"))
    return largest(np.abs(sharp / curved - 1), f"η = {SMALL:g}")


def growth(results) -> Measured:
    first = results["cases"]["small rate"]["sharpness"][:, 0]
    end = last(results, "small rate", "sharpness")
    return smallest(end / first, f"from {first.mean():.1f} to {end.mean():.1f}")


def settled(results) -> Measured:
    peak = results["cases"]["edge"]["sharpness"].max(axis=1) * EDGE / 2
    text = f"peaks {', '.join(f'{p:.2f}' for p in peak)}"
    return largest(last(results, "edge", "sharpness") * EDGE / 2, text)


def of_plain(results) -> Measured:
    found = last(results, "no outliers", "sharpness")
    return largest(found * EDGE / 2, f"sharpness {found.mean():.1f}")


WHAT = f"2-layer linear, width {WIDTH}, 2 % outliers"
CLAIMS = [
    Claim(
        "OS1",
        f"{WHAT}: sharpness at the end over 2pA²‖w‖², less 1",
        at_most(0.05, "the other samples' share of the curvature"),
        over_formula,
    ),
    Claim(
        "OS1a",
        "training sharpens the network by a factor of (the least of the seeds)",
        at_least(4, "far from 1"),
        growth,
    ),
    Claim(
        "OS1b",
        "its leading eigenvector is the outliers' feature: share of its square",
        at_least(0.9, "nearly all of it"),
        lambda r: smallest(last(r, "small rate", "alignment")),
    ),
    Claim(
        "OS1c",
        f"η = {EDGE:g}: sharpness passes 2/η, then settles below: end·η/2",
        at_most(1, "stability"),
        settled,
    ),
    Claim(
        "OS1d",
        "there one group's loss rises as the other's falls: correlation of changes",
        at_most(-0.8, "nearly −1"),
        lambda r: largest(opposition(r["cases"]["edge"]), f"{r.config.steps} steps"),
    ),
    Control(
        "OS1x",
        "without the outliers' feature the edge of OS1c is never reached: end·η/2",
        at_most(0.5, "half of the edge"),
        of_plain,
        of="OS1c",
    ),
    Control(
        "OS1y",
        "claim OS1d without the label offset: nothing pulls apart",
        at_least(0.5, "of the other sign"),
        lambda r: smallest(opposition(r["cases"]["no offset"])),
        of="OS1d",
    ),
]


def figures(results) -> dict:
    cases = results["cases"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    small, edge, plain = (cases[k] for k in ("small rate", "edge", "no outliers"))
    time = np.arange(small["loss"].shape[1])
    blue, grey, vermilion = (COLORS[c] for c in ("blue", "grey", "vermilion"))
    for case, lr, color, label in (
        (small, SMALL, blue, f"η = {SMALL:g}"),
        (edge, EDGE, vermilion, f"η = {EDGE:g}"),
        (plain, SMALL, grey, "no outliers"),
    ):
        left.plot(lr * time, case["sharpness"].T, color=color, lw=0.8)
        left.plot([], [], color=color, label=label)
    left.plot(SMALL * time, small["curvature"][0], "--", color=COLORS["black"], lw=1)
    left.axhline(2 / EDGE, color=vermilion, ls=":", lw=1)
    left.set(xlabel="ηk", ylabel="λ_max(H)", xlim=(0, 12))
    left.set_title("To 2pA²‖w‖² (dashed) or 2/η (dotted)")
    legend_below(left)
    begin = max(0, int(np.argmax(edge["sharpness"][0] > 2 / EDGE)) - 4)
    window = slice(begin, begin + 40)
    for k, (name, color) in enumerate([("+A", blue), ("−A", vermilion)]):
        shown = edge["groups"][0, window, k]
        right.plot(time[window], shown, ".-", ms=3, color=color, label=name)
    right.set(xlabel="step", ylabel="mean loss of the group")
    right.set_title("What one group gains the other loses")
    legend_below(right)
    return {
        "The sharpness rises to a closed form (dashed) or past 2/η (dotted). Past it "
        "the losses of two opposing groups of data oscillate in turn (right).": figure
    }


STUDY = Study(
    "Opposing signals: outliers that sharpen the network",
    "Rosenfeld, Risteski, arXiv:2311.04163, on a linear model made here",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
