"""Train a physics-informed network on one window, and say whether it is solved.

A *cycle* draws fresh points, fixes the weights there and takes `inner` steps. Weights
that move within a line search make f and ∇f disagree, so methods with one want
`inner` ≫ 1; first-order methods and Gauss–Newton are happy with 1.

`solve` is pure: vmap it over seeds, ε or windows. `train` is the same in blocks, from
the host: with progress, a limit of time, and resume.
"""

import dataclasses
import inspect
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
from jax import lax
from jaxtyping import Array, Bool, Int, PyTree

from dynax import _digest, _tree as tree
from dynax._types import Scalar
from dynax.checkpoint import Checkpoints
from dynax.pde import AbstractPDE
from dynax.pinn import networks, weighting
from dynax.pinn.account import Account, account
from dynax.pinn.balancing import AbstractBalance
from dynax.pinn.causal import Annealing, AnnealState, Chunks
from dynax.pinn.certificate import Certificate
from dynax.pinn.estimate import estimate_error
from dynax.pinn.interpolant import AbstractInterpolant
from dynax.pinn.objective import Batch, Blocks, Losses, Model, Objective, Window


ROUNDING = 8.0  # units in the last place that a trained network is off by, at best
Method = optax.GradientTransformation | optx.AbstractLeastSquaresSolver


class CycleInfo(NamedTuple):
    """What a cycle saw at its fresh points, before its steps. `cycle` < 0: not run.

    `log_min` is −ε Σ_{k≤n} L_k, which weights and levels follow: in the sizes of the
    window's start. At the last ε it is what the stop test asks there: in the sizes that
    the solution itself has by then, with all that `Account` counts.
    """

    cycle: Int[Array, ""]
    loss: Scalar
    causality: Scalar
    log_min: Scalar
    log_weights: Chunks
    chunks: Chunks
    initial: Scalar
    data: Scalar

    @classmethod
    def none(cls, like: "Losses | CycleInfo") -> "CycleInfo":
        """The row of a cycle that is not run."""
        nan, each = (
            jnp.full_like(like.initial, jnp.nan),
            jnp.full_like(like.chunks, jnp.nan),
        )
        return cls(jnp.full((), -1, jnp.int32), nan, nan, nan, each, each, nan, nan)


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
    last: CycleInfo

    @property
    def done(self):
        return self.solved | self.diverged


class TrainResult(NamedTuple):
    """The model, the method's state (a ledger may sit in it), and every cycle's row."""

    model: Model
    state: TrainState
    records: CycleInfo


class Trainer(eqx.Module):
    """How a window is trained.

    Args:
        objective: the loss.
        method: an optax transformation (any of dynax's by `as_optax`, with its ledger)
            or an optimistix least-squares solver (`dynax.newton.LevenbergMarquardt`).
        annealing: of ε.
        inner: steps a cycle.
        learn: pde → the parts of it that are trained too, in inverse problems.
        unseen: how many batches of unseen points the stop test draws; None: 4, and 32
            of an ordinary differential equation, where they are cheap.
        balance: of the blocks' weights λ while training; None: the objective's own.
        sampler: (key, pde, window, dtype, residual) → points; None for the
            objective's own; `residual` (t, x) → ρ, for adaptive sampling.
        rtol: what a certificate promises: a relative error of each field below it.
    """

    objective: Objective
    method: Method
    annealing: Annealing
    inner: int = eqx.field(static=True, default=1)
    learn: Callable | None = eqx.field(static=True, default=None)
    unseen: int | None = eqx.field(static=True, default=None)
    balance: AbstractBalance | None = None
    sampler: Callable | None = eqx.field(static=True, default=None)
    rtol: float = eqx.field(static=True, default=1e-2)

    def solution(self, model: Model, window: Window) -> Callable:
        """u(t, x) of a model on a window."""
        return eqx.Partial(_of, self.objective.ansatz, model, window)

    def certificate(self, out: TrainResult, window: Window, start=None) -> Certificate:
        """Whether the window is solved, in words and numbers.

        Args:
            out, window: of this training.
            start: the true state at t₀, x → fields, or the `end` of the estimate for
                the window before. Unless given it is what the window starts from; of
                an interpolant at t = 0, the equation's own initial state.
        """
        carry = jax.device_get(out.state)
        certificate = Certificate.of(carry.last, carry, self.annealing)
        if certificate.status == "diverged":
            return certificate
        pde, dtype = out.model.pde, tree.leaves(out.state.params)[0].dtype
        window = measured(pde, window, dtype)
        if start is None:
            start = window.initial
            if isinstance(start, AbstractInterpolant) and float(window.t0) == 0:
                start = pde.initial
        estimate = None
        if "t" in pde.needs.split():
            u = self.solution(out.model, window)
            estimate = estimate_error(pde, u, window.t0, window.t1, start)
        return certificate.judged(estimate, self.rtol)

    def split(self, model: Model) -> tuple[PyTree, PyTree]:
        """(what is trained, the rest)."""
        known, learn = model.pde, self.learn
        found = jax.tree.map(lambda _: None, known)
        if learn is not None:
            part, rest = networks.split(learn(known))
            numbers = [a for a in tree.leaves(rest) if isinstance(a, int | float)]
            if numbers or not tree.leaves(part):
                raise TypeError(
                    f"learn: given {numbers or learn(known)}, nothing that can be "
                    "trained; accepted are floating arrays, or modules that have some."
                )
            found = eqx.tree_at(learn, found, part, is_leaf=lambda a: a is None)
            known = eqx.tree_at(learn, known, rest)
        learned, fixed = networks.split(model.network)
        params, static = Model(learned, found), Model(fixed, known)
        tree.check_params(params, "model")
        return params, static

    def init(self, model: Model, window: Window, key) -> TrainState:
        """The carry before the first cycle."""
        params, static = self.split(model)
        window = window.measured(model.pde, tree.leaves(params)[0].dtype)
        point = self._batch(params, static, window, key)
        blocks = self.objective.blocks(model, window, point)
        losses = self.objective.losses(blocks)
        if isinstance(self.method, optx.AbstractLeastSquaresSolver):
            args = window, point, jnp.zeros_like(losses.chunks)
            fn = self._rows(static)
            shape = jax.eval_shape(fn, params, args)[0]
            solver = self._solver(static)
            state = solver.init(fn, params, args, {}, shape, None, frozenset())
        else:
            state = self.method.init(params)
            # a weakly typed number in it would have every program compiled twice
            number = lambda a: eqx.is_array(a) and jnp.issubdtype(a.dtype, jnp.number)
            strong = lambda a: a.astype(a.dtype) if number(a) else a
            state = jax.tree.map(strong, state)
        zero = jnp.zeros((), losses.chunks.dtype)
        no = jnp.zeros((), bool)
        return TrainState(
            params,
            state,
            self.annealing.init(),
            key,
            jnp.zeros((), jnp.int32),
            no,
            no,
            Account(*(zero + jnp.nan for _ in Account._fields)),
            self._null(window, zero.dtype, learned=False),
            self.objective.weights(),
            CycleInfo.none(losses),
        )

    def advance(self, carry: TrainState, static, window: Window, cycles: int):
        """`cycles` cycles, none after the window is solved or has diverged."""
        dtype = tree.leaves(carry.params)[0].dtype
        window = window.measured(eqx.combine(carry.params, static).pde, dtype)

        def one(carry, _):
            go = lambda c: self._cycle(c, static, window)
            skip = lambda c: (c, CycleInfo.none(c.last))
            return lax.cond(carry.done, skip, go, carry)

        return lax.scan(one, carry, length=cycles)

    def _cycle(self, carry: TrainState, static, window):
        if self.balance is None:
            return self._at(carry, static, window)
        weighed = lambda c: self._weighed(c, static, window)
        due = carry.cycle % self.balance.every == 0
        carry = carry._replace(
            weights=lax.cond(due, weighed, lambda c: c.weights, carry)
        )
        now = dataclasses.replace(
            self, objective=self.objective.weighed(carry.weights), balance=None
        )
        return now._at(carry, static, window)

    def _weighed(self, carry: TrainState, static, window) -> weighting.Blocks:
        assert self.balance is not None
        key = jax.random.fold_in(carry.key, carry.cycle)
        batch = self._batch(carry.params, static, window, key)
        causality = self.annealing.causality(carry.anneal)

        def parts(params):
            objective, model = self.objective, eqx.combine(params, static)
            blocks = objective.blocks(model, window, batch)
            losses = objective.losses(blocks)
            log_w = objective.log_weights(losses, blocks, batch, causality)
            return objective.parts(blocks, log_w)

        sizes = self.balance.sizes(parts, carry.params)
        new = weighting.balance(sizes)
        new = {k: a.astype(carry.weights[k].dtype) for k, a in new.items()}
        return weighting.average(carry.weights, new, self.balance.decay)

    def _at(self, carry: TrainState, static, window):
        objective = self.objective
        key = jax.random.fold_in(carry.key, carry.cycle)
        batch = self._batch(carry.params, static, window, key)
        model = eqx.combine(carry.params, static)
        causality = tree.cast(self.annealing.causality(carry.anneal), carry.null.dtype)

        def look(blocks: Blocks):
            losses = objective.losses(blocks)
            seen = losses, blocks, batch, causality
            return losses, objective.log_weights(*seen), objective.log_min(*seen)

        if self.inner == 1 and isinstance(self.method, optax.GradientTransformation):

            def value(params):
                blocks = objective.blocks(eqx.combine(params, static), window, batch)
                seen = look(blocks)
                return objective.total(seen[0], seen[1]), (*seen, blocks)

            found, grad = jax.value_and_grad(value, has_aux=True)(carry.params)
            loss, (losses, log_w, log_min, blocks) = found
            fixed = self._loss(static, window, batch, log_w)
            state, params = carry.method_state, carry.params
            params, state = self._step(params, state, loss, grad, fixed, False)
        else:
            blocks = objective.blocks(model, window, batch)
            losses, log_w, log_min = look(blocks)
            loss = objective.total(losses, log_w)
            steps = self._newton if self._is_newton() else self._descend
            params, state = steps(carry, static, window, batch, log_w)

        last = self.annealing.last(carry.anneal)
        log_min = lax.cond(
            last,
            lambda: self._asked(
                account(objective, model, window, batch, blocks, at_walls=False)
            ),
            lambda: log_min,
        )
        record = CycleInfo(
            carry.cycle,
            loss,
            causality,
            log_min,
            log_w,
            losses.chunks,
            losses.initial,
            losses.data,
        )
        claimed = last & self.annealing.met(log_min)
        unseen, null = lax.cond(
            claimed,
            lambda: self._look_again(model, window, key, loss.dtype),
            lambda: (carry.unseen, carry.null),
        )
        empty = self.annealing.met(self._asked(null))
        solved = claimed & self.annealing.met(self._asked(unseen)) & ~empty
        diverged = ~jnp.isfinite(loss)
        keep = lambda old, new: tree.map(
            lambda a, b: jnp.where(solved | diverged, a, b), old, new
        )
        carry = TrainState(
            keep(carry.params, params),
            keep(carry.method_state, state),
            self.annealing.advance(carry.anneal, log_min),
            carry.key,
            carry.cycle + 1,
            solved,
            diverged,
            unseen,
            null,
            carry.weights,
            record,
        )
        return carry, record

    def _asked(self, found) -> Scalar:
        """log exp(−ε n L) at the last ε: what must be above log δ."""
        total = found.total if isinstance(found, Account) else found
        last = tree.cast(self.annealing.levels[-1], total.dtype)
        return -last * self.objective.chunks * total

    def _null(self, window, dtype, learned=True) -> Scalar:
        """The loss of doing nothing; of a guess of the equation it says nothing."""
        null = window.scale.null.astype(dtype)
        return null if learned or self.learn is None else jnp.full_like(null, jnp.inf)

    def _look_again(self, model, window, key, dtype) -> tuple[Account, Scalar]:
        """The account on points that no step has seen, and the loss of doing nothing:
        of the equation as it has been learned by now."""
        if self.learn is not None:
            window = window._replace(scale=None).measured(model.pde, dtype)

        def look(key):
            batch = self.objective.sample(key, model.pde, window, dtype)
            blocks = self.objective.blocks(model, window, batch)
            return account(self.objective, model, window, batch, blocks)

        count = self.unseen or (4 if model.pde.lower else 32)
        keys = jax.random.split(jax.random.fold_in(key, 1), count)
        return tree.map(jnp.mean, lax.map(look, keys)), self._null(window, dtype)

    def _is_newton(self) -> bool:
        return isinstance(self.method, optx.AbstractLeastSquaresSolver)

    def _batch(self, params, static, window, key) -> Batch:
        model, dtype = eqx.combine(params, static), tree.leaves(params)[0].dtype
        batch = self.objective.sample(key, model.pde, window, dtype)
        if self.sampler is None:
            return batch
        residual = self.objective.relative(model, window)
        points = self.sampler(key, model.pde, window, dtype, residual)
        return batch._replace(points=points)

    def _loss(self, static, window, batch, log_w):
        def loss(params, fresh=None):
            del fresh  # optax's line searches hand on to it what they do not know
            blocks = self.objective.blocks(eqx.combine(params, static), window, batch)
            return self.objective.total(self.objective.losses(blocks), log_w)

        return loss

    def _descend(self, carry, static, window, batch, log_w):
        loss, state = self._loss(static, window, batch, log_w), carry.method_state
        # a line search leaves f and ∇f behind: good until the objective changes
        searched = bool(optax.tree.get_all_with_path(state, "grad"))
        if searched:
            state = optax.tree.set(state, value=jnp.full_like(carry.null, jnp.inf))

        def body(both, first):
            params, state = both
            if searched:
                found = optax.value_and_grad_from_state(loss)(params, state=state)
            else:
                found = jax.value_and_grad(loss)(params)
            return self._step(params, state, *found, loss, first), None

        first = jnp.arange(self.inner) == 0
        return lax.scan(body, (carry.params, state), first)[0]

    def _step(self, params, state, value, grad, loss, fresh):
        tx = optax.with_extra_args_support(self.method)  # pyright: ignore
        given = {"value": value, "grad": grad, "value_fn": loss, "fresh": fresh}
        asked = inspect.signature(tx.update).parameters
        if not any(a.kind is a.VAR_KEYWORD for a in asked.values()):
            given = {name: a for name, a in given.items() if name in asked}
        updates, state = tx.update(grad, state, params, **given)
        return optax.apply_updates(params, updates), state

    def _rows(self, static):
        def fn(params, args):
            window, batch, log_w = args
            model = eqx.combine(params, static)
            blocks = self.objective.blocks(model, window, batch)
            return self.objective.rows(blocks, log_w), None

        return fn

    def _solver(self, static):
        def jacobian(fn, params, args):
            del fn
            return self.objective.linearised(params, static, *args)

        return dataclasses.replace(self.method, jacobian=jacobian)  # pyright: ignore

    def _newton(self, carry, static, window, batch, log_w):
        args, fn, solver = (
            (window, batch, log_w),
            self._rows(static),
            self._solver(static),
        )

        def body(both, _):
            y, state, _ = solver.step(fn, both[0], args, {}, both[1], frozenset())
            return (y, state), None

        return lax.scan(body, (carry.params, carry.method_state), length=self.inner)[0]


def _of(ansatz, model: Model, window: Window, t, x):
    return ansatz(model.pde, model.network, window)(t, x)


def solve(
    training: Trainer, model: Model, window: Window, key, cycles: int
) -> TrainResult:
    """Train for at most `cycles` cycles: a pure function, for jit and vmap."""
    params, static = training.split(model)
    window = window.measured(model.pde, tree.leaves(params)[0].dtype)
    carry = training.init(model, window, key)
    carry, records = training.advance(carry, static, window, cycles)
    return TrainResult(eqx.combine(carry.params, static), carry, records)


@eqx.filter_jit
def begin(training: Trainer, model: Model, window: Window, key) -> TrainState:
    """`Trainer.init`, compiled."""
    return training.init(model, window, key)


@eqx.filter_jit
def _go(training, static, window, carry, cycles):
    return training.advance(carry, static, window, cycles)


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


@eqx.filter_jit
def measured(pde: AbstractPDE, window: Window, dtype) -> Window:
    """The window with its scale, compiled."""
    return window.measured(pde, dtype)


def warn_if_cut(training: Trainer, window: Window) -> None:
    """Warn where an interpolant of the start is off by more than the last ε allows."""
    initial, scale = window.initial, window.scale
    if not isinstance(initial, AbstractInterpolant) or scale is None:
        return
    size = np.where(scale.start > 0, scale.start, scale.sizes)
    off = float(np.sqrt(np.sum((np.asarray(initial.error) / size) ** 2)))
    wanted = float(training.annealing.tolerance(training.objective.chunks))
    if off > wanted:
        warnings.warn(
            f"window.initial: given an interpolant that is off by {off:.1e} of the "
            f"state; the last ε asks for {wanted:.1e}, so that no network can be "
            "certified. Give it more modes, or the state itself as x → fields.",
            stacklevel=3,
        )


def train(
    training: Trainer,
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
) -> TrainResult:
    """Train for at most `cycles` cycles, in blocks of `block`, from the host.

    Args:
        training, model, window, key: as for `solve`, which takes the same steps.
        cycles: at most so many; fewer if the window is solved or has diverged.
        block: cycles between two looks at the clock.
        seconds: of processor time, after which no new block is begun.
        progress: called as progress(share, text) before each block.
        checkpoints: where every block is saved, and what is gone on from.
        state: of an earlier `TrainResult`, to go on from.

    Returns:
        The rows of all cycles since `state`, those of before a resume too.

    Raises:
        ValueError: `checkpoints` are of another run: equation, coefficients, window,
            recipe, network, key, code or version of JAX; the first difference is named.
    """
    params, static = training.split(model)
    dtype = tree.leaves(params)[0].dtype
    window = measured(model.pde, window, dtype)
    warn_if_hopeless(model.pde, dtype, float(window.t1 - window.t0))
    warn_if_cut(training, window)
    now = begin(training, model, window, key) if state is None else state
    if checkpoints is not None:
        run = {**checkpoints.run, **identity(training, model, window, now)}
        at = window._replace(initial=_digest.coarse(window.initial), scale=None)
        run |= _digest.numbers(window=at)
        run |= {} if state is None else {"state": _digest.digest(state)}
        checkpoints = dataclasses.replace(checkpoints, run=run)
    blocks = block, seconds, progress, checkpoints
    return go_on(training, static, window, now, cycles, *blocks)


def go_on(
    training, static, window, now: Any, cycles, block, seconds, progress, checkpoints
) -> TrainResult:
    """`train` from a state, or from the checkpoints of what it began."""
    first, rows = int(now.cycle), _rows(now, 0)
    if checkpoints is not None and (done := checkpoints.steps()):
        rows = _rows(now, max(done[-1] - first, 0))
        now, rows = checkpoints.read(done[-1], (now, rows))
    parts, begun = [rows], time.process_time()
    while int(now.cycle) < cycles and not bool(now.done):
        used = time.process_time() - begun
        if seconds is not None and used >= seconds:
            break
        share = int(now.cycle) / cycles
        share = share if seconds is None else max(share, used / seconds)
        progress(min(share, 1.0), _tell(now))
        n = min(block, cycles - int(now.cycle))
        before = now.cycle
        now, records = _go(training, static, window, now, n)
        ran = int(now.cycle) - int(before)
        parts.append(jax.tree.map(lambda a, n=ran: a[:n], jax.device_get(records)))
        if checkpoints is not None:
            checkpoints.save(int(now.cycle), (now, _joined(parts)))
    return TrainResult(eqx.combine(now.params, static), now, _joined(parts))


def _rows(carry: TrainState, n: int) -> CycleInfo:
    """n rows, to be read into."""
    row = lambda a: np.empty((n, *a.shape), a.dtype)
    return jax.tree.map(row, carry.last)


def _joined(parts) -> CycleInfo:
    return jax.tree.map(lambda *a: np.concatenate(a), *parts)


def identity(training: Trainer, model: Model, window: Window, carry: TrainState):
    """What trains, from where: all but the window's numbers."""
    _, static = training.split(model)
    lowered = _go.lower(training, static, window, carry, 1)  # pyright: ignore
    return {
        "equation": type(model.pde).__name__,
        "method": type(training.method).__name__,
        **_digest.numbers(training=training, model=model, key=carry.key),
        **_digest.program(lowered.as_text()),
    }


def _tell(carry: TrainState) -> str:
    last: Any = carry.last
    if int(last.cycle) < 0:
        return "compiling"
    return (
        f"cycle {int(last.cycle)}: loss {float(last.loss):.1e}, "
        f"ε {float(last.causality):.3g}, min w {np.exp(float(last.log_min)):.3f}"
    )
