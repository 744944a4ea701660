"""dynax: optimizers and physics as dynamical systems with audited energies."""

from jaxlib.version import __version__ as _jaxlib

from dynax import (
    _tree,
    checkpoint as checkpoint,
    kappa as kappa,
    material as material,
    mechanics as mechanics,
    monitor as monitor,
    optim as optim,
    sweep as sweep,
)
from dynax.claim import Claim as Claim
from dynax.flow import (
    AbstractBalancedOptimizer as AbstractBalancedOptimizer,
    AbstractConditionalOptimizer as AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer as AbstractLyapunovOptimizer,
    AbstractOptimizer as AbstractOptimizer,
    AbstractRatedFlow as AbstractRatedFlow,
    AbstractRatedMap as AbstractRatedMap,
    AbstractRefinableOptimizer as AbstractRefinableOptimizer,
    AbstractSwitchedOptimizer as AbstractSwitchedOptimizer,
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
from dynax.optim import (
    SOAP as SOAP,
    AcceleratedMirror as AcceleratedMirror,
    AdaGrad as AdaGrad,
    Adam as Adam,
    AdamState as AdamState,
    AdamW as AdamW,
    BregmanLagrangian as BregmanLagrangian,
    Cautious as Cautious,
    CautiousDecay as CautiousDecay,
    CautiousDecayAdam as CautiousDecayAdam,
    CautiousDecayLyapunov as CautiousDecayLyapunov,
    CautiousHamiltonian as CautiousHamiltonian,
    DistributedLion as DistributedLion,
    FrankWolfe as FrankWolfe,
    GradientDescent as GradientDescent,
    HamiltonianDescent as HamiltonianDescent,
    HeavyBall as HeavyBall,
    HighResolutionC as HighResolutionC,
    HighResolutionHeavyBall as HighResolutionHeavyBall,
    HighResolutionSC as HighResolutionSC,
    Immersion as Immersion,
    LionKappa as LionKappa,
    LionState as LionState,
    MirrorDescent as MirrorDescent,
    Momentum as Momentum,
    MomentumState as MomentumState,
    Muon as Muon,
    NesterovC as NesterovC,
    NesterovSC as NesterovSC,
    OnlineSubspaceDescent as OnlineSubspaceDescent,
    PracticalMuon as PracticalMuon,
    RMSprop as RMSprop,
    ScheduleFree as ScheduleFree,
    Shampoo as Shampoo,
    SignSGD as SignSGD,
    Signum as Signum,
    SquaresState as SquaresState,
    StochasticFrankWolfe as StochasticFrankWolfe,
    ThresholdedCautious as ThresholdedCautious,
    TripleMomentum as TripleMomentum,
    cautious_decay as cautious_decay,
)
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
