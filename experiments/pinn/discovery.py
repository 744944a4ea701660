"""What an equation hides, from 50 noisy numbers: the force of a swing over two wells,
the reaction of a diffusing field seen from two initial states that share one hidden
network, and the viscosity of Burgers. A sparse regression reads the hidden network, and
its formula is trained in its place. Where the data cannot tell, at rest, in the wells,
or with their times shuffled, no coefficient may come.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import Claim, identify, pde, pinn
from dynax.identify import monomials
from dynax.newton import LevenbergMarquardt
from dynax.pinn import inverse
from dynax.pinn.interpolant import Constant
from dynax.pinn.several import Several, SideBySide, side_by_side
from dynax.report import COLORS, legend_below, new_figure


TITLE = "What an equation hides, from 50 noisy numbers, and when they cannot tell"
SOURCE = "Podina, Eastman, Kohandel, arXiv:2212.04630"
LEVELS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # ε while a network stands for the term
MILDER = 0.1, 1.0, 10.0, 30.0, 100.0  # ε that the residuals of fields can meet
SOFT = 1e-5  # λ_d: as much harder is the equation than the data
COUNT = 25  # times of the swing, (q, p) at each; places of each state of the field
DERIVED = 2  # h comes from derivatives: so much more noise has it than the data
VISCOSITY, GUESS = 0.05, 0.2
SWUNG = 1.7, 0.0  # (q, p) at t = 0
TRUTHS = {"swing": (1.0, -1.0), "field": (2.0, -2.0), "viscosity": (VISCOSITY,)}
PLACES = [1, 3]  # of z and z³ in both libraries
TRUE = tuple(TRUTHS)


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 1  # of noise, places and networks
    noises: tuple[float, ...] = (0.01,)  # σ in standard deviations of the solution
    cycles: int = 300  # at most


SIZES = {
    "quick": Config(),
    "long": Config(4, (0.01, 0.02, 0.05)),
    "full": Config(20, (0.01, 0.003, 0.02, 0.05, 0.1), 1000),
}
SPACE = {
    "noise": np.array([0.003, 0.01, 0.03, 0.1]),
    "distance": np.array([0.0, 0.03, 0.1, 0.3, 0.7]),
    "seed": np.arange(2),
}


class Duffing(pde.AbstractODE):
    """q̇ = p,  ṗ = αq − βq³: a swing over two wells.

    Args:
        start: (q, p) at t = 0.
        linear, cubic: α, β.
    """

    fields: ClassVar = ("q", "p")
    horizon: ClassVar = 8.0
    start: Any
    linear: float = 1.0
    cubic: float = 1.0

    def field(self, u):
        q, p = u[..., 0], u[..., 1]
        return jnp.stack([p, self.linear * q - self.cubic * q**3], -1)

    def initial(self, x):
        return jnp.asarray(self.start, x.dtype)


class OfPlace(eqx.Module):
    """(q, p) ↦ h(q): a force that is known not to depend on the velocity."""

    force: Callable

    def __call__(self, z):
        return self.force(z[:1])


class Reaction(pde.AbstractSemilinear):
    """uₜ = ν uₓₓ + γ(u − u³) on [−1, 1], periodic; u(0, x) = m + a sin πx + b cos 2πx.

    Args:
        diffusion, reaction: ν, γ.
        start: (m, a, b).
    """

    needs: ClassVar = "u t xx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0
    start: Any
    reaction: float = 2.0
    diffusion: float = 0.05

    def equation(self, t, x, d):
        return d.t - self.diffusion * d.xx - self.reaction * (d.u - d.u**3)

    def initial(self, x):
        m, a, b = self.start
        return m + a * jnp.sin(jnp.pi * x) + b * jnp.cos(2 * jnp.pi * x)

    def symbol(self, k):
        return (self.reaction - self.diffusion * k**2).astype(complex)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return to_modes(-self.reaction * to_grid(u_hat) ** 3)


def term(equation):
    return equation.hidden


def viscosity(equation):
    return (equation.viscosity,)


class Problem(NamedTuple):
    """An equation in which something is hidden.

    Args:
        part: h ↦ the equation with it.
        hidden, network: key → h and the surrogate, untrained.
        library: θ; None where only a coefficient is hidden.
        settings: of the objective.
        levels: ε of the formula, or the coefficient, that the certificate is about.
        many: times, and places at each, of what is not trained on.
        start: u(0, ·).
        horizon: of the data.
    """

    part: Callable
    hidden: Callable
    network: Callable
    library: Any
    settings: dict[str, Any]
    levels: tuple[float, ...]
    many: tuple[int, int]
    start: Callable
    horizon: float

    def training(self, data) -> pinn.Trainer:
        learn = viscosity if self.library is None else term
        objective = pinn.Objective(
            data=data, data_weight=SOFT * self.unit, chunks=16, **self.settings
        )
        levels = self.levels if self.library is None else LEVELS
        annealing = self.annealing(levels)
        return pinn.Trainer(objective, LevenbergMarquardt(), annealing, learn=learn)

    def annealing(self, levels) -> pinn.Annealing:
        return pinn.Annealing(jnp.asarray(levels) / self.unit, patience=50)

    @property
    def unit(self):
        """A residual relative to size/length, over itself; squared."""
        equation = self.part(self.hidden(jax.random.key(0)))
        return (self.horizon / self.window.sizes(equation)[0]) ** 2

    @property
    def window(self) -> pinn.Window:
        zero = jnp.zeros((), jnp.result_type(float))
        return pinn.Window(zero, zero + self.horizon, self.start)


def swing(start) -> Problem:
    """q̇ = p, ṗ = h(q); h = q − q³."""
    known, library = Duffing(start, 0.0, 0.0), monomials("q", 3, constant=True)
    return Problem(
        lambda h: identify.WithHidden(known, OfPlace(h), "u", (1,)),
        lambda key: inverse.Hidden((1.5,), (2.0,), key=key),
        lambda key: pinn.mlp_field(known, key, width=16, depth=2),
        library,
        {"times": 64, "points": 1},
        LEVELS,
        (1024, 1),
        Constant(start, jnp.zeros_like(start)),
        known.horizon,
    )


def field(starts) -> Problem:
    """uₜ = ν uₓₓ + h(u) from all states, one h; h = 2u − 2u³."""
    states = [Reaction(start, 0.0) for start in starts]
    library = monomials("u", 3, constant=True)
    initial = tuple(state.initial for state in states)
    part = lambda h: Several(identify.WithHidden(states[0], h, "u"), initial)
    make = lambda key: pinn.mlp_field(states[0], key, width=10, depth=2)
    return Problem(
        part,
        lambda key: inverse.Hidden((1.0,), (1.0,), key=key, width=4),
        lambda key: SideBySide(make, jax.random.split(key, len(states))),
        library,
        {"times": 16, "points": 16},
        MILDER,
        (32, 16),
        part(None).initial,
        1.0,
    )


def burgers(amplitude) -> Problem:
    """uₜ + u uₓ = ν uₓₓ with ν in h's place."""
    start = Wave(amplitude)
    return Problem(
        pde.Burgers,
        lambda key: jnp.asarray(GUESS, amplitude.dtype),
        lambda key: pinn.mlp_field(pde.Burgers(), key, width=14, depth=2),
        None,
        {"times": 16, "points": 24},
        MILDER,
        (32, 32),
        start,
        1.0,
    )


class Wave(eqx.Module):
    """−a sin πx."""

    amplitude: Any

    def __call__(self, x):
        return -self.amplitude * jnp.sin(jnp.pi * x)


def runge_kutta(start, times):
    """(q, p) at equal steps, each of 20 steps of the classical method."""
    h = (times[1] - times[0]) / 20
    f = Duffing(start).field

    def step(u, _):
        a = f(u)
        b = f(u + h / 2 * a)
        c = f(u + h / 2 * b)
        return u + h / 6 * (a + 2 * b + 2 * c + f(u + h * c)), None

    save = lambda u, _: (jax.lax.scan(step, u, length=20)[0], u)
    return jax.lax.scan(save, start, length=len(times))[1]


def swung(start, noise, key) -> pinn.Data:
    """(q, p) at 25 times, off by normal errors."""
    times = jnp.linspace(0, Duffing.horizon, COUNT + 1, dtype=start.dtype)
    u = runge_kutta(start, times)[1:]
    error = noise * jax.random.normal(key, u.shape, u.dtype)
    sigma = jnp.broadcast_to(noise, (2,))
    return pinn.Data(times[1:], jnp.zeros((COUNT, 0), u.dtype), u + error, sigma)


def seen(truth, count, noise, seed) -> pinn.Data:
    """u at random points of a reference, off by normal errors."""
    random = np.random.default_rng(seed)
    i = random.integers(1, len(truth.t), count)
    j = random.integers(0, len(truth.axes[0]), count)
    value = truth.u[i, j] + noise * random.normal(size=(count, 1))
    x = truth.axes[0][j][:, None]
    return pinn.Data(*map(jnp.asarray, (truth.t[i], x, value, noise)))


def run(noise, distance, seed) -> dict:
    """The swing from rest in a well, or `distance` beside it."""
    start = jnp.stack([1.0 + distance, jnp.zeros_like(1.0 * distance)])
    problem, keys = swing(start), jax.random.split(jax.random.key(seed), 4)
    data = swung(start, jnp.asarray(noise, start.dtype), keys[0])
    how, equation = problem.training(data), problem.part(problem.hidden(keys[1]))
    model = pinn.Model(problem.network(keys[2]), equation)
    out = pinn.solve(how, model, problem.window, keys[3], cycles=200)
    points = equation.sample(keys[3], 256, 1, 0.0, problem.horizon)
    z, h = inverse.look(how, out.model, problem.window, points)
    found = identify.regress(problem.library(z[:, :1]), h, DERIVED * noise, keys[0])
    off = found.coefficients[:, 0] - jnp.asarray([0.0, 1.0, 0.0, -1.0])
    return {
        "error": jnp.max(jnp.abs(off)),
        "terms": jnp.sum(found.coefficients != 0),
        "condition": jnp.max(found.indices),
        "misfit": found.misfit[0],
        "solved": out.state.solved,
    }


look = eqx.filter_jit(inverse.look)
standard_errors = eqx.filter_jit(inverse.standard_errors)


def discover(problem: Problem, data, noise, seed, cycles) -> dict:
    """A network in the term's place, what it is, and its formula in the same place."""
    begun, how, over = time.process_time(), problem.training(data), problem.window
    draw, hidden, network = jax.random.split(jax.random.key(seed), 3)
    equation = problem.part(problem.hidden(hidden))
    model = pinn.Model(problem.network(network), equation)
    out = pinn.train(how, model, over, draw, cycles)
    many = dataclasses.replace(
        how.objective, times=problem.many[0], points=problem.many[1]
    )
    batch, found = many.sample(draw, equation, over), {}
    if problem.library is not None:
        z, h = look(how, out.model, over, batch.points)
        z = z[:, : len(problem.library.quantities)]
        verdict = identify.identify(
            problem.library, z, h, noise=DERIVED * noise, key=draw
        )
        found = {"z": np.asarray(z), "h": np.asarray(h), "said": verdict.reason}
        if not verdict.holds:
            return found | {"holds": False, "seconds": time.process_time() - begun}
        xi = jnp.asarray([verdict.coefficients[place] for place in verdict.places])
        formula = identify.Polynomial(problem.library, verdict.places, xi)
        model = pinn.Model(out.model.network, problem.part(formula))
        annealing = problem.annealing(problem.levels)
        how = dataclasses.replace(how, annealing=annealing)
        out = pinn.train(how, model, over, draw, cycles)
        found["places"] = [term for term, _ in verdict.places]
    estimate = standard_errors(how, out.model, over, batch)
    certificate = how.certificate(out, over)
    sure = bool(estimate.identified.all())
    said = certificate.reason if sure else "errors above half of the coefficients"
    return found | {
        "values": np.asarray(estimate.values),
        "errors": np.asarray(estimate.errors),
        "holds": certificate.holds and sure,
        "said": said,
        "u": how.objective.ansatz(out.model.pde, out.model.network, over),
        "seconds": time.process_time() - begun,
    }


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return _measure(config, progress)


def _measure(config: Config, progress) -> dict:
    progress(0.0, "references")
    starts = jnp.asarray([[0.0, 0.8, 0.3], [0.2, -0.5, 0.5]])
    fields = [pde.reference(Reaction(tuple(map(float, a))), 41, 128) for a in starts]
    shock = pde.reference(pde.Burgers(VISCOSITY), 41, 128)
    outer, well = jnp.asarray(SWUNG), jnp.asarray([1.0, 0.0])
    spread = float(jnp.std(runge_kutta(outer, jnp.linspace(0.0, 8.0, 101))[:, 0]))
    one, zero = jnp.ones(()), jnp.zeros(())
    wells = jnp.asarray([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    at_wells = [
        f._replace(u=np.full_like(f.u, v)) for f, v in zip(fields, (1, -1), strict=True)
    ]

    def swings(start, noise, seed):
        return swung(start, jnp.asarray(noise * spread), jax.random.key(seed))

    def places(solutions, noise, seed):
        each = [
            seen(u, COUNT, noise * f.u.std(), [seed, k])
            for k, (u, f) in enumerate(zip(solutions, fields, strict=True))
        ]
        return side_by_side(each)

    def shuffled(data, seed):
        random = np.random.default_rng(seed)
        return data._replace(value=random.permutation(np.asarray(data.value)))

    flat = shock._replace(u=np.zeros_like(shock.u))
    profile = lambda u, noise, seed: seen(u, 2 * COUNT, noise * shock.u.std(), seed)
    cases = {
        "swing": (swing(outer), lambda *of: swings(outer, *of)),
        "field": (field(starts), lambda *of: places(fields, *of)),
        "viscosity": (burgers(one), lambda *of: profile(shock, *of)),
        "swing at rest": (swing(well), lambda *of: swings(well, *of)),
        "swing shuffled": (
            swing(outer),
            lambda noise, seed: shuffled(swings(outer, noise, seed), seed),
        ),
        "field in its wells": (field(wells), lambda *of: places(at_wells, *of)),
        "nothing flows": (burgers(zero), lambda *of: profile(flat, *of)),
    }
    every = [
        (name, noise, seed)
        for name in cases
        for noise in (config.noises if name in TRUE else config.noises[:1])
        for seed in range(config.seeds)
    ]
    runs = {}
    for k, (name, noise, seed) in enumerate(every):
        progress((k + 1) / (len(every) + 1), f"{name}, σ = {noise:.1%}, seed {seed}")
        problem, data = cases[name][0], cases[name][1](noise, seed)
        found = discover(problem, data, noise, seed, config.cycles)
        found = judged(name, found) if name in TRUE else found
        runs[name, noise, seed] = found | {"data": data}
    progress(1.0, "done")
    return {"config": config, "runs": runs, "fields": fields, "shock": shock}


def judged(name, found: dict) -> dict:
    """The largest relative error of the coefficients given, 1 where they are of other
    terms; and the largest one in standard errors."""
    truth, places = TRUTHS[name], found.get("places", PLACES)
    if not found["holds"]:
        return found
    if places != PLACES:
        return found | {"off": 1.0, "sigmas": np.inf}
    gap = np.abs(found["values"] - truth)
    sigmas = np.max(gap / found["errors"])
    return found | {"off": float(np.max(gap / np.abs(truth))), "sigmas": float(sigmas)}


def claims(results) -> list[Claim]:
    config, runs = results["config"], results["runs"]
    first = config.noises[0]
    of = lambda name, noise=first: [
        run for (n, σ, _), run in runs.items() if (n, σ) == (name, noise)
    ]
    claim = functools.partial(Claim.judged, SOURCE)

    def error(id, name, what, data):
        each = [run["off"] for run in of(name) if run["holds"]] or [1.0]
        others = "; ".join(told(noise, of(name, noise)) for noise in config.noises[1:])
        seconds = ", ".join(f"{run['seconds']:.1f}" for run in of(name))
        return claim(
            id,
            f"{what}, noise {first:.0%}: the largest relative error of a coefficient",
            max(each),
            "≤ 0.05",
            f"{data}; {told(first, of(name))}; {others}{'; ' if others else ''}"
            f"CPU-s, the first with compiling: {seconds}",
            (min(each), max(each)),
        )

    def refused(id, name, what):
        control = of(name)
        return claim(
            id,
            f"{what}: runs that give no coefficient",
            sum(not run["holds"] for run in control),
            f"≥ {config.seeds} rejected",
            control[0]["said"],
        )

    true = [run for name in TRUE for run in of(name)]
    sure = [run["sigmas"] for run in runs.values() if "sigmas" in run]
    return [
        error(
            "P6",
            "swing",
            "hidden force of a swing, q − q³",
            "q and p at 25 times; known: that it is a function of q",
        ),
        error(
            "P6a",
            "field",
            "hidden reaction 2(u − u³) of a diffusing field",
            "25 places from each of 2 initial states, one h",
        ),
        error(
            "P6b",
            "viscosity",
            "viscosity of Burgers, 0.05 from a guess of 0.2",
            "50 places",
        ),
        claim(
            "P6c",
            "share of the runs of P6, P6a and P6b that give coefficients",
            sum(run["holds"] for run in true) / len(true),
            "≥ 0.75",
            f"of {len(true)}; "
            + "; ".join(sorted({run["said"] for run in true if not run["holds"]})),
        ),
        claim(
            "P6d",
            "the largest error of a coefficient in standard errors",
            max(sure, default=np.inf),
            "≤ 4",
            f"{len(sure)} runs at all noises",
        ),
        refused("P6x", "swing at rest", "a swing that rests in a well"),
        refused("P6y", "swing shuffled", "a swing's values at each other's times"),
        refused("P6z", "field in its wells", "a field that rests at u = 1 and u = −1"),
        refused("P6bx", "nothing flows", "viscosity where nothing flows"),
    ]


def told(noise, runs) -> str:
    """Of one noise: the largest error, and how many runs gave coefficients."""
    given = [run["off"] for run in runs if run["holds"]]
    most = f"≤ {max(given):.3f}" if given else "none"
    return f"at {noise:.1%}: {most} in {len(given)} of {len(runs)} runs"


def figures(results) -> dict:
    with jax.enable_x64(True):
        return {
            "The measurements, and the solutions that were fitted to them.": solutions(
                results
            ),
            "The hidden terms: true, and as found.": hidden_terms(results),
            "Each coefficient found, over the true one.": coefficients(results),
        }


def solutions(results):
    """Data, the solutions that made them, and those found with the terms."""
    runs, noise = results["runs"], results["config"].noises[0]
    figure, axes = new_figure(1, 3, size=(10.5, 3.2))
    left, middle, right = axes[0]
    run = runs["swing", noise, 0]
    t = jnp.linspace(0, Duffing.horizon, 201)
    truth = runge_kutta(jnp.asarray(SWUNG), t)
    for k, (name, color) in enumerate((("q", "blue"), ("p", "vermilion"))):
        left.plot(t, truth[:, k], color=COLORS["black"], lw=3, alpha=0.25)
        left.plot(run["data"].t, run["data"].value[:, k], ".", color=COLORS[color])
        if "u" in run:
            found = jax.vmap(lambda t, k=k: run["u"](t, jnp.zeros(0))[k])(t)
            left.plot(t, found, color=COLORS[color], lw=1, label=name)
    left.set(xlabel="t", title="Swing: 25 times")
    legend_below(left)
    run = runs["field", noise, 0]
    for k, color in enumerate(("blue", "vermilion")):
        truth = results["fields"][k]
        profiles(middle, truth, run, k, COLORS[color], (0, 20, 40))
    middle.set(xlabel="x", title="Field, two states: t = 0, ½, 1")
    run = runs["viscosity", noise, 0]
    profiles(right, results["shock"], run, 0, COLORS["blue"], (0, 20, 40))
    right.set(xlabel="x", title="Burgers: t = 0, ½, 1")
    return figure


def profiles(ax, truth, run, k, color, rows):
    """The k-th field at some times, and all data about it."""
    x = truth.axes[0]
    value = np.asarray(run["data"].value[:, k])
    ax.plot(run["data"].x[:, 0], value, ".", color=color, ms=3)
    for row in rows:
        ax.plot(x, truth.u[row, :, 0], color=COLORS["black"], lw=3, alpha=0.25)
        if "u" in run:
            at = jnp.asarray(truth.t[row])
            found = jax.vmap(lambda x, at=at: run["u"](at, x[None])[k])(jnp.asarray(x))
            ax.plot(x, found, color=color, lw=1)


def hidden_terms(results):
    """h as the network has it, as its formula has it, and as it is."""
    runs, config = results["runs"], results["config"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    for ax, name, of, rate in zip(
        axes[0], ("swing", "field"), ("q", "u"), (1.0, 2.0), strict=True
    ):
        every = [runs[name, config.noises[0], seed] for seed in range(config.seeds)]
        z = np.linspace(every[0]["z"].min(), every[0]["z"].max(), 101)
        true = rate * (z - z**3)
        ax.plot(z, true, color=COLORS["black"], lw=3, alpha=0.25, label="true")
        for k, run in enumerate(every):
            label = "network, where the solution goes" if k == 0 else None
            ax.plot(run["z"], run["h"], ".", ms=1, color=COLORS["sky"], label=label)
        for k, run in enumerate(run for run in every if run["holds"]):
            powers = z[:, None] ** np.asarray(run["places"])
            label = "formula" if k == 0 else None
            ax.plot(z, powers @ run["values"], color=COLORS["blue"], lw=1, label=label)
        ax.set(xlabel=of, ylabel=f"h({of})", title=f"{name.capitalize()}")
    legend_below(axes[0, 0])
    return figure


def coefficients(results):
    """What came over what is true, with two standard errors."""
    runs, config = results["runs"], results["config"]
    figure, axes = new_figure(1, 1, size=(7.6, 3.4))
    ax = axes[0, 0]
    ax.axhspan(0.95, 1.05, color=COLORS["grey"], alpha=0.2, lw=0)
    ax.axhline(1, color=COLORS["black"], lw=0.8)
    below = ax.get_xaxis_transform()
    shown = ("swing", ("q", "−q³")), ("field", ("2u", "−2u³")), ("viscosity", ("ν",))
    ticks, place = [], 0.0
    colors = "blue", "orange", "vermilion", "green", "purple"
    for name, terms in shown:
        for k, what in enumerate(terms):
            for noise, color in zip(sorted(config.noises), colors, strict=False):
                for seed in range(config.seeds):
                    run = runs[name, noise, seed]
                    if run["holds"] and run["off"] < 1:
                        truth = TRUTHS[name][k]
                        y, bar = run["values"][k] / truth, 2 * run["errors"][k]
                        bar = bar / abs(truth)
                        ax.errorbar(place, y, bar, fmt=".", color=COLORS[color], lw=0.8)
                    else:
                        ax.plot(place, 0.03, "x", color=COLORS[color], transform=below)
                    place += 1
            ticks.append((place - 0.5 - len(config.noises) * config.seeds / 2, what))
            place += 2
    for noise, color in zip(sorted(config.noises), colors, strict=False):
        ax.plot([], [], ".", color=COLORS[color], label=f"noise {noise:.1%}")
    ax.set_xticks([x for x, _ in ticks], [f"{name}" for _, name in ticks])
    ax.set(
        ylabel="found / true",
        title="Coefficients ± 2 standard errors; grey: ± 5 %; ×: none given",
    )
    legend_below(ax)
    return figure
