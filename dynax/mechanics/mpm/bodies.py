"""Sets of points: equal cells of a lattice, of which those within a shape are kept."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Array, ArrayLike


Numbers = float | Sequence[float | int] | np.ndarray | Array
Points = np.ndarray  # (n, d), float64, m; V₀ of each is spacingᵈ

LETTERS = {  # 5 × 7
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "D": "11110 10001 10001 10001 10001 10001 11110",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "N": "10001 11001 11101 10111 10011 10001 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "X": "10001 10001 01010 00100 01010 10001 10001",
    "Y": "10001 10001 01010 00100 00100 00100 00100",
}


def box(lower: Numbers, upper: Numbers, spacing: float) -> Points:
    """Cells that fill a box, in lexicographic order.

    Raises:
        ValueError: lower and upper are not 2 or 3 numbers each, or the sides are not
            multiples of the spacing.
    """
    low, high = _corners(lower, upper)
    count = np.rint((high - low) / spacing)
    if np.any(count < 1) or not np.allclose(count * spacing, high - low, rtol=1e-6):
        near = (high - low) / np.maximum(count, 1)
        raise ValueError(
            f"spacing: given {spacing}; accepted is what the sides {high - low} are "
            f"multiples of, of which the nearest are {near}."
        )
    return _lattice(low, count.astype(int), spacing)


def _corners(lower, upper):
    low, high = (np.asarray(a, np.float64) for a in (lower, upper))
    if low.shape != high.shape or low.shape not in ((2,), (3,)):
        raise ValueError(
            f"lower, upper: given shapes {low.shape} and {high.shape}; accepted are 2 "
            "or 3 numbers each."
        )
    return low, high


def _lattice(low, count, spacing):
    axes = [a + (np.arange(n) + 0.5) * spacing for a, n in zip(low, count, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(count))


def inside(
    shape: Callable[[Points], np.ndarray],
    lower: Numbers,
    upper: Numbers,
    spacing: float,
) -> Points:
    """The points where `shape` of them is true, of cells that cover a box.

    Raises:
        ValueError: lower and upper are not 2 or 3 numbers each; the cells are larger
            than the box.
    """
    low, high = _corners(lower, upper)
    count = np.ceil((high - low) / spacing * (1 - 1e-9)).astype(int)
    if np.any(high - low < spacing * (1 - 1e-9)):
        raise ValueError(
            f"spacing: given {spacing}; accepted is at most the sides, {high - low}."
        )
    x = _lattice((low + high - count * spacing) / 2, count, spacing)
    return x[shape(x)]


def from_mesh(nodes: ArrayLike, faces: ArrayLike, spacing: float) -> Points:
    """The points within a closed surface, of cells that cover its box.

    A point is inside if a ray along the last axis meets the surface an odd number of
    times. Of a `Mesh` give `mesh.nodes, surface(mesh)`; of a file of triangles, what
    meshio reads.

    Args:
        nodes: (n, d), m.
        faces: nodes of each segment (f, 2), or triangle or quadrilateral (f, 3 or 4).
        spacing: of the cells, m.

    Raises:
        ValueError: faces that do not fit d; a surface that is not closed.
    """
    X, faces = np.asarray(nodes, np.float64), np.asarray(faces)
    d = X.shape[1] if X.ndim == 2 else 0
    if d not in (2, 3) or faces.ndim != 2 or not d <= faces.shape[1] <= 2 * d - 2:
        raise ValueError(
            f"faces: given shape {faces.shape} with nodes of shape {X.shape}; accepted "
            "are segments (f, 2) in the plane, (f, 3) or (f, 4) in space."
        )
    if faces.shape[1] == 4:
        faces = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    pairs = [[0, 1], [1, 2], [2, 0]] if d == 3 else [[0], [1]]
    rims = np.sort(np.concatenate([faces[:, p] for p in pairs]), 1)
    open_ = np.sum(np.unique(rims, axis=0, return_counts=True)[1] % 2)
    if open_:
        raise ValueError(
            f"faces: given a surface with {open_} open edges; accepted is a closed one."
        )
    base, sides = X[faces[:, 0]], X[faces[:, 1:]] - X[faces[:, :1]]
    flat = np.swapaxes(sides[..., :-1], 1, 2)
    met = np.linalg.det(flat) != 0  # a face along the ray is met nowhere
    base, rise, back = base[met], sides[met][..., -1], np.linalg.inv(flat[met])
    slant = 1e-7 * spacing * np.array([1.2, 2.3])[: d - 1]  # off edges and corners

    def within(x):  # points of one column follow each other
        n = len(np.unique(x[:, -1]))
        found = []
        for column in x[::n, :-1]:
            s = np.einsum("fij,fj->fi", back, column + slant - base[:, :-1])
            hit = np.all(s >= 0, 1) & (np.sum(s, 1) <= 1)
            height = base[hit, -1] + np.sum(s[hit] * rise[hit], 1)
            found.append(np.sum(height > x[:n, -1:], 1) % 2 == 1)
        return np.concatenate(found)

    return inside(within, X.min(0), X.max(0), spacing)


def ball(center: Numbers, radius: float, spacing: float) -> Points:
    """A disk or a ball."""
    c = np.asarray(center, np.float64)
    within = lambda x: np.sum((x - c) ** 2, -1) < radius**2
    return inside(within, c - radius, c + radius, spacing)


def torus(center: Numbers, radius: float, tube: float, spacing: float) -> Points:
    """About the z axis: `radius` to the middle of the tube; in the plane a ring."""
    c = np.asarray(center, np.float64)
    reach = np.full(c.shape, radius + tube)
    reach[2:] = tube

    def within(x):
        from_ring = np.hypot(x[:, 0] - c[0], x[:, 1] - c[1]) - radius
        return from_ring**2 + np.sum((x - c)[:, 2:] ** 2, -1) < tube**2

    return inside(within, c - reach, c + reach, spacing)


def star(
    center: Numbers,
    radius: float,
    spacing: float,
    points: int = 5,
    waist: float = 0.5,
    depth: float | None = None,
) -> Points:
    """A star whose radius falls linearly in angle from `radius` to waist·radius.

    `depth` along z, in three dimensions; if None, half the radius.
    """
    c = np.asarray(center, np.float64)
    reach = np.full(c.shape, radius)
    reach[2:] = (radius / 2 if depth is None else depth) / 2

    def within(x):
        y, z = x[:, 0] - c[0], x[:, 1] - c[1]
        turn = points * np.arctan2(y, z) / np.pi % 2  # 0 at a tip, 1 between two
        return np.hypot(y, z) < radius * (waist + (1 - waist) * np.abs(turn - 1))

    return inside(within, c - reach, c + reach, spacing)


def letter(
    which: str,
    center: Numbers,
    height: float,
    spacing: float,
    depth: float | None = None,
) -> Points:
    """One of `LETTERS` upright in the plane of x and y, 5/7 as wide as high.

    `depth` along z, in three dimensions; if None, two sevenths of the height.

    Raises:
        ValueError: no such letter.
    """
    if which not in LETTERS:
        raise ValueError(f"which: given {which!r}; accepted is one of {[*LETTERS]}.")
    rows = np.array([[int(s) for s in row] for row in LETTERS[which].split()], bool)
    c, pixel = np.asarray(center, np.float64), height / 7
    reach = np.array([2.5 * pixel, 3.5 * pixel, pixel if depth is None else depth / 2])
    reach = reach[: len(c)]

    def within(x):
        column = ((x[:, 0] - c[0] + reach[0]) / pixel).astype(int).clip(0, 4)
        row = ((c[1] + reach[1] - x[:, 1]) / pixel).astype(int).clip(0, 6)
        return rows[row, column]

    return inside(within, c - reach, c + reach, spacing)
