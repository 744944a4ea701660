"""Conditions on sides and problems without time: example problems of other packages,
their errors at stated seconds of processor time, and whether the certificate is honest.

Left out: diffusion–reaction and Lorenz inverse problems (`discovery`, `lorenz`), and
Schrödinger's equation, which is complex and periodic in space.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dynax import pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.newton import LevenbergMarquardt
from dynax.report import COLORS, new_figure
from dynax.study import Study
from experiments.pinn import _on_shapes as problems
from experiments.pinn._study import clocked


RTOL = 1e-2  # what a certificate promises
RESIDUAL = 1e-3  # what the last ε asks of the relative residual
SMOOTH = {  # (problem, width, points, cycles at most)
    "heat, Robin": (problems.Rod(), 12, 16, 40),
    "Helmholtz": (problems.Helmholtz(), 24, 1024, 80),
    "Kovasznay": (problems.Kovasznay(), 16, 512, 60),
    "plate": (problems.Plate(), 16, 512, 60),
}


@dataclasses.dataclass(frozen=True)
class Config:
    names: tuple[str, ...] = ("heat, Robin", "Helmholtz")
    seeds: int = 1
    cavity: bool = False


SIZES = {
    "quick": Config(),
    "long": Config(tuple(SMOOTH), 3, True),
    "full": Config(tuple(SMOOTH), 10, True),
}


def trained(problem, network, points, cycles, seed=0) -> dict:
    """One training, what it says of itself, and what it is."""
    timed = "t" in problem.needs.split()
    objective = pinn.Objective.steady(points)
    if timed:
        objective = pinn.Objective(32, points, 16)
    chunks = objective.chunks
    annealing = pinn.Annealing.reaching(RESIDUAL, chunks=chunks, patience=30)
    how = pinn.Trainer(objective, LevenbergMarquardt(), annealing, rtol=RTOL)
    window, key = pinn.Window.of(problem), jax.random.key(seed)
    model = pinn.Model(network, problem)
    out, seconds = clocked(pinn.train, how, model, window, key, cycles, block=20)
    certificate, judging = clocked(how.certificate, out, window)
    u = how.solution(out.model, window)
    estimate = certificate.estimate
    assert estimate is not None
    return {
        "u": u,
        "seconds": seconds,
        "judging": judging,
        "cycles": certificate.cycles,
        "status": certificate.status,
        "estimate": estimate.relative,
        "doubt": estimate.doubt,
    }


def of_name(name, seed, cycles=None) -> dict:
    problem, width, points, most = SMOOTH[name]
    key = jax.random.key(seed)
    network = pinn.mlp_field(problem, key, width=width, depth=2)
    most = most if cycles is None else cycles
    run = trained(problem, network, points, most, seed)
    return run | {"name": name, "error": float(max(problems.off(problem, run["u"])))}


def smooth(results) -> list[dict]:
    """Each problem to the end, and stopped after a few cycles."""
    names, found = results.config.names, []
    for k, name in enumerate(names):
        results.tell(k / len(names), name)
        for seed in range(results.config.seeds):
            found.append(of_name(name, seed))
            found.append(of_name(name, seed, 4) | {"early": True})
    return found


def wrong_sign(results) -> float:
    """The error of a rod that is told to gain heat where it loses some."""
    del results
    problem, width, points, cycles = SMOOTH["heat, Robin"]
    told = dataclasses.replace(problem, loss=-1.0)
    network = pinn.mlp_field(told, jax.random.key(0), width=width, depth=2)
    run = trained(told, network, points, cycles)
    return float(max(problems.off(problem, run["u"])))


def unseen(results) -> dict:
    """Helmholtz: the best solution, moved by a wave that the equation cannot see."""
    problem = problems.Helmholtz()
    runs = [r for r in results["smooth"] if r["name"] == "Helmholtz"]
    u = min(runs, key=lambda r: r["error"])["u"]
    moved = lambda t, x: u(t, x) + 0.05 * jnp.sin(problem.k * x[:1])
    found = pinn.correct(problem, moved)
    inside = pinn.correct(problem, u).before
    return {
        "error": float(max(problems.off(problem, moved))),
        "said": float(found.relative[0] + found.doubt[0]),
        "inside": inside,
    }


def corner(results) -> dict:
    """The L, by a network that is told r^{2/3} cos(2θ/3), and by one that is not."""
    del results
    problem, key = problems.Corner(), jax.random.key(0)
    plain = pinn.mlp_field(problem, key, width=12, depth=2)
    told = problems.Enriched(key)
    cycles = {"told": (told, 30), "plain": (plain, 30)}
    out = {name: trained(problem, n, 512, c) for name, (n, c) in cycles.items()}
    for run in out.values():
        run["error"] = float(max(problems.off(problem, run["u"])))
    return out


def cavity(results) -> dict | None:
    """u on the middle line of the cavity, beside the published table."""
    if not results.config.cavity:
        return None
    problem, key = problems.Cavity(), jax.random.key(0)
    network = pinn.mlp_field(problem, key, width=24, depth=3)
    run = trained(problem, network, 1024, 150)
    y = np.asarray([*problems.GHIA])
    line = jnp.stack([jnp.full(len(y), 0.5), jnp.asarray(y)], 1)
    u = jax.jit(jax.vmap(run["u"]))(jnp.zeros(len(y)), line)[:, 0]
    known = np.asarray([*problems.GHIA.values()])
    return run | {"y": y, "found": np.asarray(u), "known": known}


def whole(results) -> list[dict]:
    return [r for r in results["smooth"] if "early" not in r]


def errors(results) -> Measured:
    runs = whole(results)
    said = "; ".join(
        f"{r['name']} {r['error']:.0e} in {r['seconds']:.0f} s" for r in runs
    )
    each = [r["error"] for r in runs]
    return Measured(max(each), said, (min(each), max(each)))


def false(results) -> Measured:
    rows = results["smooth"]
    claimed = [r for r in rows if r["status"] == "solved"]
    wrong = [r for r in claimed if r["error"] > RTOL]
    return Measured(len(wrong), f"{len(claimed)} of {len(rows)} runs say solved")


def refused(results) -> Measured:
    runs = whole(results)
    left = [r for r in runs if r["status"] != "solved" and r["error"] <= RTOL]
    text = "; ".join(f"{r['name']}: {r['status']}" for r in left)
    return Measured(len(left) / len(runs), text or f"{len(runs)} runs")


def tempting(results) -> float:
    rows = results["smooth"]
    return sum(r["error"] > RTOL for r in rows) / len(rows)


def ratio(results) -> Measured:
    rows = [r for r in results["smooth"] if r["doubt"] < r["estimate"] / 10]
    ratios = [r["estimate"] / r["error"] for r in rows]
    text = f"{len(rows)} estimates whose doubt is below a tenth"
    return Measured(float(np.exp(np.max(np.abs(np.log(ratios))))), text)


def equation_alone(results) -> Measured:
    """1 where the residual inside passes and the error does not."""
    seen = results["unseen"]
    text = f"error {seen['error']:.2f}, residual {seen['inside']:.0e} as before"
    return Measured(int(seen["inside"] <= 3 * RESIDUAL and seen["error"] > RTOL), text)


def with_sides(results) -> Measured:
    seen = results["unseen"]
    text = f"the certificate's bound; the true error is {seen['error']:.2f}"
    return Measured(seen["said"], text)


def told(results) -> Measured:
    run = results["corner"]["told"]
    return Measured(run["error"], f"{run['seconds']:.0f} s, {run['status']}")


def plainly(results) -> Measured:
    runs = results["corner"]
    text = f"errors {runs['plain']['error']:.0e} and {runs['told']['error']:.0e}"
    return Measured(runs["plain"]["error"] / runs["told"]["error"], text)


def from_table(results) -> Measured:
    run = results["cavity"]
    off = float(np.max(np.abs(run["found"] - run["known"])))
    return Measured(off, f"of the lid's speed; {run['seconds']:.0f} s, {run['status']}")


def claims(config) -> list[Claim | Control]:
    listed = [
        Claim(
            "P20",
            "relative L2 error of smooth problems, the worst field",
            at_most(RTOL, "what their certificates promise"),
            errors,
        ),
        Control(
            "P20x",
            "P20 of a Robin condition with the wrong sign",
            at_least(0.1, "it is another problem"),
            wrong_sign_error,
            of="P20",
        ),
        Claim(
            "P21",
            f"false certificates: runs that say solved and are off by more than {RTOL}",
            equals(0, "a certificate is a promise"),
            false,
        ),
        Claim(
            "P21a",
            "share of runs that could have been certified wrongly",
            at_least(0.3, "half of them are stopped after 4 cycles"),
            tempting,
        ),
        Claim(
            "P21b",
            "share of the whole runs that are right and not certified",
            at_most(0.5, "a test that refuses everything is never wrong"),
            refused,
        ),
        Claim(
            "P21c",
            "estimated error over the true one, at its furthest from 1 (a factor)",
            at_most(1.5, "they are compared at different points"),
            ratio,
        ),
        Claim(
            "P22",
            "what a wave that the equation cannot see makes of the certificate's bound",
            at_least(RTOL, "the sides see it, so it must be refused"),
            with_sides,
        ),
        Control(
            "P22x",
            "false certificates of the equation's residual without the sides",
            at_least(1, "a missing side"),
            equation_alone,
            of="P22",
        ),
        Claim(
            "P23",
            "relative L2 error on the L with the corner's own function as a feature",
            at_most(1e-3, "what is left to the network is smooth"),
            told,
        ),
        Control(
            "P23x",
            "the same without it, as many times as large",
            at_least(3, "tanh networks have no r^{2/3}"),
            plainly,
            of="P23",
        ),
    ]
    if config.cavity:
        listed.append(
            Claim(
                "P24",
                "lid-driven cavity at Re 100: u on the middle line beside Ghia's table",
                at_most(0.02, "of the lid's speed, where the corners are singular"),
                from_table,
            )
        )
    return listed


def wrong_sign_error(results) -> float:
    return results["wrong sign"]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(8.4, 3.4))
    left, right = axes[0]
    for early, color, label in (
        (True, "vermilion", "4 cycles"),
        (False, "blue", "to the end"),
    ):
        rows = [r for r in results["smooth"] if r.get("early", False) == early]
        left.errorbar(
            [r["error"] for r in rows],
            [r["estimate"] for r in rows],
            [min(r["doubt"], r["estimate"] * 0.999) for r in rows],
            fmt="o",
            ms=4,
            color=COLORS[color],
            label=label,
        )
    ends = np.array([min(r["error"] for r in results["smooth"]) / 2, 2.0])
    left.plot(ends, ends, color=COLORS["grey"], lw=0.8)
    left.set(xscale="log", yscale="log", xlabel="error", ylabel="estimated error")
    left.legend()
    left.set_title("Estimate, with its doubt")
    s = np.linspace(-1, 1, 161)
    x = np.stack(np.meshgrid(s, s, indexing="ij"), -1).reshape(-1, 2)
    problem = problems.Corner()
    inside = problem.domain.contains(x)
    x = jnp.asarray(x[inside])
    u = results["corner"]["told"]["u"]
    found = jax.jit(jax.vmap(lambda x: u(0.0 * x[0], x)[0]))(x)
    known = jax.vmap(lambda x: problem.exact(0.0, x)[0])(x)
    picture = np.full(inside.shape, np.nan)
    picture[inside] = np.log10(np.abs(np.asarray(found - known)) + 1e-12)
    image = right.imshow(
        picture.reshape(161, 161).T, origin="lower", extent=(-1, 1, -1, 1)
    )
    right.grid(False)
    right.set(xlabel="x", ylabel="y")
    right.set_title("L: log₁₀ |error| with the corner's function")
    figure.colorbar(image, ax=right)
    return {"Estimates beside errors, and where the error on the L is.": figure}


STUDY = Study(
    title="Conditions on any side, problems without time",
    source="examples of DeepXDE and jinns; the estimate: this work",
    sizes=SIZES,
    parts={
        "smooth": smooth,
        "wrong sign": wrong_sign,
        "unseen": unseen,
        "corner": corner,
        "cavity": cavity,
    },
    claims=claims,
    figures=figures,
)
