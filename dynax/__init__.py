"""dynax: optimizers and physics as dynamical systems with audited energies."""

from jaxlib.version import __version__ as _jaxlib

from dynax import (
    _tree,
    kappa as kappa,
    monitor as monitor,
    optim as optim,
    sweep as sweep,
)
from dynax.claim import Claim as Claim
from dynax.flow import (
    AbstractBalancedOptimizer as AbstractBalancedOptimizer,
    AbstractLyapunovOptimizer as AbstractLyapunovOptimizer,
    AbstractOptimizer as AbstractOptimizer,
    AbstractRatedFlow as AbstractRatedFlow,
    AbstractRatedMap as AbstractRatedMap,
    Flow as Flow,
    LyapunovFlow as LyapunovFlow,
    Minimum as Minimum,
    as_flow as as_flow,
)
from dynax.lyapunov import (
    Ledger as Ledger,
    Tally as Tally,
    Verdict as Verdict,
    along as along,
    lie_derivative as lie_derivative,
    merge as merge,
    tally as tally,
    verdict as verdict,
)
from dynax.monitor import (
    Monitored as Monitored,
    WithWork as WithWork,
    as_optax as as_optax,
    audit as audit,
    iterate as iterate,
)
from dynax.optim import LionKappa as LionKappa, LionState as LionState
from dynax.verify import (
    System as System,
    verify as verify,
)


tree = _tree

if _jaxlib == "0.10.2":
    raise ImportError(
        "jaxlib 0.10.2 computes wrong numbers on CPU; "
        'run: pip install "jax!=0.10.2" "jaxlib!=0.10.2"'
    )
