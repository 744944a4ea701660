"""The methods whose rates are proved, right and wrong, and what is claimed of each."""

from collections.abc import Callable
from typing import NamedTuple

import dynax as dx
from dynax import kappa as K
from dynax.kappa import FourThirds
from experiments.optim._losses import box, convex, quartic, simplex, strong


class Row(NamedTuple):
    """A method made from μ, its losses, and its learning rate from L."""

    make: Callable
    losses: Callable
    lr: Callable = lambda L: L**-0.5
    claim: Callable | None = None  # another method's V, for a control


short = lambda L: 1 / L


entropy = K.LogSumExp(1.0)


MAPS = {
    "NAG-SC": Row(dx.NesterovSC, strong),
    "FISTA": Row(lambda mu: dx.NesterovC(), convex),
    "TMM": Row(dx.TripleMomentum, strong),
    "gradient descent": Row(dx.GradientDescent, strong, short),
    "gradient descent, μ = 0": Row(lambda mu: dx.GradientDescent(), convex, short),
    "mirror descent": Row(lambda mu: dx.MirrorDescent(entropy), simplex, short),
    "accelerated mirror": Row(lambda mu: dx.AcceleratedMirror(entropy), simplex),
    "Schedule-Free": Row(lambda mu: dx.ScheduleFree(), convex, short),
}


WRONG_MAPS = {
    "NAG-SC, μ × 1.5": Row(lambda mu: dx.NesterovSC(1.5 * mu), strong),
    "FISTA, step 1.9/L": Row(
        lambda mu: dx.NesterovC(), convex, lambda L: (1.9 / L) ** 0.5
    ),
    "gradient descent, step 2.1/L": Row(
        lambda mu: dx.GradientDescent(), convex, lambda L: 2.1 / L
    ),
    "NAG-SC with the V of TMM": Row(dx.NesterovSC, strong, claim=dx.TripleMomentum),
    "Schedule-Free, step 2.1/L": Row(
        lambda mu: dx.ScheduleFree(), convex, lambda L: 2.1 / L
    ),
}


FLOWS = {
    "gradient flow": Row(lambda mu: dx.GradientDescent(), convex),
    "gradient flow, μ > 0": Row(dx.GradientDescent, strong),
    "heavy ball, γ = 2√μ": Row(lambda mu: dx.HeavyBall(2 * mu**0.5), strong),
    "heavy ball, γ = 3√(μ/2)": Row(
        lambda mu: dx.HeavyBall(3 * (mu / 2) ** 0.5), strong
    ),
    "NAG-SC": Row(dx.NesterovSC, strong),
    "Su–Boyd–Candès": Row(lambda mu: dx.NesterovC(), convex),
    "TMM": Row(dx.TripleMomentum, strong),
    "high-resolution NAG-SC, √μ/4": Row(dx.HighResolutionSC, strong),
    "high-resolution NAG-SC, √μ": Row(
        lambda mu: dx.HighResolutionSC(mu, sharp=True), strong
    ),
    "high-resolution heavy ball, √μ/4": Row(dx.HighResolutionHeavyBall, strong),
    "high-resolution NAG-C": Row(lambda mu: dx.HighResolutionC(), convex),
    "mirror, ½‖·‖₃²": Row(lambda mu: dx.MirrorDescent(K.HalfSquaredLp(3.0)), convex),
    "mirror, simplex": Row(lambda mu: dx.MirrorDescent(entropy), simplex),
    "accelerated mirror, ½‖·‖²": Row(lambda mu: dx.AcceleratedMirror(), convex),
    "accelerated mirror, simplex": Row(
        lambda mu: dx.AcceleratedMirror(entropy), simplex
    ),
    "Bregman, p = 4": Row(lambda mu: dx.BregmanLagrangian(4.0), convex),
    "Hamiltonian, ½‖p‖²": Row(lambda mu: dx.HamiltonianDescent(), strong),
    "Hamiltonian, quartic f": Row(
        lambda mu: dx.HamiltonianDescent(FourThirds(), 0.8), quartic
    ),
    "Schedule-Free": Row(lambda mu: dx.ScheduleFree(), convex),
    "Frank–Wolfe": Row(lambda mu: dx.FrankWolfe(K.L1()), box),
}


WRONG_FLOWS = {
    "NAG-SC, μ × 1.1": Row(lambda mu: dx.NesterovSC(1.1 * mu), strong),
    "Su–Boyd–Candès, friction 2.9/t": Row(
        lambda mu: dx.BregmanLagrangian(1.9), convex, claim=lambda mu: dx.NesterovC()
    ),
    "accelerated mirror, r = 2.85": Row(
        lambda mu: dx.AcceleratedMirror(r=2.85),
        convex,
        claim=lambda mu: dx.AcceleratedMirror(r=3.0),
    ),
    "Bregman, p = 4.2": Row(
        lambda mu: dx.BregmanLagrangian(4.0),
        convex,
        claim=lambda mu: dx.BregmanLagrangian(4.2),
    ),
    "Hamiltonian, quartic f, ½‖p‖²": Row(lambda mu: dx.HamiltonianDescent(), quartic),
}


BLUNT = (  # rates proved with constants that nothing here attains
    "high-resolution NAG-SC, √μ/4",
    "high-resolution heavy ball, √μ/4",
    "Hamiltonian, ½‖p‖²",
    "Hamiltonian, quartic f",
)


SC, HB = "high-resolution NAG-SC", "high-resolution heavy ball"


TABLE = {
    "14": ("NAG-SC, V₊ ≤ (1 − √(μ/L))V", "map", ["NAG-SC"]),
    "14a": ("FISTA, V₊ ≤ V", "map", ["FISTA"]),
    "14b": ("TMM, V₊ ≤ (1 − √(μ/L))²V", "map", ["TMM"]),
    "14c": (
        "gradient descent, V₊ ≤ (1 − μ/L)²V",
        "map",
        ["gradient descent", "gradient descent, μ = 0"],
    ),
    "14d": ("mirror descent on a simplex, V₊ ≤ V", "map", ["mirror descent"]),
    "14e": ("accelerated mirror, simplex, V₊ ≤ V", "map", ["accelerated mirror"]),
    "14f": ("Schedule-Free, V₊ ≤ V", "map", ["Schedule-Free"]),
    "14g": (
        "Frank–Wolfe on a box, f(x_k) − f* ≤ 2L·diam²/(k+2)",
        "Frank–Wolfe",
        ["step 2/(k+2)"],
    ),
    "14h": (
        "gradient flow, V̇ ≤ −2μV − B‖∇f‖²",
        "flow",
        ["gradient flow, μ > 0", "gradient flow"],
    ),
    "14i": (
        "heavy ball, V̇ ≤ −(2γ/3)V",
        "flow",
        ["heavy ball, γ = 2√μ", "heavy ball, γ = 3√(μ/2)"],
    ),
    "14j": ("ẍ + 2√μẋ + ∇f = 0, V̇ ≤ −√μV", "flow", ["NAG-SC"]),
    "14k": ("Su–Boyd–Candès, V̇ ≤ 0", "flow", ["Su–Boyd–Candès"]),
    "14l": ("flow of TMM, V̇ ≤ −2√μV", "flow", ["TMM"]),
    "14m": (
        f"{SC}, V̇ ≤ −(√μ/4)V and Ẇ ≤ −√μW − h‖∇f‖²",
        "flow",
        [f"{SC}, √μ/4", f"{SC}, √μ"],
    ),
    "14n": (f"{HB}, V̇ ≤ −(√μ/4)V", "flow", [f"{HB}, √μ/4"]),
    "14o": (
        "high-resolution NAG-C, V̇ ≤ −½h(f − f*) − ht(t + h/2)‖∇f‖²",
        "flow",
        ["high-resolution NAG-C"],
    ),
    "14p": (
        "mirror flow, V̇ ≤ −(f − f*)",
        "flow",
        ["mirror, ½‖·‖₃²", "mirror, simplex"],
    ),
    "14q": (
        "accelerated mirror flow, r = 3, V̇ ≤ −t(1 − 2/r)(f − f*)",
        "flow",
        ["accelerated mirror, ½‖·‖²", "accelerated mirror, simplex"],
    ),
    "14r": ("Bregman Lagrangian, p = 4, V̇ ≤ 0", "flow", ["Bregman, p = 4"]),
    "14s": (
        "Hamiltonian descent, V̇ ≤ −λV",
        "flow",
        ["Hamiltonian, ½‖p‖²", "Hamiltonian, quartic f"],
    ),
    "14t": (
        "Schedule-Free, V̇ ≤ −D(x*, y) − D(y, x) − β⟨∇f(y) − ∇f(x), z − x⟩ ≤ 0",
        "flow",
        ["Schedule-Free"],
    ),
    "14u": ("Frank–Wolfe on a box, V̇ ≤ −V", "flow", ["Frank–Wolfe"]),
}
