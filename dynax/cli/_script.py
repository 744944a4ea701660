"""A function of the user's script, and the space that options give it."""

import csv
import functools
import importlib
import importlib.util
import inspect
import json
import pathlib
import sys
import tomllib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from dynax.cli._files import UsageError, describe, first_line, load
from dynax.sweep import (
    Halving,
    Range,
    Search,
    Space,
    Static,
    Table,
    halton,
    random,
    sobol,
)
from dynax.sweep.parse import axis, number


DRAWS = {"halton": halton, "sobol": sobol, "random": random}


class Script:
    """The function `name` of the file at `path`, pickled as where to find it.

    A process that unpickles it loads the file, under its own name if that is free, so
    that what the file defines can be sent there too.

    Args:
        path: absolute.
        name: of the function.
        bits: of floats while the file is loaded.
        repeats: an argument that only repeats, each time with another random key: the
            function is not given it.
    """

    def __init__(self, path: str, name: str, bits: int, repeats: str | None = None):
        self.path, self.name, self.bits, self.repeats = path, name, bits, repeats
        module = script_module(path, bits)
        self.function = vars(module)[name]
        self.__name__, self.__module__ = name, module.__name__
        self.__signature__ = inspect.signature(self.function)
        if repeats is not None:
            given = self.__signature__.parameters.values()
            kind = inspect.Parameter.KEYWORD_ONLY
            more = [inspect.Parameter(repeats, kind)]
            last = [p for p in given if p.kind is p.VAR_KEYWORD]
            given = [p for p in given if p.kind is not p.VAR_KEYWORD]
            self.__signature__ = inspect.Signature([*given, *more, *last])

    def __call__(self, **point):
        point.pop(self.repeats or "", None)
        return self.function(**point)

    def repeated(self, name: str) -> "Script":
        """One that takes and ignores `name`, if this one takes `key` and not `name`."""
        taken = self.__signature__.parameters
        alone = "key" in taken and name not in taken
        return Script(self.path, self.name, self.bits, name) if alone else self

    def __reduce__(self):
        return Script, (self.path, self.name, self.bits, self.repeats)


@functools.cache
def script_module(path: str, bits: int):
    """The file as a module: it imports what is beside it, as in `python FILE`, and the
    packages that it is in, from at most two folders above."""
    folder, *above = map(str, pathlib.Path(path).parents[:3])
    if folder not in sys.path:
        sys.path.insert(0, folder)
        sys.path.extend(place for place in above if place not in sys.path)
        importlib.invalidate_caches()
    with jax.enable_x64(bits == 64):
        return load(pathlib.Path(path), _module_name(pathlib.Path(path)))


def _module_name(path: pathlib.Path) -> str:
    name, free = path.stem, f"_dynax_sweep_{path.stem}"
    if not name.isidentifier() or name in sys.modules:
        return free
    spec = importlib.util.find_spec(name)
    return name if spec is not None and spec.origin == str(path) else free


def find(file: pathlib.Path, name: str, bits: int) -> tuple[Script, dict[str, Any]]:
    """The function, and what else the file defines."""
    path = file.absolute()
    if file.suffix != ".py" or not path.is_file():
        raise UsageError(
            f"FILE: given {file}, which is not a script; accepted is the path of a "
            "FILE.py that defines run(…), or one of "
            "status, resume, show, export and then a store."
        )
    try:
        names = vars(script_module(str(path), bits))
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"FILE: importing {file} raised {describe(error, path)}."
        ) from (error)
    if not callable(names.get(name)):
        own = [
            k
            for k, v in names.items()
            if inspect.isfunction(v) and v.__module__ == names["__name__"]
        ]
        raise UsageError(
            f"--run: given {name!r}, which is no function of {file}; accepted are "
            f"{', '.join(own) or 'the functions it defines'}."
        )
    return Script(str(path), name, bits), names


def make_space(options: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The space of a `Sweep`'s options: SPACE of the file, changed by --axis and so on.

    Raises:
        UsageError: naming the option.
    """
    given = dict(defaults)
    for text in [*_axes(options.space), *options.axis]:
        try:
            name, values = axis(text)
        except ValueError as error:
            raise UsageError(f"--axis: {error}.") from None
        given[name] = _like(defaults.get(name), name, values)
    if options.seeds is not None:
        if options.seeds < 1 or any(t.startswith("seed=") for t in options.axis):
            raise UsageError(
                f"--seeds: given {options.seeds}; accepted is an integer >= 1, and no "
                "--axis seed=… beside it."
            )
        given["seed"] = range(options.seeds)
    points = {} if options.points is None else {"point": _listed(options.points)}
    for table in points.values():  # in the place of the axes of the same names
        given = {k: v for k, v in given.items() if k not in table.columns}
    ranges = {k: v for k, v in given.items() if isinstance(v, Range)}
    given = {k: v for k, v in given.items() if k not in ranges}
    drawn = _drawn(options, ranges)
    if not (given or drawn or points):
        raise UsageError(
            f"--axis: none given, and {options.file} has no SPACE; accepted is "
            "NAME=VALUES, as in learning_rate=log:1e-4:1e-1:9."
        )
    return {**drawn, **points, **given}


def _like(default: Any, name: str, values: Any) -> Any:
    """Values of an axis that shapes the program in SPACE do so here as well.

    Those of a class or an object are named by its label in SPACE.
    """
    if isinstance(default, list | tuple):
        default = Space({name: default}).dims[name]
    if not isinstance(default, Static):
        return values
    if isinstance(values, Range):
        raise UsageError(
            f"--axis: given a range for {name}, which is static in SPACE; accepted are "
            "values one by one."
        )
    chosen = values.labels if isinstance(values, Static) else values.tolist()
    known = dict(zip(map(str, default.labels), default.values, strict=True))
    if all(str(label) in known for label in chosen):
        named = {str(label): known[str(label)] for label in chosen}
        plainly = all(isinstance(v, int | float) for v in named.values())
        return Static(list(named.values()) if plainly else named)
    if all(isinstance(v, int | float | str | np.generic) for v in default.values):
        return Static(chosen)
    raise UsageError(
        f"--axis: given {name}={','.join(map(str, chosen))}; accepted are "
        f"{', '.join(known)}, as in SPACE."
    )


def _drawn(options, ranges):
    """The dimension that --sample or --search makes of the ranges."""
    wanted = [k for k in ("sample", "search") if getattr(options, k) is not None]
    only = {
        "--objective": options.objective is not None and options.rungs is None,
        "--maximize": options.maximize and options.rungs is None,
        "--parallel": options.parallel is not None,
    }
    for flag, used in only.items():
        if used and "search" not in wanted:
            raise UsageError(f"{flag}: given without --search; accepted is with it.")
    if not ranges and not wanted:
        return {}
    names = ", ".join(ranges)
    if len(wanted) != 1:
        have = " and ".join(f"--{k}" for k in wanted) or "neither --sample nor --search"
        raise UsageError(
            f"--axis: given the range of {names or 'nothing'} with {have}; accepted is "
            "one of the two, or a count as in log:1e-4:1e-1:9."
        )
    if not ranges:
        raise UsageError(
            f"--{wanted[0]}: given {getattr(options, wanted[0])} without a range to "
            "draw from; accepted is --axis NAME=log:1e-4:1e-1, without a count."
        )
    if wanted == ["search"]:
        return {"trial": _search(options, ranges)}
    form, *rest = options.sample.split(":")
    if form not in DRAWS or not 1 <= len(rest) <= 2 or not all(map(str.isdigit, rest)):
        raise UsageError(
            f"--sample: given {options.sample!r}; accepted is halton:COUNT, "
            "sobol:COUNT or random:COUNT, and :SEED after it."
        )
    count, seed = int(rest[0]), int(rest[1]) if rest[1:] else 0
    try:
        return {"sample": DRAWS[form](count, seed=seed, **ranges)}
    except ValueError as error:
        raise UsageError(f"--sample: given {options.sample!r}; {error}") from None


def _search(options, ranges):
    if options.objective is None:
        raise UsageError(
            "--objective: none given with --search; accepted is the name of an output "
            "to be made small (or great, with --maximize)."
        )
    try:
        return Search(
            options.search,
            options.objective,
            ranges,
            parallel=8 if options.parallel is None else options.parallel,
            maximize=options.maximize,
        )
    except ValueError as error:
        raise UsageError(f"--search: {error}") from None


def _axes(file: pathlib.Path | None) -> list[str]:
    """The axes in a file, as they are written with --axis."""
    if file is None:
        return []
    accepted = 'accepted is FILE.toml or FILE.yaml of NAME = "log:1e-4:1e-1:9" or lists'
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".toml":
            found = tomllib.loads(text)
        elif file.suffix in (".yaml", ".yml"):
            import yaml

            try:
                found = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from None
        else:
            raise UsageError(f"--space: given {file}; {accepted}.")
        return [f"{name}={_written(values)}" for name, values in found.items()]
    except ImportError:
        raise UsageError("--space: YAML needs pip install pyyaml.") from None
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"--space: given {file} ({why}); {accepted}.") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--space: given {file} ({first_line(error)}); {accepted}."
        ) from None


def _written(values) -> str:
    if isinstance(values, Mapping):
        raise ValueError("a table, which is no axis")
    return ",".join(map(str, values)) if isinstance(values, list) else str(values)


def rungs(options: Any) -> Halving | None:
    """What --rungs asks for."""
    if options.rungs is None:
        return None
    if options.objective is None or options.search is not None:
        raise UsageError(
            "--rungs: given without --objective, or with --search; accepted is "
            "--objective with the output that is compared."
        )
    try:
        steps = [int(text) for text in options.rungs.split(",")]
        return Halving(options.objective, steps, maximize=options.maximize)
    except ValueError as error:
        raise UsageError(
            f"--rungs: given {options.rungs!r} ({error}); accepted is as in 30,90,270."
        ) from None


def _listed(file: pathlib.Path) -> Table:
    """A CSV with a line of names, or JSON: rows as objects, or columns as lists."""
    accepted = "accepted is FILE.csv with a line of names, or FILE.json of objects"
    try:
        if file.suffix == ".json":
            found = json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".csv":
            with file.open(encoding="utf-8-sig", newline="") as lines:
                rows = csv.DictReader(lines, restkey="", restval="", strict=True)
                found = [{k: number(v) for k, v in row.items()} for row in rows]
        else:
            raise UsageError(f"--points: given {file}; {accepted}.")
        return Table(found)
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"--points: given {file} ({why}); {accepted}.") from None
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise UsageError(f"--points: given {file} ({error}); {accepted}.") from None
