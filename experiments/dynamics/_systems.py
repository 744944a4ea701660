"""Systems of the experiments on exponents."""

import jax.numpy as jnp
import numpy as np


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
    """A step of u_t = −uu_x − u_xx − u_xxxx on a circle: ETDRK4 with its phi functions
    by contour integrals (Kassam, Trefethen 2005), two thirds of the modes kept."""
    k = 2 * np.pi / length * np.fft.rfftfreq(modes, 1 / modes)
    stiff = k**2 - k**4
    circle = np.exp(1j * np.pi * (np.arange(32) + 0.5) / 32)
    z = h * stiff[:, None] + circle[None]
    mean = lambda f: h * np.mean(f, axis=1).real
    q = mean((np.exp(z / 2) - 1) / z)
    a = mean((-4 - z + np.exp(z) * (4 - 3 * z + z**2)) / z**3)
    b = mean((2 + z + np.exp(z) * (z - 2)) / z**3)
    c = mean((-4 - 3 * z - z**2 + np.exp(z) * (4 - z)) / z**3)
    whole, half = np.exp(h * stiff), np.exp(h * stiff / 2)
    kept = -0.5j * k * (np.arange(len(k)) <= modes / 3)

    def nonlinear(v):
        return kept * jnp.fft.rfft(jnp.fft.irfft(v, modes) ** 2)

    def step(u):
        v = jnp.fft.rfft(u)
        n0 = nonlinear(v)
        one = half * v + q * n0
        n1 = nonlinear(one)
        two = half * v + q * n1
        n2 = nonlinear(two)
        n3 = nonlinear(half * one + q * (2 * n2 - n0))
        return jnp.fft.irfft(whole * v + a * n0 + 2 * b * (n1 + n2) + c * n3, modes)

    x = np.arange(modes) * length / modes
    return step, jnp.asarray(np.cos(4 * np.pi * x / length) + 0.1 * np.sin(x))
