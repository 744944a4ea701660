"""Experiments side by side: one process a core, each kept to its own."""

import contextlib
import multiprocessing
import os
import queue
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

import jax

from dynax.cli import _experiments
from dynax.cli._progress import Progress
from dynax.report import Outcome
from dynax.sweep.provenance import usable_cores


EVERY = 0.2  # seconds between two looks at what the workers say

_say: Any = None  # of a worker: where it reports


def best() -> int:
    """How many experiments at a time: an accelerator serves one process well."""
    return len(usable_cores()) if jax.default_backend() == "cpu" else 1


def run_all(
    places: Sequence[_experiments.Place],
    size: str,
    progress: Progress,
    jobs: int,
    only: Sequence[str] = (),
) -> list[Outcome]:
    """`_experiments.run_all` without figures, `jobs` studies at a time."""
    context = multiprocessing.get_context("spawn")
    say: Any = context.SimpleQueue()
    free = context.Queue()
    for core in (usable_cores() * jobs)[:jobs]:
        free.put(core)
    ended: dict[str, Outcome] = {}
    pool = ProcessPoolExecutor(jobs, context, _begin, (say, free))
    waiting = {pool.submit(_one, place, size, only): place.name for place in places}
    try:
        while waiting:
            try:
                done, _ = wait(waiting, EVERY, FIRST_COMPLETED)
            except KeyboardInterrupt:
                done = _stop(waiting)
                for worker in multiprocessing.active_children():
                    os.kill(worker.pid or 0, signal.SIGINT)
            while not say.empty():
                progress.tell(*say.get())
            for job in done:
                name = waiting.pop(job)
                ended[name] = end = _outcome(name, job)
                note = f"{end.status} after {end.seconds:.1f} s"
                progress.finish(name, end.error if end.status == "not run" else note)
            if any(o.status == "interrupted" for o in ended.values()):
                _stop(waiting)
    finally:  # all is said; a thread that an experiment left behind may sleep on
        for worker in multiprocessing.active_children():
            worker.kill()
    return [ended[place.name] for place in places]


def _stop(waiting) -> list[Future]:
    return [job for job in waiting if job.cancel()]


def _outcome(name: str, job: Future) -> Outcome:
    if job.cancelled():
        return Outcome(name, "not run", error="stopped before it")
    if job.exception() is not None:
        return Outcome(name, "failed", error=f"its process ended: {job.exception()}")
    return job.result()


def _begin(say, free) -> None:
    global _say
    _say = say
    with contextlib.suppress(queue.Empty, AttributeError, OSError):
        os.sched_setaffinity(0, {free.get(timeout=1)})
    os.setpgrp()  # Ctrl-C reaches the parent, which tells each worker once


def _one(place: _experiments.Place, size: str, only: Sequence[str]) -> Outcome:
    say = _say.put
    say((place.name, 0.0, "started"))
    tell = lambda share, text="": say((place.name, float(share), text))
    return _experiments.run(place, size, tell, only=only)
