"""Classical solutions of an initial value problem from any state, ever finer.

A function that claims to be the solution is compared with one of these. They are
computed in float64 on the CPU, each with a bound of its own error, by Fourier modes
(`modes`) or by the method of lines (`lines`).
"""

from collections.abc import Iterator

import numpy as np

from dynax.pde._base import AbstractPDE
from dynax.pde._float64 import exactly as exactly
from dynax.pde.evolve import lines, modes
from dynax.pde.evolve._base import (
    Evolution as Evolution,
    Start as Start,
    State as State,
    mean_square as mean_square,
)


def evolutions(pde: AbstractPDE, start: Start, t: np.ndarray) -> Iterator[Evolution]:
    """The solution from a state at t[0], saved at ascending times t, ever finer.

    Iterate within `exactly()`, the numbers of `pde` and `start` widened.
    There is nothing to iterate over where no method serves, or where every run fails.

    Args:
        start: x → fields, or the end of an earlier evolution.
    """
    begun = isinstance(start, State)
    torus = start.torus if begun else modes.box(pde, start, t)
    if torus is None:
        return lines.evolutions(pde, start, t)
    return modes.evolutions(pde, start, t, torus)
