"""Run an experiment's jobs side by side: compiling one leaves the other core free.
And put trees of arrays into one."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def together(jobs: dict[Any, Callable[[], Any]], progress) -> dict[Any, Any]:
    """What each job returns, on the host; two threads, with the caller's precision."""
    x64 = jnp.result_type(float) == jnp.float64  # a setting is a thread's own

    def call(job):
        with jax.enable_x64(x64):
            return jax.device_get(job())

    done = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, value in zip(jobs, pool.map(call, jobs.values()), strict=True):
            done[name] = value
            progress(len(done) / len(jobs), str(name))
    return done


def stacked(trees) -> Any:
    """Trees of arrays as one, along a first axis, on the host."""
    return jax.tree.map(lambda *a: np.stack(a), *trees)
