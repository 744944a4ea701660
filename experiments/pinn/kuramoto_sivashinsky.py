"""Kuramoto–Sivashinsky, fourth order: a network marches by Levenberg–Marquardt steps in
float64, window after window. A march whose windows are not solved goes wrong without a
sound unless it is stopped.
"""

import _kuramoto_sivashinsky as common
import jax
from _kuramoto_sivashinsky import (
    SOURCE as SOURCE,
    SPACE as SPACE,
    March as Config,
    figures as figures,
)

from dynax import Claim, pde


TITLE = "Kuramoto–Sivashinsky by a network that marches"
PROBLEM = pde.KuramotoSivashinsky()
SIZES = {
    "quick": Config(0.1, 0.1, 1e-3),
    "long": Config(0.2, 0.1, 1e-3, 1e-7),
    "full": Config(1.0, 0.1, 3.5e-4, 1e-9, 4, 1000, 32, 3, 128),
}


def run(causality, length, seed) -> dict:
    return common.one_window(PROBLEM, causality, length, seed)


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return common.march(PROBLEM, config, progress)


def claims(results) -> list[Claim]:
    return common.claims("P4", "3.5e-4 at T = 1", results)
