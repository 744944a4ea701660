"""The exponents of the zoo, each with its error: steps twice as long give the same, and
runs by another integrator do. What dysts states of the same systems does not pass.

`--full` measures every system anew; `python -m experiments.dynamics.zoo_annotations
FILE.json` writes the table that comes with the package, or completes it.
"""

import dataclasses
import json
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from dynax import zoo
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from dynax.zoo import annotate
from experiments._together import together


PAPER = "Gilpin, NeurIPS Datasets and Benchmarks (2021), arXiv:2110.05266"
CHECKED = ("Lorenz", "Rossler", "Halvorsen", "SprottB", "ArnoldBeltramiChildress")


@dataclasses.dataclass(frozen=True)
class Config:
    systems: int = 12  # every so many of the flows of three coordinates; 0 for all
    steps: int = 320_000
    checked: int = 1  # systems that another integrator runs too
    pairs: int = 6  # runs of two trajectories of each
    time: float = 100.0


SIZES = {
    "quick": Config(),
    "long": Config(4, zoo.STEPS, 5, 16, 1000.0),
    "full": Config(0, zoo.STEPS, 5, 16, 4000.0),
}


def measured(kinds, steps: int, seed: int = 0, tell=lambda share, text: None) -> dict:
    """Annotations by name, from steps of length h and 2h; one program a system."""
    key = jax.random.key(seed)

    def both(kind):
        lengths = jnp.array([1.0, 2.0] if issubclass(kind, zoo.Flow) else [1.0])
        one = lambda h: annotate(kind, h, key=key, steps=steps)
        return jax.jit(jax.vmap(one))(lengths)

    jobs = {kind.__name__: lambda kind=kind: both(kind) for kind in kinds}
    table = {}
    for name, runs in together(jobs, tell).items():
        parts = [{k: v[i] for k, v in runs.items()} for i in range(len(runs["h"]))]
        table[name] = zoo.judged(parts[0], parts[1] if len(parts) > 1 else None)
    return table


def chosen(results) -> tuple:
    every = results.config.systems
    small = tuple(c for c in zoo.FLOWS if c.start.size == 3)
    return small[::every] if every else zoo.ALL


def again(results) -> dict:
    """Measured anew, with another key than that of the table."""
    return measured(chosen(results), results.config.steps, 1, results.tell)


def apart(results) -> dict:
    """λ₁ by two trajectories that DOP853 runs: value and error, and the table's."""
    config, known = results.config, zoo.annotations()
    rng = np.random.default_rng(0)
    found = {}
    for name in CHECKED[: config.checked]:
        system = getattr(zoo, name)()
        field = jax.jit(lambda t, u, s=system: s.field(t, u))
        rates = lambda t, u, field=field: np.asarray(field(t, u))

        def go(y, time, rates=rates):
            run = scipy.integrate.solve_ivp(
                rates, (0, time), y, "DOP853", rtol=1e-9, atol=1e-9
            )
            return run.y[:, -1]

        window = 2 / known[name].value[0]
        each = []
        for _ in range(config.pairs):
            moved = system.start * (1 + 1e-3 * rng.standard_normal(system.start.size))
            y = go(moved, (20 + 20 * rng.random()) * system.period)
            other, grown = y + 1e-6 * rng.standard_normal(y.size), []
            for _ in range(max(8, int(config.time / window))):
                before = np.linalg.norm(other - y)
                y, other = go(y, window), go(other, window)
                after = np.linalg.norm(other - y)
                grown.append(np.log(after / before))
                other = y + (other - y) * 1e-6 / after
            each.append(np.mean(grown[4:]) / window)
        error = np.std(each, ddof=1) / len(each) ** 0.5
        found[name] = np.mean(each), error
    return found


PARTS = {"again": again, "apart": apart}


def flows() -> dict:
    return {k: v for k, v in zoo.annotations().items() if v.published is not None}


def share(said, what: str) -> Measured:
    """The share of systems of which something is true; those of which it is not."""
    not_so = [name for name, true in said.items() if not true]
    detail = f"{len(said)} systems; not: {', '.join(not_so[:6]) or 'none'} ({what})"
    return Measured(1 - len(not_so) / len(said), detail)


def converged(table) -> Measured:
    same = {
        k: v.status not in ("not converged", "not finite") for k, v in table.items()
    }
    return share(
        {k: v for k, v in same.items() if table[k].coarse is not None}, "h, 2h"
    )


def repeats(results, turn: int = 0) -> Measured:
    """Measured anew against the table; with `turn`, against rows of other systems."""
    known, table = zoo.annotations(), results["again"]
    names = list(table)
    other = dict(zip(names, names[turn:] + names[:turn], strict=True))
    same = {
        k: len(v.value) == len(known[other[k]].value)
        and known[other[k]].agrees(v.value, v.error)
        for k, v in table.items()
    }
    return share(same, "anew against the table")


def published_fails() -> Measured:
    fails = {k: not v.agrees(v.published) for k, v in flows().items()}
    return share(fails, "dysts against the table")


def independent(results, of_dysts: bool = False) -> Measured:
    """λ₁ of the table, or of dysts, against two trajectories, in joint errors."""
    known, out = zoo.annotations(), []
    for name, (value, error) in results["apart"].items():
        row: Any = known[name]
        ours = row.value[0], row.error[0]
        theirs = row.published[0], 0.0
        claimed, bar = theirs if of_dysts else ours
        out.append(abs(claimed - value) / np.hypot(error, bar))
    return largest(out)


CLAIMS = [
    Claim(
        "Z1",
        "exponents of the zoo are the same with steps of h and 2h: share of systems",
        at_least(0.95, "some creep along cycles and tori, or jump"),
        lambda r: converged(r["again"]),
    ),
    Claim(
        "Z1a",
        "the same for all flows of the table that comes with the package",
        at_least(0.95, "as claim Z1"),
        lambda r: converged(flows()),
    ),
    Control(
        "Z1x",
        "claim Z1 for the exponents that dysts states: share that fails",
        at_least(0.4, "its step of the tangents is of first order"),
        lambda r: published_fails(),
        of="Z1",
    ),
    Claim(
        "Z2",
        "measured anew, they agree with the table: share of systems",
        at_least(0.95, "four errors of sixteen starts"),
        repeats,
    ),
    Control(
        "Z2x",
        "claim Z2 against the row of the next system: share",
        at_most(0.2, "systems differ"),
        lambda r: repeats(r, 1),
        of="Z2",
    ),
    Claim(
        "Z3",
        "λ₁ of two trajectories by DOP853 against the table, in joint errors",
        at_most(4, "16 or 6 runs tell their error"),
        independent,
    ),
    Control(
        "Z3x",
        "claim Z3 for λ₁ as dysts states it",
        at_least(4, "its median is off by a fifth"),
        lambda r: independent(r, of_dysts=True),
        of="Z3",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(9.6, 3.6))
    left, right = axes[0]
    table = {k: v for k, v in flows().items() if v.status == "chaotic"}
    ours = np.array([v.value[0] for v in table.values()])
    bars = np.array([v.error[0] for v in table.values()])
    theirs = np.array([v.published[0] for v in table.values()])
    good = theirs > 0
    blue = {"fmt": ".", "ms": 4, "lw": 0.8, "color": COLORS["blue"]}
    left.errorbar(theirs[good], ours[good], 2 * bars[good], label="a flow", **blue)
    ends = [ours.min(), ours.max()]
    left.plot(ends, ends, color=COLORS["grey"], lw=0.8, label="equal")
    left.set(
        xscale="log", yscale="log", xlabel="λ₁ of dysts 0.96", ylabel="λ₁ ± 2 errors"
    )
    left.set_title("Largest exponents")
    legend_below(left, 2)
    off = np.sort(np.abs(theirs / ours - 1))
    part = np.arange(1, len(off) + 1) / len(off)
    right.plot(off, part, color=COLORS["vermilion"], label="dysts, |ratio − 1|")
    right.plot(np.sort(bars / ours), part, color=COLORS["blue"], label="our error")
    right.set(xscale="log", xlabel="relative to λ₁", ylabel="share of chaotic flows")
    right.set_title("How far, and how sure")
    legend_below(right, 2)
    caption = (
        "Largest exponents of the chaotic flows of the zoo against those that dysts "
        "states (left), and how far these are off beside our errors (right)."
    )
    return {caption: figure}


STUDY = Study("A zoo of chaos with errors", PAPER, SIZES, PARTS, CLAIMS, figures)


def completed(path: pathlib.Path, at_once: int = 8) -> None:
    """Measure what the table at `path` lacks, and write it after every few systems."""
    peer = pathlib.Path(__file__).parents[2] / "tests" / "peers" / "dysts.json"
    theirs = json.loads(peer.read_text(encoding="utf-8"))
    stated = {k: row.get("exponents") for k, row in theirs.items()}
    table = zoo.read(path) if path.exists() else {}
    missing = [kind for kind in zoo.ALL if kind.__name__ not in table]
    print(f"{len(table)} systems in {path}, {len(missing)} to measure", flush=True)
    for first in range(0, len(missing), at_once):
        some = missing[first : first + at_once]
        for name, row in measured(some, zoo.STEPS).items():
            found = stated[name]
            published = None if found is None else np.array(found, float)
            table[name] = row._replace(published=published)
        part = path.with_suffix(".part")
        part.write_text(zoo.as_json(table), encoding="utf-8")
        part.replace(path)
        print(f"{len(table)} systems in {path}", flush=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    completed(pathlib.Path(sys.argv[1]))
