"""A race: every method tuned by the same search, then run on new seeds.

A task has batches and a loss that judges. Each method gets the same trials of rate and
decay, thinned by successive halving, the same schedule and the same batches. The best
trial runs on seeds that the search has not seen, and at rates around its own. The
target is the loss that tuned AdamW has after two thirds of the steps, so that a method
half as fast again, or two thirds as fast, is still seen to arrive.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynax.sweep import (
    Halving,
    Interval,
    Local,
    Loop,
    Table,
    halton,
    interval,
    log_uniform,
    sweep,
)
from experiments.race._methods import METHODS, optimizer


@dataclasses.dataclass(frozen=True)
class Config:
    """How much is run; `methods` with AdamW first, which sets the target."""

    methods: tuple[str, ...]
    blocks: int = 20  # of so many steps, each ended by a look at the loss that judges
    steps: int = 5
    trials: int = 16
    tuning: int = 2  # seeds of the search
    seeds: int = 8  # new ones
    around: int = 2  # of these, for rates around the best
    size: Any = None  # of the model
    store: str = ""  # a folder to go on from; in memory if ""


@dataclasses.dataclass(frozen=True)
class Task:
    """What is raced on.

    Args:
        starts: parameters by seed, stacked along a first axis.
        loss: (parameters, seed, step) → loss of the batch of that step.
        judge: (parameters, seed) → the loss that counts.
        labels: "hidden" or "rest", a prefix of the parameters.
    """

    starts: Any
    loss: Callable
    judge: Callable
    labels: Any


FACTORS = 0.25, 0.5, 2.0, 4.0  # of the best rate, to see how much depends on it
FLOOR = 0.1  # of the rate, at the end


def schedule(t, steps: int):
    """A tenth of the steps to warm up, then down in a line to a tenth of the rate."""
    t = (t.astype(np.float32) + 1) / np.float32(steps)
    return jnp.minimum(10 * t, 1 - (1 - FLOOR) * t)


def runner(task: Task, name: str, config: Config) -> Callable:
    """Make `run(rate, shrink, seed)` → a `Loop` over blocks; λ = shrink/rate."""
    total = config.blocks * config.steps

    def run(rate, shrink, seed):
        rate, shrink = (jnp.asarray(a, np.float32) for a in (rate, shrink))
        seed = jnp.asarray(seed, np.int32)
        opt = optimizer(name, task.labels, shrink / rate)
        x = jax.tree.map(lambda a: jnp.asarray(a)[seed], task.starts)

        def step(carry, t):
            x, state = carry
            grad = jax.grad(lambda x: task.loss(x, seed, t))(x)
            delta, state = opt.update(x, state, grad, rate * schedule(t, total))
            return (jax.tree.map(jnp.add, x, delta), state), None

        def block(carry, k):
            at = k.astype(np.int32) * np.int32(config.steps)
            times = at + np.arange(config.steps, dtype=np.int32)
            carry, _ = jax.lax.scan(step, carry, times)
            return carry, {"loss": task.judge(carry[0], seed)}

        return Loop(block, (x, opt.init(x)), config.blocks, every=1)

    return run


def rungs(blocks: int) -> tuple[int, ...]:
    """After a quarter, half and all of the blocks."""
    return blocks // 4, blocks // 2, blocks


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one method.

    Args:
        rate, shrink: the best trial's.
        searched: steps of the search, over those of all its trials to the end.
        loss: (seed, block) at the best trial, NaN where a run failed.
        around: (factor, seed), the last loss at rates around it.
        grid: of AdamW, (trial,), the last loss of all trials, none of them stopped.
        chosen: the trial that the search chose.
        changed: numbers of the search's finished runs that differ from the grid's.
    """

    rate: float
    shrink: float
    searched: float
    loss: np.ndarray
    around: np.ndarray
    chosen: int
    grid: np.ndarray | None = None
    changed: int = 0


def raced(task: Task, config: Config, tell: Callable) -> dict[str, Result]:
    """Tune and run every method."""
    out = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(config.store or scratch)
        for name in config.methods:
            out[name] = one(task, name, config, place / name.replace(" ", "-"))
            tell(len(out) / len(config.methods), name)
    return out


def one(task: Task, name: str, config: Config, place: pathlib.Path) -> Result:
    """Tune one method and run it on new seeds, in one program."""
    run, middle = runner(task, name, config), METHODS[name].rate
    given: dict[str, Any] = {"batch": 8, "engine": Local(), "dims": {"loss": ["block"]}}
    trials = halton(
        config.trials,
        rate=log_uniform(middle / 30, middle * 30),
        shrink=log_uniform(1e-5, 1e-2),
    )
    space = {"trial": trials, "seed": range(config.tuning)}
    halving = Halving("loss", rungs=rungs(config.blocks))
    found = sweep(run, space, place / "search", halving=halving, **given).load()
    whole = found.status.values == 0
    last = np.where(whole, found.loss.values[..., -1], np.nan).mean(axis=1)
    best = int(np.nanargmin(last))
    rate, shrink = (float(found[k].values[best]) for k in ("rate", "shrink"))
    searched = float(found.steps.sum()) / (whole.size * config.blocks)

    seeds = config.tuning + np.arange(config.seeds)
    rows = [(1.0, s) for s in seeds]
    rows += [(f, s) for f in FACTORS for s in seeds[: config.around]]
    factor, seed = map(np.array, zip(*rows, strict=True))
    table = {"rate": rate * factor, "seed": seed, "shrink": shrink * factor}
    once = Halving("loss", rungs=(config.blocks,))
    grid, changed = None, 0
    if name == config.methods[0]:
        full = sweep(run, space, place / "grid", halving=once, **given).load()
        grid = full.loss.values[..., -1].mean(axis=1)
        changed = int(np.sum((found.loss.values != full.loss.values)[whole]))
    found = sweep(
        run, {"run": Table(table)}, place / "final", halving=once, **given
    ).load()
    loss = np.where((found.status.values == 0)[:, None], found.loss.values, np.nan)
    around = loss[config.seeds :, -1].reshape(len(FACTORS), config.around)
    first = loss[: config.seeds]
    return Result(rate, shrink, searched, first, around, best, grid, changed)


def target(results: dict[str, Result]) -> float:
    """The mean loss of tuned AdamW after two thirds of the steps."""
    loss = results["AdamW"].loss.mean(axis=0)
    return float(loss[2 * len(loss) // 3 - 1])


def steps_to(loss: np.ndarray, target: float, steps: int) -> np.ndarray:
    """Steps of each run to the target, between looks along a line; ∞ if it is not met.

    Args:
        loss: (run, block).
        target: of the loss.
        steps: of a block.
    """

    def first(row):
        met = np.flatnonzero(row <= target)
        if not len(met):
            return np.inf
        k = met[0]
        if k == 0:
            return float(steps)
        share = (row[k - 1] - target) / (row[k - 1] - row[k])
        return steps * (k + share)

    return np.array([first(row) for row in loss])


def arrival(result: Result, target: float, config: Config) -> Interval | None:
    """Steps to the target with an interval over seeds; None if one never arrives."""
    found = steps_to(result.loss, target, config.steps)
    return interval(found) if np.all(np.isfinite(found)) else None


def width(result: Result, within: float = 0.01) -> float:
    """Decades of rates whose mean last loss is near the best of them, without a gap.

    Near is within 1 % of what is taken off the loss after the first look. Between the
    rates that were tried the loss is taken along a line in log η.
    """
    tried = np.insert(np.log10(FACTORS), len(FACTORS) // 2, 0.0)
    curve = np.insert(
        result.around.mean(axis=1),
        len(FACTORS) // 2,
        result.loss[: result.around.shape[1], -1].mean(),
    )
    curve = np.where(np.isfinite(curve), curve, 1e9)
    fine = np.linspace(tried[0], tried[-1], 1001)
    values = np.interp(fine, tried, curve)
    best = int(np.argmin(values))
    taken = result.loss[:, 0].mean() - values[best]
    bad = np.flatnonzero(values > values[best] + within * taken)
    low = bad[bad < best].max(initial=-1)
    high = bad[bad > best].min(initial=len(fine))
    return float(fine[high - 1] - fine[low + 1])


def state_numbers(task: Task, name: str) -> float:
    """Numbers in the state of a method, over those in the parameters."""
    count = lambda t: sum(a.size for a in jax.tree.leaves(t))
    x = jax.eval_shape(lambda: jax.tree.map(lambda a: jnp.asarray(a)[0], task.starts))
    opt = optimizer(name, task.labels, 0.0)
    return count(jax.eval_shape(opt.init, x)) / count(x)
