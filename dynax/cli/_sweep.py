"""`dynax sweep FILE.py`: one function, many points, on whatever machines there are."""

import dataclasses
import importlib.util
import inspect
import pathlib
import sys
import time
from typing import Annotated, Literal

import jax
import tyro
from rich.console import Console
from tyro.conf import Positional

from dynax.cli._files import (
    STOPPED,
    UsageError,
    describe,
    destination,
    first_line,
    to_json,
)
from dynax.cli._how import How, prepare
from dynax.cli._progress import SweepProgress
from dynax.cli._script import Script, find, make_space, rungs
from dynax.cli._tally import Tally
from dynax.sweep import Local, Space, StoreError, Worker, sweep
from dynax.sweep.local import make_job, which_worker
from dynax.sweep.program import OutputError
from dynax.sweep.store import Store


Arg = tyro.conf.arg
Path = Annotated[pathlib.Path | None, Arg(metavar="PATH", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Run a function of a script at every point of a space."""

    file: Positional[Annotated[pathlib.Path, Arg(metavar="FILE.py")]]
    """The script, or one of status, resume, show and export, followed by a store."""
    how: Annotated[How, Arg(name="")]
    run: Annotated[str, Arg(metavar="NAME")] = "run"
    """Function to run. Only `run` takes DIMS and all of SPACE."""
    axis: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        Arg(metavar="NAME=VALUES", help_behavior_hint=""),
    ] = ()
    """Set the values of an argument, instead of those in SPACE. Can be repeated."""
    seeds: Annotated[int | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Short for --axis seed=range:N, or for N random keys where `run` takes `key`."""
    sample: Annotated[str | None, Arg(metavar="KIND:N", help_behavior_hint="")] = None
    """Draw samples from the ranges: halton:64, sobol:64 or random:64[:SEED]."""
    space: Path = None
    """Read axes from a TOML or YAML file: NAME = "log:1e-4:1e-1:9", or a list."""
    points: Path = None
    """Read a list of points from a CSV file with a line of names, or from JSON."""
    search: Annotated[int | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Search the ranges with Optuna in N trials."""
    objective: Annotated[str | None, Arg(metavar="OUTPUT", help_behavior_hint="")] = (
        None
    )
    """Output that --search minimizes. A curve counts by its last value."""
    maximize: bool = False
    """Maximize the objective instead of minimizing it."""
    rungs: Annotated[str | None, Arg(metavar="N,N,…", help_behavior_hint="")] = None
    """Stop points at these numbers of steps, unless they are among the best third by
    --objective (mean over seeds). `run` must return a `Loop`."""
    parallel: Annotated[int | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Number of trials that --search runs at a time (default: 8)."""
    seed: int = 0
    """Base seed of the random keys passed to `run(key=…)`."""
    precision: Literal[32, 64] = 32
    """Number of bits of the floating-point numbers."""
    store: Path = None
    """The folder of the results, new or of this sweep (default: runs/<file>-<time>)."""
    retry_failed: bool = False
    """Run failed points again, together with the other points of their parts."""
    extend: bool = False
    """Add the points that a store of this experiment lacks: values, seeds, axes.

    Along a new axis, what is there has the default of the function's argument."""
    dry_run: bool = False
    """Print the points and compilations that a run would need, and stop."""

    def main(self) -> int:
        for package, extra, used in (
            ("xarray", "experiments", True),
            ("optuna", "search", self.search is not None),
        ):
            if used and importlib.util.find_spec(package) is None:
                raise UsageError(f'sweep: it needs pip install "dynax-lab[{extra}]".')
        engine = self.how.engine()
        prepare(self.how)
        with jax.enable_x64(self.precision == 64):
            return self._main(engine)

    def _main(self, engine) -> int:
        run, names = find(self.file, self.run, self.precision)
        if self.seeds is not None:
            run = run.repeated("seed")
        defaults, dims = names.get("SPACE", {}), names.get("DIMS")
        if self.run != "run":
            taken = inspect.signature(run).parameters
            defaults, dims = {k: v for k, v in defaults.items() if k in taken}, None
        limits = {
            "batch": self.how.batch,
            "chunk": self.how.chunk,
            "memory": self.how.memory_bytes(),
            "time_limit": self.how.time_limit,
        }
        retry = self.retry_failed
        try:
            space = Space.of(make_space(self, defaults))
            make_job(run, space, self.seed, **limits, retry=retry)
        except (TypeError, ValueError) as error:
            raise UsageError(_flag(first_line(error))) from None
        halving = rungs(self)
        if self.dry_run:
            return _dry(space, self.how.json)
        worker = Worker()
        if isinstance(engine, Local):
            worker = engine.worker or which_worker()
        if self.store is None and worker.count > 1:
            raise UsageError(
                f"--store: none given to {worker.count} workers; accepted is a folder "
                "that all of them share."
            )
        place = f"runs/{self.file.stem}-{{}}"
        store = self.store or destination(None, place, "--store")
        begun, stopped = time.monotonic(), False
        try:
            with SweepProgress(quiet=_hushed(self.how)) as progress:
                sweep(
                    run,
                    space,
                    store,
                    seed=self.seed,
                    dims=dims,
                    units=names.get("UNITS"),
                    engine=engine,
                    progress=progress,
                    command={"argv": self.words(), "folder": str(pathlib.Path.cwd())},
                    retry_failed=retry,
                    extend=self.extend,
                    halving=halving,
                    **limits,
                )
        except KeyboardInterrupt:
            stopped = True
        except Exception as error:
            raise _refusal(error, run, self.how) from error
        seconds = time.monotonic() - begun
        return _end(store, stopped, worker.count > 1, seconds, self.how)

    def words(self) -> list[str]:
        """What `resume` starts it again with; who computes is said anew."""
        words = [str(self.file.absolute())]
        once = {**vars(self.how), **vars(self)}
        for name in ("points", "space"):
            if once[name] is not None:
                once[name] = once[name].absolute()
        skipped = {"file", "how", "store", "dry_run", "json", "worker", "distributed"}
        skipped |= {"retry_failed"}
        fields = [*dataclasses.fields(self), *dataclasses.fields(self.how)]
        for field in fields:
            value, flag = once[field.name], "--" + field.name.replace("_", "-")
            if field.name in skipped or value == field.default:
                continue
            if isinstance(value, tuple):
                words += [f"{flag}={v}" for v in value]
            else:
                words += [flag] if value is True else [f"{flag}={value}"]
        return words


def _dry(space: Space, as_json: bool) -> int:
    names = {dim: ", ".join(names) for dim, names in space.names.items()}
    facts = {
        "points": space.size,
        "structures": len(space.structures),
        "dims": space.shape,
        "arguments": space.names,
    }
    if as_json:
        print(to_json(facts), end="")
        return 0
    times = " × ".join(f"{dim} {n:,}" for dim, n in space.shape.items())
    programs = len(space.structures)
    print(f"{space.size:,} points: {times}")
    for dim, said in names.items():
        if said != dim:
            print(f"  along {dim} vary {said}")
    print(f"{programs} program{'s' * (programs > 1)} to compile")
    return 0


def _hushed(how: How) -> bool:
    """One of several processes speaks for all of them."""
    return how.distributed and jax.process_index() > 0


def _end(store, stopped: bool, share: bool, seconds: float, how: How) -> int:
    """Say what is there and what can be done next; the exit code."""
    try:
        there = Store.open(store)
    except StoreError:
        print("\ndynax: stopped before anything was computed.", file=sys.stderr)
        return STOPPED
    tally = Tally.of(there)
    code = STOPPED if stopped else 1 if tally.failed else 3 if tally.missing else 0
    code = 0 if share and not stopped else code
    have = f"{tally.done:,} of {tally.points:,} points are in {store}"
    if how.json and not _hushed(how):
        facts = {"store": str(store), **tally.facts(), "seconds": round(seconds, 3)}
        print(to_json({**facts, "exit_code": code}), end="")
    elif stopped:
        after = f"`dynax sweep resume {store}` goes on"
        print(f"\ndynax: stopped: {have}; {after}.", file=sys.stderr)
    elif not _hushed(how):
        out = Console(highlight=False, soft_wrap=True, markup=False)
        out.print(f"{have}{'; the share of this worker is done' if share else ''}.")
        for line in tally.lines():
            out.print(line)
        verb = "status" if share else "resume" if tally.missing else "show"
        out.print(f"Next: dynax sweep {verb} {store}")
    return code


def _refusal(error: Exception, run: Script, how: How) -> Exception:
    """What to tell the user; an error of our own stays what it is."""
    path = pathlib.Path(run.path)
    trace, own = error.__traceback__, False
    while trace is not None:
        own = own or trace.tb_frame.f_code.co_filename == run.path
        trace = trace.tb_next
    elsewhere = how.time_limit or how.ray is not None or how.submitit is not None
    text = first_line(error)
    if isinstance(error, StoreError | OutputError):
        return UsageError(_flag(text))
    if own:
        return UsageError(f"{run.name}: {path.name} raised {describe(error, path)}.")
    if isinstance(error, ImportError) or (
        isinstance(error, TypeError | ValueError) and ": given" in text
    ):
        return UsageError(_flag(text))
    if elsewhere or isinstance(error, jax.errors.JaxRuntimeError):
        return UsageError(f"{run.name}: raised {type(error).__name__}: {text}")
    return error


FLAGS = {"engine": "ray or --submitit", "worker": "worker"}


def _flag(message: str) -> str:
    """`time_limit: given …` → `--time-limit: given …`."""
    name, colon, rest = message.partition(":")
    options = {f.name for kind in (How, Sweep) for f in dataclasses.fields(kind)}
    if name in (options - {"run", "file", "how", "space"}) | set(FLAGS):
        name = "--" + FLAGS.get(name, name).replace("_", "-")
        return name + colon + rest
    return message
