"""Every optimizer once: what the laws of tests/test_optimizer_laws.py are held against.

A new method adds a row. Nothing here is compiled or run.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

import dynax as dx
from dynax import kappa as K
from dynax.kappa import FourThirds, Relativistic


LR = 1e-2


class Member(NamedTuple):
    """An optimizer, and how it is to be looked at.

    Args:
        opt: the optimizer.
        sweeps: of a hyper-parameter each: value → optimizer, and two values. All have
            the state of `opt`.
        energy_lr: the step at which the H of the map is the `energy` of the flow.
        group: members of one group compile one program.
        noisy: whether its balance is claimed of noisy gradients too.
    """

    opt: dx.AbstractOptimizer
    sweeps: tuple[tuple[Callable, tuple[float, float]], ...] = ()
    energy_lr: float = LR
    group: str = ""
    noisy: bool = True


def swept(make, *values, **options) -> Member:
    """One hyper-parameter; the member has its second value."""
    return Member(make(values[1]), ((make, values),), **options)


def decayed(opt, *sweeps, lam=None) -> Member:
    """The map with explicit decay λ is the implicit one with step ε/(1 − ελ)."""
    lam = opt.weight_decay if lam is None else lam
    return Member(opt, sweeps, LR / (1 - LR * lam))


# --- classical and accelerated -----------------------------------------------------

CLASSICAL = {
    "gradient": swept(lambda v: dx.GradientDescent(v), 0.0, 0.5),
    "heavy": swept(lambda v: dx.HeavyBall(v), 0.5, 2.0),
    "momentum": swept(lambda v: dx.Momentum(v), 0.5, 0.9),
    "momentum-nesterov": swept(lambda v: dx.Momentum(v, nesterov=True), 0.5, 0.9),
    "nesterov-c": Member(dx.NesterovC()),
    "nesterov-sc": swept(lambda v: dx.NesterovSC(v), 0.5, 2.0),
    "triple": swept(lambda v: dx.TripleMomentum(v), 0.5, 2.0),
    "high-c": Member(dx.HighResolutionC()),
    "high-sc": swept(lambda v: dx.HighResolutionSC(v), 0.5, 2.0),
    "high-heavy": swept(lambda v: dx.HighResolutionHeavyBall(v), 0.5, 2.0),
    "mirror": swept(lambda v: dx.MirrorDescent(K.HalfSquaredLp(v)), 1.5, 3.0),
    "mirror-simplex": swept(lambda v: dx.MirrorDescent(K.LogSumExp(v)), 0.5, 1.0),
    "accelerated": swept(lambda v: dx.AcceleratedMirror(r=v), 2.0, 3.0),
    "accelerated-lp": swept(
        lambda v: dx.AcceleratedMirror(K.HalfSquaredLp(v)), 1.5, 3.0
    ),
    "bregman": swept(lambda v: dx.BregmanLagrangian(v), 2.0, 4.0),
    "hamiltonian": swept(lambda v: dx.HamiltonianDescent(damping=v), 0.3, 0.8),
    "hamiltonian-second": swept(
        lambda v: dx.HamiltonianDescent(FourThirds(), v, scheme="second"), 0.3, 0.8
    ),
    "hamiltonian-relativistic": swept(
        lambda v: dx.HamiltonianDescent(Relativistic(), v), 0.3, 0.8
    ),
    "immersion": swept(lambda v: dx.Immersion(v), 0.5, 2.0),
}

# --- adaptive ----------------------------------------------------------------------

ADAPTIVE = {
    "adam": Member(
        dx.Adam(),
        (
            (dx.Adam, (0.5, 0.9)),
            (lambda b: dx.Adam(beta2=b), (0.9, 0.999)),
            (lambda e: dx.Adam(eps=e, eps_root=e), (1e-8, 1e-2)),
        ),
        0.9 * LR,
    ),
    "adam-plain": Member(
        dx.Adam(0.9, 0.99, 1e-3, 1e-3, bias_correction=False), energy_lr=0.9 * LR
    ),
    "adamw": swept(lambda lam: dx.AdamW(weight_decay=lam), 0.0, 0.5),
    "rmsprop": Member(dx.RMSprop(0.99), ((dx.RMSprop, (0.5, 0.9)),)),
    "adagrad": Member(dx.AdaGrad(), ((dx.AdaGrad, (1e-7, 0.1)),)),
    "shampoo": Member(dx.Shampoo(), ((dx.Shampoo, (0.9, 1.0)),)),
    "shampoo-3": Member(dx.Shampoo(0.9, interval=3)),
    "soap": Member(
        dx.SOAP(interval=2),
        (
            (lambda b: dx.SOAP(beta3=b), (0.9, 0.95)),
            (lambda k: dx.SOAP(interval=k), (2.0, 10.0)),
        ),
        0.95 * LR,
    ),
    "soap-adam": Member(dx.SOAP(0.9, 0.99, beta3=0.9, longest=1), energy_lr=0.9 * LR),
    "schedule-free": Member(
        dx.ScheduleFree(),
        (
            (dx.ScheduleFree, (0.0, 0.9)),
            (lambda p: dx.ScheduleFree(weight_power=p), (0.0, 2.0)),
        ),
    ),
    "schedule-free-0": Member(dx.ScheduleFree(0.0, weight_power=1.0)),
    "ademamix": Member(
        dx.AdEMAMix(beta3=0.99, weight_decay=0.1),
        ((lambda a: dx.AdEMAMix(alpha=a), (0.0, 5.0)),),
    ),
    "nadamw": Member(dx.NadamW(), ((dx.NadamW, (0.5, 0.9)),)),
    "prodigy": Member(
        dx.Prodigy(distance=0.1, weight_decay=0.1),
        ((lambda d: dx.Prodigy(distance=d), (0.01, 0.1)),),
    ),
    "mars": Member(dx.MARS(), ((lambda g: dx.MARS(gamma=g), (0.0, 0.1)),)),
    "grams": Member(dx.Grams(dx.Adam())),
    "hyperball": Member(dx.Hyperball(dx.Adam())),
    "soap-muon": Member(dx.SOAPMuon(dx.SOAP(eps=1.0, interval=2))),
    "outer": Member(
        dx.Outer(dx.Momentum(), interval=3),
        ((lambda e: dx.Outer(dx.Momentum(), 3, e), (0.5, 1.0)),),
    ),
}

# --- relatives of Lion-κ -----------------------------------------------------------


def turning(t, g):
    """P_tᵀg: a matrix to one row that turns, a vector to three scaled entries."""
    c, s = (f(3 * t).astype(g["w"].dtype) for f in (jnp.cos, jnp.sin))
    row = jnp.stack([c, s])[:, None]
    return {"w": jnp.sum(row * g["w"], axis=0), "b": g["b"][:3] * (1 + c)}


def lion(kappa, beta1=0.9, beta2=0.99, lam=0.0):
    return dx.LionKappa(kappa, beta1, beta2, lam)


BALL = lion(K.HalfSquared())
RELATIVES = {
    "sign": Member(dx.SignSGD(), ((dx.SignSGD, (0.1, 0.5)),)),
    "sign-decay": decayed(dx.SignSGD(0.5)),
    "signum": Member(dx.Signum(), ((dx.Signum, (0.5, 0.9)),)),
    "signum-decay": decayed(dx.Signum(0.8, 0.5)),
    "muon": decayed(dx.Muon(), (dx.Muon, (0.5, 0.9))),
    "muon-ns": decayed(dx.Muon(weight_decay=0.5, factor="newton-schulz")),
    "practical-muon": Member(
        dx.PracticalMuon(weight_decay=0.3), ((dx.PracticalMuon, (0.5, 0.9)),)
    ),
    "soft-muon": decayed(dx.SoftMuon(0.3, weight_decay=0.5), (dx.SoftMuon, (0.2, 0.6))),
    "soft-muon-power": decayed(dx.SoftMuon(0.5, weight_decay=0.5, normalized=False)),
    "contra-muon": Member(
        dx.ContraMuon(weight_decay=0.3), ((dx.ContraMuon, (0.1, 0.5)),)
    ),
    "nor-muon": Member(
        dx.NorMuon(weight_decay=0.3),
        ((lambda b: dx.NorMuon(beta2=b), (0.5, 0.9)),),
    ),
    "distributed": Member(
        dx.DistributedLion(weight_decay=0.5),
        ((lambda b: dx.DistributedLion(beta1=b, weight_decay=b), (0.5, 0.9)),),
    ),
    "fw-box": decayed(
        dx.FrankWolfe(K.L1(), 2.0),
        (lambda r: dx.FrankWolfe(K.L1(), r), (1.0, 2.0)),
        lam=1.0,  # of Frank–Wolfe, ελ is the learning rate
    ),
    "fw-nuclear": decayed(dx.FrankWolfe(K.nuclear(), 2.0), lam=1.0),
    "fw-composite": decayed(dx.FrankWolfe(K.HalfSquared(), 2.0), lam=1.0),
    "fw-stochastic": decayed(
        dx.StochasticFrankWolfe(K.L1(), 2.0),
        (lambda b: dx.StochasticFrankWolfe(K.L1(), 2.0, b), (0.5, 0.9)),
        lam=1.0,
    ),
    "cautious": Member(dx.Cautious(dx.DistributedLion())),
    "cautious-lion": Member(dx.CautiousHamiltonian(lion(K.L1()))),
    "cautious-ball": swept(
        lambda b: dx.CautiousHamiltonian(lion(K.HalfSquared(), b)), 0.5, 0.9
    ),
    "cautious-adam": Member(dx.CautiousHamiltonian(dx.Adam())),
    "thresholded": Member(
        dx.ThresholdedCautious(BALL, 5.0),
        ((lambda L: dx.ThresholdedCautious(BALL, L), (1.0, 90.0)),),
        noisy=False,  # f falls along its own gradient
    ),
    "cwd-unknown": Member(dx.cautious_decay(dx.DistributedLion(), 0.5)),
    "cwd-sgd": Member(dx.cautious_decay(dx.GradientDescent(), 0.5)),
    "cwd-sign": Member(dx.cautious_decay(dx.SignSGD(), 0.5)),
    "cwd-sgdm": swept(lambda lam: dx.cautious_decay(dx.Momentum(), lam), 0.1, 0.5),
    "cwd-ball": Member(dx.cautious_decay(dx.HeavyBall(), 0.5)),
    "cwd-signum": Member(dx.cautious_decay(dx.Signum(), 0.5)),
    "cwd-lion": Member(dx.cautious_decay(lion(K.SoftAbs(0.2)), 0.5)),
    "cwd-adam": Member(dx.cautious_decay(dx.Adam(), 0.5)),
    "osd-ball": swept(
        lambda b: dx.OnlineSubspaceDescent(lion(K.HalfSquared(), b), turning), 0.5, 0.9
    ),
    "osd-adam": Member(dx.OnlineSubspaceDescent(dx.Adam(), turning)),
}

# --- Lion-κ ------------------------------------------------------------------------


def box(g):
    return jax.tree.map(lambda a: -jnp.sign(a), g)


KAPPAS = {
    "l1": K.L1(),
    "lp": K.Lp(1.5),
    "lp-tree": K.Lp(3.0, scope="tree"),
    "linf": K.LInf(),
    "group": K.GroupL2(axis=0),
    "topk": K.TopK(2),
    "sparse": K.SparseL1(0.1),
    "huber": K.Huber(0.3),
    "softabs": K.SoftAbs(0.2),
    "logcosh": K.LogCosh(2.0),
    "half": K.HalfSquared(),
    "half-lp": K.HalfSquaredLp(1.5),
    "quartic": K.Quartic(),
    "nuclear": K.nuclear(),
    "spectral": K.spectral(),
    "kyfan": K.ky_fan(2),
    "smooth-nuclear": K.OrthogonallyInvariant(K.SoftAbs(0.2)),
    "support": K.Support(box, zero_in_domain=True),
}
FIELDS = tuple(
    (
        lambda v, field=field: dx.LionKappa(
            K.SoftAbs(0.2), **{"weight_decay": 0.5, field: v}
        ),
        (0.2, 0.9),
    )
    for field in ("beta1", "beta2", "weight_decay")
)


def _lion(name, decay, lam) -> Member:
    opt = dx.LionKappa(KAPPAS[name], weight_decay=lam, decay=decay)
    energy_lr = LR / (1 - LR * lam) if decay == "explicit" else LR
    sweeps = FIELDS if (name, decay) == ("softabs", "explicit") else ()
    return Member(opt, sweeps, energy_lr, f"lion-{name}-{decay}")


LIONS = {
    f"lion-{name}-{decay}-{lam:g}": _lion(name, decay, lam)
    for name in KAPPAS
    for decay in ("explicit", "implicit")
    for lam in (0.0, 0.5)
}

MEMBERS = CLASSICAL | ADAPTIVE | RELATIVES | LIONS


def each(names):
    """A test for each member; one worker has all tests of one group."""
    return pytest.mark.parametrize("name", [case(name) for name in names])


def case(name, *more):
    group = pytest.mark.xdist_group(MEMBERS[name].group or name)
    return pytest.param(name, *more, marks=group)


def those(kind, table=MEMBERS):
    return [name for name, member in table.items() if isinstance(member.opt, kind)]
