"""Optimizers raced on a small GPT that learns the bytes of Python's own help texts.

Rotary embeddings, RMS norm of queries and keys; the loss is that of modules held out.
Muon and its kin take the matrices, AdamW the rest.
"""

import jax.numpy as jnp
import numpy as np

from dynax.study import Study
from experiments._together import stacked
from experiments.race import _gpt, _report
from experiments.race._methods import METHODS
from experiments.race._race import Config, Task, raced
from experiments.race._text import digest, tokens


FEW = "AdamW", "Lion", "NorMuon", "Soft-Muon"  # compiling one costs most of its race
ALL = tuple(METHODS)
BATCH, JUDGED = 8, 64
SIZES = {
    "quick": Config(FEW, size=_gpt.Shape()),
    "long": Config(
        ALL,
        blocks=40,
        steps=25,
        trials=27,
        around=3,
        size=_gpt.Shape(width=64, layers=2, heads=4, length=32),
    ),
    "full": Config(
        ALL,
        blocks=100,
        steps=100,
        trials=81,
        seeds=16,
        around=8,
        size=_gpt.Shape(width=384, layers=6, heads=6, length=128),
    ),
}


def task(config: Config) -> Task:
    """The GPT with its batches, all drawn beforehand, and windows held out to judge."""
    shape, steps = config.size, config.blocks * config.steps
    train, held = tokens()
    random = np.random.default_rng(0)
    many = config.tuning + config.seeds
    at = random.integers(0, len(train) - shape.length - 1, (many, steps, BATCH))
    at, window = at.astype(np.int32), np.arange(shape.length + 1, dtype=np.int32)
    aside = random.integers(0, len(held) - shape.length - 1, JUDGED)
    judged = held[aside[:, None] + window].astype(np.int32)
    starts = [_gpt.start(shape, seed) for seed in range(many)]

    def loss(params, seed, t):
        places = jnp.asarray(at)[seed, t][:, None] + window[None]
        return _gpt.loss(shape, params, jnp.asarray(train)[places].astype(np.int32))

    return Task(
        starts=stacked(starts),
        loss=loss,
        judge=lambda params, seed: _gpt.loss(shape, params, jnp.asarray(judged)),
        labels={"embed": "rest", "head": "rest", "blocks": "hidden"},
    )


STUDY = Study(
    "A race on a small GPT",
    "bytes of pydoc_data.topics and of the standard library's docstrings",
    SIZES,
    {
        "task": lambda r: task(r.config),
        "race": lambda r: raced(r["task"], r.config, r.tell),
        "text": lambda r: digest(),
    },
    _report.claims("31", 1.0, "a nat below ln 128 = 4.85: the bytes are learnt"),
    _report.figures,
)
