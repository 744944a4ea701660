"""What all benchmarks say of the machine, and how they write down what they found."""

import json
import os
import pathlib
import platform
import time
from collections.abc import Callable
from typing import Any

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


def clock(run: Callable[[Any], Any], given: Any) -> float:
    """CPU seconds of this process for run(given)."""
    begun = time.process_time()
    jax.block_until_ready(run(given))
    return time.process_time() - begun


def write(path: str | None, result: dict[str, Any]) -> None:
    """All numbers as JSON, where a file was asked for."""
    if path:
        pathlib.Path(path).write_text(json.dumps(result, indent=2) + "\n")
        print(f"  wrote {path}")
