"""Systems of the experiments on exponents."""

import jax.numpy as jnp
import numpy as np

from dynax.pde.etdrk4 import coefficients, step as etdrk4


def lorenz(t, u, args):
    x, y, z = u
    return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def gyre(t, u, args):
    """The double gyre (Shadden et al. 2005): A = 0.1, ε = 0.25, period 10."""
    x, y = u
    a = 0.25 * jnp.sin(2 * jnp.pi * t / 10)
    f, slope = a * x**2 + (1 - 2 * a) * x, 2 * a * x + 1 - 2 * a
    down = -jnp.sin(jnp.pi * f) * jnp.cos(jnp.pi * y)
    up = jnp.cos(jnp.pi * f) * jnp.sin(jnp.pi * y) * slope
    return 0.1 * jnp.pi * jnp.stack([down, up])


def waves(modes: int = 32, length: float = 22.0, h: float = 0.25):
    """A step of u_t = −uu_x − u_xx − u_xxxx on a circle; two thirds of modes kept."""
    k = 2 * np.pi / length * np.fft.rfftfreq(modes, 1 / modes)
    by = coefficients(jnp.asarray(k**2 - k**4 + 0j), jnp.asarray(h))
    kept = jnp.asarray(-0.5j * k * (np.arange(len(k)) <= modes / 3))

    def nonlinear(v):
        return kept * jnp.fft.rfft(jnp.fft.irfft(v, modes) ** 2)

    def step(u):
        return jnp.fft.irfft(etdrk4(by, nonlinear, jnp.fft.rfft(u)), modes)

    x = np.arange(modes) * length / modes
    return step, jnp.asarray(np.cos(4 * np.pi * x / length) + 0.1 * np.sin(x))
