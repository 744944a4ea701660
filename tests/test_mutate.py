"""That the tests notice mistakes: scripts/mutate.py, and its list."""

import ast
import importlib.util
import pathlib

import pytest

from tests.mutations import MUTATIONS, Mutation


ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def mutate():
    spec = importlib.util.spec_from_file_location("mutate", ROOT / "scripts/mutate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_mistake_can_be_made_and_has_a_test():
    wrong = []
    for m in MUTATIONS:
        text = (ROOT / "dynax" / m.file).read_text(encoding="utf-8")
        file, _, name = m.tests.partition("::")
        tests = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8")).body
        names = {t.name for t in tests if isinstance(t, ast.FunctionDef)} | {""}
        if text.count(m.old) != 1 or m.old == m.new:
            wrong.append(f"{m.file}: {m.old}")
        if name.partition("[")[0] not in names:
            wrong.append(f"{m.tests} of {m.file}")
    assert wrong == []
    layers = {m.file.partition("/")[0] for m in MUTATIONS}
    assert len(MUTATIONS) >= 40 and len(layers) >= 15


def test_what_counts_as_noticed(mutate, tmp_path):
    """A test that fails; not one that passes, nor one that cannot be collected."""
    (tmp_path / "dynax").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "dynax" / "__init__.py").touch()
    (tmp_path / "dynax" / "half.py").write_text("half = lambda x: x / 2\nn = 1\n")
    test = "from dynax.half import half, n\ndef test_half():\n    assert half(4) == 2\n"
    (tmp_path / "tests" / "test_half.py").write_text(test)
    of = lambda old, new: Mutation("half.py", old, new, "test_half.py::test_half")
    assert mutate.caught(tmp_path, of("x / 2", "x / 3"))[0]
    assert not mutate.caught(tmp_path, of("x / 2", "x * 0.5"))[0]
    assert not mutate.caught(tmp_path, of("n = 1", "m = 1"))[0]
    with pytest.raises(ValueError, match=r"old: given 'x / 5', 0 times"):
        mutate.caught(tmp_path, of("x / 5", "x"))
    assert "x / 2" in (tmp_path / "dynax" / "half.py").read_text()


@pytest.mark.slow
def test_every_mistake_is_noticed(mutate):
    assert mutate.main([]) == 0
