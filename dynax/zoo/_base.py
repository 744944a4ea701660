"""What a system of the zoo is: its equations, and what is known of it beforehand."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def point(*coordinates: float) -> Float[np.ndarray, " n"]:
    """Return a start as an array that cannot be written to."""
    out = np.array(coordinates)
    out.flags.writeable = False
    return out


class System(eqx.Module):
    """A flow or a map with its parameters, which are traced.

    Attributes:
        start: a state on the attractor, or near it.
        smooth: whether the equations have a derivative everywhere.
        pairs: whether λ_i = −λ_{n+1−i}: motion that keeps the volume of phase space,
            by symplectic maps or, for three coordinates, by any.
    """

    start: ClassVar[np.ndarray]
    smooth: ClassVar[bool] = True
    pairs: ClassVar[bool] = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = jnp.asarray(getattr(self, field.name), float)
            setattr(self, field.name, value)

    def parameters(self) -> dict[str, Array]:
        """Return the parameters by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def _of(self, equations: Callable, state, *time) -> Float[Array, " n"]:
        """The equations at a state, in the precision of the state."""
        state = jnp.asarray(state)
        given = {k: v.astype(state.dtype) for k, v in self.parameters().items()}
        out = equations(*time, state, **given)
        if isinstance(out, tuple):
            out = jnp.stack([jnp.asarray(v, state.dtype) for v in out])
        return out


class Flow(System):
    """A flow with its parameters. Call `field(t, u, args)` for u̇, as `rk4` does.

    Attributes:
        rates: the equations, (state, **parameters) → u̇.
        period: of the strongest oscillation.
        resolution: steps of the classical fourth-order method in a period that resolve
            the motion.
        zeros: how many exponents vanish: 1 along the flow, 1 more for each quantity
            that is kept.
        driven: whether f depends on t; `rates` is then (t, state, **parameters) → u̇.
    """

    rates: ClassVar[Callable]
    period: ClassVar[float]
    resolution: ClassVar[int] = 500
    zeros: ClassVar[int] = 1
    driven: ClassVar[bool] = False

    def field(self, t, u, args=None) -> Float[Array, " n"]:
        """Return u̇ at a time and state; `args` is not used."""
        return self._of(self.rates, u, *((t,) if self.driven else ()))


class Map(System):
    """A map with its parameters. Call `step(u)` for the next state.

    Attributes:
        image: the equations, (state, **parameters) → u₊.
    """

    image: ClassVar[Callable]

    def step(self, u) -> Float[Array, " n"]:
        """Return the next state."""
        return self._of(self.image, u)
