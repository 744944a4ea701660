"""What an equation hides, from 50 noisy numbers: the force of a swing over two wells,
the reaction of a diffusing field seen from two initial states that share one hidden
network, and the viscosity of Burgers. A sparse regression reads the hidden network, and
its formula is trained in its place. Where the data cannot tell, at rest, in the wells,
or with their times shuffled, no coefficient may come.
"""

import dataclasses
import functools
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import identify, pde, pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.pinn import inverse
from dynax.pinn.several import side_by_side
from dynax.study import Study
from experiments.pinn import _discovery_figures as draw, _hidden_terms as hidden


DERIVED = 2  # h comes from derivatives: so much more noise has it than the data
TRUTHS = {"swing": (1.0, -1.0), "field": (2.0, -2.0), "viscosity": (hidden.VISCOSITY,)}
PLACES = [1, 3]  # of z and z³ in both libraries
STARTS = (0.0, 0.8, 0.3), (0.2, -0.5, 0.5)  # of the field
WELLS = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)


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


def run(noise, distance, seed) -> dict:
    """The swing from rest in a well, or `distance` beside it."""
    start = jnp.stack([1.0 + distance, jnp.zeros_like(1.0 * distance)])
    problem, keys = hidden.swing(start), jax.random.split(jax.random.key(seed), 4)
    data = hidden.swung(start, jnp.asarray(noise, start.dtype), keys[0])
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


def discover(problem, data, noise, seed, cycles) -> dict:
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
        "u": how.solution(out.model, over),
        "seconds": time.process_time() - begun,
    }


# Cases: a problem, and its data from a noise and a seed -------------------------------


def references(results) -> dict:
    del results
    t = jnp.linspace(0.0, 8.0, 101)
    swing = hidden.runge_kutta(jnp.asarray(hidden.SWUNG), t)
    return {
        "fields": [pde.reference(hidden.Reaction(start), 41, 128) for start in STARTS],
        "shock": pde.reference(pde.Burgers(hidden.VISCOSITY), 41, 128),
        "spread": float(jnp.std(swing[:, 0])),
    }


def swing(known, start=hidden.SWUNG, shuffled=False):
    start = jnp.asarray(start)

    def data(noise, seed):
        sigma = jnp.asarray(noise * known["spread"])
        made = hidden.swung(start, sigma, jax.random.key(seed))
        if not shuffled:
            return made
        random = np.random.default_rng(seed)
        return made._replace(value=random.permutation(np.asarray(made.value)))

    return hidden.swing(start), data


def field(known, starts=STARTS):
    """The same σ where it rests in its wells, of which the mean of u is one."""
    fields = known["fields"]
    u = [
        f._replace(u=np.full_like(f.u, start[0])) if starts is WELLS else f
        for f, start in zip(fields, starts, strict=True)
    ]

    def data(noise, seed):
        each = [
            hidden.seen(u, hidden.COUNT, noise * f.u.std(), [seed, k])
            for k, (u, f) in enumerate(zip(u, fields, strict=True))
        ]
        return side_by_side(each)

    return hidden.field(jnp.asarray(starts)), data


def viscosity(known, amplitude=1.0):
    shock = known["shock"]
    u = shock._replace(u=amplitude * shock.u)  # 1 or 0 times
    data = lambda noise, seed: hidden.seen(
        u, 2 * hidden.COUNT, noise * shock.u.std(), seed
    )
    return hidden.burgers(jnp.asarray(amplitude)), data


CASES = {
    "swing": swing,
    "field": field,
    "viscosity": viscosity,
    "swing at rest": functools.partial(swing, start=(1.0, 0.0)),
    "swing shuffled": functools.partial(swing, shuffled=True),
    "field in its wells": functools.partial(field, starts=WELLS),
    "nothing flows": functools.partial(viscosity, amplitude=0.0),
}


def case(results, name) -> dict:
    """(noise, seed) → what was found; controls at the first noise only."""
    config, found = results.config, {}
    problem, data = CASES[name](results["references"])
    noises = config.noises if name in TRUTHS else config.noises[:1]
    every = [(noise, seed) for noise in noises for seed in range(config.seeds)]
    for k, (noise, seed) in enumerate(every):
        results.tell(k / len(every), f"{name}, σ = {noise:.1%}, seed {seed}")
        given = data(noise, seed)
        run = discover(problem, given, noise, seed, config.cycles)
        run = judged(name, run) if name in TRUTHS else run
        found[noise, seed] = run | {"data": given}
    return found


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


PARTS = {"references": references} | {
    name: functools.partial(case, name=name) for name in CASES
}


# Claims -------------------------------------------------------------------------------


def at_noise(results, name, noise=None) -> list[dict]:
    noise = results.config.noises[0] if noise is None else noise
    return [run for (n, _), run in results[name].items() if n == noise]


def error(results, name, data) -> Measured:
    runs, noises = at_noise(results, name), results.config.noises
    each = [run["off"] for run in runs if run["holds"]] or [1.0]
    told = "; ".join(tell(noise, at_noise(results, name, noise)) for noise in noises)
    seconds = ", ".join(f"{run['seconds']:.1f}" for run in runs)
    text = f"{data}; {told}; CPU-s, the first with compiling: {seconds}"
    return largest(each, text)


def tell(noise, runs) -> str:
    """Of one noise: the largest error, and how many runs gave coefficients."""
    given = [run["off"] for run in runs if run["holds"]]
    most = f"≤ {max(given):.3f}" if given else "none"
    return f"at {noise:.1%}: {most} in {len(given)} of {len(runs)} runs"


def giving(results) -> Measured:
    true = [run for name in TRUTHS for run in at_noise(results, name)]
    reasons = sorted({run["said"] for run in true if not run["holds"]})
    text = "; ".join([f"of {len(true)}", *reasons])
    return Measured(sum(run["holds"] for run in true) / len(true), text)


def deviation(results) -> Measured:
    every = [run for name in TRUTHS for run in results[name].values()]
    sure = [run["sigmas"] for run in every if "sigmas" in run]
    return Measured(max(sure, default=np.inf), f"{len(sure)} runs at all noises")


def refused(results, name) -> Measured:
    runs = at_noise(results, name)
    return Measured(sum(not run["holds"] for run in runs), runs[0]["said"])


def claims(config) -> list:
    def wrong(id, what, name, data):
        return Claim(
            id,
            f"{what}, noise {config.noises[0]:.0%}: the largest relative error of a "
            "coefficient",
            at_most(0.05, "five times the noise"),
            functools.partial(error, name=name, data=data),
        )

    def none(id, of, what, name):
        return Control(
            id,
            f"{what}: runs that give no coefficient",
            equals(config.seeds, "all of them: the data cannot tell"),
            functools.partial(refused, name=name),
            of=of,
        )

    swing = "q and p at 25 times; known: that it is a function of q"
    field = "25 places from each of 2 initial states, one h"
    burgers = "viscosity of Burgers, 0.05 from a guess of 0.2"
    return [
        wrong("P6", "hidden force of a swing, q − q³", "swing", swing),
        wrong("P6a", "hidden reaction 2(u − u³) of a diffusing field", "field", field),
        wrong("P6b", burgers, "viscosity", "50 places"),
        Claim(
            "P6c",
            "share of the runs of P6, P6a and P6b that give coefficients",
            at_least(0.75, "who never answers is never wrong"),
            giving,
        ),
        Claim(
            "P6d",
            "the largest error of a coefficient in standard errors",
            at_most(4, "4σ: one in 16,000 of normal errors"),
            deviation,
        ),
        none("P6x", "P6", "a swing that rests in a well", "swing at rest"),
        none("P6y", "P6", "a swing's values at each other's times", "swing shuffled"),
        none(
            "P6z", "P6a", "a field that rests at u = 1 and u = −1", "field in its wells"
        ),
        none("P6bx", "P6b", "viscosity where nothing flows", "nothing flows"),
    ]


def figures(results) -> dict:
    return {
        "The measurements, and the solutions that were fitted to them.": draw.solutions(
            results
        ),
        "The hidden terms: true, and as found.": draw.hidden_terms(results),
        "Each coefficient found, over the true one.": draw.coefficients(
            results, TRUTHS
        ),
    }


STUDY = Study(
    "What an equation hides, from 50 noisy numbers, and when they cannot tell",
    "Podina, Eastman, Kohandel, arXiv:2212.04630",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
)
