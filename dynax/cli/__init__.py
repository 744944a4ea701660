"""The `dynax` command."""

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from dynax.cli._files import STOPPED, UsageError, nearest, wrapped
from dynax.cli._launch import LAUNCH, Launch, launch, split
from dynax.sweep import StoreError
from dynax.sweep.provenance import version


INTRO = """Optimizers and physics as dynamical systems: check that energies fall the way
theory says.

  dynax verify lion-kappa                    audit a built-in system
  dynax verify lion-kappa --kappa huber:0.3  … with another potential
  dynax verify adam:0.99,0.95                … another method
  dynax verify my_script.py:my_system        audit your own optimizer and loss
  dynax claims                               run the claims of all experiments
  dynax report                               … and write one HTML file about them
  dynax sweep my_script.py --seeds 8         run a function at many points
  dynax launch slurm --array 8 -- …          run a sweep on a cluster, TPUs or GPUs
  dynax spectrum my_script.py:step           Lyapunov exponents of anything that steps
  dynax zoo lorenz                           what is known of a chaotic system

Exit codes: 0 holds, 1 violated, 2 bad usage, 3 undecided or no certificate."""

VERIFY = """Audit a system as a map and as a flow, print the verdicts, write JSON.

  dynax verify lion-kappa
  dynax verify lion-kappa --kappa huber:0.3 --weight-decay 2 --steps 5000
  dynax verify lion-kappa --kappa nuclear --dimension 8 5 --decay implicit
  dynax verify adam:beta1=0.99,beta2=0.95
  dynax verify nesterov-sc --problem quadratic --learning-rate 0.7
  dynax verify cautious-decay:opt=adam,weight_decay=0.5
  dynax verify path/to/my_script.py:my_system --json verdict.json

my_system is a dynax.System, or a function without arguments that returns one:

  my_system = dynax.System(my_optimizer, my_loss, my_start, learning_rate=1e-2)

Exit codes: 0 holds, 1 violated, 2 bad usage, 3 undecided or no certificate."""

CLAIMS = """Run the claims of all experiments, print the table, write JSON.

  dynax claims                      quick form of every claim
  dynax claims --only 2 6a          these claims (2 means 2, 2a, 2b …)
  dynax claims --only lion          the claims of one family, or file
  dynax claims --long --record      CPU-hour form, added to experiments/record.json

Exit codes: 0 all claims hold and all controls are rejected, 1 not so, 2 bad usage."""

REPORT = """Run all experiments in their quick form and write one HTML file about them.

  dynax report
  dynax report --only balance adam --out today.html

The last line of the output names the file. Exit codes are those of dynax claims."""

SWEEP = """Run a function of a script at every point of a space, and keep its results.

  dynax sweep experiments/lion/digits.py --axis learning_rate=log:1e-4:1e-1:9 \\
      --axis weight_decay=0,0.1,1 --seeds 8 --store runs/a
  dynax sweep FILE.py --axis learning_rate=log:1e-4:1e-1 --sample halton:64
  dynax sweep FILE.py --axis learning_rate=log:1e-4:1e-1 --search 64 --objective loss
  dynax sweep FILE.py --dry-run       how many points, and how many compilations
  dynax sweep status STORE            how far it is, from anywhere, while it runs
  dynax sweep resume STORE            go on with what is missing
  dynax sweep FILE.py --seeds 16 --store runs/a --extend     add points to a store
  dynax sweep show STORE              one HTML file: figures, best settings, failures
  dynax sweep export STORE TO.nc      … or TO.zarr: one file with named axes

FILE.py defines run(**point) → dict of arrays. It may define SPACE (name → values),
DIMS (output → names of its axes) and UNITS (name → unit). Values along an axis are
log:LOW:HIGH:COUNT, linear:LOW:HIGH:COUNT, range:STOP, a list, or static:A,B for what
shapes the program. Without COUNT, log: and linear:, and int:LOW:HIGH, are ranges to be
sampled or searched.

Exit codes: 0 all points have results (of one worker of several: its share is done),
1 some failed, 2 bad usage or a run that cannot be compiled, 3 some points are missing,
130 stopped."""

SPECTRUM = """Compute the Lyapunov exponents of a map or a flow, check them, write JSON.

  dynax spectrum lorenz                          a system of the zoo
  dynax spectrum my_script.py:step               a map y ↦ step(y)
  dynax spectrum my_script.py:field --h 0.01     a flow ẏ = field(t, y, args), by RK4
  dynax spectrum my_script.py:step --start y0 --count 2 --steps 64000

The script also defines a start, any pytree of arrays, by default named `start`.
In 0.902(6) the error of the last digit is in brackets; it is from independent starts.
What must be true is checked: the sum is the mean divergence of the field, one exponent
of a flow vanishes, a separation of finite size grows as infinitesimal ones do.

Exit codes: 0 all checks hold, 1 one is violated, 2 bad usage, 3 one is undecided."""

ZOO = """Print what is known of a chaotic system, or list all of them.

  dynax zoo                   151 systems: dimension, largest exponent, status
  dynax zoo lorenz            equations, parameters, start, exponents with errors
  dynax zoo lorenz --json     the same for a program

In Python: `from dynax import zoo; zoo.Lorenz().field`."""

HELP = {
    "verify": VERIFY,
    "claims": CLAIMS,
    "report": REPORT,
    "sweep": SWEEP,
    "launch": LAUNCH,
    "spectrum": SPECTRUM,
    "zoo": ZOO,
}


# Before jaxlib 0.11.2 a batched LAPACK call on a CPU holds a thread of XLA's pool and
# waits for others of it: as many calls as threads, by default one a core, wait forever.
THREADS = max(32, 4 * (os.cpu_count() or 1))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process); its exit code."""
    os.environ.setdefault("PJRT_NPROC", str(THREADS))
    code = _main(sys.argv[1:] if argv is None else list(argv))
    if code == STOPPED and argv is None:
        sys.stdout.flush()
        os._exit(code)  # not waiting for threads that still compute
    return code


def _main(argv: list[str]) -> int:
    if argv in (["--version"], ["version"]):
        print(f"dynax {version('dynax-lab')}, jax {version('jax')}")
        return 0
    try:
        argv = argv or ["--help"]
        argv, sweep = split(argv)
        command = _parse(_bare_ray(argv) if argv[:1] == ["sweep"] else argv)
        if isinstance(command, Launch):
            command = dataclasses.replace(command, sweep=sweep)
        return command if isinstance(command, int) else command.main()
    except (UsageError, StoreError) as error:
        print(f"dynax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dynax: stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # as of `dynax claims --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parse(argv: list[str]):
    """The command, or the exit code where there is nothing to do (`--help`)."""
    heard = io.StringIO()
    shown = io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding or "utf-8")
    try:
        with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(shown):
            command, unknown = tyro.cli(
                _commands(argv),
                prog="dynax",
                description=INTRO,
                args=argv,
                return_unknown_args=True,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            shown.seek(0)
            print(_readable(shown.read()))
            return 0
        raise UsageError(_sentence(heard.getvalue(), argv)) from None
    if unknown:
        two = argv[0] == "launch" or (argv[0] == "sweep" and argv[1] in _verbs())
        verb = " ".join(argv[: 2 if two else 1])
        accepted = _accepted(command)
        raise UsageError(
            f"{unknown[0]}: not an argument of `dynax {verb}`; "
            f"{nearest(unknown[0], accepted)}accepted are {', '.join(accepted)}."
        )
    return command


def _verbs() -> Any:
    from dynax.cli._stores import VERBS

    return VERBS


def _bare_ray(argv: list[str]) -> list[str]:
    from dynax.cli._stores import bare_ray

    return bare_ray(argv)


def _accepted(command) -> list[str]:
    """The arguments of a command, those of a command within it first."""
    found = []
    for field in dataclasses.fields(command):
        if dataclasses.is_dataclass(getattr(command, field.name)):
            found += _accepted(getattr(command, field.name))
        elif field.name == "sweep":
            found.append("what follows -- is the sweep")
        elif field.name not in ("target", "file", "to", "system"):
            found.append("--" + field.name.replace("_", "-"))
    return found


def _readable(help: str) -> str:
    """Its paragraphs in lines that fit, as tyro leaves them in one."""
    lines = re.sub(r"\n{3,}", "\n\n", help.rstrip()).splitlines()
    prose = lambda line: line[:1].isalnum() and not line.startswith("usage:")
    return "\n".join(wrapped(line) if prose(line) else line for line in lines)


def _commands(argv: list[str]) -> Any:
    """The union of the commands; only the one asked about teaches with examples."""

    def named(kind, name) -> Any:
        text = HELP[name] if name in argv[:1] else HELP[name].partition("\n")[0]
        return Annotated[kind, tyro.conf.subcommand(name, description=text)]

    return (
        named(_asked(argv, "verify"), "verify")
        | named(_asked(argv, "claims"), "claims")
        | named(_asked(argv, "report"), "report")
        | named(_asked(argv, "sweep"), "sweep")
        | named(launch(argv), "launch")
        | named(_asked(argv, "spectrum"), "spectrum")
        | named(_asked(argv, "zoo"), "zoo")
    )


@dataclasses.dataclass(frozen=True)
class _Other:
    """A command that was not asked for."""

    def main(self) -> int:
        raise AssertionError


def _asked(argv: list[str], name: str) -> Any:
    """The type of a command, imported only where it is the one asked for."""
    if name not in argv[:1]:
        return _Other
    if name == "sweep":
        from dynax.cli._stores import sweep_command

        return sweep_command(argv)
    if name == "verify":
        from dynax.cli._verify import Verify

        return Verify
    if name in ("spectrum", "zoo"):
        from dynax.cli import _dynamics

        return _dynamics.Spectrum if name == "spectrum" else _dynamics.Zoo
    from dynax.cli import _claims

    return _claims.Claims if name == "claims" else _claims.Report


def _sentence(box: str, argv: list[str]) -> str:
    """What tyro says in a box, in one sentence."""
    if not argv or argv[0] not in HELP:
        close = nearest(argv[0], HELP)
        return f"command: given {argv[0]!r}; {close}accepted are {', '.join(HELP)}."
    parts: list[list[str]] = [[]]  # title, message, and what else there is
    for line in box.splitlines():
        inner = line.strip(" │")
        if inner and (inner[0] in "╭╰" or not inner.strip("─-")):
            parts.append([])
        elif inner:
            parts[-1].append(inner)
    said = [" ".join(p) for p in parts[1:]]
    help = f"see `dynax {argv[0]} --help`"
    if found := re.match(r"Error parsing (\S+): .*?('[^']*')$", said[0]):
        kind = re.search(rf"{found[1]} (\S+)", " ".join(said[1:]))
        accepted = f"accepted is {kind[1]}" if kind else help
        return f"{found[1]}: given {found[2]}; {accepted}."
    if found := re.match(r"invalid choice (.*) for argument '(.*)'\. (.*)", said[0]):
        accepted = (
            found[3].replace("Expected one of", "accepted is one of").rstrip(" .")
        )
        return f"{found[2]}: given {found[1]}; {accepted}."
    if found := re.search(r"Expected one of {(.*)}", said[0]):
        given = f"given {argv[1]!r}" if argv[1:] else "none given"
        return f"{argv[0]}: {given}; accepted are {found[1]}."
    if "TARGET" in said[0] and argv[0] == "spectrum":
        return "TARGET: none given; accepted is a system of the zoo, or FILE.py:NAME."
    if "TARGET" in said[0]:
        return "TARGET: none given; accepted is lion-kappa, adam …, or FILE.py:NAME."
    if found := re.match(r"Missing from dynax ([a-z ]+):(.*)", said[0]):
        missing = re.findall(r"(--\S+) [^a-z\s]+", found[2])
        missing = missing or found[2].split()[:1]
        return f"{', '.join(missing)}: none given; see `dynax {found[1]} --help`."
    what = re.sub(r"Could not find valid parse for arguments:", "given", said[0])
    return f"{what.removeprefix('Error parsing ').rstrip('.')}; {help}."
