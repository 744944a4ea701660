"""What a worker does: agree on a plan for each structure, compute its chunks."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from dynax.sweep.executor import Executor, Job
from dynax.sweep.meter import Meter, Progress, Worker
from dynax.sweep.points import Space
from dynax.sweep.program import OutputError, reason
from dynax.sweep.store import Store, StoreError


class Planner(Protocol):
    """Whoever can tell the batch and chunk of a structure."""

    space: Space

    def plan(self, structure: int, workers: int) -> dict[str, Any]: ...


def chunks(plan: Mapping[str, Any], block: int) -> Iterator[tuple[int, int]]:
    """(first, count) of each chunk of a structure with `block` points."""
    at = min(plan["first"], block)
    yield 0, at
    for first in range(at, block, plan["chunk"]):
        yield first, min(plan["chunk"], block - first)


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
    with store.lease(worker.name):
        aside = store.repair() if worker.index == 0 else []
        note = f"{len(aside)} damaged parts are computed again" if aside else ""
        meter = Meter(job, store, worker, executor, progress, note)
        meter(force=True)
        for structure, plan in planned(executor, store, worker.count):
            _compute(executor, store, structure, plan, worker, meter)
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
    for name, axes in dims.items():
        shape = outputs[name]["shape"] if name in outputs else None
        fits = shape is not None and len(set(axes)) == len(axes) == len(shape)
        if not fits or any(
            axis in known or axis in outputs or lengths.setdefault(axis, n) != n
            for axis, n in zip(axes, shape or (), strict=True)
        ):
            shapes = {k: o["shape"] for k, o in outputs.items() if o["shape"]}
            raise OutputError(
                f"dims: given {list(axes)} for {name}; accepted is a name of its own "
                f"for each axis, of one length everywhere, of the outputs {shapes}."
            )


def same_program(executor: Executor, structure: int, plan) -> None:
    """Refuse to add to results of another programme."""
    found = executor.point(structure).fingerprint
    if found != plan["fingerprint"]:
        raise StoreError(
            "store: it holds results of another `run`: the programme for "
            f"{plan['structure'] or 'this experiment'} has the fingerprint "
            f"{plan['fingerprint']} there, {found} here (the code, its data, the kind "
            "of device or the version of jax has changed); accepted is the same or "
            "another folder."
        )


def _signature(plan):
    return ", ".join(
        f"{k}: {o['dtype']}{o['shape']}" for k, o in plan["outputs"].items()
    )


def _compute(executor, store, structure, plan, worker, meter):
    done = {part.first for part in store.parts() if part.structure == structure}
    mine = [
        chunk
        for number, chunk in enumerate(chunks(plan, executor.space.block), structure)
        if number % worker.count == worker.index and chunk[0] not in done
    ]
    if mine or worker.index == 0:
        same_program(executor, structure, plan)
    if mine:
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
