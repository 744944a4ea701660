"""Meshes of simplices: lines, triangles, tetrahedra."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int


class Mesh(NamedTuple):
    """A body at rest, in d dimensions, cut into simplices.

    Args:
        nodes: (n, d), places in m.
        elements: (m, d + 1), nodes of each simplex, in the order that has a positive
            volume.
    """

    nodes: Float[Array, "n d"]
    elements: Int[np.ndarray, "m corners"]


def box_mesh(
    cells: Sequence[int],
    size: Sequence[float],
    lower: Sequence[float] | None = None,
    dtype=None,
) -> Mesh:
    """A box of equal cells, each cut into d! simplices along its main diagonal.

    Source: Kuhn, "Some combinatorial lemmas in topology", IBM J. Res. Dev. 4 (1960).

    Args:
        cells: how many along each axis; their number is d = 1, 2, 3.
        size: of the box along each axis, m.
        lower: its lower corner; the origin if None.

    Raises:
        ValueError: not one cell and a positive size along each of 1, 2 or 3 axes.
    """
    d = len(cells)
    lower = (0.0,) * d if lower is None else lower
    fits = d in (1, 2, 3) and len(size) == d and len(lower) == d
    if not fits or min(cells) < 1 or not min(size) > 0:
        raise ValueError(
            f"cells, size, lower: given {cells}, {size}, {lower}; accepted are 1, 2 or "
            "3 numbers each, cells ≥ 1 and size > 0."
        )
    points = [n + 1 for n in cells]
    grid = np.indices(points).reshape(d, -1).T
    place = np.asarray(lower) + grid * np.asarray(size) / np.asarray(cells)
    corner = np.indices(cells).reshape(d, -1).T
    found = []
    for axes in itertools.permutations(range(d)):
        path = np.cumsum([[0] * d, *np.eye(d, dtype=int)[list(axes)]], 0)
        if np.linalg.det(path[1:] - path[0]) < 0:
            path[[-2, -1]] = path[[-1, -2]]
        at = corner[:, None] + path
        found.append(np.ravel_multi_index(np.moveaxis(at, -1, 0), points))
    elements = np.stack(found, 1).reshape(-1, d + 1)
    dtype = jnp.result_type(float) if dtype is None else dtype
    return Mesh(jnp.asarray(place, dtype), elements)


def traction(mesh: Mesh, on: ArrayLike, pull: ArrayLike) -> Float[Array, "n d"]:
    """The force on each node, in N, of a dead traction on a part of the surface.

    Args:
        mesh: the body.
        on: (n,), which nodes; a face of the surface counts if all of its nodes do.
        pull: (d,), N per m² of the body at rest (d = 3), N/m (d = 2), N (d = 1).

    Raises:
        ValueError: wrong shapes, or no face of the surface lies there.
    """
    nodes, elements = np.asarray(mesh.nodes), np.asarray(mesh.elements)
    d, pull, on = nodes.shape[1], jnp.asarray(pull), np.asarray(on)
    if on.shape != nodes.shape[:1] or on.dtype != bool or pull.shape != (d,):
        raise ValueError(
            f"on, pull: given shapes {on.shape} ({on.dtype}), {pull.shape}; accepted "
            f"are {nodes.shape[:1]} (bool), ({d},)."
        )
    sides = [np.delete(elements, i, 1) for i in range(d + 1)]
    sides, seen = np.unique(np.sort(np.concatenate(sides)), axis=0, return_counts=True)
    faces = sides[(seen == 1) & on[sides].all(1)]
    if not len(faces):
        raise ValueError("on: given no face of the surface; accepted are nodes of one.")
    edges = nodes[faces[:, 1:]] - nodes[faces[:, :1]]
    gram = edges @ np.swapaxes(edges, 1, 2)
    area = np.sqrt(np.linalg.det(gram)) / math.factorial(d - 1)
    share = np.zeros(len(nodes))
    np.add.at(share, faces, area[:, None] / d)
    return jnp.asarray(share, pull.dtype)[:, None] * pull[None]
