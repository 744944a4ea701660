"""Conditions on the sides of a region: what u does there, as small objects.

Each is one residual, elementwise over leading axes as an equation's is, with the
outward normal n as one argument more.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from dynax._check import require
from dynax.pde.derivatives import LETTERS, Derivatives


class AbstractCondition(eqx.Module):
    """What holds on a side: rows(t, x, n, d) = 0.

    `of` names the fields that it is about; None: all.
    """

    of: eqx.AbstractVar[str | None]

    @abc.abstractmethod
    def needs(self, dimension: int) -> tuple[str, ...]:
        """Derivatives that it reads, in the words of `AbstractPDE.needs`."""

    @abc.abstractmethod
    def rows(self, t: Array, x: Array, n: Array, d: Derivatives) -> Array:
        """One number per residual.

        Args:
            t, x, n: the time, the place and the outward unit normal, (…, d).
            d: derivatives of the fields `of`.
        """


Value = Any  # a number, one per field, or a function (t, x) → either


class Dirichlet(AbstractCondition):
    """Prescribe the value: u = g.

    It is built into the network where the region allows it, else it is a term of the
    loss.

    Args:
        g: a number, one per field, or a function (t, x) → either.
        of: the fields, "u v"; all unless given.
        hard: False: a term of the loss in any case.
    """

    g: Value = 0.0
    of: str | None = eqx.field(static=True, default=None)
    hard: bool = eqx.field(static=True, default=True)

    def needs(self, dimension):
        return ("u",)

    def rows(self, t, x, n, d):
        return d.u - value(self.g, t, x, d.u)


class Neumann(AbstractCondition):
    """Prescribe the normal derivative: ∂u/∂n = g, n pointing outwards.

    Args:
        g, of: as of `Dirichlet`.
    """

    g: Value = 0.0
    of: str | None = eqx.field(static=True, default=None)

    def needs(self, dimension):
        return tuple(LETTERS[:dimension])

    def rows(self, t, x, n, d):
        slope = normal_derivative(n, d)
        return slope - value(self.g, t, x, slope)


class Robin(AbstractCondition):
    """Prescribe a mixture: a u + b ∂u/∂n = g, n pointing outwards.

    A body that loses heat as h(u − u_air), with −k ∂u/∂n = h(u − u_air), has
    a = h, b = k, g = h·u_air.

    Args:
        a, b: numbers, or functions (t, x) → numbers.
        g, of: as of `Dirichlet`.
    """

    a: Value
    b: Value
    g: Value = 0.0
    of: str | None = eqx.field(static=True, default=None)

    def needs(self, dimension):
        return "u", *LETTERS[:dimension]

    def rows(self, t, x, n, d):
        u, slope = d.u, normal_derivative(n, d)
        a, b, g = (value(c, t, x, u) for c in (self.a, self.b, self.g))
        return a * u + b * slope - g


class Operator(AbstractCondition):
    """Prescribe an equation of your own on a side.

    fn(t, x, n, d) = 0, for example

        Operator(lambda t, x, n, d: d.x * n[..., :1] - d.u**4, "u x")

    Args:
        fn: elementwise over leading axes, to (…, r); n is the outward normal.
        reads: the derivatives that it reads.
        of: the fields it is given; all unless given.
    """

    fn: Callable
    reads: str = eqx.field(static=True)
    of: str | None = eqx.field(static=True, default=None)

    def needs(self, dimension):
        return tuple(self.reads.split())

    def rows(self, t, x, n, d):
        return self.fn(t, x, n, d)


class Periodic(AbstractCondition):
    """Join two opposite sides of a box: "left, right".

    Networks of `mlp_field` meet it exactly; of others the stop test sees the jump.
    """

    of: str | None = eqx.field(static=True, default=None)

    def needs(self, dimension):
        return ("u",)

    def rows(self, t, x, n, d):
        return jnp.zeros_like(d.u)


def value(g: Value, t, x, like: Array) -> Array:
    """A number, one per field, or a function of them, as an array like another."""
    found = g(t, x) if callable(g) else g
    found = jnp.asarray(found, like.dtype)
    if found.ndim < like.ndim:
        found = found.reshape((1,) * (like.ndim - found.ndim) + found.shape)
    return jnp.broadcast_to(found, like.shape)


def normal_derivative(n, d) -> Array:
    """n · ∇u, one per field."""
    letters = LETTERS[: n.shape[-1]]
    slope = jnp.zeros_like(d[letters[0]])
    for i, letter in enumerate(letters):
        slope = slope + n[..., i : i + 1] * d[letter]
    return slope


def by_side(pde) -> dict[str, AbstractCondition]:
    """The condition of each side of an equation; {} where `boundary` is a word.

    Raises:
        ValueError: a side that is not there, named twice, or without a condition.
    """
    given = pde.boundary
    if not pde.lower or given is None or isinstance(given, str):
        return {}
    shape = pde.shape
    if isinstance(given, AbstractCondition):
        given = {", ".join(shape.sides): given}
    found: dict[str, AbstractCondition] = {}
    every, named = shape.sides, []
    for names, condition in given.items():
        kind = isinstance(condition, AbstractCondition | None)
        accepted = "a condition as pde.Dirichlet(0.0), or None for a free side"
        require(kind, f"boundary[{names!r}]", condition, accepted)
        sides = [name.strip() for name in names.split(",")]
        for name in sides:
            known = f"one of {', '.join(every)}"
            require(name in every, "boundary", f"the side {name!r}", known)
            twice = f"the side {name!r} twice"
            require(name not in named, "boundary", twice, "one condition per side")
            named.append(name)
        if isinstance(condition, Periodic):
            opposite = opposite_axis(shape, sides)
            accepted = 'two opposite sides of a box, as "left, right"'
            require(opposite is not None, "Periodic", f"{names!r}", accepted)
        if condition is not None:
            _fields(pde, condition)
            found |= dict.fromkeys(sides, condition)
    missing = [name for name in every if name not in named]
    text = f"no condition on {', '.join(missing)}"
    accepted = "one on each side, None where it is free"
    require(not missing, "boundary", text, accepted)
    return found


def opposite_axis(shape, sides) -> int | None:
    """The axis that two opposite sides of a box are at the ends of."""
    from dynax.shapes import Box
    from dynax.shapes.box import NAMES

    pairs = [{*pair} for pair in NAMES[: len(shape.lower)]]
    return (
        pairs.index({*sides}) if isinstance(shape, Box) and {*sides} in pairs else None
    )


def periodic_axes(pde) -> tuple[int, ...]:
    """The axes along which an equation is periodic."""
    if isinstance(pde.boundary, str):
        return tuple(range(len(pde.lower))) if pde.boundary == "periodic" else ()
    from dynax.shapes.box import NAMES

    found = by_side(pde)
    is_periodic = lambda axis: isinstance(found.get(NAMES[axis][0]), Periodic)
    return tuple(filter(is_periodic, range(len(pde.lower)))) if found else ()


def _fields(pde, condition: AbstractCondition) -> list[int]:
    """Which columns a condition is about."""
    names = pde.fields if condition.of is None else condition.of.split()
    known = {*names} <= {*pde.fields}
    accepted = f"some of {' '.join(pde.fields)}"
    require(known, f"{type(condition).__name__}.of", condition.of, accepted)
    return [pde.fields.index(name) for name in names]


columns = _fields


def rows_at(pde, condition: AbstractCondition, t, x, n, d) -> Array:
    """A condition's rows from derivatives of all fields."""
    chosen = jnp.asarray(columns(pde, condition))
    given = Derivatives({name: a[..., chosen] for name, a in d.items()})
    rows = condition.rows(t, x, n, given)
    if jnp.ndim(rows) < 1:
        raise ValueError(
            f"{type(condition).__name__}: given rows of shape (); accepted is (r,), "
            "one number per residual."
        )
    return rows
