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
    """`with Progress(total) as p: p.tell(name, fraction, text); p.finish(name, note)`,
    of any number of things at once."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self.begun = time.monotonic()
        self.running: dict[str, float] = {}
        self.spoken: dict[str, float] = {}
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
        self.tasks = {}

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *_):
        self.bars.stop()

    def tell(self, name: str, fraction: float = 0.0, text: str = "") -> None:
        fraction = min(max(float(fraction), 0.0), 1.0)
        if name not in self.running:
            self.tasks[name] = self.bars.add_task(name, total=1)
            self.running[name] = 0.0
            number = self.done + len(self.running)
            return self._line(name, f"{name}: started ({number} of {self.total})")
        self.running[name] = fraction
        label = f"{name}: {text}" if text else name
        self.bars.update(self.tasks[name], completed=fraction, description=label)
        self.bars.update(self.all, completed=self._finished())
        if time.monotonic() - self.spoken[name] >= EVERY:
            self._line(name, f"{label}, {fraction:.0%}{self._left()}")

    def finish(self, name: str, note: str, more: bool = True) -> None:
        self.done += 1
        if name in self.running:
            del self.running[name]
            self.bars.remove_task(self.tasks.pop(name))
        self.bars.update(self.all, completed=self._finished())
        self._line(name, f"{name}: {note}{self._left() if more else ''}")

    def _finished(self) -> float:
        return self.done + sum(self.running.values())

    def _left(self) -> str:
        share = self._finished() / self.total
        if not 0 < share < 1:
            return ""
        seconds = (time.monotonic() - self.begun) * (1 - share) / share
        return f"; about {seconds:.0f} s left in all"

    def _line(self, name: str, text: str) -> None:
        self.spoken[name] = time.monotonic()
        if not self.live:
            since = self.spoken[name] - self.begun
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
