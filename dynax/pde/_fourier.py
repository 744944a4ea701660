"""Fourier symbols: real ones of even derivatives, imaginary ones of odd."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def real(a: Array) -> Array:
    """a + 0i, complex. ∂² is `real(-k**2)`."""
    return jax.lax.complex(a, jnp.zeros_like(a))


def imaginary(a: Array) -> Array:
    """0 + ai. ∂ is `imaginary(k)`, ∂³ is `imaginary(-k**3)`."""
    return jax.lax.complex(jnp.zeros_like(a), a)
