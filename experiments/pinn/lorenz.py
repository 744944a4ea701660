"""Lorenz-63 by physics-informed networks. In one window of length 1, weights that
respect causality decide everything: without them training collapses onto a solution
that leaves the start at once and then rests, whose residual is small nearly everywhere.
In short windows, marched, the same network follows the chaotic solution to t = 20.
One program trains networks of all lengths Δt, final ε and seeds: where they are solved
is a phase diagram. A flax network is trained as well: any function of (t, x) is one.
"""

import dataclasses
import functools
import math
import time

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dynax import pde, pinn
from dynax.claim import (
    Claim,
    Control,
    Measured,
    at_least,
    at_most,
    equals,
    largest,
    smallest,
)
from dynax.study import Study
from experiments.pinn import _lorenz_figures as draw, _study


PDE = pde.Lorenz()
LEVELS = (1.0, 10.0, 100.0, 1000.0)
SOLVED = 1e-2  # the relative L2 error up to which a point of the diagram is solved


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 2
    cycles: int = 400  # of the window of length 1
    horizon: float = 2.0  # of the march
    march: int = 4000  # cycles a window, at most
    step: float = 0.2
    lengths: tuple = (0.5, 1.0, 2.0)  # of the phase diagram, as what follows
    causalities: tuple = (0.0, 1.0, 100.0, 1e4)
    repeats: int = 2
    error: float = 1e-4  # claimed of the march


LENGTHS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
CAUSALITIES = (0.0, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
SIZES = {
    "quick": Config(),
    "long": Config(5, 400, 20.0, 4000, 0.2, LENGTHS, CAUSALITIES, 4, 5e-3),
    "full": Config(20, 1000, 20.0, 4000, 0.2, LENGTHS, CAUSALITIES, 20, 5e-3),
}
SPACE = {
    "length": np.array([0.5, 1.0, 2.0]),
    "causality": np.array([0.0, 1.0, 1000.0]),
    "seed": np.arange(2),
}
DIMS = _study.DIMS


def recipe(times, levels, patience, **more) -> pinn.Trainer:
    return _study.recipe(times, 1, levels, patience, chunks=times // 2, **more)


def window(length) -> pinn.Window:
    state = pinn.interpolate(PDE, lambda t, x: PDE.initial(x), 0.0)
    return _study.window(PDE, length)._replace(initial=state)


def run(length, causality, seed) -> dict:
    """One window; ε climbs to `causality` in four levels, 0 being no causal weights.

    All cycles are run: without weights a stop test on them would be met at once.
    """
    levels = jnp.asarray(causality) * jnp.asarray([1e-3, 1e-2, 1e-1, 1.0])
    levels = levels / jnp.asarray(length) ** 2  # ε of residuals per unit of time
    never = pinn.Annealing(levels, delta=1.0, patience=33)
    how, over = recipe(64, levels, 33), window(length)
    how = dataclasses.replace(how, annealing=never)
    u, said = _study.point(how, PDE, over, seed, 16, 200)
    times = jnp.linspace(0, over.t1, 101)
    error = _study.apart(path(u, times), runge_kutta(times))
    return {**said, "error": error, "solved": error <= SOLVED}


def path(u, times):
    return jax.vmap(lambda t: u(t, jnp.zeros(0, times.dtype)))(times)


def runge_kutta(times):
    """The solution at equal steps, each of 20 steps of the classical method."""
    h = (times[1] - times[0]) / 20
    f = PDE.field

    def step(u, _):
        a = f(u)
        b = f(u + h / 2 * a)
        c = f(u + h / 2 * b)
        return u + h / 6 * (a + 2 * b + 2 * c + f(u + h * c)), None

    def save(u, _):
        return jax.lax.scan(step, u, length=20)[0], u

    start = PDE.initial(jnp.zeros(0, times.dtype))
    return jax.lax.scan(save, start, length=len(times))[1]


def trained(results, scheme) -> list:
    """One window of length 1, each seed."""
    config, known, over = results.config, results["truth"], window(1.0)
    how, found = recipe(128, LEVELS, 100, scheme=scheme), []
    for seed in range(config.seeds):
        tell = _study.teller(results, f"seed {seed}", seed, config.seeds)
        key = jax.random.key(seed)
        model = pinn.Model(pinn.mlp_field(PDE, key, width=30, depth=2), PDE)
        told = {"progress": tell}
        out, seconds = _study.clocked(
            pinn.train, how, model, over, key, config.cycles, **told
        )
        u = how.solution(out.model, over)
        found.append(
            {
                "error": pde.relative_l2(u, known).overall,
                "certificate": how.certificate(out, over),
                "records": out.records,
                "u": np.asarray(eqx.filter_jit(path)(u, jnp.asarray(known.t))),
                "seconds": seconds,
            }
        )
    return found


def diagram(results) -> dict:
    """`run` at every (Δt, ε, seed): one program, compiled once."""
    config = results.config
    axes = config.lengths, config.causalities, np.arange(config.repeats)
    grid = np.meshgrid(*axes, indexing="ij")
    points = tuple(jnp.asarray(a.ravel()) for a in grid)
    program = jax.jit(lambda points: jax.lax.map(lambda point: run(*point), points))
    begun = time.process_time()
    compiled = program.lower(points).compile()
    ready = time.process_time()
    found = jax.device_get(compiled(points))
    seconds = ready - begun, time.process_time() - ready
    return {"error": found["error"].reshape(grid[0].shape), "seconds": seconds}


class Flax(nn.Module):
    """2 × 16 tanh units of t."""

    @nn.compact
    def __call__(self, t, x):
        z = jnp.concatenate([t[None], x])
        for width in (16, 16):
            z = nn.tanh(nn.Dense(width, param_dtype=z.dtype)(z))
        return nn.Dense(len(PDE.fields), param_dtype=z.dtype)(z)


def flax(results) -> dict:
    """Its parameters and its function, trained as any network on a window Δt = ½."""
    del results
    over, key, module = window(0.5), jax.random.key(0), Flax()
    params = module.init(key, over.t0, jnp.zeros(0, over.t0.dtype))
    network = jax.tree_util.Partial(module.apply, params)
    how = recipe(64, np.asarray(LEVELS) / 0.5**2, 50)
    out = pinn.train(how, pinn.Model(network, PDE), over, key, 300)
    truth = pde.reference(PDE, np.linspace(0, 0.5, 101))
    u = how.solution(out.model, over)
    return {
        "error": pde.relative_l2(u, truth).overall,
        "certificate": how.certificate(out, over),
    }


def marching(config, windows, cycles, tell) -> pinn.TrainedWindows:
    """Windows of 32 Gauss–Legendre times: smooth solutions converge spectrally."""
    levels = np.asarray([1.0, 1e2, 1e4, 3e5]) / config.step**2
    # how wrong it is in the end is for the claim to say
    more = {"sampler": _study.Gauss(32, 1), "rtol": 0.1}
    how, key = recipe(32, levels, cycles, **more), jax.random.key(0)
    model = pinn.Model(pinn.mlp_field(PDE, key, width=32, depth=2), PDE)
    edges = config.step * np.arange(windows + 1)
    return pinn.train_windows(how, model, key, edges, cycles, progress=tell)


def marched(results) -> dict:
    config = results.config
    windows = round(config.horizon / config.step)
    tell = _study.teller(results, "march")
    out = marching(config, windows, config.march, tell)
    found = {"marched": out, "l2": np.full(len(PDE.fields), np.inf)}
    times = np.arange(0, out.reached + 1e-9, 0.02)
    if len(times) > 1:  # else the first window failed
        truth = pde.reference(PDE, times)
        u = np.asarray(eqx.filter_jit(path)(out.solution, jnp.asarray(times)))
        error = np.abs(u - truth.u)
        total = np.sqrt(np.sum(error**2, 0) / np.sum(truth.u**2, 0))
        found |= {"t": times, "u": u, "truth": truth, "error": error, "l2": total}
    return found


def stopped(results) -> pinn.TrainedWindows:
    return marching(results.config, 5, 3, _study.teller(results, "3 cycles"))


PARTS = {
    "truth": lambda results: pde.reference(PDE, np.linspace(0, 1, 201)),
    "causal": lambda results: trained(results, pinn.Causal()),
    "uniform": lambda results: trained(results, pinn.Uniform()),
    "phases": diagram,
    "flax": flax,
    "march": marched,
    "stopped": stopped,
}


def one_window(results) -> Measured:
    runs = results["causal"]
    seconds = ", ".join(f"{run['seconds']:.1f}" for run in runs)
    text = f"{len(runs)} seeds; CPU-s, the first with compiling: {seconds}"
    return largest([run["error"] for run in runs], text)


def certified(results) -> Measured:
    runs = results["causal"] + results["uniform"]
    held = [run["error"] for run in runs if run["certificate"].holds]
    return Measured(max(held, default=0), f"{len(held)} of {len(runs)} have one")


def without(results) -> Measured:
    errors = [run["error"] for run in results["uniform"]]
    return smallest(errors, f"{len(errors)} seeds")


def region(config) -> tuple:
    """Where causal weights suffice: the rows and columns of the phase diagram."""
    lengths, levels = np.asarray(config.lengths), np.asarray(config.causalities)
    return lengths <= 1, (levels >= 1) & (levels <= 100)


def most(config) -> float:
    """The share of the region that is solved if one point in ten fails, rounded up."""
    points = config.repeats * math.prod(map(np.sum, region(config)))
    return (points - math.ceil(points / 10)) / points


def share(results) -> Measured:
    config, solved = results.config, results["phases"]["error"] <= SOLVED
    rows, columns = region(config)
    reached = solved[rows][:, columns]
    compiling, running = results["phases"]["seconds"]
    return Measured(
        np.mean(reached),
        f"{solved.size} points Δt × ε × seed in one program: {compiling:.0f} CPU-s of "
        f"compiling, {running:.0f} of training; {np.sum(solved)} are solved",
    )


def unsolved(results) -> int:
    config, solved = results.config, results["phases"]["error"] <= SOLVED
    here = solved[np.asarray(config.lengths) == 1]
    return np.sum(~here[:, np.asarray(config.causalities) == 0])


def of_flax(results) -> Measured:
    found = results["flax"]
    return Measured(found["error"], found["certificate"].reason)


def followed(results) -> Measured:
    config, errors = results.config, results["march"]["l2"]
    out = results["march"]["marched"]
    done = out.reached > config.horizon - 1e-9
    return Measured(
        np.max(errors) if done else np.inf,
        f"x, y, z: {', '.join(f'{e:.1e}' for e in errors)} (the paper to t = 20: "
        f"1.1e-2, 1.7e-2, 7e-3); {sum(out.seconds[1:]):.0f} CPU-s after the first "
        f"window, {out.seconds[0]:.0f} for it with compiling",
    )


def refused(results) -> Measured:
    every = results["march"]["marched"].certificates
    return Measured(sum(not c.holds for c in every), f"{len(every)} windows")


def how_far(results) -> Measured:
    found = results["stopped"]
    return Measured(found.reached, found.certificates[-1].reason)


def claims(config) -> list:
    near = at_most(1e-4, "a hundredth of what a certificate promises")
    return [
        Claim(
            "P1",
            "one window Δt = 1, causal weights: the largest relative L2 error",
            near,
            one_window,
        ),
        Claim(
            "P1a",
            "solutions with a certificate: the largest error",
            near,
            certified,
        ),
        Claim(
            "P1b",
            f"phase diagram: share of Δt ≤ 1, ε = 1 … 100 with an error ≤ {SOLVED:g}",
            at_least(most(config), "one point in ten may fail, rounded up"),
            share,
        ),
        Claim(
            "P1c", "a flax network in a window Δt = ½: relative L2 error", near, of_flax
        ),
        Claim(
            "P2",
            f"marched to t = {config.horizon:g} by Δt = {config.step:g}: the largest "
            "relative L2 error of a component",
            at_most(
                config.error, "below the paper's to t = 20; before, less has grown"
            ),
            followed,
        ),
        Claim(
            "P2a", "windows without a certificate", equals(0, _study.SOLVED), refused
        ),
        Control(
            "P1x",
            "claim P1 without causal weights: the least error",
            at_least(0.5, "another solution, not an inaccurate one"),
            without,
            of="P1",
        ),
        Control(
            "P1y",
            "runs without causal weights that the stop test refuses",
            equals(config.seeds, "all of them"),
            lambda results: sum(
                not run["certificate"].holds for run in results["uniform"]
            ),
            of="P1a",
        ),
        Control(
            "P1z",
            "claim P1b of Δt = 1 without causal weights: points not solved",
            equals(config.repeats, "all of them"),
            unsolved,
            of="P1b",
        ),
        Control(
            "P2x",
            "a march of 3 cycles a window stops: how far it gets",
            at_most(0, "its first window is not solved"),
            how_far,
            of="P2a",
        ),
    ]


CAPTIONS = {
    "One window: the path, the residual, and the front of causal weights.": (
        draw.one_window
    ),
    "The front of causal weights moves through the window during training.": draw.front,
    "Which windows are solved, over their length and the last ε.": functools.partial(
        draw.phase, solved=SOLVED
    ),
    "The march: the path, and its error against the reference.": draw.march,
}


STUDY = Study(
    "Lorenz by causal PINNs: one long window, and many short ones",
    _study.SOURCE,
    SIZES,
    PARTS,
    claims,
    lambda results: {text: figure(results) for text, figure in CAPTIONS.items()},
    run=run,
    space=SPACE,
    dims=DIMS,
)
