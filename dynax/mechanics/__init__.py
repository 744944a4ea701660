"""Bodies in motion: finite elements and material points, fields for diffrax."""

from dynax.mechanics import learn as learn, mpm as mpm, statics as statics
from dynax.mechanics._body import AbstractBody as AbstractBody
from dynax.mechanics.bar import Bar as Bar
from dynax.mechanics.export import write_ply as write_ply, write_vtk as write_vtk
from dynax.mechanics.fem import Solid as Solid
from dynax.mechanics.ledger import (
    WithWorkAndSupply as WithWorkAndSupply,
    audit as audit,
)
from dynax.mechanics.mesh import (
    Mesh as Mesh,
    box_mesh as box_mesh,
    quadratic as quadratic,
    read_mesh as read_mesh,
    surface as surface,
    traction as traction,
)
from dynax.mechanics.projected import Projected as Projected
from dynax.mechanics.truss import Truss as Truss
