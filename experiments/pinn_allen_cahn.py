"""Allen–Cahn with a thin interface, the classic on which plain networks fail. What
decides is the optimizer: self-scaled Broyden and Levenberg–Marquardt solve it with
causal weights and without, in a minute on one core; the published Adam recipe is still
stuck then. The kink of the initial state at x = ±1 is a floor for every ansatz that
keeps it for all times.
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
from dynax.report import COLORS, new_figure


TITLE = "Allen–Cahn by causal networks: the optimizer decides"
SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404; Urbán et al., arXiv:2405.04230"
PDE = pde.AllenCahn()
CAUSAL, UNIFORM = pinn.Causal(), pinn.Uniform()


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 1
    budgets: tuple = (10.0,)  # CPU-seconds without compiling, ascending
    broyden: tuple = (0, 5e-2)  # which budget, and the error claimed at it
    newton: tuple = (0, 0.2)
    width: int = 20
    modes: int = 2
    times: int = 32
    points: int = 64
    levels: tuple = (1.0, 10.0, 100.0, 1e3, 1e4)


BUDGETS = (15.0, 30.0, 60.0, 120.0, 180.0)
SIZES = {
    "quick": Config(),
    "long": Config(3, BUDGETS, (2, 1e-3), (4, 2e-4)),
    "full": Config(1, (60.0, 180.0), (0, 1e-3), (1, 1e-5), 40, 4, 64, 128),
}
SPACE = {"strength": np.array([0.0, 1.0, 100.0]), "seed": np.arange(2)}


def training(config, method, scheme, hard, inner) -> pinn.Training:
    start = {} if hard else {"initial_weight": 1e3, "ansatz": pinn.soft}
    objective = pinn.Objective(
        times=config.times, points=config.points, chunks=32, scheme=scheme, **start
    )
    annealing = pinn.Annealing(config.levels, patience=1000 // max(inner, 20))
    return pinn.Training(objective, method, annealing, inner=inner)


def methods(config) -> dict:
    """Name → training, seeds, whether in float64."""
    broyden = lambda scheme: training(config, ssbroyden(), scheme, True, 50)
    newton = training(config, LevenbergMarquardt(), CAUSAL, False, 1)
    rate = optax.exponential_decay(1e-3, 5000, 0.9, staircase=True)
    published = pinn.Objective(
        times=32, points=64, chunks=32, initial_weight=100.0, ansatz=pinn.soft
    )
    adam = pinn.Training(published, optax.adam(rate), pinn.Annealing((100.0,)))
    return {
        "SSBroyden, causal": (broyden(CAUSAL), config.seeds),
        "SSBroyden, uniform": (broyden(UNIFORM), config.seeds),
        "Levenberg–Marquardt, causal": (newton, config.seeds),
        "Adam as published, float32": (adam, 1),
    }


def window(dtype=None) -> pinn.Window:
    zero = jnp.zeros((), dtype)
    return pinn.Window(zero, zero + 1, PDE.initial)


def run(strength, seed) -> dict:
    """A small network, 60 Levenberg–Marquardt cycles; ε climbs to `strength`."""
    config = Config(times=32, points=16, levels=(1.0,))
    how = training(config, LevenbergMarquardt(), CAUSAL, False, 1)
    levels = jnp.asarray(strength) * jnp.asarray([1e-2, 1e-1, 1.0])
    how = dataclasses.replace(how, annealing=pinn.Annealing(levels, patience=20))
    key = jax.random.key(seed)
    model = pinn.Model(pinn.mlp_field(PDE, key, width=10, depth=2), PDE)
    out = pinn.solve(how, model, window(), key, cycles=60)
    last = jnp.max(out.records.cycle)
    return {
        "solved": out.carry.solved,
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
    over = window(jnp.float32 if single else None)
    model, block = pinn.Model(network, PDE), 1 if how.inner > 1 else 10
    go = functools.partial(pinn.train, how, model, over, key, 10**6, block=block)
    warm = functools.partial(pinn.train, how, model, over, key, block, block=block)
    _, compiling = clocked(warm)
    carry, used, errors_, parts = None, 0.0, [], []
    for budget in config.budgets:
        rest = max(budget - used, 1e-9)
        out, seconds = clocked(go, seconds=rest, carry=carry, progress=tell)
        carry, used = out.carry, used + seconds
        parts.append(out.records)
        u = how.objective.ansatz(PDE, out.model.network, over)
        errors_.append(pde.relative_l2(u, truth).overall)
    records = jax.tree.map(lambda *a: np.concatenate(a), *parts)
    return {
        "errors": np.asarray(errors_),
        "function": u,
        "u": values(u, truth),
        "records": records,
        "certificate": pinn.Trained(out.model, out.carry, records).certificate(
            how.annealing
        ),
        "compiling": compiling,
    }


def _tell(progress, done, name, share, text):
    del share
    progress(done, f"{name}: {text}")


def claims(results) -> list[Claim]:
    config, runs = results["config"], results["runs"]
    of = lambda name: np.stack([r["errors"] for (n, _), r in runs.items() if n == name])
    causal, uniform = of("SSBroyden, causal"), of("SSBroyden, uniform")
    newton, adam = of("Levenberg–Marquardt, causal"), of("Adam as published, float32")
    (i, first), (j, second) = config.broyden, config.newton
    claim = functools.partial(Claim.judged, SOURCE)
    text = lambda e: ", ".join(
        f"{b:g} s: {v:.1e}" for b, v in zip(config.budgets, e.mean(0), strict=True)
    )
    ends = lambda e: (float(e.min()), float(e.max()))
    ratio = uniform[:, i] / causal[:, i]
    verdicts, seeds = results["verdicts"], f"mean of {config.seeds} seed(s)"
    return [
        claim(
            "P3",
            f"causal SSBroyden, {config.budgets[i]:g} CPU-s: relative L2 error",
            causal[:, i].mean(),
            f"≤ {first:g}",
            f"{seeds}; {text(causal)}; without weights {text(uniform)}; their ratio at "
            f"that budget {ratio.mean():.2g}",
            ends(causal[:, i]),
        ),
        claim(
            "P3a",
            f"causal Levenberg–Marquardt, soft start, {config.budgets[j]:g} CPU-s",
            newton[:, j].mean(),
            f"≤ {second:g}",
            f"{seeds}; {text(newton)}",
            ends(newton[:, j]),
        ),
        claim(
            "P3b",
            "the free energy falls on the reference: violations",
            verdicts["reference"].violations,
            "≤ 0",
        ),
        claim(
            "P3c",
            "and on the network",
            verdicts["network"].violations,
            "≤ 0",
            f"{verdicts['network'].audited} intervals",
        ),
        claim(
            "P3x",
            "the published recipe (Adam, float32, ε = 100) at the last budget: error",
            adam[:, -1].mean(),
            f"≥ {5 * first:g} rejected",
            f"{text(adam)}; the paper trains 3·10⁵ steps",
        ),
        claim(
            "P3y",
            "claim P3c with time reversed: violations",
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
    left.legend(fontsize=7)
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
    right.set(xlabel="cycle of 50 steps", ylabel="t")
    right.set_title("Causal weights; ε steps up")
    best = runs["Levenberg–Marquardt, causal", 0]["u"]
    shown = {
        name: (runs[name, 0]["u"], color)
        for name, color in colors.items()
        if np.isfinite(runs[name, 0]["u"]).all()
    }
    return {
        "time": figure,
        "network": maps(best, truth),
        "errors": errors(shown, truth),
    }
