"""Allen–Cahn with a thin interface, the classic on which plain networks fail. What
decides is the optimizer: self-scaled Broyden and Levenberg–Marquardt solve it with
causal weights and without, in a minute on one core; the published Adam recipe is still
stuck then. What decides next is the kink of the initial state at x = ±1: a network that
must learn it, or carry it for all times, is slow; one that starts from the heat
equation's answer is not.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynax import pde, pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.newton import ssbroyden
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments.pinn import _study


PDE = pde.AllenCahn()


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 1
    budgets: tuple = (10.0,)  # CPU-seconds without compiling, ascending
    broyden: tuple = ((0, 0.2),)  # which budget, and the error claimed at it
    newton: tuple = ((0, 2e-2),)
    stuck: float = 0.4  # what the published recipe is still off by
    width: int = 20
    modes: int = 2
    kept: int = 128  # modes of the initial state
    times: int = 32
    points: int = 64
    levels: tuple = (0.14, 1.4, 14.0, 140.0, 1400.0)


BUDGETS = (10.0, 20.0, 30.0, 60.0, 120.0, 180.0)
SHOWN = ((3, 1e-3), (5, 2e-4))
SIZES = {
    "quick": Config(),
    "long": Config(3, BUDGETS, SHOWN, SHOWN),
    "full": Config(
        1, (60.0, 180.0), ((0, 1e-3),), ((1, 1e-5),), 0.4, 40, 4, 512, 64, 128
    ),
}
SPACE = {"causality": np.array([0.0, 1.0, 100.0]), "seed": np.arange(2)}
DIMS = _study.DIMS
LEARNED = {"initial_weight": 100.0, "ansatz": pinn.penalised_initial}
MELTING = {
    "ansatz": pinn.HeatKernelInitial(float(PDE.diffusion))
}  # as heat conduction has it


def run(causality, seed) -> dict:
    """A small network, 60 Levenberg–Marquardt cycles; ε climbs to `causality`."""
    how = _study.recipe(32, 16, _study.climbing(causality), 20, **MELTING)
    return _study.point(how, PDE, window(None, 32), seed, 10, 60)[1]


def window(dtype=None, kept=None) -> pinn.Window:
    zero, initial = jnp.zeros((), dtype), PDE.initial
    if kept is not None:
        initial = pinn.interpolate(PDE, lambda t, x: PDE.initial(x), zero, kept)
    return pinn.Window(zero, zero + 1, initial)


def truth(results, times=41):
    del results
    t = np.linspace(0, 1, times)
    return pde.reference(PDE, t, 512, modes=8176, step=1e-3, cache=True)


def broyden(results, scheme) -> list:
    """Self-scaled Broyden, 100 steps a cycle; the initial state is learned."""
    config = results.config
    how = _study.recipe(
        config.times,
        config.points,
        config.levels,
        10,
        chunks=32,
        method=ssbroyden(),
        inner=100,
        scheme=scheme,
        **LEARNED,
    )
    return [trained(results, how, seed) for seed in range(config.seeds)]


def newton(results) -> list:
    """Levenberg–Marquardt from what the heat equation makes of the initial state."""
    config = results.config
    size = config.times, config.points
    how = _study.recipe(*size, config.levels, 50, chunks=32, **MELTING)
    return [trained(results, how, seed, config.kept) for seed in range(config.seeds)]


def published(results) -> list:
    """Adam, float32, a large network, ε = 14 (100 in the paper's units)."""
    rate = optax.exponential_decay(1e-3, 5000, 0.9, staircase=True)
    wide = {"width": 128, "depth": 4, "modes": 10, "dtype": jnp.float32}
    _ = results["truth"]  # in float64
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        how = _study.recipe(32, 64, (14.0,), method=optax.adam(rate), **LEARNED)
        return [trained(results, how, 0, **wide)]


def trained(results, how, seed, kept=None, dtype=None, depth=3, **size) -> dict:
    """Errors at each budget of time."""
    config, key, known = results.config, jax.random.key(seed), results["truth"]
    size = {"width": config.width, "modes": config.modes} | size
    network = pinn.mlp_field(PDE, key, depth=depth, dtype=dtype, **size)
    over = window(dtype, kept)
    model, block = pinn.Model(network, PDE), 1 if how.inner > 1 else 10
    go = functools.partial(pinn.train, how, model, over, key, block=block)
    go(block)  # compiles
    tell = _study.teller(results, "training", seed, config.seeds)
    state, used, errors, parts = None, 0.0, [], []
    for budget in config.budgets:
        rest = max(budget - used, 1e-9)
        told = {"seconds": rest, "state": state, "progress": tell}
        out, seconds = _study.clocked(go, 10**6, **told)
        state, used = out.state, used + seconds
        parts.append(out.records)
        u = how.solution(out.model, over)
        errors.append(pde.relative_l2(u, known).overall)
    return {
        "errors": np.asarray(errors),
        "function": u,
        "u": _study.values(u, known),
        "records": jax.tree.map(lambda *a: np.concatenate(a), *parts),
    }


def ledgers(results) -> dict:
    """Of the free energy: the reference, the network, and that with time reversed."""
    u, times = results["marquardt"][0]["function"], results["truth"].t
    back = lambda t, x: u(1 - t, x)
    return {
        "reference": pde.audit(PDE, truth(results, 401)),
        "network": pde.audit(PDE, u, times, 256),
        "backwards": pde.audit(PDE, back, times, 256),
    }


PARTS = {
    "truth": truth,
    "causal": lambda results: broyden(results, pinn.Causal()),
    "uniform": lambda results: broyden(results, pinn.Uniform()),
    "marquardt": newton,
    "adam": published,
    "verdicts": lambda results: _study.verdicts(ledgers(results), "backwards"),
}
NAMES = {
    "causal": ("SSBroyden, causal", "blue"),
    "uniform": ("SSBroyden, uniform", "orange"),
    "marquardt": ("Levenberg–Marquardt, causal", "green"),
    "adam": ("Adam as published, float32", "vermilion"),
}


def errors(results, part) -> np.ndarray:
    """Seeds × budgets."""
    return np.stack([run["errors"] for run in results[part]])


def table(results, part) -> str:
    means, budgets = errors(results, part).mean(0), results.config.budgets
    each = (f"{b:g} s: {v:.1e}" for b, v in zip(budgets, means, strict=True))
    return ", ".join(each)


def at_budget(results, part, k) -> Measured:
    reached = errors(results, part)[:, k]
    text = f"mean of {len(reached)} seed(s); {table(results, part)}"
    if part == "causal":
        ratio = errors(results, "uniform").mean(0) / errors(results, part).mean(0)
        text += f"; without weights {table(results, 'uniform')}; that over this "
        text += ", ".join(f"{r:.2g}" for r in ratio)
    return Measured(reached.mean(), text, (float(reached.min()), float(reached.max())))


def stuck(results) -> Measured:
    text = f"{table(results, 'adam')}; the paper trains 3·10⁵ steps"
    return Measured(errors(results, "adam")[:, -1].mean(), text)


def claims(config) -> list:
    def reached(ids, name, part, asked):
        return [
            Claim(
                id,
                f"{name}, {config.budgets[k]:g} CPU-s: relative L2 error",
                at_most(most, "what this much time is said to be enough for"),
                functools.partial(at_budget, part=part, k=k),
            )
            for id, (k, most) in zip(ids, asked, strict=False)
        ]

    melting = "causal Levenberg–Marquardt from a melting start"
    return [
        *reached(("P3", "P3a"), "causal SSBroyden", "causal", config.broyden),
        *reached(("P3b", "P3c"), melting, "marquardt", config.newton),
        Claim(
            "P3d",
            "the free energy falls on the reference: violations",
            equals(0, "a gradient flow"),
            lambda results: _study.failing(results["verdicts"], "reference"),
        ),
        Claim(
            "P3e",
            "and on the network",
            equals(0, _study.LAW),
            lambda results: _study.failing(results["verdicts"], "network"),
        ),
        Control(
            "P3x",
            "the published recipe (Adam, float32, ε = 100) at the last budget: error",
            at_least(config.stuck, "twice what P3 allows at the least budget, or more"),
            stuck,
            of="P3",
        ),
        Control(
            "P3y",
            "claim P3e with time reversed: violations",
            at_least(1, "one interval suffices"),
            lambda results: _study.failing(results["verdicts"], "backwards"),
            of="P3e",
        ),
    ]


def figures(results) -> dict:
    truth, budgets = results["truth"], results.config.budgets
    figure, axes = new_figure(1, 2, size=(8.4, 3.3))
    left, right = axes[0]
    shown = {}
    for part, (name, color) in NAMES.items():
        for k, case in enumerate(results[part]):
            look = {"color": COLORS[color], "ms": 3, "label": name if k == 0 else None}
            left.plot(budgets, case["errors"], "o-", **look)
        if np.isfinite(results[part][0]["u"]).all():
            shown[name] = results[part][0]["u"], color
    left.set(
        xlabel="CPU-seconds", ylabel="relative L2 error", yscale="log", xscale="log"
    )
    left.set_title("Error against time, compiling apart")
    legend_below(left, fontsize=7)
    rows = results["causal"][0]["records"]
    _study.weights(figure, right, rows, "cycle of 100 steps")
    return {
        "The error over the time spent, and the front of causal weights.": figure,
        "The network's solution, and its difference from the reference.": _study.maps(
            results["marquardt"][0]["u"], truth
        ),
        "The error over time.": _study.errors(shown, truth),
    }


STUDY = Study(
    "Allen–Cahn by causal networks: the optimizer decides",
    f"{_study.SOURCE}; Urbán et al., arXiv:2405.04230",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
