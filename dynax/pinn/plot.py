"""The figure of a solution: what it is, how wrong, and how it was found."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax._check import require
from dynax.pde import AbstractPDE
from dynax.pde.etdrk4 import Torus
from dynax.pinn.marching import Marched
from dynax.pinn.state import CycleInfo, TrainResult
from dynax.pinn.train_windows import TrainedWindows
from dynax.pinn.trainer import Trainer
from dynax.pinn.window import Window


TIMES = 61  # of the solution
PLACES = 1, 128, 48, 16  # along each axis, in 0, 1, 2, 3 dimensions


class Seen(NamedTuple):
    """A solution at equal distances.

    Args:
        t: (times,); of more than one dimension of space the last one only.
        axes: the coordinates of each axis.
        u: (times, *n, fields).
        residual: |r|, (times, *n).
    """

    t: np.ndarray
    axes: tuple[np.ndarray, ...]
    u: np.ndarray
    residual: np.ndarray


def plot(
    result: TrainResult | TrainedWindows | Marched,
    trainer: Trainer | None = None,
    window: Window | None = None,
):
    """Draw a solution, its residual and spectrum, and how training or marching went.

        pinn.plot(pinn.march(…)).savefig("solution.png")
        pinn.plot(pinn.train(trainer, model, window, …), trainer, window)

    Args:
        result: of `march`, `train_windows`, `train` or `solve`.
        trainer, window: of `train` or `solve`, whose result does not have them.

    Raises:
        ValueError: `trainer` or `window` is missing, or nothing was solved.
        TypeError: another result.
    """
    from dynax.report import styled

    u, pde, start, end = _solution(result, trainer, window)
    require(start < end, "result", result, "one with a solved window")
    return styled(_figure)(result, pde, look(u, pde, start, end))


def _figure(result, pde: AbstractPDE, seen: Seen):
    from dynax.report import draw_march, new_figure

    figure, axes = new_figure(2, 3, size=(10.5, 5.6))
    (first, second, third), (fourth, fifth, sixth) = axes
    _draw_solution(figure, first, pde, seen)
    _draw_residual(figure, second, pde, seen)
    _draw_spectrum(third, pde, seen)
    if isinstance(result, Marched):
        draw_march(fourth, fifth, result)
        fifth.legend()
        _draw_cycles(sixth, result)
    else:
        found = [result] if isinstance(result, TrainResult) else result.trained
        joined = lambda *a: np.concatenate(a)
        records = jax.tree.map(joined, *(f.records for f in found))
        _draw_weights(figure, fourth, records)
        _draw_losses(fifth, records)
        _draw_strength(sixth, records)
    return figure


def look(u: Callable, pde: AbstractPDE, start, end) -> Seen:
    """u and its residual from one time to another."""
    d, dtype = len(pde.lower), jnp.result_type(float)
    axes = Torus(pde.lower, pde.upper, (PLACES[d],) * d).axes() if d else ()
    t = np.linspace(start, end, TIMES) if d < 2 else np.array([end])
    mesh = np.meshgrid(*axes, indexing="ij")
    x = np.stack([a.ravel() for a in mesh], -1) if d else np.zeros((1, 0))
    given = jnp.asarray(t, dtype), jnp.asarray(x, dtype)
    values, residual = (np.asarray(a) for a in _values(u, pde, *given))
    shape = len(t), *(PLACES[d],) * d
    return Seen(t, axes, values.reshape(*shape, -1), residual.reshape(shape))


@eqx.filter_jit
def _values(u, pde, t, x):
    def one(t, x):
        return u(t, x), jnp.linalg.norm(pde.residual(u, t, x))

    return jax.lax.map(lambda t: jax.vmap(lambda x: one(t, x))(x), t)


def _solution(result, trainer, window):
    """(u, pde, its first time, its last)."""
    if isinstance(result, Marched):
        require(bool(result.windows), "result", result.summary, "a solved window")
        u: Any = result.solution
        return u, u.ansatz.pde, float(u.starts[0]), result.reached
    if isinstance(result, TrainedWindows):
        u, first = result.solution, result.solution.windows.t0[0]
        return u, result.trained[0].model.pde, float(first), float(u.until)
    if not isinstance(result, TrainResult):
        raise TypeError(
            f"result: given {type(result).__name__}; accepted is what march, "
            "train_windows, train or solve return."
        )
    if trainer is None or window is None:
        raise ValueError(
            "trainer, window: given none; accepted with the result of train are those "
            "that it was trained by."
        )
    u = trainer.solution(result.model, window)
    return u, result.model.pde, float(window.t0), float(window.t1)


# --- panels


def _image(figure, ax, seen: Seen, values, label, **look):
    """x over t, or y over x at the end."""
    if len(seen.axes) == 1:
        across, up = seen.t, seen.axes[0]
        ax.set(xlabel="t", ylabel="x")
    else:
        across, up = seen.axes[:2]
        ax.set(xlabel="x", ylabel="y")
        values = values[0] if values.ndim == 3 else values[0, ..., 0]
    box = across[0], across[-1], up[0], up[-1]
    image = ax.imshow(values.T, origin="lower", aspect="auto", extent=box, **look)
    ax.grid(False)
    figure.colorbar(image, ax=ax, label=label)


def _draw_solution(figure, ax, pde, seen: Seen):
    ax.set_title("Solution" if len(seen.t) > 1 else f"Solution, t = {seen.t[0]:.3g}")
    if not seen.axes:
        ax.plot(seen.t, seen.u, label=pde.fields)
        ax.set(xlabel="t")
        ax.legend()
        return
    _image(figure, ax, seen, seen.u[..., 0], pde.fields[0], cmap="RdBu_r")


def _draw_residual(figure, ax, pde, seen: Seen):
    ax.set_title("Residual")
    if not seen.axes:
        ax.semilogy(seen.t, seen.residual)
        ax.set(xlabel="t", ylabel="|r|")
        return
    values = np.log10(seen.residual + np.finfo(float).tiny)
    high = values.max()
    _image(figure, ax, seen, values, "log₁₀ |r|", vmin=high - 5, vmax=high)


def _draw_spectrum(ax, pde, seen: Seen):
    ax.set_title("Spectrum")
    if not seen.axes:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no space", ha="center")
        return
    for k in sorted({0, len(seen.t) // 2, len(seen.t) - 1}):
        modes = np.abs(np.fft.rfft(seen.u[k, ..., 0], axis=0)) / len(seen.axes[0])
        along = np.sqrt(np.mean(modes.reshape(len(modes), -1) ** 2, 1))
        ax.semilogy(along[:-1], label=f"t = {seen.t[k]:.3g}")
    ax.set(xlabel="periods in the box", ylabel=f"amplitude of {pde.fields[0]}")
    ax.legend()


def _draw_cycles(ax, marched: Marched):
    good = marched.windows
    ax.bar(
        [w.t0 for w in good],
        [w.cycles for w in good],
        [w.t1 - w.t0 for w in good],
        align="edge",
        edgecolor="white",
    )
    ax.set(xlabel="t", ylabel="Gauss–Newton steps", title="Effort of each window")


def _draw_weights(figure, ax, records: CycleInfo):
    weights = np.exp(np.asarray(records.log_weights))
    box = 0, len(weights), 0, 1
    look = {"origin": "lower", "aspect": "auto", "extent": box, "vmin": 0, "vmax": 1}
    image = ax.imshow(weights.T, **look)
    ax.grid(False)
    ax.set(xlabel="cycle", ylabel="share of the window", title="Causal weights")
    figure.colorbar(image, ax=ax, label="w")


def _draw_losses(ax, records: CycleInfo):
    parts = {"equation": np.mean(records.chunks, -1), **records.others}
    for name, values in parts.items():
        ax.semilogy(np.sqrt(values), label=name)
    ax.set(xlabel="cycle", ylabel="relative residual", title="Residuals")
    ax.legend()


def _draw_strength(ax, records: CycleInfo):
    ax.semilogy(np.asarray(records.causality))
    ax.set(xlabel="cycle", ylabel="ε", title="Causality")
