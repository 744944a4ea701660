"""Every kind of element against integrals and patches in closed form, and files."""

# Bad input is given on purpose, and NumPy where jax is expected.
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import base64
import xml.etree.ElementTree as ET

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import material as mat
from dynax.mechanics import (
    Mesh,
    Solid,
    box_mesh,
    quadratic,
    read_mesh,
    surface,
    traction,
    write_ply,
    write_vtk,
)
from dynax.mechanics._elements import ELEMENTS


E, NU, RHO = 1e5, 0.3, 1e3
EPS = np.finfo(np.float64).eps
MESHES = {
    "triangle": lambda: box_mesh((2, 2), (2.0, 1.0)),
    "triangle6": lambda: quadratic(box_mesh((2, 2), (2.0, 1.0))),
    "quad": lambda: box_mesh((2, 2), (2.0, 1.0), simplices=False),
    "tetra": lambda: box_mesh((2, 2, 2), (2.0, 1.0, 1.0)),
    "tetra10": lambda: quadratic(box_mesh((1, 1, 1), (2.0, 1.0, 1.0))),
    "hexahedron": lambda: box_mesh((2, 2, 2), (2.0, 1.0, 1.0), simplices=False),
}


@pytest.mark.parametrize("kind", ELEMENTS.values(), ids=lambda e: e.name)
def test_shape_functions(kind):
    """1 at the own node and 0 at others; Σ N = 1; Σ Xₐ ∇Nₐ = I; and the quadrature is
    exact for the squares of slopes: against points of a finer rule."""
    corners, d = kind.nodes.shape
    assert np.allclose(kind.shapes(kind.nodes), np.eye(corners), atol=1e-12)
    assert np.allclose(kind.shapes(kind.points).sum(1), 1)
    unit = np.einsum("ci,qcj->qij", kind.nodes, kind.slopes())
    assert np.allclose(unit, np.eye(d), atol=1e-12)
    # ∫x over the reference domain, from the faces: the divergence theorem
    whole = {"l": 1, "t": 1 / 2, "q": 1, "h": 1}[kind.name[0]]
    whole /= 3 if kind.name.startswith("tet") else 1
    middle = whole / (d + 1) if kind.name[0] == "t" else whole / 2
    assert np.isclose(kind.weights.sum(), whole)
    np.testing.assert_allclose(kind.weights @ kind.points, middle, rtol=1e-12)


@pytest.mark.parametrize("name", MESHES)
def test_patch(name):
    """A mesh with crooked inner nodes, under a uniform F: P of the law at each point,
    balance at each inner node, with the mean of J too. Masses are positive and whole,
    tractions have their closed sum and moment. Bent (control): no uniform stress."""
    mesh = MESHES[name]()
    X = np.array(mesh.nodes)
    n, d = X.shape
    rng = np.random.default_rng(0)
    corner = np.unique(mesh.elements[:, : (d + 1 if name[0] == "t" else 2**d)])
    edge = np.isclose(X, 0) | np.isclose(X, X.max(0))
    inner = ~edge.any(1)
    moved = inner & np.isin(np.arange(n), corner)
    X[moved] += rng.uniform(-0.1, 0.1, (moved.sum(), d))
    if name.endswith(("6", "10")):  # edges stay straight
        linear = Mesh(jnp.asarray(X[corner]), mesh.elements[:, : d + 1])
        mesh = quadratic(linear)
        X = np.array(mesh.nodes)
    mesh = Mesh(jnp.asarray(X), mesh.elements)
    F = np.eye(d) + 0.2 * rng.uniform(-1, 1, (d, d))
    mu, lam = E / 2 / (1 + NU), E * NU / (1 + NU) / (1 - 2 * NU)
    inv = np.linalg.inv(F).T
    P = mu * (F - inv) + lam * np.log(np.linalg.det(F)) * inv
    force = sum(
        traction(mesh, np.isclose(X[:, i], end), jnp.asarray(sign * P[:, i]))
        for i in range(d)
        for end, sign in ((X[:, i].min(), -1.0), (X[:, i].max(), 1.0))
    )
    bodies = [
        Solid(mat.NeoHookean(E, NU), mesh, RHO, force=force, mean_volume=bar)
        for bar in {False, name in ("quad", "hexahedron")}
    ]
    mass, none = np.asarray(bodies[0].parts.mass), bodies[0].init()[0][1]
    assert (mass > 0).all()
    np.testing.assert_allclose(mass.sum(), RHO * np.prod(X.max(0)), rtol=20 * EPS)

    @jax.jit
    def seen(x):
        return [(b.stress((x, none)), b.pull((x, none))) for b in bodies]

    for stress, pull in seen(jnp.asarray(X @ F.T)):
        np.testing.assert_allclose(
            stress, np.broadcast_to(P, stress.shape), atol=100 * EPS * E
        )
        np.testing.assert_allclose(pull, 0, atol=100 * EPS * E)
    bent = X + 0.1 * X[:, ::-1] ** 2
    for stress, pull in seen(jnp.asarray(bent)):
        assert np.ptp(stress[..., 0, 0]) > 1e-3 * E and np.abs(pull).max() > 1e-3 * E


@pytest.mark.parametrize("name", MESHES)
def test_surface_is_closed_and_pulled(name):
    """∮ n dA = 0 with outward normals, and the force and moment of a traction."""
    mesh = MESHES[name]()
    X, faces = np.asarray(mesh.nodes), surface(mesh)
    d = X.shape[1]
    side = X[faces[:, 1:d]] - X[faces[:, :1]]
    if d == 2:
        normal = np.stack([side[:, 0, 1], -side[:, 0, 0]], -1)
    else:
        last = X[faces[:, 3 if name == "hexahedron" else 2]] - X[faces[:, 0]]
        normal = np.cross(side[:, 0], last) / (1 if name == "hexahedron" else 2)
    volume = np.einsum("fi,fi->", X[faces[:, :d]].mean(1), normal) / d
    assert np.allclose(normal.sum(0), 0)
    assert np.isclose(volume, np.prod(X.max(0)))
    pull = jnp.arange(1.0, d + 1)
    force = np.asarray(traction(mesh, X[:, 0] == 2.0, pull))
    np.testing.assert_allclose(force.sum(0), pull, rtol=1e-12)  # on an area of 1
    np.testing.assert_allclose(X[:, 1] @ force, pull / 2, rtol=1e-12)


def test_bad_meshes():
    law, mesh = mat.NeoHookean(E, NU), box_mesh((1, 1), (1.0, 1.0))
    X, e = mesh.nodes, mesh.elements
    square = box_mesh((1, 1), (1.0, 1.0), simplices=False)
    far = jnp.concatenate([X, X[:1] + 9])
    wrong = [
        (Mesh(X, e[:, ::-1]), "elements: given number 0 with det -1"),
        (Mesh(square.nodes, square.elements[:, [0, 2, 1, 3]]), "turned inside out"),
        (Mesh(X, np.concatenate([e, e[:1]])), "elements: given numbers .2. with"),
        (Mesh(X, np.concatenate([e, e[:1, [1, 2, 0]]])), "accepted is each once"),
        (Mesh(far, e), "given none at 1 nodes, of which the first are .4."),
        (Mesh(X, e + 1), "accepted is 0 to 3"),
        (Mesh(X, e[:, :2]), "c in .3, 6, 4. in 2 dimensions"),
    ]
    for given, words in wrong:
        with pytest.raises(ValueError, match=words):
            Solid(law, given, RHO)
    for simplices in (mesh, quadratic(mesh)):
        with pytest.raises(ValueError, match="mean_volume: given True"):
            Solid(law, simplices, RHO, mean_volume=True)
    with pytest.raises(ValueError, match="mesh: given 4 corners"):
        quadratic(square)
    with pytest.raises(ValueError, match="density"):
        Solid(law, mesh, jnp.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="held"):
        Solid(law, mesh, RHO, held=np.zeros((4, 3), bool))


@pytest.mark.parametrize("name", ["quad", "tetra10", "points"])
def test_files_are_what_was_written(name, tmp_path):
    """Read anew: VTK's arrays by their own header, PLY by its own."""
    mesh = MESHES["quad" if name == "points" else name]()
    X, elements = np.asarray(mesh.nodes), np.asarray(mesh.elements, np.int32)
    d, t = X.shape[1], np.array([0.0, 0.5])
    x = np.stack([X, 2 * X])
    P = np.arange(2 * len(elements) * 3 * d * d, dtype=float).reshape(2, -1, 3, d, d)
    cells = {} if name == "points" else {"stress": P}
    given = None if name == "points" else elements
    path = write_vtk(tmp_path, t, x, given, speed=x[..., 0], v=x, **cells)
    rows = ET.parse(path).findall("Collection/DataSet")
    assert [float(row.get("timestep", "")) for row in rows] == [0.0, 0.5]
    piece = ET.parse(tmp_path / rows[1].get("file", "")).find(".//Piece")
    assert piece is not None
    found = {}
    for array in piece.iter("DataArray"):
        raw = base64.b64decode(array.text or "")
        kind = {"Float64": "f8", "Int32": "i4", "UInt8": "u1"}[array.get("type", "")]
        assert int(np.frombuffer(raw[:8], "<u8")[0]) == len(raw) - 8
        width = int(array.get("NumberOfComponents", ""))
        found[array.get("Name")] = np.frombuffer(raw[8:], kind).reshape(-1, width)
    assert np.array_equal(found["x"][:, :d], x[1]) and found["v"].shape[1] == 3
    assert np.array_equal(found["speed"][:, 0], x[1, :, 0])
    if name != "points":
        kind = ELEMENTS[d, elements.shape[1]]
        assert np.array_equal(found["connectivity"].ravel(), elements.ravel())
        assert (found["types"] == kind.vtk).all()
        mean = found["stress"].reshape(-1, 3, 3)[:, :d, :d]
        np.testing.assert_allclose(mean, P[1].mean(1))
    last = write_ply(tmp_path, t, x, given, v=x)[-1].read_bytes()
    head, _, rest = last.partition(b"end_header\n")
    columns = head.count(b"property float")
    points = np.frombuffer(rest[: 4 * columns * len(X)], "<f4").reshape(-1, columns)
    np.testing.assert_allclose(points[:, :d], x[1], rtol=1e-6)
    assert columns == 3 + d
    faces = {"quad": 4, "tetra10": 12, "points": 0}[name]
    assert f"element face {faces}\n".encode() in head
    assert len(rest) - 4 * columns * len(X) == faces * (1 + 4 * (3 + (name == "quad")))
    x[1, 0] = np.inf
    with pytest.raises(ValueError, match="infinity from state 1 on"):
        write_vtk(tmp_path, t, x)
    with pytest.raises(ValueError, match="speed: given shape"):
        write_ply(tmp_path, t[:1], x[:1], speed=x[:1, :2, 0])


@pytest.mark.slow  # needs meshio
def test_meshio_reads_and_is_read(tmp_path):
    meshio = pytest.importorskip("meshio")
    for name, make in MESHES.items():
        mesh = make()
        X = np.asarray(mesh.nodes)
        write_vtk(tmp_path, [0.0], X[None], mesh.elements)
        again = read_mesh(tmp_path / "00000.vtu")
        assert again.elements.shape == mesh.elements.shape, name
        order = np.asarray(again.elements), np.asarray(mesh.elements)
        assert np.allclose(np.asarray(again.nodes)[order[0]], X[order[1]])
    faces = meshio.Mesh(X, [("quad", mesh.elements[:, :4])])
    faces.write(tmp_path / "faces.vtk")
    assert read_mesh(tmp_path / "faces.vtk", 1e-3).nodes.shape[1] == 2
    meshio.Mesh(X, [("vertex", [[0]])]).write(tmp_path / "points.vtk")
    with pytest.raises(ValueError, match="path: given .'vertex'."):
        read_mesh(tmp_path / "points.vtk")
