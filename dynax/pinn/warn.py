"""Warnings before training starts, where it cannot succeed."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde import AbstractPDE, AbstractSteady, derivatives
from dynax.pde.conditions import by_side, rows_at
from dynax.pinn.interpolant import AbstractInterpolant
from dynax.pinn.trainer import Trainer
from dynax.pinn.window import Window


ROUNDING = 8.0  # units in the last place that a trained network is off by, at best


def warn_if_hopeless(pde: AbstractPDE, dtype, span: float) -> None:
    """Warn where rounding errors grow beyond what training could reach."""
    growth = float(pde.growth or 1.0) ** (span / pde.horizon)
    floor = ROUNDING * float(jnp.finfo(dtype).eps) * growth
    if floor > 1e-3:
        warnings.warn(
            f"{jnp.dtype(dtype).name}: a small error of {type(pde).__name__} grows "
            f"{growth:.1e}-fold in t = {span:g}, so rounding alone leaves a relative "
            f"error of about {floor:.0e}; accepted without warning is float64.",
            stacklevel=3,
        )


def warn_if_at_odds(pde: AbstractPDE, window: Window) -> None:
    """Warn where the start does not meet the condition of a side."""
    if isinstance(pde, AbstractSteady) or not by_side(pde):
        return
    for side, off in jax.device_get(_at_odds(pde, window)).items():
        if off > 1e-3:
            warnings.warn(
                f"boundary: given a condition on side {side!r} that the start is off "
                f"from by {off:.1e} of its size; accepted without warning is a start "
                "that meets it. The solution jumps there at once: no network can "
                "follow, and a prescribed value is met only with "
                "pde.Dirichlet(…, hard=False).",
                stacklevel=3,
            )


@eqx.filter_jit
def _at_odds(pde: AbstractPDE, window: Window) -> dict:
    """How far the start is from each side's condition, in the units of its rows."""
    t0, found = jnp.asarray(window.t0), {}
    for side, rate in window.scale.sides.items():
        condition = by_side(pde)[side]
        needs = condition.needs(len(pde.lower))
        if any("t" in name for name in needs):
            continue

        def at(x, n, condition=condition, needs=needs):
            d = derivatives(lambda t, x: window.initial(x), t0, x, needs)
            return rows_at(pde, condition, t0, x, n, d)

        x, n = pde.shape.on(side, jax.random.key(0), 32, t0.dtype)
        rows = jax.vmap(at)(x, n) / (rate @ window.scale.sizes)[None]
        found[side] = jnp.max(jnp.abs(rows))
    return found


def warn_if_cut(trainer: Trainer, window: Window) -> None:
    """Warn where an interpolant of the start is off by more than the last ε allows."""
    initial, scale = window.initial, window.scale
    if not isinstance(initial, AbstractInterpolant) or scale is None:
        return
    size = np.where(scale.start > 0, scale.start, scale.sizes)
    off = float(np.sqrt(np.sum((np.asarray(initial.error) / size) ** 2)))
    wanted = float(trainer.annealing.tolerance(trainer.objective.chunks))
    if off > wanted:
        warnings.warn(
            f"window.initial: given an interpolant that is off by {off:.1e} of the "
            f"state; the last ε asks for {wanted:.1e}, so that no network can be "
            "certified. Give it more modes, or the state itself as x → fields.",
            stacklevel=3,
        )
