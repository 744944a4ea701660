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

from dynax import Claim, material as mat
from dynax.mechanics import learn
from dynax.report import COLORS, new_figure
from experiments.material import _learned_laws as laws


TITLE = "A law by least squares on the balance of momentum"
SOURCE = "Flaschel, Kumar, De Lorenzis, CMAME 381 (2021), weak form"
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
    drop = laws.scene("drop", laws.Config(cells=4), None, 40)
    seen = learn.Trajectory(laws.DT, drop.moved(law).y)
    balance = learn.Balance(drop.solver, drop.materials, seen)
    guess = laws.floats(mat.FixedCorotated(8e4, 0.25))
    found = learn.least_squares(balance, guess, 4)
    return {
        "young_off": found.young / law.young - 1,
        "poisson_off": found.poisson - law.poisson,
    }


def measure(config: Config, progress) -> dict:
    shape = laws.Config(cells=config.cells)
    drop = laws.scene("drop", shape, None, config.steps)
    truth = laws.floats(mat.jelly())
    progress(0.0, "the motion that is seen")
    seen = drop.truth(truth)
    guess = laws.floats(mat.FixedCorotated(8e4, 0.25))
    blank = mat.Polynomial(jnp.zeros(TERMS, jnp.float32))
    others = {
        "fixed corotated": (guess, 4),
        "neo-Hookean": (laws.floats(mat.NeoHookean(8e4, 0.25)), 4),
        "polynomial": (blank, 1),
    }
    found, count = {}, 2 * len(others)
    for reset in ("full_state", "positions"):
        balance = learn.Balance(drop.solver, drop.materials, seen, reset, config.stride)
        for name, (law, steps) in others.items():
            progress(0.4 * len(found) / count, f"{name}, {reset}")
            found[name, reset] = timed(learn.least_squares, balance, law, steps)
    weightless = dataclasses.replace(drop.solver, gravity=None)
    balance = learn.Balance(weightless, drop.materials, seen, stride=config.stride)
    found["without weight", "full_state"] = timed(
        learn.least_squares, balance, guess, 4
    )
    results = {"config": config, "truth": truth, "found": found, "taught": {}}
    results["errors"] = {
        key: float(drop.foreseen(law, seen).mse) for key, (law, _) in found.items()
    }
    zero = drop.foreseen(laws.ZeroStress(), seen).mse
    results["zero"] = float(zero)
    if config.networks:
        told = found["polynomial", "full_state"][0]
        results["taught"] = taught(config, told, drop, seen, progress)
    progress(1.0, "done")
    return results


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


def claims(results) -> list[Claim]:
    found, errors = results["found"], results["errors"]
    claim = functools.partial(Claim.judged, SOURCE)
    zero = results["zero"]
    rows = [
        claim(
            "C14",
            "jelly's E and ν by least squares on single steps: the larger relative "
            "error",
            _off(results, ("fixed corotated", "full_state")),
            "≤ 1e-4",
            f"float32; {results['config'].cells ** 3} points",
        ),
        claim(
            "C14a",
            "its seconds of processor time, compiling included",
            found["fixed corotated", "full_state"][1],
            "≤ 20",
        ),
        claim(
            "C14b",
            "a polynomial of invariants, one linear solve: the error of its free run, "
            "of zero stress's",
            errors["polynomial", "full_state"] / zero,
            "≤ 0.1",
            f"MSE {errors['polynomial', 'full_state']:.1e} m²; of the wrong family, "
            f"neo-Hooke's, {errors['neo-Hookean', 'full_state']:.1e}",
        ),
        claim(
            "C14x",
            "claim C14 of a balance that leaves the weight out",
            _off(results, ("without weight", "full_state")),
            "≥ 1e-3 rejected",
        ),
    ]
    for letter, name, bound in (("c", "nclaw", 6e-5), ("d", "icnn", 3e-5)):
        if name in results["taught"]:
            run = results["taught"][name]
            rows.append(
                claim(
                    f"C14{letter}",
                    f"{name}, taught by that polynomial and {results['config'].epochs} "
                    "epochs of rollouts: MSE of a free run, m²",
                    run["mse"]["rollouts"],
                    f"≤ {bound:g}",
                    f"{run['seconds']:.0f} CPU-s; after labels alone "
                    f"{run['mse']['labels']:.1e}",
                )
            )
    return rows


def figures(results) -> dict:
    figure, axes = new_figure(1, 1, size=(6.0, 3.4))
    ax, errors = axes[0, 0], results["errors"]
    names = [n for n, reset in errors if reset == "positions"]
    for shift, reset, color in (
        (-0.1, "full_state", "blue"),
        (0.1, "positions", "orange"),
    ):
        values = [errors[n, reset] / results["zero"] for n in names]
        place = shift + np.arange(len(names))
        ax.plot(place, values, "o", color=COLORS[color], label=reset)
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
    ax.set(yscale="log", ylabel="error of a free run, of zero stress's")
    ax.legend()
    return {"errors": figure}
