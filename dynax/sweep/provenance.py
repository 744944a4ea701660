"""Where, when and with what something was computed."""

import datetime
import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
from typing import Any

import jax


PACKAGES = "jax", "jaxlib", "numpy", "equinox", "optax", "diffrax"
FLAGS = (
    "XLA_FLAGS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "LIBTPU_INIT_ARGS",
    "PJRT_NPROC",
)

# Options of XLA that change no number, by how they begin.
NEUTRAL = (
    "xla_dump",
    "xla_force_host_platform_device_count",
    "xla_gpu_force_compilation_parallelism",
    "xla_hlo_profile",
)
SETTINGS = (
    "jax_debug_infs",
    "jax_debug_nans",
    "jax_default_prng_impl",
    "jax_disable_most_optimizations",
    "jax_exec_time_optimization_effort",
    "jax_optimization_level",
    "jax_threefry_partitionable",
)


def now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()


def provenance(folder) -> dict[str, Any]:
    """Machine, versions, flags, commit of `folder` and date."""
    return {
        "date": now().isoformat(timespec="seconds"),
        "machine": _machine(),
        "host": socket.gethostname(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
            "dynax": version("dynax-lab"),
        },
        "flags": {name: os.environ[name] for name in FLAGS if name in os.environ},
        "commit": _commit(folder),
    }


def numerics(device: Any) -> dict[str, Any]:
    """What the numbers of a programme depend on beside itself, as JSON.

    Versions, the kind of device, and the options of XLA and of jax. What is left out:
    the model of a CPU, and options of XLA that are known to change no number.
    """
    packages = {"jax": jax.__version__, "jaxlib": version("jaxlib")}
    config = {name: getattr(jax.config, name, None) for name in SETTINGS}
    return {
        **packages,
        "dynax": version("dynax-lab"),
        "device": f"{device.platform} {device.device_kind}",
        "XLA_FLAGS": _numeric(os.environ.get("XLA_FLAGS", "")),
        "LIBTPU_INIT_ARGS": os.environ.get("LIBTPU_INIT_ARGS", "").split(),
        "jax.config": {k: v if v is None else str(v) for k, v in config.items()},
    }


def _numeric(flags):
    """The options among XLA_FLAGS, sorted, the last of each, but for neutral ones."""
    if flags and flags[0] not in "- " and os.path.isfile(flags):
        with open(flags, encoding="utf-8") as lines:
            flags = lines.read()
    last = {word.lstrip("-").partition("=")[0]: word for word in flags.split()}
    return sorted(w for name, w in last.items() if not name.startswith(NEUTRAL))


def usable_cores() -> list[int]:
    """The cores that this process may use, by number."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else [*range(os.cpu_count() or 1)]


def model(device: Any) -> str:
    """The model of a device."""
    return _cpu() if device.platform == "cpu" else device.device_kind


def _machine():
    device = jax.devices()[0]
    return {
        "cpu": _cpu(),
        "cores": len(usable_cores()),
        "device": device.device_kind if device.platform != "cpu" else "cpu",
        "devices": jax.device_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


@functools.cache
def _cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(folder):
    def git(*args):
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        commit = git("rev-parse", "HEAD")
        changed = commit and git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return f"{commit} with local changes" if changed else commit
