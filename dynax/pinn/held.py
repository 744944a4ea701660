"""Prescribed values that a network has on some sides by construction.

u = G(t, x) + ω(x)·N(t, x), field by field: ω is 0 on the sides where the field is held
and positive inside, G has the prescribed values there.

A field is held where the shape knows such an ω (`AbstractShape.held`), and where a G is
known: one value or function g for all its sides, or different ones on sides that do not
meet, joined by gᵢ∏_{j≠i}ωⱼ/Σᵢ∏_{j≠i}ωⱼ. All other conditions are terms of the loss.

Source: Sukumar, Srivastava, CMAME 389 (2022) 114333; Rvachev et al. (2001) for G.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynax.pde import AbstractPDE, Dirichlet
from dynax.pde.conditions import by_side, columns, value
from dynax.shapes.box import NAMES


class Held(NamedTuple):
    """What is built in.

    Args:
        inside: x → ω of each field, (c,).
        lift: (t, x) → G of each field, (c,).
        sides: those whose condition is met so.
    """

    inside: Callable
    lift: Callable | None
    sides: tuple[str, ...]


def held(pde: AbstractPDE) -> Held | None:
    """What can be built in of an equation's conditions; None: nothing."""
    given = {
        side: condition
        for side, condition in by_side(pde).items()
        if isinstance(condition, Dirichlet) and condition.hard
    }
    found = [_field(pde, given, k) for k in range(len(pde.fields))]
    hard = lambda side, c: all(side in found[k][2] for k in columns(pde, c))
    sides = tuple(side for side, c in given.items() if hard(side, c))
    if not any(one[2] for one in found):
        return None
    inside = lambda x: jnp.stack([one[0](x) for one in found])
    lift = lambda t, x: jnp.stack([one[1](t, x) for one in found])
    return Held(inside, lift, sides)


def _field(pde: AbstractPDE, given: dict[str, Dirichlet], k: int):
    """(ω, G, sides) of the k-th field."""
    free = lambda x: jnp.ones((), x.dtype), lambda t, x: jnp.zeros((), x.dtype), ()
    mine = {s: c for s, c in given.items() if k in columns(pde, c)}
    inside = pde.shape.held(mine) if mine else None
    if inside is None:
        return free

    def at(condition):
        i = columns(pde, condition).index(k)
        like = lambda x: jnp.zeros(len(columns(pde, condition)), x.dtype)
        return lambda t, x: value(condition.g, t, x, like(x))[i]

    values = [at(c) for c in mine.values()]
    if len({id(c) for c in mine.values()}) == 1:
        return inside, values[0], tuple(mine)
    opposite = any({*mine} == {*pair} for pair in NAMES)
    each = [f for side in mine if (f := pde.shape.held({side})) is not None]
    if not opposite or len(each) < 2:
        return free

    def lift(t, x):
        low, high = (omega(x) for omega in each)
        return (values[0](t, x) * high + values[1](t, x) * low) / (low + high)

    return inside, lift, tuple(mine)
