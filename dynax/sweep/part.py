"""A part of a store: the results of a range of points, and what became of each."""

import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


DONE, NOT_FINITE, RAISED, TIME_LIMIT, MISSING, STOPPED = 0, 1, 2, 3, -1, -2
MEANINGS = {
    STOPPED: "stopped at a rung",
    MISSING: "not run",
    DONE: "done",
    NOT_FINITE: "an output is not finite",
    RAISED: "raised an error",
    TIME_LIMIT: "over the time limit",
}


class Part(NamedTuple):
    """The results of points first … first + count − 1 of a structure.

    `batch` is how many of them ran side by side, `failed` how many have no result,
    `skip` how many of the first ones another part holds as well; `program` is the
    fingerprint of what computed them.
    """

    structure: int
    first: int
    count: int
    batch: int
    failed: int
    program: str
    file: str
    skip: int = 0

    @property
    def path(self) -> pathlib.Path:
        return pathlib.Path(self.file)

    @property
    def name(self) -> tuple[int, int]:
        return self.structure, self.first

    @property
    def span(self) -> tuple[int, int]:
        return self.first, self.first + self.count


def counts(parts: Iterable[Part]) -> tuple[int, int]:
    """How many points parts hold, each counted once, and about how many failed."""
    have = [(p.count - p.skip, p.failed) for p in parts]
    return sum(n for n, _ in have), sum(min(have) for have in have)


def missing(dtype: np.dtype) -> Any:
    """What stands for the output of a point without a result."""
    if dtype.kind in "fcV":  # V: bfloat16 …
        return np.nan
    return np.iinfo(dtype).min if dtype.kind == "i" else dtype.type(0)
