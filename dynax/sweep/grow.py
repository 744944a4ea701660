"""Extend a store: what is asked for and in no block becomes blocks of its own."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from dynax.sweep.blocks import columns_of, filled_in, places, stores
from dynax.sweep.executor import Executor, Job
from dynax.sweep.lease import StoreError
from dynax.sweep.points import Space, Static, Table
from dynax.sweep.store import Store


NEAR = 1e-12  # relative: numbers of an axis closer than this are the same
Box = dict[str, tuple[int, ...]]  # dimension → places along it


def old(
    job: Job, root: Store, experiment: Mapping[str, Any]
) -> list[tuple[Job, Store]]:
    """The blocks that are there, each with the job that computes it.

    Raises:
        StoreError: if they are of another experiment than `job`, but for the space.
    """
    there = root.manifest["experiment"]
    for key, here in experiment.items():
        if key != "space" and here != there.get(key):
            raise _another(f"{key} is {there.get(key)} there, {here} here")
    asked, found = job.space.describe(), []
    for store in stores(root):
        given = store.manifest["experiment"]["space"]
        _check(given, asked)
        space = _rebuilt(given, job.space)
        first = store.manifest["experiment"].get("first", 0)
        found.append((dataclasses.replace(job, space=space, first=first), store))
    _defaults(job, asked, found)
    return found


def new(
    job: Job, blocks: list[tuple[Job, Store]], manifest: Mapping[str, Any]
) -> list[tuple[Job, Store]]:
    """Add blocks for the points of `job` that are in none yet.

    Raises:
        StoreError: if a point of theirs would have other outputs.
    """
    root = blocks[0][1]
    space, kept = _snapped(job.space, blocks), [store for _, store in blocks]
    asked = space.describe()
    was = _defaults(job, asked, blocks)
    keys = {dim: places(given) for dim, given in asked.items()}
    boxes: list[Box] = [{dim: tuple(range(len(k))) for dim, k in keys.items()}]
    for k, store in enumerate(kept):
        theirs = filled_in(store.manifest["experiment"]["space"], kept[k + 1 :])
        theirs |= {k: v for k, v in was.items() if k not in theirs}
        hole = {}
        for dim in asked:
            known = set(places(theirs[dim]))
            hole[dim] = {at for at, key in enumerate(keys[dim]) if key in known}
        boxes = [piece for box in boxes for piece in _without(box, hole)]
    first = max(j.first + j.space.size for j, _ in blocks)
    added = []
    for box in boxes:
        piece = _taken(space, box)
        if first + piece.size > 2**32:
            raise ValueError(
                f"space: given {first + piece.size:,} points with those of the store; "
                "accepted are at most 2³²."
            )
        experiment = {**manifest["experiment"], "space": piece.describe()}
        experiment |= {"first": first, "was": was}
        more = dataclasses.replace(job, space=piece, first=first)
        if not added:
            _same_outputs(more, root)
        folder = root.path / "blocks" / f"{len(blocks) + len(added):03}"
        folder.parent.mkdir(exist_ok=True)
        facts = {**manifest, "experiment": experiment, "asked": asked}
        added.append((more, Store.create(folder, facts)))
        first += piece.size
    return added


def _without(box: Box, hole: Mapping[str, set[int]]) -> list[Box]:
    """A box less a product of sets: boxes apart from one another, one a dimension."""
    common = {dim: tuple(k for k in at if k in hole[dim]) for dim, at in box.items()}
    if not all(common.values()):
        return [box]
    pieces, rest = [], dict(box)
    for dim, at in box.items():
        if left := tuple(k for k in at if k not in hole[dim]):
            pieces.append({**rest, dim: left})
        rest[dim] = common[dim]
    return pieces


def _taken(space: Space, box: Box) -> Space:
    """The part of a space that a box is."""
    dims = {}
    for dim, at in box.items():
        values = space.dims[dim]
        if isinstance(values, Static):
            dims[dim] = values.take(at)
        elif isinstance(values, Table):
            dims[dim] = Table({k: v[list(at)] for k, v in values.columns.items()})
        else:
            dims[dim] = values[list(at)]
    return Space(dims)


def _check(there, asked) -> None:
    """Refuse a space that does not extend the one of a block."""
    for dim, given in there.items():
        if "search" in given:
            raise _another(f"{dim} is searched there")
        if dim not in asked:
            raise _another(f"it has an axis {dim}, of which nothing is said here")
        here = asked[dim]
        if "search" in here or set(here) != set(given):
            raise _another(f"{dim} is of {_kind(given)} there, of {_kind(here)} here")
        if sorted(columns_of(dim, given)) != sorted(columns_of(dim, here)):
            raise _another(
                f"along {dim} vary {', '.join(columns_of(dim, given))} there, "
                f"{', '.join(columns_of(dim, here))} here"
            )
        kinds = [
            np.array(g["values"]).dtype.kind for g in (given, here) if "values" in g
        ]
        if len(set(kinds)) > 1:
            there_is, here_is = ({"i": "integers", "f": "floats"}[k] for k in kinds)
            raise _another(f"{dim} is of {there_is} there, of {here_is} here")
        lost = [v for v in given.get("static", []) if v not in here.get("static", [])]
        if lost:
            raise _another(f"{dim} lacks {', '.join(map(str, lost))}")


def _kind(given) -> str:
    if "search" in given:
        return "a search"
    return "static values" if "static" in given else next(iter(given))


def _another(why: str) -> StoreError:
    return StoreError(
        f"store: an extension that changes the experiment: {why}; accepted are further "
        "values, points and axes of the same `run`, or another folder."
    )


def _rebuilt(given, here: Space) -> Space:
    """The space of a block, its static values taken from `here`."""
    dims: dict[str, Any] = {}
    for dim, described in given.items():
        if "static" in described:
            values: Any = here.dims[dim]
            at = [values.labels.index(label) for label in described["static"]]
            dims[dim] = values.take(at)
        elif "table" in described:
            dims[dim] = Table(described["table"])
        else:
            dims[dim] = np.array(described["values"])
    return Space(dims)


def _snapped(space: Space, blocks) -> Space:
    """Numbers that differ from ones in the store by rounding only, as those."""
    dims = dict(space.dims)
    for dim, values in dims.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            continue
        known = [j.space.dims[dim] for j, _ in blocks if dim in j.space.dims]
        if known:
            there = np.unique(np.concatenate(known))
            near = there[np.abs(values[:, None] - there).argmin(axis=1)]
            dims[dim] = np.where(
                np.abs(values - near) <= NEAR * np.abs(near), near, values
            )
    return Space(dims)


def _defaults(job: Job, asked, blocks) -> dict[str, Any]:
    """Of each axis that the store lacks: the default of `run`, which its points had."""
    parameters, found = inspect.signature(job.run).parameters, {}
    for dim, given in asked.items():
        if all(dim in j.space.dims for j, _ in blocks):
            continue
        values = {}
        for name in columns_of(dim, given):
            parameter = parameters.get(name)
            if parameter is None or parameter.default is parameter.empty:
                raise _another(
                    f"the axis {dim} is new, and run has no default for {name} that "
                    "the points there could have had"
                )
            values[name] = parameter.default
        if "table" in given:
            found[dim] = {"table": {k: [v] for k, v in values.items()}}
        elif "static" in given:
            found[dim] = {"static": [job.space.dims[dim].label(values[dim])]}
        else:
            found[dim] = {"values": [np.asarray(values[dim]).item()]}
    return found


def _same_outputs(job: Job, root: Store) -> None:
    outputs = Executor(job).point(0).outputs
    here = {k: (list(o.shape), str(o.dtype)) for k, o in outputs.items()}
    plan = root.plan(0) or {}
    there = {k: (o["shape"], o["dtype"]) for k, o in plan.get("outputs", {}).items()}
    if there and here != there:
        raise _another(f"run returns {there} there, {here} here")
