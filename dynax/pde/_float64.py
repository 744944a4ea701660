"""Numbers of 64 bits, whatever JAX is set to."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np


@contextlib.contextmanager
def float64():
    """Numbers of 64 bits, on the CPU, in this thread."""
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # $JAX_PLATFORMS leaves it out
        cpu = None
    with jax.enable_x64(True), jax.default_device(cpu):
        yield


def widened(a):
    a = np.asarray(a)
    return jnp.asarray(a, np.float64) if np.issubdtype(a.dtype, np.floating) else a


@contextlib.contextmanager
def exactly():
    """In float64 on the CPU, and with JAX's own rules of promotion."""
    types, ranks = jax.numpy_dtype_promotion, jax.numpy_rank_promotion
    with float64(), types("standard"), ranks("allow"):
        yield
