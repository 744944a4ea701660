"""Weights that make a physics-informed network respect causality, and their schedule.

The residual at a late time means nothing while the solution at earlier times is wrong.
Split time into chunks with mean squared residuals L₁, …, L_n and the misfit of the
initial state L₀; chunk i counts with a weight wᵢ that depends on what comes before it.

Causal training is the subject of a published patent application, WO2023172408A2; see
NOTICE. The weighting is a plug-in: any `AbstractScheme` serves.
"""

import abc
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike


Chunks = Float[Array, " chunks"]


def before(losses: Chunks, initial: ScalarLike = 0.0) -> Chunks:
    """L₀ + Σ_{k<i} L_k: all that goes wrong before chunk i."""
    start = jnp.asarray(initial).astype(losses.dtype)
    return start + jnp.concatenate([jnp.zeros_like(losses[:1]), losses[:-1]]).cumsum()


def up_to_end(losses: Chunks, initial: ScalarLike = 0.0) -> Scalar:
    """L₀ + Σ_{k≤n} L_k: all that goes wrong, the last chunk included.

    Weights are exclusive: a chunk must not silence itself. What a window hands on is
    its end, so the stop test is inclusive.
    """
    return jnp.asarray(initial).astype(losses.dtype) + jnp.sum(losses)


class AbstractScheme(eqx.Module):
    """A scheme that gives log wᵢ from what goes wrong before chunk i. It is never
    differentiated.
    """

    @abc.abstractmethod
    def log_weights(self, accumulated_loss: Chunks, causality: ScalarLike) -> Chunks:
        """log wᵢ ≤ 0.

        Args:
            accumulated_loss: `before(losses, initial)`, ascending.
            causality: ε, from the annealing.
        """


class Uniform(AbstractScheme):
    """Weight all chunks of time equally.

    wᵢ = 1: an ordinary physics-informed network.
    """

    def log_weights(self, accumulated_loss, causality):
        return jnp.zeros_like(accumulated_loss)


class Causal(AbstractScheme):
    """Weight each chunk of time by how well all before it are solved.

    wᵢ = exp(−ε(L₀ + Σ_{k<i} L_k)).

    Source: Wang, Sankaran, Perdikaris, arXiv:2203.07404, eq. 3.7 and Algorithm 1.
    """

    def log_weights(self, accumulated_loss, causality):
        return -tree.cast(causality, accumulated_loss.dtype) * accumulated_loss


class Marching(AbstractScheme):
    """Weight a chunk of time by 1 once all before it are solved, else by 0.

    wᵢ = 1 where ε(L₀ + Σ_{k<i} L_k) ≤ 1, else 0: a front that moves on as the past
    is solved."""

    def log_weights(self, accumulated_loss, causality):
        met = tree.cast(causality, accumulated_loss.dtype) * accumulated_loss <= 1
        # the first chunk waits for nothing: else a bad start would train nothing
        met = met.at[0].set(True)
        return jnp.where(met, 0.0, -jnp.inf).astype(accumulated_loss.dtype)


def causal_weights(
    losses: Chunks, causality: ScalarLike, initial: ScalarLike = 0.0
) -> Chunks:
    """Return the causal weights of chunks of time from their losses.

    wᵢ = exp(−ε(L₀ + Σ_{k<i} L_k)), under stop-gradient; w₁ = 1 where L₀ = 0.

    Args:
        losses: L₁ … L_n, means over their chunks, by ascending time.
        causality: ε ≥ 0, traced.
        initial: L₀.
    """
    return jnp.exp(log_weights(Causal(), losses, initial, causality))


def log_weights(
    scheme: AbstractScheme, losses: Chunks, initial: ScalarLike, causality: ScalarLike
) -> Chunks:
    """log wᵢ under stop-gradient. A chunk after one that is not finite weighs 0."""
    past, causality = jax.lax.stop_gradient(
        (before(losses, initial), jnp.asarray(causality))
    )
    return scheme.log_weights(jnp.where(jnp.isnan(past), jnp.inf, past), causality)


class AnnealState(NamedTuple):
    """Where the schedule stands: carried through training, never an attribute."""

    level: Int[Array, ""]
    steps: Int[Array, ""]


class Annealing(eqx.Module):
    """Let ε ascend through `levels`. Each is left when exp(−ε Σ_{k≤n} L_k) > δ, or
    after `patience` cycles.

    The L_k are mean squares of relative residuals (`dynax.pinn.window`), without units:
    met at ε, their root mean square over the window is below √(−ln δ/(nε)).

    Args:
        levels: ε, ascending.
        delta: δ.
        patience: cycles a level is given at most (the last one has no limit).
    """

    levels: Float[Array, " levels"] = eqx.field(converter=jnp.asarray)
    delta: ScalarLike = 0.99
    patience: int | Int[Array, ""] = 1000

    def __init__(self, levels=(1.0, 10.0, 100.0, 1000.0), delta=0.99, patience=1000):
        self.levels = jnp.asarray(levels)
        self.delta, self.patience = delta, patience

    def __check_init__(self):
        given = self.levels
        if tree.is_concrete(given) and not (
            given.ndim == 1 and len(given) and bool(jnp.all(jnp.diff(given) > 0))
        ):
            raise ValueError(f"levels: given {given}; accepted are ascending numbers.")

    @classmethod
    def reaching(
        cls, rtol: float, chunks: int = 16, delta: float = 0.99, patience: int = 1000
    ) -> "Annealing":
        """Levels by factors of at most 100, from 1 or below to the one that asks for a
        relative residual of `rtol`:  ε = −ln δ/(n·rtol²), n the `chunks`."""
        if not 0 < rtol < 1:
            raise ValueError(f"rtol: given {rtol}; accepted is a number in (0, 1).")
        last = -math.log(delta) / (chunks * rtol**2)
        count = max(1, math.ceil(math.log(max(last, 1.0), 100.0))) + 1
        powers = jnp.linspace(min(0.0, math.log10(last) - 2), math.log10(last), count)
        return cls(10.0**powers, delta, patience)

    def tolerance(self, chunks: int) -> Scalar:
        """The relative residual that the last ε asks for: √(−ln δ/(nε))."""
        last = self.levels[-1]
        return jnp.sqrt(-jnp.log(tree.cast(self.delta, last.dtype)) / (chunks * last))

    def init(self) -> AnnealState:
        """The first level."""
        zero = jnp.zeros((), jnp.int32)
        return AnnealState(zero, zero)

    def causality(self, state: AnnealState) -> Scalar:
        """The present ε."""
        return self.levels[state.level]

    def last(self, state: AnnealState) -> Bool[Array, ""]:
        return state.level == len(self.levels) - 1

    def met(self, log_min: Scalar) -> Bool[Array, ""]:
        """exp(log_min) > δ."""
        return log_min > jnp.log(tree.cast(self.delta, log_min.dtype))

    def advance(self, state: AnnealState, log_min: Scalar) -> AnnealState:
        """One cycle later, what the stop test asks being exp(log_min)."""
        done = self.met(log_min) | (state.steps + 1 >= self.patience)
        up = done & ~self.last(state)
        level = state.level + up.astype(jnp.int32)
        return AnnealState(level, jnp.where(up, 0, state.steps + 1))
