"""Conditions that a network meets by construction, whatever its parameters."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from dynax._tree import cast
from dynax.pde import AbstractPDE
from dynax.pinn.networks._fixed import AbstractFixed


class Start(AbstractFixed):
    """u₀ at t₀, and how far from it the network may go: s(t, x) = (t − t₀)/Δt · g(x).

    g = ∏ 4(x − a)(b − x)/(b − a)² over the coordinates of `walls`, 1 without any.
    """

    initial: Callable[[Array], Array]
    t0: Array = eqx.field(converter=jnp.asarray)
    scale: Array = eqx.field(converter=jnp.asarray)
    walls: tuple[tuple[float, float], ...] = eqx.field(static=True)

    def reach(self, t, x):
        s = (t - cast(self.t0, t.dtype)) / cast(self.scale, t.dtype)
        for axis, (a, b) in enumerate(self.walls):
            s = s * (4 / (b - a) ** 2 * (x[axis] - a) * (b - x[axis]))
        return s


class HardInitial(eqx.Module):
    """u(t, x) = u₀(x) + (t − t₀)/Δt · g(x) · N(t, x):  u(t₀, ·) = u₀ exactly.

    Where the boundary is "zero", g vanishes on it, so that u = u₀ there (0 if u₀ is);
    else g = 1. Source: Lagaris, Likas, Fotiadis, IEEE Trans. Neural Netw. 9 (1998).

    Args:
        network: N, any (t, x) → fields.
        initial: u₀, x → fields; the equation's own or an interpolant of the window
            before. It is not trained.
        t0, scale: t₀ and Δt.
        pde: says whether its boundary is "zero", and where.
    """

    network: Callable[[Array, Array], Array]
    start: Start

    def __init__(
        self, network, initial, t0=0.0, scale=1.0, pde: AbstractPDE | None = None
    ):
        zero = () if pde is None or pde.boundary != "zero" else (pde.lower, pde.upper)
        walls = tuple(zip(*zero, strict=True))
        self.network, self.start = network, Start(initial, t0, scale, walls)

    def __call__(self, t, x):
        return self.start.initial(x) + self.start.reach(t, x) * self.network(t, x)
