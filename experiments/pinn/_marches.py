"""The problems that are marched to long times: how, and what is claimed of each.

Published figures of others are of networks; each case says of which kind it is:
"spectral, Legendre", "spectral, network" (of time), or "network".
"""

import dataclasses

import jax

from dynax import pde, pinn
from dynax.pinn import networks


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem, how it is marched, and what is claimed of it.

    Args:
        modes, polynomials: K and P.
        rtol: of each window.
        error: claimed of the whole.
        seconds: of processor time, claimed too; compiling apart.
        accuracy: of the reference.
        published: the best that others have by networks.
        horizon: T.
        grid: times and places along each axis, where it is compared.
    """

    id: str
    name: str
    problem: pde.AbstractPDE
    modes: int
    polynomials: int
    rtol: float
    error: float
    seconds: float
    accuracy: float
    published: str
    horizon: float = 1.0
    seeds: int = 1
    kind: str = "spectral, Legendre"
    grid: tuple[int, int] = (1001, 256)  # errors are largest for a short time

    @property
    def ansatz(self):
        if self.kind == "network":
            key = jax.random.key(0)
            network = pinn.mlp_field(self.problem, key, 24, 2, 2, t0=-1.0, t1=1.0)
            return networks.Sampled(self.problem, network)
        learned = self.kind == "spectral, network"
        kind = networks.TimeNetwork if learned else networks.Legendre
        return networks.Spectral(self.problem, self.modes, kind(self.polynomials))


REGULAR = Case(
    "P10",
    "Kuramoto–Sivashinsky",
    pde.KuramotoSivashinsky(),
    32,
    12,
    1e-7,
    1e-6,
    60,
    1e-8,
    "networks 3.5e-4",
)
LEARNED = dataclasses.replace(
    REGULAR,
    id="P18",
    modes=20,
    rtol=5e-6,
    error=1e-4,
    seconds=300,
    kind="spectral, network",
)
NETWORK = dataclasses.replace(
    REGULAR, id="P19", rtol=6.5e-5, error=1e-3, seconds=120, kind="network"
)
LORENZ = Case(
    "P15",
    "Lorenz",
    pde.Lorenz(),
    0,
    12,
    1e-11,
    1e-4,
    60,
    1e-7,
    "networks 7e-3",
    20.0,
    5,
)
CHAOTIC = Case(
    "P11",
    "Kuramoto–Sivashinsky, chaotic",
    pde.ChaoticKuramotoSivashinsky(),
    128,
    10,
    1e-9,
    1e-4,
    60,
    1e-7,
    "networks 5.1e-7 in 87 GPU-minutes",
)
BURGERS = Case(
    "P12",
    "Burgers",
    pde.Burgers(),
    640,
    10,
    1e-8,
    1e-8,
    30,
    1e-9,
    "networks 8e-14 in 346 GPU-seconds",
)
KDV = Case(
    "P13",
    "Korteweg–de Vries",
    pde.KdV(),
    128,
    10,
    1e-8,
    2e-6,
    30,
    1e-9,
    "networks 8e-11 in 20 GPU-minutes",
)
FLOW = Case(
    "P16",
    "Navier–Stokes",
    pde.NavierStokes(),
    31,
    6,
    1e-3,
    5e-3,
    90,
    1e-5,
    "networks 3.5e-2",
    grid=(101, 64),
)


PHASES = Case(
    "P14",
    "Allen–Cahn",
    pde.AllenCahn(),
    1000,
    10,
    1e-8,
    1e-7,
    60,
    1e-8,
    "networks 4.0e-6",
    grid=(101, 1024),  # a kink at one place, which fewer would count for more
)
ALL = REGULAR, LORENZ, CHAOTIC, BURGERS, KDV, PHASES, FLOW, LEARNED, NETWORK
