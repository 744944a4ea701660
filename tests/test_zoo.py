"""The zoo: its equations are those of dysts, evaluated in one program."""

import json
import pathlib
import unicodedata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import zoo

from .peers import dysts_values


TABLE = pathlib.Path(__file__).parent / "peers" / "dysts.json"
NAMES = [kind.__name__ for kind in zoo.ALL]


def of(system):
    if isinstance(system, zoo.Flow):
        return lambda u: system.field(dysts_values.TIME, u)
    return system.step


@jax.jit
def evaluated(systems, points):
    return [jax.vmap(of(s))(p) for s, p in zip(systems, points, strict=True)]


def apart(found, known):
    """The difference, relative to the largest entry of each system."""
    return {
        name: np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b))
        for name, a, b in zip(NAMES, found, known, strict=True)
    }


def test_equations_are_those_of_dysts():
    table = json.loads(TABLE.read_text())
    assert (len(zoo.FLOWS), len(zoo.MAPS)) == (129, 22) and list(table) == NAMES
    systems = [kind() for kind in zoo.ALL]
    points = [np.array(table[name]["points"]) for name in NAMES]
    known = [np.array(table[name]["values"]) for name in NAMES]
    far = apart(evaluated(systems, points), known)
    assert max(far.values()) <= 1e-10, far
    for kind in zoo.ALL:
        assert kind.start.tolist() == table[kind.__name__]["start"]
        if issubclass(kind, zoo.Flow):
            assert kind.period == table[kind.__name__]["period"]
    # control: every parameter counts, and a small change of it is seen
    other = jax.tree.map(lambda a: a + 1e-6 * (1 + np.abs(a)), systems)
    changed = apart(evaluated(other, points), known)
    fixed = {
        k.__name__ for k, s in zip(zoo.ALL, systems, strict=True) if not s.parameters()
    }
    assert {name for name, d in changed.items() if not d > 1e-10} == fixed


def test_systems_keep_the_precision_of_a_state():
    for kind in zoo.ALL:
        system = kind()
        for dtype in (jnp.float32, jnp.float64):
            u = jax.ShapeDtypeStruct(kind.start.shape, dtype)
            assert jax.eval_shape(of(system), u) == u, kind


def test_systems_say_what_they_are():
    for kind in zoo.ALL:
        mark = "\u0307" if issubclass(kind, zoo.Flow) else "₊"
        assert mark in unicodedata.normalize("NFD", kind.__doc__), kind
        assert kind.start.ndim == 1 and not kind.start.flags.writeable
        size = kind.start.size
        assert not kind.pairs or size == 3 or size % 2 == 0 or kind is zoo.ArnoldWeb


def test_delays_are_left_out():
    with pytest.raises(AttributeError, match="MackeyGlass.*earlier state.*zoo.ALL"):
        zoo.MackeyGlass  # noqa: B018
    with pytest.raises(AttributeError, match="Lorentz"):
        zoo.Lorentz  # noqa: B018


@pytest.mark.slow
def test_many_points_of_dysts():
    pytest.importorskip("dysts.flows", exc_type=ImportError)
    systems, points, known = [kind() for kind in zoo.ALL], [], []
    for k, kind in enumerate(zoo.ALL):
        _, field = dysts_values.oracle(kind.__name__, issubclass(kind, zoo.Flow))
        points.append(dysts_values.points(kind.start, 200, seed=1000 + k))
        known.append(field(points[-1]))
    far = apart(evaluated(systems, points), known)
    assert max(far.values()) <= 1e-10, far
