"""Train a physics-informed network on one window, and say whether it is solved.

`solve` is pure: vmap it over seeds, ε or windows. `train` is the same in blocks, from
the host: with progress, a limit of time, and resume.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh

from dynax import _digest, _tree as tree
from dynax.checkpoint import Checkpoints
from dynax.pinn.clock import Clock
from dynax.pinn.cycle import Cycle
from dynax.pinn.devices import everywhere
from dynax.pinn.objective import Model
from dynax.pinn.state import CycleInfo, TrainResult, TrainState
from dynax.pinn.trainer import Trainer
from dynax.pinn.warn import warn_if_at_odds, warn_if_cut, warn_if_hopeless
from dynax.pinn.window import Window, measured


def solve(
    trainer: Trainer, model: Model, window: Window, key, cycles: int
) -> TrainResult:
    """Train for at most `cycles` cycles: a pure function, for jit and vmap."""
    cycle, params = Cycle.of(trainer, model, window)
    state, records = cycle.advance(cycle.init(params, key), cycles)
    return TrainResult(cycle.model(state.params), state, records)


@eqx.filter_jit
def begin(cycle: Cycle, params, key) -> TrainState:
    """`Cycle.init`, compiled."""
    return cycle.init(params, key)


@eqx.filter_jit
def _go(cycle: Cycle, state: TrainState, cycles: int):
    return cycle.advance(state, cycles)


def train(
    trainer: Trainer,
    model: Model,
    window: Window,
    key,
    cycles: int,
    *,
    block: int = 50,
    seconds: float | None = None,
    progress: Callable[[float, str], Any] = lambda share, text: None,
    checkpoints: Checkpoints | None = None,
    state: TrainState | None = None,
    mesh: Mesh | None = None,
    callback: Callable[[TrainResult], Any] | None = None,
) -> TrainResult:
    """Train for at most `cycles` cycles, in blocks of `block`, from the host.

    Args:
        trainer, model, window, key: as for `solve`, which takes the same steps.
        cycles: at most so many; fewer if the window is solved or has diverged.
        block: cycles between two looks at the clock.
        seconds: of processor time, after which no new block is begun.
        progress: called as progress(share, text) before each block: the loss, the
            error that the residual makes, ε, min w, and the time left.
        checkpoints: where every block is saved, and what is gone on from.
        state: of an earlier `TrainResult`, to go on from.
        mesh: of devices, which share the times of each batch; the rows of a Jacobian
            lie where their times do. None: one device. Checkpoints do not depend on it.
        callback: called with the result so far after each block; what it returns, if
            true, ends training.

    Returns:
        The rows of all cycles since `state`, those of before a resume too.

    Raises:
        ValueError: `checkpoints` are of another run: equation, coefficients, window,
            recipe, network, key, code or version of JAX; the first difference is named.
            Or the devices of `mesh` do not divide the times.
    """
    dtype = tree.leaves(trainer.split(model)[0])[0].dtype
    window = measured(model.pde, window, dtype)
    warn_if_hopeless(model.pde, dtype, float(window.t1 - window.t0))
    warn_if_cut(trainer, window)
    warn_if_at_odds(model.pde, window)
    cycle, params = Cycle.of(trainer, model, window)
    now = begin(cycle, params, key) if state is None else state
    if checkpoints is not None:
        run = {**checkpoints.run, **identity(cycle, model, now)}
        at = window._replace(initial=_digest.coarse(window.initial), scale=None)
        run |= _digest.numbers(window=at)
        run |= {} if state is None else {"state": _digest.digest(state)}
        checkpoints = dataclasses.replace(checkpoints, run=run)
    if mesh is not None:
        cycle, now = everywhere(mesh, (dataclasses.replace(cycle, mesh=mesh), now))
    blocks = block, seconds, progress, checkpoints, callback
    return go_on(cycle, now, cycles, *blocks)


def go_on(
    cycle: Cycle,
    now: Any,
    cycles,
    block,
    seconds,
    progress,
    checkpoints,
    callback=None,
) -> TrainResult:
    """`train` from a state, or from the checkpoints of what it began."""
    first, rows = int(now.cycle), _rows(now, 0)
    if checkpoints is not None and (done := checkpoints.steps()):
        rows = _rows(now, max(done[-1] - first, 0))
        now, rows = checkpoints.read(done[-1], (now, rows))
    parts, begun, clock = [rows], time.process_time(), Clock()
    while int(now.cycle) < cycles and not bool(now.done):
        used = time.process_time() - begun
        if seconds is not None and used >= seconds:
            break
        share = int(now.cycle) / cycles
        share = share if seconds is None else max(share, used / seconds)
        progress(min(share, 1.0), _tell(now) + clock.left(share))
        n = min(block, cycles - int(now.cycle))
        before = now.cycle
        now, records = _go(cycle, now, n)
        ran = int(now.cycle) - int(before)
        parts.append(jax.tree.map(lambda a, n=ran: a[:n], jax.device_get(records)))
        if checkpoints is not None:
            checkpoints.save(int(now.cycle), (now, _joined(parts)))
        if callback is not None and callback(_result(cycle, now, parts)):
            break
    return _result(cycle, now, parts)


def _result(cycle: Cycle, now: TrainState, parts) -> TrainResult:
    return TrainResult(cycle.model(now.params), now, _joined(parts))


def _rows(state: TrainState, n: int) -> CycleInfo:
    """n rows, to be read into."""
    row = lambda a: np.empty((n, *a.shape), a.dtype)
    return jax.tree.map(row, state.last)


def _joined(parts) -> CycleInfo:
    return jax.tree.map(lambda *a: np.concatenate(a), *parts)


def identity(cycle: Cycle, model: Model, state: TrainState):
    """What trains, from where: all but the window's numbers."""
    trainer = cycle.trainer
    lowered = _go.lower(cycle, state, 1)  # pyright: ignore
    return {
        "equation": type(model.pde).__name__,
        "method": type(trainer.method).__name__,
        **_digest.numbers(trainer=trainer, model=model, key=state.key),
        **_digest.program(lowered.as_text()),
    }


def _tell(state: TrainState) -> str:
    last: Any = state.last
    if int(last.cycle) < 0:
        return "compiling"
    return (
        f"cycle {int(last.cycle)}: loss {float(last.loss):.1e}, "
        f"error about {np.sqrt(np.mean(last.chunks)):.1e}, "
        f"ε {float(last.causality):.3g}, min w {np.exp(float(last.log_min)):.3f}"
    )
