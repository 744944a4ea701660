"""Optimizers raced where the least loss is known: a bowl, a valley and a saddle.

The unknown is a matrix of 8 rows and 8 columns, or three of them. A bowl of condition
100 with noisy gradients; Rosenbrock's valley between neighbouring columns; a product of
three matrices that is to be another one, from a start near the saddle at 0. The least
loss is 0 in all of them, and what is judged is log₁₀ of the loss.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from dynax.study import Study
from experiments.race import _report
from experiments.race._methods import METHODS
from experiments.race._race import Config, Task, raced


SIDE, NOISE = 8, 0.05
FEW = "AdamW", "Lion", "Muon, five steps", "NorMuon", "Contra-Muon", "NadamW"
SIZES = {
    "quick": Config(FEW, blocks=20, steps=10),
    "long": Config(tuple(METHODS), 40, 25, trials=81, tuning=4, around=8),
    "full": Config(tuple(METHODS), 100, 100, trials=243, seeds=32, around=32),
}


def bowl(x, goal):
    scale = np.logspace(-1, 1, SIDE, dtype=np.float32)
    gap = x["w"][0] - goal
    return jnp.mean(scale[:, None] * scale[None] * gap * gap) / 2


def valley(x, goal):
    a = x["w"][0] - goal + 1
    left, right = a[:, ::2], a[:, 1::2]
    return jnp.mean((1 - left) ** 2 + 10 * (right - left**2) ** 2)


def saddle(x, goal):
    first, second, third = x["w"]
    return jnp.mean((third @ second @ first - goal) ** 2) / 2


LOSSES: dict[str, tuple[Callable, int, float]] = {
    "bowl": (bowl, 1, 1.0),
    "valley": (valley, 1, 1.0),
    "saddle": (saddle, 3, 0.3),
}


def task(config: Config, name: str) -> Task:
    """A goal and a start for each seed, and the noise of every step."""
    f, layers, size = LOSSES[name]
    random = np.random.default_rng(0)
    many, steps = config.tuning + config.seeds, config.blocks * config.steps
    draw = lambda *shape: random.normal(size=shape).astype(np.float32)
    goals, noise = draw(many, SIDE, SIDE), NOISE * draw(many, steps, SIDE)
    starts = {"w": [np.float32(size) * draw(many, SIDE, SIDE) for _ in range(layers)]}

    def loss(x, seed, t):
        push = jnp.asarray(noise)[seed, t] / np.float32(SIDE)
        return f(x, jnp.asarray(goals)[seed]) + jnp.mean(x["w"][0] @ push)

    def judge(x, seed):
        found = f(x, jnp.asarray(goals)[seed])
        return jnp.log10(found + np.float32(1e-12))

    return Task(starts, loss, judge, labels="hidden")


def study(name: str, id: str) -> Study:
    """The race on one landscape."""
    return Study(
        f"A race on a {name} whose least loss is known",
        "closed forms",
        SIZES,
        {
            "task": lambda r: task(r.config, name),
            "race": lambda r: raced(r["task"], r.config, r.tell),
        },
        _report.claims(id, 0.3, "the loss halves: log₁₀ 2"),
        _report.figures,
        name=name,
    )


STUDY = [study("bowl", "33"), study("valley", "34"), study("saddle", "35")]
