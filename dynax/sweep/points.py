"""Spaces of points: axes, tables of samples, and what is compiled apart.

A space is a mapping from the name of a dimension to what lies along it:

    {
        "optimizer": Static([lion, adam]),   # Python values: compiled once each
        "trial": halton(64, learning_rate=log_uniform(1e-4, 1e-1)),  # a table
        "weight_decay": [0.0, 0.1, 1.0],     # numbers: traced, never recompiled
        "seed": range(8),
    }

Its points are the product of the dimensions, counted row by row with the static
dimensions outermost; a point's number is all that its random key depends on.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dynax.sweep.ranges import Range, checked


MOST_AXES = 32  # of an array, those of the space and of an output together


class Static:
    """Python values that shape the program (a class, a width): each is compiled once.

    Args:
        values: anything, or a mapping from labels to anything. Without labels, that of
            a number is the number, of a class or a function its name, of anything else
            its `str`.
    """

    def __init__(self, values: Sequence[Any] | Mapping[str, Any]):
        self.values = list(values.values() if isinstance(values, Mapping) else values)
        self.labels: list[Any] = [getattr(v, "__name__", str(v)) for v in self.values]
        if isinstance(values, Mapping):
            self.labels = [str(label) for label in values]
        elif all(_is_number(v) for v in self.values):
            self.labels = [np.asarray(v).item() for v in self.values]
        for label in self.labels:
            if re.search(r" at 0x[0-9a-fA-F]+", str(label)):
                raise ValueError(
                    f"Static: given {label[:90]}, whose text differs from one process "
                    "to the next, so that nothing could be resumed; accepted is a name "
                    'for each, as in Static({"sgd": optax.sgd(0.1), …}).'
                )
        if not self.values:
            raise ValueError("Static: given no values; accepted is one or more.")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(
                f"Static: given values with the labels {self.labels}; accepted are "
                "values whose names or str() differ."
            )

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: Sequence[int]) -> "Static":
        """Some of the values, under their labels."""
        found = Static({str(self.labels[k]): self.values[k] for k in places})
        found.labels = [self.labels[k] for k in places]
        return found

    def label(self, value: Any) -> Any:
        """That of a value, which need not be one of these."""
        for label, known in zip(self.labels, self.values, strict=True):
            if known is value or (_is_number(value) and label == value):
                return label
        return Static([value]).labels[0]


class Table:
    """Points listed one by one: columns of numbers of the same length.

    Args:
        columns: name → numbers. A sequence of dicts with the same names will do.
    """

    def __init__(self, columns: Mapping[str, Any] | Sequence[Mapping[str, Any]]):
        if not isinstance(columns, Mapping):
            rows = list(columns)
            names = {tuple(sorted(row)) for row in rows}
            if len(names) != 1:
                raise ValueError(
                    f"Table: given rows with the names {sorted(names)}; accepted are "
                    "one or more rows that all have the same."
                )
            columns = {name: [row[name] for row in rows] for name in rows[0]}
        self.columns = {name: _numbers(name, v) for name, v in columns.items()}
        lengths = {name: len(v) for name, v in self.columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"Table: given columns of the lengths {lengths}; accepted are one or "
                "more columns of one length."
            )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class Search:
    """Points chosen while the sweep runs, by asking a sampler of Optuna and telling it.

    Each round asks for `parallel` trials, runs them as one batch (times the other
    dimensions of the space, over which the objective is averaged) and tells the result.
    A trial that fails, or whose objective is not finite, is told as failed.

    Args:
        count: trials in all.
        objective: the output to minimise (its last entry where it is a curve).
        ranges: name → `Range`, as of `uniform`, `log_uniform` or `integers`.
        parallel: trials a round. More of them are faster and less well informed.
        maximize: the objective, instead.
        sampler: seed → an `optuna.samplers.BaseSampler`; TPE if not given.
    """

    def __init__(
        self,
        count: int,
        objective: str,
        ranges: Mapping[str, Range],
        *,
        parallel: int = 8,
        maximize: bool = False,
        sampler: Callable[[int], Any] | None = None,
    ):
        if count < 1 or parallel < 1:
            raise ValueError(
                f"Search: given count = {count}, parallel = {parallel}; accepted are "
                "integers >= 1."
            )
        for name, r in ranges.items():
            if not isinstance(r, Range):
                raise TypeError(
                    f"Search: given {name} = {r!r}; accepted is uniform(…), "
                    "log_uniform(…) or integers(…)."
                )
            checked(r)
        self.count, self.parallel = int(count), min(int(parallel), int(count))
        self.objective, self.maximize = objective, maximize
        self.ranges, self.sampler = dict(ranges), sampler

    def __len__(self) -> int:
        return self.count


def random(count: int, *, seed: int = 0, **ranges: Range) -> Table:
    """Draw independent points from the ranges.

    `count` independent draws from the ranges.
    """
    u = np.random.default_rng(_seed(seed)).random((count, len(ranges)))
    return _drawn(u, ranges)


def halton(count: int, *, seed: int = 0, **ranges: Range) -> Table:
    """Draw points of a scrambled Halton sequence over the ranges.

    `count` points of a scrambled Halton sequence over the ranges.
    """
    from scipy.stats import qmc

    return _drawn(qmc.Halton(len(ranges), rng=_seed(seed)).random(count), ranges)


def sobol(count: int, *, seed: int = 0, **ranges: Range) -> Table:
    """Draw points of a scrambled Sobol' sequence over the ranges.

    `count` points, a power of two, of a scrambled Sobol' sequence.
    """
    from scipy.stats import qmc

    if count < 1 or count & (count - 1):
        raise ValueError(f"sobol: given count = {count}; accepted is a power of two.")
    return _drawn(qmc.Sobol(len(ranges), rng=_seed(seed)).random(count), ranges)


def _seed(seed):
    if isinstance(seed, Range):
        raise TypeError(
            "seed: given a range; accepted is an integer, and to vary an argument "
            "called seed, a dimension of its own."
        )
    return seed


def _drawn(u, ranges):
    made = {name: checked(r) for name, r in ranges.items()}
    return Table({name: r.at(u[:, k]) for k, (name, r) in enumerate(made.items())})


class Space:
    """The product of named dimensions. `Space.of(mapping)` makes one.

    Attributes:
        shape: dimension → length, the static dimensions first.
        structures: one dict of static arguments for each combination of them.
        block: the number of points of each structure; `size` of all.
    """

    def __init__(self, dims: Mapping[str, Any]):
        made = {name: _dimension(name, given) for name, given in dims.items()}
        static = {k: v for k, v in made.items() if isinstance(v, Static)}
        self.dims = {**static, **{k: v for k, v in made.items() if k not in static}}
        self.shape = {name: len(values) for name, values in self.dims.items()}
        self._static = static
        self._numeric = {k: v for k, v in self.dims.items() if k not in static}
        searches = [k for k, v in made.items() if isinstance(v, Search)]
        if len(searches) > 1 or (searches and static):
            raise ValueError(
                f"space: given a search along {searches} and static dimensions "
                f"{list(static)}; accepted is one search, and none of the others."
            )
        self.search = searches[0] if searches else None
        if searches:  # outermost, so that a round of trials is a range of points
            first = self._numeric.pop(searches[0])
            self._numeric = {searches[0]: first, **self._numeric}
            self.dims = dict(self._numeric)
            self.shape = {name: len(values) for name, values in self.dims.items()}
        if len(self.shape) > MOST_AXES:
            raise ValueError(
                f"space: given {len(self.shape)} dimensions; accepted are at most "
                f"{MOST_AXES}."
            )
        seen: set[str] = set()
        for dim, names in self.names.items():
            if "status" in (dim, *names):
                raise ValueError(
                    "space: given the name 'status', under which a sweep says how each "
                    "point ended; accepted is another one."
                )
            twice = seen & set(names) | {n for n in names if n in made and n != dim}
            if twice:
                raise ValueError(
                    f"space: given {', '.join(sorted(twice))} of the dimension {dim} "
                    "elsewhere too; accepted is each argument once."
                )
            seen |= set(names)

    @classmethod
    def of(cls, space: "Space | Mapping[str, Any]") -> "Space":
        """`space` itself, or the space of a mapping."""
        if isinstance(space, Space):
            return space
        if not isinstance(space, Mapping) or not space:
            raise TypeError(
                f"space: given {space!r}; accepted is a mapping from names to values."
            )
        return cls(space)

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """dimension → the arguments of `run` that vary along it."""
        found = {}
        for name, values in self.dims.items():
            columns = {Table: "columns", Search: "ranges"}.get(type(values))
            found[name] = tuple(getattr(values, columns)) if columns else (name,)
        return found

    @property
    def numbers(self) -> tuple[str, ...]:
        """The arguments that are traced."""
        return tuple(n for dim in self._numeric for n in self.names[dim])

    @property
    def block(self) -> int:
        return math.prod(self.shape[dim] for dim in self._numeric)

    @property
    def size(self) -> int:
        return math.prod(self.shape.values())

    @property
    def structures(self) -> list[dict[str, Any]]:
        lengths = [len(v) for v in self._static.values()]
        return [
            {n: v.values[i] for (n, v), i in zip(self._static.items(), at, strict=True)}
            for at in np.ndindex(*lengths)
        ]

    def labels(self, structure: int) -> dict[str, Any]:
        """The labels of the static arguments of one structure."""
        lengths = [len(v) for v in self._static.values()]
        at = np.unravel_index(structure, lengths) if lengths else ()
        return {
            n: v.labels[i] for (n, v), i in zip(self._static.items(), at, strict=True)
        }

    def columns(self, first: int, count: int) -> dict[str, np.ndarray]:
        """The traced arguments of `count` points of a structure, from `first` on."""
        return self.at(np.arange(first, first + count))

    def at(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """The traced arguments of points of a structure."""
        return self._at(index, self._numeric)

    def _at(self, index, dims):
        shape = [self.shape[dim] for dim in dims]
        places = np.unravel_index(index, shape) if shape else ()
        found = {}
        for (dim, values), at in zip(dims.items(), places, strict=True):
            if isinstance(values, Search):
                continue
            columns = values.columns if isinstance(values, Table) else {dim: values}
            found |= {name: column[at] for name, column in columns.items()}
        return found

    def kind(self, name: str) -> type:
        """`int` or `float`: of what a traced argument consists."""
        for values in self._numeric.values():
            if isinstance(values, Search) and name in values.ranges:
                return int if values.ranges[name].integer else float
        return float if self.columns(0, 1)[name].dtype.kind == "f" else int

    def values(self, name: str) -> np.ndarray:
        """Those of a traced argument; of one that is searched the ends of its range."""
        for dim, given in self._numeric.items():
            if isinstance(given, Search):
                if name in given.ranges:
                    return np.array(given.ranges[name][:2])
                continue
            columns = given.columns if isinstance(given, Table) else {dim: given}
            if name in columns:
                return columns[name]
        raise KeyError(name)

    def describe(self) -> dict[str, Any]:
        """For the manifest: everything that makes this space this space, as JSON."""
        found: dict[str, Any] = {}
        for name, v in self.dims.items():
            if isinstance(v, Static):
                found[name] = {"static": v.labels}
            elif isinstance(v, Table):
                found[name] = {"table": {k: c.tolist() for k, c in v.columns.items()}}
            elif isinstance(v, Search):
                found[name] = {
                    "search": {k: list(r) for k, r in v.ranges.items()},
                    "count": v.count,
                    "parallel": v.parallel,
                    "objective": v.objective,
                    "maximize": v.maximize,
                }
            else:
                found[name] = {"values": v.tolist()}
        return found


def _dimension(name, given):
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"space: given the name {name!r}; accepted is an identifier.")
    if isinstance(given, Range):
        raise ValueError(
            f"space: given a range for {name}; accepted are values, or a table drawn "
            f'from ranges, as "sample": halton(64, {name}=log_uniform(…)).'
        )
    if isinstance(given, Static | Table | Search):
        return given
    try:
        several = not isinstance(given, str | bytes | Mapping)
        values = list(given) if several else [given]
    except TypeError:
        raise TypeError(
            f"{name}: given {given!r}; accepted is a sequence, as of numbers."
        ) from None
    if values and all(_is_number(v) for v in values):
        return _numbers(name, values)
    return Static(values)


def _is_number(value):
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"


def _numbers(name, values):
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}: given {array.dtype} of shape {array.shape}; accepted is a list "
            "of one or more real numbers."
        )
    return array.astype(float if array.dtype.kind == "f" else np.int64)
