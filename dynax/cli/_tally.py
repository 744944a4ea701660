"""What is in the store of a sweep, in numbers: read without reading the results."""

import collections
import contextlib
import dataclasses
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from dynax.sweep import Progress, open_sweep
from dynax.sweep.blocks import layout, stores
from dynax.sweep.lease import StoreError
from dynax.sweep.meter import speed
from dynax.sweep.part import MEANINGS, RAISED, TIME_LIMIT
from dynax.sweep.store import Store


FRESH = 60.0  # seconds after which a worker on another host that says nothing is gone


@dataclasses.dataclass(frozen=True)
class Tally:
    """Counts of points; `failures` by kind; `said`: (point, kind, text) of some.

    Attributes:
        broken: points of structures that could not be compiled.
        damaged: files of parts that are not whole.
        batches: sizes with which the parts were computed.
    """

    points: int
    done: int
    broken: int
    failures: dict[str, int]
    said: list[tuple[int, str, str]]
    damaged: int
    batches: list[int]
    store: Store

    @classmethod
    def of(cls, store: Store, most: int = 1000) -> "Tally":
        failures: collections.Counter[str] = collections.Counter()
        said, done, damaged, broken = [], 0, 0, 0
        batches = set()
        whole = layout(store)
        points = whole.coming
        for block in whole.blocks:
            own, points = block.store, points + block.size
            parts = own.parts()
            batches |= {part.batch for part in parts}
            for part in parts:
                status, texts = np.zeros(part.count, np.int8), {}
                if part.failed:
                    try:
                        status = own.read(part, "status")
                        if len(said) < most:
                            at = own.read(part, "@failed").tolist()
                            texts = dict(zip(at, own.read(part, "@said"), strict=True))
                    except StoreError:
                        damaged += 1
                        continue
                done += part.count - part.skip
                first = block.bases[part.structure] + part.first
                failed = part.skip + np.flatnonzero(status[part.skip :])
                for code, many in zip(
                    *np.unique(status[failed], return_counts=True), strict=True
                ):
                    failures[MEANINGS[int(code)]] += int(many)
                for k in failed[: most - len(said)].tolist():
                    kind, number = MEANINGS[int(status[k])], int(block.whole(first + k))
                    said.append((number, kind, str(texts.get(k, ""))))
            for structure, base in enumerate(block.bases):
                plan = own.plan(structure)
                if plan and "error" in plan:
                    broken += block.length(structure)
                    failures[COMPILE] += block.length(structure)
                    said.append((int(block.whole(base)), COMPILE, plan["error"]))
            damaged += len(own.torn())
        counted = dict(failures.most_common())
        return cls(points, done, broken, counted, said, damaged, sorted(batches), store)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def missing(self) -> int:
        return self.points - self.done - self.broken

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "points": self.points,
            "done": self.done,
            "failed": self.failed,
            "missing": self.missing,
            "complete": self.missing == 0,
            "failures": self.failures,
            "messages": [
                {"point": n, "kind": kind, "text": text}
                for n, kind, text in self.said[:20]
            ],
            "damaged_parts": self.damaged,
            "batch_sizes": self.batches,
        }

    def lines(self) -> list[str]:
        """The failures, by kind, with the first messages of each."""
        lines: list[str] = []
        if not self.said:
            return lines
        from dynax.report import point_said

        ds = None
        with contextlib.suppress(
            ImportError
        ):  # without xarray, points have numbers only
            ds = open_sweep(self.store.path)
        for kind, count in self.failures.items():
            lines.append(f"  {count:,} failed: {kind}")
            seen: dict[str, int] = {}
            for number, k, text in self.said:
                if k == kind:
                    seen.setdefault(text, number)
            for text, number in list(seen.items())[:3]:
                said = f": {text}" if text else ""
                given = "" if ds is None else f" ({point_said(ds, number)})"
                lines.append(f"    point {number:,}{given}{said}")
        return lines


COMPILE = "could not be compiled"


def workers(store: Store) -> list[dict[str, Any]]:
    """The latest report of each; `at_work` tells whether it is likely still there."""
    found = [report for block in stores(store) for report in block.workers()]
    now = time.time()
    for report in found:
        report["age"] = round(now - report["updated"], 1)
        elsewhere = report["host"] != socket.gethostname() and report["age"] < FRESH
        report["at_work"] = bool(report["alive"]) or elsewhere
    return found


def status_lines(tally: Tally, team: list[dict[str, Any]]) -> Iterator[str]:
    """What `dynax sweep status` prints."""
    manifest = tally.store.manifest
    argv = (manifest.get("command") or {}).get("argv")
    of = f" of {pathlib.Path(argv[0]).name}" if argv else ""
    begun = manifest["begun"]["date"].replace("T", " ")
    yield f"{tally.store.path}: {manifest['experiment']['run']}{of}, begun {begun}"
    for entry in tally.store.notes():
        tags = "".join(f" [{tag}]" for tag in entry["tags"])
        yield f"  {entry['date'].replace('T', ' ')}:{tags} {' '.join(entry['notes'])}"
    at_work = [w for w in team if w["at_work"]]
    rate = sum(w.get("rate", 0.0) for w in at_work)
    if tally.missing and rate:
        left = tally.missing / rate
        yield f"  {Progress(tally.done, tally.points, tally.failed, rate, left)}"
    else:
        yield f"  {tally.done:,} of {tally.points:,} points, {tally.failed:,} failed"
    for w in team:
        state = "at work" if w["at_work"] else "not at work"
        yield (
            f"  worker {w['worker']} on {w['host']} (process {w['process']}): {state}, "
            f"{w.get('done', 0):,} points, {speed(w.get('rate', 0))} on "
            f"{w.get('devices', 1)} × {w.get('device', 'device')}, last heard of "
            f"{w['age']:,.0f} s ago"
        )
    if tally.batches:
        yield f"  batch sizes: {', '.join(map(str, tally.batches))}"
    if tally.damaged:
        yield f"  damaged parts: {tally.damaged}, which `resume` computes again"
    yield from tally.lines()
    before = sum((b.retried() for b in stores(tally.store)), collections.Counter())
    for text, count in before.most_common(3):
        yield f"  {count:,} failed before, and were run again: {text}"
    again = MEANINGS[RAISED] in tally.failures or MEANINGS[TIME_LIMIT] in tally.failures
    if again and not tally.missing and argv:
        yield f"Next: dynax sweep resume {tally.store.path} --retry-failed"
    if tally.missing and not at_work:
        yield f"Next: dynax sweep resume {tally.store.path}"
