"""What is known of a system: its exponents, measured by one method for all of them."""

import functools
import importlib.resources
import inspect
import json
import math
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from dynax._display import with_error
from dynax._types import ScalarLike
from dynax.dynamics import kaplan_yorke, rk4, spectrum
from dynax.zoo._base import Flow, System


STEPS = 800_000  # over 16 starts, of 100 periods each
EVERY = 10  # steps between two renormalisations
MOST = 10  # coordinates of the largest system; shorter spectra end in NaN
APART = 1e-6  # how far starts are moved where moving changes the energy
ERRORS = 4  # how many standard errors two numbers may lie apart


class Annotation(NamedTuple):
    """The exponents of a system, their errors, and how they were found.

    Attributes:
        value, error: the exponents in falling order, and their standard errors.
        dimension: the Kaplan–Yorke dimension.
        status: "chaotic"; "not chaotic from this start"; "undecided": the runs are too
            short for so small an exponent; "not converged": steps twice as long give
            other exponents; or "not finite".
        parting, parting_error: the growth of a separation of finite size.
        h, time: the length of a step, and of all runs together.
        coarse, coarse_error: the exponents with steps twice as long; None for a map.
        published: the exponents that dysts 0.96 states, or None.
    """

    value: Float[np.ndarray, " n"]
    error: Float[np.ndarray, " n"]
    dimension: float
    status: str
    parting: float
    parting_error: float
    h: float
    time: float
    coarse: Float[np.ndarray, " n"] | None = None
    coarse_error: Float[np.ndarray, " n"] | None = None
    published: Float[np.ndarray, " n"] | None = None

    def __str__(self) -> str:
        exponents = " ".join(map(with_error, self.value, self.error))
        return f"λ = {exponents}; D_KY {self.dimension:.3f}; {self.status}"

    __repr__ = __str__

    @property
    def least(self) -> float:
        """The smallest |λ| that shows in runs of this length, ln(blocks)/T.

        Tangents along a neutral direction may grow like the number of blocks.
        """
        blocks = self.time / self.h / EVERY / 16
        return math.log(blocks) / (blocks * EVERY * self.h)

    def agrees(self, value: Any, error: Any = 0.0) -> bool:
        """Say whether other exponents are the same within four errors.

        Two exponents that are smaller than `least` count as equal.
        """
        near = np.abs(self.value - value) <= ERRORS * np.hypot(self.error, error)
        small = (np.abs(self.value) < self.least) & (np.abs(value) < self.least)
        return bool(np.all(near | small))


def annotate(
    system: System | type[System],
    h: ScalarLike = 1.0,
    *,
    key: PRNGKeyArray,
    steps: int = STEPS,
) -> dict[str, Array]:
    """Compute the exponents of a system of the zoo, with their errors.

    Steps are of the classical fourth-order method, `resolution` in a period. A sweep
    over `zoo.ALL` makes a table.

    Args:
        system: a system, or its class.
        h: the length of a step in units of period/resolution; maps have none.
        key: of the first tangents and of the starts.
        steps: those that count, over 16 starts; each takes a fourth more before.

    Returns:
        value, error: the exponents and their standard errors, NaN behind the last.
        parting, parting_error: the growth λ(δ) of a separation of finite size.
        h, time: the length of a step, and of all runs together.
        failed: the first block with a number that was not finite, or −1.
    """
    made: Any = system() if inspect.isclass(system) else system
    y = jnp.asarray(made.start, float)
    h, separation = jnp.asarray(h, y.dtype), None
    if isinstance(made, Flow):
        h = h * made.period / made.resolution
        # phases of a drive grow with time; they do not tell how large a state is
        field = jax.jit(lambda t, u, args=None: made.field(t, u))  # traced once
        rows = jnp.any(jax.jacfwd(lambda u: field(0.0, u))(y) != 0, axis=1)
        size = jnp.sqrt(jnp.sum(jnp.where(rows, y, 0) ** 2))
        separation = jnp.finfo(y.dtype).eps ** 0.5 * jnp.where(size > 0, size, 1)
        step = rk4(field, h, driven=made.driven)
        y = (jnp.zeros((), int), y) if made.driven else y
    else:
        step = made.step
    s = spectrum(
        step,
        y,
        key,
        steps=steps,
        every=EVERY,
        discard=steps // 64,
        spread=APART if made.pairs else 0.01,
        separation=separation,
    )
    pad = lambda a: jnp.pad(a, (0, MOST - a.size), constant_values=jnp.nan)
    return {
        "value": pad(s.value),
        "error": pad(s.error),
        "parting": jnp.mean(s.parting),
        "parting_error": jnp.std(s.parting, ddof=1) / s.parting.size**0.5,
        "h": h,
        "time": h * steps,
        "failed": s.failed,
    }


def judged(found: Mapping[str, Any], coarse: Mapping[str, Any] | None) -> Annotation:
    """Return what `annotate` found, with steps and with steps twice as long, judged."""
    whole = np.isfinite(found["error"])
    whole[0] = True  # also where nothing is finite
    cut = lambda run, name: np.asarray(run[name], float)[whole]
    value, error = cut(found, "value"), cut(found, "error")
    small = np.abs(value) <= ERRORS * error
    dimension = kaplan_yorke(jnp.asarray(np.where(small, 0, value)))
    out = Annotation(
        value=value,
        error=error,
        dimension=float(dimension),
        status="chaotic",
        parting=float(found["parting"]),
        parting_error=float(found["parting_error"]),
        h=float(found["h"]),
        time=float(found["time"]),
    )
    if coarse is not None:
        coarse_value, coarse_error = cut(coarse, "value"), cut(coarse, "error")
        out = out._replace(coarse=coarse_value, coarse_error=coarse_error)
    if int(found["failed"]) >= 0:
        return out._replace(status="not finite", dimension=math.nan)
    if coarse is not None and not out.agrees(out.coarse, out.coarse_error):
        return out._replace(status="not converged")
    if value[0] <= ERRORS * error[0]:
        return out._replace(status="not chaotic from this start")
    if value[0] >= out.least:
        return out
    # along a neutral direction λ falls as 1/T, and the coarse runs last twice as long
    falls = out.coarse is not None and out.coarse[0] < 0.7 * value[0]
    return out._replace(status="not chaotic from this start" if falls else "undecided")


@functools.cache
def annotations() -> dict[str, Annotation]:
    """Return what is known of each system that was measured, by the name of its class.

    The table comes with the package; `experiments/dynamics/zoo_annotations.py` makes
    it.
    """
    return read(importlib.resources.files("dynax.zoo").joinpath("annotations.json"))


def read(path: Traversable) -> dict[str, Annotation]:
    """Read a table that `as_json` wrote."""

    def plain(field, v) -> Any:
        if v is None and Annotation.__annotations__[field] in (float, "float"):
            return math.nan  # which JSON has not
        return np.array(v, float) if isinstance(v, list) else v

    return {
        name: Annotation(**{k: plain(k, v) for k, v in row.items()})
        for name, row in json.loads(path.read_text(encoding="utf-8")).items()
    }


def as_json(table: Mapping[str, Annotation]) -> str:
    """Return a table as text, one system a line, numbers to seven digits."""
    short = lambda v: None if not math.isfinite(v) else float(f"{v:.7g}")

    def plain(v):
        if isinstance(v, np.ndarray):
            return [short(x) for x in v]
        return short(v) if isinstance(v, float) else v

    rows = (
        f'"{name}": {json.dumps({k: plain(v) for k, v in row._asdict().items()})}'
        for name, row in sorted(table.items())
    )
    return "{\n" + ",\n".join(rows) + "\n}\n"
