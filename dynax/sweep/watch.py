"""Batches under a time limit: computed in a child process that can be killed.

The child notes which places of which batch it is about to run. When that takes too
long, or the child dies of it, the parent writes them down as bad and starts another
child, which runs a bad batch in halves, until the point at fault is alone.
"""

import dataclasses
import json
import multiprocessing
import os
import pathlib
import signal
import time
from collections.abc import Callable

from dynax.sweep.engine import work
from dynax.sweep.executor import Executor, Job
from dynax.sweep.files import replace
from dynax.sweep.lease import StoreError
from dynax.sweep.meter import Progress, Worker
from dynax.sweep.part import RAISED, TIME_LIMIT
from dynax.sweep.program import Failure
from dynax.sweep.store import Store


def supervise(
    job: Job, store: Store, worker: Worker, progress: Callable[[Progress], object]
) -> None:
    """`work` in a child process, as often as it takes."""
    limit = job.time_limit
    assert limit is not None
    spawn = multiprocessing.get_context("spawn")
    now = _now(store, worker)
    while True:
        now.unlink(missing_ok=True)
        ours, theirs = spawn.Pipe(duplex=False)
        child = spawn.Process(target=_child, args=(job, store.path, worker, theirs))
        child.start()
        theirs.close()
        ended: str | None = None
        error: Exception | None = None
        try:
            while ended is None:
                if ours.poll(0.05):
                    try:
                        kind, what = ours.recv()
                    except EOFError:
                        child.join()
                        ended = "died"
                        continue
                    if kind == "progress":
                        progress(what)
                    else:
                        ended, error = kind, what
                elif _overdue(now, limit):
                    child.kill()
                    ended = "late"
        finally:
            if ended != "done" and child.is_alive():
                child.kill()
            child.join()
        if ended == "done":
            return
        if error is not None:
            raise error
        at = _read(now)
        if at is None:
            raise StoreError(
                f"store: the process that computed for {store.path} died "
                f"({_death(child.exitcode)}) before its first batch; nothing is lost."
            )
        text = f"took over {limit:g} s"
        code = TIME_LIMIT
        if ended == "died":
            text, code = f"the process died ({_death(child.exitcode)})", RAISED
        _note(store, worker, [*at[:3], limit, code, text])
        job = dataclasses.replace(job, retry=False)  # it has put aside what failed


def _child(job: Job, path: pathlib.Path, worker: Worker, pipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it
    try:
        store = Store.open(path)
        executor = Executor(job)
        if job.retry:
            _forget(store, worker)
        executor.watch = _Watch(job, store, worker)
        send = lambda p: pipe.send(("progress", p))
        work(job, store, worker, send, executor)
        pipe.send(("done", None))
    except Exception as error:
        try:
            pipe.send(("error", error))
        except Exception:  # an exception that cannot be sent
            pipe.send(("error", RuntimeError(f"{type(error).__name__}: {error}")))


class _Watch:
    """What `Program.isolate` is given for a batch: what failed before, and a diary."""

    def __init__(self, job: Job, store: Store, worker: Worker):
        self.now = _now(store, worker)
        self.bad = {}
        for line in _lines(store):
            structure, first, lanes, limit, code, text = line
            if code == RAISED or limit >= job.time_limit:
                self.bad[structure, first, tuple(lanes)] = Failure(code, text)

    def __call__(self, structure: int, first: int):
        def before(lanes):
            if not lanes:
                self.now.unlink(missing_ok=True)
                return
            entry = [structure, first, list(lanes), time.monotonic()]
            replace(self.now, json.dumps(entry).encode(), durable=False)

        known = lambda lanes: self.bad.get((structure, first, tuple(lanes)))
        self.now.unlink(missing_ok=True)
        return {"known": known, "before": before}


def _now(store, worker):
    return store.path / "workers" / f"{worker.name}.now"


def _read(now):
    try:
        return json.loads(now.read_text())
    except (OSError, ValueError):
        return None


def _overdue(now, limit):
    at = _read(now)
    # a clock that all processes of a machine share, and that nobody sets
    return at is not None and time.monotonic() - at[3] > limit


def _note(store, worker, entry):
    with open(store.path / "workers" / f"{worker.name}.bad", "a") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _forget(store, worker):
    """Drop what this worker, and those of another number of workers, noted as bad."""
    for file in (store.path / "workers").glob("*.bad"):
        others = file.stem.partition("-of-")[2] != str(worker.count)
        if others or file.stem == worker.name:
            file.unlink(missing_ok=True)


def _lines(store):
    for file in sorted((store.path / "workers").glob("*.bad")):
        for line in file.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue  # cut short by a kill


def _death(code):
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
