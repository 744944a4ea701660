"""What the two experiments on Kuramoto–Sivashinsky share: a network that marches."""

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


SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404"
SPACE = {
    "causality": np.array([0.0, 1.0, 100.0]),
    "length": np.array([0.05, 0.1]),
    "seed": np.arange(2),
}


@dataclasses.dataclass(frozen=True)
class March:
    """A recipe."""

    horizon: float
    step: float  # of a window
    error: float  # claimed
    accuracy: float = 1e-6  # of the reference
    modes: int = 2  # of the periodic features
    cycles: int = 240  # a window, at most
    width: int = 32
    depth: int = 2
    points: int = 64  # at each of 32 times
    hand: int = 48  # modes of the state handed over
    levels: tuple = (50.0, 500.0, 5000.0)  # ε


def training(points, levels, patience) -> pinn.Trainer:
    objective = pinn.Objective(times=32, points=points, chunks=32)
    annealing = pinn.Annealing(levels, patience=patience)
    return pinn.Trainer(objective, LevenbergMarquardt(), annealing)


def one_window(problem, causality, length, seed) -> dict:
    """A small network, 60 cycles; ε climbs to `causality`, 0: no causal weights."""
    levels = jnp.asarray(causality) * jnp.asarray([1e-2, 1e-1, 1.0])
    how, key = training(16, levels, 20), jax.random.key(seed)
    t1 = jnp.asarray(length, jnp.result_type(float))
    over = pinn.Window(jnp.zeros_like(t1), t1, problem.initial)
    network = pinn.mlp_field(problem, key, width=12, depth=2)
    out = pinn.solve(how, pinn.Model(network, problem), over, key, cycles=60)
    u = how.objective.ansatz(problem, out.model.network, over)
    truth = integrate(problem, t1[None], jnp.full(1, 200), n=96, points=32)[0, :, 0]
    x = jnp.linspace(problem.lower[0], problem.upper[0], 33)[:-1]
    found = jax.vmap(lambda x: u(t1, x[None])[0])(x)
    last = jnp.max(out.records.cycle)
    return {
        "error": jnp.linalg.norm(found - truth) / jnp.linalg.norm(truth),
        "solved": out.state.solved,
        "min_weight": jnp.exp(out.records.log_min[last]),
        "loss": jnp.mean(out.records.chunks[last]),
    }


def march(problem, plan: March, progress) -> dict:
    progress(0.0, "reference")
    edges = np.arange(0, plan.horizon + plan.step / 2, plan.step)
    times = np.linspace(0, plan.horizon, 10 * (len(edges) - 1) + 1)
    truth = pde.reference(problem, times, 256, accuracy=plan.accuracy)
    key, how = jax.random.key(0), training(plan.points, plan.levels, plan.cycles // 3)
    network = pinn.mlp_field(problem, key, plan.width, plan.depth, plan.modes)
    hand = functools.partial(pinn.interpolate, modes=plan.hand)
    model = pinn.Model(network, problem)
    go = functools.partial(pinn.march, how, model, key, edges, handover=hand, block=10)
    # the same programs, so the first call shows what compiling costs
    _, first = clocked(go, 10, anyway=True)
    marched, seconds = clocked(go, plan.cycles, progress=progress)
    poor = go(10, anyway=True)
    windows = edges[: len(marched.certificates) + 1]
    inside = times <= windows[-1] + 1e-12
    seen = truth._replace(t=truth.t[inside], u=truth.u[inside])
    progress(1.0, "done")
    return {
        "plan": plan,
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


def claims(id: str, published: str, case: dict) -> list[Claim]:
    claim = functools.partial(Claim.judged, SOURCE)
    plan, marched = case["plan"], case["marched"]
    done = marched.reached >= plan.horizon - 1e-9
    return [
        claim(
            id,
            f"t ≤ {plan.horizon:g} by Δt = {plan.step:g}: relative L2 error",
            case["error"] if done else np.inf,
            f"≤ {plan.error:g}",
            f"paper: {published}; reference known to {case['truth'].self_error:.0e}; "
            f"{case['seconds']:.0f} CPU-s, before them {case['compiling']:.0f} with "
            "compiling; by windows " + ", ".join(f"{g:.1e}" for g in case["growth"]),
        ),
        claim(
            f"{id}a",
            "windows without a certificate",
            sum(not c.holds for c in marched.certificates),
            "≤ 0",
            f"{len(marched.certificates)} windows, ε = {plan.levels[-1]:g}; cycles "
            + ", ".join(str(c.cycles) for c in marched.certificates),
        ),
        claim(
            f"{id}x",
            "10 cycles a window, marched on regardless: the error",
            case["poor"],
            f"≥ {plan.error:g} rejected",
        ),
        claim(
            f"{id}y",
            "how far a march of 10 cycles a window gets before it stops",
            case["stops"],
            "≤ 0 rejected",
        ),
    ]


def figures(results: dict) -> dict:
    shown = {"network": (results["u"], "blue")}
    return {
        "The network's solution, and its difference from the reference.": maps(
            results["u"], results["truth"]
        ),
        "The error over time, window by window.": errors(
            shown, results["truth"], results["edges"]
        ),
    }
