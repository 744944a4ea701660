"""Chunks as tasks of a Ray cluster: retried where they fail, wherever there is room.

The driver alone touches the store, so the nodes need not share a file system.
"""

import dataclasses
import functools
import os
import socket
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dynax.sweep.engine import chunks, missing, planned, retry, same_program, warn
from dynax.sweep.executor import Executor, Job
from dynax.sweep.meter import Meter, Progress, Worker
from dynax.sweep.program import hushed
from dynax.sweep.store import Store


@dataclasses.dataclass(frozen=True)
class Ray:
    """Points run as tasks of Ray, the scheduler of the cluster.

    Args:
        address: of a running cluster, "auto" for the one this machine is part of;
            by default `RAY_ADDRESS`, and if that is not set Ray is started here.
        cpus, gpus: that one task holds.
        resources: others that it holds, as {"TPU": 4}.
        retries: how often the chunk of a dead worker is run again.
        workers: tasks at a time; by default as many as the cluster has room for.
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0
    resources: Mapping[str, float] = dataclasses.field(default_factory=dict)
    retries: int = 5
    workers: int | None = None

    def __call__(
        self, job: Job, store: Store, progress: Callable[[Progress], object]
    ) -> None:
        ray = _ray()
        if job.space.search is not None or job.time_limit is not None:
            what = "a search" if job.space.search is not None else "time_limit"
            raise ValueError(f"engine: given Ray with {what}; accepted is Local there.")
        started = not ray.is_initialized()
        if started:
            self._join(ray)
        try:
            self._run(ray, job, store, progress)
        finally:
            if started:
                ray.shutdown()

    def _join(self, ray):
        address = self.address or os.environ.get("RAY_ADDRESS") or None
        host, _, port = (address or "").rpartition(":")
        try:
            if host and port.isdigit() and "/" not in host:
                # where nobody listens, ray tries for ever
                socket.create_connection((host, int(port)), timeout=10).close()
            with warnings.catch_warnings():  # it forks, but does not use jax after
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(
                    address=address,
                    configure_logging=False,
                    log_to_driver=False,
                    include_dashboard=False,
                )
        except OSError as error:
            raise ValueError(
                f"engine: given the cluster at {address}, which cannot be joined "
                f"({error}); accepted is the address of one that is running, and if it "
                "asks for a token, as of `ray start`, RAY_AUTH_MODE=token."
            ) from error

    def _run(self, ray, job, store, progress):
        room = self._room(ray.cluster_resources())
        if room < 1:
            raise ValueError(
                f"engine: given a task of {self._needs()}; accepted is what the "
                f"cluster has: {ray.cluster_resources()}."
            )
        token = uuid.uuid4().hex
        task = ray.remote(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            resources=dict(self.resources) or None,
            max_retries=self.retries,
        )(_task)
        sent = ray.put(job)
        with store.lease(Worker().name):
            store.repair()
            if job.retry:
                retry(store, job.space, Worker())
            meter = Meter(job, store, Worker(), _Cluster(ray, room), progress)
            meter(force=True)
            queue = self._queue(ray, task, token, sent, job, store, room, meter)
            under_way = {}
            while True:
                while len(under_way) < 2 * room:
                    chunk = next(queue, None)
                    if chunk is None:
                        break
                    under_way[task.remote(token, sent, *chunk)] = chunk
                if not under_way:
                    break
                done, _ = ray.wait(list(under_way), timeout=0.5)
                for ref in done:
                    structure, _, first, _ = under_way.pop(ref)
                    values = _get(ray, ref)
                    store.write(structure, first, values)
                    meter.add(values)
                meter()
            meter(force=True)

    def _queue(self, ray, task, token, sent, job, store, room, meter):
        """(structure, plan, first, count) of every chunk that is missing."""
        # planned on a node that will do the work, not here
        remote = _Remote(ray, task, token, sent, job.space)
        for structure, plan in planned(remote, store, room):
            warn(plan, meter)
            parts = [p for p in store.parts() if p.structure == structure]
            spans = list(chunks(plan, job.space.block))
            for first, count in missing(spans, parts, plan["batch"]):
                yield structure, plan, first, count

    def _needs(self):
        return {"CPU": self.cpus, "GPU": self.gpus, **self.resources}

    def _room(self, cluster):
        needs = {k: v for k, v in self._needs().items() if v}
        fits = [int(cluster.get(name, 0) // amount) for name, amount in needs.items()]
        return min([*fits, self.workers or 2**30]) if needs else self.workers or 1


@dataclasses.dataclass
class _Remote:
    """Stands in for an `Executor` where a plan is agreed on."""

    ray: Any
    task: Any
    token: str
    sent: Any
    space: Any

    def plan(self, structure: int, workers: int):
        given = structure, {"workers": workers}, None, None
        return _get(self.ray, self.task.remote(self.token, self.sent, *given))


class _Cluster:
    """What the meter reports as the devices of the driver."""

    def __init__(self, ray, room: int):
        self.devices = [self] * room
        self.device_kind = f"Ray, {len(ray.nodes())} nodes"


def _task(token, job, structure, plan, first, count):
    """On a node: a plan of a structure, or the arrays of a chunk."""
    executor = _executor(token, _Sent(job))
    if first is None:
        return executor.plan(structure, plan["workers"])
    same_program(executor, structure, plan)
    with hushed():
        return executor.end(executor.begin(structure, plan, first, count))


class _Sent:
    """The job, of which every task gets a copy, as one that is equal to the others."""

    def __init__(self, job: Job):
        self.job = job

    def __eq__(self, other):
        return isinstance(other, _Sent)

    def __hash__(self):
        return 0


@functools.lru_cache(maxsize=1)
def _executor(token: str, sent: _Sent) -> Executor:
    """One for each job and process, so that compiling is done once."""
    del token
    return Executor(sent.job, jax.local_devices())


def _get(ray, ref):
    """The result of a task, or what it raised."""
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


def _ray():
    try:
        import ray
    except ImportError:
        raise ImportError(
            'the engine Ray needs ray: pip install "dynax-lab[ray]"'
        ) from None
    return ray
