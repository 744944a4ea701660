"""A Slurm cluster: `sbatch`, and a job that queues itself again when its time is up.

An array task finds its share in SLURM_ARRAY_TASK_*, a task of a larger job by
`jax.distributed.initialize()`, which gives the k-th task of a node the k-th GPU that it
sees: hence --gpus-per-node, as --gpus-per-task would show each task only its own.
"""

import dataclasses
import re
from collections.abc import Sequence

from dynax.sweep.launch._plan import (
    DETERMINISTIC,
    Command,
    Plan,
    fill,
    given,
    shell,
    store_of,
    sweep_line,
)


SCRIPT = """\
#!/bin/bash
@directives@

# Every worker takes its share of the chunks. What is in the store is not computed
# again, so this job can be stopped and queued again at any time.
@setup@
@flags@
@again@
@line@ &
worker=$!
signalled=1
while [ "$signalled" ]; do  # a signal ends `wait`, but not the worker
    signalled=
    wait "$worker"
    code=$?
done
exit "$code"
"""
AGAIN = """\
again() {  # a minute or two before its time is up, it queues itself again
    signalled=1
    if [ "${SLURM_RESTART_COUNT:-0}" -lt @restarts@ ]; then
        scontrol requeue "@job@"
    fi
}
trap again USR1"""


@dataclasses.dataclass(frozen=True)
class Slurm:
    """A Slurm cluster: a job array, or one job of several tasks."""

    array: int = 0
    """Number of tasks of a job array; each may start late or be preempted."""
    nodes: int = 0
    """Number of nodes of one job instead; its tasks meet by jax.distributed."""
    tasks_per_node: int = 0
    """Tasks on each of --nodes (0: one for each GPU, or one)."""
    gpus: int = 0
    """GPUs of each array task, or of each of --nodes."""
    cpus: int = 0
    """Cores of each task (0: the cluster's default)."""
    memory: str = ""
    """Memory per node, e.g. 16G (default: the cluster's)."""
    time: str = "01:00:00"
    """Time limit; a task that reaches it requeues itself and continues later."""
    restarts: int = 10
    """Maximum number of requeues (0: none)."""
    partition: str = ""
    """Slurm partition (default: the cluster's)."""
    account: str = ""
    """Account to charge (default: the cluster's)."""
    mail: str = ""
    """Address that gets a mail when the job ends or fails."""
    option: tuple[str, ...] = ()
    """Further options of sbatch, without dashes: qos=high gres=gpu:a100:1."""
    setup: str = ""
    """Shell command to run first: "module load cuda && source ~/venv/bin/activate"."""
    name: str = "dynax"
    """Name of the job and of its files."""

    def plan(self, sweep: Sequence[str], out: str) -> Plan:
        array, nodes, gpus = self.array, self.nodes, self.gpus
        if (array > 0) == (nodes > 0) or min(array, nodes) < 0:
            raise ValueError(
                f"array: given {array} and --nodes {nodes}; accepted is one of the "
                "two, >= 1."
            )
        tasks = self.tasks_per_node or (gpus if nodes else 0) or 1
        if (nodes and gpus not in (0, tasks)) or (array and tasks > 1):
            raise ValueError(
                f"tasks_per_node: given {tasks} with --gpus {gpus}; accepted is one "
                "task for each GPU, as JAX gives it, and only with --nodes."
            )
        line, cpus = sweep_line(sweep), given({"cpus-per-task": self.cpus})
        shape: dict[str, object] = {"array": f"0-{array - 1}", "ntasks": 1}
        job, log = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}", "%A_%a"
        if nodes:
            line = ("srun", "--kill-on-bad-exit=1", *cpus, *line, "--distributed")
            shape = {"nodes": nodes, "ntasks-per-node": tasks}
            job, log = "$SLURM_JOB_ID", "%j"
        options = {
            "job-name": self.name,
            **shape,
            "cpus-per-task": self.cpus,
            "gpus-per-node": gpus,
            "mem": self.memory,
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "mail-user": self.mail,
            "mail-type": self.mail and "END,FAIL",
            "output": f"{out}/{self.name}-{log}.log",
            "open-mode": "append",
            "signal": self.restarts and "B:USR1@60",
        }
        directives = [*given(options), "--requeue", *(f"--{o}" for o in self.option)]
        for directive in directives:
            if re.search(r"[\s\"'\\#]", directive):
                raise ValueError(
                    f"{directive.partition('=')[0]}: given {directive!r}; accepted by "
                    "sbatch are no spaces, quotes, backslashes and #."
                )
        again = fill(AGAIN, job=job, restarts=self.restarts) if self.restarts else ""
        text = fill(
            SCRIPT,
            directives="\n".join(f"#SBATCH {directive}" for directive in directives),
            setup=self.setup,
            flags=gpus and DETERMINISTIC,
            again=again,
            line=shell(line),
        )
        file, store = f"{out}/{self.name}.sh", store_of(sweep)
        return Plan(
            {file: text},
            [Command("Queue the job.", ("sbatch", file))],
            [
                Command("Who is waiting, who is running.", ("squeue", "--me")),
                Command("How far it is.", ("dynax", "sweep", "status", store)),
                Command("Stop it; sbatch goes on.", ("scancel", f"--name={self.name}")),
            ],
            ["sbatch"],
        )
