"""A store as an `xarray.Dataset` whose arrays are read when they are used."""

import functools
import math
from typing import Any

import numpy as np

from dynax.sweep.blocks import Block, layout
from dynax.sweep.engine import inner_dims
from dynax.sweep.lease import StoreError
from dynax.sweep.part import DONE, MEANINGS, MISSING, STOPPED, Part, counts, missing
from dynax.sweep.store import Store


def open_sweep(path):
    """The results in a store, finished or not, as an `xarray.Dataset`.

    Dimensions are those of the space, with the values along them as coordinates, then
    those of the outputs. Values are read when they are used, so the results need not
    fit in memory. A point without a result has NaN (the least integer, False) and a
    `status` that says why; `ds.where(ds.status == 0)` keeps the rest.

    Args:
        path: the folder given to `sweep` as its store.

    Returns:
        The dataset as the store is now; its attributes say how complete it is (`done`,
        `failed`, `complete`) and of what origin.

    Raises:
        StoreError: if there is no store.
        ImportError: without xarray, which the extra `experiments` brings.
    """
    try:
        import xarray as xr
        from xarray.core import indexing
    except ImportError:
        raise ImportError(
            'open_sweep needs xarray: pip install "dynax-lab[experiments]"'
        ) from None
    store = Store.open(path)
    whole = layout(store)
    shape, size = whole.shape, math.prod(whole.shape.values())
    units = store.manifest.get("units") or {}
    coords: dict[str, Any] = {
        name: (dim, values, {"units": units[name]} if name in units else {})
        for name, (dim, values) in whole.coords.items()
    }
    readers, plans, parts = [], [], []
    for block in whole.blocks:
        ours = [block.store.plan(s) for s in range(len(block.bases))]
        theirs = block.store.parts()
        planned = {k for k, plan in enumerate(ours) if plan and "outputs" in plan}
        if {part.structure for part in theirs} - planned:
            raise StoreError(
                f"store: {block.store.path} has parts, but no plan that can be read; "
                "run the sweep again on this store, and it is made anew."
            )
        readers.append(Reader(block, theirs, size))
        plans += ours
        parts += theirs
    outputs = next((p["outputs"] for p in plans if p and "outputs" in p), {})
    variables = {}
    for name, out in {"status": {"shape": [], "dtype": "int8"}, **outputs}.items():
        inner = inner_dims(name, out["shape"], store.manifest.get("dims") or {})
        wrapped = _lazy(readers, name, tuple(shape.values()), out)
        attrs: dict[str, Any] = {"units": units[name]} if name in units else {}
        if name == "status":
            attrs = {
                "flag_values": np.array(list(MEANINGS), np.int8),
                "flag_meanings": "; ".join(MEANINGS.values()),
            }
        data = indexing.LazilyIndexedArray(wrapped)
        variables[name] = ((*shape, *inner), data, attrs)
    done = sum(counts(reader.parts)[0] for reader in readers)
    points = sum(block.size for block in whole.blocks) + whole.coming
    attrs = {
        **_summary(store, parts, any(p and p.get("callbacks") for p in plans)),
        "failed": sum(_failed(r.store, part) for r in readers for part in r.parts),
        "points": points,
        "done": done,
        "complete": int(done == points),
    }
    return xr.Dataset(variables, coords, attrs)


def failures(path, most: int = 1000) -> list[tuple[int, str, str]]:
    """(number, what the code means, what it said) of the first `most` failed points."""
    found = []
    for block in layout(Store.open(path)).blocks:
        store = block.store
        for part in filter(lambda part: part.failed, store.parts()):
            status, at, text = (
                store.read(part, k) for k in ("status", "@failed", "@said")
            )
            said = dict(zip(at.tolist(), text, strict=True))
            base = block.bases[part.structure] + part.first
            for at in part.skip + np.flatnonzero(status[part.skip :]):
                meaning = MEANINGS[int(status[at])]
                number = int(block.whole(base + at))
                found.append((number, meaning, str(said.get(int(at), ""))))
                if len(found) >= most:
                    return found
        for structure, base in enumerate(block.bases):
            plan = store.plan(structure)
            if plan and "error" in plan:
                number = int(block.whole(base))
                found.append((number, "could not be compiled", plan["error"]))
    return found


def _summary(store, parts, callbacks):
    begun = store.manifest["begun"]
    batches = sorted({p.batch for p in parts})
    return {
        "run": store.manifest["experiment"]["run"],
        "seed": store.manifest["experiment"]["seed"],
        "bits": store.manifest["experiment"]["bits"],
        "batch": ", ".join(map(str, batches)),
        "parts": len(parts),
        "host_callbacks": int(callbacks),
        "begun": begun["date"],
        "commit": begun["commit"] or "",
        "versions": ", ".join(f"{k} {v}" for k, v in begun["versions"].items()),
        "store": str(store.path),
        **_notes(store),
        **_objective(store.manifest["experiment"]["space"]),
    }


def _notes(store):
    found = {}
    for entry in store.notes():
        for key in ("tags", "notes"):
            found.setdefault(key, []).extend(entry.get(key, []))
    join = {"tags": ", ", "notes": "\n"}
    return {k: join[k].join(dict.fromkeys(v)) for k, v in found.items() if v}


def _failed(store, part):
    """How many points failed, of those that no other part holds."""
    if not part.failed or not part.skip:
        return part.failed
    return int(np.count_nonzero(store.read(part, "status")[part.skip :]))


def _objective(space):
    """What a search looked for."""
    for given in space.values():
        if "search" in given:
            return {
                "objective": given["objective"],
                "maximize": int(given["maximize"]),
            }
    return {}


class Reader:
    """Rows of the parts of a block, by the number of the point in the whole."""

    def __init__(self, block: Block, parts: list[Part], size: int):
        self.store, self.parts, self.numbers = block.store, parts, block.numbers
        self.size, self.final = size, block.final
        self.origins = [block.bases[p.structure] + p.first for p in parts]
        self.starts = np.array(self.origins, np.int64) + [p.skip for p in parts]
        self.ends = np.array(self.origins, np.int64) + [p.count for p in parts]
        self.read = functools.lru_cache(8)(  # the last few arrays
            lambda k, name: block.store.read(parts[k], name)
        )

    @functools.cached_property
    def own(self) -> np.ndarray:
        """The number in this block of each point of the whole, −1 where it has none."""
        found = np.full(self.size, -1)
        assert self.numbers is not None
        found[self.numbers] = np.arange(len(self.numbers))
        return found

    def rows(self, name: str, points: np.ndarray, out: np.ndarray, inner) -> None:
        """Fill out[j] with the output of points[j], where there is one."""
        if not len(self.parts):
            return
        if self.numbers is not None:
            points = self.own[points]
        order = np.argsort(points, kind="stable")
        points = points[order]
        first = np.searchsorted(points, self.starts)
        last = np.searchsorted(points, self.ends)
        for k in np.flatnonzero(first < last):
            chosen = slice(first[k], last[k])
            values = self.read(int(k), name)[points[chosen] - self.origins[k]]
            if name == "status" and not self.final:
                values = np.where(values == DONE, STOPPED, values)
            for axis, key in enumerate(inner):
                values = np.take(values, key, axis=axis + 1)
            out[order[chosen]] = values


def _lazy(readers, name, outer, spec):
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Lazy(BackendArray):
        """All points of one output: an array that is read piece by piece."""

        def __init__(self):
            self.shape = (*outer, *spec["shape"])
            self.dtype = np.dtype(_storable(spec["dtype"]))

        def __getitem__(self, key):
            if not isinstance(key, indexing.VectorizedIndexer):
                return self.take(key.tuple)  # negative steps and empty slices too
            outer_support = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(
                key, self.shape, outer_support, self.take
            )

        def take(self, key):
            full = [
                np.atleast_1d(np.arange(n)[k])
                for n, k in zip(self.shape, key, strict=True)
            ]
            space, inner = full[: len(outer)], full[len(outer) :]
            points = np.ravel_multi_index(np.ix_(*space), outer).ravel()
            blank = MISSING if name == "status" else missing(self.dtype)
            found = np.full((len(points), *map(len, inner)), blank, self.dtype)
            for reader in readers:
                reader.rows(name, points, found, inner)
            found = found.reshape([len(k) for k in full])
            drop = tuple(
                0 if np.ndim(k) == 0 and not isinstance(k, slice) else slice(None)
                for k in key
            )
            return found[drop]

    return Lazy()


def _storable(dtype):
    """NumPy has no bfloat16 of its own; the parts hold such as float32."""
    try:
        known = np.dtype(dtype)
    except TypeError:
        return np.dtype(np.float32)
    return np.dtype(np.float32) if known.kind == "V" else known
