"""`dynax launch`: a sweep on a TPU slice, GPU machines, a Slurm or a Ray cluster."""

import dataclasses
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import tyro

from dynax.cli._files import UsageError, write
from dynax.sweep.launch import Gpu, Plan, Ray, Slurm, Tpu, shell


LAUNCH = """Print the commands that run a sweep elsewhere, or run them with --go.

  dynax launch slurm --array 8 -- experiments/lion/digits.py --seeds 8 --store runs/a
  dynax launch gpu -- experiments/lion/digits.py --seeds 8 --store runs/a
  dynax launch tpu --help                    … ray, slurm and gpu: options, examples

What follows -- is the command line of `dynax sweep`. It is passed on unchanged, with
options that divide the work: --worker, --distributed, --ray.

Exit codes: 0 done, 2 bad usage, with --go that of the first command that fails."""

TPU = """Use a slice of Google Cloud TPUs: create, install, run, fetch, delete.

  dynax launch tpu --name lion --zone europe-west4-b --share gs://my-bucket --spot \\
      -- experiments/lion/digits.py --seeds 64 --batch 8 --chunk 16 \\
         --store /mnt/dynax/runs/a

All hosts mount the share at /mnt/dynax, and write their parts to the store there. Give
--batch and --chunk if it is a bucket, see docs/how-to/launch.md."""

GPU = """Use GPU machines: this one, or several by ssh.

  dynax launch gpu --devices 0,1 -- experiments/lion/digits.py --store runs/a
  dynax launch gpu --hosts box1 box2 --folder /shared/lion \\
      -- experiments/lion/digits.py --seeds 64 --store /shared/runs/a

One process uses all GPUs of a machine."""

SLURM = """Use a Slurm cluster: a job array, or one job of several tasks.

  dynax launch slurm --array 8 --gpus 1 --time 04:00:00 --partition gpu \\
      -- experiments/lion/digits.py --seeds 64 --store /shared/runs/a
  dynax launch slurm --nodes 2 --gpus 4 --option qos=high \\
      -- experiments/lion/digits.py --seeds 64 --store /shared/runs/a

Prefer the array: its tasks start as soon as there is room, and if one fails the others
continue."""

RAY = """Use a Ray cluster: an existing one, or a new one of this and other machines.

  dynax launch ray --address 10.0.0.1:6379 -- experiments/lion/digits.py --store runs/a
  dynax launch ray --head 10.0.0.1 --workers box1 box2 \\
      -- experiments/lion/digits.py --seeds 64 --store runs/a

This machine hands out the work and is the only one that writes to the store."""

PLACES = {
    "tpu": (Tpu, TPU),
    "gpu": (Gpu, GPU),
    "slurm": (Slurm, SLURM),
    "ray": (Ray, RAY),
}
Where = TypeVar("Where")


@dataclasses.dataclass(frozen=True)
class Job(Generic[Where]):
    where: Annotated[Where, tyro.conf.arg(name="")]
    go: bool = False
    """Write the files and run the commands (default: only print them)."""
    out: Annotated[pathlib.Path, tyro.conf.arg(metavar="PATH")] = pathlib.Path("launch")
    """Folder for the job files. No file in it is overwritten."""


@dataclasses.dataclass(frozen=True)
class Launch(Generic[Where]):
    """Print what to type to run a sweep elsewhere."""

    job: tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Where]]
    sweep: tyro.conf.Suppress[tuple[str, ...]] = ()

    def main(self) -> int:
        job: Any = self.job
        try:
            plan = job.where.plan(self.sweep, str(job.out))
        except ValueError as error:
            name, colon, rest = str(error).partition(":")
            own = name in {field.name for field in dataclasses.fields(job.where)}
            flag = f"--{name.replace('_', '-')}" if own else name
            raise UsageError(flag + colon + rest) from None
        if job.go:
            return _go(plan)
        print(_printed(plan), end="")
        return 0


def launch(argv: Sequence[str]) -> Any:
    """The type of `Launch`; the place that `argv` asks about teaches with examples."""
    kinds: Any = None
    for name, (place, text) in PLACES.items():
        text = text if name in argv[1:2] else text.partition("\n")[0]
        kind = Annotated[Job[place], tyro.conf.subcommand(name, description=text)]
        kinds = kind if kinds is None else kinds | kind
    return Launch[kinds]


def split(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """What is for `dynax launch`, and what follows --, for `dynax sweep`."""
    if argv[:1] != ["launch"] or "--" not in argv:
        return argv, ()
    end = argv.index("--")
    return argv[:end], tuple(argv[end + 1 :])


def _printed(plan: Plan) -> str:
    """All of it, as a script that can be pasted whole or in pieces."""
    lines = []
    for folder in sorted({str(pathlib.Path(name).parent) for name in plan.files}):
        lines.append(f"mkdir -p {shlex.quote(folder)}")
    for name, text in plan.files.items():
        end = "END"
        while end in text.splitlines():
            end += "_"
        lines += [f"cat >{shlex.quote(name)} <<'{end}'", f"{text}{end}", ""]
    for comment, argv in plan.commands:
        lines += [f"# {comment}", shell(argv), ""]
    if plan.later:
        lines += ["# While it runs, and later:"]
    for comment, argv in plan.later:
        lines += ["#", f"# {comment}"]
        lines += [f"#   {line}" for line in shell(argv, 999).splitlines()]
    return "\n".join(lines).rstrip() + "\n"


def _go(plan: Plan) -> int:
    """Write the files, run the commands; the exit code of the first that fails."""
    needed = [*plan.programs, *(argv[0] for _, argv in plan.commands)]
    missing = [name for name in dict.fromkeys(needed) if shutil.which(name) is None]
    if missing:
        raise UsageError(
            f"--go: {', '.join(missing)} not found on this machine; accepted is one "
            "that has it, or no --go, to print the commands."
        )
    for argument, name in plan.present.items():
        if not pathlib.Path(name).exists():
            raise UsageError(
                f"{argument}: given {name}, which is not there; accepted is a file or "
                "folder that is."
            )
    for name, text in plan.files.items():
        path = pathlib.Path(name)
        if path.exists() and (not path.is_file() or path.read_text("utf-8") != text):
            raise UsageError(
                f"--out: given {path.parent}, in which {path.name} exists and differs; "
                "accepted is a folder without it (nothing is overwritten)."
            )
    for name, text in plan.files.items():
        if not pathlib.Path(name).exists():
            print(f"written to {write(pathlib.Path(name), text)}")
    for k, (comment, argv) in enumerate(plan.commands):
        print(f"\n# {comment}\n{shell(argv)}", flush=True)
        code = 130
        try:
            code = subprocess.run(argv).returncode
            code = code if code >= 0 else 128 - code
        finally:
            if code:
                _left(argv, code, plan.commands[k + 1 :])
        if code:
            return code
    for comment, argv in plan.later:
        print(f"\n# {comment}\n#   {shell(argv, 999)}")
    return 0


def _left(argv, code, rest) -> None:
    """Say what failed and what is therefore not done: a slice may still be there."""
    out = [f"\ndynax: {shell(argv[:5], 999)} … ended with exit code {code}."]
    if rest:
        out.append("Not run:")
    for comment, argv in rest:
        out += [f"  # {comment}", f"  {shell(argv, 999)}"]
    print("\n".join(out), file=sys.stderr)
