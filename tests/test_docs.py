"""Runs the Python blocks of README.md and docs/*.md.

The blocks of one file run in order in one namespace, in a process of their own with
jax as it comes, in an empty folder. A block opened by ```python no-run is skipped.
"""

import ast
import importlib
import inspect
import os
import pathlib
import re

import pytest

import dynax
from dynax.cli._record import headlines, page, read
from scripts.badges import FOLDER, badges
from tests.sweeping import Child


ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])


def python_of(markdown):
    """The Python in a Markdown text, every line kept in its place for tracebacks."""
    lines, fence = [], None
    for line in markdown.splitlines():
        if fence is None and line.startswith("```"):
            fence = line[3:].strip()
            lines.append("")
        elif line.startswith("```"):
            fence = None
            lines.append("")
        else:
            lines.append(line if fence == "python" else "")
    return "\n".join(lines) + "\n"


def run(markdown, folder, name="page"):
    """The exit code of the blocks of a text, and all that they say."""
    child = Child(execute, (python_of(markdown), folder, f"{name}.py"))
    said = child.communicate(timeout=600)
    return child.returncode, said


def execute(given):
    code, folder, name = given
    os.chdir(folder)
    os.environ["MPLBACKEND"] = "Agg"
    exec(compile(code, name, "exec"), {"__name__": "__main__"})


# pages that compile for a minute; what they use has tests of its own
SLOW = {"docs/tutorials/force-displacement.md"}


def _of(page):
    name = page.relative_to(ROOT).as_posix()
    marks = [pytest.mark.slow] if name in SLOW else []
    return pytest.param(page, id=name, marks=marks)


@pytest.mark.parametrize("page", map(_of, PAGES))
def test_code_blocks_run(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    if not python_of(text).strip():
        pytest.skip("no Python in it")
    code, said = run(text, tmp_path, page.stem)
    assert code == 0, f"{page.relative_to(ROOT)}:\n{said[-5000:]}"


def test_control_a_broken_block_fails(tmp_path):
    text = "Text\n```python\nx = 1\n```\nand\n```python\nassert x == 2\n```\n"
    code, said = run(text, tmp_path)
    assert code != 0 and "line 7" in said and "AssertionError" in said
    fine = text.replace("x == 2", "x == 1") + "```python no-run\n1 / 0\n```\n"
    assert run(fine, tmp_path)[0] == 0


def shown(markdown):
    """What a page says that its code prints: the blocks opened by ```text."""
    return "\n".join(re.findall(r"```text\n(.*?)\n```", markdown, re.S))


def masked(text):
    """The lines without what depends on rounding: numbers with a point or an exponent,
    and the step at which a margin is smallest."""
    number = r"[+−-]?\d+(\.\d+)?e[+-]?\d+|[+−-]?\d+\.\d+"
    return re.sub(r"# at step \d+", "#", re.sub(number, "#", text)).splitlines()


def test_the_readme_prints_what_it_says(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code, said = run(text, tmp_path)
    assert code == 0
    assert masked(shown(text)) == masked(said.strip())


def test_control_another_output_is_noticed():
    assert masked("worst 1.0e-7 at step 3") == masked("worst 2.5e-08 at step 4")
    assert masked("first at step 3") != masked("first at step 4")
    assert masked("HOLDS: a") != masked("VIOLATED: a")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_numbers_of_the_readme_are_those_of_the_record():
    folder, text = ROOT / "experiments", (ROOT / "README.md").read_text("utf-8")
    record = read(folder)
    assert headlines(text, record, folder) == text
    found = re.search(r"✓ (\d+) \(quick\) \| ≥ 12", text)
    assert found
    wrong = text.replace(found[0], found[0].replace(found[1], "99"))
    assert headlines(wrong, record, folder) == text  # the words stay, the number not
    said = "methods certified in a box"
    other = re.sub(r"(\[K1\]\(\S+\): ).*?( \| ✓)", rf"\1{said}\2", text)
    assert said in other and headlines(other, record, folder) == other
    results = ROOT / "docs" / "reference" / "results.md"
    assert results.read_text("utf-8") == page(record, folder)


def test_the_badges_say_what_the_package_says():
    assert badges() == {p.name: p.read_text("utf-8") for p in FOLDER.iterdir()}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"images/badges/(\w+\.svg)", text)) == set(badges())


def test_every_optimizer_stands_in_its_page():
    page = (ROOT / "docs" / "reference" / "optimizers.md").read_text(encoding="utf-8")
    kind = dynax.AbstractOptimizer
    members = vars(dynax.optim).items()
    names = {k for k, v in members if isinstance(v, type) and issubclass(v, kind)}
    names -= {"CautiousDecay", "CautiousDecayAdam", "CautiousDecayLyapunov"}
    assert len(names) > 30
    names |= {"cautious_decay"}
    assert not {n for n in names if f"`{n}" not in page}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"**Optimizers.** {len(names)} methods" in readme


PACKAGES = (
    "kappa optim monitor pde pinn newton material mechanics mechanics.mpm "
    "mechanics.learn landscape sweep report checkpoint identify optax certify "
    "pinn.networks pinn.balancing pinn.diagnostics pinn.inverse pinn.sampling "
    "pinn.marching mechanics.statics dynamics zoo reconstruct"
)


def exported():
    """Every public class and function, once."""
    modules = [
        dynax,
        *(importlib.import_module(f"dynax.{p}") for p in PACKAGES.split()),
    ]
    named = {
        id(thing): (f"{module.__name__}.{name}", thing)
        for module in modules
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__.startswith("dynax")
    }
    return named.values()


def summary(thing):
    """The first sentence of a docstring."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return " ".join(re.split(r"(?<=[.:])\s|\n\n", text)[0].split())


def test_docstrings_begin_with_words():
    """Their first sentence is short, and no formula."""
    told = {name: summary(thing) for name, thing in exported()}
    assert len(told) > 300
    formula = re.compile(r" = |₊|^[^A-Z`]|; ")
    long = [n for n, text in told.items() if not 2 < len(text.split()) <= 25]
    assert not long, long
    assert not [n for n, text in told.items() if formula.search(text)]


def said(node):
    """The words of a string in the source, X for what is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(said(v) or "X" for v in node.values)
    if isinstance(node, ast.BinOp):
        return said(node.left) + said(node.right)
    text = node.value if isinstance(node, ast.Constant) else ""
    return text if isinstance(text, str) else ""


def errors(path):
    """The messages of the errors that a file raises."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from filter(None, map(said, node.exc.args[:1]))


def test_errors_are_short():
    """What was given, and what is accepted: each in 25 words."""
    told = [text for p in (ROOT / "dynax").rglob("*.py") for text in errors(p)]
    assert len(told) > 300
    count = lambda part: sum(bool(re.search(r"\w", w)) for w in part.split())
    parts = lambda text: re.split(r"(?<=[.:;?!])\s", text)
    assert not [text for text in told if max(map(count, parts(text))) > 25]
