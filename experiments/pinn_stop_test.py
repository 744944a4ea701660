"""Is the stop test honest? Runs of many seeds, lengths and budgets, with causal weights
and without, are each asked whether they are solved, and then compared with the
solution. A false certificate is a run that says "solved" and is wrong. The control is
min w > δ at an ε that is small for the loss, by which wrong solutions pass too.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import Claim, pde, pinn
from dynax.newton import LevenbergMarquardt
from dynax.report import COLORS, new_figure


TITLE = "Is the stop test of causal PINNs honest?"
SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404"
LEVELS = (1e-2, 1.0, 1e2, 1e4)
SMALL = 1e-5  # the ε of the control
WRONG = 1e-2  # a relative L2 error from which on a solution is called wrong
PROBLEMS = {  # (equation, length of the window, cycles)
    "Lorenz 0.5": (pde.Lorenz(), 0.5, (20, 150)),
    "Lorenz 1": (pde.Lorenz(), 1.0, (20, 300)),
    "Lorenz 2": (pde.Lorenz(), 2.0, (300,)),
    "pendulum 8": (pde.Pendulum(), 8.0, (20, 150)),
    "Lotka–Volterra 8": (pde.LotkaVolterra(), 8.0, (20, 200)),
    "advection ½": (pde.Advection(), 0.5, (40,)),
    "heat 1": (pde.Heat(), 1.0, (20, 60)),
}


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 2
    problems: tuple = ("Lorenz 1", "pendulum 8")


SIZES = {
    "quick": Config(),
    "long": Config(seeds=5, problems=tuple(PROBLEMS)),
    "full": Config(seeds=20, problems=tuple(PROBLEMS)),
}
SPACE = {
    "length": np.array([2.0, 8.0]),
    "strength": np.array([0.0, 1.0]),
    "seed": np.arange(2),
}


def training(problem, scheme, top=1.0):
    space = bool(problem.lower)
    objective = pinn.Objective(
        times=32 if space else 64,
        points=16 if space else 1,
        chunks=16,
        scheme=scheme,
    )
    annealing = pinn.Annealing(top * jnp.asarray(LEVELS), patience=60)
    return pinn.Training(objective, LevenbergMarquardt(), annealing)


def window(problem, length) -> pinn.Window:
    t1 = jnp.asarray(length, jnp.result_type(float))
    zero = jnp.zeros_like(t1)
    start = lambda t, x: problem.initial(x)
    return pinn.Window(zero, t1, pinn.interpolate(problem, start, zero))


def run(length, strength, seed) -> dict:
    """The pendulum in one window; ε ends at 10⁴·`strength`, 0 being no weights."""
    problem, key = pde.Pendulum(), jax.random.key(seed)
    how = training(problem, pinn.Causal(), strength)
    network = pinn.mlp_field(problem, key, width=16, depth=2)
    over, model = window(problem, length), pinn.Model(network, problem)
    out = pinn.solve(how, model, over, key, cycles=100)
    losses = out.records.chunks
    last = jnp.max(jnp.where(out.records.cycle >= 0, out.records.cycle, 0))
    return {"solved": out.carry.solved, "loss": jnp.mean(losses[last])}


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return _measure(config, progress)


def _measure(config: Config, progress) -> dict:
    rows, count = [], len(config.problems)
    for k, name in enumerate(config.problems):
        problem, length, budgets = PROBLEMS[name]
        truth = pde.reference(problem, np.linspace(0, length, 101))
        over = window(problem, length)
        for j, scheme in enumerate((pinn.Causal(), pinn.Uniform())):
            progress((k + j / 2) / count, f"{name}, {type(scheme).__name__.lower()}")
            how = training(problem, scheme)
            for seed in range(config.seeds):
                key = jax.random.key(seed)
                network = pinn.mlp_field(problem, key, width=24, depth=2)
                model = pinn.Model(network, problem)
                for cycles in budgets:
                    out = pinn.train(how, model, over, key, cycles, block=20)
                    rows.append(judged(how, out, over, truth, name, scheme, cycles))
    progress(1.0, "done")
    return {"config": config, "rows": rows}


def judged(how, out, over, truth, name, scheme, cycles) -> dict:
    u = how.objective.ansatz(out.model.pde, out.model.network, over)
    certificate = out.certificate(how.annealing)
    ran = np.asarray(out.records.cycle) >= 0
    last = [a[ran][-1] for a in (out.records.log_min, out.records.strength)]
    delta = float(how.annealing.delta)
    return {
        "problem": name,
        "scheme": type(scheme).__name__,
        "cycles": cycles,
        "error": pde.relative_l2(u, truth).overall,
        "claims": certificate.holds,
        "naive": bool(np.exp(SMALL / last[1] * last[0]) > delta),
        "loss": certificate.loss,
    }


def table(rows, key) -> np.ndarray:
    """[[true certificates, false ones], [missed, rightly refused]]."""
    claims = np.asarray([r[key] for r in rows])
    right = np.asarray([r["error"] < WRONG for r in rows])
    return np.asarray(
        [
            [np.sum(claims & right), np.sum(claims & ~right)],
            [np.sum(~claims & right), np.sum(~claims & ~right)],
        ]
    )


def claims(results) -> list[Claim]:
    rows = results["rows"]
    ours, naive = table(rows, "claims"), table(rows, "naive")
    text = lambda t: (
        f"claimed and right {t[0, 0]}, claimed and wrong {t[0, 1]}, "
        f"refused though right {t[1, 0]}, refused and wrong {t[1, 1]}"
    )
    claim = functools.partial(Claim.judged, SOURCE)
    return [
        claim(
            "P7",
            f"false certificates: runs that say solved with an error ≥ {WRONG:g}",
            ours[0, 1],
            "≤ 0",
            f"{len(rows)} runs; {text(ours)}",
        ),
        claim(
            "P7a",
            "certificates: the test is not empty",
            ours[0, 0],
            f"≥ {len(rows) // 5}",
            f"of {np.sum(ours[:, 0])} runs that are right",
        ),
        claim(
            "P7b",
            "wrong runs that it had the chance to certify",
            ours[1, 1] + ours[0, 1],
            f"≥ {len(rows) // 10}",
        ),
        claim(
            "P7x",
            f"false certificates of min w > δ at ε = {SMALL:g}",
            naive[0, 1],
            "≥ 1 rejected",
            text(naive),
        ),
    ]


def figures(results) -> dict:
    rows = results["rows"]
    names = list(dict.fromkeys(r["problem"] for r in rows))
    figure, axes = new_figure(1, 2, size=(8.4, 4.0), sharey=True)
    panels = ("claims", "Our stop test"), ("naive", f"min w > δ at ε = {SMALL:g}")
    kinds = (  # (said solved, right) → look
        ("solved, right", (True, True), {"c": COLORS["blue"], "marker": "o"}),
        ("solved, wrong", (True, False), {"c": COLORS["vermilion"], "marker": "X"}),
        ("refused, right", (False, True), {"c": COLORS["sky"], "marker": "v"}),
        ("refused, wrong", (False, False), {"c": COLORS["grey"], "marker": "v"}),
    )
    for axis, (key, title) in zip(axes[0], panels, strict=True):
        for label, kind, look in kinds:
            part = [r for r in rows if (bool(r[key]), r["error"] < WRONG) == kind]
            at = [names.index(r["problem"]) + aside(rows, r) for r in part]
            errors = [max(r["error"], 1e-12) for r in part]
            axis.scatter(at, errors, s=26, lw=0, label=label, **look)
        axis.axhline(WRONG, color=COLORS["black"], lw=0.8, ls="--")
        axis.set(yscale="log", xlim=(-0.6, len(names) - 0.4))
        axis.set_xticks(range(len(names)), names, rotation=25, ha="right")
        axis.set_title(f"{title}: {table(rows, key)[0, 1]} false")
    axes[0, 0].set(ylabel="relative L2 error")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return {"Each run: what it says of itself, and its error": figure}


def aside(rows, row) -> float:
    """Runs of one problem side by side."""
    same = [r for r in rows if r["problem"] == row["problem"]]
    place = next(k for k, r in enumerate(same) if r is row)
    return 0.6 * (place / max(len(same) - 1, 1) - 0.5)
