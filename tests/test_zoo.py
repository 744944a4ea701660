"""The zoo: its equations are those of dysts, evaluated in one program."""

import json
import pathlib
import unicodedata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import zoo
from dynax.cli import main

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


def test_annotations_of_systems():
    known = zoo.annotations()
    assert set(known) == set(NAMES)
    said = {"chaotic", "not chaotic from this start", "undecided"}
    said |= {"not converged", "not finite"}
    for kind in zoo.ALL:
        row = known[kind.__name__]
        flow = issubclass(kind, zoo.Flow)
        assert row.status in said and (flow or row.published is None)
        if row.status == "not finite":
            assert np.isnan(row.value).all() and np.isnan(row.dimension)
            continue
        assert row.value.shape == row.error.shape == kind.start.shape
        assert np.all(np.diff(row.value) <= 4 * np.hypot(row.error[1:], row.error[:-1]))
        assert 0 <= row.dimension <= kind.start.size
        if flow:
            assert np.isclose(row.h, kind.period / kind.resolution)
    lorenz = known["Lorenz"]
    assert lorenz.agrees([0.9056, 0, -14.5726], 0.01) and lorenz.status == "chaotic"
    assert not lorenz.agrees([0.8, 0, -14.5726], 0.01)
    assert "0.9" in str(lorenz) and "chaotic" in str(lorenz)
    assert abs(known["Henon"].value.sum() - np.log(0.3)) < 1e-6


def test_a_table_survives_its_text():
    table = zoo.annotations()
    again = json.loads(zoo.as_json(table))
    assert list(again) == sorted(table)
    assert again["Lorenz"]["value"] == table["Lorenz"].value.tolist()


def run(value, error, failed=-1):
    pad = np.full(8, np.nan)
    return {
        "value": np.concatenate([value, pad]),
        "error": np.concatenate([error, pad]),
        "parting": 0.0,
        "parting_error": 0.0,
        "h": 0.01,
        "time": 32_000.0,
        "failed": failed,
    }


def test_status_of_what_was_found():
    bars = np.full(2, 0.01)
    status = lambda fine, coarse: zoo.judged(fine, coarse).status
    chaos, calm = run([0.5, -1.0], bars), run([0.03, -1.0], bars)
    slow, slower = run([2e-3, -1.0], 0.01 * bars), run([1e-3, -1.0], 0.01 * bars)
    assert status(slow, slow) == "undecided"
    assert status(slow, slower) == "not chaotic from this start"
    assert status(chaos, chaos) == status(chaos, None) == "chaotic"
    assert status(chaos, run([0.55, -1.0], bars)) == "chaotic"
    assert status(chaos, run([0.58, -1.0], bars)) == "not converged"
    assert status(chaos, run([np.nan, np.nan], bars)) == "not converged"
    assert status(calm, calm) == status(run([-0.5, -1.0], bars), None)
    assert status(calm, calm) == "not chaotic from this start"
    assert status(run([0.5, -1.0], bars, 3), chaos) == "not finite"
    lost = run(np.full(2, np.nan), np.full(2, np.nan), 0)
    assert status(lost, lost) == "not finite"


SCRIPT = """
import jax.numpy as jnp

start = jnp.array(0.3)
number = 1.0

def step(x):
    return 4 * x * (1 - x)
"""


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(SCRIPT)
    said = lambda *argv: (main(list(argv)), capsys.readouterr())
    code, shown = said("zoo", "sprott-b")
    assert code == 0 and "y\u0307 = x − y" in shown.out and "start (" in shown.out
    code, shown = said("zoo")
    assert code == 0 and len(shown.out.splitlines()) == 1 + len(zoo.ALL)
    code, shown = said("zoo", "lorenz", "--json")
    assert json.loads(shown.out)["parameters"]["rho"] == 28
    for name, words in {
        "lorentz": "did you mean lorenz",
        "mackeyglass": "earlier",
    }.items():
        code, shown = said("zoo", name)
        assert code == 2 and words in shown.err
    for argv, words in {
        ("my.py:nosuch",): "has no 'nosuch'",
        ("my.py:number",): "number of my.py is a float",
        ("my.py:step", "--start", "nosuch"): "--start: my.py has no 'nosuch'",
        ("my.py:step", "--steps", "33"): "--steps: given 33; accepted is a multiple",
        ("my.py:step", "--h", "0"): "--h: given 0",
        ("nosuch",): "151 names",
    }.items():
        code, shown = said("spectrum", *argv)
        assert code == 2 and words in shown.err, shown
    few = ("--steps", "32000", "--discard", "200", "--json", "o.json")
    code, shown = said("spectrum", "my.py:step", *few)
    found = json.loads((tmp_path / "o.json").read_text())
    assert code == 0 and "λ = 0.69" in shown.out and found["status"] == "chaotic"
    assert abs(found["value"][0] - np.log(2)) < 4 * found["error"][0] + 1e-6
