"""What all benchmarks share: options, the machine, pairs of timings, and their rows."""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from dynax.sweep.provenance import usable_cores


def machine() -> dict[str, Any]:
    cpu = pathlib.Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    models = {line.split(":")[1].strip() for line in lines if "model name" in line}
    return {
        "cpu": ", ".join(sorted(models)) or platform.processor(),
        "cores": len(usable_cores()),
        "load_average": os.getloadavg()[0],
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "optax": optax.__version__,
    }


class Row(NamedTuple):
    """Milliseconds of ours, the median, and of the peer; time(peer)/time(ours) of every
    pair, sorted: over 1 where ours is the faster; and what else is known."""

    ms: float
    peer_ms: float
    speed: list[float]
    facts: dict[str, Any]

    def show(self, label: str) -> None:
        low, high = self.speed[0], self.speed[-1]
        facts = "".join(f"  {k} {v}" for k, v in self.facts.items())
        print(
            f"  {label:<34} {self.ms:8.3f} ms  × {statistics.median(self.speed):6.2f} "
            f"({low:.2f} … {high:.2f}){facts}",
            flush=True,
        )


def compare(
    ours: Callable[[], Any],
    theirs: Callable[[], Any],
    repeats: int,
    *,
    per: int = 1,
    timer: Callable[[], float] = time.process_time,
    facts: dict[str, Any] | None = None,
) -> Row:
    """Time two calls in turn, each first in every other pair; both are warm.

    Args:
        per: of how many steps a call consists.
        timer: CPU seconds of this process by default.
        facts: what the row shall say besides.
    """

    def clock(run):
        begun = timer()
        jax.block_until_ready(run())
        return timer() - begun

    clock(ours)
    clock(theirs)
    pairs = []
    for k in range(repeats):
        if k % 2:
            pairs.append((clock(ours), clock(theirs)))
        else:
            pairs.append((clock(theirs), clock(ours))[::-1])
    middle = lambda which: statistics.median(p[which] for p in pairs) * 1e3 / per
    return Row(middle(0), middle(1), sorted(b / a for a, b in pairs), facts or {})


def built(f: Callable, *given) -> tuple[Any, float, float]:
    """The program, the CPU seconds of its compilation, MiB of its temporaries."""
    begun = time.process_time()
    program: Any = jax.jit(f).lower(*given).compile()
    spent = time.process_time() - begun
    return program, spent, program.memory_analysis().temp_size_in_bytes / 2**20


def options(name: str, doc: str | None, repeats: int) -> argparse.ArgumentParser:
    """The options of all benchmarks; a benchmark adds its own."""
    parser = argparse.ArgumentParser(
        prog=f"bench.py {name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--repeats", type=int, default=repeats, help=f"≥ 5 (default {repeats})"
    )
    parser.add_argument("--json", metavar="FILE", help="write all numbers here too")
    return parser


@contextlib.contextmanager
def session(parser, argv: list[str], *, pinned: bool = False, facts=None):
    """Read the options, say what machine it is, and write what is found.

    Args:
        pinned: to one core.
        facts: of the machine.

    Yields:
        The options, and a dictionary to put results in.
    """
    args = parser.parse_args(argv)
    if getattr(args, "quick", False):
        args.repeats = 5
    if args.repeats < 5:
        parser.error(f"--repeats: given {args.repeats}; accepted is 5 or more.")
    if pinned:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    result = {"machine": machine() | (facts or {}), "repeats": args.repeats}
    print("  " + ", ".join(f"{k} {v}" for k, v in result["machine"].items()))
    yield args, result
    if args.json:
        plain = lambda row: {**row._asdict(), **row.facts}
        found = {k: plain(v) if isinstance(v, Row) else v for k, v in result.items()}
        pathlib.Path(args.json).write_text(json.dumps(found, indent=2) + "\n")
        print(f"  wrote {args.json}")
