"""A path of equilibria: what comes of loading a body, and the checks around it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax.mechanics._body import AbstractBody
from dynax.mechanics.mesh import demand
from dynax.mechanics.statics._band import layout
from dynax.mechanics.statics._equation import traced_floats
from dynax.mechanics.statics._support import check_support


class Path(NamedTuple):
    """The states of a body in equilibrium, each leaf leading by the k + 1 states.

    The first is the body at rest, or where it was continued from. What a path did not
    reach is NaN.

    Args:
        factor: λ, of the loads and of what moves.
        u: displacements of the nodes, (k + 1, n, d), m.
        history: what the quadrature points remember.
        reaction: (k + 1, n, d), N, of what holds the nodes, and of an obstacle.
        found: whether equilibrium was found.
        iterations: of Newton's method.
    """

    factor: Float[Array, " k+1"]
    u: Float[Array, "k+1 n d"]
    history: Float[Array, "k+1 m q r"]
    reaction: Float[Array, "k+1 n d"]
    found: Bool[Array, " k+1"]
    iterations: Int[Array, " k+1"]


def prepared(body: AbstractBody, moved, dt, start: Path | None):
    """The body with its numbers as arrays, its layout, where to begin, and the rest.

    Raises:
        TypeError: no body, or elements that are traced.
        ValueError: see `load`.
    """
    if not isinstance(body, AbstractBody):
        raise TypeError(
            f"body: given {type(body).__name__}; accepted is a Solid or a Bar."
        )
    parts = body.parts
    if not tree.is_concrete(parts.elements):
        raise TypeError(
            "body: given a body whose elements are traced by jit or vmap; accepted is "
            "one that is built inside, of a mesh from outside."
        )
    X = parts.nodes
    moved = jnp.zeros_like(X) if moved is None else jnp.asarray(moved, X.dtype)
    demand(moved.shape == X.shape, "moved", f"shape {moved.shape}", f"{X.shape}")
    if tree.is_concrete(moved, parts.free):
        stray = bool(jnp.any((moved != 0) & (parts.free == 1)))
        demand(not stray, "moved", "displacements of free nodes", "0 there")
    check_parameter("dt", dt, lambda dt: dt >= 0, "dt ≥ 0, in s", finite=False)
    check_support(parts)
    plan = layout(np.asarray(parts.elements), len(X))
    if start is None:
        none = jnp.zeros_like(X)
        begun = jnp.zeros((), X.dtype), none, body.init()[0][1], none
    else:
        begun = tuple(a[-1] for a in start[:4])
    demand(begun[1].shape == X.shape, "start", "another body's", "of this body")
    return traced_floats(body), plan, begun, moved, tree.cast(dt, X.dtype)


def with_start(begun, path: Path) -> Path:
    """The path with the state where it began in front."""
    factor, u, history, reaction = begun
    yes, none = jnp.ones((), bool), jnp.zeros((), jnp.int32)
    first = Path(factor, u, history, reaction, yes, none)
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, path)


def finished(path: Path, throw: bool) -> Path:
    """The path, if each state was found.

    Raises:
        RuntimeError: one was not, and that can be seen.
    """
    if throw and tree.is_concrete(path.found) and not bool(path.found.all()):
        k = int(jnp.argmin(path.found))
        raise RuntimeError(
            f"step {k} of {len(path.found) - 1}: no equilibrium was found beyond load "
            f"factor {float(path.factor[k - 1]):.4g} (after "
            f"{int(path.iterations[k])} iterations). Take shorter steps; if the load "
            "is beyond what the body carries, move held nodes or use `statics.arc`."
        )
    return path
