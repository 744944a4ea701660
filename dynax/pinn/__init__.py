"""Physics-informed networks that respect causality, and say whether they are solved."""

from dynax.pinn.ansatz import (
    ExactInitial as ExactInitial,
    HeatKernelInitial as HeatKernelInitial,
    exact_initial as exact_initial,
    penalised_initial as penalised_initial,
)
from dynax.pinn.causal import (
    AbstractScheme as AbstractScheme,
    Annealing as Annealing,
    Causal as Causal,
    Marching as Marching,
    Uniform as Uniform,
    causal_weights as causal_weights,
)
from dynax.pinn.certificate import Certificate as Certificate
from dynax.pinn.collocation import (
    Correction as Correction,
    correct as correct,
    steady_reference as steady_reference,
)
from dynax.pinn.constrained import (
    AbstractTransform as AbstractTransform,
    Bounded as Bounded,
    Constrained as Constrained,
    Positive as Positive,
)
from dynax.pinn.dual_norm import DualNorm as DualNorm, dual_norm as dual_norm
from dynax.pinn.estimate import (
    ErrorEstimate as ErrorEstimate,
    estimate_error as estimate_error,
)
from dynax.pinn.interpolant import interpolate as interpolate
from dynax.pinn.marching import (
    Adaptive as Adaptive,
    Fixed as Fixed,
    Marched as Marched,
    march as march,
)
from dynax.pinn.networks import mlp_field as mlp_field
from dynax.pinn.objective import (
    Data as Data,
    Model as Model,
    Objective as Objective,
)
from dynax.pinn.plot import plot as plot
from dynax.pinn.saved import Saved as Saved, load as load, save as save
from dynax.pinn.state import (
    CycleInfo as CycleInfo,
    TrainResult as TrainResult,
    TrainState as TrainState,
)
from dynax.pinn.train import solve as solve, train as train
from dynax.pinn.train_windows import (
    Solution as Solution,
    TrainedWindows as TrainedWindows,
    train_windows as train_windows,
)
from dynax.pinn.trainer import Trainer as Trainer
from dynax.pinn.window import Window as Window
