"""dynax: optimizers and physics as dynamical systems with audited energies."""

import importlib
import importlib.metadata
import os
import sys
from typing import TYPE_CHECKING


if os.path.basename(sys.argv[0]) == "dynax" or sys.orig_argv[1:3] == ["-m", "dynax"]:
    # as a command: XLA takes its own cached programs for another machine's, loudly
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from jaxlib.version import __version__ as _jaxlib

from dynax import _tree


_COMMAND = os.path.basename(sys.argv[0]) == "dynax"
_COMMAND = _COMMAND or sys.orig_argv[1:3] == ["-m", "dynax"]
# a command that prints help, or looks at a store, needs nothing of what follows
_LIGHT = _COMMAND and (
    sys.argv[1:2] in ([], ["-h"], ["--help"], ["--version"])
    or sys.argv[1:3] in (["sweep", "status"], ["sweep", "note"], ["sweep", "--help"])
)


if TYPE_CHECKING or not _LIGHT:
    from dynax import kappa as kappa, monitor as monitor, optim as optim
    from dynax.claim import (
        Bound as Bound,
        Claim as Claim,
        Control as Control,
        Measured as Measured,
        at_least as at_least,
        at_most as at_most,
        equals as equals,
    )
    from dynax.flow import (
        AbstractAccountedOptimizer as AbstractAccountedOptimizer,
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
        ledger_row as ledger_row,
        lie_derivative as lie_derivative,
        merge as merge,
        tally as tally,
        verdict as verdict,
    )
    from dynax.monitor import (
        Monitored as Monitored,
        Recorder as Recorder,
        WithDissipation as WithDissipation,
        as_optax as as_optax,
        audit as audit,
        iterate as iterate,
    )
    from dynax.optim import (
        MARS as MARS,
        SOAP as SOAP,
        AcceleratedMirror as AcceleratedMirror,
        AdaGrad as AdaGrad,
        Adam as Adam,
        AdamState as AdamState,
        AdamW as AdamW,
        AdEMAMix as AdEMAMix,
        BregmanLagrangian as BregmanLagrangian,
        Cautious as Cautious,
        CautiousDecay as CautiousDecay,
        CautiousDecayAdam as CautiousDecayAdam,
        CautiousDecayLyapunov as CautiousDecayLyapunov,
        CautiousHamiltonian as CautiousHamiltonian,
        ContraMuon as ContraMuon,
        DistributedLion as DistributedLion,
        FrankWolfe as FrankWolfe,
        GradientDescent as GradientDescent,
        Grams as Grams,
        HamiltonianDescent as HamiltonianDescent,
        HeavyBall as HeavyBall,
        HighResolutionC as HighResolutionC,
        HighResolutionHeavyBall as HighResolutionHeavyBall,
        HighResolutionSC as HighResolutionSC,
        Hyperball as Hyperball,
        Immersion as Immersion,
        LionKappa as LionKappa,
        LionState as LionState,
        MirrorDescent as MirrorDescent,
        Mixed as Mixed,
        Momentum as Momentum,
        MomentumState as MomentumState,
        Muon as Muon,
        NadamW as NadamW,
        NesterovC as NesterovC,
        NesterovSC as NesterovSC,
        NorMuon as NorMuon,
        OnlineSubspaceDescent as OnlineSubspaceDescent,
        Outer as Outer,
        Partition as Partition,
        PartitionState as PartitionState,
        PracticalMuon as PracticalMuon,
        Prodigy as Prodigy,
        RMSprop as RMSprop,
        ScheduleFree as ScheduleFree,
        Shampoo as Shampoo,
        SignSGD as SignSGD,
        Signum as Signum,
        SOAPMuon as SOAPMuon,
        SoftMuon as SoftMuon,
        SquaresState as SquaresState,
        StochasticFrankWolfe as StochasticFrankWolfe,
        ThresholdedCautious as ThresholdedCautious,
        TripleMomentum as TripleMomentum,
        cautious_decay as cautious_decay,
    )
    from dynax.study import (
        Results as Results,
        Study as Study,
    )
    from dynax.verify import (
        System as System,
        verify as verify,
    )


if TYPE_CHECKING:
    from dynax import (
        certify as certify,
        checkpoint as checkpoint,
        identify as identify,
        landscape as landscape,
        material as material,
        mechanics as mechanics,
        newton as newton,
        optax as optax,
        pde as pde,
        pinn as pinn,
        report as report,
        shapes as shapes,
        sweep as sweep,
    )
    from dynax.report import plot as plot

tree = _tree
# imported when first asked for, so that `import dynax` stays quick
_LATER = (
    "certify",
    "checkpoint",
    "identify",
    "landscape",
    "material",
    "mechanics",
    "newton",
    "optax",
    "pde",
    "pinn",
    "report",
    "shapes",
    "sweep",
)


def __getattr__(name: str):
    if name in _LATER:
        return importlib.import_module(f"dynax.{name}")
    if name == "plot":  # needs matplotlib, which importing dynax does not
        try:
            return importlib.import_module("dynax.report").plot
        except ModuleNotFoundError as error:
            how = "pip install 'dynax-lab[cli]'"
            need = str(error.name).split(".")[0]
            raise ImportError(f"dx.plot: needs {need}; run: {how}") from None
    if name == "__version__":
        return importlib.metadata.version("dynax-lab")
    raise AttributeError(f"module 'dynax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, "plot", "__version__"})


if _jaxlib == "0.10.2":
    raise ImportError(
        "jaxlib 0.10.2 computes wrong numbers on CPU; "
        'run: pip install "jax!=0.10.2" "jaxlib!=0.10.2"'
    )
