"""Find the studies of a folder, run them one by one, keep what each came to."""

import contextlib
import functools
import pathlib
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import matplotlib

from dynax.cli._files import UsageError, describe, load, nearest
from dynax.cli._progress import Progress
from dynax.lyapunov import Verdict
from dynax.report import STYLE, Outcome
from dynax.study import Results, studies


class Place(NamedTuple):
    """A study: its file, the folder of experiments it is in, and its name."""

    folder: pathlib.Path
    file: pathlib.Path
    name: str

    @property
    def relative(self) -> str:
        return self.file.relative_to(self.folder).as_posix()


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The experiment files of `folder`, by family."""
    found = folder.rglob("*.py") if folder.is_dir() else ()
    chosen = [p for p in sorted(found) if not p.name.startswith("_")]
    if not chosen:
        what = "which has none" if folder.is_dir() else "not a folder"
        raise UsageError(
            f"--dir: given {folder}, {what}; accepted is a folder of experiments. They "
            "are not installed with dynax: run this in a checkout, or name its folder."
        )
    return chosen


def find(folder: pathlib.Path, only: Sequence[str] = ()) -> list[Place]:
    """The studies of `folder`: all, or those named by `only`, of a family that it names
    (a folder), or with claims that it wants."""
    every = files(folder)
    names = lambda file: {file.stem, file.parent.name} & set(only)
    if set(only) == set().union(*map(names, every)):
        every = [f for f in every if not only or names(f)]
    chosen, known = [], {file.parent.name: None for file in every}
    for file in every:
        places, ids = _places(folder, file)
        known |= {p.name: None for p in places}
        for place in places:
            wanted = place.name in only or names(file)
            if not only or wanted or any(matches(i, o) for i in ids for o in only):
                chosen.append(place)
    if not chosen:
        close = nearest(only[0], known)
        raise UsageError(
            f"--only: given {' '.join(only)}; {close}accepted are the claims and names "
            "that `dynax claims --list` lists."
        )
    return chosen


def _places(folder, file) -> tuple[list[Place], list[str]]:
    """The studies of one file, and the ids of its claims.

    A file that cannot be imported counts as one study; running it says why.
    """
    with contextlib.suppress(Exception), opened(folder, file) as module:
        found = studies(module)
        ids = [c.id for s in found for k in s.sizes for c in s.listed(s.sizes[k])]
        return [Place(folder, file, s.name) for s in found], ids
    return [Place(folder, file, file.stem)], []


def catalogue(folder: pathlib.Path, only: Sequence[str] = ()):
    """(place, study, claims of its quick size) of every study, unrun."""
    for place in find(folder, only):
        with study_at(place) as (_, study):
            size = "quick" if "quick" in study.sizes else next(iter(study.sizes))
            yield place, study, study.listed(study.sizes[size])


def matches(id: str, wanted: str) -> bool:
    """`2` is 2 and its parts 2a, 2b …, not 20."""
    return bool(re.match(rf"{re.escape(wanted)}(?!\d)", id))


def run_all(
    places: Sequence[Place],
    size: str,
    progress: Progress,
    *,
    only: Sequence[str] = (),
    figures: bool = False,
) -> list[Outcome]:
    """Run each study; one that raises is `failed`, and Ctrl-C ends the run in order."""
    outcomes: list[Outcome] = []
    for place in places:
        if any(o.status == "interrupted" for o in outcomes):
            outcomes.append(Outcome(place.name, "not run", error="stopped before it"))
            continue
        tell = functools.partial(progress.tell, place.name)
        tell()
        outcomes.append(run(place, size, tell, only=only, figures=figures))
        end = outcomes[-1]
        note = f"{end.status} after {end.seconds:.1f} s"
        progress.finish(place.name, note, end.status == "finished")
    return outcomes


def run(
    place: Place,
    size: str,
    tell: Callable[..., None],
    *,
    only: Sequence[str] = (),
    figures: bool = False,
) -> Outcome:
    """One study; what goes wrong in it is in the outcome. With `only`, the parts that
    the claims wanted read; all of it where the study or its file is named."""
    begun = time.monotonic()
    seen: dict[str, Any] = {"name": place.name, "title": place.name}
    seen["file"] = place.relative
    named = {place.name, place.file.stem, place.file.parent.name}
    whole = not only or bool(named & set(only))
    wanted = lambda id: whole or any(matches(id, o) for o in only)
    try:
        with study_at(place) as (module, study), jax.enable_x64(True):
            seen |= {
                "title": study.title,
                "source": study.source,
                "summary": module.__doc__ or "",
            }
            if size not in study.sizes:
                have = ", ".join(study.sizes)
                error = f"has no size {size} (it has {have})"
                return Outcome(**seen, status="not run", error=error)
            results = Results(study, study.sizes[size], tell)
            seen |= {
                "claims": tuple(study.judge(results, wanted)),
                "verdicts": dict(_verdicts(results.found)),
                "seeds": _seeds(results.config),
            }
            if figures:
                with matplotlib.rc_context(STYLE):
                    seen["figures"] = dict(study.figures(results))
        status, error = "finished", ""
    except KeyboardInterrupt:
        status, error = "interrupted", "stopped by the user"
    except (Exception, SystemExit) as raised:
        status, error = "failed", describe(raised, place.file.absolute())
        seen["trace"] = traceback.format_exc()
    seconds = time.monotonic() - begun
    return Outcome(**seen, status=status, error=error, seconds=seconds)


@contextlib.contextmanager
def study_at(place: Place):
    """The module of a study, and the study."""
    with opened(place.folder, place.file) as module:
        yield module, next(s for s in studies(module) if s.name == place.name)


@contextlib.contextmanager
def opened(folder: pathlib.Path, file: pathlib.Path):
    """The module of an experiment, with what it imports from beside it."""
    with importable(folder, file):
        yield load(file.absolute(), f"_dynax_experiment_{file.stem}")


@contextlib.contextmanager
def importable(folder: pathlib.Path, file: pathlib.Path):
    """The neighbours of a file and the package `experiments` can be imported."""
    file, folder = file.absolute(), folder.absolute()
    places = [str(file.parent), str(folder), str(folder.parent)]
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
        path = [p for p in (name, str(key)) if p not in ("", "verdict", "all")]
        yield from _verdicts(value, " · ".join(path))


def _seeds(config) -> Any:
    fields: Callable[[str], Any] = lambda name: getattr(config, name, None)
    return fields("seeds") if fields("seeds") is not None else fields("seed")
