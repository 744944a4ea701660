#!/usr/bin/env python3
"""Make one mistake at a time in a copy of dynax, and see whether a test notices.

    python scripts/mutate.py           all of tests/mutations.py, in some ten minutes
    python scripts/mutate.py material  those whose file or test has this in its name

Nothing is changed in place. The tests are run without any mistake first; one that fails
then proves nothing. The exit status is the number of mistakes that none noticed.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.mutations import MUTATIONS, Mutation  # noqa: E402


COPIED = "dynax", "tests", "experiments", "scripts", "docs", "pyproject.toml"
CACHE = {"JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax")}
PASSED, FAILED = 0, 1  # exit statuses of pytest


def copy(root: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """What tests need, but for what they make."""
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name)
        elif (root / name).exists():
            shutil.copy2(root / name, to / name)
    return to


def run(tree: pathlib.Path, tests: list[str]) -> tuple[int, str]:
    """The exit status of pytest on some tests of a tree, and what it said."""
    ids = [f"tests/{test}" for test in tests]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *ids],
        cwd=tree,
        env={**CACHE, **os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def apply(tree: pathlib.Path, mutation: Mutation) -> None:
    """Put the mistake into a tree.

    Raises:
        ValueError: what it replaces does not stand there just once.
    """
    file = tree / "dynax" / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"old: given {mutation.old!r}, {text.count(mutation.old)} times in "
            f"{mutation.file}; accepted is a text that stands there once."
        )
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def caught(root: pathlib.Path, mutation: Mutation) -> tuple[bool, str]:
    """Whether a test fails; one that cannot even be collected does not count."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy(root, pathlib.Path(folder))
        apply(tree, mutation)
        status, said = run(tree, [mutation.tests])
    return status == FAILED, said


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="of files or tests; default all")
    names = parser.parse_args(argv).names
    chosen = [
        m
        for m in MUTATIONS
        if not names or any(n in m.file or n in m.tests for n in names)
    ]
    status, said = run(ROOT, sorted({m.tests for m in chosen}))
    if status != PASSED:
        print(said)
        print("without any mistake the tests fail already")
        return 1
    survived = 0
    for mutation in chosen:
        found, said = caught(ROOT, mutation)
        survived += not found
        told = "caught  " if found else "SURVIVED"
        print(f"{told} {mutation.file}: {mutation.new.strip()}", flush=True)
        if not found:
            print(f"  by {mutation.tests}: {said.splitlines()[-1]}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mistakes were noticed")
    return survived


if __name__ == "__main__":
    raise SystemExit(main())
