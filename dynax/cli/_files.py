"""Files written whole or not at all, and scripts of the user's."""

import difflib
import importlib.util
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from dynax.sweep.provenance import now


def nearest(given: str, known: Iterable[str]) -> str:
    """ "did you mean …? " where a known name is close to the one given, else ""."""
    known = list(known)
    close = difflib.get_close_matches(given, known, n=1)
    close += [name for name in known if len(given) > 2 and name.startswith(given)]
    return f"did you mean {close[0]}? " if close else ""


def wrapped(text: str, indent: str = "") -> str:
    """The text in lines that a terminal shows whole; `indent` from the second on."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return text  # for grep
    width = max(shutil.get_terminal_size().columns, 40)
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


STOPPED = 130  # the exit code after Ctrl-C


class UsageError(Exception):
    """One sentence: the argument, what was given, what is accepted."""


def destination(given: pathlib.Path | None, default: str, argument: str):
    """Where to write: the path given, which must not exist, or a new one like it.

    Args:
        given: by the user.
        default: folder/name-{}.suffix, where {} becomes the time.
        argument: the option's name, for the error.
    """
    if given is not None:
        if given.exists():
            raise UsageError(
                f"{argument}: given {given}, which exists; accepted is the path of a "
                "new file (nothing is overwritten)."
            )
        return given
    stamp = now().strftime("%Y%m%d-%H%M%S")
    for extra in ("", *(f"-{k}" for k in range(2, 1000))):
        path = pathlib.Path(default.format(stamp + extra))
        if not path.exists():
            return path
    raise UsageError(f"{argument}: no free name like {default}; give one.")


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    """Write `text` to `path` atomically; the absolute path."""
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(
            f"path: given {path}; accepted is one in a writable folder ({error})."
        ) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise
    return path


def to_json(value: Any) -> str:
    """Strict JSON: what is not a finite number becomes null."""
    return (
        json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return plain(np.asarray(value).tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | None) else str(value)


def load(path: pathlib.Path, name: str):
    """Import the file at `path` as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def first_line(error: BaseException) -> str:
    """What an exception says, without the pages that jax puts after it."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else ""


def describe(error: BaseException, file: pathlib.Path) -> str:
    """An exception in one line, with the line of `file` at which it left it."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno
    text = first_line(error)
    at = "" if line is None else f" ({file.name}, line {line})"
    return f"{type(error).__name__}: {text}{at}" if text else type(error).__name__ + at
