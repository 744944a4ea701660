"""GPU machines: one process takes all GPUs of a machine; several machines by ssh."""

import dataclasses
import shlex
from collections.abc import Sequence

from dynax.sweep.launch._plan import (
    DETERMINISTIC,
    Command,
    Plan,
    fill,
    shell,
    store_of,
    sweep_line,
)


WORKER = """\
#!/bin/bash
# A worker that uses all GPUs it sees.
@folder@
@setup@
@devices@
@memory@
@take@
@flags@
exec @line@ "$@" </dev/null
"""
HOSTS = """\
#!/bin/bash
# A worker on each host, each with its share of the chunks of one store.
workers=()
trap 'kill "${workers[@]}"; exit 130' INT TERM
@starts@
code=0
for worker in "${workers[@]}"; do
    wait "$worker" || code=$?
done
exit "$code"
"""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """GPU machines: this one, or several by ssh."""

    hosts: tuple[str, ...] = ()
    """Hosts as ssh knows them; each runs a worker with all its GPUs."""
    folder: str = ""
    """Folder of the script on each of --hosts."""
    devices: str = ""
    """GPUs to use, e.g. 0,1 (default: all)."""
    memory_fraction: float = 0.0
    """Share of a GPU's memory to take at once (0: JAX's default, 0.75)."""
    preallocate: bool = True
    """Take the memory at once instead of piece by piece."""
    deterministic: bool = True
    """Make results reproducible bit by bit; some operations are slower."""
    setup: str = ""
    """Shell command to run first: "source ~/venv/bin/activate"."""

    def plan(self, sweep: Sequence[str], out: str) -> Plan:
        fraction, hosts, worker = self.memory_fraction, self.hosts, f"{out}/gpu.sh"
        devices = shlex.quote(self.devices)
        if not 0 <= fraction < 1:
            raise ValueError(f"memory_fraction: given {fraction}; accepted is 0 … 1.")
        text = fill(
            WORKER,
            folder=self.folder and f"cd {shlex.quote(self.folder)} || exit",
            setup=self.setup,
            devices=self.devices and f"export CUDA_VISIBLE_DEVICES={devices}",
            memory=fraction and f"export XLA_CLIENT_MEM_FRACTION={fraction}",
            take=not self.preallocate and "export XLA_PYTHON_CLIENT_PREALLOCATE=false",
            flags=self.deterministic and DETERMINISTIC,
            line=shell(sweep_line(sweep)),
        )
        comment = "Run the sweep; the same command resumes it."
        if not hosts:
            return Plan({worker: text}, [Command(comment, ("bash", worker))], [], [])
        if not self.folder:
            raise ValueError(
                "folder: none given with --hosts; accepted is the folder in which the "
                "script is, on every host."
            )
        starts = [
            f"ssh {shlex.quote(host)} 'bash -s -- --worker {k}/{len(hosts)}' "
            f"<{shlex.quote(worker)} >>{shlex.quote(f'{out}/{host}.log')} 2>&1 &\n"
            'workers+=("$!")'
            for k, host in enumerate(hosts)
        ]
        both, store = f"{out}/gpu-hosts.sh", store_of(sweep)
        return Plan(
            {worker: text, both: fill(HOSTS, starts="\n".join(starts))},
            [Command(comment, ("bash", both))],
            [
                Command("How far it is.", ("dynax", "sweep", "status", store)),
                Command("What a worker says.", ("tail", f"{out}/{hosts[0]}.log")),
            ],
            ["ssh"],
        )
