"""The material point method in two and three dimensions, a solver of diffrax."""

from dynax.mechanics.mpm import bodies as bodies
from dynax.mechanics.mpm.body import (
    Body as Body,
    Material as Material,
    at_rest as at_rest,
    masses as masses,
    volumes as volumes,
    wave_speed as wave_speed,
)
from dynax.mechanics.mpm.cfl import CFL as CFL
from dynax.mechanics.mpm.film import Film as Film, film as film, plot as plot
from dynax.mechanics.mpm.ledger import (
    angular_momentum as angular_momentum,
    audit as audit,
    energies as energies,
    energy as energy,
    momentum as momentum,
)
from dynax.mechanics.mpm.simulate import (
    Motion as Motion,
    check_start as check_start,
    outcome as outcome,
    simulate as simulate,
)
from dynax.mechanics.mpm.solver import (
    MPM as MPM,
    RESULTS as RESULTS,
    Stress as Stress,
)
from dynax.mechanics.mpm.transfer import (
    AbstractTransfer as AbstractTransfer,
    Dense as Dense,
    Grid as Grid,
    Window as Window,
)
from dynax.mechanics.mpm.walls import (
    AbstractWall as AbstractWall,
    Collider as Collider,
    Side as Side,
    Slope as Slope,
    box_walls as box_walls,
)
