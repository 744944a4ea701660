"""Runs the Python blocks of README.md and docs/*.md.

The blocks of one file run in order in one namespace, in a process of their own with
jax as it comes, in an empty folder. A block opened by ```python no-run is skipped.
"""

import os
import pathlib
import subprocess
import sys

import pytest

import dynax


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
    script = folder / f"{name}.py"
    script.write_text(python_of(markdown), encoding="utf-8")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, script.name],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": path,
            "MPLBACKEND": "Agg",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_code_blocks_run(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    if not python_of(text).strip():
        pytest.skip("no Python in it")
    done = run(text, tmp_path, page.stem)
    assert done.returncode == 0, f"{page.relative_to(ROOT)}:\n{done.stderr}"


def test_control_a_broken_block_fails(tmp_path):
    text = "Text\n```python\nx = 1\n```\nand\n```python\nassert x == 2\n```\n"
    done = run(text, tmp_path)
    assert done.returncode != 0
    assert "line 7" in done.stderr and "AssertionError" in done.stderr
    fine = text.replace("x == 2", "x == 1") + "```python no-run\n1 / 0\n```\n"
    assert run(fine, tmp_path).returncode == 0


def test_every_optimizer_stands_in_its_page():
    page = (ROOT / "docs" / "reference" / "optimizers.md").read_text(encoding="utf-8")
    kind = dynax.AbstractOptimizer
    members = vars(dynax.optim).items()
    names = {k for k, v in members if isinstance(v, type) and issubclass(v, kind)}
    names -= {"CautiousDecay", "CautiousDecayAdam", "CautiousDecayLyapunov"}
    assert len(names) > 30
    missing = {n for n in names | {"cautious_decay"} if f"`{n}" not in page}
    assert not missing
