"""A law in seconds: momentum balance, tested with the splines of the grid, is linear in
the stress, so a law that is linear in its coefficients is one least-squares problem
over the single steps of a motion; without a rollout, without backpropagation through
time. What it finds teaches networks their stress, from where rollouts need few epochs.
And what is left of all that when a camera saw places only.
"""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from dynax import material as mat
from dynax.claim import Claim, Control, Measured, at_least, at_most
from dynax.mechanics import learn
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments.material import _training as laws
from experiments.material._scenes import DT, Config as Shape, ZeroStress, floats, scene


TERMS = len(mat.Polynomial(jnp.zeros(8)).powers)


@dataclasses.dataclass(frozen=True)
class Config:
    cells: int = 6
    steps: int = 100
    stride: int = 2  # which steps are used
    networks: bool = False  # taught by what was found
    taught: int = 300  # epochs on labels
    epochs: int = 15  # on rollouts
    horizon: int = 100


SIZES = {
    "quick": Config(),
    "long": Config(10, 300, 3, networks=True),
    "full": Config(10, 1000, 5, networks=True),
}
SPACE = {"young": np.array([3e4, 1e5, 3e5]), "poisson": np.array([0.1, 0.2, 0.35])}


def run(young, poisson) -> dict:
    """A small cube of any stiffness: its parameters from single steps."""
    law = mat.FixedCorotated(*(jnp.asarray(a, jnp.float32) for a in (young, poisson)))
    drop = scene("drop", Shape(cells=4), None, 40)
    seen = learn.Trajectory(DT, drop.moved(law).y)
    balance = learn.Balance(drop.solver, drop.materials, seen)
    guess = floats(mat.FixedCorotated(8e4, 0.25))
    found = learn.least_squares(balance, guess, 4)
    return {
        "young_off": found.young / law.young - 1,
        "poisson_off": found.poisson - law.poisson,
    }


def start(results):
    """The drop, its motion, and the guess."""
    config = results.config
    drop = scene("drop", Shape(cells=config.cells), None, config.steps)
    guess = floats(mat.FixedCorotated(8e4, 0.25))
    return drop, drop.truth(results["truth"]), guess


def found(results) -> dict:
    """By law and what was seen: the law by least squares, and its seconds."""
    drop, seen, guess = results["start"]
    blank = mat.Polynomial(jnp.zeros(TERMS, jnp.float32))
    others = {
        "fixed corotated": (guess, 4),
        "neo-Hookean": (floats(mat.NeoHookean(8e4, 0.25)), 4),
        "polynomial": (blank, 1),
    }
    stride, out = results.config.stride, {}
    for reset in ("full_state", "positions"):
        balance = learn.Balance(drop.solver, drop.materials, seen, reset, stride)
        for name, (law, steps) in others.items():
            out[name, reset] = timed(learn.least_squares, balance, law, steps)
    weightless = dataclasses.replace(drop.solver, gravity=None)
    balance = learn.Balance(weightless, drop.materials, seen, stride=stride)
    light = timed(learn.least_squares, balance, guess, 4)
    return out | {("without weight", "full_state"): light}


def free_runs(results) -> dict:
    drop, seen, _ = results["start"]
    laws = results["found"].items()
    return {key: float(drop.foreseen(law, seen).mse) for key, (law, _) in laws}


def zero(results) -> float:
    drop, seen, _ = results["start"]
    return float(drop.foreseen(ZeroStress(), seen).mse)


def networks(results) -> dict:
    if not results.config.networks:
        return {}
    drop, seen, _ = results["start"]
    told = results["found"]["polynomial", "full_state"][0]
    return taught(results.config, told, drop, seen, results.tell)


PARTS = {
    "truth": lambda r: floats(mat.jelly()),
    "start": start,
    "found": found,
    "errors": free_runs,
    "zero": zero,
    "taught": networks,
}


def timed(call, *args):
    begun = time.process_time()
    out = jax.block_until_ready(call(*args))
    return out, time.process_time() - begun


def taught(config: Config, told, drop, seen, progress) -> dict:
    """Networks that first learn the stresses of `told`, and then from the motion."""
    pairs = laws.labels(told, seen)
    out = {}
    start = {
        "nclaw": laws.nclaw(0, False),
        "icnn": mat.ICNN(jax.random.key(0), 1e5, dtype=jnp.float32),
    }
    for k, (name, law) in enumerate(start.items()):
        tell = lambda share, text, k=k, name=name: progress(
            0.4 + 0.3 * (k + share), f"{name}: {text}"
        )
        rate = 1.0 if name == "nclaw" else 0.1
        clock = laws.Clock(lambda share, text, tell=tell: tell(0.2 * share, text))
        method = laws.cosine(rate, config.taught)
        first = learn.fit([(pairs, config.taught)], law, method, progress=clock)
        spent = clock.read([config.taught])["seconds"]
        loss = learn.Segments(
            drop.solver, drop.materials, seen, config.horizon, batch=None
        )
        clock = laws.Clock(lambda share, text, tell=tell: tell(0.2 + 0.8 * share, text))
        method = laws.cosine(rate / 3, config.epochs)
        second = learn.fit([(loss, config.epochs)], first.law, method, progress=clock)
        spent += clock.read([config.epochs])["seconds"]
        steps = {"labels": first.law, "rollouts": second.law}
        mse = {n: float(drop.foreseen(a, seen).mse) for n, a in steps.items()}
        out[name] = {"mse": mse, "seconds": spent}
    return out


def _off(results, key) -> float:
    law, truth = results["found"][key][0], results["truth"]
    pairs = ((law.young, truth.young), (law.poisson, truth.poisson))
    return max(abs(float(a / b) - 1) for a, b in pairs)


def off(results, name) -> Measured:
    points = results.config.cells**3
    return Measured(_off(results, (name, "full_state")), f"float32; {points} points")


def polynomial(results) -> Measured:
    mse, other = (results["errors"][k, "full_state"] for k in ("polynomial", NEO))
    text = f"MSE {mse:.1e} m²; of the wrong family, neo-Hooke's, {other:.1e}"
    return Measured(mse / results["zero"], text)


def rollouts(results, name) -> Measured:
    run = results["taught"][name]
    text = f"{run['seconds']:.0f} CPU-s; after labels alone {run['mse']['labels']:.1e}"
    return Measured(run["mse"]["rollouts"], text)


NEO = "neo-Hookean"


def claims(config) -> list:
    goals = (("c", "nclaw", 6e-5), ("d", "icnn", 3e-5))
    taught = f"taught by that polynomial and {config.epochs} epochs of rollouts"
    return [
        Claim(
            "C14",
            "jelly's E and ν by least squares on single steps: the larger relative "
            "error",
            at_most(1e-4, "round-off of places in float32, over what a step moves"),
            functools.partial(off, name="fixed corotated"),
        ),
        Claim(
            "C14a",
            "its seconds of processor time, compiling included",
            at_most(20, "a law in seconds"),
            lambda r: r["found"]["fixed corotated", "full_state"][1],
        ),
        Claim(
            "C14b",
            "a polynomial of invariants, one linear solve: the error of its free run, "
            "of zero stress's",
            at_most(0.1, "small against no law at all"),
            polynomial,
        ),
        Control(
            "C14x",
            "claim C14 of a balance that leaves the weight out",
            at_least(1e-3, "ten times what claim C14 allows"),
            functools.partial(off, name="without weight"),
            of="C14",
        ),
        *(
            Claim(
                f"C14{letter}",
                f"{name}, {taught}: MSE of a free run, m²",
                at_most(bound, "what hundreds of epochs of rollouts reach"),
                functools.partial(rollouts, name=name),
            )
            for letter, name, bound in goals * config.networks
        ),
    ]


def figures(results) -> dict:
    figure, axes = new_figure(1, 1, size=(6.0, 3.4))
    ax, errors = axes[0, 0], results["errors"]
    names = [n for n, reset in errors if reset == "positions"]
    labels_of = {"full_state": "from full states", "positions": "from positions"}
    for shift, reset, color in (
        (-0.1, "full_state", "blue"),
        (0.1, "positions", "orange"),
    ):
        values = [errors[n, reset] / results["zero"] for n in names]
        place = shift + np.arange(len(names))
        ax.plot(place, values, "o", color=COLORS[color], label=labels_of[reset])
    taught = [
        r["mse"]["rollouts"] / results["zero"] for r in results["taught"].values()
    ]
    if taught:
        place = len(names) + np.arange(len(taught))
        ax.plot(
            place, taught, "s", color=COLORS["green"], label="taught, then rollouts"
        )
    labels = [*names, *results["taught"]]
    ax.set_xticks(np.arange(len(labels)), labels)
    ax.set(yscale="log", ylabel="error of a free run, of that without stress")
    legend_below(ax)
    return {
        "The errors of laws that were learned from the balance of momentum.": figure
    }


STUDY = Study(
    "A law by least squares on the balance of momentum",
    "Flaschel, Kumar, De Lorenzis, CMAME 381 (2021), weak form",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
)
