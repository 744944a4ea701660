"""Marching to T: solutions of few modes in space, windows that choose their length."""

from dynax.pinn.marching.ansatz import (
    AbstractAnsatz as AbstractAnsatz,
    Spectral as Spectral,
)
from dynax.pinn.marching.controller import (
    AbstractController as AbstractController,
    Adaptive as Adaptive,
    Fixed as Fixed,
)
from dynax.pinn.marching.march import Marched as Marched, Tried as Tried, march as march
from dynax.pinn.marching.times import Legendre as Legendre, TimeNetwork as TimeNetwork
