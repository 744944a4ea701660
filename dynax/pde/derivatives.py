"""Engines: partial derivatives of a function u(t, x) at a point, by name.

An engine is `engine(u, t, x, needs) → {name: derivative}`; "u" names the value, "t",
"xx", "xy" … the partial derivatives in t and the coordinates x, y, z of space. Any
function with this signature serves: finite differences, a separable network's own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental.jet import jet
from jaxtyping import Array


Engine = Callable[..., dict[str, Array]]
LETTERS = "xyz"


class Derivatives(dict):
    """`d.u`, `d.t`, `d.xx`: derivatives by name."""

    def __getattr__(self, name: str) -> Array:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"needs: {name} is read but not asked for; given {' '.join(self)}."
            ) from None


def nested_jvp(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """Forward mode within forward mode: the faster one up to second order."""
    return _by_chains(u, t, x, needs, taylor_from=None)


def taylor(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """Pure derivatives of any order by Taylor mode (`jax.experimental.jet`).

    `jet` has no rule for loops: use `nested_jvp` for a u with `scan` or `while_loop`.
    """
    return _by_chains(u, t, x, needs, taylor_from=2)


def derivatives(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """The default: `nested_jvp` up to second order, `taylor` from the third on."""
    return _by_chains(u, t, x, needs, taylor_from=3)


def nested_grad(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """Reverse mode nested, as most PINN codes do; for comparison, it is the slowest."""

    def of(name):
        def f(t, x, c):
            return u(t, x)[c]

        for letter in name.strip("u"):
            f = _partial(f, letter)
        count = jax.eval_shape(u, t, x).shape[0]
        return jnp.stack([f(t, x, c) for c in range(count)])

    return {name: of(name) for name in needs}


def _partial(f, letter):
    if letter == "t":
        return jax.grad(f)
    axis = LETTERS.index(letter)
    return lambda t, x, c: jax.grad(f, argnums=1)(t, x, c)[axis]


def _by_chains(u, t, x, needs, taylor_from) -> dict[str, Array]:
    """Every derivative wanted lies on a chain u → u_x → u_xx …; longest chains first,
    so that each gives its prefixes too."""
    found: dict[str, Array] = {}
    for name in sorted(needs, key=lambda n: -len(n.strip("u"))):
        letters = name.strip("u")
        if name in found or (not letters and "u" in found):
            continue
        if taylor_from and len(letters) >= taylor_from and len({*letters}) == 1:
            values = _taylor_chain(u, t, x, letters)
        else:
            values = _jvp_chain(u, t, x, letters)(jnp.zeros((), t.dtype))
        for order, value in enumerate(values):
            found.setdefault(letters[:order] or "u", value)
    return {name: found[name] for name in needs}


def _along(u, t, x, letter):
    """s ↦ u at the point moved by s in one coordinate."""
    if letter == "t":
        return lambda s: u(t + s, x)
    axis = LETTERS.index(letter)
    return lambda s: u(t, x.at[axis].add(s))


def _jvp_chain(u, t, x, letters):
    """s ↦ (u, u_a, u_ab, …) for letters "ab…", differentiated along the last moves."""
    if not letters:
        return lambda s: (u(t, x),)
    *before, last = letters

    def values(s):
        def inner(s):
            at = (t + s, x) if last == "t" else (t, x.at[LETTERS.index(last)].add(s))
            return _jvp_chain(u, *at, before)(jnp.zeros_like(s))

        primal, tangent = jax.jvp(inner, (s,), (jnp.ones_like(s),))
        return (*primal, tangent[-1])

    return values


def _taylor_chain(u, t, x, letters):
    line = _along(u, t, x, letters[0])
    zero, one = jnp.zeros((), t.dtype), jnp.ones((), t.dtype)
    series = [one] + [zero] * (len(letters) - 1)
    value, higher = jet(line, (zero,), (series,))
    return (value, *higher)
