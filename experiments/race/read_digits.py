"""Optimizers raced on a small network that reads handwritten digits.

Two layers, gradients of 32 digits at a time, and the loss of digits held out. Each
method has the learning rate and decay that its own search found, at equal cost.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from dynax.study import Study
from experiments._together import stacked
from experiments.race import _report
from experiments.race._methods import METHODS
from experiments.race._race import Config, Task, raced


BATCH, HELD = 32, 400
SIZES = {
    "quick": Config(("AdamW", "Lion", "Muon, five steps", "NorMuon", "MARS"), size=24),
    "long": Config(tuple(METHODS), 40, 15, trials=27, around=4, size=64),
    "full": Config(tuple(METHODS), 100, 50, trials=81, seeds=16, around=8, size=256),
}


def start(width: int, seed: int) -> dict:
    """Two hidden layers and a head that starts at 0."""
    random = np.random.default_rng(seed)
    draw = lambda *s: (random.normal(size=s) / s[0] ** 0.5).astype(np.float32)
    zeros = lambda *s: np.zeros(s, np.float32)
    return {
        "hidden": [draw(64, width), draw(width, width)],
        "biases": [zeros(width), zeros(width)],
        "head": zeros(width, 10),
    }


def loss(params, images, labels):
    """Cross-entropy in nats."""
    x = images
    for w, b in zip(params["hidden"], params["biases"], strict=True):
        x = jax.nn.relu(x @ w + b[None])
    found = x @ params["head"]
    each = optax.softmax_cross_entropy_with_integer_labels(found, labels)
    return jnp.mean(each)


def task(config: Config) -> Task:
    """Images in [0, 1]; the first 400 of a fixed shuffle judge, all others train."""
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    images = (images[order] / 16).astype(np.float32)
    labels = labels[order].astype(np.int32)
    many, steps = config.tuning + config.seeds, config.blocks * config.steps
    at = random.integers(HELD, len(images), (many, steps, BATCH)).astype(np.int32)

    def of(params, seed, t):
        chosen = jnp.asarray(at)[seed, t]
        return loss(params, jnp.asarray(images)[chosen], jnp.asarray(labels)[chosen])

    held = images[:HELD], labels[:HELD]
    return Task(
        starts=stacked([start(config.size, seed) for seed in range(many)]),
        loss=of,
        judge=lambda params, seed: loss(params, *map(jnp.asarray, held)),
        labels={"hidden": "hidden", "biases": "rest", "head": "rest"},
    )


STUDY = Study(
    "A race on handwritten digits",
    "the digits of scikit-learn",
    SIZES,
    {
        "task": lambda r: task(r.config),
        "race": lambda r: raced(r["task"], r.config, r.tell),
    },
    _report.claims("32", 0.1, "a tenth of a nat after the first look"),
    _report.figures,
)
