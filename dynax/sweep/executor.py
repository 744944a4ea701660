"""A job, and how chunks of it are planned and computed on the devices of a process."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dynax.sweep.loop import Loop
from dynax.sweep.part import DONE, NOT_FINITE
from dynax.sweep.points import Space
from dynax.sweep.program import Failure, Point, Program, heard, is_out_of_memory
from dynax.sweep.provenance import model


CHUNK_SECONDS = 1.0  # of work between two parts
CHUNK_BYTES = 2**26  # of outputs in a part, at most
LARGEST_BATCH = 4096
MOST_PARTS = 5000  # of a structure


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be computed, and within which limits; can be sent to another process.

    Args:
        run: the user's function.
        space: its points.
        seed: of the random keys.
        keyed: whether `run` has an argument `key`.
        x64: whether floats are of 64 bits.
        precision: of matrix products, jax's `default_matmul_precision`.
        batch, chunk: points, chosen by measurement where None.
        memory: bytes that a call may need on each device; measured where None.
        time_limit: seconds that a batch may take.
        retry: whether failed points are run again.
        first: the number of its first point, of which its random key is made.
        halving: which points of a `Loop` go on at its rungs.
    """

    run: Callable[..., Mapping[str, Any] | Loop]
    space: Space
    seed: int = 0
    keyed: bool = False
    x64: bool = False
    precision: str | None = None
    batch: int | None = None
    chunk: int | None = None
    memory: int | None = None
    time_limit: float | None = None
    retry: bool = False
    first: int = 0
    halving: Any = None


class Chunk(NamedTuple):
    """A chunk under way: its results, once `Executor.end` has waited for them."""

    structure: int
    first: int
    count: int
    program: Program
    begun: Any


class Executor:
    """Computes chunks of a job on the devices of this process."""

    def __init__(
        self,
        job: Job,
        devices: list[Any] | None = None,
        kept: dict[Any, Program] | None = None,
    ):
        self.job, self.space = job, job.space
        self.kept: dict[Any, Program] = {} if kept is None else kept
        self.devices = devices or jax.local_devices()
        self.trials: dict[str, np.ndarray] = {}  # of a search, as far as asked for
        self.source: Callable[[int, int, int], Any] | None = None  # of a rung
        self.watch: Callable[[int, int], Mapping[str, Any]] | None = None
        self._points: dict[int, Point] = {}
        self._programs: dict[int, Program] = {}

    def point(self, structure: int) -> Point:
        """Traced."""
        if structure not in self._points:
            job, space = self.job, self.space
            with self.settings():
                self._points[structure] = Point(
                    job.run,
                    space.structures[structure],
                    {name: space.kind(name) for name in space.numbers},
                    seed=job.seed,
                    keyed=job.keyed,
                    device=self.devices[0],
                    segment=job.halving is not None,
                )
        return self._points[structure]

    def program(self, structure: int, batch: int) -> Program:
        """Compiled; after running out of memory, for the smaller batch found then."""
        known = self._programs.get(structure)
        if known is not None and known.batch <= batch:
            return known
        point, points = self.point(structure), self.space.block
        name = point.fingerprint, batch
        made = self.kept.get(name)
        if made is None:
            with self.settings():
                made = Program(point, batch=batch, points=points, devices=self.devices)
            while len(self.kept) >= 4:
                self.kept.pop(next(iter(self.kept)))
            self.kept[name] = made
        while len(self._programs) >= 4:
            self._programs.pop(next(iter(self._programs)))
        self._programs[structure] = made
        return made

    def settings(self):
        """The precision of the job, for the thread that enters it."""
        return _Settings(self.job.x64, self.job.precision)

    def plan(self, structure: int, workers: int = 1) -> dict[str, Any]:
        """Batch and chunk of a structure, from what it needs and how long it takes."""
        job, block, n = self.job, self.space.block, len(self.devices)
        kind = self.devices[0].platform
        fair = -(-block // (n * workers))
        usual = job.batch or (min(256, fair) if kind != "cpu" else _cpu_batch(fair))
        limit, batch = job.memory or memory_limit(self.devices[0]), min(usual, block)
        grown = job.batch is not None or kind == "cpu"
        while True:
            try:
                program = self.program(structure, batch)
            except Exception as error:
                if not is_out_of_memory(error) or batch == 1:
                    raise
                batch, grown = batch // 2, True
                continue
            fits = int(batch * limit / max(program.memory, 1))
            if program.memory > limit and batch > 1:
                batch, grown = max(1, min(batch // 2, fits)), True
            elif not grown and fits >= 2 * batch and fair >= 2 * batch:
                batch, grown = min(fits, fair, LARGEST_BATCH), True
                self._programs.pop(structure)
            else:
                break
        chunk = job.chunk and -(-job.chunk // batch) * batch
        return {
            "structure": self.space.labels(structure),
            "batch": batch,
            "first": chunk or n * batch,
            "chunk": chunk or self._chunk(structure, program, workers),
            "outputs": {
                k: {"shape": list(o.shape), "dtype": str(o.dtype)}
                for k, o in program.point.outputs.items()
                if k[0] != "@" or k not in program.point.carried
            },
            "fingerprint": program.point.fingerprint,
            "numerics": program.point.numerics,
            "callbacks": program.point.callbacks,
            "memory_bytes": program.memory,
            "memory_limit_bytes": limit,
            "compile_seconds": round(program.compile_seconds, 3),
        }

    def _chunk(self, structure, program, workers):
        """As many points as take about `CHUNK_SECONDS`, in whole batches."""
        n, b, block = len(self.devices), program.batch, self.space.block
        if self.watch is not None:
            return n * b  # a point might never end: nothing is tried beforehand
        with self.settings():
            try:
                begun = time.perf_counter()
                self._start(program, structure, min(n * b, block))
                seconds = time.perf_counter() - begun
            except Exception as error:  # it will be met again, as a chunk
                heard(error)
                seconds = CHUNK_SECONDS
        batches = n * max(1, int(CHUNK_SECONDS / max(seconds, 1e-6)))
        most = CHUNK_BYTES // (b * program.point.bytes)
        if workers > 1:
            most = min(most, -(-block // (4 * workers * b)))
        least = -(-block // (MOST_PARTS * b))
        return b * max(1, least, min(batches, most))

    def _start(self, program, structure, count):
        program.finish(program.start(*self.points(structure, 0, count)))

    def points(self, structure: int, first: int, count: int):
        """(number of each point within its structure, its traced arguments)."""
        if self.source is not None:
            return self.source(structure, first, count)
        index = np.arange(first, first + count)
        numbers = self.space.columns(first, count)
        if self.space.search is not None:
            inner = self.space.block // self.space.shape[self.space.search]
            numbers |= {k: v[index // inner] for k, v in self.trials.items()}
        return index, numbers

    def _origin(self, structure):
        """The number of the first point of a structure, of which its key is made."""
        return self.job.first + structure * self.space.block

    def begin(self, structure: int, plan: Mapping, first: int, count: int) -> Chunk:
        """Start computing a chunk."""
        program, begun = self.program(structure, plan["batch"]), None
        if self.watch is None:
            with self.settings():
                try:
                    index, numbers = self.points(structure, first, count)
                    index = index + self._origin(structure)
                    begun = program.start(index, numbers)
                except Exception as error:
                    begun = error
        return Chunk(structure, first, count, program, begun)

    def end(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """The arrays of a chunk's part: outputs, status, what failed points said."""
        program, failures = chunk.program, {}
        with self.settings():
            try:
                if isinstance(chunk.begun, Exception):
                    raise chunk.begun
                if self.watch is not None:
                    out, failures = self._one_by_one(chunk)
                else:
                    out = program.finish(chunk.begun)
            except Exception as error:
                heard(error)
                if is_out_of_memory(error) and program.batch > 1:
                    self._programs.pop(chunk.structure, None)
                    smaller = {"batch": program.batch // 2}
                    return self.end(self.begin(chunk[0], smaller, *chunk[1:3]))
                out, failures = self._one_by_one(chunk)
        return _part(out, failures, chunk.count, program, self.devices)

    def _one_by_one(self, chunk):
        """Batch by batch, each halved where it fails."""
        program, b = chunk.program, chunk.program.batch
        index, numbers = self.points(chunk.structure, chunk.first, chunk.count)
        index = index + self._origin(chunk.structure)
        pieces, failures = [], {}
        for at in range(0, chunk.count, b):
            given = {k: v[at : at + b] for k, v in numbers.items()}
            watched = {}
            if self.watch is not None:
                watched = self.watch(chunk.structure, chunk.first + at)
            out, failed = program.isolate(index[at : at + b], given, **watched)
            pieces.append(out)
            failures |= {at + lane: failure for lane, failure in failed.items()}
        return {k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}, failures


class _Settings:
    """jax's settings of this thread, as the job has them."""

    def __init__(self, x64: bool, precision: str | None):
        self.contexts = [jax.enable_x64(x64), jax.default_matmul_precision(precision)]

    def __enter__(self):
        for context in self.contexts:
            context.__enter__()

    def __exit__(self, *what):
        for context in reversed(self.contexts):
            context.__exit__(*what)


def _part(out, failures: Mapping[int, Failure], count, program, devices):
    # what NumPy's files do not know, it can hold as another kind to the last bit
    odd = {k: v.astype(np.float32) for k, v in out.items() if v.dtype.kind == "V"}
    out = {**out, **odd}
    status, said = np.full(count, DONE, np.int8), {}
    for name, values in out.items():
        if values.dtype.kind in "fc" and name[0] != "@":
            finite = np.isfinite(values).reshape(count, -1).all(axis=1)
            for at in np.flatnonzero(~finite).tolist():
                status[at] = NOT_FINITE
                said[at] = f"{said[at]}, {name}" if at in said else name
    for at, failure in failures.items():
        status[at], said[at] = failure
    at = sorted(said)
    return {
        **out,
        "status": status,
        "@batch": np.array(program.batch),
        "@device": np.array(f"{len(devices)} x {model(devices[0])}"),
        "@program": np.array(program.point.fingerprint),
        "@failed": np.array(at, np.int64),
        "@said": np.array([said[k] for k in at], dtype=str),
    }


def _cpu_batch(points: int) -> int:
    """A CPU gains little from more points side by side, the user from hearing of some.

    Args:
        points: that a device has to run.
    """
    return min(64, points, max(4, -(-points // 8)))


def memory_limit(device: Any) -> int:
    """Bytes that a call may use by default: half of what is free, 1 GiB on a CPU."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) // 2
    return 2**30
