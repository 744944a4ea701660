"""Every optimizer by name, with its default arguments where it has any.

A method whose steps are not gradients' in length has its own learning rate below.
"""

import dynax as dx
from dynax import kappa as K


MEMBERS: dict[str, dx.AbstractOptimizer] = {
    "lion": dx.LionKappa(),
    "lion-soft": dx.LionKappa(K.SoftAbs(0.1)),
    "lion-nuclear": dx.LionKappa(K.nuclear()),
    "signum": dx.Signum(),
    "sign-sgd": dx.SignSGD(),
    "muon": dx.Muon(),
    "partition": dx.Partition({"all": dx.Adam()}, lambda p: "all"),
    "muon-newton-schulz": dx.Muon(factor="newton-schulz"),
    "practical-muon": dx.PracticalMuon(),
    "distributed-lion": dx.DistributedLion(),
    "frank-wolfe": dx.FrankWolfe(K.L1(), 4.0),
    "stochastic-frank-wolfe": dx.StochasticFrankWolfe(K.L1(), 4.0),
    "cautious": dx.Cautious(dx.Adam()),
    "cautious-hamiltonian": dx.CautiousHamiltonian(dx.HeavyBall()),
    "thresholded-cautious": dx.ThresholdedCautious(dx.HeavyBall(), 10.0),
    "cautious-decay": dx.cautious_decay(dx.AdamW(), 1e-3),
    "cautious-decay-lyapunov": dx.cautious_decay(dx.HeavyBall(), 1e-3),
    "cautious-decay-adam": dx.cautious_decay(dx.Adam(), 1e-3),
    "online-subspace": dx.OnlineSubspaceDescent(dx.Momentum(), lambda t, g: g),
    "adam": dx.Adam(),
    "adamw": dx.AdamW(),
    "rmsprop": dx.RMSprop(),
    "adagrad": dx.AdaGrad(),
    "shampoo": dx.Shampoo(),
    "shampoo-kept-roots": dx.Shampoo(0.9, interval=3),
    "soap": dx.SOAP(),
    "schedule-free": dx.ScheduleFree(),
    "gradient-descent": dx.GradientDescent(),
    "momentum": dx.Momentum(),
    "momentum-nesterov": dx.Momentum(nesterov=True),
    "heavy-ball": dx.HeavyBall(),
    "nesterov-sc": dx.NesterovSC(),
    "nesterov-c": dx.NesterovC(),
    "triple-momentum": dx.TripleMomentum(),
    "high-resolution-sc": dx.HighResolutionSC(),
    "high-resolution-c": dx.HighResolutionC(),
    "high-resolution-heavy-ball": dx.HighResolutionHeavyBall(),
    "mirror-descent": dx.MirrorDescent(K.HalfSquared()),
    "accelerated-mirror": dx.AcceleratedMirror(),
    "bregman": dx.BregmanLagrangian(),
    "hamiltonian-descent": dx.HamiltonianDescent(),
    "immersion": dx.Immersion(),
}
