"""The loss of a physics-informed network on one window of time, as rows."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

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
    """Noisy values of fields at points; a NaN is a field that was not observed.

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


class Blocks(NamedTuple):
    """Residuals by block, unweighted: of the equation, the initial state, the data."""

    equation: Float[Array, "times points r"]
    initial: Float[Array, "n c"]
    data: Float[Array, "m c"]


class Losses(NamedTuple):
    """Mean squares of the blocks, the equation's by chunks of time."""

    chunks: Chunks
    initial: Scalar
    data: Scalar


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

    def blocks(self, model: Model, window: Window, batch: Batch) -> Blocks:
        """All residuals."""
        points = batch.points
        window = window.measured(model.pde, points.t.dtype)
        u = self.ansatz(model.pde, model.network, window)
        equation = over(self.relative(model, window), points)
        start = jax.vmap(lambda x: self.late(u, window, x))(batch.initial)
        return Blocks(equation, start, self.misfit(u, points.x.dtype))

    def relative(self, model: Model, window: Window) -> Callable:
        """(t, x) → ρ, the equation's relative residual."""
        window = window.measured(model.pde)
        u = self.ansatz(model.pde, model.network, window)

        def residual(t, x):
            r = model.pde.residual(u, t, x, self.engine)
            return r / tree.cast(window.scale.rows, r.dtype)

        return residual

    def late(self, u, window: Window, x):
        """(u(t₀, x) − u₀(x))/S."""
        t0 = tree.cast(window.t0, x.dtype)
        off = u(t0, x) - window.initial(x)
        return off / tree.cast(window.scale.sizes, off.dtype)

    def misfit(self, u, dtype):
        if self.data is None:
            return jnp.zeros((0, 1), dtype)
        t, x, value, _ = self.data
        found = (jax.vmap(u)(t, x) - value) / self.noise()
        return jnp.where(jnp.isnan(value), 0, found)

    def noise(self):
        assert self.data is not None
        value, noise = self.data.value, self.data.noise
        return jnp.broadcast_to(tree.cast(noise, value.dtype), value.shape)

    def losses(self, blocks: Blocks) -> Losses:
        """Mean squares."""
        chunked = blocks.equation.reshape(self.chunks, -1)
        # a chunk's loss sums over residuals (fields), and is a mean over points
        fields = blocks.equation.shape[-1]
        chunks = jnp.mean(chunked**2, 1) * fields
        seen = 1 if self.data is None else self.observed()
        initial = jnp.sum(blocks.initial**2) / max(len(blocks.initial), 1)
        return Losses(chunks, initial, jnp.sum(blocks.data**2) / seen)

    def observed(self):
        assert self.data is not None
        return jnp.maximum(jnp.sum(~jnp.isnan(self.data.value)), 1).astype(
            self.data.value.dtype
        )

    def log_weights(
        self, losses: Losses, blocks: Blocks, batch: Batch, causality: ScalarLike
    ) -> Chunks:
        """log wᵢ, under stop-gradient."""
        gating = self.gating_losses(losses, blocks, batch)
        return log_weights(self.scheme, *gating, causality)

    def log_min(
        self, losses: Losses, blocks: Blocks, batch: Batch, causality: ScalarLike
    ) -> Scalar:
        """−ε(L₀ + Σ_{k≤n} L_k), whatever the scheme: what the stop test asks. It is the
        causal weight that a chunk after the last one would have."""
        total = up_to_end(*self.gating_losses(losses, blocks, batch))
        total = jax.lax.stop_gradient(jnp.where(jnp.isnan(total), jnp.inf, total))
        return -tree.cast(jax.lax.stop_gradient(causality), total.dtype) * total

    def gating_losses(self, losses, blocks, batch) -> tuple[Chunks, Scalar]:
        """Returns the losses that later chunks wait for: by chunks, and λ₀L₀."""
        chunks = losses.chunks
        start = jnp.zeros_like(losses.initial)
        if self.initial_weight is not None:
            start = tree.cast(self.initial_weight, start.dtype) * losses.initial
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
        count = jnp.maximum(upto(seen.astype(blocks.data.dtype)), 1)
        spread = 2 / (9 * count)
        noise = (1 - spread + 3.09 * jnp.sqrt(spread)) ** 3
        excess = jnp.maximum(upto(blocks.data**2) / count - noise, 0)
        steps = jnp.diff(jax.lax.cummax(excess), prepend=0)
        return tree.cast(self.data_weight, steps.dtype) * steps

    def total(self, losses: Losses, log_w: Chunks) -> Scalar:
        """The loss with weights given."""
        loss = jnp.mean(_weighed(jnp.exp(log_w), losses.chunks))
        if self.initial_weight is not None:
            loss = loss + tree.cast(self.initial_weight, loss.dtype) * losses.initial
        if self.data is not None:
            loss = loss + tree.cast(self.data_weight, loss.dtype) * losses.data
        return loss

    def parts(self, blocks: Blocks, log_w: Chunks) -> dict[str, Array]:
        """Rows by block: each block's sum of squares is its loss, without its λ."""
        times, points, _ = blocks.equation.shape
        root = jnp.exp(jnp.repeat(log_w, times // self.chunks) / 2)
        rows = _weighed(root[:, None, None], blocks.equation) / (times * points) ** 0.5
        parts = {"equation": rows}
        if self.initial_weight is not None:
            parts["initial"] = blocks.initial / len(blocks.initial) ** 0.5
        if self.data is not None:
            parts["data"] = blocks.data / jnp.sqrt(self.observed())
        return {name: jnp.ravel(rows) for name, rows in parts.items()}

    def rows(self, blocks: Blocks, log_w: Chunks) -> Float[Array, " rows"]:
        """Rows whose sum of squares is the loss with weights given."""
        parts, weights = self.parts(blocks, log_w), self.weights()
        root = lambda name, a: jnp.sqrt(tree.cast(weights[name], a.dtype))
        return jnp.concatenate([root(k, a) * a for k, a in parts.items()])

    def weights(self) -> dict[str, Array]:
        """1, λ₀ and λ_d of the blocks there are."""
        given: dict[str, Any] = {"equation": 1.0}
        if self.initial_weight is not None:
            given["initial"] = self.initial_weight
        if self.data is not None:
            given["data"] = self.data_weight
        return {k: jnp.asarray(v, jnp.result_type(float)) for k, v in given.items()}

    def weighed(self, weights: dict[str, Array]) -> "Objective":
        """The same objective with other λ, the equation's being 1."""
        names = {"initial": "initial_weight", "data": "data_weight"}
        new = {
            names[k]: w / weights["equation"] for k, w in weights.items() if k in names
        }
        return dataclasses.replace(self, **new)

    def linearised(self, params, static, window, batch, log_w):
        """(rows, J) for Gauss–Newton: each point's own gradient, O(points)."""
        flat, unravel = ravel_pytree(params)
        window = window.measured(eqx.combine(params, static).pde, flat.dtype)

        def of(part):
            def row(flat):
                return part(eqx.combine(unravel(flat), static))

            return row(flat), jax.jacrev(row)(flat)

        def model_u(model):
            return self.ansatz(model.pde, model.network, window)

        def equation(t, x):
            return of(lambda m: self.relative(m, window)(t, x))

        def start(x):
            return of(lambda m: self.late(model_u(m), window, x))

        def datum(t, x, value, noise):
            def miss(m):
                found = (model_u(m)(t, x) - value) / noise
                return jnp.where(jnp.isnan(value), 0, found)

            return of(miss)

        points = batch.points
        found = [over(equation, points)]
        found += [jax.vmap(start)(batch.initial)]
        if self.data is None:
            c = found[1][0].shape[-1]
            empty = jnp.zeros((0, c), flat.dtype), jnp.zeros((0, c, len(flat)))
            found += [tree.map(lambda a: a.astype(flat.dtype), empty)]
        else:
            t, x, value, _ = self.data
            found += [jax.vmap(datum)(t, x, value, self.noise())]
        rows = self.rows(Blocks(*(r for r, _ in found)), log_w)
        columns = jax.vmap(
            lambda *js: self.rows(Blocks(*js), log_w), in_axes=-1, out_axes=-1
        )
        return rows, columns(*(j for _, j in found))


def over(function: Callable, points: Points):
    """function(t, x) at all points, (times, points, …): one vmap, since one inside the
    other costs XLA half as much again in transposes."""
    times, places, d = points.x.shape
    flat = jnp.repeat(points.t, places), points.x.reshape(times * places, d)
    found = jax.vmap(function)(*flat)
    return tree.map(lambda a: a.reshape(times, places, *a.shape[1:]), found)


def _weighed(weight, value):
    """weight·value, 0 where the weight is 0 whatever the value."""
    return jnp.where(weight > 0, weight * jnp.where(weight > 0, value, 0), 0)
