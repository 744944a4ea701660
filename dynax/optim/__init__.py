"""Optimizers, one a file."""

from dynax.optim._squares import SquaresState as SquaresState
from dynax.optim.accelerated_mirror import AcceleratedMirror as AcceleratedMirror
from dynax.optim.adagrad import AdaGrad as AdaGrad
from dynax.optim.adam import Adam as Adam, AdamState as AdamState
from dynax.optim.adamw import AdamW as AdamW
from dynax.optim.ademamix import (
    AdEMAMix as AdEMAMix,
    AdEMAMixState as AdEMAMixState,
)
from dynax.optim.bregman import BregmanLagrangian as BregmanLagrangian
from dynax.optim.cautious import (
    Cautious as Cautious,
    CautiousHamiltonian as CautiousHamiltonian,
    ThresholdedCautious as ThresholdedCautious,
)
from dynax.optim.cautious_decay import (
    CautiousDecay as CautiousDecay,
    CautiousDecayAdam as CautiousDecayAdam,
    CautiousDecayLyapunov as CautiousDecayLyapunov,
    cautious_decay as cautious_decay,
)
from dynax.optim.contra_muon import ContraMuon as ContraMuon
from dynax.optim.distributed_lion import DistributedLion as DistributedLion
from dynax.optim.frank_wolfe import (
    FrankWolfe as FrankWolfe,
    StochasticFrankWolfe as StochasticFrankWolfe,
    open_loop as open_loop,
)
from dynax.optim.gradient_descent import GradientDescent as GradientDescent
from dynax.optim.grams import Grams as Grams
from dynax.optim.hamiltonian_descent import HamiltonianDescent as HamiltonianDescent
from dynax.optim.heavy_ball import HeavyBall as HeavyBall
from dynax.optim.high_resolution import (
    HighResolutionC as HighResolutionC,
    HighResolutionHeavyBall as HighResolutionHeavyBall,
    HighResolutionSC as HighResolutionSC,
)
from dynax.optim.hyperball import (
    Hyperball as Hyperball,
    HyperballState as HyperballState,
)
from dynax.optim.immersion import Immersion as Immersion
from dynax.optim.lion_kappa import LionKappa as LionKappa, LionState as LionState
from dynax.optim.mars import MARS as MARS, MARSState as MARSState
from dynax.optim.mirror_descent import MirrorDescent as MirrorDescent
from dynax.optim.mixed import Mixed as Mixed, PartitionState as PartitionState
from dynax.optim.momentum import Momentum as Momentum, MomentumState as MomentumState
from dynax.optim.muon import Muon as Muon
from dynax.optim.nadamw import NadamW as NadamW, NadamWState as NadamWState
from dynax.optim.nesterov_c import NesterovC as NesterovC
from dynax.optim.nesterov_sc import NesterovSC as NesterovSC
from dynax.optim.nor_muon import NorMuon as NorMuon, NorMuonState as NorMuonState
from dynax.optim.online_subspace import (
    OnlineSubspaceDescent as OnlineSubspaceDescent,
    SubspaceState as SubspaceState,
)
from dynax.optim.outer import Outer as Outer, OuterState as OuterState
from dynax.optim.partition import Partition as Partition
from dynax.optim.practical_muon import (
    PracticalMuon as PracticalMuon,
    PracticalMuonState as PracticalMuonState,
)
from dynax.optim.prodigy import Prodigy as Prodigy, ProdigyState as ProdigyState
from dynax.optim.rmsprop import RMSprop as RMSprop
from dynax.optim.schedule_free import ScheduleFree as ScheduleFree
from dynax.optim.shampoo import Shampoo as Shampoo
from dynax.optim.sign import SignSGD as SignSGD, Signum as Signum
from dynax.optim.soap import SOAP as SOAP
from dynax.optim.soap_muon import SOAPMuon as SOAPMuon
from dynax.optim.soft_muon import SoftMuon as SoftMuon
from dynax.optim.triple_momentum import TripleMomentum as TripleMomentum
