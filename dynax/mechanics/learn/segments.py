"""The loss of a motion: segments of it, each run again from its start."""

import functools
from typing import Any, Literal

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from dynax import _tree as tree
from dynax._types import Scalar
from dynax.material.kinematics import matmul
from dynax.mechanics.learn.trajectory import Trajectory
from dynax.mechanics.mpm.body import (
    Body,
    Material,
    Materials,
    at_rest,
    by_law,
    masses,
    several,
    stored,
)
from dynax.mechanics.mpm.simulate import simulate
from dynax.mechanics.mpm.solver import MPM


Reset = Literal["full_state", "positions"]


class Segments(eqx.Module):
    r"""Run the law from each segment's start, and compare positions. Σ over segments of
    the mean of |x̂ − x|²/unit².

    A trajectory of T steps is T/h segments of h steps, independent of one another, so
    they run side by side. At the start of each the state is what was seen, with

        reset = "full_state"   x, v, C, F and α of the trajectory (Ma et al. 2023)
        reset = "positions"    x alone: v and C follow from places (`velocities`), and F
                               and α by the law itself along them, F ← (I + dt C)F,
                               (F, α) ← law.update(F, α, dt), from F = I at t = 0

    No gradient goes through the starts. From where a run fails it counts as if its
    points stayed at their starts; how many fail is counted, and they have no gradient:
    before it fails a run is unstable, and its gradient would drown all others.

    With unit = 1 cm it is the loss of Ma et al., arXiv:2304.14369.

    Args:
        solver: as the motion had it.
        materials: of the points; what they have as laws is replaced by the learned one:
            a law, or for a tuple of materials a tuple, None where a law is known.
        trajectory: what was seen.
        horizon: h, steps of a segment; T is a multiple of it.
        reset: what is known at starts. They are two different experiments.
        unit: of length, m.
        batch: how many segments run as one vmapped program; None is all of them (for
            a GPU), 1 one after the other.
        mesh: of one axis, over whose devices the segments are spread.

    Raises:
        ValueError: shapes that do not fit, velocities wanted and not there.
    """

    solver: MPM
    materials: Materials
    seen: Trajectory
    starts: Body
    horizon: int = eqx.field(static=True)
    reset: Reset = eqx.field(static=True)
    unit: float
    batch: int | None = eqx.field(static=True)
    mesh: jax.sharding.Mesh | None = eqx.field(static=True)

    def __init__(
        self,
        solver: MPM,
        materials: Materials,
        trajectory: Trajectory,
        horizon: int,
        reset: Reset = "full_state",
        unit: float = 0.01,
        batch: int | None = 1,
        mesh: jax.sharding.Mesh | None = None,
    ):
        steps = trajectory.steps
        if not 0 < horizon <= steps or steps % horizon:
            raise ValueError(
                f"horizon: given {horizon}; accepted is a divisor of the trajectory's "
                f"{steps} steps."
            )
        if reset not in ("full_state", "positions"):
            raise ValueError(
                f"reset: given {reset!r}; accepted is 'full_state' or 'positions'."
            )
        if mesh is not None and len(mesh.axis_names) != 1:
            raise ValueError(
                f"mesh: given axes {mesh.axis_names}; accepted is one axis."
            )
        count = sum(m.count for m in several(materials))
        if trajectory.y.x.shape[1] != count:
            raise ValueError(
                f"trajectory: given {trajectory.y.x.shape[1]} points; accepted is as "
                f"many as the materials have, {count}."
            )
        if reset == "full_state":
            if not trajectory.full:
                raise ValueError(
                    "trajectory: given places only; accepted with reset='full_state' "
                    "is one with v, C and F. With places try reset='positions'."
                )
            y = state(trajectory, materials)
            self.starts = jax.tree.map(lambda a: a[:-1:horizon], y)
        else:
            v, C = velocities(solver, materials, trajectory)
            x = trajectory.y.x[:-1:horizon]
            self.starts = Body(x, v[:-1:horizon], C, None, ())  # pyright: ignore
        self.solver, self.materials, self.seen = solver, materials, trajectory
        self.horizon, self.reset, self.unit = horizon, reset, unit
        self.batch, self.mesh = batch, mesh

    def __call__(self, law: PyTree) -> tuple[Scalar, Int[Array, ""]]:
        """The loss, and how many segments failed."""
        args = filled(self.materials, law)
        starts, dtype = self.states(args), self.seen.y.x.dtype
        targets = self.seen.y.x[1:].reshape(-1, self.horizon, *self.seen.y.x.shape[1:])
        dt = self.seen.dt
        run = lambda args, one: _gap(self.solver, args, dt, self._adjoint(), *one)
        total = functools.partial(_total, run, self.batch or targets.shape[0])
        if self.mesh is not None:
            total = functools.partial(_spread, total, self.mesh)
        count = jnp.ones((targets.shape[0],), dtype)
        error, failed = total(args, (starts, targets), count)
        return error / tree.cast(self.unit, dtype) ** 2, failed.astype(jnp.int32)

    def _adjoint(self) -> diffrax.AbstractAdjoint | None:
        """In a `shard_map` diffrax's checkpoints cannot be."""
        return None if self.mesh is None else diffrax.DirectAdjoint()

    def states(self, args: Materials) -> Body:
        """Of all starts, each leaf leading by segments."""
        if self.reset == "full_state":
            return self.starts
        dtype, dt = self.seen.y.x.dtype, tree.cast(self.seen.dt, self.seen.y.x.dtype)
        rest = at_rest(args, self.seen.y.x[0])

        def step(now, C):
            F, alpha = now
            moved = F + matmul(dt * C, F)
            update = lambda law, F, alpha: law.update(F, alpha, dt)
            parts = by_law(update, args, moved, alpha)
            F = jnp.concatenate([F for F, _ in parts])
            return (F, stored(tuple(a for _, a in parts))), now

        now = jax.lax.stop_gradient((rest.F, rest.alpha))
        _, (F, alpha) = jax.lax.scan(step, now, self.starts.C[1:].astype(dtype))
        pick = lambda a: jax.lax.stop_gradient(a[:: self.horizon])
        F, alpha = jax.tree.map(pick, (F, alpha))
        return self.starts._replace(
            C=self.starts.C[: -1 : self.horizon], F=F, alpha=alpha
        )


def growing(
    horizons: tuple[int, ...], epochs: int, **known: Any
) -> list[tuple[Segments, int]]:
    """Stages for `fit`: equal shares of the epochs, with segments that grow.

    Args:
        horizons: of the stages in turn.
        epochs: in all.
        known: the other arguments of `Segments`.
    """
    edges = [epochs * k // len(horizons) for k in range(len(horizons) + 1)]
    shares = [b - a for a, b in zip(edges[:-1], edges[1:], strict=True)]
    loss = functools.partial(Segments, **known)
    return [(loss(horizon=h), n) for h, n in zip(horizons, shares, strict=True)]


def filled(materials: Materials, law: PyTree) -> Materials:
    """Return the materials with laws in the place of theirs. None keeps what is there.

    Raises:
        TypeError: a tuple of materials, and not as many laws.
    """
    put = lambda material, law: (
        material
        if law is None
        else Material(law, material.density, material.volume, material.count)
    )
    if isinstance(materials, Material):
        return put(materials, law)
    if not isinstance(law, tuple | list) or len(law) != len(materials):
        raise TypeError(
            f"law: given {type(law).__name__}; accepted is a tuple of {len(materials)} "
            "laws, one a material, None where it is known."
        )
    return tuple(put(*both) for both in zip(materials, law, strict=True))


def state(trajectory: Trajectory, materials: Materials) -> Body:
    """Of a full trajectory, with an `alpha` where it says none."""
    y = trajectory.y
    return y if y.alpha else y._replace(alpha=(None,) * len(several(materials)))


def velocities(
    solver: MPM, materials: Materials, trajectory: Trajectory, sweeps: int = 20
) -> tuple[Float[Array, "T N d"], Float[Array, "T N d d"]]:
    """Find v and C of all states from positions alone.

    v = (x − x₋)/dt is what moved the points. It is read from a grid, v = Σ w vᵢ at x₋;
    the vᵢ that do so, nearest to the average of the points about, come by conjugate
    gradients, `sweeps` of them, and C = Σ w vᵢ ⊗ (xᵢ − x₋)/D from them. The first
    state takes those of the second.
    """
    x, dt = trajectory.y.x, trajectory.dt
    v = (x[1:] - x[:-1]) / tree.cast(dt, x.dtype)
    known = functools.partial(_affine, solver, masses(materials, x.dtype), sweeps)
    C = jax.jit(lambda x, v: jax.lax.map(lambda a: known(*a), (x, v)))(x[:-1], v)
    first = lambda a: jnp.concatenate([a[:1], a])
    return first(v), first(C)


def _affine(solver, m, sweeps, x, v):
    grid, transfer = solver.grid, solver.transfer
    dx, d = tree.cast(grid.dx, x.dtype), x.shape[1]
    m = (m / jnp.max(m))[:, None]
    none = lambda c: jnp.zeros((x.shape[0], c, d), x.dtype)
    spread = lambda p: transfer.to_grid(grid, x, p, none(p.shape[1]))
    read = lambda nodes: transfer.to_points(grid, x, nodes)
    mass = spread(m)
    full = mass > jnp.finfo(x.dtype).eps ** 2
    mean = lambda p: jnp.where(full, spread(m * p) / jnp.where(full, mass, 1), 0)
    # u = Wᵀ-average of p with W u = v − W·mean(v): conjugate gradients for p
    start = mean(v)
    apply = lambda p: read(mean(p))[0]
    dot = lambda a, b: jnp.sum(m * a * b)

    def sweep(_, now):
        p, r, q = now
        Aq, size = apply(q), dot(r, r)
        step = size / jnp.maximum(dot(q, Aq), jnp.finfo(x.dtype).tiny)
        after = r - step * Aq
        turn = dot(after, after) / jnp.maximum(size, jnp.finfo(x.dtype).tiny)
        return p + step * q, after, after + turn * q

    r = v - read(start)[0]
    p, *_ = jax.lax.fori_loop(0, sweeps, sweep, (jnp.zeros_like(r), r, r))
    return 4 / dx * read(start + mean(p))[1]


def rollout(solver, args, start: Body, dt, steps, adjoint=None):
    """Places from `start` on, (steps + 1, N, d); which of them were reached, where not
    those of the start stand; and how many steps were made."""
    motion = simulate(
        solver, args, start, dt, steps, 1, adjoint, observe=lambda y: y.x, throw=False
    )
    seen = jnp.isfinite(motion.t[:, None, None]) & jnp.isfinite(motion.y)
    return jnp.where(seen, motion.y, start.x[None]), seen, motion.steps


def _gap(solver, args, dt, adjoint, start: Body, target):
    """The mean of |x̂ − x|² over a segment, and whether it failed."""
    x, seen, _ = rollout(solver, args, start, dt, target.shape[0], adjoint)
    error, failed = jnp.mean((x[1:] - target) ** 2), ~jnp.all(seen)
    return jnp.where(failed, jax.lax.stop_gradient(error), error), failed


def _total(run, batch, args, xs, count):
    """Sums over the segments, each as often as `count` says."""
    one = lambda x: run(args, x)
    errors, failed = jax.lax.map(one, xs, batch_size=min(batch, count.size))
    return jnp.sum(count * errors), jnp.sum(count * failed.astype(count.dtype))


def _spread(total, mesh, args, xs, count):
    """`total` of the parts that each device of a mesh has, with its gradient taken
    there: diffrax's loops cannot be differentiated through a `shard_map`."""
    (axis,), spare = mesh.axis_names, -count.size % mesh.size
    more = lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], spare, 0)])
    xs, count = jax.tree.map(more, xs), jnp.append(count, jnp.zeros(spare, count.dtype))
    numbers, rest = eqx.partition(args, eqx.is_inexact_array)
    part = lambda numbers, xs, count: total(eqx.combine(numbers, rest), xs, count)
    P = jax.sharding.PartitionSpec

    def apart(f):
        summed = lambda *a: jax.lax.psum(f(*a), axis)
        specs = P(), P(axis), P(axis)
        return jax.shard_map(
            summed, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False
        )

    @jax.custom_vjp
    def value(numbers, xs, count):
        return apart(part)(numbers, xs, count)

    def forward(numbers, xs, count):
        both = jax.value_and_grad(part, has_aux=True)
        out, slope = apart(both)(numbers, xs, count)
        return out, (slope, xs, count)

    def backward(kept, given):
        slope, *others = kept
        return tree.scale(given[0], slope), *map(tree.zeros_like, others)

    value.defvjp(forward, backward)
    return value(numbers, xs, count)
