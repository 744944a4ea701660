"""Differential equations, one a file: residual, data, energies, reference solutions."""

from dynax.pde._base import (
    AbstractPDE as AbstractPDE,
    Functional as Functional,
    Points as Points,
)
from dynax.pde.allen_cahn import AllenCahn as AllenCahn
from dynax.pde.derivatives import (
    Derivatives as Derivatives,
    derivatives as derivatives,
    nested_grad as nested_grad,
    nested_jvp as nested_jvp,
    taylor as taylor,
)
from dynax.pde.lorenz import Lorenz as Lorenz
