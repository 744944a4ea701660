"""Linear elements with lumped masses, from a mesh."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._types import ScalarLike
from dynax.material.kinematics import det, inverse, transpose
from dynax.mechanics.mesh import Mesh


Vectors = Float[Array, "n d"]


class Parts(NamedTuple):
    """Linear elements with lumped masses, from a mesh.

    Args:
        nodes: (n, d), X in m.
        elements: (m, d + 1).
        slopes: ∇N, (m, d + 1, d).
        volume: V₀, (m,), m³.
        mass: (n, 1), kg.
        free: (n, 1), 0 where a node is held, else 1.
        force: (n, d), N: gravity and tractions.
    """

    nodes: Vectors
    elements: Int[Array, "m corners"]
    slopes: Float[Array, "m corners d"]
    volume: Float[Array, " m"]
    mass: Float[Array, "n 1"]
    free: Float[Array, "n 1"]
    force: Vectors


def assemble(
    mesh: Mesh,
    density: ScalarLike,
    held: ArrayLike | None,
    gravity: ArrayLike | None,
    force: ArrayLike | None,
    area: ScalarLike = 1.0,
) -> Parts:
    """The parts of a body; `area` multiplies volumes.

    Raises:
        ValueError: wrong shapes; an element of no volume, or turned inside out; a node
            of no element; a density or an area that is not positive.
    """
    X = jnp.asarray(mesh.nodes)
    n, d = X.shape if X.ndim == 2 else (0, 0)
    _shape("nodes", X, (n, d), d in (1, 2, 3) and X.dtype.kind == "f")
    elements = np.asarray(mesh.elements)
    whole = elements.dtype.kind in "iu" and elements.ndim == 2 and elements.size
    inside = bool(whole) and elements.min() >= 0 and elements.max() < n
    good = inside and np.unique(elements).size == n
    _shape("elements", elements, (len(elements), d + 1), good)
    held = np.zeros((n,), bool) if held is None else jnp.asarray(held)
    _shape("held", held, (n,), held.dtype == bool)
    g = np.zeros((d,)) if gravity is None else jnp.asarray(gravity)
    _shape("gravity", g, (d,))
    force = np.zeros((n, d)) if force is None else jnp.asarray(force)
    _shape("force", force, (n, d))
    for name, given in (("density", density), ("area", area)):
        _shape(name, jnp.asarray(given), ())
        check_positive(**{name: given})

    scalars = (tree.cast(a, X.dtype) for a in (density, area))
    size, parts = _parts(X, jnp.asarray(elements, jnp.int32), held, g, force, *scalars)
    if tree.is_concrete(size) and not np.all(np.asarray(size) > 0):
        bad = int(np.argmin(np.asarray(size)))
        raise ValueError(
            f"elements: given number {bad} with det {float(size[bad]):.3g}; accepted "
            "is det > 0 (swap two of its nodes)."
        )
    return parts


@jax.jit
def _parts(X, elements, held, gravity, force, density, area):
    n, d = X.shape
    corners = X[elements]
    E = transpose(corners[:, 1:] - corners[:, :1])
    size = E[:, 0, 0] if d == 1 else det(E)
    slopes = 1 / E if d == 1 else inverse(E)
    slopes = jnp.concatenate([-jnp.sum(slopes, 1, keepdims=True), slopes], 1)
    volume = area * size / math.factorial(d)
    share = density * volume[:, None] / (d + 1)
    mass = jnp.zeros((n,), X.dtype).at[elements].add(share)[:, None]
    force = mass * gravity.astype(X.dtype)[None] + force.astype(X.dtype)
    free = 1 - held.astype(X.dtype)[:, None]
    return size, Parts(X, elements, slopes, volume, mass, free, force)


def _shape(name, given, accepted, good=True):
    if given.shape != accepted or not good:
        words = {
            "nodes": "floating, (n, d) with d = 1, 2 or 3",
            "elements": "integers, (m, d + 1), of every node at least once",
        }
        raise ValueError(
            f"{name}: given {given.dtype} of shape {given.shape}; accepted is "
            f"{words.get(name, accepted)}."
        )
