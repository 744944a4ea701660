"""Run Python in a process of its own that sees several virtual CPU devices.

How many devices a CPU stands for is fixed when JAX starts.
"""

import os
import pathlib
import subprocess
import sys


ROOT = pathlib.Path(__file__).parents[1]


def environment(devices: int, **more: str) -> dict[str, str]:
    """Make the environment of a process that takes the CPU for `devices` devices."""
    flags = os.environ.get("XLA_FLAGS", "")
    flags = f"{flags} --xla_force_host_platform_device_count={devices}".strip()
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    own = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": path}
    return {**os.environ, **own, **more}


def run(*arguments: str, devices: int, timeout: float = 300) -> str:
    """Run `python *arguments` on virtual devices and return what it prints.

    Raises:
        RuntimeError: it failed; the message ends what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(devices),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout
