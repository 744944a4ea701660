"""Successive halving: run all points a little, the better ones on.

A rung is a block of the store: the points that came so far, and what they carry. A
point that goes on does so from there, in the program that everything before ran in, and
the same batch size. Its numbers are those of a point that was never stopped.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from dynax.sweep.blocks import rung_block
from dynax.sweep.dataset import Reader
from dynax.sweep.engine import agree, chunks, compute
from dynax.sweep.executor import Executor, Job
from dynax.sweep.meter import Meter, Progress, Worker
from dynax.sweep.part import DONE, MISSING
from dynax.sweep.points import Space
from dynax.sweep.program import OutputError, hushed
from dynax.sweep.store import Store


Rule = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Halving:
    """Stop points at rungs, unless they are among the best there.

    `run` returns a `Loop`. All points make `rungs[0]` steps, the best 1/`factor` of
    them go on to `rungs[1]`, and so on (Jamieson & Talwalkar, 2016). With several
    brackets (Hyperband; Li et al., 2018), bracket b begins at rung b, so that some
    points are not judged early; each gets about as many steps as the others.

    Args:
        objective: the output of a step to minimise.
        rungs: steps at which points are compared, in order; the last is all of them.
        factor: of the points at a rung one in `factor` goes on.
        along: axes of repeats, as "seed", over which the objective is averaged; points
            that differ in them only go on together. By default "seed", where it is one.
        brackets: into how many groups the points are put.
        maximize: the objective, instead.
        rule: objectives at the rungs so far, (configuration, rung) → numbers of those
            that go on; by default the best. A point that failed has NaN.
    """

    objective: str
    rungs: Sequence[int]
    factor: float = 3.0
    along: Sequence[str] | None = None
    brackets: int = 1
    maximize: bool = False
    rule: Rule | None = None

    def __post_init__(self):
        rungs = list(self.rungs)
        if not rungs or rungs[0] < 1 or sorted(set(rungs)) != rungs:
            raise ValueError(
                f"rungs: given {rungs}; accepted are numbers of steps, each greater "
                "than the one before."
            )
        if not self.factor > 1:
            raise ValueError(f"factor: given {self.factor}; accepted is > 1.")
        if not 1 <= self.brackets <= len(rungs):
            raise ValueError(
                f"brackets: given {self.brackets}; accepted are 1 … {len(rungs)}, the "
                "number of rungs."
            )

    def repeats(self, space: Space) -> list[str]:
        """The axes over which the objective is averaged.

        Raises:
            ValueError: one of them is not in the space.
        """
        if self.along is None:
            return [dim for dim in ("seed",) if dim in space.dims]
        for dim in self.along:
            if dim not in space.dims:
                raise ValueError(
                    f"along: given {dim!r}; accepted are {', '.join(space.dims)}, the "
                    "axes of the space."
                )
        return list(self.along)

    def describe(self, space: Space) -> dict:
        """For the manifest."""
        rule = self.rule and getattr(self.rule, "__name__", type(self.rule).__name__)
        return {
            "objective": self.objective,
            "rungs": list(self.rungs),
            "factor": self.factor,
            "along": self.repeats(space),
            "brackets": self.brackets,
            "maximize": self.maximize,
            "rule": rule,
            "sizes": self.sizes(space),
        }

    def sizes(self, space: Space) -> list[int]:
        """How many points come to each rung, if none fails."""
        repeats = math.prod(space.shape[dim] for dim in self.repeats(space))
        begun = np.bincount(self.groups(space.size // repeats), minlength=self.brackets)
        now, found = [], []
        for k in range(len(self.rungs)):
            now = [self.share(n) for n in now]
            now += [int(begun[k])] if k < self.brackets else []
            found.append(sum(now) * repeats)
        return found

    def share(self, count: int) -> int:
        """How many of `count` go on."""
        return min(count, max(1, int(count / self.factor + 1e-9)))

    def groups(self, count: int) -> np.ndarray:
        """The bracket of each of `count` configurations, by lot."""
        last = len(self.rungs)
        cost = [r * (last - b) for b, r in enumerate(self.rungs[: self.brackets])]
        share = np.cumsum(1 / np.array(cost, float))
        order = np.random.default_rng(0).permutation(count)
        return np.searchsorted(share / share[-1], (order + 0.5) / count)

    def best(self, values: np.ndarray) -> np.ndarray:
        """The default rule: the best 1/`factor`, at least one."""
        last = -values[:, -1] if self.maximize else values[:, -1]
        order = np.argsort(last, kind="stable")  # NaN comes last
        return order[np.isfinite(last[order])][: self.share(len(last))]

    def going_on(self, history, going, group) -> np.ndarray:
        """Which configurations come to the next rung."""
        rung, found = history.shape[1], np.zeros_like(going)
        for bracket in range(min(rung, self.brackets)):
            members = np.flatnonzero(going & (group == bracket))
            if len(members):
                chosen = (self.rule or self.best)(history[members, bracket:])
                found[members[np.asarray(chosen, int)]] = True
        return found | (group == rung)


def halving(
    job: Job,
    store: Store,
    progress: Callable[[Progress], object],
    executor: Executor | None = None,
) -> None:
    """Compute all rungs that the store lacks."""
    spec, space = job.halving, job.space
    assert spec is not None
    executor = executor or Executor(job)
    _check(spec, executor)
    whole, config = np.arange(space.size), _configurations(spec, space)
    count = int(config.max()) + 1
    group = spec.groups(count)
    history, going = np.full((count, len(spec.rungs)), np.nan), group == 0
    readers: list[Reader] = []
    starts = np.arange(len(space.structures)) * space.block
    with store.lease(Worker().name), hushed():
        for number, until in enumerate(spec.rungs):
            points = whole[going[config]]
            place = _rung(store, number, points)
            source = _Source(executor, points, until, readers)
            _compute(executor, store, place, source, number, progress)
            block = rung_block(place, points, starts)
            readers.append(Reader(block, place.parts(), space.size))
            scores = _scores(spec, readers[-1], points, until)
            total = np.bincount(config[points], scores, count)
            many = np.bincount(config[points], minlength=count)
            history[:, number] = np.where(many, total / np.maximum(many, 1), np.nan)
            going = spec.going_on(history[:, : number + 1], going, group)


def _check(spec: Halving, executor: Executor) -> None:
    """Refuse what would not go, before anything is run."""
    point = executor.point(0)
    length, every = point.loop
    numbers = [k for k, o in point.outputs.items() if k[0] != "@" and o.ndim == 1]
    if spec.objective not in numbers:
        raise OutputError(
            f"objective: given {spec.objective!r}; accepted is a number that each step "
            f"returns: {', '.join(numbers)}."
        )
    if any(r % every for r in spec.rungs) or spec.rungs[-1] != length:
        raise OutputError(
            f"rungs: given {list(spec.rungs)}; accepted are multiples of {every}, the "
            f"steps that the loop makes at a time (`every`), the last one {length}."
        )


def _configurations(spec: Halving, space: Space) -> np.ndarray:
    """Of each point what tells it from others than its repeats: a number."""
    at = np.unravel_index(np.arange(space.size), tuple(space.shape.values()))
    repeats = spec.repeats(space)
    axes = zip(space.shape.items(), at, strict=True)
    kept = [(n, a) for (k, n), a in axes if k not in repeats]
    if not kept:
        return np.zeros(space.size, int)
    return np.ravel_multi_index([a for _, a in kept], [n for n, _ in kept])


def _rung(store: Store, number: int, points: np.ndarray) -> Store:
    """The store of a rung, which says what points came to it."""
    folder = store.path / "blocks" / f"{number + 1:03}"
    folder.parent.mkdir(exist_ok=True)
    experiment = {**store.manifest["experiment"], "rung": number}
    experiment["points"] = points.tolist()
    place = Store.create(folder, {**store.manifest, "experiment": experiment})
    place.repair()
    return place


class _Source:
    """What a rung is computed from: the points that came, and what they carry."""

    def __init__(self, executor: Executor, points, until: int, readers: list[Reader]):
        self.space, self.until, self.readers = executor.space, until, readers
        self.point, block = executor.point, self.space.block
        ends = np.arange(len(self.space.structures) + 1) * block
        at = np.searchsorted(points, ends)
        self.points = [points[a:b] for a, b in itertools.pairwise(at)]

    def __call__(self, structure: int, first: int, count: int):
        whole = self.points[structure][first : first + count]
        local = whole - structure * self.space.block
        numbers = self.space.at(local)
        for name, kind in self.point(structure).carried.items():
            dtype = np.float32 if kind.dtype.kind == "V" else kind.dtype
            found = np.zeros((len(whole), *kind.shape), dtype)
            for reader in self.readers:
                reader.rows(name, whole, found, ())
            numbers["<" + name] = found
        numbers["<until"] = np.full(len(whole), self.until, np.int32)
        return local, numbers


def _compute(executor, store, place, source, number, progress) -> None:
    """All points of a rung, with the plan of the first one."""
    executor.source = source
    said = f"rung {number + 1} of {len(executor.job.halving.rungs)}"
    meter = Meter(executor.job, place, Worker(), executor, progress, said)
    meter.points = sum(map(len, source.points))
    first = Store.open(store.path / "blocks" / "001")
    for structure, points in enumerate(source.points):
        if not len(points):
            continue
        if (known := first.plan(structure)) is not None:
            place.set_plan(structure, known)
        plan = agree(executor, place, structure, 1)
        first.set_plan(structure, plan)
        compute(
            executor, place, structure, plan, list(chunks(plan, len(points))), meter
        )
    meter(force=True)


def _scores(
    spec: Halving, reader: Reader, points: np.ndarray, until: int
) -> np.ndarray:
    """The objective of points at a rung, NaN where they failed."""
    found, status = np.full((len(points), 1), np.nan), np.full(len(points), MISSING)
    reader.rows(spec.objective, points, found, ([until - 1],))
    reader.rows("status", points, status, ())
    return np.where(status == DONE, found[:, 0], np.nan)
