"""Shapes against closed forms: sizes, points inside and on sides, normals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import shapes


L = shapes.Box((-1, -1), (1, 1)) - shapes.Box((0, 0), (1, 1))
PLATE = shapes.Box((0, 0), (2, 1)) - shapes.Disk((1, 0.5), 0.25).named("hole")
STEP = shapes.Box((0, 0), (1, 1)) | shapes.Box((1, 0), (2, 0.5))
LENS = shapes.Disk((0, 0), 1) & shapes.Disk((1, 0), 1)
HEXAGON = shapes.Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])
BALL = shapes.Ball((0.0, 1.0, 2.0), 2.0)
SHELL = BALL - shapes.Ball((0.0, 1.0, 2.0), 1.0).named("core")
THIRD = 2 * math.pi / 3

# (shape, area or volume, {side: length or area})
KNOWN = {
    "interval": (shapes.Interval(-1, 2), 3, {"left": 1, "right": 1}),
    "box": (shapes.Box((0, 0, 0), (1, 2, 3)), 6, {"left": 6, "top": 3, "front": 2}),
    "L": (L, 3, {"left": 3, "right": 1, "bottom": 3, "top": 1}),
    "plate": (PLATE, 2 - math.pi / 16, {"hole": math.pi / 2, "left": 1}),
    "step": (STEP, 1.5, {"left": 1, "right": 1, "bottom": 2, "top": 2}),
    "lens": (LENS, THIRD - 3**0.5 / 2, {"edge": 2 * THIRD}),
    "hexagon": (HEXAGON, 3, {"edge 1": 2, "edge 3": 1}),
    "ball": (BALL, 32 / 3 * math.pi, {"edge": 16 * math.pi}),
    "shell": (SHELL, 28 / 3 * math.pi, {"edge": 16 * math.pi, "core": 4 * math.pi}),
}


@pytest.mark.parametrize("name", KNOWN)
def test_sizes(name):
    shape, volume, sides = KNOWN[name]
    assert shape.volume == pytest.approx(volume, rel=2e-3)
    for side, size in sides.items():
        assert shape.measure(side) == pytest.approx(size, rel=3e-3), side


@pytest.mark.parametrize("name", KNOWN)
def test_points_and_normals(name):
    """By distances in NumPy: the normal is the distance's gradient, and a mean of the
    flux of x over the boundary is the divergence theorem's."""
    shape, volume, _ = KNOWN[name]
    inside = np.asarray(shape.sample(jax.random.key(0), 500))
    assert inside.shape == (500, shape.dimension)
    assert np.all(shape.distance(inside) <= 0) and np.all(shape.implicit(inside) >= 0)
    flux = 0.0
    for k, side in enumerate(shape.sides):
        x, n = map(np.asarray, shape.on(side, jax.random.key(k), 400))
        assert np.max(abs(shape.distance(x))) < 1e-12
        assert np.max(abs(shape.implicit(x))) < 1e-7
        assert np.max(abs(np.linalg.norm(n, axis=1) - 1)) < 1e-12
        h = 1e-5
        ahead = (shape.distance(x + h * n) - shape.distance(x - h * n)) / (2 * h)
        assert np.mean(abs(ahead - 1) < 1e-6) > 0.98, side  # corners have no normal
        flux += shape.measure(side) * np.mean(np.sum(x * n, 1))
    assert flux == pytest.approx(shape.dimension * volume, rel=2e-2)


def test_means_inside_are_even():
    """∫x², off by less than random points would leave it (control)."""
    x = np.asarray(PLATE.sample(jax.random.key(1), 4000))
    ring = math.pi * 0.25**2
    true = 8 / 3 - ring * (1 + 0.25**2 / 4)
    off = abs(np.mean(x[:, 0] ** 2) * (2 - ring) - true)
    spread = np.std(x[:, 0] ** 2) * (2 - ring) / math.sqrt(4000)
    assert off < spread / 3


def test_held():
    """Zero on the sides that are held, and there only; positive inside."""
    cases = [
        (shapes.Box((0, 0), (2, 1)), {"left", "top"}),
        (PLATE, {"left", "right"}),
        (PLATE, {"hole", "top"}),
        (HEXAGON, {"edge 1", "edge 4"}),
        (shapes.Polygon([(0, 0), (1, 0), (0, 1)]), {"edge 2"}),
        (L, {*L.sides}),
        (STEP, {*STEP.sides}),
    ]
    for shape, sides in cases:
        held = shape.held(sides)
        assert held is not None
        assert np.all(held(np.asarray(shape.sample(jax.random.key(0), 300))) > 0)
        for side in shape.sides:
            x = np.asarray(shape.on(side, jax.random.key(0), 100)[0])
            found = np.abs(held(x))
            if side in sides:
                assert np.max(found) < 1e-6, side
            else:
                assert np.mean(found > 1e-6) > 0.95, side
    assert L.held({"left"}) is None  # A's left and B's are one side


def test_cloud():
    x = np.asarray(PLATE.sample(jax.random.key(0), 64))
    rim = tuple(np.asarray(a) for a in PLATE.on("hole", jax.random.key(0), 16))
    cloud = shapes.Cloud(x, {"rim": rim})
    drawn = np.asarray(cloud.sample(jax.random.key(1), 64))
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, jnp.asarray(x).tolist()))
    assert cloud.on("rim", jax.random.key(0), 40)[1].shape == (40, 2)
    assert cloud.sides == ("rim",) and cloud.held({"rim"}) is None


BAD = {
    "no area": lambda: shapes.Polygon([(0, 0), (1, 1), (2, 2)]),
    "crossing": lambda: shapes.Polygon([(0, 0), (1, 1), (1, 0), (0, 2)]),
    "empty box": lambda: shapes.Box((0, 0), (1, 0)),
    "negative radius": lambda: shapes.Disk((0, 0), -1),
    "nothing left": lambda: L - shapes.Box((-2, -2), (2, 2)),
    "apart": lambda: shapes.Disk((0, 0), 1) & shapes.Disk((3, 0), 1),
    "dimensions": lambda: shapes.Interval(0, 1) | shapes.Disk((0, 0), 1),
    "unknown side": lambda: L.on("hole", jax.random.key(0), 3),
    "hidden side": lambda: (
        shapes.Disk((0, 0), 1) | shapes.Disk((0, 0), 0.5).named("in")
    ).on("in", jax.random.key(0), 3),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    with pytest.raises(ValueError, match="given .*accepted is"):
        BAD[name]()
