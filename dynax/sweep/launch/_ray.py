"""A Ray cluster, to which `dynax sweep --ray ADDRESS` hands chunks.

A cluster made here asks for a token, as Ray runs whatever is sent to its port, see
https://docs.ray.io/en/latest/ray-security/token-auth.html.
"""

import dataclasses
import shlex
from collections.abc import Sequence

from dynax.sweep.launch._plan import Command, Plan, fill, given, sweep_line


AUTH = "env", "RAY_AUTH_MODE=token"
TOKEN = """\
#!/bin/bash
# Makes the token without which nobody can use the cluster, and tells it to the workers.
umask 077
ray get-auth-token --generate >/dev/null || exit
for host in @hosts@; do
    ssh "$host" 'umask 077; mkdir -p ~/.ray; test -e ~/.ray/auth_token ||
        cat >~/.ray/auth_token' <~/.ray/auth_token || exit
done
"""


@dataclasses.dataclass(frozen=True)
class Ray:
    """A Ray cluster: one that is there, or one made of this and other machines."""

    address: str = ""
    """Address of an existing cluster."""
    head: str = ""
    """Address of this machine, as the workers see it, to make a new cluster."""
    workers: tuple[str, ...] = ()
    """Hosts that join --head, as ssh knows them."""
    port: int = 6379
    """Port of the head."""
    cpus: int = 0
    """Cores of each machine (0: what Ray finds)."""
    gpus: int = 0
    """GPUs of each machine (0: what Ray finds)."""
    tpus: int = 0
    """TPU chips of each machine (0: what Ray finds)."""
    setup: str = ""
    """Shell command to run first on the workers: "source ~/venv/bin/activate"."""

    def plan(self, sweep: Sequence[str], out: str) -> Plan:
        if bool(self.address) == bool(self.head) or (self.workers and self.address):
            raise ValueError(
                f"address: given {self.address!r} and --head {self.head!r}; accepted "
                "is one of the two, and --workers with --head."
            )
        address = self.address or f"{self.head}:{self.port}"
        line = sweep_line(sweep, "--ray", address)
        status = ("ray", "status", f"--address={address}")
        run, machines = "Run the sweep; the same command resumes it.", "The machines."
        if self.address:
            later = [Command(machines, status)]
            return Plan({}, [Command(run, line)], later, ["dynax"])
        tpus = self.tpus and f'{{"TPU": {self.tpus}}}'
        has = {"num-cpus": self.cpus, "num-gpus": self.gpus, "resources": tpus}
        here = {"node-ip-address": self.head, "port": self.port, **has}
        start = (*AUTH, "ray", "start")
        join = (*start, f"--address={address}", *given(has))
        token, hosts = f"{out}/ray-token.sh", self.workers
        return Plan(
            {token: fill(TOKEN, hosts=shlex.join(hosts))},
            [
                Command("A token, known to its machines only.", ("bash", token)),
                Command("Begin here.", (*start, "--head", *given(here))),
                *(Command(f"{h} joins.", self._far(h, *join)) for h in hosts),
                Command(run, (*AUTH, *line)),
                *(Command(f"{h} leaves.", self._far(h, "ray", "stop")) for h in hosts),
                Command("End it.", ("ray", "stop")),
            ],
            [Command(machines, (*AUTH, *status))],
            ["dynax", "ray", *(["ssh"] if hosts else [])],
        )

    def _far(self, host: str, *argv: str) -> tuple[str, ...]:
        first = f"{self.setup} && " if self.setup else ""
        return ("ssh", "-n", host, first + shlex.join(argv))
