"""Where, when and with what something was computed."""

import datetime
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


def _machine():
    device = jax.devices()[0]
    usable = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu(),
        "cores": len(usable(0)) if usable else os.cpu_count(),
        "device": device.device_kind if device.platform != "cpu" else "cpu",
        "devices": jax.device_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


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
