"""dynax: optimizers and physics as dynamical systems with audited energies."""

from dynax import kappa as kappa, monitor as monitor, optim as optim
from dynax.flow import (
    AbstractBalancedOptimizer as AbstractBalancedOptimizer,
    AbstractLyapunovOptimizer as AbstractLyapunovOptimizer,
    AbstractOptimizer as AbstractOptimizer,
    as_flow as as_flow,
    Flow as Flow,
    LyapunovFlow as LyapunovFlow,
)
from dynax.lyapunov import (
    along as along,
    Ledger as Ledger,
    lie_derivative as lie_derivative,
    merge as merge,
    Tally as Tally,
    tally as tally,
    Verdict as Verdict,
    verdict as verdict,
)
from dynax.monitor import (
    as_optax as as_optax,
    audit as audit,
    iterate as iterate,
    Monitored as Monitored,
    WithWork as WithWork,
)
from dynax.optim import LionKappa as LionKappa, LionState as LionState
