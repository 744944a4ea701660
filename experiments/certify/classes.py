"""A Lyapunov function for every f of a class, found from `update` alone.

The theorem of Lion-κ is proved for every smooth f and every convex κ; none of its
constants can be loosened. For the rates μ = 1, L = 10.
Those that theory proves are met for gradient descent and triple momentum; for
Nesterov's method the rate is better than that of the printed potential.
"""

import dataclasses
import math
from fractions import Fraction

import numpy as np

import dynax as dx
from dynax import certify
from dynax.certify import _every_kappa as every_kappa
from dynax.certify._inequalities import Inequalities
from dynax.certify.class_ import linear_step
from dynax.claim import (
    Claim,
    Control,
    Measured,
    at_least,
    at_most,
    equals,
    largest,
)
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


MU, L = 1.0, 10.0
ROOT = math.sqrt(MU / L)
METHODS = {  # name → method, learning rate, rate of theory
    "gradient, 1/L": (dx.GradientDescent(), 1 / L, 1 - MU / L),
    "gradient, 2/(μ + L)": (dx.GradientDescent(), 2 / (MU + L), (L - MU) / (L + MU)),
    "triple momentum": (dx.TripleMomentum(MU), L**-0.5, 1 - ROOT),
    "Nesterov": (dx.NesterovSC(MU), L**-0.5, math.sqrt(1 - ROOT)),
}


@dataclasses.dataclass(frozen=True)
class Config:
    tolerance: float = 1e-4
    lions: int = 20
    kappas: tuple[float, ...] = (2.0, 5.0, 10.0, 30.0, 100.0)


SIZES = {
    "quick": Config(),
    "long": Config(1e-6, 200, tuple(np.geomspace(1.5, 1000, 25))),
    "full": Config(1e-6, 2000, tuple(np.geomspace(1.1, 1e5, 200))),
}


def rates(results) -> dict:
    found = {}
    for k, (name, (opt, lr, _)) in enumerate(METHODS.items()):
        results.tell(k / len(METHODS), name)
        constants = {"strong_convexity": MU, "smoothness": L}
        found[name] = certify.over_class(
            opt, lr, **constants, tolerance=results.config.tolerance
        )
    return found


def polyak(results):
    """Heavy ball with the constants that are the best on quadratics, κ = 25."""
    alpha, beta = 4 / 36, (4 / 6) ** 2
    return certify.over_class(
        dx.Momentum(beta), alpha, strong_convexity=1.0, smoothness=25.0
    )


def refused(results) -> str:
    """What over_class says of Adam, whose step is not linear."""
    try:
        certify.over_class(dx.Adam(), 0.1, strong_convexity=MU, smoothness=L)
    except ValueError as error:
        return str(error)
    return ""


def lions(results) -> list:
    """Certificates of Lion-κ with constants drawn at random, in any units."""
    rng, found = np.random.default_rng(0), []
    for k in range(results.config.lions):
        results.tell(k / results.config.lions, "Lion-κ")
        beta1, beta2 = np.sort(rng.uniform(0.3, 0.99, 2))
        lam, smoothness = 10 ** rng.uniform(-3, 3, 2)
        lr = 10 ** rng.uniform(-3, -0.5) / lam
        decay = ("explicit", "implicit")[k % 2]
        opt = dx.LionKappa(dx.kappa.L1(), beta1, beta2, lam, decay)
        found.append(certify.over_class(opt, lr, smoothness=smoothness).verdict)
    return found


def loosened(results) -> dict:
    """The excess where a constant of the theorem is a few per cent off."""
    opt = dx.LionKappa(dx.kappa.HalfSquared(), 0.5, 0.8, 1.0, "implicit")
    k = every_kappa.read(opt, 0.3, *linear_step(opt, 0.3), 2.0)
    wrong = {
        "0.9 c": {"c": 0.9 * k.c},
        "1.1 c": {"c": 1.1 * k.c},
        "0.95 (L/2)‖δ‖²": {"allowed": 0.95},
    }
    return {name: every_kappa.excess(k._replace(**w)) for name, w in wrong.items()}


def curves(results) -> dict:
    """Rates against κ."""
    kappas = results.config.kappas
    found = {"gradient": [], "triple momentum": [], "Nesterov": []}
    for k, kappa in enumerate(kappas):
        results.tell(k / len(kappas), f"κ = {kappa:.3g}")
        constants = {"strong_convexity": 1.0, "smoothness": float(kappa)}
        steps = {
            "gradient": (dx.GradientDescent(), 1 / kappa),
            "triple momentum": (dx.TripleMomentum(1.0), kappa**-0.5),
            "Nesterov": (dx.NesterovSC(1.0), kappa**-0.5),
        }
        for name, (opt, lr) in steps.items():
            found[name].append(certify.over_class(opt, float(lr), **constants).rate)
    return found


PARTS = {
    "rates": rates,
    "Polyak": polyak,
    "Adam": refused,
    "Lion-κ": lions,
    "loosened": loosened,
    "curves": curves,
}


def every_lion(results) -> Measured:
    """The largest excess over the theorem; ∞ where it is not proved."""
    found = results["Lion-κ"]
    each = [max(v.worst.values()) if v.status == "holds" else math.inf for v in found]
    return largest(each, f"{len(found)} sets of constants, proved in fractions")


def off(results, name) -> Measured:
    found = results["rates"][name]
    held = found.verdict.status == "holds"
    text = f"{found.rate:.5f}, {found.verdict.status}"
    return Measured(found.rate - METHODS[name][2] if held else math.inf, text)


def faster(results, name) -> Measured:
    """The margin by which 0.99 ρ is feasible: 0 where it is not."""
    opt, lr, _ = METHODS[name]
    A, B = linear_step(opt, lr)
    rho = 0.99 * results["rates"][name].rate
    found = Inequalities(A, B * L, MU / L).propose(Fraction(rho) ** 2)
    return Measured(found is None, f"ρ = {rho:.4f}")


CLAIMS = [
    *(
        Claim(
            id,
            f"{name}: the rate found over all f, less that of theory",
            at_most(1e-3, "the tolerance of the search"),
            lambda r, name=name: off(r, name),
            source=source,
        )
        for id, name, source in (
            ("K4", "gradient, 1/L", "Nesterov 2004, Theorem 2.1.15"),
            ("K4a", "gradient, 2/(μ + L)", "Nesterov 2004, Theorem 2.1.15"),
            ("K4b", "triple momentum", "Van Scoy, Freeman, Lynch 2018"),
        )
    ),
    Claim(
        "K4c",
        "Nesterov's method with constant momentum: the rate found",
        at_most(0.753, "0.7518 by another search of this kind; the potential: 0.827"),
        lambda r: r["rates"]["Nesterov"].rate,
    ),
    Claim(
        "K4d",
        "Polyak's heavy ball, κ = 25: undecided, with a run that does not converge",
        equals(1, "a 3-cycle attracts; infeasible alone proves nothing"),
        lambda r: Measured(
            r["Polyak"].verdict.status == "undecided"
            and r["Polyak"].verdict.counterexample is not None,
            r["Polyak"].verdict.reason,
        ),
    ),
    Claim(
        "K5",
        "Lion-κ, over every smooth f and convex κ: H₊ − H less the theorem's bound",
        at_most(1e-6, "the τ that is proved; 0 in theory"),
        every_lion,
        source="Chen, Liu, Liang, Liu, arXiv:2310.05898, Theorem 4.1",
    ),
    *(
        Control(
            f"K5{suffix}",
            f"claim K5 with {name}: some f and κ exceed it by",
            at_least(1e-3, "a thousand times what is proved of the theorem"),
            lambda r, name=name: Measured(
                0.0 if r["loosened"][name].proved else r["loosened"][name].theorem
            ),
            of="K5",
        )
        for suffix, name in zip(
            "xyz", ("0.9 c", "1.1 c", "0.95 (L/2)‖δ‖²"), strict=True
        )
    ),
    Control(
        "K4x",
        "claim K4 at 0.99 of the rate: no V is found",
        equals(1, "the rate of theory is attained"),
        lambda r: faster(r, "gradient, 1/L"),
        of="K4",
    ),
    Control(
        "K4y",
        "claim K4b at 0.99 of the rate: no V is found",
        equals(1, "the rate found is the least of this form"),
        lambda r: faster(r, "triple momentum"),
        of="K4b",
    ),
    Control(
        "K4z",
        "Adam, whose step is not linear, is refused by name",
        equals(1, "its gap from a linear step is of order one"),
        lambda r: Measured("Adam" in r["Adam"], r["Adam"][:80]),
        of="K4",
    ),
]


def figures(results) -> dict:
    kappas = np.asarray(results.config.kappas)
    figure, ((axis,),) = new_figure(size=(5.6, 4.0))
    theory = {
        "gradient": 1 - 1 / kappas,
        "triple momentum": 1 - kappas**-0.5,
        "Nesterov": np.sqrt(1 - kappas**-0.5),
    }
    colors = (COLORS[c] for c in ("blue", "vermilion", "green"))
    for (name, found), color in zip(results["curves"].items(), colors, strict=True):
        axis.plot(kappas, -np.log(found), "o", color=color, label=f"{name}: found")
        axis.plot(kappas, -np.log(theory[name]), color=color)
    axis.plot([], [], color=COLORS["grey"], label="published")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("condition number L/μ")
    axis.set_ylabel("−ln ρ, the rate a step")
    legend_below(axis)
    caption = (
        "Rates found for all f of a class (dots) meet the published ones (lines). "
        "That of Nesterov's method is better."
    )
    return {caption: figure}


STUDY = Study(
    title="Rates over a class of functions",
    source="Taylor, Van Scoy, Lessard, ICML 2018, arXiv:1803.06073",
    sizes=SIZES,
    parts=PARTS,
    claims=CLAIMS,
    figures=figures,
)
