"""Elements with lumped masses, from a mesh."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._types import ScalarLike
from dynax.material.kinematics import det, inverse
from dynax.mechanics._elements import ELEMENTS
from dynax.mechanics.mesh import Mesh, corners_of, demand


Vectors = Float[Array, "n d"]


class Parts(NamedTuple):
    """Hold m elements of c nodes with q quadrature points each, and lumped masses.

    Args:
        nodes: (n, d), X in m.
        elements: (m, c).
        slopes: ∇N, (m, q, c, d).
        volume: V₀ of each quadrature point, (m, q), m³.
        share: mass of each node of an element, (m, c), kg.
        mass: (n, 1), kg, the sum of its shares.
        free: (n, d), 0 where a node is held, else 1.
        force: (n, d), N: gravity and tractions.
    """

    nodes: Vectors
    elements: Int[Array | np.ndarray, "m c"]
    slopes: Float[Array, "m q c d"]
    volume: Float[Array, "m q"]
    share: Float[Array, "m c"]
    mass: Float[Array, "n 1"]
    free: Vectors
    force: Vectors


def assemble(
    mesh: Mesh,
    density: ScalarLike | Float[Array, " m"],
    held: ArrayLike | None,
    gravity: ArrayLike | None,
    force: ArrayLike | None,
    area: ScalarLike | Float[Array, " m"] = 1.0,
    bars: bool = False,
) -> Parts:
    """The parts of a body; `area` multiplies volumes. `bars` are lines in d dimensions.

    Raises:
        ValueError: wrong shapes; an element of no volume, turned inside out, or given
            twice; a node of no element; a density or an area that is not positive.
    """
    X = jnp.asarray(mesh.nodes)
    n, d = X.shape if X.ndim == 2 else (0, 0)
    _shape("nodes", X, (n, d), d in (1, 2, 3) and X.dtype.kind == "f")
    elements = corners_of(mesh, 1 if bars else d)
    held = np.zeros((n,), bool) if held is None else jnp.asarray(held)
    if held.shape == (n,):
        held = jnp.broadcast_to(held[:, None], (n, d))
    _shape("held", held, (n, d), held.dtype == bool)
    g = np.zeros((d,)) if gravity is None else jnp.asarray(gravity)
    _shape("gravity", g, (d,))
    force = np.zeros((n, d)) if force is None else jnp.asarray(force)
    _shape("force", force, (n, d))
    for name, given in (("density", density), ("area", area)):
        if jnp.shape(given) != (len(elements),):
            _shape(name, jnp.asarray(given), ())
        check_positive(**{name: given})

    numbers = (tree.cast(a, X.dtype) for a in (density, area))
    kind = ELEMENTS[1 if bars else d, elements.shape[1]]
    tables = kind.slopes(), kind.weights, kind.shapes(kind.points)
    tables = [jnp.asarray(a, X.dtype) for a in tables]
    size, parts = _parts(X, elements, tables, held, g, force, *numbers)
    if tree.is_concrete(size) and not np.all(np.asarray(size) > 0):
        least = np.min(np.asarray(size), 1)
        bad = int(np.argmin(least))
        raise ValueError(
            f"elements: given number {bad} with det {least[bad]:.3g}; accepted is det "
            "> 0 (turned inside out or flat: is the order of its nodes right?)."
        )
    return parts._replace(elements=elements)


@jax.jit
def _parts(X, elements, tables, held, gravity, force, density, area):
    (n, d), (dN, weights, N) = X.shape, tables
    at = X[elements]
    E = jnp.sum(at[:, None, :, :, None] * dN[None, :, :, None, :], 2)  # ∂X/∂ξ
    if E.shape[-1] < d:  # a bar: along it only
        size = jnp.sqrt(jnp.sum(E**2, (-2, -1)))
        back = jnp.swapaxes(E, -1, -2) / size[..., None, None] ** 2
    else:
        size = E[..., 0, 0] if d == 1 else det(E)
        back = 1 / E if d == 1 else inverse(E)
    slopes = jnp.sum(dN[None, ..., None] * back[:, :, None], 3)
    volume = jnp.broadcast_to(area, (len(elements),))[:, None] * size * weights[None]
    heft = jnp.sum(volume[..., None] * N[None] ** 2, 1)
    heft = heft / jnp.sum(heft, 1, keepdims=True)
    whole = density * jnp.sum(volume, 1)
    share = whole[:, None] * heft
    mass = jnp.zeros((n,), X.dtype).at[elements].add(share)[:, None]
    force = mass * gravity.astype(X.dtype)[None] + force.astype(X.dtype)
    free = 1 - held.astype(X.dtype)
    return size, Parts(X, elements, slopes, volume, share, mass, free, force)


def _shape(name, given, accepted, good=True):
    words = {
        "nodes": "floating, (n, d) with d = 1, 2 or 3",
        "held": f"bool, {accepted[:1]} or {accepted}",
    }
    demand(
        given.shape == accepted and good,
        name,
        f"{given.dtype} of shape {given.shape}",
        words.get(name, f"{accepted}"),
    )
