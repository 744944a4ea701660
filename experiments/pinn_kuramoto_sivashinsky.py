"""Kuramoto–Sivashinsky, fourth order and, on the larger circle, chaotic: a network
marches by Levenberg–Marquardt steps in float64. An error of the start grows
3.6·10⁴-fold until t = 1 in the chaotic problem, so every window has to be solved far
better than the answer needs to be. A march whose windows are not solved goes wrong
without a sound unless it is stopped.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from _space_time import clocked, errors, maps, values

from dynax import Claim, pde, pinn
from dynax.newton import LevenbergMarquardt
from dynax.pde.etdrk4 import integrate
from dynax.pinn.diagnostics import error_growth


TITLE = "Kuramoto–Sivashinsky by a network that marches"
SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404"


@dataclasses.dataclass(frozen=True)
class March:
    """One problem's recipe."""

    horizon: float
    step: float  # of a window
    error: float  # claimed
    levels: tuple = (1.0, 10.0, 100.0)
    cycles: int = 240  # a window, at most
    width: int = 32
    depth: int = 2
    modes: int = 2  # of the periodic features
    points: int = 64  # at each of 32 times
    hand: int = 48  # modes of the state handed over


@dataclasses.dataclass(frozen=True)
class Config:
    regular: March = March(0.1, 0.1, 1e-3)
    chaotic: March = March(0.05, 0.05, 5e-4, modes=4)
    accuracy: float = 1e-6  # of the references


LARGE = March(1.0, 0.1, 3.5e-4, cycles=1000, depth=3, modes=4, points=128)
SIZES = {
    "quick": Config(),
    "long": Config(March(0.2, 0.1, 1e-3), March(0.1, 0.05, 5e-4, modes=4), 1e-7),
    "full": Config(
        LARGE,
        dataclasses.replace(LARGE, step=0.05, error=1e-3, modes=6),
        1e-9,
    ),
}
SPACE = {
    "strength": np.array([0.0, 1.0, 100.0]),
    "length": np.array([0.05, 0.1]),
    "seed": np.arange(2),
}
PROBLEMS = {
    "regular": pde.KuramotoSivashinsky(),
    "chaotic": pde.ChaoticKuramotoSivashinsky(),
}


def training(points, levels, patience) -> pinn.Training:
    objective = pinn.Objective(times=32, points=points, chunks=32)
    annealing = pinn.Annealing(levels, patience=patience)
    return pinn.Training(objective, LevenbergMarquardt(), annealing)


def run(strength, length, seed) -> dict:
    """The regular problem in one window of a small network, 60 cycles; ε climbs to
    `strength`, 0 being no causal weights."""
    levels = jnp.asarray(strength) * jnp.asarray([1e-2, 1e-1, 1.0])
    how, problem, key = (
        training(16, levels, 20),
        PROBLEMS["regular"],
        jax.random.key(seed),
    )
    t1 = jnp.asarray(length, jnp.result_type(float))
    over = pinn.Window(jnp.zeros_like(t1), t1, problem.initial)
    network = pinn.mlp_field(problem, key, width=12, depth=2)
    out = pinn.solve(how, pinn.Model(network, problem), over, key, cycles=60)
    u = how.objective.ansatz(problem, out.model.network, over)
    truth = integrate(problem, t1[None], jnp.full(1, 200), n=96, points=32)[0, :, 0]
    x = jnp.linspace(-1, 1, 33)[:-1]
    found = jax.vmap(lambda x: u(t1, x[None])[0])(x)
    last = jnp.max(out.records.cycle)
    return {
        "error": jnp.linalg.norm(found - truth) / jnp.linalg.norm(truth),
        "solved": out.carry.solved,
        "min_weight": jnp.exp(out.records.log_min[last]),
        "loss": jnp.mean(out.records.chunks[last]),
    }


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return _measure(config, progress)


def _measure(config: Config, progress) -> dict:
    out = {}
    for k, (name, problem) in enumerate(PROBLEMS.items()):
        plan: March = getattr(config, name)
        progress(k / 2, f"{name}: reference")
        edges = np.arange(0, plan.horizon + plan.step / 2, plan.step)
        times = np.linspace(0, plan.horizon, 10 * (len(edges) - 1) + 1)
        truth = pde.reference(problem, times, 256, accuracy=config.accuracy)
        key, how = (
            jax.random.key(0),
            training(plan.points, plan.levels, plan.cycles // 3),
        )
        network = pinn.mlp_field(problem, key, plan.width, plan.depth, plan.modes)
        hand = functools.partial(pinn.interpolate, modes=plan.hand)
        model = pinn.Model(network, problem)
        go = functools.partial(
            pinn.march, how, model, key, edges, handover=hand, block=10
        )
        # the same programs, so the first call shows what compiling costs
        _, first = clocked(go, 10, anyway=True)
        tell = lambda share, text, k=k, n=name: progress(
            (k + share) / 2, f"{n}: {text}"
        )
        marched, seconds = clocked(go, plan.cycles, progress=tell)
        poor = go(10, anyway=True)
        windows = edges[: len(marched.certificates) + 1]
        inside = times <= windows[-1] + 1e-12
        seen = truth._replace(t=truth.t[inside], u=truth.u[inside])
        out[name] = {
            "truth": seen,
            "edges": windows,
            "marched": marched,
            "u": values(marched.solution, seen),
            "error": pde.relative_l2(marched.solution, seen).overall,
            "growth": error_growth(marched.solution, seen, windows),
            "poor": pde.relative_l2(poor.solution, truth).overall,
            "stops": go(10).reached,
            "seconds": seconds,
            "compiling": first,
        }
    progress(1.0, "done")
    return {"config": config, **out}


def claims(results) -> list[Claim]:
    config, found = results["config"], []
    claim = functools.partial(Claim.judged, SOURCE)
    published = {"regular": "3.5e-4 at T = 1", "chaotic": "2.3e-2 at T = 0.5"}
    for letter, name in (("", "regular"), ("c", "chaotic")):
        plan, case = getattr(config, name), results[name]
        marched, growth = case["marched"], case["growth"]
        done = marched.reached >= plan.horizon - 1e-9
        found += [
            claim(
                f"P4{letter}",
                f"{name}, t ≤ {plan.horizon:g} by Δt = {plan.step:g}: relative error",
                case["error"] if done else np.inf,
                f"≤ {plan.error:g}",
                f"paper: {published[name]}; reference known to "
                f"{case['truth'].self_error:.0e}; {case['seconds']:.0f} CPU-s, "
                f"before them {case['compiling']:.0f} with compiling; by windows "
                + ", ".join(f"{g:.1e}" for g in growth),
            ),
            claim(
                f"P4{letter}a",
                f"{name}: windows without a certificate",
                sum(not c.holds for c in marched.certificates),
                "≤ 0",
                f"{len(marched.certificates)} windows, ε = {plan.levels[-1]:g}; cycles "
                + ", ".join(str(c.cycles) for c in marched.certificates),
            ),
            claim(
                f"P4{letter}x",
                f"{name}: 10 cycles a window, marched on regardless: the error",
                case["poor"],
                f"≥ {plan.error:g} rejected",
            ),
            claim(
                f"P4{letter}y",
                f"{name}: how far a march of 10 cycles a window gets before it stops",
                case["stops"],
                "≤ 0 rejected",
            ),
        ]
    return found


def figures(results) -> dict:
    out = {}
    for name in PROBLEMS:
        case = results[name]
        out[name] = maps(case["u"], case["truth"])
        shown = {"network": (case["u"], "blue")}
        out[f"{name}, errors"] = errors(shown, case["truth"], case["edges"])
    return out
