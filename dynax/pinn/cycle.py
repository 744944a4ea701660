"""One cycle of training: fresh points, weights fixed there, and `inner` steps.

Weights that move within a line search make f and ∇f disagree, so methods with one want
`inner` ≫ 1; first-order methods and Gauss–Newton are happy with 1.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from dynax import _tree as tree
from dynax._types import Scalar
from dynax.pinn import steps, weighting
from dynax.pinn.account import Account, account
from dynax.pinn.causal import Chunks
from dynax.pinn.devices import spread
from dynax.pinn.objective import Batch, Losses, Model, Rows
from dynax.pinn.state import CycleInfo, TrainState
from dynax.pinn.trainer import Trainer
from dynax.pinn.window import Window


class Seen(NamedTuple):
    """What a model is at a batch of points."""

    blocks: Rows
    losses: Losses
    log_weights: Chunks
    log_min: Scalar


class Cycle(eqx.Module):
    """A trainer at work on one window: a map of `TrainState`.

    Args:
        trainer: how.
        static: what is not trained of the model, see `Trainer.split`.
        window: measured.
        mesh: of devices that share the points; None for one.
    """

    trainer: Trainer
    static: Model
    window: Window
    mesh: Mesh | None = eqx.field(static=True, default=None)

    @classmethod
    def of(
        cls,
        trainer: Trainer,
        model: Model,
        window: Window,
        mesh: Mesh | None = None,
    ) -> tuple["Cycle", PyTree]:
        """Returns the cycle, and the parameters of the model."""
        params, static = trainer.split(model)
        window = window.measured(model.pde, tree.leaves(params)[0].dtype)
        return cls(trainer, static, window, mesh), params

    def model(self, params) -> Model:
        """The model with these parameters."""
        return eqx.combine(params, self.static)

    def init(self, params, key) -> TrainState:
        """The state before the first cycle."""
        batch = self._batch(params, key)
        losses = self.trainer.objective.losses(self._blocks(params, batch))
        zero, no = jnp.zeros((), losses.chunks.dtype), jnp.zeros((), bool)
        null = self.window.scale.null.astype(zero.dtype)
        if self.trainer.learn is not None:  # of a guess of the equation it says nothing
            null = jnp.full_like(null, jnp.inf)
        balance = self.trainer.balance
        return TrainState(
            params,
            self._method_state(params, batch, jnp.zeros_like(losses.chunks)),
            self.trainer.annealing.init(),
            key,
            jnp.zeros((), jnp.int32),
            no,
            no,
            Account(*(zero + jnp.nan for _ in Account._fields)),
            null,
            self.trainer.objective.weights(losses),
            ()
            if balance is None
            else balance.init(self.trainer.objective.weights(losses)),
            CycleInfo.none(losses.chunks, losses.each),
        )

    def advance(self, state: TrainState, cycles: int) -> tuple[TrainState, CycleInfo]:
        """`cycles` cycles, none after the window is solved or has diverged."""

        def one(state, _):
            last = state.last
            skip = lambda: (state, CycleInfo.none(last.chunks, last.others))
            return lax.cond(state.done, skip, lambda: self._balanced(state))

        return lax.scan(one, state, length=cycles)

    def _balanced(self, state: TrainState):
        """One cycle, with λ of the blocks that are due."""
        balance = self.trainer.balance
        if balance is None:
            return self._once(state)
        due = state.cycle % balance.every == 0
        old = lambda: (state.weights, state.balance)
        weights, kept = lax.cond(due, lambda: self._weighed(state), old)
        objective = self.trainer.objective.weighed(weights)
        trainer = dataclasses.replace(self.trainer, objective=objective, balance=None)
        now = dataclasses.replace(self, trainer=trainer)
        return now._once(state._replace(weights=weights, balance=kept))

    def _weighed(self, state: TrainState) -> tuple[weighting.Blocks, Any]:
        balance, objective = self.trainer.balance, self.trainer.objective
        assert balance is not None
        batch = self._batch(state.params, self._key(state))
        causality = self.trainer.annealing.causality(state.anneal)

        def parts(params):
            blocks = self._blocks(params, batch)
            losses = objective.losses(blocks)
            log_w = objective.log_weights(losses, blocks, batch, causality)
            return objective.parts(blocks, log_w)

        key = jax.random.fold_in(self._key(state), 2)
        given = parts, state.params, state.weights, state.balance, key
        return balance.update(*given)

    def _once(self, state: TrainState) -> tuple[TrainState, CycleInfo]:
        objective, method = self.trainer.objective, self._method
        key, inner = self._key(state), self.trainer.inner
        batch = self._batch(state.params, key)
        causality = self.trainer.annealing.causality(state.anneal)
        causality = tree.cast(causality, state.null.dtype)

        def look(params):
            blocks = self._blocks(params, batch)
            losses = objective.losses(blocks)
            given = losses, blocks, batch, causality
            log_w = objective.log_weights(*given)
            seen = Seen(blocks, losses, log_w, objective.log_min(*given))
            return objective.total(losses, log_w), seen

        at = state.params, state.method_state
        if self._newton:
            loss, seen = look(state.params)
            args = batch, seen.log_weights
            after = steps.least_squares(method, self._rows, *at, args, inner)
        elif inner > 1:
            loss, seen = look(state.params)
            fixed = self._loss(batch, seen.log_weights)
            after = steps.descend(method, fixed, *at, inner)
        else:
            found, grad = jax.value_and_grad(look, has_aux=True)(state.params)
            loss, seen = found
            fixed = self._loss(batch, seen.log_weights)
            after = steps.gradient_step(method, fixed, *at, loss, grad, False)

        log_min, unseen, null, solved = self._judged(state, batch, seen, key)
        diverged = ~jnp.isfinite(loss)
        keep = lambda a, b: jnp.where(solved | diverged, a, b)
        params, method_state = tree.map(keep, at, after)
        losses = seen.losses
        info = CycleInfo(
            state.cycle,
            loss,
            causality,
            log_min,
            seen.log_weights,
            losses.chunks,
            losses.each,
        )
        state = TrainState(
            params,
            method_state,
            self.trainer.annealing.advance(state.anneal, log_min),
            state.key,
            state.cycle + 1,
            solved,
            diverged,
            unseen,
            null,
            state.weights,
            state.balance,
            info,
        )
        return state, info

    # --- the stop test

    def _judged(self, state: TrainState, batch: Batch, seen: "Seen", key):
        """(log_min, unseen, null, solved): at the last ε by all that can be off; and
        where that passes, again on points that no step has seen."""
        annealing, model = self.trainer.annealing, self.model(state.params)

        def all_seen():
            given = self.trainer.objective, model, self.window, batch, seen.blocks
            return self._asked(account(*given, at_walls=False).total)

        last = annealing.last(state.anneal)
        log_min = lax.cond(last, all_seen, lambda: seen.log_min)
        claimed = last & annealing.met(log_min)
        unseen, null = lax.cond(
            claimed,
            lambda: self._look_again(model, key, state.null.dtype),
            lambda: (state.unseen, state.null),
        )
        empty = annealing.met(self._asked(null))
        solved = claimed & annealing.met(self._asked(unseen.total)) & ~empty
        return log_min, unseen, null, solved

    def _asked(self, total: Scalar) -> Scalar:
        """log exp(−ε n L) at the last ε: what must be above log δ."""
        last = tree.cast(self.trainer.annealing.levels[-1], total.dtype)
        return -last * self.trainer.objective.chunks * total

    def _look_again(self, model: Model, key, dtype) -> tuple[Account, Scalar]:
        """The account on points that no step has seen, and the loss of doing nothing:
        of the equation as it has been learned by now."""
        objective, window = self.trainer.objective, self.window
        if self.trainer.learn is not None:
            window = window._replace(scale=None).measured(model.pde, dtype)

        def look(key):
            batch = objective.sample(key, model.pde, window, dtype)
            blocks = objective.blocks(model, window, batch)
            return account(objective, model, window, batch, blocks)

        count = self.trainer.unseen or (4 if model.pde.lower else 32)
        keys = jax.random.split(jax.random.fold_in(key, 1), count)
        found = tree.map(jnp.mean, lax.map(look, keys))
        return found, window.scale.null.astype(dtype)

    # --- points and steps

    def _key(self, state: TrainState):
        return jax.random.fold_in(state.key, state.cycle)

    def _batch(self, params, key) -> Batch:
        trainer, window = self.trainer, self.window
        model, dtype = self.model(params), tree.leaves(params)[0].dtype
        batch = trainer.objective.sample(key, model.pde, window, dtype)
        if trainer.sampler is None:
            return batch
        residual = trainer.objective.relative(model, window)
        points = trainer.sampler(key, model.pde, window, dtype, residual)
        return batch._replace(points=points)

    def _blocks(self, params, batch: Batch) -> Rows:
        def blocks(given, batch):
            cycle, params = given
            model = cycle.model(params)
            return cycle.trainer.objective.blocks(model, cycle.window, batch)

        return spread(self.mesh, blocks, (self, params), batch)

    def _slopes(self, params, batch: Batch) -> dict[str, tuple[Array, Array]]:
        def slopes(given, batch):
            cycle, params = given
            objective, rest = cycle.trainer.objective, (cycle.static, cycle.window)
            return objective.slopes(params, *rest, batch)

        return spread(self.mesh, slopes, (self, params), batch)

    # --- steps

    @property
    def _newton(self) -> bool:
        return isinstance(self.trainer.method, optx.AbstractLeastSquaresSolver)

    @property
    def _method(self) -> Any:
        """The trainer's; a least-squares solver with the rows' own Jacobian."""
        method: Any = self.trainer.method
        if not self._newton:
            return method

        def jacobian(fn, params, args):
            del fn
            batch, log_w = args
            slopes = self._slopes(params, batch)
            return self.trainer.objective.weighed_slopes(slopes, log_w)

        return dataclasses.replace(method, jacobian=jacobian)

    def _rows(self, params, args):
        batch, log_w = args
        return self.trainer.objective.rows(self._blocks(params, batch), log_w), None

    def _loss(self, batch: Batch, log_w) -> Callable:
        objective = self.trainer.objective

        def loss(params, fresh=None):
            del fresh  # optax's line searches hand on to it what they do not know
            losses = objective.losses(self._blocks(params, batch))
            return objective.total(losses, log_w)

        return loss

    def _method_state(self, params, batch: Batch, log_w):
        if self._newton:
            given = self._rows, params, (batch, log_w)
            return steps.least_squares_state(self._method, *given)
        return steps.gradient_state(self._method, params)
