"""`jax.lax.scan` that outlives its process."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import PyTree

from dynax import _digest
from dynax.checkpoint._store import Checkpoints, is_key, put


def scan(
    f: Callable,
    carry: PyTree,
    xs: PyTree | Callable[[int], PyTree],
    folder: str | os.PathLike,
    *,
    every: int,
    length: int | None = None,
    progress: Callable[[float, str], Any] = lambda share, text: None,
) -> tuple[PyTree, PyTree]:
    """`jax.lax.scan(f, carry, xs)` in segments of `every` steps, saved after each.

    Started again with the same arguments after whatever ended it, it goes on from the
    last checkpoint and returns, bit for bit, what one uninterrupted call returns: every
    segment is the same programme on the same bits. (On a GPU XLA chooses kernels by
    timing unless XLA_FLAGS has --xla_gpu_deterministic_ops=true.) A run that is done is
    read, not run; with a greater `length` it goes on.

    The folder of another run is refused: of another `f` (its programme and all it
    closes over; not what a callback to the host does), start, `every`, version of JAX,
    or other `xs` in the steps that are done. Of a function `xs` it is step 0 that is
    compared.

    Args:
        f: (carry, x) → (carry, y), as for `jax.lax.scan`.
        carry: the start. Its sharding is kept throughout; leaves on no device in
            particular are replicated over the mesh of the others or of `xs`.
        xs: arrays whose leading axis is time; or step → x, called outside jit, segment
            by segment; or None.
        folder: of this run alone. Outputs are written once, not with every checkpoint.
        every: steps a segment. A shorter last one is a second programme.
        length: the number of steps, where `xs` does not say.
        progress: called as progress(share done, text) before each segment and at last.

    Returns:
        (carry, ys), ys stacked along time as NumPy arrays.

    Raises:
        ValueError: `length` and `xs` do not say how many steps, or `folder` holds
            another run (other start, shapes or `every`, more steps).
        ImportError: orbax-checkpoint is not installed.
    """
    sizes = set() if callable(xs) else {np.shape(a)[0] for a in jax.tree.leaves(xs)}
    sizes |= set() if length is None else {length}
    total = sizes.pop() if len(sizes) == 1 else 0
    if total < 1 or every < 1:
        raise ValueError(
            f"xs, length, every: given {every} steps a segment and not one number of "
            "steps in all; accepted are every ≥ 1 and xs, or length, of ≥ 1 steps."
        )
    folder = pathlib.Path(folder)
    states, outputs = Checkpoints(folder / "carry"), Checkpoints(folder / "ys", None)
    carry = _settled(carry, xs)
    one = jax.jit(lambda carry, part: lax.scan(f, carry, part, 1))
    traced = one.trace(carry, _part(xs, 0, 1))
    row = traced.out_info[1]
    run = {"every": f"{every}", **_digest.numbers(carry=carry)}
    run |= _digest.program(traced.lower().as_text())
    marks = {0: _digest.digest(_part(xs, 0, 1) if callable(xs) else None)}

    def mark(k, n):
        """Note of which `xs` the first k + n steps are."""
        part = "" if callable(xs) else _digest.digest(_part(xs, k, n))
        marks[k + n] = _digest.short(marks[k] + part)

    def at(store, step):
        return dataclasses.replace(store, run={**run, "xs": marks[step]})

    step, state = (states.steps() or [0])[-1], {"carry": carry, "every": every}
    if step > total or (step < total and step % every):
        raise ValueError(
            f"folder: given {folder}, where {step} steps were made; accepted is one "
            f"where this run of {total} steps by {every} began, or an empty one."
        )
    for k in range(0, step, every):
        mark(k, min(every, step - k))
    if step:
        state = at(states, step).read(step, state)
    segment = jax.jit(
        lambda carry, part, n: lax.scan(f, carry, part, n),
        static_argnums=2,
        out_shardings=(jax.tree.map(lambda a: a.sharding, carry), None),
    )
    carry, kept = state["carry"], bool(jax.tree.leaves(row))
    for k in range(step, total, every):
        progress(k / total, f"step {k} of {total}")
        n = min(every, total - k)
        mark(k, n)
        carry, ys = segment(carry, _part(xs, k, n), n)
        if kept and k + n in outputs.steps():  # killed between the two, or another run
            at(outputs, k + n).read(
                k + n, jax.tree.map(lambda a, n=n: _rows(a, n), row)
            )
        elif kept:
            at(outputs, k + n).save(k + n, ys)
        at(states, k + n).save(k + n, {**state, "carry": carry})
    progress(1.0, f"step {total} of {total}")
    if not kept:
        return carry, row
    ends = [min(k + every, total) for k in range(0, total, every)]
    counts = [(end - 1) % every + 1 for end in ends]
    parts = [
        at(outputs, end).read(end, jax.tree.map(lambda a, n=n: _rows(a, n), row))
        for end, n in zip(ends, counts, strict=True)
    ]
    return carry, jax.tree.map(lambda *a: _module(a[0]).concatenate(a), *parts)


def _settled(carry: PyTree, xs: PyTree) -> PyTree:
    """The carry as strongly typed arrays, each on devices from which nothing moves it.

    So what a segment is compiled for does not depend on where its carry came from.
    """
    arrays = [a for a in jax.tree.leaves((carry, xs)) if isinstance(a, jax.Array)]
    meshes = [a.sharding for a in arrays if isinstance(a.sharding, NamedSharding)]

    def settle(a):
        a = a if is_key(a) else jnp.asarray(a, jnp.result_type(a))
        place = a.sharding
        if meshes and not a.committed:
            place = NamedSharding(meshes[0].mesh, PartitionSpec())
        return put(a, place)

    return jax.tree.map(settle, carry)


def _part(xs: PyTree | Callable[[int], PyTree], k: int, n: int) -> PyTree:
    """Steps k … k + n − 1 of `xs`, stacked."""
    if callable(xs):
        steps = [xs(step) for step in range(k, k + n)]
        return jax.tree.map(lambda *a: _module(a[0]).stack(a), *steps)

    def part(a):
        host = isinstance(a, np.ndarray)
        return a[k : k + n] if host else lax.dynamic_slice_in_dim(a, k, n)

    return jax.tree.map(part, xs)


def _rows(a: jax.ShapeDtypeStruct, n: int) -> jax.ShapeDtypeStruct | np.ndarray:
    """As what n rows of an output are read: on the host, but for keys."""
    shape = n, *a.shape[1:]
    return (
        jax.ShapeDtypeStruct(shape, a.dtype) if is_key(a) else np.empty(shape, a.dtype)
    )


def _module(a: Any) -> Any:
    return np if isinstance(a, np.ndarray) else jnp
