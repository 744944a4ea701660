"""Learn a law: gradient steps on losses that follow one another, from the host."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PyTree

from dynax import _digest, _tree as tree
from dynax.checkpoint import Checkpoints


Loss = Callable[[Any], tuple[Array, Array]]  # law → (loss, how many runs failed)
PATIENCE = 10  # epochs in a row without a finite gradient, after which to stop


class Record(NamedTuple):
    """What each epoch saw before its step, leading by epochs.

    Args:
        loss: NaN where it was not reached.
        gradient: its norm.
        failed: how many runs within the loss failed.
        taken: whether a step was taken: loss and gradient were finite.
        ledger: of an optimizer that keeps one (`dynax.as_optax`, `dynax.monitored`),
            else None.
    """

    loss: Any
    gradient: Any
    failed: Any
    taken: Any
    ledger: Any


class Carry(NamedTuple):
    """What training carries from epoch to epoch."""

    params: PyTree
    state: Any
    epoch: Int[Array, ""]
    refused: Int[Array, ""]


class Fitted(NamedTuple):
    """What came of a training.

    Args:
        law: the learned one.
        record: of all epochs.
        result: "done"; "diverged" if 10 epochs in a row had no finite gradient; "time"
            if `seconds` were over.
        epochs: how many were made, those of earlier starts included.
    """

    law: Any
    record: Record
    result: Literal["done", "diverged", "time"]
    epochs: int


def fit(
    stages: Sequence[tuple[Loss, int]],
    law: PyTree,
    method: optax.GradientTransformation,
    *,
    seconds: float | None = None,
    progress: Callable[[float, str], Any] = lambda share, text: None,
    checkpoints: Checkpoints | None = None,
    every: int = 10,
) -> Fitted:
    """Take one gradient step an epoch on the loss of its stage. The optimizer goes on.

    A step whose loss or gradient is not finite is not taken. Arrays of floating numbers
    in `law` are learned; Python numbers, integers and functions in it are not.

    Args:
        stages: (loss, epochs): a loss is a pytree (`Segments`, or functions bound to
            arrays by `eqx.Partial`) called as loss(law) → (loss, failures).
        law: the start, any pytree that the losses take.
        method: of optax, or `dynax.as_optax(…)`; it is given value, grad and value_fn.
        seconds: of processor time, after which no epoch begins.
        progress: called as progress(share, text) before each epoch.
        checkpoints: where the run is saved, each `every` epochs, at its end and when it
            is interrupted; started again with the same arguments it goes on from there.

    Raises:
        ValueError: no epochs, nothing to learn, or `checkpoints` are of another run
            (law, losses and their data, epochs, method, code); the first difference is
            named.
    """
    params, static = eqx.partition(law, eqx.is_inexact_array)
    total = sum(epochs for _, epochs in stages)
    if not tree.leaves(params) or total < 1 or min(n for _, n in stages) < 0:
        raise ValueError(
            f"stages, law: given {[n for _, n in stages]} epochs and "
            f"{tree.size(params)} numbers to learn; accepted are ≥ 1 of both."
        )
    none = jnp.zeros((), jnp.int32)
    carry: Any = Carry(tree.copy(params), method.init(params), none, none)
    row = eqx.filter_eval_shape(_epoch, stages[0][0], static, method, carry)[1]
    empty = lambda a: np.full((total, *a.shape), _blank(a.dtype), a.dtype)
    record = jax.tree.map(empty, row)
    if checkpoints is not None:
        run = {**checkpoints.run, **_run(stages, law, static, method, carry)}
        checkpoints = dataclasses.replace(checkpoints, run=run)
        if found := checkpoints.latest((carry, record)):
            carry, record = found[1]
    saved = int(carry.epoch)
    begun, result = time.process_time(), "done"

    def save(epoch):
        nonlocal saved
        if checkpoints is not None and epoch > saved:
            checkpoints.save(epoch, (carry, record))
            saved = epoch

    try:
        while (k := int(carry.epoch)) < total:
            if seconds is not None and time.process_time() - begun >= seconds:
                result = "time"
                break
            if int(carry.refused) >= PATIENCE:
                result = "diverged"
                break
            if k % every == 0:
                save(k)
            progress(k / total, _tell(k, total, record))
            carry, row = _epoch(_stage(stages, k), static, method, carry)
            for kept, new in zip(tree.leaves(record), tree.leaves(row), strict=True):
                kept[k] = new
    finally:
        save(int(carry.epoch))
    k = int(carry.epoch)
    progress(k / total if result == "done" else 1.0, _tell(k, total, record))
    return Fitted(eqx.combine(carry.params, static), record, result, k)


@eqx.filter_jit
def _epoch(loss, static, method, carry: Carry) -> tuple[Carry, Record]:
    value_fn = lambda params: loss(eqx.combine(params, static))
    both = jax.value_and_grad(value_fn, has_aux=True)
    (value, failed), grad = both(carry.params)
    norm = optax.tree.norm(grad)
    fine = jnp.isfinite(value) & jnp.isfinite(norm)
    given = {"value": value, "grad": grad, "value_fn": lambda p: value_fn(p)[0]}
    tx = optax.with_extra_args_support(method)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes Python and array types
        updates, state = tx.update(grad, carry.state, carry.params, **given)
        params = optax.apply_updates(carry.params, updates)
    kept = lambda new, old: jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old)
    ledger = optax.tree.get(state, "ledger", None)
    after = Carry(
        kept(params, carry.params),
        kept(state, carry.state),
        carry.epoch + 1,
        jnp.where(fine, 0, carry.refused + 1),
    )
    return after, Record(value, norm, failed, fine, ledger)


def _run(stages, law, static, method, carry: Carry) -> dict[str, str]:
    """What a training is, to tell it from any other on disk."""
    run = {"epochs": f"{[epochs for _, epochs in stages]}"}
    run |= _digest.numbers(law=law, stages=[loss for loss, _ in stages])
    run["carry"] = _digest.digest(carry)
    for k, (loss, _) in enumerate(stages):
        lowered = _epoch.lower(loss, static, method, carry)  # pyright: ignore
        made = _digest.program(lowered.as_text())
        run |= {"jax": made["jax"], f"program of stage {k}": made["program"]}
    return run


def _stage(stages, k):
    for loss, epochs in stages:
        if k < epochs:
            return loss
        k -= epochs
    raise AssertionError


def _blank(dtype):
    return np.nan if np.issubdtype(dtype, np.inexact) else 0


def _tell(k, total, record):
    if k == 0:
        return f"{total} epochs; compiling"
    return f"epoch {k} of {total}: loss {record.loss[k - 1]:.2e}"
