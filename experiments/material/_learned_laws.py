"""A material of which one motion was seen: its law is learned, and then has to foresee
motions that it was not shown."""

import dataclasses
import functools
import math
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from dynax import Claim, material as mat
from dynax.mechanics import learn, mpm
from dynax.report import COLORS, movie, new_figure


SOURCE = "Ma, Chen, Deng, Tenenbaum, Du, Gan, Matusik, ICML 2023, arXiv:2304.14369"
DT, DENSITY, SIDE = 5e-4, 1e3, 0.5
FALL = np.array([1.0, -1.5, -2.0]), np.array([4.0, 4.0, 4.0])  # velocity and spin
GRAVITY = np.array([0.0, -9.8, 0.0])
FLIGHT = 60  # steps without a wall
VELOCITIES = 1, 7, 8
SHAPES = "ball", "torus", "star", "letter"
UNSEEN = (
    "longer",
    *(f"velocity {k}" for k in VELOCITIES),
    *SHAPES,
    "sticky",
    "slope",
    "contact",
)
FEWER = tuple(n for n in UNSEEN if n not in ("torus", "star", "sticky"))
LOOK = {
    "nclaw": ("blue", "o"),
    "icnn": ("green", "s"),
    "positions": ("sky", "D"),
    "supervised": ("orange", "^"),
    "family": ("purple", "v"),
    "zero stress": ("grey", "x"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    cells: int = 6  # points along the cube, on a grid of twice as many nodes
    steps: int = 100  # that are seen
    epochs: int = 40
    horizons: tuple[int, ...] = (25,)
    seeds: int = 1
    unseen: tuple[str, ...] = ("velocity 1",)
    ahead: int = 100  # steps of the unseen motions
    models: tuple[str, ...] = ("nclaw",)
    rate: float = 1.0
    single: int = 0  # epochs on single steps, before rollouts
    fitted: float = 0.5  # claimed: the error of the motion that was seen, and of those
    foreseen: float = 0.5  # that were not; of zero stress's


def quick(**other) -> Config:
    return dataclasses.replace(Config(), **other)


def long(**other) -> Config:
    """The recipe of the paper, shortened."""
    reduced = Config(
        cells=10,
        steps=300,
        epochs=100,
        horizons=(25, 50, 100),
        seeds=2,
        unseen=UNSEEN,
        ahead=400,
        models=("nclaw", "family"),
        fitted=0.02,
        foreseen=0.1,
    )
    return dataclasses.replace(reduced, **other)


def full(**other) -> Config:
    """The recipe of the paper."""
    more = {"steps": 1000, "epochs": 300, "horizons": (25, 50, 100, 200)}
    return long(**more, **other)


class ZeroStress(mat.AbstractLaw):
    """No law at all: dust."""

    def kirchhoff(self, F, alpha=()):
        return jnp.zeros_like(F)

    def stiffness(self, F, alpha=()):
        return jnp.ones((), F.dtype)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A motion to be foreseen: `materials` wants one law, the rest is known."""

    solver: mpm.MPM
    materials: Any
    start: mpm.Body
    steps: int

    def filled(self, law):
        known = isinstance(self.materials, tuple)
        return learn.filled(self.materials, (law, None) if known else law)

    def moved(self, law) -> mpm.Motion:
        return _run(self.solver, self.filled(law), self.start, self.steps)

    def truth(self, law) -> learn.Trajectory:
        return learn.observed(self.moved(law), DT)

    def foreseen(self, law, truth) -> learn.Free:
        return learn.free_run(self.solver, self.filled(law), truth, self.start)


@eqx.filter_jit
def _run(solver, args, start, steps):
    return mpm.simulate(solver, args, start, DT, steps, throw=False)


def scene(name: str, config: Config, other: Any, steps: int | None = None) -> Scene:
    """`other`: what the body meets in "contact", a law that is known."""
    nodes = 2 * config.cells
    velocity, spin = FALL
    walls, gravity = mpm.box_walls(3), GRAVITY
    spacing = SIDE / config.cells
    x = mpm.bodies.box((0.25,) * 3, (0.75,) * 3, spacing)
    if name.startswith("velocity"):
        draw = np.random.default_rng(int(name.split()[1])).uniform
        velocity, spin = np.array([0, -draw(0, 3), 0]), draw(0, 3, 3)
    if name in SHAPES:
        nodes = math.ceil(1.6 * nodes)
        spacing = 1 / nodes
        center = (0.5, 0.5, 0.5)
        x = {
            "ball": lambda: mpm.bodies.ball(center, 0.25, spacing),
            "torus": lambda: mpm.bodies.torus(center, 0.22, 0.09, spacing),
            "star": lambda: mpm.bodies.star(center, 0.3, spacing),
            "letter": lambda: mpm.bodies.letter("X", center, 0.5, spacing),
        }[name]()
    if name == "sticky":
        walls = mpm.box_walls(3, "sticky")
    if name == "slope":
        low = mpm.Slope(np.array([0.5, 0.15, 0.5]), np.array([0.0, 2.0, 1.0]))
        walls = (*walls, low)
    grid = mpm.Grid((nodes,) * 3, 1 / nodes)
    solver = mpm.MPM(grid, walls, _single(gravity))
    one = lambda law, x: mpm.Material(law, DENSITY, spacing**3, len(x))
    steps = config.ahead if steps is None else steps
    if name != "contact":
        body = one(ZeroStress(), x)
        start = mpm.at_rest(body, _single(x), _single(velocity), _single(spin))
        return Scene(solver, body, start, steps)
    low = _block((0.25, 0.17, 0.25), (0.75, 0.4, 0.75), spacing)
    high = _block((0.3, 0.45, 0.3), (0.7, 0.85, 0.7), spacing)
    bodies = one(ZeroStress(), high), one(other, low)
    x = np.concatenate([high, low])
    start = mpm.at_rest(bodies, _single(x), _single([0.0, -2.0, 0.0]))
    return Scene(solver, bodies, start, steps)


def _block(low, high, spacing):
    """A box of about these corners, of whole cells."""
    sides = np.rint(np.subtract(high, low) / spacing) * spacing
    return mpm.bodies.box(low, low + sides, spacing)


def _single(a):
    return jnp.asarray(a, jnp.float32)


def nclaw(seed, plastic: bool) -> mat.AbstractLaw:
    """The published networks."""
    first, second = jax.random.split(jax.random.key(seed))
    elastic = mat.NCElastic(first, dtype=jnp.float32)
    if not plastic:
        return elastic
    return mat.StressAndReturn(elastic, mat.NCPlastic(second, dtype=jnp.float32))


@functools.cache  # by what it is known that a program is compiled
def published(plastic: bool, epochs: int, rate: float) -> optax.GradientTransformation:
    """Adam, to 0 by a cosine, at `rate` (published: 1) for the stress and 0.1 of it for
    the return; each network's gradient clipped to 0.1."""
    part = lambda rate: optax.chain(
        optax.clip_by_global_norm(0.1),
        optax.adam(optax.cosine_decay_schedule(rate, epochs)),
    )
    if not plastic:
        return part(rate)
    names = eqx.tree_at(
        lambda law: (law.elastic, law.plastic),
        eqx.filter(nclaw(0, plastic), eqx.is_inexact_array),
        ("elastic", "plastic"),
    )
    return optax.partition({"elastic": part(rate), "plastic": part(0.1 * rate)}, names)


@functools.cache
def cosine(rate: float, epochs: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, epochs))


def scaled(guess, logs):
    """The guess with each of its parameters times e^log."""
    numbers, rest = eqx.partition(guess, eqx.is_inexact_array)
    times = lambda a, log: a * jnp.exp(log)
    return eqx.combine(jax.tree.map(times, numbers, logs), rest)


def _loss_of_logs(loss, guess, logs):
    return loss(scaled(guess, logs))


def floats(law):
    """A law of Python numbers as one of arrays, which can be learned."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), law)


def family(stages, truth_law, epochs: int, progress) -> learn.Fitted:
    """System identification: the right family, from 0.8 times its parameters."""
    guess = jax.tree.map(lambda a: 0.8 * a, floats(truth_law))
    logs = jax.tree.map(jnp.zeros_like, guess)
    bound = [(eqx.Partial(_loss_of_logs, loss, guess), n) for loss, n in stages]
    out = learn.fit(bound, logs, cosine(0.05, epochs), progress=progress)
    return out._replace(law=scaled(guess, out.law))


def labels(truth_law, seen: learn.Trajectory, count: int = 4096) -> learn.Labels:
    """Stresses and plastic returns at `count` of all points and steps."""
    F, C = seen.y.F, seen.y.C
    before = F[:-1] + jnp.matmul(DT * C[1:], F[:-1])
    flat = lambda a: a.reshape(-1, 3, 3)
    chosen = jax.random.choice(
        jax.random.key(0), flat(before).shape[0], (count,), replace=False
    )
    before, after = flat(before)[chosen], flat(F[1:])[chosen]
    tau = jax.vmap(truth_law.kirchhoff)(after)
    plastic = not isinstance(truth_law, mat.FixedCorotated)
    unit = float(jnp.sqrt(jnp.mean(tau**2)))
    return learn.Labels(after, tau, unit, (before, after) if plastic else None)


@dataclasses.dataclass(frozen=True)
class Material:
    """What is to be learned.

    Args:
        truth: the law of the data.
        other: what it meets in contact.
    """

    name: str
    truth: Any
    other: Any

    @property
    def plastic(self) -> bool:
        return self.name != "jelly"


def train(name: str, material: Material, seen, drop: Scene, config, seed, progress):
    """The law, its record and result, processor seconds, and those of compiling."""
    known = dict(solver=drop.solver, materials=drop.materials, trajectory=seen)
    reset = "positions" if name == "positions" else "full_state"
    stages: Any = learn.growing(
        config.horizons, config.epochs, **known, reset=reset, batch=None
    )
    if config.single and name == "nclaw":
        balance = learn.Balance(
            drop.solver, drop.materials, seen, "full_state", 4, 1e-3
        )
        stages = [(balance, config.single), *stages]
    epochs = config.epochs + config.single
    law: Any = nclaw(seed, material.plastic)
    method, clock = (
        published(material.plastic, epochs, config.rate),
        Clock(progress),
    )
    if name == "family":
        out = family(stages, material.truth, config.epochs, clock)
    elif name == "supervised":
        epochs = 10 * config.epochs
        method = cosine(0.1, epochs)
        stages = [(labels(material.truth, seen), epochs)]
        out = learn.fit(stages, law, method, progress=clock)
    else:
        if name == "icnn":
            law = mat.ICNN(jax.random.key(seed), 1e5, dtype=jnp.float32)
            method = cosine(0.1, config.epochs)
        out = learn.fit(stages, law, method, progress=clock)
    return {"law": out.law, "record": out.record, "result": out.result} | clock.read(
        [n for _, n in stages]
    )


class Clock:
    """Processor time of each epoch; the first of a stage compiles."""

    def __init__(self, progress):
        self.progress, self.times = progress, []

    def __call__(self, share, text):
        self.times.append(time.process_time())
        self.progress(share, text)

    def read(self, epochs) -> dict[str, float]:
        spent = np.diff(self.times)
        starts = np.cumsum([0, *epochs[:-1]])
        stages = zip(starts, epochs, strict=True)
        rows = [spent[s : s + n] for s, n in stages if spent[s + 1 : s + n].size]
        compiling = float(sum(row[0] - np.median(row[1:]) for row in rows))
        return {"seconds": float(np.sum(spent)) - compiling, "compiling": compiling}


def measure(material: Material, config: Config, progress) -> dict:
    """Data, training of every model and seed, free runs of all of them."""
    drop = scene("drop", config, material.other, config.steps)
    progress(0.0, "the motion that is seen")
    seen = drop.truth(floats(material.truth))
    runs: dict[str, list] = {}
    jobs = [
        (name, seed)
        for name in config.models
        for seed in range(config.seeds if name in ("nclaw", "icnn") else 1)
    ]
    for k, (name, seed) in enumerate(jobs):
        tell = lambda share, text, k=k, name=name, seed=seed: progress(
            0.8 * (k + share) / len(jobs), f"{name}, seed {seed}: {text}"
        )
        run = train(name, material, seen, drop, config, seed, tell)
        runs.setdefault(name, []).append(run)
    laws = {name: [run["law"] for run in all] for name, all in runs.items()}
    truth_law = floats(material.truth)
    laws["zero stress"] = [ZeroStress()]
    laws["untrained"] = [nclaw(0, material.plastic)]
    errors, films = {}, {}
    names = ("drop", *config.unseen)
    for k, name in enumerate(names):
        progress(0.8 + 0.2 * k / len(names), f"unseen: {name}")
        steps = 1000 if name == "longer" else None
        here = drop if name == "drop" else scene(name, config, material.other, steps)
        truth = seen if name == "drop" else here.truth(truth_law)
        found = {m: [here.foreseen(law, truth) for law in laws[m]] for m in laws}
        errors[name] = {m: [float(f.mse) for f in all] for m, all in found.items()}
        films[name] = (truth.y.x[::20], {m: all[0].x[::20] for m, all in found.items()})
    errors = {n: {m: np.array(v) for m, v in e.items()} for n, e in errors.items()}
    progress(1.0, "flight")
    drifts = {m: [drift(law, config) for law in all] for m, all in laws.items()}
    drifts["truth"] = [drift(truth_law, config)]
    del drifts["zero stress"]
    return {
        "config": config,
        "material": material,
        "runs": runs,
        "errors": errors,
        "films": jax.device_get(films),
        "drifts": drifts,
    }


def sweepable(material: Material, rate, seed) -> dict:
    """A cube of 64 points, 40 steps; ten of Adam at a rate, on every fourth of them."""
    config = Config(cells=4, steps=40)
    drop = scene("drop", config, material.other, config.steps)
    seen = learn.Trajectory(DT, drop.moved(material.truth).y)
    strain = 1e-3 if material.plastic else None
    loss = learn.Balance(drop.solver, drop.materials, seen, "full_state", 4, strain)
    params, static = eqx.partition(nclaw(seed, material.plastic), eqx.is_inexact_array)
    method = optax.adam(jnp.asarray(rate, jnp.float32))
    value = lambda params: loss(eqx.combine(params, static))[0]

    def step(now, _):
        params, state = now
        size, grad = jax.value_and_grad(value)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = method.update(grad, state)
            params = optax.apply_updates(params, updates)
        return (params, state), size

    start = params, method.init(params)
    _, sizes = jax.lax.scan(step, start, length=10)
    return {"loss": sizes[-1], "start": sizes[0], "path": sizes}


def drift(law, config: Config) -> float:
    """How far angular momentum moves in 60 steps without walls or weight, of itself."""
    there = scene("drop", config, None)
    solver = mpm.MPM(there.solver.grid)
    args = there.filled(law)
    start = mpm.at_rest(
        args, there.start.x, spin=_single([20.0, 0.0, 0.0])
    )  # turning makes stress
    start = start._replace(F=start.F * jnp.array([1.02, 1.0, 0.98], jnp.float32))
    motion = _run(solver, args, start, FLIGHT)
    about = lambda y: mpm.angular_momentum(solver, args, y)
    L = np.asarray(jax.vmap(about)(motion.y))
    moved = np.linalg.norm(L - L[:1], axis=1)
    return float(np.nan_to_num(moved, nan=np.inf).max() / np.linalg.norm(L[0]))


def _table(results, model: str) -> str:
    """Of every motion, the mean of all seeds and the range."""
    rows = []
    for name, error in results["errors"].items():
        ratio = error[model] / error["zero stress"][0]
        low, high = spread(ratio)
        rows.append(f"{name} {np.mean(ratio):.2g} [{low:.2g}, {high:.2g}]")
    return "mean [range] of the seeds: " + "; ".join(rows)


def worst(results, model: str) -> float:
    """The largest of all unseen errors, of that of zero stress."""
    ratio = {
        name: np.max(error[model]) / error["zero stress"][0]
        for name, error in results["errors"].items()
        if name != "drop"
    }
    return float(max(ratio.values()))


def spread(values) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))


def energy_rises(law, config: Config, steps: int) -> int:
    """In how many steps of the drop the energy rises, in float64."""
    there = scene("drop", config, None)
    wide = lambda tree: jax.tree.map(
        lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, tree
    )
    solver, args = wide(there.solver), wide(there.filled(law))
    motion = _run(solver, args, wide(there.start), steps)
    rows = mpm.audit(solver, args, motion.t, motion.y)
    return dx.verdict(rows, "E falls").checks["fall"]["violations"]


def claims(results, id: str) -> list[Claim]:
    """Those of every material; `id` is their number."""
    config, errors, runs = results["config"], results["errors"], results["runs"]
    name, drop = results["material"].name, errors["drop"]
    zero = drop["zero stress"][0]
    claim = functools.partial(Claim.judged, SOURCE)
    seconds = [run["seconds"] for run in runs["nclaw"]]
    compiling = [run["compiling"] for run in runs["nclaw"]]
    found = [
        claim(
            id,
            f"{name} by NCLaw's networks, {config.cells**3} points, {config.steps} "
            f"steps seen, {config.epochs} epochs{_alone(config)}: the largest error of "
            "a free run, of zero stress's",
            max(drop["nclaw"]) / zero,
            f"≤ {config.fitted:g}",
            f"MSE {max(drop['nclaw']):.1e} m², zero stress {zero:.1e}; "
            f"{max(seconds):.0f} CPU-s, compiling, apart: {max(compiling):.0f}; "
            f"{config.seeds} seeds" + _others(drop),
            spread(drop["nclaw"] / zero),
        ),
        *(
            claim(
                f"{id}{letter}",
                f"{title} in motions not seen: the largest error, of zero stress's",
                worst(results, model),
                f"≤ {config.foreseen:g}",
                _table(results, model),
            )
            for letter, model, title in (("a", "nclaw", "NCLaw"), ("b", "icnn", "ICNN"))
            if model in runs
        ),
        claim(
            f"{id}x",
            f"claim {id} of networks that were not trained",
            drop["untrained"][0] / zero,
            f"≥ {1.5 * config.fitted:g} rejected",
        ),
    ]
    if "family" in runs:
        off = _parameters(runs["family"][0]["law"], results["material"].truth)
        found.append(
            claim(
                f"{id}c",
                f"{name}'s parameters by the same training, of the right family from "
                "0.8 of them: the largest relative error",
                max(off.values()),
                "≤ 0.01",
                ", ".join(f"{k} {v:.1e}" for k, v in off.items()),
            )
        )
    return found


def _alone(config) -> str:
    return f" after {config.single} on single steps" if config.single else ""


def _others(drop) -> str:
    names = [n for n in ("icnn", "supervised", "family", "positions") if n in drop]
    return "".join(f"; {n} {max(drop[n]):.1e}" for n in names)


def _parameters(law, truth) -> dict[str, float]:
    """Relative errors, by name."""
    named = lambda law: {
        jax.tree_util.keystr(at).rsplit(".")[-1]: float(a)
        for at, a in jax.tree_util.tree_leaves_with_path(law)
    }
    known = named(truth)
    return {k: abs(v / known[k] - 1) for k, v in named(law).items()}


def figures(results) -> dict:
    out: dict[str, Any] = {
        "learning": _learning(results),
        "unseen": _unseen(results),
        "response": _response(results),
    }
    for name in ("drop", "contact"):
        if name in results["films"]:
            out[f"motion: {name}"] = _film(results, name)
    return out


def _learning(results):
    config = results["config"]
    figure, axes = new_figure(1, 1, size=(6.0, 3.4))
    ax = axes[0, 0]
    for name, all in results["runs"].items():
        for k, run in enumerate(all):
            loss = np.asarray(run["record"].loss)
            epochs = (1 + np.arange(loss.size)) * config.epochs / loss.size
            color = COLORS[LOOK[name][0]]
            ax.plot(epochs, loss, color=color, lw=1, label=None if k else name)
    for k in range(1, len(config.horizons)):
        edge = config.epochs * k // len(config.horizons)
        ax.axvline(edge, color=COLORS["grey"], lw=0.5)
    ax.set(xlabel="epochs", ylabel="loss", yscale="log")
    steps = ", ".join(map(str, config.horizons))
    ax.set_title(f"Segments of {steps} steps")
    ax.legend()
    return figure


def _unseen(results):
    errors = results["errors"]
    figure, axes = new_figure(1, 1, size=(7.6, 3.8))
    ax, names = axes[0, 0], list(errors)
    models = [m for m in LOOK if m in errors["drop"]]
    for k, model in enumerate(models):
        color, mark = COLORS[LOOK[model][0]], LOOK[model][1]
        place = np.arange(len(names)) + 0.12 * (k - (len(models) - 1) / 2)
        low, middle, high = (
            np.array([f(errors[n][model]) for n in names])
            for f in (np.min, np.mean, np.max)
        )
        bars = [middle - low, high - middle]
        ax.errorbar(place, middle, bars, fmt=mark, color=color, ms=4, lw=1, label=model)
    ax.set_xticks(np.arange(len(names)), names, rotation=30, ha="right")
    ax.set(ylabel="MSE of places, m²", yscale="log")
    ax.set_title("The motion that was seen, and those that were not")
    figure.legend(loc="outside lower center", ncols=len(models))
    return figure


def _response(results):
    """τ along a stretch and a shear, after the plastic return."""
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    eye = jnp.eye(3, dtype=jnp.float32)
    s = jnp.linspace(-0.3, 0.15, 46, dtype=jnp.float32)
    paths = (
        ("stretch", "τ₁₁, kPa", (0, 0), lambda s: eye.at[0, 0].add(s)),
        ("shear", "τ₁₂, kPa", (0, 1), lambda s: eye.at[0, 1].add(s)),
    )
    laws = {n: all[0]["law"] for n, all in results["runs"].items()}

    def along(law, path):
        def one(s):
            F, alpha = law.update(path(s), law.init(eye), DT)
            return law.kirchhoff(F, alpha)

        return np.asarray(jax.vmap(one)(s)) / 1e3

    for ax, (title, label, at, path) in zip(axes[0], paths, strict=True):
        known = along(floats(results["material"].truth), path)[:, *at]
        ax.plot(s, known, color=COLORS["black"], lw=4, alpha=0.3)
        for name, law in laws.items():
            ax.plot(s, along(law, path)[:, *at], color=COLORS[LOOK[name][0]], lw=1.2)
            ax.lines[-1].set_label(name)
        top = 1.3 * np.abs(known).max() + 1
        ax.set(xlabel=title, ylabel=label, ylim=(-top, top))
    axes[0, 0].set_title("Grey: the truth")
    axes[0, 1].legend()
    return figure


def _film(results, name):
    truth, found = results["films"][name]
    shown = {"truth": truth} | {m: found[m] for m in ("nclaw", "icnn") if m in found}
    figure, axes = new_figure(1, len(shown), size=(3.0 * len(shown), 3.2))
    order = np.argsort(-truth[0, :, 2])
    dots = []
    for ax, (title, x) in zip(axes[0], shown.items(), strict=True):
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
        ax.set_xlabel("x, m")
        ax.grid(False)
        height = truth[0, order, 1]
        dots.append(ax.scatter(*x[0, order, :2].T, c=height, s=9, cmap="viridis"))
    axes[0, 0].set_ylabel("height, m")
    every = math.ceil(len(truth) / 50)

    def draw(k):
        for dot, x in zip(dots, shown.values(), strict=True):
            dot.set_offsets(x[k * every, order, :2])

    return movie(figure, draw, (len(truth) - 1) // every + 1)
