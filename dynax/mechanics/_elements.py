"""Shape functions, quadrature and faces of each kind of element.

Every kind is told by (d, corners), for nodes in the order of VTK and of meshio:

    line 2   triangle 3, 6   quadrilateral 4   tetrahedron 4, 10   hexahedron 8

The last 3 or 6 nodes of quadratic ones lie amid the edges 01, 12, 20 and 03, 13, 23.
"""

import itertools
from typing import NamedTuple

import numpy as np


class Element(NamedTuple):
    """Describe one kind of element on [0, 1]ᵈ or the unit simplex.

    Args:
        name: as meshio calls it.
        nodes: (c, d), where N of each node is 1.
        powers: (c, d), exponents of the monomials that span N.
        points: (q, d), of the quadrature.
        weights: (q,).
        faces: nodes of each face, seen from outside counterclockwise.
        vtk: its number in VTK files.
    """

    name: str
    nodes: np.ndarray
    powers: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    vtk: int

    def shapes(self, at: np.ndarray) -> np.ndarray:
        """N at points (q, d) → (q, c)."""
        return _monomials(at, self.powers) @ self._coefficients()

    def slopes(self) -> np.ndarray:
        """∂N/∂ξ at the points of the quadrature, (q, c, d)."""
        found = []
        for i in range(self.powers.shape[1]):
            lower = self.powers.copy()
            lower[:, i] = np.maximum(lower[:, i] - 1, 0)
            steep = self.powers[:, i] * _monomials(self.points, lower)
            found.append(steep @ self._coefficients())
        return np.stack(found, -1)

    def _coefficients(self):
        return np.linalg.inv(_monomials(self.nodes, self.powers))


def _monomials(at, powers):
    return np.prod(np.asarray(at)[:, None] ** powers[None], -1)


def _simplex(d, quadratic):
    corners = np.concatenate([np.zeros((1, d)), np.eye(d)])
    edges = [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)][: d * (d + 1) // 2]
    if not quadratic:
        powers = np.concatenate([np.zeros((1, d), int), np.eye(d, dtype=int)])
        return corners, powers, np.full((1, d), 1 / (d + 1))
    amid = np.array(
        [(corners[i] + corners[j]) / 2 for i, j in edges[: d * (d + 1) // 2]]
    )
    powers = [p for p in itertools.product(range(3), repeat=d) if sum(p) <= 2]
    # exact for squares: barycentric (a, b, …, b) and its permutations
    b = {1: (1 - 3**-0.5) / 2, 2: 1 / 6, 3: (5 - 5**0.5) / 20}[d]
    points = np.full((d + 1, d), b) + (1 - (d + 1) * b) * corners
    return np.concatenate([corners, amid]), np.array(powers), points


def _box(d):
    ring = [(0, 0), (1, 0), (1, 1), (0, 1)]
    nodes = ring if d == 2 else [(*p, z) for z in (0, 1) for p in ring]
    cube = np.array(list(itertools.product((0, 1), repeat=d)))
    return np.array(nodes), cube, 0.5 + (cube - 0.5) / 3**0.5


def _element(name, vtk, domain, faces):
    nodes, powers, points = domain
    size = {"l": 1, "t": 1 / 2, "q": 1, "h": 1}[name[0]] / (
        3 if name[:3] == "tet" else 1
    )
    weights = np.full(len(points), size / len(points))
    return Element(name, nodes, powers, points, weights, np.array(faces), vtk)


_KINDS = [
    _element("line", 3, _simplex(1, False), [(0,), (1,)]),
    _element("line3", 21, _simplex(1, True), [(0,), (1,)]),
    _element("triangle", 5, _simplex(2, False), [(0, 1), (1, 2), (2, 0)]),
    _element("triangle6", 22, _simplex(2, True), [(0, 1, 3), (1, 2, 4), (2, 0, 5)]),
    _element("quad", 9, _box(2), [(0, 1), (1, 2), (2, 3), (3, 0)]),
    _element(
        "tetra",
        10,
        _simplex(3, False),
        [(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)],
    ),
    _element(
        "tetra10",
        24,
        _simplex(3, True),
        [
            (0, 2, 1, 6, 5, 4),
            (0, 1, 3, 4, 8, 7),
            (1, 2, 3, 5, 9, 8),
            (0, 3, 2, 7, 9, 6),
        ],
    ),
    _element(
        "hexahedron",
        12,
        _box(3),
        [
            (0, 3, 2, 1),
            (4, 5, 6, 7),
            (0, 1, 5, 4),
            (1, 2, 6, 5),
            (2, 3, 7, 6),
            (3, 0, 4, 7),
        ],
    ),
]
ELEMENTS = {k.nodes.shape[::-1]: k for k in _KINDS}
