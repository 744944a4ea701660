"""Kuramoto–Sivashinsky, fourth order: a network marches by Levenberg–Marquardt steps in
float64, window after window. A march whose windows are not solved goes wrong without a
sound unless it is stopped.
"""

from dynax import pde
from experiments.pinn import _kuramoto_sivashinsky as common
from experiments.pinn._kuramoto_sivashinsky import (
    DIMS as DIMS,
    SPACE as SPACE,
    March,
)


PROBLEM = pde.KuramotoSivashinsky()
SIZES = {
    "quick": March(0.1, 0.1, 1e-3),
    "long": March(0.2, 0.1, 1e-3, 1e-7),
    "full": March(1.0, 0.1, 3.5e-4, 1e-9, 4, 1000, 32, 3, 128),
}


def run(causality, length, seed) -> dict:
    return common.one_window(PROBLEM, causality, length, seed)


STUDY = common.study(
    "Kuramoto–Sivashinsky by a network that marches",
    PROBLEM,
    SIZES,
    run,
    "P4",
    "3.5e-4 at T = 1",
)
