"""The loss of a physics-informed network on one window of time, as rows."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike
from dynax.pde import AbstractPDE, Periodic, Points, derivatives
from dynax.pde.conditions import by_side, rows_at
from dynax.pde.derivatives import Engine
from dynax.pinn.ansatz import exact_initial
from dynax.pinn.causal import (
    AbstractScheme,
    Causal,
    Chunks,
    Uniform,
    log_weights,
    up_to_end,
)
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


class Side(NamedTuple):
    """Points of a side at ascending times, and the outward normals there."""

    t: Float[Array, " n"]
    x: Float[Array, "n d"]
    normal: Float[Array, "n d"]


class Batch(NamedTuple):
    """Where residuals are taken: inside, at the start where that is soft, on sides."""

    points: Points
    initial: Float[Array, "n d"]
    sides: dict[str, Side] = {}


Rows = dict[str, Float[Array, "n r"]]


class Block(NamedTuple):
    """One kind of residual in the loss: a row of `Objective.table`.

    Args:
        points: batch → the arguments of a residual, arrays of the same length.
        residual: (model, window) → a function of one point, to (r,).
        weight: λ.
    """

    points: Callable[[Batch], tuple[Array, ...]]
    residual: Callable[[Model, Window], Callable]
    weight: ScalarLike = 1.0


class Losses(NamedTuple):
    """Mean squares of the blocks, the equation's and the sides' by chunks of time."""

    chunks: Chunks
    others: dict[str, Scalar]
    sides: dict[str, Chunks] = {}

    @property
    def each(self) -> dict[str, Scalar]:
        """Of all blocks but the equation."""
        return self.others | {name: jnp.mean(a) for name, a in self.sides.items()}


class Objective(eqx.Module):
    """Sum the weighted losses of equation, sides, initial state and data of a window.

    (1/n) Σᵢ wᵢ (Lᵢ + Σ_s λ_s Lᵢˢ) + λ₀ L₀ + λ_d L_d  on a window [t0, t1].

    Lᵢ is the mean square of the equation's relative residual (`dynax.pinn.window`) over
    the i-th chunk of ascending times, Lᵢˢ that of a side's condition at the same times,
    where the ansatz does not meet it exactly, L₀ that of (u(t0, x) − u₀(x))/S, L_d that
    of (u − data)/σ: no units. Data gate a chunk, as the initial state does, with their
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
        side_points: places on each side at each time; None: as dense as the points.
        block_weights: λ by name: of a side, or of any other block.
        extra: blocks of your own, by name.
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
    side_points: int | None = eqx.field(static=True, default=None)
    block_weights: dict[str, ScalarLike] = eqx.field(default_factory=dict)
    extra: dict[str, Block] = eqx.field(default_factory=dict)
    ansatz: Callable = eqx.field(static=True, default=exact_initial)
    overlap: ScalarLike = 0.0

    def __check_init__(self):
        least = 1 if isinstance(self.scheme, Uniform) else 2
        if self.chunks < least or self.times % self.chunks:
            raise ValueError(
                f"times, chunks: given {self.times}, {self.chunks}; accepted are "
                f"chunks ≥ {least} that divide the times."
            )
        if self.data is not None:
            t, x, value, _ = self.data
            if not (t.ndim == 1 and x.shape[:1] == value.shape[:1] == t.shape):
                raise ValueError(
                    f"data: given t {t.shape}, x {x.shape}, value {value.shape}; "
                    "accepted are (n,), (n, d), (n, c)."
                )

    @classmethod
    def steady(cls, points: int = 512, **settings) -> "Objective":
        """Of a problem without time: one batch of points, no causal weights."""
        return cls(1, points, 1, scheme=Uniform(), **settings)

    def sample(self, key, pde: AbstractPDE, window: Window, dtype=None) -> Batch:
        """Fresh points."""
        t0, length = window.t0, jnp.asarray(window.t1 - window.t0)
        t1 = window.t1 + tree.cast(self.overlap, length.dtype) * length
        points = pde.sample(key, self.times, self.points, t0, t1, dtype)
        sides = self.on_sides(jax.random.fold_in(key, 1), pde, points)
        if self.initial_weight is None:
            return Batch(points, points.x[0, :0], sides)
        again = jax.random.fold_in(key, 0)
        start = pde.sample(again, 2, self.initial_points, dtype=points.x.dtype)
        return Batch(points, start.x[0], sides)

    def on_sides(self, key, pde: AbstractPDE, points: Points) -> dict[str, Side]:
        """Fresh points of every side with a condition, at the times of the points."""
        sides, d = by_side(pde), len(pde.lower)
        count = self.side_points or round(2 * self.points ** ((d - 1) / max(d, 1)))
        count = 1 if d == 1 else count
        found, keys = {}, jax.random.split(key, max(len(sides), 1))
        for name, key in zip(sides, keys, strict=False):
            draw = lambda key, name=name: pde.shape.on(name, key, count, points.x.dtype)
            x, normal = jax.vmap(draw)(jax.random.split(key, len(points.t)))
            t = jnp.repeat(points.t, count)
            found[name] = Side(t, x.reshape(-1, d), normal.reshape(-1, d))
        return found

    def table(self, pde: AbstractPDE) -> dict[str, Block]:
        """The blocks of the loss, by name."""
        table = {"equation": Block(lambda b: flat(b.points), self.relative)}
        for name in self.soft(pde):
            at = lambda b, name=name: tuple(b.sides[name])
            table[name] = Block(at, functools.partial(self.on, name))
        if self.initial_weight is not None:
            table["initial"] = Block(lambda b: (b.initial,), self.late)
        if (data := self.data) is not None:
            seen = lambda b: (data.t, data.x, data.value, self.noise())
            table["data"] = Block(seen, self.misfit)
        if both := {*table} & {*self.extra}:
            raise ValueError(
                f"extra: given {', '.join(both)}; accepted are names other than "
                f"{', '.join(table)}."
            )
        return table | self.extra

    def soft(self, pde: AbstractPDE) -> list[str]:
        """The sides whose condition is a term of the loss."""
        exact = getattr(self.ansatz, "holds", lambda pde: ())(pde)
        conditions = by_side(pde).items()
        return [
            name
            for name, c in conditions
            if name not in exact and not isinstance(c, Periodic)
        ]

    def weight(self, name: str) -> ScalarLike:
        """λ of a block."""
        given = {
            "initial": self.initial_weight,
            "data": self.data_weight,
            **{name: block.weight for name, block in self.extra.items()},
            **self.block_weights,
        }
        return given.get(name, 1.0)

    def timed(self, name: str) -> bool:
        """Whether a block has rows at the collocation times, with causal weights."""
        return name not in ("initial", "data", *self.extra)

    def on(self, side: str, model: Model, window: Window) -> Callable:
        """(t, x, n) → the relative residual of a side's condition."""
        pde, window = model.pde, window.measured(model.pde)
        condition = by_side(pde)[side]
        u = self.ansatz(pde, model.network, window)
        needs = condition.needs(len(pde.lower))
        sizes = window.scale.sides[side] @ window.scale.sizes

        def residual(t, x, n):
            rows = rows_at(pde, condition, t, x, n, self.engine(u, t, x, needs))
            return rows / tree.cast(sizes, rows.dtype)

        return residual

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
            for name, block in self.table(model.pde).items()
        }

    def count(self, name: str, rows: Array) -> ScalarLike:
        """What a block's sum of squares is divided by."""
        return self.observed() if name == "data" else len(rows)

    def losses(self, rows: Rows) -> Losses:
        """Mean squares."""

        def chunked(a):
            # a chunk's loss sums over residuals (fields), and is a mean over points
            return jnp.mean(a.reshape(self.chunks, -1) ** 2, 1) * a.shape[-1]

        mean = lambda name, a: jnp.sum(a**2) / self.count(name, a)
        timed = {name: chunked(a) for name, a in rows.items() if self.timed(name)}
        rest = {name: mean(name, a) for name, a in rows.items() if name not in timed}
        return Losses(timed.pop("equation"), rest, timed)

    def with_sides(self, losses: Losses) -> Chunks:
        """Lᵢ + Σ_s λ_s Lᵢˢ."""
        chunks = losses.chunks
        for name, side in losses.sides.items():
            chunks = chunks + tree.cast(self.weight(name), side.dtype) * side
        return chunks

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
        chunks = self.with_sides(losses)
        start = jnp.zeros((), chunks.dtype)
        if self.initial_weight is not None:
            start = tree.cast(self.weight("initial"), start.dtype)
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
        return tree.cast(self.weight("data"), steps.dtype) * steps

    def total(self, losses: Losses, log_w: Chunks) -> Scalar:
        """The loss with weights given."""
        loss = jnp.mean(_weighed(jnp.exp(log_w), self.with_sides(losses)))
        for name, other in losses.others.items():
            loss = loss + tree.cast(self.weight(name), loss.dtype) * other
        return loss

    def parts(self, blocks: Rows, log_w: Chunks) -> dict[str, Float[Array, " rows"]]:
        """Rows by block: each block's sum of squares is its loss, without its λ."""
        found = {}
        for name, rows in blocks.items():
            if self.timed(name):
                root = jnp.exp(jnp.repeat(log_w, len(rows) // self.chunks) / 2)
                rows = _weighed(root[:, None], rows)
            found[name] = jnp.ravel(rows / jnp.sqrt(self.count(name, rows)))
        return found

    def rows(self, blocks: Rows, log_w: Chunks) -> Float[Array, " rows"]:
        """Rows whose sum of squares is the loss with weights given."""
        parts = self.parts(blocks, log_w)
        root = lambda name, a: jnp.sqrt(tree.cast(self.weight(name), a.dtype)) * a
        # sorted, as JAX hands on dictionaries
        return jnp.concatenate([root(name, parts[name]) for name in sorted(parts)])

    def weights(self, losses: Losses) -> dict[str, Array]:
        """λ of each block, the equation's being 1."""
        dtype, names = jnp.result_type(float), ("equation", *losses.each)
        return {name: jnp.asarray(self.weight(name), dtype) for name in names}

    def weighed(self, weights: dict[str, Array]) -> "Objective":
        """The same objective with other λ, the equation's being 1."""
        one = weights["equation"]
        new = {name: a / one for name, a in weights.items() if name != "equation"}
        return dataclasses.replace(self, block_weights=new)

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

        table = self.table(eqx.combine(params, static).pde)
        return {name: at(block) for name, block in table.items()}

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
