"""Is a certificate honest? Runs of many problems, in many units of t and u, with enough
cycles and with too few, are each asked whether they are solved, and then compared with
the solution. A false certificate is a run that says "solved" and is off by more than
the certificate promises. The control judges the same networks by the residual alone,
in the units that it comes in, the last chunk of time left out.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import pde, pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.newton import LevenbergMarquardt
from dynax.pinn.networks import MLP, Box, Field
from dynax.report import COLORS, new_figure
from dynax.study import Study
from experiments.pinn._in_units import (
    Attractor,
    Duffing,
    Epidemic,
    Front,
    Phases,
    Predators,
    Relaxing,
    Swing,
    bistable,
    in_units,
    pulse,
    truth,
)


RTOL = 1e-2  # what a certificate promises
RESIDUAL = 3e-3  # what the last ε asks of the relative residual
STRENGTH = 1e4  # the last ε of the control
UNITS = (1.0, 1.0), (1e6, 1e-6), (1e-6, 1e6)  # of t and of u
PROBLEMS = {  # (equation, length of the window, periodic by construction)
    "epidemic 1e-3": (Epidemic(1e-3), 100.0, True),
    "epidemic 1e-6": (Epidemic(1e-6), 100.0, True),
    "epidemic, short": (Epidemic(1e-2), 20.0, True),
    "predators": (Predators(), 3.0, True),
    "bistable 1e-4": (bistable(1e-4), 20.0, True),
    "bistable 1e-6": (bistable(1e-6), 20.0, True),
    "bistable 0.1": (bistable(0.1), 4.0, True),
    "late pulse": (pulse(1.94, 2e-2), 2.0, True),
    "pulse 3e-3": (pulse(0.7, 3e-3), 2.0, True),
    "pulse 3e-4": (pulse(0.7, 3e-4), 2.0, True),
    "broad pulse": (pulse(0.7, 2e-1), 2.0, True),
    "pendulum": (Swing(), 8.0, True),
    "Duffing": (Duffing(), 4.0, True),
    "Lorenz ½": (Attractor(), 0.5, True),
    "Lorenz 2": (Attractor(), 2.0, True),
    "stiff": (Relaxing(), 1.0, True),
    "heat": (pde.Heat(), 1.0, True),
    "heat, open": (pde.Heat(), 1.0, False),
    "advection": (pde.Advection(3.0), 1.0, True),
    "advection, open": (pde.Advection(3.0), 1.0, False),
    "front": (Front(), 3.0, True),
    "Allen–Cahn": (Phases(1e-3, 2.0), 0.5, True),
}
SOME = (
    "bistable 0.1",
    "bistable 1e-4",
    "broad pulse",
    "late pulse",
    "pulse 3e-3",
    "heat",
)


@dataclasses.dataclass(frozen=True)
class Config:
    problems: tuple[str, ...] = SOME
    seeds: int = 1
    cycles: tuple[int, ...] = (60,)


SIZES = {
    "quick": Config(),
    "long": Config(tuple(PROBLEMS), 2, (20, 120)),
    "full": Config(tuple(PROBLEMS), 10, (20, 60, 200)),
}
SPACE = {
    "time": np.array([1e-6, 1.0, 1e6]),
    "size": np.array([1e-6, 1.0, 1e6]),
    "seed": np.arange(2),
}


def setting(name, time, size, key):
    """(training, model, window) of a problem in units."""
    problem, length, periodic = PROBLEMS[name]
    units = in_units(problem, time, size)
    space = bool(units.lower)
    objective = pinn.Objective(
        times=32 if space else 64, points=16 if space else 1, chunks=16
    )
    annealing = pinn.Annealing.reaching(RESIDUAL, chunks=16, patience=30)
    how = pinn.Trainer(objective, LevenbergMarquardt(), annealing)
    if periodic:
        network = pinn.mlp_field(units, key, width=16, depth=2)
    else:
        box = Box(units.lower, units.upper)
        body = MLP(box.size, len(units.fields), 16, 2, key=key)
        network = Field(box, body)
    zero = jnp.zeros(())
    window = pinn.Window(zero, zero + length * time, units.initial)
    return how, pinn.Model(network, units), window


def run(time, size, seed) -> dict:
    """The epidemic in units: what it says of itself."""
    how, model, window = setting("epidemic 1e-3", time, size, jax.random.key(seed))
    out = pinn.solve(how, model, window, jax.random.key(seed), cycles=60)
    return {"met": out.state.solved, "cycles": out.state.cycle}


def rows(results) -> list[dict]:
    """What every run says of itself, and what it is."""
    config, found = results.config, []
    for k, name in enumerate(config.problems):
        results.tell(k / len(config.problems), name)
        found += judged(name, config)
    return found


def judged(name, config) -> list[dict]:
    """All runs of one problem: one program."""
    problem, length, _ = PROBLEMS[name]
    right, rows = truth(problem, length), []
    for time, size in UNITS:
        for seed in range(config.seeds):
            key = jax.random.key(seed)
            how, model, window = setting(name, time, size, key)
            for cycles in config.cycles:
                out = pinn.train(how, model, window, key, cycles, block=20)
                certificate = how.certificate(out, window)
                u = how.solution(out.model, window)
                estimate = certificate.estimate
                rows.append(
                    {
                        "problem": name,
                        "units": (time, size),
                        "cycles": cycles,
                        "error": right.error(u, time, size),
                        "estimate": estimate.relative if estimate else np.nan,
                        "claims": certificate.holds,
                        "status": certificate.status,
                        "naive": bool(naive(how, out.model, window, key)),
                    }
                )
    return rows


@eqx.filter_jit
def naive(how, model, window, key):
    """exp(−ε Σ_{k<n} L_k) > δ, of the residual in the units that it comes in."""
    batch = how.objective.sample(key, model.pde, window)
    u = how.solution(model, window)
    r = jax.vmap(lambda t, x: jax.vmap(lambda x: model.pde.residual(u, t, x))(x))
    chunks = r(*batch.points) ** 2
    chunks = jnp.mean(chunks.reshape(how.objective.chunks, -1), 1) * chunks.shape[-1]
    return jnp.exp(-STRENGTH * jnp.sum(chunks[:-1])) > how.annealing.delta


def table(rows, key) -> np.ndarray:
    """[[true certificates, false ones], [missed, rightly refused]]."""
    claims = np.asarray([r[key] for r in rows])
    right = np.asarray([r["error"] <= RTOL for r in rows])
    return np.asarray(
        [
            [np.sum(claims & right), np.sum(claims & ~right)],
            [np.sum(~claims & right), np.sum(~claims & ~right)],
        ]
    )


def said(rows, key) -> str:
    t = table(rows, key)
    return (
        f"claimed and right {t[0, 0]}, claimed and wrong {t[0, 1]}, "
        f"refused though right {t[1, 0]}, refused and wrong {t[1, 1]}"
    )


def false(results) -> Measured:
    rows = results["rows"]
    kinds = {r["problem"] for r in rows}
    text = f"{len(rows)} certificates asked, of {len(kinds)} problems in {len(UNITS)} "
    return Measured(table(rows, "claims")[0, 1], f"{text}units; {said(rows, 'claims')}")


def refused(results) -> Measured:
    t = table(results["rows"], "claims")
    right = np.sum(t[:, 0])
    return Measured(t[1, 0] / max(right, 1), f"of {right} right runs")


def tempting(results) -> float:
    rows = results["rows"]
    return np.sum(table(rows, "claims")[:, 1]) / len(rows)


def ratio(results) -> Measured:
    known = [r for r in results["rows"] if np.isfinite(r["estimate"])]
    ratios = [r["estimate"] / r["error"] for r in known]
    errors = [r["error"] for r in known]
    return Measured(
        np.exp(np.max(np.abs(np.log(ratios)))),
        f"{len(ratios)} estimates, true errors {min(errors):.1e} to {max(errors):.1e}",
        (float(np.min(ratios)), float(np.max(ratios))),
    )


def false_of_residuals(results) -> Measured:
    rows = results["rows"]
    return Measured(table(rows, "naive")[0, 1], said(rows, "naive"))


CLAIMS = [
    Claim(
        "P7",
        f"false certificates: runs that say solved and are off by more than {RTOL}",
        equals(0, "a certificate is a promise"),
        false,
    ),
    Claim(
        "P7a",
        "share of the right runs that are refused",
        at_most(0.2, "a test that refuses everything is never wrong"),
        refused,
    ),
    Claim(
        "P7b",
        "share of the runs that are wrong, and could have been certified",
        at_least(0.1, "else there was nothing to refuse"),
        tempting,
    ),
    Claim(
        "P7c",
        "estimated error over the true one, at its furthest from 1 (a factor)",
        at_most(1.5, "grids and times of comparison differ"),
        ratio,
    ),
    Control(
        "P7x",
        f"P7 of the residual as it comes, at ε = {STRENGTH:g}",
        at_least(1, "the stop test as it was published"),
        false_of_residuals,
        of="P7",
    ),
]


def figures(results) -> dict:
    rows = results["rows"]
    names = list(dict.fromkeys(r["problem"] for r in rows))
    figure, axes = new_figure(2, 1, size=(8.4, 6.4), sharex=True)
    panels = ("claims", "The certificate"), ("naive", "The residual as it comes")
    kinds = (  # (said solved, right) → look
        ("solved, right", (True, True), {"c": COLORS["blue"], "marker": "o"}),
        ("solved, wrong", (True, False), {"c": COLORS["vermilion"], "marker": "X"}),
        ("refused, right", (False, True), {"c": COLORS["sky"], "marker": "v"}),
        ("refused, wrong", (False, False), {"c": COLORS["grey"], "marker": "v"}),
    )
    for axis, (key, title) in zip(axes[:, 0], panels, strict=True):
        for label, kind, look in kinds:
            part = [r for r in rows if (bool(r[key]), r["error"] <= RTOL) == kind]
            at = [names.index(r["problem"]) + aside(rows, r) for r in part]
            errors = [np.clip(r["error"], 1e-12, 1e3) for r in part]
            axis.scatter(at, errors, s=16, lw=0, label=label, **look)
        axis.axhline(RTOL, color=COLORS["black"], lw=0.8, ls="--")
        axis.set(yscale="log", xlim=(-0.6, len(names) - 0.4), ylabel="relative error")
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axis.set_title(f"{title}: {table(rows, key)[0, 1]} false")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return {"Each run: what it says of itself, and its error.": figure}


def aside(rows, row) -> float:
    """Runs of one problem side by side."""
    same = [r for r in rows if r["problem"] == row["problem"]]
    place = next(k for k, r in enumerate(same) if r is row)
    return 0.6 * (place / max(len(same) - 1, 1) - 0.5)


STUDY = Study(
    title="Is the certificate of a physics-informed network honest?",
    source="this work; the stop test: Wang, Sankaran, Perdikaris, arXiv:2203.07404",
    sizes=SIZES,
    parts={"rows": rows},
    claims=CLAIMS,
    figures=figures,
    run=run,
    space=SPACE,
)
