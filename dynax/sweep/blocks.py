"""Blocks of a store: where in the whole the points of each are.

    manifest.json, plans/, parts/ …        the first block
    blocks/001/manifest.json, plans/ …     points added later: a store of its own

A block holds the points of a product of axes, or a list of points. The whole is the
smallest grid with all blocks in it; a point that is in no block has not been run.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dynax.sweep.store import Store


class Block(NamedTuple):
    """One block.

    `numbers` are those of its points in the whole, None where they are the same;
    `bases` says at which of its own points each structure begins. The points of a rung
    that is not the last one are not `final`.
    """

    store: Store
    size: int
    numbers: np.ndarray | None
    bases: np.ndarray
    final: bool = True

    def whole(self, points) -> Any:
        """The numbers in the whole of points of this block."""
        return points if self.numbers is None else self.numbers[points]

    def length(self, structure: int) -> int:
        """How many points a structure has."""
        return int([*self.bases[1:], self.size][structure] - self.bases[structure])


class Layout(NamedTuple):
    """The whole grid: name → (dimension, values), dimension → length, the blocks.

    `coming` points of a halving are those of rungs that have not begun, if none fails.
    """

    coords: dict[str, tuple[str, np.ndarray]]
    shape: dict[str, int]
    blocks: list[Block]
    coming: int = 0


def stores(root: Store) -> list[Store]:
    """The blocks of a store, in the order in which they were added."""
    found = [root]
    for number in itertools.count(1):
        folder = root.path / "blocks" / f"{number:03}"
        if not (folder / "manifest.json").exists():
            break
        found.append(Store.open(folder))
    return found


def layout(root: Store) -> Layout:
    """The whole of a store, and where its blocks are in it."""
    found, halving = stores(root), root.manifest["experiment"].get("halving")
    rungs, found = (found[1:], [root]) if halving else ([], found)
    spaces = [store.manifest["experiment"]["space"] for store in found]
    dims = found[-1].manifest.get("asked") or spaces[0]
    filled = [filled_in(space, found[k + 1 :]) for k, space in enumerate(spaces)]
    keys = {}
    for dim, given in dims.items():
        every = [places(given), *(places(space[dim]) for space in filled)]
        keys[dim] = list(dict.fromkeys(itertools.chain(*every)))
        if "values" in given and every[0] == sorted(every[0]):
            keys[dim].sort()
    coords: dict[str, tuple[str, np.ndarray]] = {}
    for dim, given in dims.items():
        columns = zip(*(row for row, _ in keys[dim]), strict=True)
        names = sorted(columns_of(dim, given))
        known = dict(zip(names, map(np.array, columns), strict=True))
        if "search" in given:
            known = _asked(given, root.rounds())
        coords |= {k: (dim, known[k]) for k in columns_of(dim, given)}
    shape = {dim: len(found) for dim, found in keys.items()}
    at = {dim: {key: k for k, key in enumerate(found)} for dim, found in keys.items()}
    blocks = []
    for store, space, own in zip(found, filled, spaces, strict=True):
        size = math.prod(len(places(given)) for given in own.values())
        kinds = math.prod(len(g["static"]) for g in own.values() if "static" in g)
        bases = np.arange(kinds) * (size // kinds)
        numbers = None
        if len(found) > 1:
            along = [[at[dim][key] for key in places(space[dim])] for dim in dims]
            grid = np.ravel_multi_index(np.ix_(*along), tuple(shape.values()))
            order = [*own, *(dim for dim in dims if dim not in own)]
            grid = grid.transpose([list(dims).index(dim) for dim in order])
            numbers = grid.ravel()
        blocks.append(Block(store, size, numbers, bases))
    if not halving:
        return Layout(coords, shape, blocks)
    starts, last = blocks[0].bases, len(halving["rungs"]) - 1
    points = [np.array(r.manifest["experiment"]["points"], int) for r in rungs]
    blocks = [
        rung_block(rung, numbers, starts, final=k == last)
        for k, (rung, numbers) in enumerate(zip(rungs, points, strict=True))
    ]
    return Layout(coords, shape, blocks, sum(halving["sizes"][len(rungs) :]))


def rung_block(store: Store, points: np.ndarray, starts, final: bool = True) -> Block:
    """A rung; `starts` are the numbers in the whole at which structures begin."""
    return Block(store, len(points), points, np.searchsorted(points, starts), final)


def filled_in(space: Mapping[str, Any], later: list[Store]) -> dict[str, Any]:
    """The space of a block along the axes, too, that were added after it."""
    found = dict(space)
    for store in later:
        added = store.manifest["experiment"].get("was") or {}
        found |= {k: v for k, v in added.items() if k not in found}
    return found


def columns_of(dim: str, given: Mapping[str, Any]) -> list[str]:
    """The arguments that vary along a dimension, as the manifest describes it."""
    return list(given.get("table") or given.get("search") or [dim])


def places(given: Mapping[str, Any]) -> list[tuple[tuple, int]]:
    """What tells the places along a dimension apart: values, and which of its like."""
    if "search" in given:
        rows = [(k,) * len(given["search"]) for k in range(given["count"])]
    elif "table" in given:
        rows = list(zip(*(v for _, v in sorted(given["table"].items())), strict=True))
    else:
        rows = [(v,) for v in given.get("static") or given["values"]]
    seen: dict[tuple, int] = {}
    found = []
    for row in rows:
        found.append((row, seen.setdefault(row, 0)))
        seen[row] += 1
    return found


def _asked(given, rounds):
    """The trials of a search: those not asked for yet are NaN."""
    found = {}
    for name in given["search"]:
        values = np.full(given["count"], np.nan)
        asked = [r[name] for r in rounds]
        if asked:
            values[: sum(map(len, asked))] = np.concatenate(asked)
        found[name] = values
    return found
