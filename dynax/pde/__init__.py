"""Differential equations, one a file: residual, data, energies, reference solutions."""

from dynax.pde._base import (
    AbstractExact as AbstractExact,
    AbstractODE as AbstractODE,
    AbstractPDE as AbstractPDE,
    AbstractSemilinear as AbstractSemilinear,
    Functional as Functional,
    Points as Points,
)
from dynax.pde.advection import Advection as Advection
from dynax.pde.allen_cahn import AllenCahn as AllenCahn
from dynax.pde.burgers import Burgers as Burgers
from dynax.pde.conditions import (
    AbstractCondition as AbstractCondition,
    Dirichlet as Dirichlet,
    Neumann as Neumann,
    Operator as Operator,
    Periodic as Periodic,
    Robin as Robin,
)
from dynax.pde.corner import CornerFunction as CornerFunction, corner as corner
from dynax.pde.derivatives import (
    Derivatives as Derivatives,
    derivatives as derivatives,
    nested_grad as nested_grad,
    nested_jvp as nested_jvp,
    taylor as taylor,
)
from dynax.pde.gray_scott import GrayScott as GrayScott
from dynax.pde.heat import Heat as Heat
from dynax.pde.kdv import KdV as KdV
from dynax.pde.kuramoto_sivashinsky import (
    AbstractKuramotoSivashinsky as AbstractKuramotoSivashinsky,
    ChaoticKuramotoSivashinsky as ChaoticKuramotoSivashinsky,
    KuramotoSivashinsky as KuramotoSivashinsky,
)
from dynax.pde.ledger import audit as audit
from dynax.pde.lorenz import Lorenz as Lorenz
from dynax.pde.lotka_volterra import LotkaVolterra as LotkaVolterra
from dynax.pde.navier_stokes import (
    AbstractNavierStokes as AbstractNavierStokes,
    NavierStokes as NavierStokes,
    TaylorGreen as TaylorGreen,
)
from dynax.pde.pendulum import Pendulum as Pendulum
from dynax.pde.reference import (
    Error as Error,
    Reference as Reference,
    reference as reference,
    relative_l2 as relative_l2,
)
from dynax.pde.steady import AbstractSteady as AbstractSteady
from dynax.pde.symmetry import (
    Symmetry as Symmetry,
    even as even,
    odd as odd,
    repeated as repeated,
)
from dynax.pde.wave import Wave as Wave
