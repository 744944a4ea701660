"""A slice of Google Cloud TPUs: created, set up, used by all its hosts, deleted.

https://cloud.google.com/tpu/docs/queued-resources, …/jax-pods and …/runtimes. All hosts
run the same command; `jax.distributed.initialize()` tells each which one it is.
"""

import dataclasses
import pathlib
import re
import shlex
from collections.abc import Sequence

from dynax.sweep.launch._plan import (
    Command,
    Plan,
    fill,
    given,
    shell,
    store_of,
    sweep_line,
)


VERSIONS = {
    "v6e": "v2-alpha-tpuv6e",
    "v5p": "v2-alpha-tpuv5",
    "v5litepod": "v2-alpha-tpuv5-lite",
    **dict.fromkeys(("v4", "v3", "v2"), "tpu-ubuntu2204-base"),
}
STATE = "--format=value(state.state)"
WAIT = """\
#!/bin/bash
# Waits until the slice is there; fails if it will not come.
while state=$(@describe@); do
    echo "$state"
    case "$state" in
        ACTIVE) exit 0 ;;
        FAILED | DELETING | SUSPENDING | SUSPENDED) exit 1 ;;
    esac
    sleep 30
done
exit 1
"""
SETUP = """\
#!/bin/bash
# On every host of the slice: dynax, and the folder that all hosts share.
set -euo pipefail
cd ~
@setup@
# a Python of its own, as that of the image may be too old
python3 -m pip install --quiet --user uv
python3 -m uv venv --allow-existing --python 3.11 dynax-env
python3 -m uv pip install --python dynax-env/bin/python @packages@
if ! mountpoint -q @mount@; then
    sudo mkdir -p @mount@
@attach@
fi
"""
BUCKET = """\
    sudo chown "$(id -u):$(id -g)" @mount@
    command -v gcsfuse >/dev/null || sudo apt-get install -y gcsfuse
    # nothing known of files is kept for later, as the other hosts write there, too
    gcsfuse --implicit-dirs --metadata-cache-ttl-secs=0 @share@ @mount@"""
NFS = """\
    command -v mount.nfs >/dev/null || sudo apt-get install -y nfs-common
    sudo mount -t nfs @share@ @mount@"""
SWEEP = """\
#!/bin/bash
# The same on every host; its share of the chunks follows from its process index.
cd ~ || exit
export PATH=~/dynax-env/bin:$PATH
exec @line@
"""


@dataclasses.dataclass(frozen=True)
class Tpu:
    """A slice of Google Cloud TPUs."""

    name: str
    """Name of the slice."""
    zone: str
    """Zone of the slice, e.g. europe-west4-b."""
    share: str
    """Share that all hosts mount: gs://BUCKET, or HOST:/SHARE of a Filestore."""
    mount: str = "/mnt/dynax"
    """Folder where the hosts mount the share; the store is a folder below it."""
    accelerator_type: str = "v5litepod-16"
    """Kind and size of the slice, e.g. v6e-8, v5p-8 or v4-8."""
    version: str = ""
    """Software of the hosts (default: the one for the accelerator type)."""
    project: str = ""
    """Google Cloud project (default: that of gcloud)."""
    spot: bool = False
    """Use a cheaper slice that may be taken away at any time."""
    copy: str = "experiments"
    """Folder to copy to every host: that of the script."""
    install: tuple[str, ...] = ("dynax-lab[experiments]",)
    """Package to install beside jax[tpu], as pip takes it."""
    setup: str = ""
    """Shell command to run first on every host."""
    keep: bool = False
    """Leave the slice running, and charged for, after the sweep."""

    def plan(self, sweep: Sequence[str], out: str) -> Plan:
        line, inner = sweep_line(sweep, "--distributed"), self._inner(store_of(sweep))
        folder = pathlib.PurePosixPath(self.copy).name
        if pathlib.PurePosixPath(sweep[0]).parts[:1] != (folder,):
            raise ValueError(
                f"copy: given {self.copy}; accepted is the folder with which the path "
                f"of the script begins, here {sweep[0]}, for it to be found there."
            )
        tpus = ("gcloud", "compute", "tpus")
        queue, vm = (*tpus, "queued-resources"), (*tpus, "tpu-vm")
        place = given({"zone": self.zone, "project": self.project})

        def on(workers, command):
            there = f"--worker={workers}", f"--command={command}"
            return (*vm, "ssh", self.name, *place, *there)

        wanted = {
            "node-id": self.name,
            "accelerator-type": self.accelerator_type,
            "runtime-version": self._version(),
        }
        create = (*queue, "create", self.name, *place, *given(wanted))
        describe = (*queue, "describe", self.name, *place)
        delete = (*queue, "delete", self.name, *place, "--force", "--quiet")
        wait, setup, main = (f"{out}/tpu-{k}.sh" for k in ("wait", "setup", "sweep"))
        copied = (setup, main, self.copy, f"{self.name}:")
        if self.share.startswith("gs://"):
            target, source = inner, f"{self.share.rstrip('/')}/{inner}"
            fetch = ("gcloud", "storage", "rsync", source, str(target), "--recursive")
        else:
            target, source = inner.parent, f"{self.name}:{store_of(sweep)}"
            fetch = (*vm, "scp", source, str(target), *place, "--worker=0", "--recurse")
        status = shlex.join(("dynax-env/bin/dynax", "sweep", "status", store_of(sweep)))
        end = Command("Delete the slice.", delete)
        return Plan(
            {
                wait: fill(WAIT, describe=shell((*describe, STATE), 999)),
                setup: self._setup(),
                main: fill(SWEEP, line=shell(line)),
            },
            [
                Command("Ask for the slice.", create + ("--spot",) * self.spot),
                Command("Wait until it is there: minutes to days.", ("bash", wait)),
                Command(
                    "Copy to every host; first: ssh-add ~/.ssh/google_compute_engine",
                    (*vm, "scp", *copied, *place, "--worker=all", "--recurse"),
                ),
                Command("Install on every host.", on("all", "bash tpu-setup.sh")),
                Command(
                    "Run the sweep on every host; the same command resumes it.",
                    on("all", "bash tpu-sweep.sh"),
                ),
                Command("A folder for the results.", ("mkdir", "-p", str(target))),
                Command("Fetch them.", fetch),
                *([] if self.keep else [end]),
            ],
            [Command("How far it is.", on(0, status)), *([end] if self.keep else [])],
            ["gcloud"],
            {"--copy": self.copy},
        )

    def _inner(self, store) -> pathlib.PurePosixPath:
        """The store, as seen from where the share is mounted."""
        path, mount = pathlib.PurePosixPath(store), pathlib.PurePosixPath(self.mount)
        if ".." in path.parts or mount not in path.parents:
            raise ValueError(
                f"--store: given {store}; accepted is a folder below {mount} "
                "(--mount), which all hosts share."
            )
        return path.relative_to(mount)

    def _version(self) -> str:
        kind = self.accelerator_type.partition("-")[0]
        if not self.version and kind not in VERSIONS:
            raise ValueError(
                f"accelerator_type: given {self.accelerator_type}; accepted without "
                f"--version are {', '.join(VERSIONS)}, with a size as in v5litepod-16."
            )
        return self.version or VERSIONS[kind]

    def _setup(self) -> str:
        bucket = self.share.startswith("gs://")
        share = self.share.removeprefix("gs://").rstrip("/") if bucket else self.share
        if not re.fullmatch(r"[^/:]+" if bucket else r"[^/:]+:/[^/].*", share):
            raise ValueError(
                f"share: given {self.share!r}; accepted is gs://BUCKET, or HOST:/SHARE."
            )
        quoted = {"mount": shlex.quote(self.mount), "share": shlex.quote(share)}
        return fill(
            SETUP,
            setup=self.setup,
            packages=shlex.join((*self.install, "jax[tpu]")),
            mount=quoted["mount"],
            attach=fill(BUCKET if bucket else NFS, **quoted),
        )
