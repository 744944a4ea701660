"""`dynax sweep status|resume|show|export|compare STORE`: what is there already."""

import dataclasses
import pathlib
import shlex
import time
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import tyro
from rich.console import Console
from tyro.conf import Positional

from dynax.cli._files import UsageError, destination, nearest, to_json, write
from dynax.cli._how import How
from dynax.cli._tally import Tally, status_lines, workers
from dynax.sweep import StoreError, compare, export, open_sweep
from dynax.sweep.blocks import stores
from dynax.sweep.store import Store


STATUS = """Print how far a sweep is, from any machine, while it runs or after.

  dynax sweep status runs/a
  dynax sweep status runs/a --watch
  dynax sweep status runs/a --json

Exit codes: 0 complete, 1 complete but some failed, 2 bad usage, 3 not complete."""

RESUME = """Continue a sweep: run the points that are missing in its store.

  dynax sweep resume runs/a
  dynax sweep resume runs/a --memory 2GiB --ray
  dynax sweep resume runs/a --retry-failed    … and run failed points again

The script, the space and the options are those of the start, except options given here.
--worker and --distributed are not taken over. Exit codes are those of `dynax sweep`."""

SHOW = """Write one HTML file about a sweep, finished or not.

  dynax sweep show runs/a
  dynax sweep show runs/a --output accuracy --maximize --out accuracy.html

The last line of the output names the file."""

EXPORT = """Gather a store into one file with named axes and units.

  dynax sweep export runs/a a.nc
  dynax sweep export runs/a a.zarr
  dynax sweep export runs/a a.csv          or a.parquet: a row a point
  dynax sweep export runs/a a.tensorboard  or a.wandb, a.mlflow: a run a point"""

NOTE = """Add a note or tags to a sweep: `status` and `open_sweep` show them.

  dynax sweep note runs/a "rates above 0.1 diverge" --tag draft --tag lion"""

COMPARE = """Compare one output of two sweeps at the points that they share, over seeds.

  dynax sweep compare runs/lion runs/adam --output loss
  dynax sweep compare runs/a runs/b --output accuracy --along repeat --level 0.99

Where the seeds are the same the test is paired. p-values are corrected for the number
of points (Holm). Exit codes: 0 some point is decided, 2 bad usage, 3 none is."""

Arg = tyro.conf.arg
StorePath = Positional[Annotated[pathlib.Path, Arg(metavar="STORE")]]
NewPath = Annotated[pathlib.Path | None, Arg(metavar="PATH", help_behavior_hint="")]
EVERY = 2.0  # seconds between two looks of --watch


def opened(path: pathlib.Path) -> Store:
    try:
        return Store.open(path)
    except StoreError as error:
        raise UsageError(f"STORE: {str(error).removeprefix('store: ')}") from None


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a sweep is."""

    target: StorePath
    """The folder of a sweep."""
    json: bool = False
    """Print it as JSON."""
    watch: bool = False
    """Print it again and again until the sweep is complete."""

    def main(self) -> int:
        store = opened(self.target)
        console = Console(highlight=False, soft_wrap=True, markup=False)
        while True:
            tally, team = Tally.of(store), workers(store)
            if self.watch and console.is_terminal:
                console.clear()
            if self.json:
                print(to_json({**_facts(tally), "workers": team}), end="", flush=True)
            else:
                console.print("\n".join(status_lines(tally, team)))
            if not self.watch or not tally.missing:
                return 3 if tally.missing else int(tally.failed > 0)
            time.sleep(EVERY)


@dataclasses.dataclass(frozen=True)
class Resume:
    """Go on with what is missing."""

    target: StorePath
    """The folder of a sweep."""
    how: Annotated[How, Arg(name="")]
    retry_failed: bool = False
    """Run failed points again, and those of the same parts with them."""

    def main(self) -> int:
        from dynax.cli._sweep import Sweep

        last = stores(opened(self.target))[-1]  # of what was asked for last
        command = last.manifest.get("command") or {}
        if "argv" not in command:
            raise UsageError(
                f"STORE: given {self.target}, which was not begun by `dynax sweep`; "
                "accepted is one that was (start the program again that began it)."
            )
        begun = tyro.cli(Sweep, args=command["argv"])
        changed = {
            field.name: getattr(self.how, field.name)
            for field in dataclasses.fields(How)
            if getattr(self.how, field.name) != field.default
        }
        if {"worker", "distributed", "ray", "submitit"} & set(changed):
            changed = {"ray": None, "submitit": None, **changed}
        how = dataclasses.replace(begun.how, **changed)
        retry = self.retry_failed
        again = dataclasses.replace(
            begun, store=self.target, how=how, retry_failed=retry
        )
        return again.main()


@dataclasses.dataclass(frozen=True)
class Show:
    """Write one HTML file about a sweep."""

    target: StorePath
    """The folder of a sweep."""
    out: NewPath = None
    """A new file (default: reports/<store>-<time>.html)."""
    output: Annotated[str | None, Arg(metavar="NAME", help_behavior_hint="")] = None
    """The one that matters (default: a search's objective, a loss, an error)."""
    maximize: bool = False
    """More of it is better (default: as its name suggests)."""

    def main(self) -> int:
        from dynax.cli import _record
        from dynax.report import sweep_document

        store = opened(self.target)
        name = store.path.name
        path = destination(self.out, f"reports/{name}-{{}}.html", "--out")
        tally, manifest = Tally.of(store), store.manifest
        command = manifest.get("command") or {}
        argv = command.get("argv")
        facts = {
            "Batch size": ", ".join(map(str, tally.batches)) or "none yet",
            "Machine": _record.machine_line(manifest["begun"]["machine"]),
            "Host": manifest["begun"]["host"],
            "Command": shlex.join(["dynax", "sweep", *argv]) if argv else "",
        }
        of = f" of {pathlib.Path(argv[0]).name}" if argv else ""
        try:
            page = sweep_document(
                _dataset(store),
                output=self.output,
                maximize=self.maximize or None,
                failures=tally.said,
                facts={k: v for k, v in facts.items() if v},
                title=f"Sweep {name}: {manifest['experiment']['run']}{of}",
            )
        except StoreError as error:
            raise UsageError(f"STORE: {str(error).removeprefix('store: ')}") from None
        except ValueError as error:
            if str(error).startswith("output: "):
                raise UsageError(f"--{error}") from None
            raise
        print(f"Report: {write(path, page)}", flush=True)
        return 0


@dataclasses.dataclass(frozen=True)
class Export:
    """Gather a store into one file."""

    target: StorePath
    """The folder of a sweep."""
    to: Positional[Annotated[pathlib.Path, Arg(metavar="TO")]]
    """A new NAME.nc, .zarr, .csv, .parquet, .tensorboard, .wandb or .mlflow."""

    def main(self) -> int:
        store = opened(self.target)
        try:
            print(f"written to {export(store.path, self.to)}")
        except StoreError as error:
            name, colon, rest = str(error).partition(":")
            raise UsageError(f"{name.upper()}{colon}{rest}") from None
        except ImportError as error:
            raise UsageError(f"TO: given {self.to}; {error}.") from None
        return 0


@dataclasses.dataclass(frozen=True)
class Note:
    """Add a note or tags to a sweep."""

    target: StorePath
    """The folder of a sweep."""
    text: Positional[Annotated[str, Arg(metavar="TEXT")]] = ""
    """What to note."""
    tag: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        Arg(metavar="TAG", help_behavior_hint=""),
    ] = ()
    """A tag. Can be repeated."""

    def main(self) -> int:
        if not (self.text or self.tag):
            raise UsageError("TEXT: none given; accepted is a text, or --tag TAG.")
        opened(self.target).note(*[self.text] * bool(self.text), tags=self.tag)
        return 0


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare two sweeps point by point."""

    target: StorePath
    """The folder of a sweep."""
    other: Positional[Annotated[pathlib.Path, Arg(metavar="OTHER")]]
    """The folder of another."""
    output: Annotated[str, Arg(metavar="NAME")]
    """The output to compare: a number a point, or the last of a curve."""
    along: Annotated[str, Arg(metavar="AXIS")] = "seed"
    """The axis of independent repeats."""
    level: float = 0.95
    """1 − the chance of any false decision."""

    def main(self) -> int:
        a, b = (self._values(path) for path in (self.target, self.other))
        try:
            found = compare(a, b, along=self.along, level=self.level)
        except ValueError as error:
            raise UsageError(f"--{error}") from None
        names = self.target.name, self.other.name
        print("\n".join(comparison_lines(found, *names)))
        return 0 if bool((found.decided != 0).any()) else 3

    def _values(self, path: pathlib.Path):
        ds = _dataset(opened(path))
        if self.output not in ds.data_vars:
            outputs = ", ".join(str(k) for k in ds.data_vars if k != "status")
            raise UsageError(
                f"--output: given {self.output!r}; accepted is one of {outputs}."
            )
        values = ds[self.output].where(ds.status == 0)
        inner = [d for d in values.dims if d not in ds.status.dims]
        return values.isel(dict.fromkeys(inner, -1))


def comparison_lines(found, a: str, b: str) -> list[str]:
    """One line a point: the difference, its interval, and what is decided."""
    table = (
        found.stack(point=list(found.sizes))
        if found.sizes
        else found.expand_dims("point")
    )
    words = {-1: f"{a} is lower", 1: f"{a} is higher"}
    lines = []
    for k in range(table.sizes["point"]):
        row = table.isel(point=k)
        where = ", ".join(f"{d} = {row[d].item():g}" for d in found.sizes)
        text = words.get(int(row.decided), "undecided")
        if not int(row.decided):
            more = float(row.more)
            if int(row.lost):
                text += f": {int(row.lost)} runs failed in one of the two only"
            elif more == more:
                text += f": about {more:.0f} more seeds would decide such a difference"
        lines.append(
            f"{where + ': ' if where else ''}{a} − {b} = {float(row['mean']):.4g} "
            f"[{float(row.low):.4g}, {float(row.high):.4g}] over {int(row.seeds)} "
            f"seeds, p = {float(row.p_holm):.2g} corrected; {text}"
        )
    kind = "paired at equal seeds" if found.attrs["paired"] else "Welch, seeds differ"
    return [*lines, f"{kind}; intervals are of each point by itself"]


VERBS = {
    "status": (Status, STATUS),
    "resume": (Resume, RESUME),
    "show": (Show, SHOW),
    "export": (Export, EXPORT),
    "compare": (Compare, COMPARE),
    "note": (Note, NOTE),
}
Verb = TypeVar("Verb")


@dataclasses.dataclass(frozen=True)
class OfStore(Generic[Verb]):
    """Of a sweep that is there already."""

    verb: tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Verb]]

    def main(self) -> int:
        return self.verb.main()  # pyright: ignore


def sweep_command(argv: Sequence[str]) -> Any:
    """The type of `dynax sweep FILE.py`, or of `dynax sweep status STORE` and so on."""
    if not any(word in VERBS for word in argv[1:2]):
        if near := nearest("".join(argv[1:2]), VERBS):
            verbs = ", ".join(VERBS)
            raise UsageError(
                f"sweep: given {argv[1]!r}; {near}Accepted: FILE.py, {verbs}."
            )
        from dynax.cli._sweep import Sweep

        return Sweep
    kinds: Any = None
    for name, (verb, text) in VERBS.items():
        kind = Annotated[verb, tyro.conf.subcommand(name, description=text)]
        kinds = kind if kinds is None else kinds | kind
    return OfStore[kinds]


def bare_ray(argv: list[str]) -> list[str]:
    """`--ray` without an address, as `--ray=`."""
    found = list(argv)
    for k, word in enumerate(argv):
        following = argv[k + 1 : k + 2]
        alone = not following or following[0].startswith("-")
        if word == "--ray" and (alone or following[0].endswith(".py")):
            found[k] = "--ray="
    return found


def _dataset(store):
    try:
        return open_sweep(store.path)
    except ImportError as error:
        raise UsageError(f"STORE: {error}.") from None


def _facts(tally):
    begun = tally.store.manifest["begun"]
    return {"store": str(tally.store.path), **tally.facts(), "begun": begun}
