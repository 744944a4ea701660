"""What tells why a physics-informed network trains, or does not."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Scalar
from dynax.pde import Reference, relative_l2
from dynax.pinn.causal import Chunks
from dynax.pinn.objective import Batch, Model, Window
from dynax.pinn.trainer import Trainer
from dynax.pinn.weighting import ntk_traces


class Diagnosis(NamedTuple):
    """A model on one batch of points, best ones that no step has seen.

    Args:
        t: the mean time of each chunk.
        weights: wᵢ at the ε given.
        residual: Lᵢ.
        ntk: Cᵢ, the trace of the tangent kernel per point: how fast gradient descent
            fits each time. Where it grows with t, late times are fitted first.
        alignment: 2‖meanᵢ ĝᵢ‖² − 1 with ĝᵢ = ∇Lᵢ/‖∇Lᵢ‖: 1 where all chunks pull the
            same way, −1 where they cancel.
        cosines: ⟨ĝᵢ, ĝⱼ⟩.
    """

    t: Chunks
    weights: Chunks
    residual: Chunks
    ntk: Chunks
    alignment: Scalar
    cosines: Float[Array, "chunks chunks"]


def diagnose(trainer: Trainer, model: Model, window: Window, batch: Batch, causality):
    """Return a `Diagnosis`. Source of the alignment: Wang, Bhartari, Li, Perdikaris,
    arXiv:2502.00604.

    Args:
        trainer, model, window: what is looked at.
        batch: `trainer.objective.sample(key, model.pde, window)`.
        causality: ε.
    """
    objective = trainer.objective
    window = window.measured(model.pde, batch.points.t.dtype)
    params, static = trainer.split(model)
    blocks = objective.blocks(model, window, batch)
    losses = objective.losses(blocks)
    weights = jnp.exp(objective.log_weights(losses, blocks, batch, causality))

    def row(params, t, x):
        return objective.relative(eqx.combine(params, static), window)(t, x)

    def chunk(points):
        def loss(params):
            over_places = jax.vmap(lambda t, x: row(params, t, x), (None, 0))
            return jnp.mean(jax.vmap(over_places)(points.t, points.x) ** 2)

        return ravel_pytree(jax.grad(loss)(params))[0]

    each = objective.times // objective.chunks
    grouped = lambda a: a.reshape(objective.chunks, each, *a.shape[1:])
    points = tree.map(grouped, batch.points)
    grads = lax.map(chunk, points)
    norms = jnp.sqrt(jnp.sum(grads**2, 1, keepdims=True))
    unit = grads / jnp.where(norms > 0, norms, 1)
    traces = ntk_traces(row, params, batch.points)
    return Diagnosis(
        jnp.mean(points.t, 1),
        weights,
        losses.chunks,
        jnp.mean(grouped(traces), 1),
        2 * jnp.sum(jnp.mean(unit, 0) ** 2) - 1,
        unit @ unit.T,
    )


def error_growth(u: Callable, reference: Reference, edges) -> np.ndarray:
    """Relative L2 error on each window [edges[k], edges[k+1]], by a reference.

    Args:
        u: (t, x) → fields.
        reference: saved at least once in each window.
        edges: ascending times.
    """
    errors = []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        inside = (reference.t >= a) & (reference.t <= b)
        if not inside.any():
            raise ValueError(
                f"reference: given no time in [{a}, {b}]; accepted is one or more in "
                "each window."
            )
        part = reference._replace(t=reference.t[inside], u=reference.u[inside])
        errors.append(relative_l2(u, part).overall)
    return np.asarray(errors)
