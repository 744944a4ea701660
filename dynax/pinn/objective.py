"""The loss of a physics-informed network on one window of time, as rows."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike
from dynax.pde import AbstractPDE, Points, derivatives
from dynax.pde.derivatives import Engine
from dynax.pinn.ansatz import exact_initial
from dynax.pinn.causal import AbstractScheme, Causal, Chunks, log_weights, up_to_end
from dynax.pinn.window import Window as Window


class Model(NamedTuple):
    """What is trained: a network (t, x) → fields, and, in inverse problems,
    coefficients or a hidden term of the equation."""

    network: Callable
    pde: AbstractPDE


class Data(NamedTuple):
    """Noisy values of fields at points. A NaN is a field that was not observed.

    `noise` is the standard deviation σ of the values, one number or one per field.
    """

    t: Float[Array, " n"]
    x: Float[Array, "n d"]
    value: Float[Array, "n c"]
    noise: ScalarLike | Float[Array, " c"]


class Batch(NamedTuple):
    """Where residuals are taken, and where the initial state is where it is soft."""

    points: Points
    initial: Float[Array, "n d"]


Rows = dict[str, Float[Array, "n r"]]


class Block(NamedTuple):
    """One kind of residual in the loss: a row of `Objective.table`.

    Args:
        weight: λ.
        points: batch → the arguments of a residual, arrays of the same length.
        residual: (model, window) → a function of one point, to (r,).
        count: rows → what their sum of squares is divided by.
    """

    weight: ScalarLike
    points: Callable[[Batch], tuple[Array, ...]]
    residual: Callable[[Model, Window], Callable]
    count: Callable[[Array], ScalarLike] = len


class Losses(NamedTuple):
    """Mean squares of the blocks, the equation's by chunks of time."""

    chunks: Chunks
    others: dict[str, Scalar]


class Objective(eqx.Module):
    """Sum the weighted residuals, the initial and the data loss of a window.

    (1/n) Σᵢ wᵢ Lᵢ + λ₀ L₀ + λ_d L_d  on a window [t0, t1].

    Lᵢ is the mean square of the equation's relative residual (`dynax.pinn.window`) over
    the i-th chunk of ascending times, L₀ that of (u(t0, x) − u₀(x))/S, L_d that of
    (u − data)/σ: no units. Data gate a chunk, as the initial state does, with their
    misfit beyond the noise at times before it.

    Args:
        times, points: collocation times, and places at each.
        chunks: of time, as many weights; divides `times`.
        scheme: of the weights.
        engine: of derivatives.
        initial_weight: λ₀; None where the ansatz meets the initial state exactly.
        initial_points: places where it is compared otherwise, fresh ones every time:
            errors of the start grow with the solution.
        data, data_weight: of an inverse problem; λ_d.
        ansatz: (pde, network, window) → u: `exact_initial`, `HeatKernelInitial(ν)`,
            or `penalised_initial` with an initial weight.
        overlap: train to t1 + overlap·(t1 − t0).
    """

    times: int = eqx.field(static=True, default=32)
    points: int = eqx.field(static=True, default=64)
    chunks: int = eqx.field(static=True, default=16)
    scheme: AbstractScheme = Causal()
    engine: Engine = eqx.field(static=True, default=derivatives)
    initial_weight: ScalarLike | None = None
    initial_points: int = eqx.field(static=True, default=256)
    data: Data | None = None
    data_weight: ScalarLike = 1.0
    ansatz: Callable = eqx.field(static=True, default=exact_initial)
    overlap: ScalarLike = 0.0

    def __check_init__(self):
        if self.times < 2 or self.chunks < 2 or self.times % self.chunks:
            raise ValueError(
                f"times, chunks: given {self.times}, {self.chunks}; accepted are "
                "chunks ≥ 2 that divide the times."
            )
        if self.data is not None:
            t, x, value, _ = self.data
            if not (t.ndim == 1 and x.shape[:1] == value.shape[:1] == t.shape):
                raise ValueError(
                    f"data: given t {t.shape}, x {x.shape}, value {value.shape}; "
                    "accepted are (n,), (n, d), (n, c)."
                )

    def sample(self, key, pde: AbstractPDE, window: Window, dtype=None) -> Batch:
        """Fresh points."""
        t0, length = window.t0, jnp.asarray(window.t1 - window.t0)
        t1 = window.t1 + tree.cast(self.overlap, length.dtype) * length
        points = pde.sample(key, self.times, self.points, t0, t1, dtype)
        if self.initial_weight is None:
            return Batch(points, points.x[0, :0])
        again = jax.random.fold_in(key, 0)
        start = pde.sample(again, 2, self.initial_points, dtype=points.x.dtype)
        return Batch(points, start.x[0])

    def table(self) -> dict[str, Block]:
        """The blocks of the loss, by name."""
        table = {"equation": Block(1.0, lambda b: flat(b.points), self.relative)}
        if self.initial_weight is not None:
            start = lambda b: (b.initial,)
            table["initial"] = Block(self.initial_weight, start, self.late)
        if (data := self.data) is not None:
            seen = lambda b: (data.t, data.x, data.value, self.noise())
            count = lambda rows: self.observed()
            table["data"] = Block(self.data_weight, seen, self.misfit, count)
        return table

    def relative(self, model: Model, window: Window) -> Callable:
        """(t, x) → ρ, the equation's relative residual."""
        window = window.measured(model.pde)
        u = self.ansatz(model.pde, model.network, window)

        def residual(t, x):
            r = model.pde.residual(u, t, x, self.engine)
            return r / tree.cast(window.scale.rows, r.dtype)

        return residual

    def late(self, model: Model, window: Window) -> Callable:
        """x → (u(t₀, x) − u₀(x))/S."""
        u = self.ansatz(model.pde, model.network, window)

        def residual(x):
            off = u(tree.cast(window.t0, x.dtype), x) - window.initial(x)
            return off / tree.cast(window.scale.sizes, off.dtype)

        return residual

    def misfit(self, model: Model, window: Window) -> Callable:
        """(t, x, value, σ) → (u(t, x) − value)/σ, 0 where nothing was observed."""
        u = self.ansatz(model.pde, model.network, window)

        def residual(t, x, value, noise):
            return jnp.where(jnp.isnan(value), 0, (u(t, x) - value) / noise)

        return residual

    def noise(self):
        assert self.data is not None
        value, noise = self.data.value, self.data.noise
        return jnp.broadcast_to(tree.cast(noise, value.dtype), value.shape)

    def observed(self):
        assert self.data is not None
        return jnp.maximum(jnp.sum(~jnp.isnan(self.data.value)), 1).astype(
            self.data.value.dtype
        )

    def blocks(self, model: Model, window: Window, batch: Batch) -> Rows:
        """All residuals by block, unweighted."""
        window = window.measured(model.pde, batch.points.t.dtype)
        return {
            name: jax.vmap(block.residual(model, window))(*block.points(batch))
            for name, block in self.table().items()
        }

    def losses(self, rows: Rows) -> Losses:
        """Mean squares."""
        chunked = rows["equation"].reshape(self.chunks, -1)
        # a chunk's loss sums over residuals (fields), and is a mean over points
        chunks = jnp.mean(chunked**2, 1) * rows["equation"].shape[-1]
        others = {
            name: jnp.sum(rows[name] ** 2) / block.count(rows[name])
            for name, block in self.table().items()
            if name != "equation"
        }
        return Losses(chunks, others)

    def log_weights(
        self, losses: Losses, blocks: Rows, batch: Batch, causality: ScalarLike
    ) -> Chunks:
        """log wᵢ, under stop-gradient."""
        gating = self.gating_losses(losses, blocks, batch)
        return log_weights(self.scheme, *gating, causality)

    def log_min(
        self, losses: Losses, blocks: Rows, batch: Batch, causality: ScalarLike
    ) -> Scalar:
        """−ε(L₀ + Σ_{k≤n} L_k), whatever the scheme: what the stop test asks. It is the
        causal weight that a chunk after the last one would have."""
        total = up_to_end(*self.gating_losses(losses, blocks, batch))
        total = jax.lax.stop_gradient(jnp.where(jnp.isnan(total), jnp.inf, total))
        return -tree.cast(jax.lax.stop_gradient(causality), total.dtype) * total

    def gating_losses(self, losses, blocks, batch) -> tuple[Chunks, Scalar]:
        """Returns the losses that later chunks wait for: by chunks, and λ₀L₀."""
        chunks, start = losses.chunks, jnp.zeros((), losses.chunks.dtype)
        if self.initial_weight is not None:
            start = tree.cast(self.initial_weight, start.dtype)
            start = start * losses.others["initial"]
        if self.data is not None:
            chunks = chunks + self.unexplained(blocks, batch)
        return chunks, start

    def unexplained(self, blocks, batch) -> Chunks:
        """The data's misfit beyond their noise, by chunks of time: what the mean square
        up to a chunk has more than χ²/n has in 999 cases of 1000, at its greatest yet.

        Source of the quantile: Wilson, Hilferty, PNAS 17 (1931).
        """
        assert self.data is not None
        first = batch.points.t.reshape(self.chunks, -1)[:, 0]
        chunk = jnp.clip(jnp.searchsorted(first, self.data.t) - 1, 0)
        seen = ~jnp.isnan(self.data.value)
        upto = lambda a: jax.ops.segment_sum(a, chunk, self.chunks).sum(1).cumsum()
        count = jnp.maximum(upto(seen.astype(blocks["data"].dtype)), 1)
        spread = 2 / (9 * count)
        noise = (1 - spread + 3.09 * jnp.sqrt(spread)) ** 3
        excess = jnp.maximum(upto(blocks["data"] ** 2) / count - noise, 0)
        steps = jnp.diff(jax.lax.cummax(excess), prepend=0)
        return tree.cast(self.data_weight, steps.dtype) * steps

    def total(self, losses: Losses, log_w: Chunks) -> Scalar:
        """The loss with weights given."""
        loss = jnp.mean(_weighed(jnp.exp(log_w), losses.chunks))
        for name, block in self.table().items():
            if name != "equation":
                weight = tree.cast(block.weight, loss.dtype)
                loss = loss + weight * losses.others[name]
        return loss

    def parts(self, blocks: Rows, log_w: Chunks) -> dict[str, Float[Array, " rows"]]:
        """Rows by block: each block's sum of squares is its loss, without its λ."""
        root = jnp.exp(jnp.repeat(log_w, len(blocks["equation"]) // self.chunks) / 2)
        rows = blocks | {"equation": _weighed(root[:, None], blocks["equation"])}
        return {
            name: jnp.ravel(rows[name] / jnp.sqrt(block.count(rows[name])))
            for name, block in self.table().items()
        }

    def rows(self, blocks: Rows, log_w: Chunks) -> Float[Array, " rows"]:
        """Rows whose sum of squares is the loss with weights given."""
        parts = self.parts(blocks, log_w)
        root = lambda block, a: jnp.sqrt(tree.cast(block.weight, a.dtype)) * a
        return jnp.concatenate([root(b, parts[k]) for k, b in self.table().items()])

    def weights(self) -> dict[str, Array]:
        """λ of each block: 1, λ₀, λ_d."""
        dtype = jnp.result_type(float)
        return {k: jnp.asarray(b.weight, dtype) for k, b in self.table().items()}

    def weighed(self, weights: dict[str, Array]) -> "Objective":
        """The same objective with other λ, the equation's being 1."""
        one = weights["equation"]
        others = (k for k in weights if k != "equation")
        new = {f"{k}_weight": weights[k] / one for k in others}
        return dataclasses.replace(self, **new)

    def linearised(self, params, static, window, batch, log_w):
        """(rows, J) for Gauss–Newton."""
        return self.weighed_slopes(self.slopes(params, static, window, batch), log_w)

    def slopes(self, params, static, window, batch) -> dict[str, tuple[Array, Array]]:
        """(residuals, their gradients) by block: each point's own, O(points)."""
        start, unravel = ravel_pytree(params)
        window = window.measured(eqx.combine(params, static).pde, start.dtype)

        def at(block: Block):
            def residual(params, *point):
                model = eqx.combine(unravel(params), static)
                return block.residual(model, window)(*point)

            def both(*point):
                return residual(start, *point), jax.jacrev(residual)(start, *point)

            return jax.vmap(both)(*block.points(batch))

        return {name: at(block) for name, block in self.table().items()}

    def weighed_slopes(self, slopes: dict[str, tuple[Array, Array]], log_w: Chunks):
        """(rows, J) of `slopes`."""
        values, each = ({k: v[i] for k, v in slopes.items()} for i in (0, 1))
        rows = lambda blocks: self.rows(blocks, log_w)
        return rows(values), jax.vmap(rows, in_axes=-1, out_axes=-1)(each)


def flat(points: Points) -> tuple[Array, Array]:
    """(t, x) of each point, for one vmap: one inside the other costs XLA half as much
    again in transposes."""
    times, places, d = points.x.shape
    return jnp.repeat(points.t, places), points.x.reshape(times * places, d)


def over(function: Callable, points: Points):
    """function(t, x) at all points, (times, points, …)."""
    found = jax.vmap(function)(*flat(points))
    shape = points.x.shape[:2]
    return tree.map(lambda a: a.reshape(*shape, *a.shape[1:]), found)


def _weighed(weight, value):
    """weight·value, 0 where the weight is 0 whatever the value."""
    return jnp.where(weight > 0, weight * jnp.where(weight > 0, value, 0), 0)
