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
from _space_time import clocked, errors, maps, values

import dynax as dx
from dynax import Claim, pde, pinn
from dynax.newton import LevenbergMarquardt, ssbroyden
from dynax.report import COLORS, legend_below, new_figure


TITLE = "Allen–Cahn by causal networks: the optimizer decides"
SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404; Urbán et al., arXiv:2405.04230"
PDE = pde.AllenCahn()
CAUSAL, UNIFORM = pinn.Causal(), pinn.Uniform()
ADAM = "Adam as published, float32"


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


def training(config, method, scheme, inner, **start) -> pinn.Trainer:
    objective = pinn.Objective(
        times=config.times, points=config.points, chunks=32, scheme=scheme, **start
    )
    annealing = pinn.Annealing(config.levels, patience=1000 // max(inner, 20))
    return pinn.Trainer(objective, method, annealing, inner=inner)


def methods(config) -> dict:
    """Name → training, seeds."""
    learned = {"initial_weight": 100.0, "ansatz": pinn.penalised_initial}
    broyden = lambda scheme: training(config, ssbroyden(), scheme, 100, **learned)
    rate = optax.exponential_decay(1e-3, 5000, 0.9, staircase=True)
    published = pinn.Objective(times=32, points=64, chunks=32, **learned)
    adam = pinn.Trainer(published, optax.adam(rate), pinn.Annealing((14.0,)))
    return {
        "SSBroyden, causal": (broyden(CAUSAL), config.seeds),
        "SSBroyden, uniform": (broyden(UNIFORM), config.seeds),
        "Levenberg–Marquardt, causal": (newton(config), config.seeds),
        ADAM: (adam, 1),
    }


def newton(config) -> pinn.Trainer:
    """From what the heat equation makes of the initial state."""
    melting = {"ansatz": pinn.HeatKernelInitial(PDE.diffusion)}
    return training(config, LevenbergMarquardt(), CAUSAL, 1, **melting)


def window(dtype=None, kept=None) -> pinn.Window:
    zero, initial = jnp.zeros((), dtype), PDE.initial
    if kept is not None:
        initial = pinn.interpolate(PDE, lambda t, x: PDE.initial(x), zero, kept)
    return pinn.Window(zero, zero + 1, initial)


def run(causality, seed) -> dict:
    """A small network, 60 Levenberg–Marquardt cycles; ε climbs to `causality`."""
    config = Config(times=32, points=16, levels=(1.0,))
    how = newton(config)
    levels = jnp.asarray(causality) * jnp.asarray([1e-2, 1e-1, 1.0])
    how = dataclasses.replace(how, annealing=pinn.Annealing(levels, patience=20))
    key = jax.random.key(seed)
    model = pinn.Model(pinn.mlp_field(PDE, key, width=10, depth=2), PDE)
    out = pinn.solve(how, model, window(None, 32), key, cycles=60)
    last = jnp.max(out.records.cycle)
    return {
        "solved": out.state.solved,
        "min_weight": jnp.exp(out.records.log_min[last]),
        "loss": jnp.mean(out.records.chunks[last]),
        "initial": out.records.initial[last],
    }


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return _measure(config, progress)


def _measure(config: Config, progress) -> dict:
    progress(0.0, "reference")
    times = np.linspace(0, 1, 41)
    truth = pde.reference(PDE, times, 512, modes=8176, step=1e-3, cache=True)
    plans = methods(config)
    count, k, runs = sum(seeds for _, seeds in plans.values()), 0, {}
    for name, (how, seeds) in plans.items():
        for seed in range(seeds):
            tell = functools.partial(_tell, progress, k / count, f"{name}, seed {seed}")
            single = "float32" in name
            with jax.enable_x64(not single), jax.numpy_dtype_promotion("standard"):
                runs[name, seed] = trained(config, how, seed, truth, single, tell)
            k += 1
    progress(1.0, "done")
    best = runs["Levenberg–Marquardt, causal", 0]
    dense = pde.reference(PDE, 401, 512, modes=8176, step=1e-3, cache=True)
    wrong = lambda t, x: best["function"](1 - t, x)  # time runs backwards
    ledgers = {
        "reference": pde.audit(PDE, dense),
        "network": pde.audit(PDE, best["function"], times, 256),
        "backwards": pde.audit(PDE, wrong, times, 256),
    }
    verdicts = {name: dx.verdict(rows, name) for name, rows in ledgers.items()}
    out = {"config": config, "truth": truth, "runs": runs, "verdicts": verdicts}
    return out | {"ledgers": jax.device_get(ledgers)}


def trained(config, how, seed, truth, single, tell) -> dict:
    """Errors at each budget."""
    key = jax.random.key(seed)
    wide = {"width": 128, "depth": 4, "modes": 10, "dtype": jnp.float32}
    narrow = {"width": config.width, "depth": 3, "modes": config.modes}
    network = pinn.mlp_field(PDE, key, **(wide if single else narrow))
    melting = isinstance(how.objective.ansatz, pinn.HeatKernelInitial)
    over = window(jnp.float32 if single else None, config.kept if melting else None)
    model, block = pinn.Model(network, PDE), 1 if how.inner > 1 else 10
    go = functools.partial(pinn.train, how, model, over, key, 10**6, block=block)
    warm = functools.partial(pinn.train, how, model, over, key, block, block=block)
    _, compiling = clocked(warm)
    carry, used, errors_, parts = None, 0.0, [], []
    for budget in config.budgets:
        rest = max(budget - used, 1e-9)
        out, seconds = clocked(go, seconds=rest, state=carry, progress=tell)
        carry, used = out.state, used + seconds
        parts.append(out.records)
        u = how.objective.ansatz(PDE, out.model.network, over)
        errors_.append(pde.relative_l2(u, truth).overall)
    records = jax.tree.map(lambda *a: np.concatenate(a), *parts)
    return {
        "errors": np.asarray(errors_),
        "function": u,
        "u": values(u, truth),
        "records": records,
        "certificate": how.certificate(out, over),
        "compiling": compiling,
    }


def _tell(progress, done, name, share, text):
    del share
    progress(done, f"{name}: {text}")


def claims(results) -> list[Claim]:
    config, runs = results["config"], results["runs"]
    of = lambda name: np.stack([r["errors"] for (n, _), r in runs.items() if n == name])
    causal, uniform = of("SSBroyden, causal"), of("SSBroyden, uniform")
    marquardt, adam = of("Levenberg–Marquardt, causal"), of(ADAM)
    claim = functools.partial(Claim.judged, SOURCE)
    text = lambda e: ", ".join(
        f"{b:g} s: {v:.1e}" for b, v in zip(config.budgets, e.mean(0), strict=True)
    )
    verdicts, seeds = results["verdicts"], f"mean of {config.seeds} seed(s)"
    ratios = ", ".join(f"{r:.2g}" for r in uniform.mean(0) / causal.mean(0))

    def reached(ids, name, errors, asked, detail):
        return [
            claim(
                id,
                f"{name}, {config.budgets[i]:g} CPU-s: relative L2 error",
                errors[:, i].mean(),
                f"≤ {most:g}",
                detail,
                (float(errors[:, i].min()), float(errors[:, i].max())),
            )
            for id, (i, most) in zip(ids, asked, strict=False)
        ]

    return [
        *reached(
            ("P3", "P3a"),
            "causal SSBroyden",
            causal,
            config.broyden,
            f"{seeds}; {text(causal)}; without weights {text(uniform)}; that over this "
            f"{ratios}",
        ),
        *reached(
            ("P3b", "P3c"),
            "causal Levenberg–Marquardt from a melting start",
            marquardt,
            config.newton,
            f"{seeds}; {text(marquardt)}",
        ),
        claim(
            "P3d",
            "the free energy falls on the reference: violations",
            verdicts["reference"].violations,
            "≤ 0",
        ),
        claim(
            "P3e",
            "and on the network",
            verdicts["network"].violations,
            "≤ 0",
            f"{verdicts['network'].audited} intervals",
        ),
        claim(
            "P3x",
            "the published recipe (Adam, float32, ε = 100) at the last budget: error",
            adam[:, -1].mean(),
            f"≥ {config.stuck:g} rejected",
            f"{text(adam)}; the paper trains 3·10⁵ steps",
        ),
        claim(
            "P3y",
            "claim P3e with time reversed: violations",
            verdicts["backwards"].violations,
            "≥ 1 rejected",
        ),
    ]


def figures(results) -> dict:
    config, runs, truth = results["config"], results["runs"], results["truth"]
    colors = dict(
        zip(methods(config), ("blue", "orange", "green", "vermilion"), strict=True)
    )
    figure, axes = new_figure(1, 2, size=(8.4, 3.3))
    left, right = axes[0]
    for (name, seed), case in runs.items():
        label = name if seed == 0 else None
        color = COLORS[colors[name]]
        left.plot(config.budgets, case["errors"], "o-", color=color, ms=3, label=label)
    left.set(
        xlabel="CPU-seconds", ylabel="relative L2 error", yscale="log", xscale="log"
    )
    left.set_title("Error against time, compiling apart")
    legend_below(left, fontsize=7)
    rows = runs["SSBroyden, causal", 0]["records"]
    image = right.imshow(
        np.exp(rows.log_weights[rows.cycle >= 0]).T,
        aspect="auto",
        origin="lower",
        extent=(0, np.sum(rows.cycle >= 0), 0, 1),
        vmin=0,
        vmax=1,
    )
    right.grid(False)
    figure.colorbar(image, ax=right, label="w(t)")
    right.set(xlabel="cycle of 100 steps", ylabel="t")
    right.set_title("Causal weights; ε steps up")
    best = runs["Levenberg–Marquardt, causal", 0]["u"]
    shown = {
        name: (runs[name, 0]["u"], color)
        for name, color in colors.items()
        if np.isfinite(runs[name, 0]["u"]).all()
    }
    return {
        "The error over the time spent, and the front of causal weights.": figure,
        "The network's solution, and its difference from the reference.": maps(
            best, truth
        ),
        "The error over time.": errors(shown, truth),
    }
