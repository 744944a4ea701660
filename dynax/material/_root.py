"""The root of a function between two bounds, with its derivatives."""

import jax
import jax.numpy as jnp


def root(f, low, high):
    """Find x in [low, high] with f(x) = 0, f rising, elementwise.

    Args:
        f: x → f(x) of the same shape. What it closes over is differentiated.
        low, high: f(low) ≤ 0 ≤ f(high), else the nearer bound comes out.
    """
    return jnp.clip(polished(f, bisected(f, low, high)), low, high)


def bisected(f, low, high):
    """The root, by as many halvings as the dtype has bits; it has no derivative."""

    def halved(_, ends):
        low, high = ends
        x = (low + high) / 2
        above = f(x) > 0
        return jnp.where(above, low, x), jnp.where(above, x, high)

    bits = jnp.finfo(low.dtype).nmant + 2
    ends = jax.lax.stop_gradient((low, high))
    return jax.lax.stop_gradient(jax.lax.fori_loop(0, bits, halved, ends)[0])


def polished(f, x):
    """One step of Newton's method, which has the derivatives of the implicit function,
    so that nothing is unrolled. x stays where f has no slope."""
    off, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
    slope = jax.lax.stop_gradient(slope)
    steep = jnp.isfinite(slope) & (slope != 0)
    return x - off / jnp.where(steep, slope, jnp.inf)
