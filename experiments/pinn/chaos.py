"""Kuramoto–Sivashinsky on the circle where it is chaotic. An error of the start grows
3.6·10⁴-fold until t = 1, so every window has to be solved far better than the answer
needs to be: what a march gains by causal weights and certificates is that it says how
far it got.
"""

from dynax import pde
from experiments.pinn import _kuramoto_sivashinsky as common
from experiments.pinn._kuramoto_sivashinsky import (
    DIMS as DIMS,
    SPACE as SPACE,
    March,
)


PROBLEM = pde.ChaoticKuramotoSivashinsky()
LEVELS = (250.0, 2500.0, 25000.0)
SIZES = {
    "quick": March(0.05, 0.05, 5e-4, modes=4, levels=LEVELS),
    "long": March(0.1, 0.05, 5e-4, 1e-7, 4, levels=LEVELS),
    "full": March(1.0, 0.05, 1e-3, 1e-9, 6, 1000, 32, 3, 128, levels=LEVELS),
}


def run(causality, length, seed) -> dict:
    return common.one_window(PROBLEM, causality, length, seed)


STUDY = common.study(
    "Chaos by a network that marches",
    PROBLEM,
    SIZES,
    run,
    "P4c",
    "2.3e-2 at T = 0.5",
)
