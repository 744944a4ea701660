"""Find the experiments of a folder, run them one by one, keep what each came to."""

import ast
import contextlib
import dataclasses
import functools
import pathlib
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import matplotlib

from dynax.cli._files import UsageError, describe, load, nearest
from dynax.cli._progress import Progress
from dynax.lyapunov import Verdict
from dynax.report import STYLE, Outcome


def find(folder: pathlib.Path, only: Sequence[str] = ()) -> list[pathlib.Path]:
    """The experiment files of `folder`: all, or those that may hold the claims `only`.

    Which claims a file makes is known for sure only once it has run; before, every
    string in it that looks like the id counts.
    """
    if not folder.is_dir():
        raise UsageError(
            f"folder of experiments: given {folder}, not a folder; accepted is one "
            "with *.py files in it."
        )
    files = [p for p in sorted(folder.glob("*.py")) if not p.name.startswith("_")]
    if not files:
        raise UsageError(
            f"folder of experiments: given {folder}, which has none; accepted is one "
            "with *.py files in it."
        )
    names = {f.stem for f in files}
    holds = lambda f, id: f.stem == id if id in names else _may_hold(f, id)
    chosen = [f for f in files if not only or any(holds(f, id) for id in only)]
    if not chosen:
        raise unknown(only, files)
    return chosen


def unknown(only: Sequence[str], files: Iterable[pathlib.Path]) -> UsageError:
    names = [f.stem for f in files]
    close = nearest(only[0], names)
    return UsageError(
        f"--only: given {' '.join(only)}; {close}accepted are claim ids, or the names "
        f"{', '.join(names)}."
    )


def matches(id: str, wanted: str) -> bool:
    """`2` is 2 and its parts 2a, 2b …, not 20."""
    return bool(re.match(rf"{re.escape(wanted)}(?!\d)", id))


def select(outcome: Outcome, only: Sequence[str]) -> Outcome:
    """The outcome with the claims wanted; with all of them if the file was named."""
    if not only or outcome.name in only:
        return outcome
    claims = [c for c in outcome.claims if any(matches(c.id, id) for id in only)]
    return dataclasses.replace(outcome, claims=claims)


def run_all(
    files: Sequence[pathlib.Path],
    size: str,
    progress: Progress,
    *,
    figures: bool = False,
) -> list[Outcome]:
    """Run each file; one that raises is `failed`, and Ctrl-C ends the run in order."""
    outcomes: list[Outcome] = []
    for file in files:
        if any(o.status == "interrupted" for o in outcomes):
            outcomes.append(Outcome(file.stem, "not run", error="stopped before it"))
            continue
        tell = functools.partial(progress.tell, file.stem)
        tell()
        outcomes.append(run(file, size, tell, figures))
        end = outcomes[-1]
        note = f"{end.status} after {end.seconds:.1f} s"
        progress.finish(file.stem, note, end.status == "finished")
    return outcomes


def run(
    file: pathlib.Path, size: str, progress: Callable[..., None], figures: bool
) -> Outcome:
    """One experiment; what goes wrong in it is in the outcome."""
    begun = time.monotonic()
    seen: dict[str, Any] = {"name": file.stem, "title": file.stem}
    path = file.absolute()
    try:
        with _importable(path), jax.enable_x64(True):
            module = load(path, f"_dynax_experiment_{file.stem}")
            seen |= {
                "title": module.TITLE,
                "source": module.SOURCE,
                "summary": module.__doc__ or "",
            }
            if size not in module.SIZES:
                have = ", ".join(module.SIZES)
                error = f"has no size {size} (it has {have})"
                return Outcome(**seen, status="not run", error=error)
            config = module.SIZES[size]
            results = module.measure(config, progress)
            seen |= {
                "claims": tuple(module.claims(results)),
                "verdicts": dict(_verdicts(results)),
                "seeds": _seeds(config),
            }
            if figures:
                with matplotlib.rc_context(STYLE):
                    seen["figures"] = dict(module.figures(results))
        status, error = "finished", ""
    except KeyboardInterrupt:
        status, error = "interrupted", "stopped by the user"
    except (Exception, SystemExit) as raised:
        status, error = "failed", describe(raised, path)
        seen["trace"] = traceback.format_exc()
    seconds = time.monotonic() - begun
    return Outcome(**seen, status=status, error=error, seconds=seconds)


@contextlib.contextmanager
def _importable(path: pathlib.Path):
    """`import _common` and `from experiments import _common` both work inside."""
    places = [str(path.parent), str(path.parent.parent)]
    sys.path[:0] = places
    try:
        yield
    finally:
        for place in places:
            with contextlib.suppress(ValueError):
                sys.path.remove(place)


def _verdicts(results: Any, name: str = "") -> Iterable[tuple[str, Verdict]]:
    if isinstance(results, Verdict):
        yield name or "verdict", results
        return
    if isinstance(results, dict):
        items = results.items()
    elif isinstance(results, tuple) and "_fields" in dir(type(results)):
        items = results._asdict().items()  # pyright: ignore
    elif isinstance(results, list | tuple):
        items = enumerate(results)
    else:
        return
    for key, value in items:
        path = [part for part in (name, str(key)) if part not in ("", "verdict")]
        yield from _verdicts(value, " · ".join(path))


def _seeds(config) -> Any:
    fields: Callable[[str], Any] = lambda name: getattr(config, name, None)
    return fields("seeds") if fields("seeds") is not None else fields("seed")


def _may_hold(file: pathlib.Path, wanted: str) -> bool:
    try:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    except SyntaxError:
        return True  # running it will tell
    texts = [n.value for n in nodes if isinstance(n, ast.Constant)]
    return any(isinstance(t, str) and matches(t, wanted) for t in texts)
