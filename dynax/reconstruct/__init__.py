"""Systems learned from data, and how near to the truth they are."""

from dynax.reconstruct import metrics as metrics
from dynax.reconstruct.alrnn import (
    AlmostLinear as AlmostLinear,
    FixedPoints as FixedPoints,
    Kinked as Kinked,
    fixed_points as fixed_points,
    symbols as symbols,
    transitions as transitions,
)
from dynax.reconstruct.baselines import (
    AbstractForecaster as AbstractForecaster,
    Delays as Delays,
    EchoState as EchoState,
    Persistence as Persistence,
)
from dynax.reconstruct.comparison import Comparison as Comparison, compare as compare
from dynax.reconstruct.forcing import (
    AbstractForcing as AbstractForcing,
    Annealed as Annealed,
    Generalized as Generalized,
    Sparse as Sparse,
)
from dynax.reconstruct.koopman import Koopman as Koopman, residual_dmd as residual_dmd
from dynax.reconstruct.learn import Log as Log, Model as Model, fit as fit
from dynax.reconstruct.model_error import model_error as model_error
from dynax.reconstruct.plrnn import Shallow as Shallow, ShallowPLRNN as ShallowPLRNN
