"""Progress on the host, on stderr: bars on a terminal, else a line now and then."""

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress as Bars,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


EVERY = 5.0  # seconds between two lines where there is no terminal


class Progress:
    """`with Progress(names) as p: p.begin(name); p(fraction, text); p.end(note)`."""

    def __init__(self, total: int):
        self.total, self.done, self.name = total, 0, ""
        self.begun = self.spoken = time.monotonic()
        console = Console(stderr=True)
        self.live = console.is_terminal
        self.bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not self.live,
            speed_estimate_period=1e9,
        )
        self.all = self.bars.add_task("all experiments", total=total)
        self.one = self.bars.add_task("", total=1)

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *_):
        self.bars.stop()

    def begin(self, name: str) -> None:
        self.name = name
        self.bars.reset(self.one, description=name, total=1)
        self._line(f"{name}: started ({self.done + 1} of {self.total})")

    def __call__(self, fraction: float, text: str = "") -> None:
        fraction = min(max(float(fraction), 0.0), 1.0)
        label = f"{self.name}: {text}" if text else self.name
        self.bars.update(self.one, completed=fraction, description=label)
        self.bars.update(self.all, completed=self.done + fraction)
        if time.monotonic() - self.spoken >= EVERY:
            self._line(f"{label}, {fraction:.0%}{self._left(fraction)}")

    def end(self, note: str, more: bool = True) -> None:
        self.done += 1
        self.bars.update(self.all, completed=self.done)
        self.bars.update(self.one, completed=1)
        self._line(f"{self.name}: {note}{self._left(0) if more else ''}")

    def _left(self, fraction: float) -> str:
        share = (self.done + fraction) / self.total
        if not 0 < share < 1:
            return ""
        seconds = (time.monotonic() - self.begun) * (1 - share) / share
        return f"; about {seconds:.0f} s left in all"

    def _line(self, text: str) -> None:
        self.spoken = time.monotonic()
        if not self.live:
            since = self.spoken - self.begun
            print(f"[{since:4.0f} s] {text}", file=sys.stderr, flush=True)


class SweepProgress:
    """`with SweepProgress() as p: sweep(…, progress=p)`."""

    def __init__(self, quiet: bool = False):
        console = Console(stderr=True)
        self.live = console.is_terminal and not quiet
        self.quiet, self.begun, self.spoken = quiet, time.monotonic(), -EVERY
        self.bars = Bars(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not self.live,
        )
        self.task = self.bars.add_task("compiling", total=None)

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *_):
        self.bars.stop()

    def __call__(self, state) -> None:
        text = str(state)
        if not state.rate and state.done < state.points:
            text = f"{state.done:,} of {state.points:,} points, compiling"
        self.bars.update(
            self.task, completed=state.done, total=state.points, description=text
        )
        now = time.monotonic()
        if not self.live and not self.quiet and now - self.spoken >= EVERY:
            self.spoken = now
            print(f"[{now - self.begun:4.0f} s] {text}", file=sys.stderr, flush=True)
