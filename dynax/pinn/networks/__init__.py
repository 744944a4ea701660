"""Networks, one architecture a file: features of (t, x), and a body on top."""

from dynax.pinn.marching.ansatz import Spectral as Spectral
from dynax.pinn.marching.sampled import Sampled as Sampled
from dynax.pinn.marching.times import (
    Legendre as Legendre,
    TimeNetwork as TimeNetwork,
)
from dynax.pinn.networks._fixed import AbstractFixed as AbstractFixed, split as split
from dynax.pinn.networks.factorised import FactorisedLinear as FactorisedLinear
from dynax.pinn.networks.features import (
    AbstractAxes as AbstractAxes,
    AbstractFeatures as AbstractFeatures,
    Box as Box,
    Periodic as Periodic,
    RandomFourier as RandomFourier,
    Window as Window,
    features as features,
    with_window as with_window,
)
from dynax.pinn.networks.field import (
    Enriched as Enriched,
    Field as Field,
    mlp_field as mlp_field,
)
from dynax.pinn.networks.linear import (
    AbstractBody as AbstractBody,
    AbstractLinear as AbstractLinear,
    Linear as Linear,
)
from dynax.pinn.networks.mlp import MLP as MLP
from dynax.pinn.networks.modified_mlp import ModifiedMLP as ModifiedMLP
from dynax.pinn.networks.pirate import (
    PirateBlock as PirateBlock,
    PirateNet as PirateNet,
    fit_last_layer as fit_last_layer,
)
from dynax.pinn.networks.separable import Separable as Separable
from dynax.pinn.networks.symmetric import Symmetric as Symmetric
