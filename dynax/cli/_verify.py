"""`dynax verify`: one system, its verdicts, an exit code."""

import dataclasses
import json
import pathlib
import time
from typing import Annotated, Literal

import jax
import tyro
from rich.console import Console
from rich.text import Text
from tyro.conf import Positional

import dynax
from dynax.cli import _certify, _targets
from dynax.cli._files import (
    UsageError,
    describe,
    destination,
    first_line,
    to_json,
    write,
)
from dynax.sweep.provenance import provenance


CODES = {"holds": 0, "violated": 1, "undecided": 3, "no certificate": 3}
COLORS = {"holds": "bold green", "violated": "bold red"}
KAPPA = (
    "Potential of lion-kappa: l1, lp:1.5, linf, group-l2, top-k:3, sparse-l1:0.01, "
    "huber:0.3, soft-abs:0.1, log-cosh:10, log-sum-exp:0.1, half-squared, "
    "half-squared-lp:1.5, quartic, four-thirds, relativistic, nuclear, spectral, "
    "ky-fan:2, orthogonally-invariant:huber:0.3, support:FILE.py:NAME (an oracle)."
)
OF_LION = "kappa", "beta1", "beta2", "weight_decay", "decay"
OF_BUILT_IN = "learning_rate", "problem", "dimension", "start_scale"
Arg = tyro.conf.arg


@dataclasses.dataclass(frozen=True)
class Verify:
    """Audit a system."""

    target: Positional[Annotated[str, Arg(metavar="TARGET")]]
    """lion-kappa, another method (as adam:0.99,0.9), or FILE.py:NAME of a system."""
    kappa: Annotated[str, Arg(metavar="NAME[:VALUE]", help=KAPPA)] = "l1"
    beta1: float = 0.9
    """β₁ of lion-kappa, in [0, 1)."""
    beta2: float = 0.99
    """β₂ of lion-kappa, in [0, 1). The certificate needs β₁ <= β₂."""
    weight_decay: float = 1.0
    """λ >= 0 of lion-kappa. The constraint set is that of κ divided by λ."""
    decay: Literal["explicit", "implicit"] = "explicit"
    """Evaluate the decay of lion-kappa before (explicit) or after the step."""
    learning_rate: float = 1e-2
    """Learning rate ε, or time step h, of a built-in method."""
    problem: Literal["nonconvex", "quadratic"] = "nonconvex"
    """Random loss of a built-in method. Rates are checked if it is quadratic."""
    dimension: Annotated[
        tuple[int, ...], Arg(metavar="N [N ...]", help_behavior_hint="")
    ] = ()
    """Shape of a built-in method's parameters (default: 20, or 5 4 for matrices)."""
    start_scale: float = 0.9
    """Start of a built-in method in its constraint set: 0 is the centre, 1 the edge."""
    steps: int = 1000
    """Number of steps of the map. It is ignored if the system brings batches."""
    seed: int = 0
    """Seed of the problem, the start and the random states."""
    precision: Literal[64, 32] = 64
    """Number of bits of the floating-point numbers."""
    box: Annotated[str, Arg(metavar="LOW,HIGH;…")] = ""
    """Certify the flow on a box instead: the ends of each state, x first, at most 4."""
    class_: Annotated[str, Arg(name="class", metavar="mu=NUMBER,L=NUMBER")] = ""
    """Certify the method for every mu-strongly convex, L-smooth loss instead."""
    sequential: bool = False
    """Certify that a script's system with `batches` decreases in expectation."""
    json: Annotated[pathlib.Path | None, Arg(metavar="PATH", help_behavior_hint="")] = (
        None
    )
    """A new file for the verdicts (default: runs/verify-<target>-<time>.json)."""

    def main(self) -> int:
        asked = [k for k, given in self._certificates.items() if given]
        if len(asked) > 1:
            raise UsageError(
                f"--{asked[1]}: given with --{asked[0]}; accepted is one of the two."
            )
        if self.steps < 1:
            raise UsageError(f"--steps: given {self.steps}; accepted is >= 1.")
        name = self.target.partition(":")[0]
        name = name if self._built_in else self.target.rpartition(":")[2]
        path = destination(self.json, f"runs/verify-{name}-{{}}.json", "--json")
        with jax.enable_x64(self.precision == 64):
            return self._run(path)

    @property
    def _certificates(self) -> dict:
        """What was asked for in the place of a run."""
        return {"box": self.box, "class": self.class_, "sequential": self.sequential}

    @property
    def _built_in(self) -> bool:
        return ".py" not in self.target.partition(":")[0]

    def _run(self, path: pathlib.Path) -> int:
        quiet, out = Console(stderr=True), Console(highlight=False, soft_wrap=True)
        begun = time.monotonic()
        with quiet.status(f"{self.target}: compiling and running"):
            system = self._system()
            verdicts, status, summary = self._judged(system)
        for verdict in verdicts.values():
            lines = str(verdict).split("\n", 1)
            head = Text(lines[0])
            head.stylize(
                COLORS.get(verdict.status, "bold yellow"), 0, len(verdict.status)
            )
            out.print(head, Text("\n" + lines[1] if lines[1:] else ""), sep="")
        text = to_json(
            {
                "target": self.target,
                "status": status,
                "summary": summary,
                "exit_code": CODES[status],
                "seconds": round(time.monotonic() - begun, 3),
                "options": dataclasses.asdict(self),
                "verdicts": {k: json.loads(v.to_json()) for k, v in verdicts.items()},
                **provenance(pathlib.Path()),
            }
        )
        style = COLORS.get(status, "bold yellow")
        out.print(Text(f"\n{summary}", style))
        rated = dynax.AbstractRatedFlow | dynax.AbstractRatedMap
        run = not any(self._certificates.values())
        if run and system.minimum is None and isinstance(system.optimizer, rated):
            out.print(
                "A rate is proved for it, to a minimum: give the System its `minimum`"
                + (", or --problem quadratic." if self._built_in else ".")
            )
        out.print(Text(f"written to {write(path, text)}"))
        return CODES[status]

    def _judged(self, system) -> tuple[dict[str, dynax.Verdict], str, str]:
        """Verdicts by name, the status they come to, and a line that says so."""
        judges = {
            "box": lambda: _certify.on_box(system, self.box),
            "class": lambda: _certify.over_class(system, self.class_),
            "sequential": lambda: _certify.sequential(system),
        }
        for kind, given in self._certificates.items():
            if not given:
                continue
            found = judges[kind]()
            return {kind: found}, found.status, f"{found.status} (evidence: {kind})"
        try:
            result = dynax.verify(system, steps=self.steps, seed=self.seed)
        except (TypeError, ValueError) as error:
            raise UsageError(self._refusal(error)) from None
        return result.verdicts, result.status, result.summary

    def _system(self) -> dynax.System:
        if self.target == "lion-kappa":
            make = _targets.lion_kappa
        elif self._built_in:
            self._refuse(OF_LION, "the target lion-kappa (write NAME:VALUE,…)")
            make = lambda options: _targets.make_optimizer(options.target)
        else:
            why = "a built-in target (a script sets its own)"
            self._refuse(OF_LION + OF_BUILT_IN, why)
            return _targets.from_script(self.target)
        try:
            return _targets.built_in(self, make(self))
        except (TypeError, ValueError) as error:
            raise UsageError(_flag(first_line(error))) from None

    def _refuse(self, names: tuple[str, ...], accepted: str):
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            if field.name in names and given != field.default:
                flag = "--" + field.name.replace("_", "-")
                raise UsageError(
                    f"{flag}: given {given} with {self.target}; accepted only with "
                    f"{accepted}."
                )

    def _refusal(self, error: Exception) -> str:
        if self._built_in:
            return _flag(first_line(error))
        file = pathlib.Path(self.target.rpartition(":")[0]).absolute()
        return f"target: auditing {self.target} raised {describe(error, file)}"


def _flag(message: str) -> str:
    """`weight_decay: given …` → `--weight-decay: given …`."""
    name, colon, rest = message.partition(":")
    if name in {f.name for f in dataclasses.fields(Verify)}:
        return f"--{name.replace('_', '-')}{colon}{rest}"
    return message
