"""Marches to T in windows of their own choice: few modes in space, polynomials of time.
Each window is solved until its residual, in the dual norm, is below a tolerance; the
error of all of them together is estimated from the residuals alone, and measured here
against references of another method. Each claim says of which kind it is: "spectral,
Legendre", "spectral, network" (of time), or "network", as those that others publish.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import pde, pinn, report
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.pinn import networks
from dynax.pinn.marching.march import begun
from dynax.pinn.marching.window import attempt
from dynax.study import Study
from experiments.pinn import _study
from experiments.pinn._marches import ALL, LORENZ, REGULAR, Case


@dataclasses.dataclass(frozen=True)
class Config:
    cases: tuple[Case, ...] = (REGULAR, LORENZ)


SHORT = dataclasses.replace(LORENZ, horizon=5.0, seeds=2, error=1e-8)
SIZES = {
    "quick": Config((REGULAR, SHORT)),
    "long": Config(ALL),
    "full": Config(tuple(dataclasses.replace(c, seeds=2 * c.seeds) for c in ALL)),
}
SPACE = {"rtol": np.logspace(-8, -5, 4), "seed": np.arange(2)}
DIMS = {"found": ["component"]}


def run(rtol, seed) -> dict:
    """One window of Lorenz, Δ = 0.03: its residual beside its error."""
    problem = pde.Lorenz()
    ansatz = networks.Spectral(problem, time=networks.Legendre(8))
    rtol = jnp.asarray(rtol)
    state, _, size, *_ = begun(ansatz, problem.initial, rtol.dtype)
    length = jnp.full_like(rtol, 0.03)
    y = ansatz.init(jax.random.key(0), rtol.dtype)
    key = jax.random.key(seed)
    found = attempt(ansatz, y, state, length, size, rtol, key, pinn.Causal(), 20)
    return {
        "residual": found.residual,
        "solved": found.solved,
        "found": found.end[:, 0],
    }


# Parts --------------------------------------------------------------------------------


def _of(id: str, results) -> Case:
    return next(case for case in results.config.cases if case.id == id)


def marched(id: str, results) -> list[dict]:
    """Of each seed; a first window, easily solved, compiles what all of them run."""
    case = _of(id, results)
    go = functools.partial(pinn.march, case.ansatz)
    _, compiling = _study.clocked(go, (0, 1e-4 * case.horizon), 0.1)
    out = []
    for seed in range(case.seeds):
        tell = _study.teller(results, case.name, seed, case.seeds)
        given = {"key": jax.random.key(seed), "progress": tell}
        span = 0, case.horizon
        found, seconds = _study.clocked(go, span, case.rtol, **given)
        out.append({"marched": found, "seconds": seconds, "compiling": compiling})
    return out


def truth(id: str, results) -> pde.Reference:
    """The reference of another method, ETDRK4 or Runge–Kutta of order 8."""
    case = _of(id, results)
    (times, places), end = case.grid, case.horizon
    t = np.linspace(0, end, times)
    return pde.reference(case.problem, t, places, accuracy=case.accuracy)


def errors(id: str, results) -> list[pde.Error]:
    """The true errors of each seed that got there."""
    ends = [run["marched"] for run in results[f"{id} marched"]]
    known = results[f"{id} truth"]
    return [apart(out.solution, known) for out in ends if out.holds]


def apart(u, truth) -> pde.Error:
    """How far a march is from the truth, at most points of its grid."""
    return pde.relative_l2(u, truth, points=2**18)


def fixed(results) -> dict:
    """One length for all windows: that of the longest that a march made."""
    found = results["P10 marched"][0]["marched"]
    longest = max(w.t1 - w.t0 for w in found.windows)
    out = pinn.march(REGULAR.ansatz, (0, 1.0), REGULAR.rtol, pinn.Fixed(longest))
    return {"reached": out.reached, "length": longest}


def crowded(results):
    """A quarter of the modes, and no more allowed."""
    few = dataclasses.replace(REGULAR, modes=8).ansatz
    return pinn.march(few, (0, 1.0), REGULAR.rtol, most_modes=8)


def broken(results) -> dict:
    """The same march of a start that is off by 1e-6, oddly or evenly.

    Its errors, the largest and at the end, and the estimate, which believes the start.
    """
    found = {}
    for name, wave in {"odd": jnp.sin, "even": jnp.cos}.items():

        def start(x, wave=wave):
            return REGULAR.problem.initial(x) + 1e-6 * wave(2 * jnp.pi * x)

        time = networks.Legendre(REGULAR.polynomials)
        ansatz = networks.Spectral(REGULAR.problem, 32, time, pde.Symmetry())
        out = pinn.march(ansatz, (0, 1.0), REGULAR.rtol, initial=start)
        truth = results["P10 truth"]
        error = float(apart(out.solution, truth).largest[0])
        last = truth._replace(t=truth.t[-1:], u=truth.u[-1:])
        at_end = apart(out.solution, last).overall
        found[name] = {"all": error, "end": at_end, "estimated": out.error}
    return found


PARTS = {
    f"{case.id} {name}": functools.partial(part, case.id)
    for case in ALL
    for name, part in (("truth", truth), ("marched", marched), ("errors", errors))
} | {
    "fixed": fixed,
    "crowded": crowded,
    "broken": broken,
}


# Claims -------------------------------------------------------------------------------


def _error(case: Case, results) -> Measured:
    runs, truth = results[f"{case.id} marched"], results[f"{case.id} truth"]
    first = runs[0]["marched"]
    text = (
        f"{case.kind}; {len(first.windows)} windows of {len(first.tried)}; "
        f"estimated {first.error:.1e}; reference known to {truth.self_error:.0e}; "
        f"published: {case.published}"
    )
    values = [float(np.max(error.fields)) for error in results[f"{case.id} errors"]]
    return largest(values + [np.inf] * (len(runs) - len(values)), text)


def _seconds(case: Case, results) -> Measured:
    runs = results[f"{case.id} marched"]
    seconds = [run["seconds"] for run in runs]
    text = f"compiling, apart: {runs[0]['compiling']:.0f} s"
    return largest(seconds, text)


def _still(case: Case, results) -> Measured:
    """The error of the start, held for all times."""
    held = lambda t, x: case.problem.initial(x)
    return Measured(np.max(pde.relative_l2(held, results[f"{case.id} truth"]).fields))


def _ratio(case: Case, results) -> Measured:
    """The worst factor between the estimate and the true error, either way, beyond what
    the reference is off by."""
    known = results[f"{case.id} truth"].self_error
    ends = [run["marched"] for run in results[f"{case.id} marched"]]
    ends = [out for out in ends if out.holds]
    factors = [np.inf] * (len(results[f"{case.id} marched"]) - len(ends))
    text = f"each the largest at any time; reference known to {known:.0e}"
    for out, found in zip(ends, results[f"{case.id} errors"], strict=True):
        true = float(np.max(found.largest))
        text += f"; estimated {out.error:.1e}, true {true:.1e}"
        both = out.error / (true + known), (true - known) / out.error, 1.0
        factors.append(max(both))
    return Measured(np.max(factors), text)


def claims(config: Config) -> list:
    found = []
    for case in config.cases:
        to = f"{case.name} to t = {case.horizon:g} ({case.kind})"
        measured = functools.partial(_error, case)
        timed = functools.partial(_seconds, case)
        found += [
            Claim(
                case.id,
                f"{to}: relative L2 error",
                at_most(case.error, "beyond what networks publish, or near it"),
                measured,
            ),
            Claim(
                f"{case.id}a",
                f"{to}: seconds of processor time",
                at_most(case.seconds, _study.BUDGET),
                timed,
            ),
            Claim(
                f"{case.id}b",
                f"{to}: factor between estimated and true error",
                at_most(3, "an estimate from residuals is of the error's size"),
                functools.partial(_ratio, case),
            ),
            Control(
                f"{case.id}w",
                f"{to}: relative L2 error of the start, held for all times",
                at_least(0.01, "the equation moves it"),
                functools.partial(_still, case),
                of=case.id,
            ),
        ]
    return [
        *found,
        Control(
            "P10c",
            "P10b of a march whose start is off: true over estimated error",
            at_least(10, "no residual shows a wrong start"),
            lambda results: (
                results["broken"]["even"]["all"]
                / results["broken"]["even"]["estimated"]
            ),
            of="P10b",
        ),
        Control(
            "P10x",
            "all windows as long as the longest: how far the march gets",
            at_most(0.1, "the first stretch is the fastest"),
            lambda results: Measured(
                results["fixed"]["reached"], f"Δ = {results['fixed']['length']:.2g}"
            ),
            of="P10",
        ),
        Control(
            "P10y",
            "a quarter of the modes: marches that stop, and name space",
            equals(1, "the modes that are missing make the residual"),
            lambda results: Measured(
                results["crowded"].status == "space",
                f"at t = {results['crowded'].reached:.3g}",
            ),
            of="P10",
        ),
        Control(
            "P10z",
            "an even error of the start beside an odd one of its size, at t = 1",
            at_least(100, "the equation multiplies it 9,000 times"),
            lambda results: Measured(
                results["broken"]["even"]["end"] / results["broken"]["odd"]["end"],
                f"the largest {results['broken']['even']['all']:.1e}, "
                f"{results['broken']['odd']['all']:.1e}",
            ),
            of="P10",
        ),
    ]


# Figures ------------------------------------------------------------------------------


def figures(results) -> dict:
    found = {}
    for case in results.config.cases:
        if len(case.problem.lower) > 1:
            continue
        out = results[f"{case.id} marched"][0]["marched"]
        known = results[f"{case.id} truth"]
        known = known.t[1:], _sizes(out.solution, known)[1:]
        found[f"{case.name}, {case.kind}: windows and errors."] = report.march_figure(
            out, known
        )
    return found


def _sizes(u, truth) -> np.ndarray:
    """‖error(t)‖ at the reference's times, of the worst field, beside ‖u‖."""
    x = np.stack(truth.axes, -1) if truth.axes else np.zeros((1, 0))
    stride = max(len(x) // 64, 1)
    at = jax.jit(jax.vmap(jax.vmap(u, (None, 0)), (0, None)))
    given = np.asarray(at(jnp.asarray(truth.t), jnp.asarray(x[::stride])))
    true = truth.u.reshape(*given.shape[:1], -1, given.shape[-1])[:, ::stride]
    size = np.sqrt(np.mean(true**2, (0, 1)))
    return np.max(np.sqrt(np.mean((given - true) ** 2, 1)) / size, 1)


STUDY = Study(
    "Marches to long times in windows of their own choice",
    _study.SOURCE,
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
