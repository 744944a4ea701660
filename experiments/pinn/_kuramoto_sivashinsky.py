"""What the two studies of Kuramoto–Sivashinsky share: a network that marches."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import pde, pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.pde.etdrk4 import integrate
from dynax.pinn.diagnostics import error_growth
from dynax.study import Study
from experiments.pinn import _study


SPACE = {
    "causality": np.array([0.0, 1.0, 100.0]),
    "length": np.array([0.05, 0.1]),
    "seed": np.arange(2),
}
DIMS = _study.DIMS


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

    @property
    def edges(self):
        return np.arange(0, self.horizon + self.step / 2, self.step)


def one_window(problem, causality, length, seed) -> dict:
    """A small network, 60 cycles; ε climbs to `causality`, 0: no causal weights."""
    how = _study.recipe(32, 16, _study.climbing(causality), 20)
    over = _study.window(problem, length)
    u, said = _study.point(how, problem, over, seed, 12, 60)
    gap = jnp.asarray(over.t1)[None]
    truth = integrate(problem, gap, jnp.full(1, 200), n=96, points=32)[0, :, 0]
    x = jnp.linspace(problem.lower[0], problem.upper[0], 33)[:-1]
    found = jax.vmap(lambda x: u(over.t1, x[None])[0])(x)
    return {"error": _study.apart(found, truth), **said}


def study(title, problem, sizes, run, id, published) -> Study:
    """Of one equation, its claims named by `id`."""

    def truth(results):
        plan = results.config
        times = np.linspace(0, plan.horizon, 10 * (len(plan.edges) - 1) + 1)
        return pde.reference(problem, times, 256, accuracy=plan.accuracy)

    def hurried(results) -> dict:
        """10 cycles a window: marched on regardless, and how far without that."""
        go = marching(problem, results.config)
        out, seconds = _study.clocked(go, 10, anyway=True)
        error = pde.relative_l2(out.solution, results["truth"]).overall
        return {"error": error, "reached": go(10).reached, "seconds": seconds}

    def marched(results) -> dict:
        plan, known = results.config, results["truth"]
        before = results["hurried"]["seconds"]  # the same programs: it compiled them
        tell = _study.teller(results, "march")
        go = marching(problem, plan)
        out, seconds = _study.clocked(go, plan.cycles, progress=tell)
        edges = plan.edges[: len(out.certificates) + 1]
        inside = known.t <= edges[-1] + 1e-12
        seen = known._replace(t=known.t[inside], u=known.u[inside])
        return {
            "truth": seen,
            "edges": edges,
            "marched": out,
            "u": _study.values(out.solution, seen),
            "error": pde.relative_l2(out.solution, seen).overall,
            "growth": error_growth(out.solution, seen, edges),
            "seconds": seconds,
            "compiling": before,
        }

    parts = {"truth": truth, "hurried": hurried, "march": marched}
    claims = functools.partial(_claims, id, published)
    return Study(
        title,
        _study.SOURCE,
        sizes,
        parts,
        claims,
        figures,
        run=run,
        space=SPACE,
        dims=DIMS,
    )


def marching(problem, plan: March):
    key = jax.random.key(0)
    how = _study.recipe(32, plan.points, plan.levels, plan.cycles // 3)
    network = pinn.mlp_field(problem, key, plan.width, plan.depth, plan.modes)
    hand = functools.partial(pinn.interpolate, modes=plan.hand)
    model = pinn.Model(network, problem)
    go = functools.partial(pinn.train_windows, how, model, key, plan.edges)
    return functools.partial(go, handover=hand, block=10)


def _claims(id: str, published: str, plan: March) -> list:
    def error(results) -> Measured:
        found = results["march"]
        done = found["marched"].reached >= plan.horizon - 1e-9
        known = f"reference known to {found['truth'].self_error:.0e}"
        time = f"{found['seconds']:.0f} CPU-s, before them {found['compiling']:.0f}"
        windows = ", ".join(f"{g:.1e}" for g in found["growth"])
        return Measured(
            found["error"] if done else np.inf,
            f"paper: {published}; {known}; {time} with compiling; by windows {windows}",
        )

    def refused(results) -> Measured:
        every = results["march"]["marched"].certificates
        cycles = ", ".join(str(c.cycles) for c in every)
        return Measured(
            len(plan.edges) - 1 - sum(c.holds for c in every),
            f"{len(plan.edges) - 1} windows, ε = {plan.levels[-1]:g}; cycles {cycles}",
        )

    return [
        Claim(
            id,
            f"t ≤ {plan.horizon:g} by Δt = {plan.step:g}: relative L2 error",
            at_most(plan.error, "of the size of what the paper reaches later"),
            error,
        ),
        Claim(
            f"{id}a", "windows without a certificate", equals(0, _study.SOLVED), refused
        ),
        Control(
            f"{id}x",
            "10 cycles a window, marched on regardless: the error",
            at_least(plan.error, f"what {id} allows"),
            lambda results: results["hurried"]["error"],
            of=id,
        ),
        Control(
            f"{id}y",
            "how far a march of 10 cycles a window gets before it stops",
            at_most(0, "its first window is not solved"),
            lambda results: results["hurried"]["reached"],
            of=f"{id}a",
        ),
    ]


def figures(results) -> dict:
    found = results["march"]
    shown = {"network": (found["u"], "blue")}
    return {
        "The network's solution, and its difference from the reference.": _study.maps(
            found["u"], found["truth"]
        ),
        "The error over time, window by window.": _study.errors(
            shown, found["truth"], found["edges"]
        ),
    }
