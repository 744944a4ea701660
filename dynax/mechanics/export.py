"""Series of files for ParaView and Blender: VTK's XML format, and PLY."""

import base64
import os
import pathlib
from xml.sax.saxutils import quoteattr

import numpy as np
from jaxtyping import ArrayLike, Float, Int

from dynax.mechanics._elements import ELEMENTS
from dynax.mechanics.mesh import Mesh, demand, surface


Folder = str | os.PathLike
TYPES = {"f4": "Float32", "f8": "Float64", "i4": "Int32", "i8": "Int64", "u1": "UInt8"}


def write_vtk(
    folder: Folder,
    t: Float[ArrayLike, " k"],
    x: Float[ArrayLike, "k n d"],
    elements: Int[ArrayLike, "m c"] | None = None,
    **data: ArrayLike,
) -> pathlib.Path:
    """Write a motion as one .vtu file a time, and `series.pvd`, which ParaView opens.

    Args:
        folder: where to; made if it is not there.
        t: times, or load factors.
        x: places of nodes or of material points, m; d = 2 or 3.
        elements: of a mesh; None for material points.
        data: by name, one number, vector or matrix a point (k, n, …) or an element
            (k, m, …); of a matrix at each quadrature point, (k, m, q, d, d), the mean.

    Returns:
        The path of `series.pvd`.

    Raises:
        ValueError: shapes that do not fit; a NaN or infinity, as of a run that failed.
    """
    folder, t, x, arrays, d = _series(folder, t, x, elements, data)
    rows = []
    for k, time in enumerate(t):
        name = f"{k:05d}.vtu"
        fields = {key: a[k] for key, a in arrays.items()}
        (folder / name).write_text(_vtu(x[k], elements, fields, d), encoding="utf-8")
        rows.append(f'<DataSet timestep="{float(time)!r}" file="{name}"/>')
    text = "".join(rows)
    path = folder / "series.pvd"
    path.write_text(
        '<?xml version="1.0"?><VTKFile type="Collection" version="1.0"><Collection>'
        f"{text}</Collection></VTKFile>",
        encoding="utf-8",
    )
    return path


def write_ply(
    folder: Folder,
    t: Float[ArrayLike, " k"],
    x: Float[ArrayLike, "k n d"],
    elements: Int[ArrayLike, "m c"] | None = None,
    **data: ArrayLike,
) -> list[pathlib.Path]:
    """Write a motion as binary .ply files, one a time, for Blender and others.

    Args:
        folder, t, x: as of `write_vtk`.
        elements: of a mesh, whose surface is written; None for material points.
        data: by name, one number or vector a point, (k, n) or (k, n, c).

    Returns:
        The paths of the files.

    Raises:
        ValueError: as `write_vtk`.
    """
    folder, t, x, arrays, d = _series(folder, t, x, elements, data)
    faces = np.zeros((0, 3), np.int32)
    if elements is not None:  # in the plane the body is its own surface
        faces = elements if d == 2 else surface(Mesh(x[0], np.asarray(elements)))
        faces = np.asarray(faces)[:, : 4 if np.shape(faces)[1] == 4 else 3]
    paths = []
    for k in range(len(t)):
        columns = {"x": x[k, :, 0], "y": x[k, :, 1], "z": x[k, :, 2]}
        for name, a in arrays.items():
            demand(
                a.shape[1] == x.shape[1] and a.ndim < 4,
                name,
                f"shape {a.shape}",
                f"one number or vector a point, (k, {x.shape[1]}, …)",
            )
            rows = a[k].reshape(len(a[k]), -1).T
            names = (
                [f"{name}{i}" for i in range(len(rows))] if len(rows) > 1 else [name]
            )
            columns |= dict(zip(names, rows, strict=True))
        paths.append(folder / f"{k:05d}.ply")
        paths[-1].write_bytes(_ply(columns, faces))
    return paths


def _series(folder, t, x, elements, data):
    t, x = np.asarray(t, float), np.asarray(x)
    k, n, d = x.shape if x.ndim == 3 else (0, 0, 0)
    fits = t.shape == (k,) and d in (2, 3)
    demand(fits, "t, x", f"shapes {t.shape}, {x.shape}", "(k,), (k, n, 2 or 3)")
    finite = np.isfinite(t) & np.isfinite(x).all((1, 2))
    text = f"NaN or infinity from state {int(np.argmin(finite))} on"
    demand(finite.all(), "t, x", text, "finite; of a failed run, what it reached")
    if elements is not None:
        c = np.shape(elements)[1]
        demand((d, c) in ELEMENTS, "elements", f"{c} corners", "those of a Mesh")
    m = 0 if elements is None else len(np.asarray(elements))
    data = {name: np.asarray(a) for name, a in data.items()}
    for name, a in data.items():
        fits = a.ndim >= 2 and a.shape[0] == k and a.shape[1] in (n, m)
        text = f"(k, n, …) or (k, m, …) with k, n, m = {k}, {n}, {m}"
        demand(fits, name, f"shape {a.shape}", text)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder, t, np.pad(x, ((0, 0), (0, 0), (0, 3 - d))), data, d


def _vtu(x, elements, fields, d):
    n, points = len(x), elements is None
    cells = np.arange(n)[:, None] if points else np.asarray(elements)
    m, c = cells.shape
    kind = 1 if points else ELEMENTS[d, c].vtk
    at_points, at_cells = [], []
    for name, a in fields.items():
        a = a.mean(1) if a.ndim == 4 else a
        wide = [(0, 0), *[(0, 3 - s if s == d else 0) for s in a.shape[1:]]]
        row = _array(name, np.pad(a, wide).reshape(len(a), -1))  # in space, for VTK
        (at_points if len(a) == n else at_cells).append(row)
    topology = [
        _array("connectivity", cells.astype(np.int32).reshape(-1, 1)),
        _array("offsets", c * np.arange(1, m + 1, dtype=np.int32)[:, None]),
        _array("types", np.full((m, 1), kind, np.uint8)),
    ]
    return (
        '<?xml version="1.0"?><VTKFile type="UnstructuredGrid" version="1.0" '
        'byte_order="LittleEndian" header_type="UInt64"><UnstructuredGrid>'
        f'<Piece NumberOfPoints="{n}" NumberOfCells="{m}">'
        f"<Points>{_array('x', x)}</Points><Cells>{''.join(topology)}</Cells>"
        f"<PointData>{''.join(at_points)}</PointData>"
        f"<CellData>{''.join(at_cells)}</CellData>"
        "</Piece></UnstructuredGrid></VTKFile>"
    )


def _array(name, a):
    a = np.ascontiguousarray(a, a.dtype.newbyteorder("<"))
    content = base64.b64encode(np.uint64(a.nbytes).tobytes() + a.tobytes()).decode()
    return (
        f'<DataArray type="{TYPES[a.dtype.str[1:]]}" Name={quoteattr(name)} '
        f'NumberOfComponents="{a.shape[1]}" format="binary">{content}</DataArray>'
    )


def _ply(columns, faces):
    n, c = len(columns["x"]), faces.shape[1]
    properties = "".join(f"property float {name}\n" for name in columns)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {n}\n{properties}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\n"
        "end_header\n"
    )
    rows = np.stack([*columns.values()], 1).astype("<f4")
    lists = np.zeros(len(faces), [("count", "u1"), ("of", "<i4", (c,))])
    lists["count"], lists["of"] = c, faces
    return header.encode() + rows.tobytes() + lists.tobytes()
