"""Meshes: boxes, quadratic elements, files, and the forces on their surface."""

import itertools
import os
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from dynax.mechanics._elements import ELEMENTS


class Mesh(NamedTuple):
    """A body at rest, in d dimensions, cut into elements of one kind.

    d and the number of corners tell the kind; nodes are in the order of VTK:

        line 2, 3   triangle 3, 6   quadrilateral 4   tetrahedron 4, 10   hexahedron 8

    Args:
        nodes: (n, d), places in m.
        elements: (m, corners), nodes of each element, in the order that has a positive
            volume.
    """

    nodes: Float[Array, "n d"]
    elements: Int[np.ndarray, "m corners"]


def box_mesh(
    cells: Sequence[int],
    size: Sequence[float],
    lower: Sequence[float] | None = None,
    dtype=None,
    simplices: bool = True,
) -> Mesh:
    """Cut a box into equal cells, each of which may be cut into d! simplices.

    Source: Kuhn, "Some combinatorial lemmas in topology", IBM J. Res. Dev. 4 (1960).

    Args:
        cells: how many along each axis; their number is d = 1, 2, 3.
        size: of the box along each axis, m.
        lower: its lower corner; the origin if None.
        dtype: of the nodes.
        simplices: triangles and tetrahedra; else quadrilaterals and hexahedra.

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
    for path in _simplices(d) if simplices or d == 1 else _cube(d):
        at = corner[:, None] + path
        found.append(np.ravel_multi_index(np.moveaxis(at, -1, 0), points))
    elements = np.stack(found, 1).reshape(-1, found[0].shape[1])
    dtype = jnp.result_type(float) if dtype is None else dtype
    with jax.ensure_compile_time_eval():  # a mesh is known within jit too
        return Mesh(jnp.asarray(place, dtype), elements)


def _simplices(d):
    for axes in itertools.permutations(range(d)):
        path = np.cumsum([[0] * d, *np.eye(d, dtype=int)[list(axes)]], 0)
        if np.linalg.det(path[1:] - path[0]) < 0:
            path[[-2, -1]] = path[[-1, -2]]
        yield path


def _cube(d):
    yield ELEMENTS[d, 2**d].nodes.astype(int)


def quadratic(mesh: Mesh) -> Mesh:
    """Add a node amid each edge of a mesh of simplices: linear elements to quadratic.

    Raises:
        ValueError: not a mesh of lines, triangles or tetrahedra with d + 1 nodes each.
    """
    elements, X = corners_of(mesh), jnp.asarray(mesh.nodes)
    d = X.shape[1]
    fits = elements.shape[1] == d + 1
    demand(fits, "mesh", f"{elements.shape[1]} corners, d = {d}", "d + 1 corners")
    ends = [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)][: d * (d + 1) // 2]
    edges = np.sort(elements[:, ends], -1)
    new, place = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
    amid = (X[new[:, 0]] + X[new[:, 1]]) / 2
    place = len(X) + place.reshape(edges.shape[:2])
    return Mesh(jnp.concatenate([X, amid]), np.concatenate([elements, place], 1))


def read_mesh(path: str | os.PathLike, unit: float = 1.0, dtype=None) -> Mesh:
    """Read a mesh file of any format that meshio knows (Gmsh, Abaqus, VTK, …).

    Of several kinds of elements those of the highest dimension are kept, and the nodes
    that belong to them.

    Args:
        path: of the file.
        unit: of its lengths in m; 1e-3 for mm.
        dtype: of the nodes.

    Raises:
        ValueError: no elements that dynax has, or more than one kind of the highest
            dimension.
    """
    import meshio  # pyright: ignore[reportMissingImports]

    known = {e.name: dc for dc, e in ELEMENTS.items()}
    given = meshio.read(path)
    blocks = [b for b in given.cells if b.type in known and len(b.data)]
    top = max((known[b.type][0] for b in blocks), default=0)
    kinds = {b.type for b in blocks if known[b.type][0] == top}
    demand(
        len(kinds) == 1,
        "path",
        f"{sorted({b.type for b in given.cells})}",
        f"one kind of the highest dimension, of {[*known]}",
    )
    elements = np.concatenate([b.data for b in blocks if b.type in kinds])
    used, elements = np.unique(elements, return_inverse=True)
    X = np.asarray(given.points)[used, :top] * unit
    rest = np.ptp(np.asarray(given.points)[used, top:], axis=0)
    size = np.ptp(np.asarray(given.points)[used])
    demand(
        np.all(rest <= 1e-9 * size),
        "path",
        f"{kinds} in {top + len(rest)} dimensions",
        f"a mesh in {top} dimensions (a surface is for `mpm.bodies.from_mesh`)",
    )
    dtype = jnp.result_type(float) if dtype is None else dtype
    corners = known[kinds.pop()][1]
    return Mesh(jnp.asarray(X, dtype), elements.reshape(-1, corners))


def demand(ok, name: str, given: str, accepted: str) -> None:
    """Raise a ValueError that says so in words, unless `ok`."""
    if not ok:
        raise ValueError(f"{name}: given {given}; accepted is {accepted}.")


def corners_of(mesh: Mesh, dimension: int | None = None) -> Int[np.ndarray, "m c"]:
    """The elements of a mesh as integers that were checked; d-dimensional, if None.

    Raises:
        ValueError: no integers, an unknown number of corners, a node that is not there
            or belongs to no element, an element given twice.
    """
    elements, (n, d) = np.asarray(mesh.elements), np.shape(mesh.nodes)
    dimension = d if dimension is None else dimension
    corners = [c for e, c in ELEMENTS if e == dimension]
    demand(
        elements.dtype.kind in "iu"
        and elements.ndim == 2
        and elements.shape[1] in corners
        and elements.size,
        "elements",
        f"{elements.dtype} of shape {elements.shape}",
        f"integers, (m, c) with c in {corners} in {d} dimensions",
    )
    low, high = elements.min(), elements.max()
    inside = low >= 0 and high < n
    demand(inside, "elements", f"nodes {low} to {high}", f"0 to {n - 1}")
    alone = np.setdiff1d(np.arange(n), elements)
    text = f"none at {len(alone)} nodes, of which the first are {alone[:3]}"
    demand(not len(alone), "elements", text, "every node in at least one")
    _, first = np.unique(np.sort(elements, 1), axis=0, return_index=True)
    twice = np.setdiff1d(np.arange(len(elements)), first)
    text = f"numbers {twice[:3]} with the nodes of another"
    demand(not len(twice), "elements", text, "each once")
    return elements.astype(np.int32)


def surface(mesh: Mesh) -> Int[np.ndarray, "f k"]:
    """The faces that belong to one element only, seen from outside counterclockwise."""
    elements, d = np.asarray(mesh.elements), np.shape(mesh.nodes)[1]
    faces = elements[:, ELEMENTS[d, elements.shape[1]].faces]
    faces = faces.reshape(-1, faces.shape[-1])
    keys = np.sort(faces, 1)
    _, first, seen = np.unique(keys, axis=0, return_index=True, return_counts=True)
    return faces[np.sort(first[seen == 1])]


def traction(mesh: Mesh, on: ArrayLike, pull: ArrayLike) -> Float[Array, "n d"]:
    """The force on each node, in N, of a dead traction on a part of the surface.

    Args:
        mesh: the body.
        on: (n,), which nodes; a face of the surface counts if all of its nodes do.
        pull: (d,), N per m² of the body at rest (d = 3), N/m (d = 2), N (d = 1).

    Raises:
        ValueError: wrong shapes, or no face of the surface lies there.
    """
    nodes, pull, on = np.asarray(mesh.nodes), jnp.asarray(pull), np.asarray(on)
    d = nodes.shape[1]
    if on.shape != nodes.shape[:1] or on.dtype != bool or pull.shape != (d,):
        raise ValueError(
            f"on, pull: given shapes {on.shape} ({on.dtype}), {pull.shape}; accepted "
            f"are {nodes.shape[:1]} (bool), ({d},)."
        )
    faces = surface(mesh)
    faces = faces[on[faces].all(1)]
    if not len(faces):
        raise ValueError("on: given no face of the surface; accepted are nodes of one.")
    share = np.zeros(len(nodes))
    if d == 1:
        np.add.at(share, faces[:, 0], 1.0)
    else:
        kind = ELEMENTS[d - 1, faces.shape[1]]
        E = np.einsum("fci,qcj->fqij", nodes[faces], kind.slopes())
        area = np.sqrt(np.linalg.det(np.swapaxes(E, -1, -2) @ E)) * kind.weights
        np.add.at(share, faces, area @ kind.shapes(kind.points))
    return jnp.asarray(share, pull.dtype)[:, None] * pull[None]
