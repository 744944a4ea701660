"""`dynax spectrum` and `dynax zoo`: exponents of a script's step, cards of systems."""

import dataclasses
import inspect
import pathlib
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.text import Text
from tyro.conf import Positional

from dynax import dynamics, zoo
from dynax.cli import _targets
from dynax.cli._files import (
    UsageError,
    describe,
    destination,
    first_line,
    nearest,
    to_json,
    write,
)
from dynax.cli._verify import COLORS
from dynax.sweep.provenance import provenance


Arg = tyro.conf.arg
Given = lambda kind: Arg(metavar=kind, help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Compute exponents."""

    target: Positional[Annotated[str, Arg(metavar="TARGET")]]
    """A system of the zoo (see `dynax zoo`), or FILE.py:NAME of a function."""
    start: str = "start"
    """Name of the start in the file."""
    h: Annotated[float | None, Given("FLOAT")] = None
    """Step length: NAME is then a field (t, y, args) → ẏ (default: NAME is a map)."""
    steps: int = 160_000
    """Number of steps that count, over all starts."""
    count: Annotated[int | None, Given("INT")] = None
    """Number of exponents (default: all)."""
    every: int = 10
    """Steps between two renormalisations of the tangents."""
    starts: int = 16
    """Number of independent starts. The errors come from them."""
    discard: Annotated[int | None, Given("INT")] = None
    """Steps of each start before those that count (default: as many as count)."""
    time: Annotated[float | None, Given("FLOAT")] = None
    """What one step of a map lasts (default: 1)."""
    seed: int = 0
    """Seed of the first tangents and of the starts."""
    precision: Literal[64, 32] = 64
    """Number of bits of the floating-point numbers."""
    json: Annotated[pathlib.Path | None, Given("PATH")] = None
    """A new file for the result (default: runs/spectrum-<target>-<time>.json)."""

    def main(self) -> int:
        name = self.target.rpartition(":")[2]
        path = destination(self.json, f"runs/spectrum-{name}-{{}}.json", "--json")
        with jax.enable_x64(self.precision == 64):
            return self._run(path)

    def _run(self, path: pathlib.Path) -> int:
        out = Console(highlight=False, soft_wrap=True)
        with Console(stderr=True).status(f"{self.target}: compiling and running"):
            step, start, known = self._system()
            s = self._computed(step, start)
            verdicts = s.verdicts(**known)
        out.print(Text(str(s)))
        for verdict in verdicts.values():
            head = Text(str(verdict).split("\n")[0])
            style = COLORS.get(verdict.status, "bold yellow")
            head.stylize(style, 0, len(verdict.status))
            out.print(head)
        said = {verdict.status for verdict in verdicts.values()}
        finite = int(s.failed) < 0
        code = (
            1 if "violated" in said or not finite else 3 if "undecided" in said else 0
        )
        numbers = ("value", "error", "each", "parting", "separation", "divergence")
        found = {
            "target": self.target,
            "exit_code": code,
            "status": s.status,
            "dimension": s.dimension,
            **{k: getattr(s, k) for k in (*numbers, "duration", "failed")},
            "verdicts": {k: v.status for k, v in verdicts.items()},
            "remarks": s.remarks(),
            "options": dataclasses.asdict(self),
            **provenance(pathlib.Path()),
        }
        out.print(Text(f"written to {write(path, to_json(found))}"))
        return code

    def _computed(self, step, start) -> dynamics.Spectrum:
        asked = ("steps", "count", "every", "starts", "discard", "time")
        given = {k: getattr(self, k) for k in asked}
        try:
            return dynamics.spectrum(step, start, jax.random.key(self.seed), **given)
        except Exception as error:
            name, colon, rest = first_line(error).partition(":")
            if isinstance(error, ValueError) and name in asked:
                raise UsageError(f"--{name}{colon}{rest}") from None
            file = pathlib.Path(self.target.rpartition(":")[0]).absolute()
            raise UsageError(
                f"target: {self.target} raised {describe(error, file)}; accepted is a "
                "step y ↦ y₊, or a field (t, y, args) with --h."
            ) from None

    def _system(self) -> tuple[Any, Any, dict[str, Any]]:
        """The step, the start, and what must be true of the exponents."""
        if ".py" not in self.target:
            return self._of_zoo(named(self.target, "target", ", or FILE.py:NAME")())
        module, file, name = _targets.loaded("target", self.target)
        for argument, wanted in (("target", name), ("--start", self.start)):
            if wanted not in module:
                own = [k for k in module if k[0] != "_"]
                close = nearest(wanted, own)
                accepted = "accepted is a name that the file defines"
                raise UsageError(
                    f"{argument}: {file} has no {wanted!r}; {close}{accepted}."
                )
        step, start = module[name], module[self.start]
        if not callable(step):
            kind = type(step).__name__
            raise UsageError(
                f"target: {name} of {file} is a {kind}; accepted is a function."
            )
        if self.h is None:
            return step, start, {}
        return self._flow(step, self.h), start, {}

    def _of_zoo(self, system) -> tuple[Any, Any, dict[str, Any]]:
        if isinstance(system, zoo.Map):
            return system.step, system.start, {"zeros": 0, "pairs": system.pairs}
        h = system.period / system.resolution if self.h is None else self.h
        start = (np.zeros((), int), system.start) if system.driven else system.start
        known = {"zeros": system.zeros, "pairs": system.pairs}
        return self._flow(system.field, h, driven=system.driven), start, known

    def _flow(self, field, h: float, *, driven: bool = False):
        try:
            return dynamics.rk4(field, h, driven=driven)
        except ValueError as error:
            raise UsageError(f"--{first_line(error)}") from None


@dataclasses.dataclass(frozen=True)
class Zoo:
    """Print what is known of a system."""

    system: Positional[Annotated[str, Arg(metavar="SYSTEM")]] = ""
    """Its name, in small or capital letters (default: list all systems)."""
    json: bool = False
    """Print JSON instead."""

    def main(self) -> int:
        kind: Any = named(self.system, "system") if self.system else None
        known = zoo.annotations()
        if not self.system:
            if self.json:
                print(to_json({k: v._asdict() for k, v in known.items()}), end="")
                return 0
            print(f"{'system':24} {'n':>2} {'λ₁':>10} {'D_KY':>6}  status")
            for c in zoo.ALL:
                row = known[c.__name__]
                numbers = f"{row.value[0]:10.4g} {row.dimension:6.3f}"
                print(f"{c.__name__:24} {c.start.size:2} {numbers}  {row.status}")
            return 0
        row = known[kind.__name__]
        parameters = {f.name: f.default for f in dataclasses.fields(kind)}
        if self.json:
            about = inspect.cleandoc(kind.__doc__ or "")
            card = {"name": kind.__name__, "about": about, "parameters": parameters}
            card |= {"start": kind.start, **row._asdict()}
            print(to_json(card), end="")
            return 0
        values = ", ".join(f"{k} = {v}" for k, v in parameters.items())
        start = ", ".join(f"{x:.6g}" for x in kind.start)
        print(f"{kind.__name__}\n\n{inspect.cleandoc(kind.__doc__ or '')}\n")
        print(f"{values or 'no parameters'}\nstart ({start})")
        if issubclass(kind, zoo.Flow):
            print(f"period {kind.period:.4g}")
        if not kind.smooth:
            print("not smooth: derivatives do not see its jumps or kinks")
        print(f"{row}\nover {row.time:.4g} units of time, h = {row.h:.3g}")
        print(f"from dynax import zoo; zoo.{kind.__name__}()")
        return 0


def named(text: str, argument: str, also: str = "") -> type[Any]:
    """The class of the zoo of a name, however it is written."""
    plain = lambda name: name.lower().replace("-", "").replace("_", "")
    names = {plain(c.__name__): c for c in zoo.ALL}
    if plain(text) in names:
        return names[plain(text)]
    if plain(text) in map(plain, zoo.DELAYED):
        raise UsageError(
            f"{argument}: given {text!r}, whose rate depends on an earlier state; "
            "accepted are flows and maps, see `dynax zoo`."
        )
    close = nearest(text, [c.__name__ for c in zoo.ALL] + list(names))
    raise UsageError(
        f"{argument}: given {text!r}; {close}accepted are the {len(zoo.ALL)} names "
        f"that `dynax zoo` lists{also}."
    )
