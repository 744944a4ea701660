"""Problems without time, and conditions on any side: what a certificate says of them.
Ten examples of DeepXDE (some are jinns', too) are solved in the same time each, and
judged twice, by dynax and by an oracle from outside. What fails is listed as failing.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.report import COLORS, new_figure
from dynax.study import Study
from experiments.pinn import _on_shapes as problems
from experiments.pinn._examples import EXAMPLES, OWN, RTOL, Example


EARLY = 2  # cycles of runs that are stopped
DEGREE = 12  # of polynomials on the L


@dataclasses.dataclass(frozen=True)
class Config:
    """Which examples, the seconds of training each, and which are stopped early too."""

    examples: tuple[Example, ...] = OWN[:1]
    early: tuple[Example, ...] = OWN[:1]
    seconds: float = 20.0
    seeds: int = 1


SIZES = {
    "quick": Config(),
    "long": Config((*EXAMPLES, *OWN), OWN),
    "full": Config((*EXAMPLES, *OWN), (*EXAMPLES, *OWN), 120.0, 3),
}


# Parts --------------------------------------------------------------------------------


def solved(results) -> list[dict]:
    """A row of each example and seed, trained as long as it may."""
    config, found = results.config, []
    for k, example in enumerate(config.examples):
        results.tell(k / len(config.examples), example.name)
        for seed in range(config.seeds):
            row = example.solve(config.seconds, seed)
            found.append(row | {"name": example.name, "early": False})
    return found


def stopped(results) -> list[dict]:
    """The same, stopped after a few cycles."""
    rows = [(e.name, e.solve(1e9, 0, EARLY)) for e in results.config.early]
    return [row | {"name": name, "early": True} for name, row in rows]


def wrong_sign(results) -> float:
    """The error of a plate that is told to gain heat where it loses some."""
    del results
    u, _ = pinn.steady_reference(problems.Gaining(), 10)
    return float(max(problems.off(problems.Gaining(), u)))


def unseen(results) -> dict:
    """Helmholtz: the solution, moved by a wave that the equation cannot see."""
    del results
    problem = problems.Helmholtz()
    wave = lambda x: 0.05 * jnp.sin(problem.k * x[:1])
    moved = lambda t, x: problem.exact(t, x) + wave(x)
    found = pinn.correct(problem, moved)
    alone = pinn.correct(problems.Open(), moved)
    return {
        "error": float(max(problems.off(problem, moved))),
        "said": float(found.relative[0] + found.doubt[0]),
        "alone": alone.before,
    }


def corner(results) -> dict:
    """The L by polynomials, with the functions of its corners and without."""
    del results
    found = {}
    for problem in (problems.Membrane(), problems.Blind()):
        u, said = pinn.steady_reference(problem, DEGREE)
        told = {"u": u, "doubt": float(said.doubt[0])}
        told["error"] = float(max(problems.off(problem, u)))
        found[type(problem).__name__] = told
    return found


PARTS = {
    "solved": solved,
    "stopped": stopped,
    "wrong sign": wrong_sign,
    "unseen": unseen,
    "corner": corner,
}


# Claims -------------------------------------------------------------------------------


def every(results) -> list[dict]:
    return [*results["solved"], *results["stopped"]]


def said_solved(rows) -> list[dict]:
    return [row for row in rows if row["status"] == "solved"]


def text(row) -> str:
    return f"{row['name']} {row['error']:.0e} {row['status']} {row['seconds']:.0f} s"


def worst(results) -> Measured:
    rows = said_solved(results["solved"])
    errors = [row["error"] for row in rows] or [np.inf]
    listed = "; ".join(map(text, rows))
    return Measured(max(errors), listed, (min(errors), max(errors)))


def false(results) -> Measured:
    rows = every(results)
    claimed = said_solved(rows)
    wrong = [row for row in claimed if not row["error"] <= RTOL]
    return Measured(len(wrong), f"{len(claimed)} of {len(rows)} runs say solved")


def tempting(results) -> float:
    rows = every(results)
    return sum(not row["error"] <= RTOL for row in rows) / len(rows)


def refused(results) -> Measured:
    rows = [row for row in results["solved"] if row["error"] <= RTOL]
    left = [row for row in rows if row["status"] != "solved"]
    listed = "; ".join(map(text, left)) or f"{len(rows)} runs are right"
    return Measured(len(left) / max(len(rows), 1), listed)


def ratio(results) -> Measured:
    """Of steady problems, where the error is of u and not of a coefficient."""
    rows = [row for row in every(results) if row["doubt"] < row["estimate"] / 10]
    rows = [row for row in rows if row.get("compared", True)]
    ratios = [row["estimate"] / row["error"] for row in rows] or [np.inf]
    listed = f"{len(rows)} estimates whose doubt is below a tenth of them"
    return Measured(float(np.exp(np.max(np.abs(np.log(ratios))))), listed)


def reached(results) -> Measured:
    rows = results["solved"][: len(EXAMPLES) * results.config.seeds]
    right = sum(row["error"] <= RTOL for row in rows) / results.config.seeds
    return Measured(right, "; ".join(map(text, rows)))


def untrained(results) -> float:
    return sum(row["error"] <= RTOL for row in results["stopped"])


def at_corner(results, name, what) -> Measured:
    row = results["corner"][name]
    return Measured(row[what], f"error {row['error']:.0e}, doubt {row['doubt']:.0e}")


def alone(results) -> Measured:
    seen = results["unseen"]
    blind = seen["alone"] <= 1e-9 and seen["error"] > RTOL
    return Measured(
        int(blind), f"error {seen['error']:.2f}, residual {seen['alone']:.0e}"
    )


def with_sides(results) -> Measured:
    seen = results["unseen"]
    return Measured(seen["said"], f"the true error is {seen['error']:.2f}")


CLAIMS = [
    Claim(
        "P20",
        "relative error of what is called solved: the worst",
        at_most(RTOL, "what the certificates promise"),
        worst,
    ),
    Control(
        "P20x",
        "P20 of a plate whose Robin condition has the wrong sign",
        at_least(0.1, "it is another problem"),
        lambda results: results["wrong sign"],
        of="P20",
    ),
    Claim(
        "P21",
        f"false certificates: runs called solved that are off by more than {RTOL}",
        equals(0, "a certificate is a promise"),
        false,
    ),
    Control(
        "P21x",
        "P21 if every run were called solved",
        at_least(1, "those that are stopped early are wrong"),
        lambda results: sum(not row["error"] <= RTOL for row in every(results)),
        of="P21",
    ),
    Claim(
        "P21a",
        "share of runs that could have been certified wrongly",
        at_least(0.3, "some are stopped after a few cycles"),
        tempting,
    ),
    Claim(
        "P21b",
        "share of right runs that are refused",
        at_most(0.5, "a test that refuses everything is never wrong"),
        refused,
    ),
    Claim(
        "P21c",
        "estimated over true error, at its furthest from 1 (a factor)",
        at_most(2, "they are compared at different points, and times"),
        ratio,
    ),
    Claim(
        "P22",
        "what the certificate says of a solution moved by a wave the equation allows",
        at_least(RTOL, "the sides see it, so it must be refused"),
        with_sides,
    ),
    Control(
        "P22x",
        "the same judged without the sides: false certificates",
        at_least(1, "a missing side"),
        alone,
        of="P22",
    ),
    Claim(
        "P23",
        "Poisson on an L with the functions of its corners: error beside the expansion",
        at_most(1e-3, "what the expansion on the outer sides is off by"),
        functools.partial(at_corner, name="Membrane", what="error"),
    ),
    Claim(
        "P23a",
        "the same: what is left in doubt",
        at_most(1e-3, "as P23"),
        functools.partial(at_corner, name="Membrane", what="doubt"),
    ),
    Control(
        "P23x",
        "P23 without these functions",
        at_least(1e-2, "no polynomial has r^{2/3}"),
        functools.partial(at_corner, name="Blind", what="error"),
        of="P23",
    ),
    Control(
        "P23y",
        "P23a without these functions: no certificate",
        at_least(RTOL, "what is not in the span is in doubt"),
        functools.partial(at_corner, name="Blind", what="doubt"),
        of="P23a",
    ),
]


def claims(config) -> list[Claim | Control]:
    if len(config.examples) < len(EXAMPLES):
        return CLAIMS
    return [
        *CLAIMS,
        Claim(
            "P24",
            f"of ten published examples those within {RTOL}, {config.seconds:g} s each",
            at_least(5, "half of them; the others are listed"),
            reached,
        ),
        Control(
            "P24x",
            f"the same after {EARLY} cycles",
            at_most(1, "hardly trained"),
            untrained,
            of="P24",
        ),
    ]


# Figures ------------------------------------------------------------------------------


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(8.4, 3.6))
    left, right = axes[0]
    looks = (True, "vermilion", f"{EARLY} cycles"), (False, "blue", "to the end")
    shown = [row for row in every(results) if np.isfinite(row["estimate"])]
    shown = [row for row in shown if np.isfinite(row["error"])]
    for early, color, label in looks:
        rows = [row for row in shown if row["early"] == early]
        left.errorbar(
            [row["error"] for row in rows],
            [row["estimate"] for row in rows],
            [min(row["doubt"], row["estimate"] * 0.999) for row in rows],
            fmt="o",
            ms=4,
            color=COLORS[color],
            label=label,
        )
    ends = np.array([min(row["error"] for row in shown) / 2, 2.0])
    left.plot(ends, ends, color=COLORS["grey"], lw=0.8)
    left.set(xscale="log", yscale="log", xlabel="error", ylabel="estimated error")
    left.legend()
    left.set_title("Estimate, with its doubt")
    picture = on_the_ell(results["corner"]["Blind"]["u"])
    image = right.imshow(picture.T, origin="lower", extent=(-1, 1, -1, 1))
    right.grid(False)
    right.set(xlabel="x", ylabel="y")
    right.set_title("L, corners not declared: log₁₀ |error|")
    figure.colorbar(image, ax=right)
    return {"Estimates beside errors, and where the error on an L is.": figure}


def on_the_ell(u) -> np.ndarray:
    """log₁₀ |error| on a grid, NaN outside."""
    problem, s = problems.Membrane(), np.linspace(-1, 1, 121)
    x = np.stack(np.meshgrid(s, s, indexing="ij"), -1).reshape(-1, 2)
    inside = np.asarray(problem.shape.contains(x))
    zero = jnp.zeros(())
    gap = jax.jit(jax.vmap(lambda x: (u(zero, x) - problem.exact(zero, x))[0]))
    picture = np.full(inside.shape, np.nan)
    picture[inside] = np.log10(np.abs(np.asarray(gap(jnp.asarray(x[inside])))) + 1e-12)
    return picture.reshape(len(s), len(s))


STUDY = Study(
    "Problems without time, and conditions on any side",
    "examples of DeepXDE and jinns; the estimate: this work",
    SIZES,
    PARTS,
    claims,
    figures,
)
