"""Burgers' shock by a network: Levenberg–Marquardt, a hard initial state, causal
weights, and points drawn where the residual is large, which is where the shock is,
though nobody says so. Twice the viscosity gives another solution, so the comparison can
fail; Adam, given the same time, has not found the shock, nor has SOAP; and the
network's energy falls as the equation says, audited without knowing the solution.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import pde, pinn
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.pinn.sampling import RAD
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments.pinn import _study


SOURCE = f"{_study.SOURCE}; Wu et al., arXiv:2207.10289"
PUBLISHED = "SOAP 4.0e-5 (arXiv:2502.00604)"
LEVELS = (0.5, 5.0, 50.0, 500.0)
RATE = 2e-3  # of Adam and of SOAP
EXACT = pde.Burgers()
BLOCK, INTERVALS = 20, 100


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 1
    cycles: int = 100
    width: int = 16
    depth: int = 3
    points: int = 32  # at each of 32 times
    pool: int = 128  # candidates at each time
    error: float = 1e-2  # claimed of the solution
    seconds: float = 20  # and of its training
    accuracy: float = 1e-5  # of the reference


SIZES = {
    "quick": Config(),
    "long": Config(2, 500, 20, 3, 96, 256, 1e-4, 120, 1e-8),
    "full": Config(4, 4000, 30, 3, 128, 512, 1e-6, 480, 1e-9),
}
SPACE = {
    "viscosity": np.array([0.01, 0.03, 0.1]),
    "causality": np.array([0.0, 1.0, 100.0]),
    "seed": np.arange(2),
}
DIMS = _study.DIMS


def run(viscosity, causality, seed) -> dict:
    """A small network; ε climbs to `causality`, 0 being no causal weights."""
    how = _study.recipe(16, 32, _study.climbing(causality), 40)
    equation = _study.traced(pde.Burgers, viscosity)
    u, said = _study.point(how, equation, _study.window(equation), seed, 12, 120)
    x = jnp.linspace(-1, 1, 201)
    t = jnp.linspace(0.05, 1, 20)
    found = jax.vmap(lambda t: jax.vmap(lambda x: u(t, x[None])[0])(x))(t)
    over_x = jax.vmap(cole_hopf, (None, 0, None))
    truth = jax.vmap(over_x, (0, None, None))(t, x, equation.viscosity)
    return {"error": _study.apart(found, truth), **said}


def cole_hopf(t, x, viscosity):
    """u = −∫ sin(πy) e^{−cos(πy)/2πν − z²} dz / ∫ e^{−cos(πy)/2πν − z²} dz,
    y = x − z√(4νt), by the trapezoidal rule, which is spectrally exact here."""
    z = jnp.linspace(-12, 12, 401)
    y = jnp.pi * (x - z * jnp.sqrt(4 * viscosity * t))
    share = jax.nn.softmax(-jnp.cos(y) / (2 * jnp.pi * viscosity) - z**2)
    return -jnp.sum(share * jnp.sin(y))


def truth(results):
    accuracy = results.config.accuracy
    return pde.reference(EXACT, INTERVALS + 1, 1024, accuracy=accuracy)


def sampler(config) -> RAD:
    return RAD(32, config.points, config.pool, offset=0.1)


def recipe(config, method=None) -> pinn.Trainer:
    more = {"method": method, "sampler": sampler(config)}
    return _study.recipe(32, config.points, LEVELS, **more)


def trained(results, name, seed=0, times=1, method=None, seconds=None) -> dict:
    """A network at `times` ν, beside the reference; for as many `seconds` if given."""
    config, known = results.config, results["truth"]
    how, key = recipe(config, method), jax.random.key(seed)
    equation = _study.traced(pde.Burgers, times * EXACT.viscosity)
    over = _study.window(equation)
    network = pinn.mlp_field(equation, key, width=config.width, depth=config.depth)
    model = pinn.Model(network, equation)
    go = functools.partial(pinn.train, how, model, over, key, block=BLOCK)
    _, first = _study.clocked(go, cycles=BLOCK)
    cycles = config.cycles if seconds is None else 10**6
    tell = _study.teller(results, name, seed, config.seeds)
    out, spent = _study.clocked(go, cycles=cycles, seconds=seconds, progress=tell)
    u, ran = how.solution(out.model, over), int(out.state.cycle)
    return {
        "function": u,
        "u": _study.values(u, known),
        "error": pde.relative_l2(u, known).overall,
        "seconds": spent,
        "compiling": first - spent * BLOCK / ran,
        "cycles": ran,
        "certificate": how.certificate(out, over),
    }


def ours(results) -> list:
    seeds = range(results.config.seeds)
    return [trained(results, f"seed {seed}", seed) for seed in seeds]


def first_order(results, name, method) -> dict:
    """As many seconds as ours."""
    seconds = results["ours"][0]["seconds"]
    method = dx.as_optax(method, RATE)
    return trained(results, name, method=method, seconds=seconds)


def ledgers(results) -> dict:
    """Of ∫½u² dx: of the network, of the reference, and of that backwards."""
    known, times = results["truth"], np.linspace(0, 1, 11)
    back = known._replace(u=known.u[::-1])
    ours = results["ours"][0]["function"]
    return {
        "network": pde.audit(EXACT, ours, times, 2048, name="square"),
        "reference": pde.audit(EXACT, known, name="square"),
        "backwards": pde.audit(EXACT, back, name="square"),
    }


def points(results) -> pde.Points:
    """Those of one more cycle."""
    u, choose = results["ours"][0]["function"], sampler(results.config)
    residual, over = lambda t, x: EXACT.residual(u, t, x), _study.window(EXACT)
    draw = jax.jit(lambda key: choose(key, EXACT, over, jnp.float64, residual))
    return jax.device_get(draw(jax.random.key(1)))


PARTS = {
    "truth": truth,
    "ours": ours,
    "2ν": lambda results: trained(results, "2ν", times=2),
    "Adam": lambda results: first_order(results, "Adam", dx.Adam()),
    "SOAP": lambda results: first_order(results, "SOAP", dx.SOAP()),
    "ledgers": ledgers,
    "verdicts": lambda results: _study.verdicts(results["ledgers"], "backwards"),
    "points": points,
}


def error(results) -> Measured:
    return _study.largest_error(results, f"published: {PUBLISHED}")


def seconds(results) -> Measured:
    first = results["ours"][0]
    apart = f"compiling, apart: {first['compiling']:.0f} s"
    text = f"{first['cycles']} cycles; {apart}"
    return largest([run["seconds"] for run in results["ours"]], text)


def certified(results) -> Measured:
    ours = results["ours"]
    held = [run["error"] for run in ours if run["certificate"].holds]
    reasons = "; ".join(run["certificate"].reason for run in ours)
    return Measured(max(held, default=0), f"{len(held)} have one; {reasons}")


def dissipated(results) -> Measured:
    """Checks that fail; and Σ|∫∫ur| over Σ∫∫νuₓ²."""
    terms = results["ledgers"]["network"].terms
    work = np.abs(terms["residual"]).sum() / terms["dissipation"].sum()
    found = _study.failing(results["verdicts"], "network")
    text = "Ė = −∫νuₓ² dx + ∫ur dx, E falls; the residual's work is "
    return found._replace(detail=f"{found.detail}; {text}{work:.0e} of the dissipation")


def of_first_order(results, name) -> Measured:
    found, adam = results[name], results["Adam"]["error"]
    text = f"learning rate {RATE:g}, {found['cycles']} steps"
    if name != "Adam":
        text += f"; {found['error'] / adam:.2g} times Adam's error"
    return Measured(found["error"], text)


def claims(config) -> list:
    far = at_least(3 * config.error, "three times what P5 allows")
    return [
        Claim(
            "P5",
            "Burgers, ν = 0.01/π, to t = 1: the largest relative L2 error",
            at_most(config.error, "what this size is for; published at the full one"),
            error,
        ),
        Claim(
            "P5a",
            "its training: the most seconds of processor time",
            at_most(config.seconds, _study.BUDGET),
            seconds,
        ),
        Claim(
            "P5b",
            "solutions with a certificate: the largest error",
            at_most(config.error, "as P5"),
            certified,
        ),
        Claim(
            "P5c",
            "∫½u² dx along the network: checks of its ledger that fail",
            equals(0, _study.LAW),
            dissipated,
        ),
        Claim(
            "P5d",
            "the same along the reference",
            equals(0, _study.LAW),
            lambda results: _study.failing(results["verdicts"], "reference"),
        ),
        Control(
            "P5x",
            "claim P5 of a network trained with 2ν",
            far,
            lambda results: results["2ν"]["error"],
            of="P5",
        ),
        Control(
            "P5y",
            "claim P5 with Adam, of as many seconds",
            far,
            functools.partial(of_first_order, name="Adam"),
            of="P5",
        ),
        Control(
            "P5w",
            "claim P5 with SOAP, of as many seconds",
            far,
            functools.partial(of_first_order, name="SOAP"),
            of="P5",
        ),
        Control(
            "P5z",
            "claim P5d with time reversed: checks that fail",
            at_least(INTERVALS, "one or more in every interval"),
            lambda results: _study.failing(results["verdicts"], "backwards"),
            of="P5d",
        ),
    ]


def figures(results) -> dict:
    truth, drawn = results["truth"], results["points"]
    found = {
        "ours": (results["ours"][0]["u"], "blue"),
        "2ν": (results["2ν"]["u"], "orange"),
        "Adam": (results["Adam"]["u"], "vermilion"),
        "SOAP": (results["SOAP"]["u"], "purple"),
    }
    space_time = _study.maps(found["ours"][0], truth)
    last = space_time.axes[2]
    t = np.repeat(drawn.t, drawn.x.shape[1])
    last.scatter(t, drawn.x[..., 0], s=2, color="white", alpha=0.7, lw=0)
    last.set_title("Error; dots: points drawn")
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    x = truth.axes[0]
    near = np.abs(x) < 0.08
    left.plot(x[near], truth.u[-1, near, 0], color=COLORS["black"], lw=3, alpha=0.3)
    for name, (u, color) in found.items():
        left.plot(x[near], u[-1, near], color=COLORS[color], label=name, lw=1)
    left.set(xlabel="x", ylabel="u(1, x)")
    left.set_title("The shock at t = 1; grey: reference")
    left.locator_params(axis="x", nbins=5)
    legend_below(left)
    for name, times, mark in (
        ("network", np.linspace(0, 1, 11), "o"),
        ("reference", truth.t, "-"),
    ):
        share = results["ledgers"][name].terms["dissipation"] / np.diff(times)
        right.plot((times[1:] + times[:-1]) / 2, share, mark, ms=4, label=name)
    right.set(xlabel="t", ylabel="∫ ν uₓ² dx")
    right.set_title("What the shock dissipates")
    legend_below(right)
    return {
        "The network's solution, and its difference from the reference.": space_time,
        "The error over time.": _study.errors(found, truth),
        "The profile at the end, and the energy that the shock dissipates.": figure,
    }


STUDY = Study(
    "Burgers' shock by a network, second order, points where the residual is",
    SOURCE,
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
