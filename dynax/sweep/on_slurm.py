"""Workers as jobs of submitit: tasks of a Slurm array, or processes of this machine."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from dynax.sweep.engine import work
from dynax.sweep.executor import Job
from dynax.sweep.meter import Progress, Worker
from dynax.sweep.part import counts
from dynax.sweep.store import Store


@dataclasses.dataclass(frozen=True)
class Submitit:
    """Points striped over jobs that submitit starts: by Slurm, or here without one.

    Args:
        workers: jobs, each of which takes every `workers`-th chunk.
        cluster: "slurm" or "local"; by default Slurm if this machine has it.
        parameters: of `submitit.AutoExecutor.update_parameters`, as
            {"timeout_min": 240, "slurm_partition": "gpu", "gpus_per_node": 1}.
    """

    workers: int
    cluster: str | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(
        self, job: Job, store: Store, progress: Callable[[Progress], object]
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise ImportError(
                'the engine Submitit needs submitit: pip install "dynax-lab[slurm]"'
            ) from None
        if job.space.search is not None or job.time_limit is not None:
            what = "a search" if job.space.search is not None else "time_limit"
            raise ValueError(
                f"engine: given Submitit with {what}; accepted is Local there."
            )
        executor = submitit.AutoExecutor(store.path / "jobs", cluster=self.cluster)
        executor.update_parameters(**{"timeout_min": 24 * 60, **self.parameters})
        task = _Task(job, str(store.path), self.workers)
        with warnings.catch_warnings():  # it forks, but does not use jax after
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            jobs = executor.map_array(task, list(range(self.workers)))
        begun = time.monotonic()
        before, _ = counts(store.parts())
        try:
            while not all(j.done() for j in jobs):
                time.sleep(0.5)
                done, failed = counts(store.parts())
                rate = (done - before) / (time.monotonic() - begun)
                points = job.space.size
                left = (points - done) / rate if rate else float("inf")
                waiting = sum(j.state in ("PENDING", "UNKNOWN") for j in jobs)
                note = f"{waiting} jobs waiting" if waiting else ""
                progress(Progress(done, points, failed, rate, left, note))
        except BaseException:
            for j in jobs:
                j.cancel()
            raise
        for j in jobs:
            j.result()  # raises what the job raised


@dataclasses.dataclass(frozen=True)
class _Task:
    job: Job
    store: str
    workers: int

    def __call__(self, index: int) -> None:
        store = Store.open(self.store)
        work(self.job, store, Worker(index, self.workers))

    def checkpoint(self, index: int):
        """When Slurm is about to stop the job: queue it again, it goes on by itself."""
        import submitit

        again = dataclasses.replace(self.job, retry=False)  # what failed is put aside
        task = dataclasses.replace(self, job=again)
        return submitit.helpers.DelayedSubmission(task, index)
