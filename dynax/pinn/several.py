"""The same equation from several initial states at once."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from dynax import _tree as tree
from dynax.pde import AbstractPDE, Derivatives
from dynax.pde.wrapped import AbstractWrapped, of_known
from dynax.pinn.networks import split
from dynax.pinn.objective import Data


class Several(AbstractWrapped):
    """One equation from several initial states, its coefficients and hidden term shared
    by all: one system, whose fields are those of the first, of the second, ….

    All else is as for one equation: a single network or `SideBySide`; `Data` with a
    column for each field of each state (`side_by_side`); causal weights, by which all
    wait for one another; if the equation declares no `sizes`, one size of all states.

    Args:
        known: the equation.
        states: u(0, ·) of each, callables x → fields.
    """

    known: AbstractPDE
    states: tuple[Callable[[Array], Array], ...]

    needs, inputs, hidden = map(of_known, ("needs", "inputs", "hidden"))

    @property
    def fields(self) -> Any:
        count = range(1, len(self.states) + 1)
        return tuple(f"{field}{i}" for i in count for field in self.known.fields)

    @property
    def sizes(self) -> Any:
        sizes = self.known.sizes
        if sizes is None or len(sizes) == 1:
            return sizes
        return sizes * len(self.states)

    def apart(self, d: Derivatives) -> Derivatives:
        """(…, fields of all) → (…, states, fields)."""
        split = lambda a: a.reshape(*a.shape[:-1], len(self.states), -1)
        return Derivatives({name: split(a) for name, a in d.items()})

    def look(self, d):
        known: Any = self.known
        return known.look(self.apart(d))

    def equation(self, t, x, d):
        count = len(self.states)
        t = jnp.broadcast_to(t[..., None], (*t.shape, count))
        x = jnp.broadcast_to(x[..., None, :], (*x.shape[:-1], count, x.shape[-1]))
        r = self.known.equation(t, x, self.apart(d))
        return r.reshape(*r.shape[:-2], -1)

    def initial(self, x):
        return jnp.concatenate([state(x) for state in self.states])


class SideBySide(eqx.Module):
    """(t, x) → the fields of all states, each from a network of its own; the networks
    are stacked and vmapped.

    Args:
        make: key → a network.
        keys: one for each state.
    """

    networks: Callable

    def __init__(self, make: Callable, keys: PRNGKeyArray):
        params = eqx.filter_vmap(lambda key: split(make(key))[0])(keys)
        self.networks = eqx.combine(params, split(make(keys[0]))[1])

    def __call__(self, t, x):
        params, rest = split(self.networks)
        each = eqx.filter_vmap(lambda one: eqx.combine(one, rest)(t, x))(params)
        return each.ravel()


def side_by_side(data: Sequence[Data]) -> Data:
    """Data of one state each, as those of `Several`: NaN in the columns of others."""
    ends = np.cumsum([d.value.shape[1] for d in data])

    def wide(end, value):
        pad = (int(end) - value.shape[1], int(ends[-1] - end))
        return jnp.pad(value, ((0, 0), pad), constant_values=jnp.nan)

    def noise(d):
        given = tree.cast(d.noise, d.value.dtype)
        return jnp.broadcast_to(given, d.value.shape[1:])

    return Data(
        jnp.concatenate([d.t for d in data]),
        jnp.concatenate([d.x for d in data]),
        jnp.concatenate(
            [wide(end, d.value) for end, d in zip(ends, data, strict=True)]
        ),
        jnp.concatenate([noise(d) for d in data]),
    )


def joined(data: Sequence[Data]) -> Data:
    """Several sets of data of the same fields as one, each with its own noise.

    A set without some of the fields has NaN in their columns.
    """
    noise = lambda d: jnp.broadcast_to(tree.cast(d.noise, d.value.dtype), d.value.shape)
    parts = [(d.t, d.x, d.value, noise(d)) for d in data]
    return Data(*(jnp.concatenate(part) for part in zip(*parts, strict=True)))
