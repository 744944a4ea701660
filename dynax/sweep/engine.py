"""What a worker does: agree on a plan for each structure, compute its chunks."""

import itertools
import warnings
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from dynax.sweep.executor import Executor, Job
from dynax.sweep.lease import StoreError
from dynax.sweep.meter import Meter, Progress, Worker, amount
from dynax.sweep.part import Part
from dynax.sweep.points import MOST_AXES, Space
from dynax.sweep.program import OutputError, hushed, reason
from dynax.sweep.store import Store


Span = tuple[int, int]  # (first, count) of points of a structure


@runtime_checkable
class Planner(Protocol):
    """Whoever can tell the batch and chunk of a structure."""

    space: Space

    def plan(self, structure: int, workers: int) -> dict[str, Any]: ...


def chunks(plan: Mapping[str, Any], block: int) -> Iterator[Span]:
    """(first, count) of each chunk of a structure with `block` points."""
    at = min(plan["first"], block)
    yield 0, at
    for first in range(at, block, plan["chunk"]):
        yield first, min(plan["chunk"], block - first)


def share(plan: Mapping, structure: int, block: int, worker: Worker) -> list[Span]:
    """The chunks of a structure that are this worker's."""
    numbered = enumerate(chunks(plan, block), structure)
    return [c for number, c in numbered if number % worker.count == worker.index]


def missing(spans: list[Span], parts: list[Part], batch: int) -> Iterator[Span]:
    """What parts do not cover of spans, in whole batches counted from the first point.

    So that every point stays in its batch, and its numbers the same to the last bit.
    """
    held: list[tuple[int, int]] = []  # ranges apart from one another, in order
    for low, high in sorted(part.span for part in parts):
        if held and low <= held[-1][1]:
            held[-1] = held[-1][0], max(high, held[-1][1])
        else:
            held.append((low, high))
    for first, count in spans:
        at, end = first, first + count
        near = slice(max(0, bisect(held, (at,)) - 1), bisect(held, (end,)))
        for low, high in [*held[near], (end, end)]:
            if at < min(low, end):
                begin = at - at % batch
                at = min(end, low + -low % batch)
                yield begin, at - begin
            at = max(at, high)


def retry(store: Store, space: Space, worker: Worker) -> None:
    """Put aside the parts of this worker's share in which points failed."""
    mine = {}
    for structure in range(len(space.structures)):
        plan = store.plan(structure)
        if plan is not None and "error" not in plan:
            mine[structure] = share(plan, structure, space.block, worker)

    def ours(part):
        low, high = part.span
        return any(a < high and low < a + n for a, n in mine.get(part.structure, ()))

    # again, as a part put aside may have covered another one
    while failed := [part for part in store.parts() if part.failed and ours(part)]:
        for part in failed:
            store.set_aside(part, "retried")


def work(
    job: Job,
    store: Store,
    worker: Worker,
    progress: Callable[[Progress], object] = lambda p: None,
    executor: Executor | None = None,
) -> None:
    """Compute this worker's share of what is missing in the store.

    Raises:
        the error of a structure that cannot be compiled, when none of them can.
    """
    executor = executor or Executor(job)
    with store.lease(worker.name), hushed():
        aside = store.repair() if worker.index == 0 else []
        note = f"{len(aside)} damaged parts are computed again" if aside else ""
        if job.retry:
            retry(store, job.space, worker)
        meter = Meter(job, store, worker, executor, progress, note)
        meter(force=True)
        for structure, plan in planned(executor, store, worker.count):
            spans = share(plan, structure, job.space.block, worker)
            first = worker.index == 0
            compute(executor, store, structure, plan, spans, meter, check=first)
            meter.compiling(structure)
        meter(force=True)


def planned(executor: Planner, store: Store, workers: int):
    """(structure, plan) one by one, leaving out structures that cannot be compiled.

    Raises:
        the error of the first one, at the end, when none of them can.
    """
    broken: list[Exception] = []
    structures = range(len(executor.space.structures))
    for structure in structures:
        try:
            plan = agree(executor, store, structure, workers)
        except (OutputError, StoreError):
            raise
        except Exception as error:
            broken.append(error)
            text = {"error": reason(error), "points": executor.space.block}
            store.set_plan(structure, text)
            continue
        yield structure, plan
    if len(broken) == len(structures):
        raise broken[0]


def agree(executor: Planner, store: Store, structure: int, workers: int):
    """The plan of a structure: the one in the store, or a new one put there.

    Raises:
        StoreError: if the outputs are not those of the other structures.
    """
    dims = store.manifest.get("dims") or {}
    plan = store.plan(structure)
    if plan is not None and "error" not in plan:
        _check_names(plan["outputs"], executor.space, dims)
        return plan
    if plan is not None:
        store.drop_plan(structure)
    plan = executor.plan(structure, workers)
    _check_names(plan["outputs"], executor.space, dims)
    for part in store.parts():  # of a plan that was lost
        if part.structure == structure and part.program != plan["fingerprint"]:
            raise _another(plan, part.program, plan["fingerprint"])
    plan = store.set_plan(structure, plan)
    for other in range(len(executor.space.structures)):
        there = store.plan(other)
        if there and "error" not in there and there["outputs"] != plan["outputs"]:
            store.drop_plan(structure)
            raise OutputError(
                f"run: returns {_signature(plan)} for {plan['structure']}, but "
                f"{_signature(there)} for {there['structure']}; accepted are outputs "
                "of the same names, shapes and dtypes everywhere."
            )
    return plan


def _check_names(outputs, space, dims):
    """Refuse outputs, and names of their axes, that could not be read later."""
    known = {*space.dims, *space.numbers, "status", "file", "allow_pickle"}
    taken = [
        name for name in outputs if name in known or name[:1] in "@" or "/" in name
    ]
    if taken:
        raise OutputError(
            f"run: returned {', '.join(map(repr, taken))}; accepted are names other "
            f"than {', '.join(sorted(known))}, without / and @."
        )
    lengths = {}
    shapes = {k: o["shape"] for k, o in outputs.items() if o["shape"]}
    for name in [*dims, *(k for k in outputs if k not in dims)]:
        shape = outputs[name]["shape"] if name in outputs else None
        axes = inner_dims(name, shape or (), dims)
        fits = shape is not None and len(set(axes)) == len(axes) == len(shape)
        if not fits or any(
            axis in known or axis in outputs or lengths.setdefault(axis, n) != n
            for axis, n in zip(axes, shape or (), strict=True)
        ):
            given = f"given {list(axes)}" if name in dims else f"by default {axes}"
            raise OutputError(
                f"dims: {given} for {name}; accepted is a name of its own for each "
                f"axis, of one length everywhere, of the outputs {shapes}."
            )
        if len(space.dims) + len(axes) > MOST_AXES:
            raise OutputError(
                f"run: returned {name} with {len(axes)} axes, along {len(space.dims)} "
                f"of the space; accepted are {MOST_AXES} together."
            )


def inner_dims(name: str, shape, dims: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the axes of an output."""
    return tuple(dims.get(name, [f"{name}_{k}" for k in range(len(shape))]))


def same_program(executor: Executor, structure: int, plan) -> None:
    """Refuse to add to results of another programme."""
    point = executor.point(structure)
    if point.fingerprint == plan["fingerprint"]:
        return
    there = plan.get("numerics") or {}
    differ = [
        f"{name} is {there.get(name)} there, {here} here"
        for name, here in point.numerics.items()
        if there.get(name) != here
    ]
    raise _another(plan, plan["fingerprint"], point.fingerprint, "; ".join(differ))


def _another(plan, there, here, why=""):
    return StoreError(
        "store: it holds results of another `run`: the programme for "
        f"{plan['structure'] or 'this experiment'} has the fingerprint {there} there, "
        f"{here} here ({why or 'the code or its data has changed, or is not pure'}); "
        "accepted is the same or another folder."
    )


def _signature(plan):
    return ", ".join(
        f"{k}: {o['dtype']}{o['shape']}" for k, o in plan["outputs"].items()
    )


def compute(
    executor: Executor,
    store: Store,
    structure: int,
    plan: Mapping[str, Any],
    spans: list[Span],
    meter: Meter,
    check: bool = True,
) -> None:
    """Compute what the store lacks of the spans of a structure."""
    parts = [part for part in store.parts() if part.structure == structure]
    mine = list(missing(spans, parts, plan["batch"]))
    if mine or check:
        same_program(executor, structure, plan)
    if mine:
        warn(plan, meter)
        executor.program(structure, plan["batch"])
        meter.start(structure)
    # one chunk is computed while the one before it is written
    under_way = None
    for chunk in itertools.chain(mine, [None]):
        coming = chunk and executor.begin(structure, plan, *chunk)
        if under_way is not None:
            values = executor.end(under_way)
            store.write(structure, under_way.first, values)
            meter.add(values)
        under_way = coming


def warn(plan: Mapping[str, Any], meter: Meter) -> None:
    """Say that one point alone exceeds the memory limit; it is run all the same."""
    needs, limit = plan.get("memory_bytes", 0), plan.get("memory_limit_bytes", 0)
    if plan["batch"] == 1 and needs > limit and "memory" not in meter.note:
        said = f"memory: the limit is {amount(limit)}, one point needs {amount(needs)}"
        meter.note = "; ".join(filter(None, (meter.note, said)))
        warnings.warn(f"{said}; it is run all the same", stacklevel=2)
