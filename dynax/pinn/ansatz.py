"""Conditions that a network meets by construction, whatever its parameters."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from dynax._tree import cast
from dynax.pde import AbstractPDE
from dynax.pde.steady import AbstractSteady
from dynax.pinn.held import Held, held
from dynax.pinn.interpolant import AbstractSeries
from dynax.pinn.networks import with_window
from dynax.pinn.networks._fixed import AbstractFixed
from dynax.pinn.window import Window
from dynax.shapes import Box


class Start(AbstractFixed):
    """u₀ at t₀, and how far from it the network may go: s(t, x) = (t − t₀)/Δt · g(x).

    g is 0 on the sides where values are prescribed, and 1 without any: for the boundary
    "zero" ∏ 4(x − a)(b − x)/(b − a)² over the coordinates, else by `dynax.pinn.held`.
    """

    initial: Callable[[Array], Array]
    t0: Array = eqx.field(converter=jnp.asarray)
    scale: Array = eqx.field(converter=jnp.asarray)
    held: Held | None

    def inside(self, x):
        """g."""
        return jnp.ones((), x.dtype) if self.held is None else self.held.inside(x)

    def state(self, t, x):
        """u₀, moved on as the prescribed values are."""
        start = self.initial(x)
        if self.held is None or self.held.lift is None:
            return start
        before = self.held.lift(cast(self.t0, t.dtype), x)
        return start + self.held.lift(t, x) - before

    def reach(self, t, x):
        """s."""
        return (t - cast(self.t0, t.dtype)) / cast(self.scale, t.dtype) * self.inside(x)


class ExactInitial(eqx.Module):
    """Build the initial state into the network exactly.

    u(t, x) = u₀(x) + (t − t₀)/Δt · g(x) · N(t, x):  u(t₀, ·) = u₀ exactly.

    Where the boundary is "zero", g vanishes on it, so that u = u₀ there (0 if u₀ is).
    Where values G are prescribed on sides (`pde.Dirichlet`), it vanishes there as well,
    and u₀(x) + G(t, x) − G(t₀, x) stands for u₀; else g = 1.
    Source: Lagaris, Likas, Fotiadis, IEEE Trans. Neural Netw. 9 (1998).

    Args:
        network: N, any (t, x) → fields.
        initial: u₀, x → fields; the equation's own or an interpolant of the window
            before. It is not trained.
        t0, scale: t₀ and Δt.
        pde: says what its boundary is, and where.
    """

    network: Callable[[Array, Array], Array]
    start: Start

    def __init__(
        self, network, initial, t0=0.0, scale=1.0, pde: AbstractPDE | None = None
    ):
        what = None if pde is None else built_in(pde)
        self.network, self.start = network, Start(initial, t0, scale, what)

    def __call__(self, t, x):
        return self.start.state(t, x) + self.start.reach(t, x) * self.network(t, x)


def built_in(pde: AbstractPDE) -> Held | None:
    """What the boundary prescribes that a network can have by construction."""
    if pde.boundary == "zero":
        box = Box(pde.lower, pde.upper)
        return Held(box.product, None, ())
    return held(pde)


def held_sides(pde: AbstractPDE) -> tuple[str, ...]:
    """The sides whose condition an ansatz here meets exactly."""
    what = held(pde)
    return () if what is None else what.sides


def _holding(ansatz):
    """Say which sides an ansatz meets exactly, so that the loss leaves them out."""
    ansatz.holds = held_sides
    return ansatz


@_holding
def exact_initial(pde: AbstractPDE, network: Callable, window: Window) -> Callable:
    """Return an ansatz that has the initial state exactly.

    u₀ + (t − t₀)/Δt · g(x) · S · N(t, x): it meets the initial state and walls
    exactly; S are the fields' sizes, and the network is moved to the window's time.
    Without time it is G(x) + g(x) · S · N(x), whatever t."""
    network = sized(pde, network, window)
    if isinstance(pde, AbstractSteady):
        return _steady(held(pde), network)
    length = window.t1 - window.t0
    return ExactInitial(network, window.initial, window.t0, length, pde)


def _steady(what: Held | None, network: Callable) -> Callable:
    if what is None or (lift := what.lift) is None:
        return lambda t, x: network(jnp.zeros_like(t), x)

    def u(t, x):
        zero = jnp.zeros_like(t)
        return lift(zero, x) + what.inside(x) * network(zero, x)

    return u


@_holding
def penalised_initial(pde: AbstractPDE, network: Callable, window: Window) -> Callable:
    """Return the ansatz S · N(t, x), which leaves the initial state to a term of the
    loss. Walls are met exactly: there, u = u₀ + g(x) · (S · N − u₀).
    """
    u = sized(pde, network, window)
    start = ExactInitial(u, window.initial, window.t0, pde=pde).start
    if start.held is None:
        return u

    def within(t, x):
        fixed = start.state(t, x)
        return fixed + start.inside(x) * (u(t, x) - fixed)

    return within


def sized(pde: AbstractPDE, network: Callable, window: Window) -> Callable:
    """S · N on the window's time."""
    network = with_window(network, window.t0, window.t1)
    sizes = window.sizes(pde)
    return lambda t, x: cast(sizes, x.dtype) * network(t, x)


@dataclasses.dataclass(frozen=True)
class HeatKernelInitial:
    """Build the initial state in through the heat kernel.

    An ansatz: e^{ν(t−t₀)Δ}u₀(x) + (t − t₀)/Δt · g(x) · S · N, of the window's start
    (`pinn.interpolate` of it, whose modes say how much is kept).

    Meets start and walls as `exact_initial` does, but lets a kink of u₀ melt at the
    rate at which the equation melts it: what is left to the network is smooth.

    Args:
        diffusion: ν, of the equation.
    """

    diffusion: float
    holds = staticmethod(held_sides)

    def __call__(self, pde: AbstractPDE, network: Callable, window: Window) -> Callable:
        start = window.initial
        if not isinstance(start, AbstractSeries):
            raise TypeError(
                f"window.initial: given {type(start).__name__}; accepted with "
                "HeatKernelInitial is pinn.interpolate(pde, u, t, modes) in at least "
                "one dimension."
            )
        at = exact_initial(pde, network, window)

        def u(t, x):
            s = t - cast(at.start.t0, t.dtype)
            melted = start.diffused(self.diffusion * s)(x)
            melted = melted + at.start.state(t, x) - start(x)
            return melted + at.start.reach(t, x) * at.network(t, x)

        return u
