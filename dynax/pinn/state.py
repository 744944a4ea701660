"""What training carries, and what it tells."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from dynax import _tree as tree
from dynax._types import Scalar
from dynax.pinn import weighting
from dynax.pinn.account import Account
from dynax.pinn.causal import AnnealState, Chunks
from dynax.pinn.objective import Model


class CycleInfo(NamedTuple):
    """What a cycle saw at its fresh points, before its steps. `cycle` < 0: not run.

    `log_min` is −ε Σ_{k≤n} L_k, which weights and levels follow: in the sizes of the
    window's start. At the last ε it is what the stop test asks there: in the sizes that
    the solution itself has by then, with all that `Account` counts.

    Args:
        cycle: counted from 0.
        loss: with its weights.
        causality: ε.
        log_min, log_weights: the logarithms of the stop test and of wᵢ.
        chunks: Lᵢ.
        others: mean squares of the loss's other blocks, by name.
    """

    cycle: Int[Array, ""]
    loss: Scalar
    causality: Scalar
    log_min: Scalar
    log_weights: Chunks
    chunks: Chunks
    others: dict[str, Scalar]

    @classmethod
    def none(cls, chunks: Chunks, others: dict[str, Scalar]) -> "CycleInfo":
        """The row of a cycle that is not run."""
        each, rest = tree.map(lambda a: jnp.full_like(a, jnp.nan), (chunks, others))
        nan = jnp.full((), jnp.nan, each.dtype)
        return cls(jnp.full((), -1, jnp.int32), nan, nan, nan, each, each, rest)


class TrainState(NamedTuple):
    """What training carries from cycle to cycle."""

    params: PyTree
    method_state: Any
    anneal: AnnealState
    key: Array
    cycle: Int[Array, ""]
    solved: Bool[Array, ""]
    diverged: Bool[Array, ""]
    unseen: Account
    null: Scalar
    weights: weighting.Blocks
    balance: Any
    last: CycleInfo

    @property
    def done(self):
        return self.solved | self.diverged


class TrainResult(NamedTuple):
    """The model, the state (a ledger may sit in its `method_state`), and what every
    cycle saw."""

    model: Model
    state: TrainState
    records: CycleInfo
