"""`dynax claims` and `dynax report`: all experiments, one table."""

import dataclasses
import json
import os
import pathlib
import shlex
import sys
import time
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dynax.claim import Control
from dynax.cli import _experiments, _record, _workers
from dynax.cli._files import STOPPED, UsageError, destination, to_json, wrapped, write
from dynax.cli._progress import Progress
from dynax.report import Outcome, Summary, arrange, document, number
from dynax.sweep.provenance import provenance


Path = Annotated[pathlib.Path, tyro.conf.arg(metavar="PATH")]
NewPath = Annotated[
    pathlib.Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")
]
Only = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="ID [ID ...]", help_behavior_hint="")
]


@dataclasses.dataclass(frozen=True)
class Claims:
    """Run the claims of all experiments."""

    only: Only = ()
    """Select claims by id (2 means 2, 2a, 2b …), or by the name of a file or family."""
    long: bool = False
    """Use the CPU budgets that the claims name: up to an hour."""
    full: bool = False
    """Run at the scale of the papers, on a GPU."""
    record: bool = False
    """Add the results to DIR/record.json, and renew the README and the results page."""
    dir: Path = pathlib.Path("experiments")
    """Folder of the experiments, as in a checkout of dynax."""
    json: NewPath = None
    """A new file for the results (default: runs/claims-<time>.json)."""
    list: bool = False
    """Print the claims without running anything."""
    jobs: int = 0
    """Number of experiments to run at once (0: one a core, or 1 on an accelerator)."""

    def main(self) -> int:
        if self.list:
            return _list(self.dir, self.only)
        if self.long and self.full:
            raise UsageError("--full: given with --long; accepted is one of the two.")
        size = "long" if self.long else "full" if self.full else "quick"
        path = destination(self.json, "runs/claims-{}.json", "--json")
        if self.record:
            _record.read(self.dir)  # before an hour is spent
        if self.jobs < 0:
            raise UsageError(f"--jobs: given {self.jobs}; accepted is 0, 1, 2, ….")
        outcomes, facts = _measure(self.dir, size, self.only, jobs=self.jobs)
        _print(outcomes)
        written = write(path, _as_json(outcomes, facts, size))
        summary = Summary.of(outcomes)
        if self.record and summary.interrupted:
            print("not recorded, as the run was stopped", file=sys.stderr)
        elif self.record:
            for line in _record.add(self.dir, outcomes, facts, size):
                print(line)
        print(f"written to {written}")
        return _code(summary)


@dataclasses.dataclass(frozen=True)
class Report:
    """Run all experiments and write one HTML file about them."""

    only: Only = ()
    """Select claims by id (2 means 2, 2a, 2b …), or by the name of a file or family."""
    out: NewPath = None
    """A new file for the report (default: reports/dynax-<time>.html)."""
    dir: Path = pathlib.Path("experiments")
    """Folder of the experiments, as in a checkout of dynax."""

    def main(self) -> int:
        path = destination(self.out, "reports/dynax-{}.html", "--out")
        outcomes, facts = _measure(self.dir, "quick", self.only, True)
        _print(outcomes)
        page = document(outcomes, _footer(facts, "quick"))
        print(f"Report: {write(path, page)}", flush=True)
        return _code(Summary.of(outcomes))


def _measure(
    folder, size, only, figures=False, jobs=1
) -> tuple[list[Outcome], dict[str, Any]]:
    begun = time.monotonic()
    places = _experiments.find(folder, only)
    facts = provenance(folder)
    with Progress(len(places)) as progress:
        jobs = min(jobs or _workers.best(), len(places))
        if jobs > 1:
            outcomes = _workers.run_all(places, size, progress, jobs, only)
        else:
            run_all = _experiments.run_all
            outcomes = run_all(places, size, progress, only=only, figures=figures)
    return outcomes, {**facts, "seconds": round(time.monotonic() - begun, 1)}


def _code(summary: Summary) -> int:
    return STOPPED if summary.interrupted else 0 if summary.good else 1


def _print(outcomes: list[Outcome]) -> None:
    """The table of claims; below 100 columns, one claim under another."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    if console.width < 100:
        _stack(console, outcomes)
    else:
        console.print(_table(outcomes))
    summary = Summary.of(outcomes)
    style = "bold green" if summary.good else "bold red"
    console.print(Text(f"\n{summary}.", style))


def _list(folder, only) -> int:
    """Every claim with its bound and the reason of it, by study."""
    for place, study, claims in _experiments.catalogue(folder, only):
        print(wrapped(f"{study.title}  ({place.relative}; {study.source})"))
        for claim in claims:
            guards = f"control of {claim.of}: " if isinstance(claim, Control) else ""
            said = f"  {claim.id:<6} {guards}{claim.statement}"
            for line in (said, f"         {claim.bound}: {claim.bound.why}"):
                print(wrapped(line, 9 * " "))
    return 0


def _verdict(claim) -> Text:
    good = "green" if claim.holds else "bold red"
    return Text(("✓ " if claim.holds else "✗ ") + claim.verdict, good)


def _statement(claim) -> str:
    return f"control: {claim.statement}" if claim.control else claim.statement


def _stack(console: Console, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        console.print(Text(f"\n{outcome.title or outcome.name}", "bold"))
        for claim in arrange(outcome.claims):
            console.print(Text(f"{claim.id}  {_statement(claim)}"))
            measured = f"    {number(claim.measured)}   asked {claim.threshold}   "
            console.print(Text(measured) + _verdict(claim))
        if outcome.status != "finished":
            reason = f"    {outcome.mark}: {outcome.name}.py: {outcome.error}"
            console.print(Text(reason, "bold red"))


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("claim", no_wrap=True)
    table.add_column("statement", ratio=1)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("threshold", max_width=26)
    table.add_column("verdict", no_wrap=True)
    for outcome in outcomes:
        table.add_row()
        table.add_row("", Text(outcome.title or outcome.name, "bold"))
        for claim in arrange(outcome.claims):
            table.add_row(
                Text(f"└ {claim.id}" if claim.control else claim.id),
                Text(_statement(claim)),
                Text(number(claim.measured)),
                Text(claim.threshold),
                _verdict(claim),
                style="dim" if claim.control and claim.holds else "",
            )
        if outcome.status != "finished":
            reason = Text(f"{outcome.name}.py: {outcome.error}")
            style = "dim" if outcome.status == "not run" else "bold red"
            table.add_row("", reason, "", "", Text(outcome.mark, style))
    return table


def _as_json(outcomes, facts, size) -> str:
    summary = Summary.of(outcomes)
    experiments = [
        {
            "name": o.name,
            "status": o.status,
            "error": o.error or None,
            "traceback": o.trace or None,
            "title": o.title,
            "source": o.source,
            "seconds": round(o.seconds, 3),
            "seeds": o.seeds,
            "claims": [c.to_dict() for c in o.claims],
            "verdicts": {k: json.loads(v.to_json()) for k, v in o.verdicts.items()},
        }
        for o in outcomes
    ]
    return to_json(
        {
            "good": summary.good,
            "summary": str(summary),
            **summary._asdict(),
            "size": size,
            **facts,
            "experiments": experiments,
        }
    )


def _footer(facts, size) -> dict[str, str]:
    machine = facts["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items() if v)
    return {
        "Date": facts["date"].replace("T", " "),
        "Size": f"{size}, {facts['seconds']:.0f} s in all",
        "Machine": _record.machine_line(machine),
        "Versions": versions,
        "Commit": facts["commit"] or "not in a git checkout",
        "Command": shlex.join(["dynax", *sys.argv[1:]]),
    }
