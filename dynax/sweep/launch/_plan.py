"""A plan: files to write and commands to run; and what all environments make one of."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple


ADDED = "--worker", "--distributed", "--ray", "--submitit"
DETERMINISTIC = 'export XLA_FLAGS="--xla_gpu_deterministic_ops=true ${XLA_FLAGS:-}"'


class Command(NamedTuple):
    comment: str
    argv: tuple[str, ...]


class Plan(NamedTuple):
    """How to run a sweep somewhere.

    Attributes:
        files: path → text, to be written before anything is run.
        commands: one after another, until one fails.
        later: of use while it runs or after it; not part of running it.
        programs: what the commands need on the machine they are typed on.
        present: argument → file or folder that has to be there.
    """

    files: Mapping[str, str]
    commands: Sequence[Command]
    later: Sequence[Command]
    programs: Sequence[str]
    present: Mapping[str, str] = {}


def shell(argv: Sequence[str], width: int = 88) -> str:
    """A command as one types it, on several lines if it is long."""
    if len(shlex.join(argv)) <= width:
        return shlex.join(argv)
    lines: list[list[str]] = [[]] if argv[0] != "dynax" else []
    for word in argv:
        if word.startswith("--") or word == "dynax":
            lines.append([])
        lines[-1].append(word)
    return " \\\n    ".join(shlex.join(line) for line in lines)


def sweep_line(sweep: Sequence[str], *more: str) -> tuple[str, ...]:
    """`dynax sweep …`, with what the environment adds."""
    if not sweep or sweep[0] in ("dynax", "sweep"):
        given = f"given {sweep[0]!r} first" if sweep else "none given"
        raise ValueError(
            f"sweep: {given} after --; accepted is what follows `dynax sweep`, as in "
            "-- experiments/lion/digits.py --seeds 8 --store /shared/runs/a."
        )
    for word in sweep:
        if (name := word.partition("=")[0]) in ADDED:
            raise ValueError(
                f"{name}: given after --; accepted is a sweep without it, as "
                "`dynax launch` decides who does what."
            )
    return ("dynax", "sweep", *sweep, *more)


def store_of(sweep: Sequence[str]) -> str:
    """The store that a sweep line names."""
    for word, following in zip(sweep, [*sweep[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--store" and (value if equals else following):
            return value if equals else following
    raise ValueError(
        "--store: none given after --; accepted is a folder that all workers share."
    )


def given(options: Mapping[str, object]) -> list[str]:
    """--name=value of the options that have one."""
    return [f"--{name}={value}" for name, value in options.items() if value]


def fill(text: str, **values: object) -> str:
    """`text` with values for @name@.

    A line that is but the name of an empty value is left out.
    """

    def put(found: re.Match[str]) -> str:
        value = values[found[1] or found[2]]
        return str(value or "") + ("\n" if found[1] and value else "")

    return re.sub(r"^@(\w+)@\n|@(\w+)@", put, text, flags=re.MULTILINE)
