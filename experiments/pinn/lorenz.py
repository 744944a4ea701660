"""Lorenz-63 by physics-informed networks. In one window of length 1, weights that
respect causality decide everything: without them training collapses onto a solution
that leaves the start at once and then rests, whose residual is small nearly everywhere.
In short windows, marched, the same network follows the chaotic solution to t = 20.
One program trains networks of all lengths Δt, final ε and seeds: where they are solved
is a phase diagram. A flax network is trained as well: any function of (t, x) is one.
"""

import dataclasses
import functools
import time

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from _space_time import Gauss

from dynax import Claim, pde, pinn
from dynax.newton import LevenbergMarquardt
from dynax.report import COLORS, legend_below, movie, new_figure


TITLE = "Lorenz by causal PINNs: one long window, and many short ones"
SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404"
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


LENGTHS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
STRENGTHS = (0.0, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
SIZES = {
    "quick": Config(),
    "long": Config(5, 400, 20.0, 4000, 0.2, LENGTHS, STRENGTHS, 4),
    "full": Config(20, 1000, 20.0, 4000, 0.2, LENGTHS, STRENGTHS, 20),
}
SPACE = {
    "length": np.array([0.5, 1.0, 2.0]),
    "causality": np.array([0.0, 1.0, 1000.0]),
    "seed": np.arange(2),
}
DIMS = {"weights": ["chunk"]}


def training(times, levels, patience, scheme=None, width=30) -> tuple:
    """A network 2 × width, and how it is trained on a window."""
    objective = pinn.Objective(
        times=times,
        points=1,
        chunks=times // 2,
        scheme=pinn.Causal() if scheme is None else scheme,
    )
    annealing = pinn.Annealing(levels, patience=patience)
    start = functools.partial(pinn.mlp_field, PDE, width=width, depth=2)
    return pinn.Trainer(objective, LevenbergMarquardt(), annealing), start


def window(length) -> pinn.Window:
    state = pinn.interpolate(PDE, lambda t, x: PDE.initial(x), 0.0)
    t1 = jnp.asarray(length, jnp.result_type(float))
    return pinn.Window(jnp.zeros_like(t1), t1, state)


def run(length, causality, seed) -> dict:
    """One window; ε climbs to `causality` in four levels, 0 being no causal weights.

    All cycles are run: without weights a stop test on them would be met at once.
    """
    levels = jnp.asarray(causality) * jnp.asarray([1e-3, 1e-2, 1e-1, 1.0])
    levels = levels / jnp.asarray(length) ** 2  # ε of residuals per unit of time
    how, start = training(64, levels, 33, width=16)
    never = dataclasses.replace(how.annealing, delta=1.0)
    how = dataclasses.replace(how, annealing=never)
    key = jax.random.key(seed)
    over = window(length)
    model = pinn.Model(start(key), PDE)
    out = pinn.solve(how, model, over, key, cycles=200)
    u = how.objective.ansatz(PDE, out.model.network, over)
    times = jnp.linspace(0, over.t1, 101)
    found = jax.vmap(lambda t: u(t, jnp.zeros(0, times.dtype)))(times)
    truth = runge_kutta(times)
    error = jnp.linalg.norm(found - truth) / jnp.linalg.norm(truth)
    last = jnp.max(out.records.cycle)
    return {
        "error": error,
        "solved": error <= SOLVED,
        "min_weight": jnp.exp(out.records.log_min[last]),
        "loss": jnp.mean(out.records.chunks[last]),
        "weights": jnp.exp(out.records.log_weights[last]),
    }


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


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return _measure(config, progress)


def _measure(config: Config, progress) -> dict:
    truth = pde.reference(PDE, np.linspace(0, 1, 201))
    over, cases = window(1.0), {}
    share = config.horizon / (config.horizon + 3 * config.seeds)
    for k, scheme in enumerate((pinn.Causal(), pinn.Uniform())):
        how, start = training(128, LEVELS, 100, scheme)
        for seed in range(config.seeds):
            done = (k + seed / config.seeds) / 2 * 0.9 * (1 - share)
            name = type(scheme).__name__.lower()
            tell = functools.partial(_tell, progress, done, f"{name}, seed {seed}")
            key = jax.random.key(seed)
            model = pinn.Model(start(key), PDE)
            begun = time.process_time()
            out = pinn.train(how, model, over, key, config.cycles, progress=tell)
            seconds = time.process_time() - begun
            u = how.objective.ansatz(PDE, out.model.network, over)
            cases[name, seed] = {
                "error": pde.relative_l2(u, truth).overall,
                "certificate": how.certificate(out, over),
                "records": out.records,
                "u": np.asarray(_path(u, jnp.asarray(truth.t))),
                "seconds": seconds,
            }
    progress(0.9 * (1 - share), "phase diagram")
    phases = diagram(config)
    progress(0.95 * (1 - share), "a flax network")
    flax = of_flax()
    edges = np.arange(0, config.horizon + config.step / 2, config.step)
    marched, march_error = march(config, edges, config.march, progress, 1 - share)
    stopped, _ = march(config, edges[:6], 3, lambda share, text: None, 1.0)
    progress(1.0, "done")
    return {
        "config": config,
        "truth": truth,
        "cases": cases,
        "phases": phases,
        "flax": flax,
        "marched": marched,
        "march error": march_error,
        "stopped": stopped,
    }


def diagram(config: Config) -> dict:
    """`run` at every (Δt, ε, seed): one program, compiled once."""
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


def of_flax() -> dict:
    """Its parameters and its function, trained as any network on a window Δt = ½."""
    over, key, module = window(0.5), jax.random.key(0), Flax()
    params = module.init(key, over.t0, jnp.zeros(0, over.t0.dtype))
    network = jax.tree_util.Partial(module.apply, params)
    how, _ = training(64, np.asarray(LEVELS) / 0.5**2, 50)
    out = pinn.train(how, pinn.Model(network, PDE), over, key, 300)
    u = how.objective.ansatz(PDE, out.model.network, over)
    truth = pde.reference(PDE, np.linspace(0, 0.5, 101))
    return {
        "error": pde.relative_l2(u, truth).overall,
        "certificate": how.certificate(out, over),
    }


def march(config, edges, cycles, progress, done):
    """Windows of 32 Gauss–Legendre times: smooth solutions converge spectrally."""
    levels = np.asarray([1.0, 1e2, 1e4, 3e5])
    levels = levels / (edges[1] - edges[0]) ** 2
    how, start = training(32, levels, cycles, width=32)
    # how wrong it is in the end is for the claim to say
    how = dataclasses.replace(how, sampler=Gauss(32, 1), rtol=0.1)
    key = jax.random.key(0)
    tell = lambda share, text: progress(done + (1 - done) * share * 0.99, text)
    model = pinn.Model(start(key), PDE)
    out = pinn.march(how, model, key, edges, cycles, progress=tell)
    times = np.arange(0, out.reached + 1e-9, 0.02)
    if len(times) < 2:
        return out, None
    truth = pde.reference(PDE, times)
    found = np.asarray(_path(out.solution, jnp.asarray(times)))
    error = np.abs(found - truth.u)
    total = np.sqrt(np.sum(error**2, 0) / np.sum(truth.u**2, 0))
    return out, {"t": times, "u": found, "truth": truth, "error": error, "l2": total}


@eqx.filter_jit
def _path(u, times):
    return jax.vmap(lambda t: u(t, jnp.zeros(0, times.dtype)))(times)


def _tell(progress, done, name, share, text):
    del share
    progress(done, f"{name}: {text}")


def claims(results) -> list[Claim]:
    config, cases = results["config"], results["cases"]
    of = lambda name: [c for (kind, _), c in cases.items() if kind == name]
    causal, uniform = of("causal"), of("uniform")
    errors = [c["error"] for c in causal]
    plain = [c["error"] for c in uniform]
    refused = sum(not c["certificate"].holds for c in uniform)
    marched, found = results["marched"], results["march error"]
    errors = [] if found is None else found["l2"]  # none where the first window failed
    seconds = ", ".join(f"{c['seconds']:.1f}" for c in causal)
    solved = results["phases"]["error"] <= SOLVED
    lengths, causalities = np.asarray(config.lengths), np.asarray(config.causalities)
    weighed = (causalities >= 1) & (causalities <= 100)
    reached = solved[lengths <= 1][:, weighed]
    without = solved[lengths == 1][:, causalities == 0]
    compiling, running = results["phases"]["seconds"]
    claim = functools.partial(Claim.judged, SOURCE)
    return [
        claim(
            "P1",
            "one window Δt = 1, causal weights: the largest relative L2 error",
            max(errors),
            "≤ 1e-4",
            f"{config.seeds} seeds; CPU-s, the first with compiling: {seconds}",
            (min(errors), max(errors)),
        ),
        claim(
            "P1a",
            "solutions with a certificate: the largest error",
            max([c["error"] for c in cases.values() if c["certificate"].holds] + [0]),
            "≤ 1e-4",
            f"{sum(c['certificate'].holds for c in causal)} of {config.seeds} causal "
            f"runs and {config.seeds - refused} of {config.seeds} others have one",
        ),
        claim(
            "P1x",
            "claim P1 without causal weights: the least error",
            min(plain),
            "≥ 0.5 rejected",
            f"{config.seeds} seeds",
            (min(plain), max(plain)),
        ),
        claim(
            "P1y",
            "runs without causal weights that the stop test refuses",
            refused,
            f"≥ {config.seeds} rejected",
        ),
        claim(
            "P1b",
            f"phase diagram: share of Δt ≤ 1, ε = 1 … 100 with an error ≤ {SOLVED:g}",
            np.mean(reached),
            "≥ 0.9",
            f"{solved.size} points Δt × ε × seed in one program: {compiling:.0f} CPU-s "
            f"of compiling, {running:.0f} of training; {np.sum(solved)} are solved",
        ),
        claim(
            "P1z",
            "claim P1b of Δt = 1 without causal weights: points not solved",
            np.sum(~without),
            f"≥ {without.size} rejected",
        ),
        claim(
            "P1c",
            "a flax network in a window Δt = ½: relative L2 error",
            results["flax"]["error"],
            "≤ 1e-4",
            str(results["flax"]["certificate"].reason),
        ),
        claim(
            "P2",
            f"marched to t = {config.horizon:g} by Δt = {config.step:g}: the largest "
            "relative L2 error of a component",
            np.inf if marched.reached < config.horizon else np.max(errors),
            "≤ 5e-3",
            f"x, y, z: {', '.join(f'{e:.1e}' for e in errors)} "
            "(the paper to t = 20: 1.1e-2, 1.7e-2, 7e-3); "
            f"{sum(marched.seconds[1:]):.0f} CPU-s after the first window, "
            f"{marched.seconds[0]:.0f} for it with compiling",
        ),
        claim(
            "P2a",
            "windows without a certificate",
            sum(not c.holds for c in marched.certificates),
            "≤ 0",
            f"{len(marched.certificates)} windows",
        ),
        claim(
            "P2x",
            "a march of 3 cycles a window stops: how far it gets",
            results["stopped"].reached,
            "≤ 0 rejected",
            str(results["stopped"].certificates[-1].reason),
        ),
    ]


def figures(results) -> dict:
    return {
        "One window: the path, the residual, and the front of causal "
        "weights.": one_window(results),
        "The front of causal weights moves through the window during training.": front(
            results
        ),
        "Which windows are solved, over their length and the last ε.": phase(results),
        "The march: the path, and its error against the reference.": marched_figure(
            results
        ),
    }


def one_window(results):
    cases, truth = results["cases"], results["truth"]
    figure, axes = new_figure(1, 3, size=(10.5, 3.2))
    left, middle, right = axes[0]
    left.plot(truth.t, truth.u[:, 0], color=COLORS["black"], lw=3, alpha=0.3)
    for name, color in (("causal", "blue"), ("uniform", "vermilion")):
        case = cases[name, 0]
        left.plot(truth.t, case["u"][:, 0], color=COLORS[color], label=name, lw=1)
        for (kind, _), c in cases.items():
            if kind == name:
                rows = c["records"]
                middle.plot(rows.chunks.mean(1), color=COLORS[color], lw=0.8)
    left.set(xlabel="t", ylabel="x(t)")
    left.set_title("Window Δt = 1; grey: the solution")
    legend_below(left)
    middle.set(xlabel="cycle", ylabel="mean squared residual", yscale="log")
    middle.set_title("The wrong one's is small at first")
    rows = cases["causal", 0]["records"]
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
    right.set(xlabel="cycle", ylabel="t")
    right.set_title("Causal weights; ε steps up")
    return figure


def front(results):
    """A frame for each of at most 50 cycles, more of the first ones, in which the front
    moves: w, and the residual by chunks of time."""
    causal, uniform = (results["cases"][k, 0]["records"] for k in ("causal", "uniform"))
    ran = np.flatnonzero(causal.cycle >= 0)
    chosen = np.linspace(0, 1, 50) ** 1.6 * (len(ran) - 1)
    cycles = np.unique(chosen.round().astype(int))
    t = (np.arange(causal.chunks.shape[1]) + 0.5) / causal.chunks.shape[1]
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    left.set(xlabel="t", ylabel="w(t)", xlim=(0, 1), ylim=(-0.02, 1.05))
    residuals = np.concatenate([causal.chunks[ran], uniform.chunks])
    ends = np.nanmin(residuals) / 2, np.nanmax(residuals) * 2
    right.set(xlabel="t", ylabel="mean squared residual", xlim=(0, 1), ylim=ends)
    right.set(yscale="log", title="Residual by chunks of time")
    fill = left.fill_between(t, 0 * t, color=COLORS["blue"], alpha=0.25, lw=0)
    (weights,) = left.plot(t, 0 * t, color=COLORS["blue"])
    (ours,) = right.plot(
        t, causal.chunks[0], color=COLORS["blue"], label="with causal weights"
    )
    look = {"color": COLORS["vermilion"], "lw": 0.9}
    (plain,) = right.plot(t, uniform.chunks[0], label="without: wrong", **look)
    figure.legend(loc="outside lower center", ncols=2)

    def draw(frame):
        k = cycles[frame]
        w = np.exp(causal.log_weights[k])
        weights.set_ydata(w)
        fill.set_data(t, 0 * t, w)
        ours.set_ydata(causal.chunks[k])
        plain.set_ydata(uniform.chunks[min(k, len(uniform.cycle) - 1)])
        left.set_title(f"Weights, cycle {k}, ε = {causal.causality[k]:g}")

    return movie(figure, draw, len(cycles))


def phase(results):
    """The median error over seeds, and how many of them are solved."""
    config, error = results["config"], results["phases"]["error"]
    figure, axes = new_figure(size=(7.6, 3.8))
    ax = axes[0, 0]
    shown = np.log10(np.median(error, 2)).T
    look = {"vmin": -6, "vmax": 0, "cmap": "viridis"}
    image = ax.imshow(shown, origin="lower", aspect="auto", **look)
    ax.grid(False)
    for (j, k), value in np.ndenumerate(shown):
        text = f"{np.sum(error[k, j] <= SOLVED)}/{config.repeats}"
        color = "white" if value < -2.5 else "black"
        ax.text(k, j, text, ha="center", va="center", color=color)
    ax.set_xticks(range(len(config.lengths)), [f"{v:g}" for v in config.lengths])
    ax.set_yticks(
        range(len(config.causalities)), [f"{v:g}" for v in config.causalities]
    )
    ax.set(xlabel="length of the window, Δt", ylabel="last ε (0: no causal weights)")
    ax.set_title(f"Seeds with an error ≤ {SOLVED:g}; colour: the median error")
    figure.colorbar(image, ax=ax, label="log₁₀ relative L2 error", extend="both")
    return figure


def marched_figure(results):
    found = results["march error"]
    figure, axes = new_figure(2, 1, size=(7.6, 4.6), sharex=True)
    top, bottom = axes[:, 0]
    top.plot(found["t"], found["truth"].u[:, 0], color=COLORS["black"], lw=3, alpha=0.3)
    top.plot(found["t"], found["u"][:, 0], color=COLORS["blue"], lw=1)
    top.set(ylabel="x(t)")
    top.set_title("Marched; grey: the solution")
    later = slice(1, None)  # at t = 0 there is none
    for k, name in enumerate("xyz"):
        error = found["error"][later, k] + 1e-16
        bottom.plot(found["t"][later], error, label=name, lw=0.9)
    bottom.set(xlabel="t", ylabel="|error|", yscale="log")
    bottom.set_title("Grows as the Lyapunov exponent 0.906 says (dashed)")
    grown = found["error"][1:50].max() * np.exp(0.906 * found["t"])
    bottom.plot(found["t"], grown, color=COLORS["grey"], lw=1, ls="--")
    legend_below(bottom)
    return figure
