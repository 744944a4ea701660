"""Train through given windows of time, each from the last one's final state."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from dynax import _digest, _tree as tree
from dynax._types import Scalar
from dynax.checkpoint import Checkpoints
from dynax.pinn.certificate import Certificate
from dynax.pinn.cycle import Cycle
from dynax.pinn.interpolant import interpolate
from dynax.pinn.objective import Model
from dynax.pinn.state import TrainResult
from dynax.pinn.train import begin, go_on, identity
from dynax.pinn.trainer import Trainer
from dynax.pinn.warn import warn_if_cut, warn_if_hopeless
from dynax.pinn.window import Window, measured


class Solution(eqx.Module):
    """A solution u(t, x) from the networks of consecutive windows, each on its own [t0,
    t1).

    NaN before the first window and after `until`, but for round-off of the times.

    Args:
        ansatz: (pde, network, window) → u.
        models, windows: stacked.
        until: the end of the last solved window; of a march that goes on `anyway`, of
            the last one.
    """

    ansatz: Callable = eqx.field(static=True)
    models: Model
    windows: Window
    until: Scalar

    def __call__(self, t, x):
        starts: Any = self.windows.t0
        ends = jnp.stack([starts[0], self.until])
        slack = 8 * jnp.finfo(starts.dtype).eps * jnp.max(jnp.abs(ends))
        inside = (t >= ends[0] - slack) & (t <= ends[1] + slack)
        k = jnp.clip(jnp.searchsorted(starts, t, side="right") - 1, 0)
        arrays, rest = eqx.partition((self.models, self.windows), eqx.is_array)
        model, window = eqx.combine(tree.map(lambda a: a[k], arrays), rest)
        u = self.ansatz(model.pde, model.network, window)(t, x)
        return jnp.where(inside, u, jnp.nan)


@dataclasses.dataclass(frozen=True)
class TrainedWindows:
    """What came of windows that were given.

    Args:
        solution: u(t, x) up to `reached`, NaN beyond; with `anyway` all that was made.
        reached: the end of the last window that is solved.
        certificates: of each window.
        trained: of each window.
        seconds: of processor time, each window.
    """

    solution: Solution
    reached: float
    certificates: list[Certificate]
    trained: list[TrainResult]
    seconds: list[float]

    @property
    def holds(self) -> bool:
        return all(c.holds for c in self.certificates)

    def __str__(self) -> str:
        count = len(self.certificates)
        if self.holds:
            return f"SOLVED to t = {self.reached:g} in {count} windows"
        last = str(self.certificates[-1]).replace("\n", "\n  ")
        return f"STOPPED at t = {self.reached:g}, in window {count}: {last}"


def train_windows(
    trainer: Trainer,
    model: Model,
    key,
    edges: ArrayLike,
    cycles: int,
    *,
    handover: Callable = interpolate,
    block: int = 50,
    seconds: float | None = None,
    anyway: bool = False,
    progress: Callable[[float, str], Any] = lambda share, text: None,
    folder: str | os.PathLike | None = None,
) -> TrainedWindows:
    """Train window after window. The first that is not solved ends the march.

    A later window that starts from a wrong state may be solved perfectly: it is the
    wrong problem. So no window is begun after one without a certificate.

    Args:
        trainer: of each window.
        model: the first window's start; each later one starts from the trained one.
        edges: ascending times; window k is [edges[k], edges[k+1]].
        cycles: at most so many a window.
        handover: (pde, u, t) → callable x → fields, a state with its derivatives.
        block: see `train`.
        seconds: of processor time, a window.
        anyway: go on after a failed window, and let `solution` show it (for controls).
        progress: called as progress(share, text).
        folder: where every block of each window is saved; started again, the march
            goes on from there.

    Raises:
        ValueError: `edges` do not ascend, or `folder` holds another march: of another
            equation, start, windows, recipe, network or key; see `train`.
    """
    given, edges = edges, np.asarray(edges, float)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError(f"edges: given {given}; accepted are ascending times.")
    params, _ = trainer.split(model)
    dtype = tree.leaves(params)[0].dtype
    warn_if_hopeless(model.pde, dtype, float(edges[-1] - edges[0]))
    windows, models, trained, certificates, spent = [], [], [], [], []
    ansatz, count = trainer.objective.ansatz, len(edges) - 1
    state, true = _start(handover, model.pde, dtype), model.pde.initial
    for k in range(count):
        t0, t1 = (jnp.asarray(e, dtype) for e in edges[k : k + 2])
        window = measured(model.pde, Window(t0, t1, state), dtype)
        began = time.process_time()

        def tell(share, text, k=k):
            progress((k + share) / count, f"window {k + 1} of {count}, {text}")

        key_k = jax.random.fold_in(key, k)
        cycle, params = Cycle.of(trainer, model, window)
        now, checkpoints = begin(cycle, params, key_k), None
        if folder is not None:
            if k == 0:
                run = identity(cycle, model, now)
                run |= _handing(handover, ansatz, model, window)
            run["edges"] = f"{edges[: k + 2].tolist()}"
            checkpoints = Checkpoints(pathlib.Path(folder) / f"{k + 1}", run=run)
        warn_if_cut(trainer, window)
        blocks = block, seconds, tell, checkpoints
        found = go_on(cycle, now, cycles, *blocks)
        model = found.model
        windows.append(window)
        models.append(model)
        trained.append(found)
        certificates.append(trainer.certificate(found, window, true))
        estimate = certificates[-1].estimate
        true = None if estimate is None else estimate.end
        spent.append(time.process_time() - began)
        if not (certificates[-1].holds or anyway):
            break
        state = _end(handover, ansatz, model, window)
    stack = lambda *a: jnp.stack(a) if eqx.is_array(a[0]) else a[0]
    good = [c.holds for c in certificates]
    solved = good.index(False) if False in good else len(good)
    until = jnp.asarray(edges[len(good) if anyway else solved], dtype)
    all_models, all_windows = (jax.tree.map(stack, *a) for a in (models, windows))
    solution = Solution(ansatz, all_models, all_windows, until)
    return TrainedWindows(solution, float(edges[solved]), certificates, trained, spent)


@eqx.filter_jit
def _start(handover, pde, dtype):
    return handover(pde, lambda t, x: pde.initial(x), jnp.zeros((), dtype))


@eqx.filter_jit
def _end(handover, ansatz, model, window):
    u = ansatz(model.pde, model.network, window)
    return handover(model.pde, u, window.t1)


def _handing(handover, ansatz, model: Model, window: Window) -> dict[str, str]:
    """What makes the windows' initial states, to tell a march from any other on disk.

    Not the states: another machine may round them otherwise.
    """
    start = _start.lower(handover, model.pde, window.t0.dtype)  # pyright: ignore
    end = _end.lower(handover, ansatz, model, window)  # pyright: ignore
    made = _digest.program(start.as_text() + end.as_text())
    return {"program of the handover": made["program"]}
