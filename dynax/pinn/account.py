"""All that a window's solution may be off by, each in shares of the solution's size.

What the certificate asks is one number: the mean square of the relative residual, in
the sizes that the solution itself has at that time (`Scale.own`), and beside it the
squares of what is off at the start, at the walls and in the data. Their sum is an error
squared: ε times it, times the number of chunks, is the exponent of the stop test.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax._types import Scalar
from dynax.pde.conditions import periodic_axes
from dynax.pinn.interpolant import AbstractInterpolant
from dynax.pinn.objective import Batch, Model, Objective, Rows, over
from dynax.pinn.window import Scale, Window


FACES = 4  # places at each wall, at each time


class Account(NamedTuple):
    """Squares of relative errors.

    Args:
        equation: the mean of Σᵢρᵢ² over the window.
        start: misfit of the initial state, and what an interpolant of it cut off.
        walls: jumps where the box is periodic, |u − u₀| where the boundary is "zero",
            else the residuals of the conditions on all sides; infinite where the
            equation's boundary is None, which nobody can test.
        data: misfit beyond the noise.
    """

    equation: Scalar
    start: Scalar
    walls: Scalar
    data: Scalar

    @property
    def total(self) -> Scalar:
        return self.equation + self.start + self.walls + self.data


def account(
    objective: Objective,
    model: Model,
    window: Window,
    batch: Batch,
    blocks: Rows,
    at_walls: bool = True,
) -> Account:
    """Of a model at points, given its residuals there (`objective.blocks`).

    Args:
        window: measured.
        at_walls: whether to look there too.
    """
    scale, pde, points = window.scale, model.pde, batch.points
    assert scale is not None
    u = objective.ansatz(pde, model.network, window)
    sizes = scale.own(over(u, points))
    rows = scale.per_row(sizes)
    residual = blocks["equation"].reshape(*points.x.shape[:2], -1)
    residual = residual * (scale.rows[None] / rows)[:, None]
    first = sizes[0]
    start = jnp.zeros((), residual.dtype)
    if "initial" in blocks:
        missed = blocks["initial"] * (scale.sizes / first)[None]
        start = jnp.sum(missed**2) / len(missed)
    if isinstance(window.initial, AbstractInterpolant):
        start = start + jnp.sum((window.initial.error / first) ** 2)
    data = jnp.zeros_like(start)
    if objective.data is not None:
        data = jnp.sum(objective.unexplained(blocks, batch)) / objective.chunks
    equation = jnp.mean(jnp.sum(residual**2, -1))
    off = jnp.zeros_like(start)
    if at_walls:
        off = walls(objective, model, u, window, batch, sizes)
    return Account(equation, start, off, data)


def walls(objective, model: Model, u, window: Window, batch: Batch, sizes):
    """Mean square of what is off at the walls, in shares of the sizes S_f(t).

    A jump of ∂ᵏu between periodic walls is a residual as well: spread over the box of
    length L, the term ∂ᵐu of the equation has it as [∂ᵏu]/L^{m−k}.
    """
    pde, points = model.pde, batch.points
    zero = jnp.zeros((), points.t.dtype)
    if not pde.lower:
        return zero
    if pde.boundary is None:
        return zero + jnp.inf
    out = zero
    for name, side in batch.sides.items():
        if name not in window.scale.sides:
            continue
        rows = jax.vmap(objective.on(name, model, window))(*side)
        rows = rows * (window.scale.sides[name] @ window.scale.sizes)[None]
        of = (sizes @ window.scale.sides[name].T)[:, None]
        rows = rows.reshape(len(points.t), -1, rows.shape[-1])
        out = out + jnp.mean(jnp.sum((rows / of) ** 2, -1))
    x = points.x[:, :FACES]
    t = jnp.broadcast_to(points.t[:, None], x.shape[:2])
    mean = lambda a: jnp.mean(jnp.sum(a**2, -1))
    everywhere = lambda f, *at: jax.vmap(jax.vmap(f))(*at)
    axes = periodic_axes(pde) if pde.boundary != "zero" else range(len(pde.lower))
    for axis in axes:
        a, b = pde.lower[axis], pde.upper[axis]
        low, high = (x.at[..., axis].set(wall) for wall in (a, b))
        if pde.boundary == "zero":
            off = lambda t, x: u(t, x) - window.initial(x)
            for wall in low, high:
                out = out + mean(everywhere(off, t, wall) / sizes[:, None])
            continue
        letter = "xyz"[axis]
        order = max([name.count(letter) for name in window.scale.slopes], default=0)
        names = ("u", *(letter * k for k in range(1, max(order, 1))))
        engine = lambda t, x, names=names: objective.engine(u, t, x, names)
        below, above = everywhere(engine, t, low), everywhere(engine, t, high)
        jumps = [above[name] - below[name] for name in names]
        out = out + mean(jumps[0] / sizes[:, None])
        rows = window.scale.per_row(sizes)[:, None]
        out = out + mean(_spread(window.scale, letter, b - a, jumps) / rows)
    return out


def _spread(scale: Scale, letter: str, length: float, jumps: list[Array]) -> Array:
    """Σ |∂r/∂(∂ᵐu)| · |[∂ᵏu]| / L^{m−k} over the equation's terms and k < m."""
    out = jnp.zeros((*jumps[0].shape[:-1], len(scale.rows)), jumps[0].dtype)
    for name, slope in scale.slopes.items():
        order = name.count(letter)
        for k in range(order):
            out = out + jnp.abs(jumps[k]) @ slope.T / length ** (order - k)
    return out
