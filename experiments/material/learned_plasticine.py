"""The law of plasticine, learned from one motion of a falling cube that keeps its
dents: two networks, one for the stress and one for the return from beyond yield. A
third of the data is flight, in which nothing yields.
"""

import numpy as np

from dynax import Claim, material as mat
from experiments.material import _learned_laws as laws
from experiments.material._learned_laws import Config


TITLE = "The law of plasticine from one motion"
SOURCE = laws.SOURCE
MATERIAL = laws.Material("plasticine", mat.plasticine(), mat.jelly())
SINGLE = {"single": 150}  # the return, which a rollout from rest learns too late
SIZES = {
    "quick": laws.quick(),
    "long": laws.long(**SINGLE, epochs=30, horizons=(25, 50), unseen=laws.FEWER),
    "full": laws.full(**SINGLE),
}
SPACE = {"rate": np.array([0.1, 0.3, 1.0]), "seed": np.arange(3)}
DIMS = {"path": ["epoch"]}


def run(rate, seed) -> dict:
    """A small cube, ten steps of Adam at a rate."""
    return laws.sweepable(MATERIAL, rate, seed)


def measure(config: Config, progress) -> dict:
    return laws.measure(MATERIAL, config, progress)


def claims(results) -> list[Claim]:
    return laws.claims(results, "C11")


def figures(results) -> dict:
    return laws.figures(results)
