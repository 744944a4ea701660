"""A valley with a river at its bottom: at a constant learning rate noise holds SGD over
the river by ησ²/(2(2−ηγ)) on each hill, while it moves along the river by c·Ση whatever
the noise. Decaying the rate at the end takes the excess away and costs little progress,
which is why a warm-up–stable–decay schedule looks bad until its last steps.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynax.claim import Claim, Control, Measured, at_least, at_most, largest
from dynax.landscape.river_valley import Valley, sgd
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


LRS = (0.1, 0.2, 0.4)
VALLEY = Valley()
HILLS = 20  # of the valley whose loss is compared


@dataclasses.dataclass(frozen=True)
class Config:
    hills: int = 400  # independent of one another: as many chains
    steps: int = 2000
    warm: int = 200  # not counted in means
    decay: int = 300


SIZES = {
    "quick": Config(),
    "long": Config(hills=4000, steps=8000),
    "full": Config(hills=40_000, steps=16_000, decay=2400),
}
SPACE = {
    "lr": np.array([0.05, 0.1, 0.2, 0.4, 0.8]),
    "curvature": np.array([0.5, 1.0, 2.0]),
    "noise": np.array([0.5, 1.0]),
    "seed": np.arange(4),
}
DIMS = {"excess": ["step"], "river": ["step"]}


def run(lr, curvature, noise, seed) -> dict:
    """A constant learning rate: the mean excess loss, and the formula."""
    valley = Valley(curvature=curvature, noise=noise)
    path = sgd(valley, jnp.full(2000, lr), jax.random.key(seed), hills=100)
    return {
        "excess": path.excess,
        "mean": jnp.mean(path.excess[200:]),
        "floor": valley.floor(lr),
        "river": path.river,
    }


def schedules(config: Config) -> dict:
    """Learning rates of every step; all but the constants end at 0."""
    top, steps, decay = LRS[-1], config.steps, config.decay
    at = jnp.arange(steps)
    down = jnp.clip((steps - at) / decay, 0, 1)  # the last step is not at 0
    abrupt = jnp.where(at < steps - 2, 1.0, down)
    cosine = optax.cosine_decay_schedule(top, steps)
    return {
        **{f"constant, {lr:g}": jnp.full(steps, lr) for lr in LRS},
        "warm-up–stable–decay": top * down,
        "two steps of decay": top * abrupt,
        "cosine": jax.vmap(cosine)(at),
        "constant, 0.02": jnp.full(steps, 0.02),
    }


def plans(results) -> dict:
    """By schedule: its learning rates, SGD's path, and the expected loss."""
    go = jax.jit(functools.partial(sgd, hills=results.config.hills))
    expect = jax.jit(VALLEY.expected)
    out, plans = {}, schedules(results.config)
    for k, (name, lrs) in enumerate(plans.items()):
        results.tell(k / len(plans), name)
        path = jax.device_get(go(VALLEY, lrs, jax.random.key(k)))
        expected = np.asarray(expect(lrs))
        out[name] = {"lrs": np.asarray(lrs), "path": path, "expected": expected}
    return out


PARTS = {"plans": plans}
CONSTANT = [f"constant, {lr:g}" for lr in LRS]
WSD, ABRUPT = "warm-up–stable–decay", "two steps of decay"
FLOORS = np.asarray([VALLEY.floor(lr) for lr in LRS])


def means(results):
    """The excess loss at each constant rate, without its warm-up."""
    warm = results.config.warm
    found = (results["plans"][k]["path"].excess[warm:] for k in CONSTANT)
    return np.asarray([excess.mean() for excess in found])


def floor(results) -> Measured:
    rows = zip(LRS, means(results), FLOORS, strict=True)
    texts = ", ".join(f"η = {lr:g}: {m:.5f} of {f:.5f}" for lr, m, f in rows)
    off = np.abs(means(results) / FLOORS - 1)
    return largest(off, f"γ = 2, σ² = ½; {results.config.hills} hills; {texts}")


def fixed_point(results) -> Measured:
    found = np.asarray([results["plans"][k]["expected"][-1] for k in CONSTANT])
    return largest(np.abs(found / FLOORS - 1), "relative")


def removed(results, name) -> Measured:
    """Share of the excess loss that is gone at the end."""
    config, plan = results.config, results["plans"][name]
    excess, exact = plan["path"].excess, plan["expected"][-1] / FLOORS[-1]
    before = excess[config.warm : -config.decay].mean()
    return Measured(1 - excess[-1] / before, f"exact: {1 - exact:.4f}")


def progress(results) -> Measured:
    plans = results["plans"].values()
    proved = [VALLEY.slope * np.cumsum(p["lrs"]) for p in plans]
    off = [p["path"].river / way - 1 for p, way in zip(plans, proved, strict=True)]
    return largest(np.abs(off), f"{len(off)} schedules")


def cost(results) -> Measured:
    river = lambda name: results["plans"][name]["path"].river[-1]
    text = f"{results.config.decay} of {results.config.steps} steps, half of their way"
    return Measured(1 - river(WSD) / river(CONSTANT[-1]), text)


def ends_below(results) -> Measured:
    names = (WSD, "cosine", "constant, 0.02", CONSTANT[-1])
    ends = {name: total(results["plans"][name])[-1] for name in names}
    text = ", ".join(f"{name} {loss:.3f}" for name, loss in ends.items())
    return Measured(min(list(ends.values())[1:]) - ends[WSD], text)


def by_diffusion(results) -> float:
    limit = LRS[-1] * VALLEY.noise**2 / 4
    return abs(means(results)[-1] / limit - 1)


def total(plan) -> np.ndarray:
    """The mean loss of a valley with HILLS hills."""
    return -VALLEY.slope * plan["path"].river + HILLS * plan["expected"]


def claims(config) -> list:
    return [
        Claim(
            "20",
            "excess loss at a constant η over ησ²/(2(2−ηγ)), less 1",
            at_most(0.02, "five standard errors of some 10⁵ independent values"),
            floor,
        ),
        Claim(
            "20a",
            f"decay to 0 over {config.decay} steps: share of the excess removed",
            at_least(0.95, "0.96 by the recursion of the second moment"),
            functools.partial(removed, name=WSD),
        ),
        Claim(
            "20b",
            "ησ²/(2(2−ηγ)) is the fixed point of the second moment's recursion",
            at_most(1e-12, "round-off of a recursion that contracts"),
            fixed_point,
        ),
        Claim(
            "20c",
            "progress along the river is c·Ση, whatever the noise: relative error",
            at_most(1e-11, "round-off of a sum over all steps"),
            progress,
        ),
        Claim(
            "20d",
            "decay costs this share of the river at most",
            at_most(0.08, "half of the steps of the decay, 7.5 %"),
            cost,
        ),
        Claim(
            "20e",
            f"loss with {HILLS} hills: ends below cosine and both constant rates by",
            at_least(0.5, "of the order of the excess of the hills"),
            ends_below,
        ),
        Control(
            "20x",
            f"claim 20 by the diffusion limit ησ²/4, at η = {LRS[-1]:g}",
            at_least(0.2, "ten times what claim 20 allows"),
            by_diffusion,
            of="20",
        ),
        Control(
            "20y",
            "claim 20a without decay",
            at_most(0.5, "nothing is removed, but for noise"),
            functools.partial(removed, name=CONSTANT[-1]),
            of="20a",
        ),
        Control(
            "20z",
            "claim 20a with a decay of two steps, shorter than 1/(ηγ)",
            at_most(0.9, "below the 0.95 of claim 20a"),
            functools.partial(removed, name=ABRUPT),
            of="20a",
        ),
    ]


def figures(results) -> dict:
    plans = results["plans"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    shown = {
        "constant, 0.4": "grey",
        "constant, 0.02": "sky",
        "cosine": "green",
        "warm-up–stable–decay": "vermilion",
    }
    for name, color in shown.items():
        plan, color = plans[name], COLORS[color]
        left.plot(plan["path"].excess, color=color, lw=0.8)
        left.plot(plan["expected"], "--", color=COLORS["black"], lw=0.6)
        right.plot(total(plan), label=name, color=color, lw=1)
    left.set(xlabel="step", ylabel="excess loss of a hill", yscale="log")
    left.set(ylim=(1e-4, 0.2))
    left.set_title("Noise floor; dashed: the recursion")
    right.set(xlabel="step", ylabel=f"mean loss (river and {HILLS} hills)")
    right.set_title("Decay reveals the progress")
    legend_below(right)
    return {
        "A constant learning rate stays on a noise floor (left). Its decay reveals the "
        "progress made along the river (right).": figure
    }


STUDY = Study(
    "River and valley: what decaying the learning rate reveals",
    "Wen, Li, Wang, Hall, Liang, Ma, arXiv:2410.05192",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
