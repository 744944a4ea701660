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
    """Nest forward mode within forward mode: its cost doubles with each order."""
    return _by_chains(u, t, x, needs, taylor_from=None)


def taylor(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """Propagate Taylor series (`jax.experimental.jet`): its cost grows as the square of
    the order.

    For pure derivatives from the second on; others are those of `nested_jvp`. `jet`
    has no rule for loops: a u with `scan` or `while_loop` needs `nested_jvp`.
    """
    return _by_chains(u, t, x, needs, taylor_from=2)


def derivatives(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """Compute derivatives by the method that is fastest for each order.

    The default: `nested_jvp` up to fourth order, `taylor` from the fifth on.
    """
    return _by_chains(u, t, x, needs, taylor_from=5)


def nested_grad(u, t, x, needs: tuple[str, ...]) -> dict[str, Array]:
    """Nest reverse mode, as most PINN codes do. It serves comparison, as it is the
    slowest.
    """
    _check(needs, x)
    count = jax.eval_shape(u, t, x).shape[0]

    def of(name):
        f = lambda t, x, c: u(t, x)[c]
        for letter in name.strip("u"):
            f = _slope(f, letter)
        return jnp.stack([f(t, x, c) for c in range(count)])

    return {name: of(name) for name in needs}


def _slope(f, letter):
    if letter == "t":
        return jax.grad(f)
    axis = LETTERS.index(letter)
    return lambda t, x, c: jax.grad(f, argnums=1)(t, x, c)[axis]


def _by_chains(u, t, x, needs, taylor_from) -> dict[str, Array]:
    """Every derivative wanted lies on a chain u → u_x → u_xx …; longest chains first,
    so that each gives its prefixes too."""
    _check(needs, x)
    found: dict[str, Array] = {}
    for name in sorted(needs, key=lambda n: -len(n.strip("u"))):
        if name in found:
            continue
        letters = name.strip("u")
        if taylor_from and len(letters) >= taylor_from and len({*letters}) == 1:
            values = _taylor_chain(u, t, x, letters)
        else:
            chain = lambda t, x: (u(t, x),)
            for letter in letters:
                chain = _longer(chain, letter)
            values = chain(t, x)
        for order, value in enumerate(values):
            found.setdefault(letters[:order] or "u", value)
    return {name: found[name] for name in needs}


def _line(f, t, x, letter):
    """s ↦ f at the point moved by s in one coordinate."""
    if letter == "t":
        return lambda s: f(t + s, x)
    axis = LETTERS.index(letter)
    return lambda s: f(t, x.at[axis].add(s))


def _longer(chain, letter):
    """(u, …, u_a) becomes (u, …, u_a, u_ab)."""

    def longer(t, x):
        s = jnp.zeros((), t.dtype)
        values, slopes = jax.jvp(_line(chain, t, x, letter), (s,), (jnp.ones_like(s),))
        return (*values, slopes[-1])

    return longer


def _taylor_chain(u, t, x, letters):
    """(u, u_a, u_aa, …) for letters "aa…"."""
    zero, one = jnp.zeros((), t.dtype), jnp.ones((), t.dtype)
    series = [one] + [zero] * (len(letters) - 1)
    value, higher = jet(_line(u, t, x, letters[0]), (zero,), (series,))
    return (value, *higher)


def _check(needs, x):
    """A coordinate beyond the last would be clipped or dropped in silence."""
    letters = "t" + LETTERS[: x.shape[0]]
    for name in needs:
        if name != "u" and (not name or {*name} - {*letters}):
            raise ValueError(
                f"needs: given {name!r}; accepted is u, or letters of {letters}, the "
                f"coordinates here."
            )
