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

from dynax import Claim
from dynax.landscape.river_valley import Valley, sgd
from dynax.report import COLORS, new_figure


TITLE = "River and valley: what decaying the learning rate reveals"
SOURCE = "Wen, Li, Wang, Hall, Liang, Ma, arXiv:2410.05192"
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


def measure(config: Config, progress) -> dict:
    out = {}
    go = jax.jit(functools.partial(sgd, hills=config.hills))
    expect = jax.jit(VALLEY.expected)
    plans = schedules(config)
    for k, (name, lrs) in enumerate(plans.items()):
        progress(k / len(plans), name)
        path = jax.device_get(go(VALLEY, lrs, jax.random.key(k)))
        expected = np.asarray(expect(lrs))
        out[name] = {"lrs": np.asarray(lrs), "path": path, "expected": expected}
    return {"config": config, "plans": out}


def claims(results) -> list[Claim]:
    config, plans = results["config"], results["plans"]
    floors = np.asarray([VALLEY.floor(lr) for lr in LRS])
    constant = [plans[f"constant, {lr:g}"] for lr in LRS]
    means = np.asarray([p["path"].excess[config.warm :].mean() for p in constant])
    fixed = np.asarray([p["expected"][-1] for p in constant])
    diffusion = np.asarray(LRS) * VALLEY.noise**2 / 4
    wsd, cosine = plans["warm-up–stable–decay"], plans["cosine"]
    abrupt, slow = plans["two steps of decay"], plans["constant, 0.02"]

    def removed(plan):
        before = plan["path"].excess[config.warm : -config.decay].mean()
        return 1 - plan["path"].excess[-1] / before

    river = max(
        np.max(np.abs(p["path"].river / (VALLEY.slope * np.cumsum(p["lrs"])) - 1))
        for p in plans.values()
    )
    end = lambda plan: total(plan)[-1]
    share = wsd["path"].river[-1] / constant[-1]["path"].river[-1]
    claim = functools.partial(Claim.judged, SOURCE)
    texts = ", ".join(
        f"η = {lr:g}: {m:.5f} of {f:.5f}"
        for lr, m, f in zip(LRS, means, floors, strict=True)
    )
    return [
        claim(
            "20",
            "excess loss at a constant η over ησ²/(2(2−ηγ)), less 1",
            np.max(np.abs(means / floors - 1)),
            "≤ 0.02",
            f"γ = 2, σ² = ½; {config.hills} hills, {config.steps} steps; {texts}",
        ),
        claim(
            "20a",
            f"decay to 0 over {config.decay} steps: share of the excess removed",
            removed(wsd),
            "≥ 0.95",
            f"from η = {LRS[-1]:g}; exact: {1 - wsd['expected'][-1] / floors[-1]:.4f}",
        ),
        claim(
            "20b",
            "ησ²/(2(2−ηγ)) is the fixed point of the second moment's recursion",
            np.max(np.abs(fixed / floors - 1)),
            "≤ 1e-12",
            "relative",
        ),
        claim(
            "20c",
            "progress along the river is c·Ση, whatever the noise: relative error",
            river,
            "≤ 1e-11",
            f"{len(plans)} schedules",
        ),
        claim(
            "20d",
            "decay costs this share of the river at most",
            1 - share,
            "≤ 0.08",
            f"{config.decay} of {config.steps} steps, half of their way",
        ),
        claim(
            "20e",
            f"loss with {HILLS} hills: ends below cosine and both constant rates by",
            min(end(cosine), end(slow), end(constant[-1])) - end(wsd),
            "≥ 0.5",
            f"loss {end(wsd):.3f}; cosine {end(cosine):.3f}, 0.02 {end(slow):.3f}, "
            f"{LRS[-1]:g} {end(constant[-1]):.3f}",
        ),
        claim(
            "20x",
            f"claim 20 by the diffusion limit ησ²/4, at η = {LRS[-1]:g}",
            abs(means[-1] / diffusion[-1] - 1),
            "≥ 0.2 rejected",
        ),
        claim(
            "20y",
            "claim 20a without decay",
            removed(constant[-1]),
            "≤ 0.5 rejected",
        ),
        claim(
            "20z",
            "claim 20a with a decay of two steps, shorter than 1/(ηγ)",
            removed(abrupt),
            "≤ 0.9 rejected",
        ),
    ]


def total(plan) -> np.ndarray:
    """The mean loss of a valley with HILLS hills."""
    return -VALLEY.slope * plan["path"].river + HILLS * plan["expected"]


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
    right.legend()
    return {"river valley": figure}
