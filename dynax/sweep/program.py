"""One structure of a sweep, compiled: `shard_map` over devices of a loop over batches.

Each device takes batches one after another and vmaps `run` over the points of a batch.
The number of batches is an argument of the program and the body of the loop is fenced
off, so the arithmetic of a batch is the same however many batches, devices or workers
there are, and there is no communication between devices. `run` is traced once for each
structure, and what was traced is what runs.
"""

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import jaxpr_as_fun
from jax.sharding import AxisType, Mesh, PartitionSpec as P

from dynax.sweep.files import digest
from dynax.sweep.loop import Loop
from dynax.sweep.part import RAISED, missing
from dynax.sweep.provenance import numerics


CALL_BYTES = 2**24  # of outputs that one call may hold on a device
CALLBACK = r"custom_call @\w*callback|is_host_transfer = true"
OUT_OF_MEMORY = "RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "OOM"


class Failure(NamedTuple):
    """Why a point has no result: a code of `part.MEANINGS`, and a line of text."""

    code: int
    text: str


class OutputError(ValueError):
    """`run` returned what cannot be stored: one sentence."""


class Point:
    """`run` of one structure at one point, traced but not compiled.

    Args:
        run: the user's function.
        static: its Python arguments.
        kinds: its traced arguments, `int` or `float` of each.
        seed: of the random key, for a `run` that has an argument `key`.
        keyed: whether it has.
        device: that it is for.

    Attributes:
        outputs: name → shape and dtype.
        numerics: what makes numbers of the programme: versions, flags, device.
        fingerprint: of the programme, with its constants, and of `numerics`.
        callbacks: whether it calls back to Python, of which the fingerprint knows
            nothing.
        carried: of a segment of a `Loop`, what it takes from the one before: as
            arguments called <NAME, beside <until, the step to go on to.
        loop: of a segment, the length of the loop and the steps it makes at a time.
    """

    def __init__(
        self,
        run: Callable[..., Mapping[str, Any] | Loop],
        static: Mapping[str, Any],
        kinds: Mapping[str, type],
        *,
        seed: int,
        keyed: bool,
        device: Any,
        segment: bool = False,
    ):
        scalar = lambda kind: jax.ShapeDtypeStruct((), jnp.result_type(kind))
        self.kinds = {k: scalar(kind) for k, kind in kinds.items()}
        self.carried: dict[str, jax.ShapeDtypeStruct] = {}
        self.loop = 0, 0

        def called(index, numbers) -> Any:
            key = jax.random.fold_in(jax.random.key(seed), index)
            given = {k: numbers[k] for k in kinds}
            return run(**static, **given, **({"key": key} if keyed else {}))

        def whole(index, numbers):
            out = called(index, numbers)
            return _outputs(out.run() if isinstance(out, Loop) else out)

        def looped(index, numbers):
            out = called(index, numbers)
            if not isinstance(out, Loop):
                raise OutputError(
                    f"run: returned a {type(out).__name__}; accepted with halving is a "
                    "Loop."
                )
            self.loop = out.length, out.every
            return out

        def part(index, numbers):
            given = {k: numbers["<" + k] for k in self.carried}
            loop, begun = looped(index, numbers), given["steps"] > 0
            start = loop.begin()
            now = {k: jnp.where(begun, given[k], v) for k, v in start.items()}
            return _outputs(loop.advance(now, numbers["<until"]))

        if segment:
            begin = lambda *point: looped(*point).begin()
            self.carried = jax.eval_shape(begin, *self.like(()))
            self.kinds |= {"<" + k: kind for k, kind in self.carried.items()}
            self.kinds["<until"] = jax.ShapeDtypeStruct((), jnp.int32)
        point = part if segment else whole
        traced = jax.jit(point).trace(*self.like(()))
        self.outputs: dict[str, jax.ShapeDtypeStruct] = dict(traced.out_info)
        self._traced = jaxpr_as_fun(traced.jaxpr)
        text = traced.lower().as_text()
        self.numerics = numerics(device)
        facts = json.dumps(self.numerics, sort_keys=True)
        self.fingerprint = digest(facts.encode(), text.encode())
        self.callbacks = bool(re.search(CALLBACK, text))

    def call(self, index, numbers) -> dict[str, Any]:
        """`run`, as it was traced, at one point."""
        given = jax.tree.leaves((index, numbers))
        return dict(zip(self.outputs, self._traced(*given), strict=True))

    def like(self, shape):
        """Shapes and dtypes of the arguments: number of the point, traced arguments."""
        make = lambda k: jax.ShapeDtypeStruct((*shape, *k.shape), k.dtype)
        index = jax.ShapeDtypeStruct(shape, jnp.uint32)
        return index, {k: make(kind) for k, kind in self.kinds.items()}

    @property
    def bytes(self) -> int:
        """Of the outputs."""
        sizes = (o.size * o.dtype.itemsize for o in self.outputs.values())
        return max(1, sum(sizes))


class Program:
    """A point, for batches of one size.

    Args:
        point: to be computed.
        batch: points run side by side on a device.
        points: how many there are to run in all.
        devices: local ones.

    Attributes:
        rows: batches that a device takes in one call, at most.
        compile_seconds: that it took.
    """

    def __init__(
        self, point: Point, *, batch: int, points: int, devices: Sequence[Any]
    ):
        self.point, self.batch, self.devices = point, batch, devices

        def shard(count, index, numbers):
            def body(i, buffer):
                take = lambda a: lax.dynamic_slice_in_dim(a, i * batch, batch)
                given = jax.tree.map(take, (index, numbers))
                found = jax.vmap(point.call)(*lax.optimization_barrier(given))
                put = lambda b, a: lax.dynamic_update_slice_in_dim(b, a, i * batch, 0)
                return jax.tree.map(put, buffer, lax.optimization_barrier(found))

            empty = {
                k: jnp.zeros((rows * batch, *o.shape), o.dtype)
                for k, o in point.outputs.items()
            }
            return lax.fori_loop(0, count[0], body, empty)

        n = len(devices)
        fit = CALL_BYTES // (batch * point.bytes)
        self.rows = rows = max(1, min(64, fit, -(-points // (n * batch))))
        mesh = Mesh(np.array(devices), ("points",), axis_types=(AxisType.Auto,))
        spread = jax.shard_map(
            shard,
            mesh=mesh,
            in_specs=(P("points"), P("points"), P("points")),
            out_specs=P("points"),
            check_vma=False,
        )
        count = jax.ShapeDtypeStruct((n,), jnp.int32)
        lowered = jax.jit(spread).lower(count, *point.like((n * rows * batch,)))
        begun = time.perf_counter()
        self._call = lowered.compile()
        self.compile_seconds = time.perf_counter() - begun

    @property
    def memory(self) -> int:
        """Bytes that a call needs on each device, by XLA's own account."""
        m: Any = self._call.memory_analysis()
        parts = (
            m.argument_size_in_bytes,
            m.output_size_in_bytes,
            m.temp_size_in_bytes,
            m.generated_code_size_in_bytes,
        )
        return sum(parts) - m.alias_size_in_bytes

    def start(self, index: np.ndarray, numbers: Mapping[str, np.ndarray]) -> list[Any]:
        """Begin computing the points; hand the result to `finish`."""
        n, b, rows = len(self.devices), self.batch, self.rows
        begun = []
        for at in range(0, len(index), n * rows * b):
            have = min(n * rows * b, len(index) - at)
            batches = -(-have // b)
            # the batches in equal shares, each share a run of consecutive points
            shares = [batches // n + (d < batches % n) for d in range(n)]
            rest = np.concatenate([[0], np.cumsum(shares)[:-1]])
            lanes = np.arange(rows * b)
            place = np.minimum(rest[:, None] * b + lanes, have - 1).ravel() + at
            given = {
                k: numbers[k][place].astype(kind.dtype)
                for k, kind in self.point.kinds.items()
            }
            out = self._call(
                np.array(shares, np.int32), index[place].astype(np.uint32), given
            )
            begun.append((shares, have, out))
        return begun

    def finish(self, begun: list[Any]) -> dict[str, np.ndarray]:
        """The outputs, a row a point, waiting for them so that Ctrl-C is heard."""
        b, rows = self.batch, self.rows
        pieces = []
        for shares, have, out in begun:
            wait(out)
            host = jax.device_get(out)
            keep = np.concatenate(
                [d * rows * b + np.arange(k * b) for d, k in enumerate(shares)]
            )[:have]
            pieces.append({k: np.asarray(v)[keep] for k, v in host.items()})
        return {k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}

    def isolate(
        self,
        index: np.ndarray,
        numbers: Mapping[str, np.ndarray],
        known: Callable[[tuple[int, ...]], Failure | None] = lambda lanes: None,
        before: Callable[[tuple[int, ...]], None] = lambda lanes: None,
    ) -> tuple[dict[str, np.ndarray], dict[int, Failure]]:
        """The outputs of the points of one batch, and how the others failed.

        A batch that fails is halved until the point at fault is alone. A point keeps
        its place, so that its numbers stay the same to the last bit; the place of a
        point left out is taken by one that is not.

        Args:
            index, numbers: of the points.
            known: how the given places failed together before, if they did.
            before: called with the places about to be run; with none at the end.
        """
        places = np.arange(len(index))
        found: dict[str, np.ndarray] = {
            k: np.full((len(index), *o.shape), missing(o.dtype), o.dtype)
            for k, o in self.point.outputs.items()
        }
        failures: dict[int, Failure] = {}

        def solve(lanes):
            failure = known(lanes)
            if failure is None:
                use = np.where(np.isin(places, lanes), places, lanes[0])
                before(lanes)
                try:
                    given = {k: v[use] for k, v in numbers.items()}
                    out = self.finish(self.start(index[use], given))
                except Exception as error:
                    heard(error)
                    if is_out_of_memory(error) and self.batch > 1:
                        raise
                    failure = Failure(RAISED, reason(error))
                else:
                    for k, v in out.items():
                        found[k][list(lanes)] = v[list(lanes)]
                    return
            if len(lanes) == 1:
                failures[lanes[0]] = failure
                return
            half = len(lanes) // 2
            solve(lanes[:half])
            solve(lanes[half:])

        solve(tuple(places.tolist()))
        before(())
        return found, failures


@contextlib.contextmanager
def hushed():
    """Keep callbacks that raise out of jax's log: the store has a line for each."""
    log = logging.getLogger("jax._src.callback")
    kept = lambda record: not record.getMessage().endswith("callback failed")
    log.addFilter(kept)
    try:
        yield
    finally:
        log.removeFilter(kept)


def wait(tree) -> None:
    """Until all arrays are there; Ctrl-C and signals are heard meanwhile."""
    pause = 1e-4
    for leaf in jax.tree.leaves(tree):
        while not leaf.is_ready():
            time.sleep(pause)
            pause = min(2 * pause, 0.02)


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError)
        and any(word in str(error) for word in OUT_OF_MEMORY)
    )


def heard(error: BaseException) -> None:
    """Raise the Ctrl-C that was heard within a callback, where XLA made an error of it.

    Raises:
        KeyboardInterrupt: if `error` is one.
    """
    if reason(error).rstrip(": ").endswith("KeyboardInterrupt"):
        raise KeyboardInterrupt from error


def reason(error: BaseException) -> str:
    """What an exception says, in a line."""
    # a Python exception inside a compiled programme follows the frames of its traceback
    said = str(error).rpartition("Traceback (most recent call last):")[2]
    lines = [line for line in said.splitlines() if line.strip()]
    text = next((line for line in lines if line[0] != " "), " ".join(lines[:1]))
    return f"{type(error).__name__}: {text.strip()}"[:500]


def _outputs(out):
    if not isinstance(out, Mapping) or not out:
        raise OutputError(
            f"run: returned {type(out).__name__}; accepted is a dict of arrays."
        )
    found = {}
    for name, value in out.items():
        try:
            found[str(name)] = jnp.asarray(value)
        except (TypeError, ValueError):
            raise OutputError(
                f"run: returned {type(value).__name__} as {name}; accepted is an array."
            ) from None
        if not jnp.issubdtype(found[str(name)].dtype, jnp.number) and (
            found[str(name)].dtype != jnp.bool_
        ):
            raise OutputError(
                f"run: returned {found[str(name)].dtype} as {name}; accepted are "
                "numbers and booleans (of a random key, its key_data)."
            )
    return dict(sorted(found.items()))
