"""Who computes a sweep, and within which limits."""

import contextlib
import dataclasses
import os
import re
from typing import Annotated, Any

import jax
import tyro

from dynax.cli._files import UsageError, first_line
from dynax.sweep import Local, Ray, Submitit, Worker
from dynax.sweep.provenance import usable_cores


Arg = tyro.conf.arg
ENGINES = ["--ray"], ["--submitit"]


@dataclasses.dataclass(frozen=True)
class How:
    """Who computes, and within which limits; no number depends on it but by --batch."""

    batch: Annotated[int | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Number of points to run side by side on each device (default: measured)."""
    chunk: Annotated[int | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Number of points in a part of the store (default: about a second of work)."""
    memory: Annotated[str | None, Arg(metavar="SIZE", help_behavior_hint="")] = None
    """Memory to use of each device, e.g. 2GiB (default: half of the free, CPU 1GiB)."""
    time_limit: Annotated[
        float | None, Arg(metavar="SECONDS", help_behavior_hint="")
    ] = None
    """Time that a batch may take in its own process. Later points are given up."""
    worker: Annotated[str | None, Arg(metavar="I/N", help_behavior_hint="")] = None
    """Run one share of the points, e.g. 0/4 (default: from the Slurm array, if any)."""
    distributed: bool = False
    """Divide the points among processes of a TPU slice, Slurm, MPI or Kubernetes."""
    ray: Annotated[str | None, Arg(metavar="[ADDRESS]", help_behavior_hint="")] = None
    """Run as tasks of the Ray cluster at ADDRESS, or "local" (default: RAY_ADDRESS)."""
    submitit: Annotated[int | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Start N jobs with submitit: by Slurm, or on this machine without it."""
    cpus: Annotated[float | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Number of cores for each task of --ray or --submitit."""
    gpus: Annotated[float | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Number of GPUs for each task of --ray or --submitit."""
    tpus: Annotated[float | None, Arg(metavar="N", help_behavior_hint="")] = None
    """Number of TPU chips for each task of --ray."""
    json: bool = False
    """Print the summary as JSON."""

    def engine(self) -> Any:
        """Who computes."""
        chosen = {
            "--worker": self.worker is not None,
            "--distributed": self.distributed,
            "--ray": self.ray is not None,
            "--submitit": self.submitit is not None,
        }
        names = [name for name, given in chosen.items() if given]
        if len(names) > 1:
            raise UsageError(
                f"{names[1]}: given with {names[0]}; accepted is one of the two."
            )
        for name, amount in {"--cpus": self.cpus, "--gpus": self.gpus}.items():
            if amount is not None and (amount < 0 or names not in ENGINES):
                raise UsageError(
                    f"{name}: given {amount:g}; accepted is >= 0, with --ray or "
                    "--submitit."
                )
        if self.tpus is not None and (self.tpus < 0 or names != ["--ray"]):
            raise UsageError(
                f"--tpus: given {self.tpus:g}; accepted is >= 0, with --ray."
            )
        needs: dict[str, Any] = {"cpus": self.cpus, "gpus": self.gpus}
        needs = {k: v for k, v in needs.items() if v is not None}
        if self.ray is not None:
            chips = {} if self.tpus is None else {"TPU": self.tpus}
            return Ray(address=self.ray or None, resources=chips, **needs)
        if self.submitit is not None:
            if self.submitit < 1:
                given = self.submitit
                raise UsageError(f"--submitit: given {given}; accepted is >= 1.")
            slurm = {"cpus": "cpus_per_task", "gpus": "gpus_per_node"}
            parameters = {slurm[k]: int(v) for k, v in needs.items()}
            return Submitit(self.submitit, parameters=parameters)
        return Local(None if self.worker is None else self._worker())

    def _worker(self) -> Worker:
        found = re.fullmatch(r"(\d+)/(\d+)", self.worker or "")
        if not found or int(found[1]) >= int(found[2]):
            raise UsageError(
                f"--worker: given {self.worker!r}; accepted is I/N with I from 0 to "
                "N − 1, as 0/4."
            )
        return Worker(int(found[1]), int(found[2]))

    def memory_bytes(self) -> int | None:
        if self.memory is None:
            return None
        found = re.fullmatch(r"([\d.]+)\s*([kKMGT]?)(i?)[bB]?", self.memory)
        with contextlib.suppress(ValueError):
            if found and (size := float(found[1])) > 0:
                base = 1024 if found[3] else 1000
                return int(size * base ** " kmgt".index(found[2].lower() or " "))
        raise UsageError(
            f"--memory: given {self.memory!r}; accepted is a size as 512MiB or 2GiB."
        )


def prepare(how: How) -> None:
    """Before anything else touches jax: join the others, use all cores."""
    if how.distributed:
        try:
            jax.distributed.initialize()
        except (ValueError, RuntimeError) as error:
            why = first_line(error).rstrip(".")
            raise UsageError(
                f"--distributed: {why}; accepted is to be started by "
                "what jax.distributed knows: a TPU slice, srun, mpirun, Kubernetes."
            ) from None
    elsewhere = how.ray is not None or how.submitit is not None
    counted = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if counted or "JAX_NUM_CPU_DEVICES" in os.environ or elsewhere:
        return
    cores = len(usable_cores())
    with contextlib.suppress(RuntimeError):  # it has begun: within another program
        jax.config.update("jax_num_cpu_devices", cores)
        if how.time_limit is not None:  # for the process that computes
            os.environ["JAX_NUM_CPU_DEVICES"] = str(cores)
