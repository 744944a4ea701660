"""How far a worker and the whole sweep are: told to the user, and to the store."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dynax.sweep.part import DONE, counts


class Worker(NamedTuple):
    """This worker's number, of how many: it takes every `count`-th chunk."""

    index: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        return f"{self.index}-of-{self.count}"


class Progress(NamedTuple):
    """How far a sweep is. As text it is one line. The rate is 0 until compiled."""

    done: int
    points: int
    failed: int
    rate: float
    left: float
    note: str = ""

    def __str__(self) -> str:
        left = "" if self.done == self.points else f", {_duration(self.left)} left"
        note = f" ({self.note})" if self.note else ""
        rate = f", {speed(self.rate)}" if self.rate else ""
        return (
            f"{self.done:,} of {self.points:,} points ({self.done / self.points:.0%})"
            f"{rate}{left}, {self.failed:,} failed{note}"
        )


def speed(rate: float) -> str:
    """Points a second, as one says it."""
    return f"{rate:,.0f} points/s" if rate >= 100 else f"{rate:.3g} points/s"


def amount(size: float) -> str:
    """Bytes, as one says it."""
    power = max(0, min(3, int(np.log2(max(size, 1)) // 10)))
    return f"{size / 1024**power:,.4g} {('B', 'KiB', 'MiB', 'GiB')[power]}"


def _duration(seconds):
    if not np.isfinite(seconds):
        return "unknown time"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"


class Meter:
    """Tells the user, and the store, how far this worker and the whole sweep are."""

    def __init__(self, job, store, worker, executor, progress, note=""):
        self.job, self.store, self.worker, self.note = job, store, worker, note
        self.progress, self.executor = progress, executor
        self.begun, self.spoken = time.monotonic(), 0.0
        self.last, self.waits, self.ahead = self.begun, [], 0
        self.mine = self.failed = self.batch = 0
        self.points = job.space.size
        self.before = self._there()

    def start(self, structure: int = 0) -> None:
        """It is compiled: what that took is not of the rate, but of those ahead too."""
        self.waits.append(time.monotonic() - self.last)
        self.begun += self.waits[-1]
        self.ahead = len(self.job.space.structures) - 1 - structure
        if not self.mine:
            self.before = self._there()

    def compiling(self, structure: int) -> None:
        """The structure is done, and the next one, if there is one, is compiled."""
        left = len(self.job.space.structures) - 1 - structure
        if left and self.mine:
            note = f"compiling {structure + 2} of {structure + 1 + left}"
            self(force=True, note=note)

    def add(self, values: Mapping[str, np.ndarray]) -> None:
        self.last = time.monotonic()
        self.mine += len(values["status"])
        self.failed += int(np.sum(values["status"] != DONE))
        self.batch = int(values["@batch"])
        self()

    def __call__(self, force: bool = False, note: str = "") -> None:
        now = time.monotonic()
        if not force and now - self.spoken < 0.5:
            return
        self.spoken = now
        points = self.points
        rate = self.mine / max(now - self.begun, 1e-9)
        done = min(points, self.before[0] + self.mine)
        failed = min(done, self.before[1] + self.failed)
        if self.worker.count > 1:
            done, failed = self._there()
            others = (done - self.before[0]) / max(now - self.begun, 1e-9)
            rate = max(rate, others)
        left = (points - done) / rate if rate else float("inf")
        left += self.ahead * sum(self.waits) / max(len(self.waits), 1)
        told = "; ".join(filter(None, (self.note, note)))
        state = Progress(done, points, failed, 0.0 if note else rate, left, told)
        self.store.report(
            self.worker.name,
            done=self.mine,
            failed=self.failed,
            rate=rate,
            batch=self.batch,
            seconds=round(now - self.begun, 1),
            device=str(self.executor.devices[0].device_kind),
            devices=len(self.executor.devices),
        )
        self.progress(state)

    def _there(self) -> tuple[int, int]:
        """How many points are in the store, and how many of them failed."""
        return counts(self.store.parts())
