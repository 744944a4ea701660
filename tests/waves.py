"""Random trigonometric functions of (t, x), whose derivatives are known exactly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax.pde.derivatives import LETTERS


class Waves(NamedTuple):
    """u_c(t, x) = m_c + Σₘ a_mc sin(k_m·x + ω_m t + φ_mc)."""

    mean: Array
    amplitude: Array
    k: Array
    frequency: Array
    phase: Array

    def __call__(self, t, x):
        return self.derivative(t, x, "u")

    def derivative(self, t, x, name):
        """Each derivative is a factor and a quarter of a turn."""
        letters = name.strip("u")
        factor = jnp.ones_like(self.frequency)
        for a in letters:
            factor *= self.frequency if a == "t" else self.k[:, LETTERS.index(a)]
        angle = jnp.sum(self.k * x[None], -1) + self.frequency * t
        angle += len(letters) * jnp.asarray(np.pi / 2, t.dtype)
        waves = self.amplitude * jnp.sin(angle[:, None] + self.phase)
        sum_of = jnp.sum(factor[:, None] * waves, 0)
        return sum_of if letters else self.mean + sum_of


def exactly(u: Waves, t, x, needs):
    """An engine without differentiation."""
    return {name: u.derivative(t, x, name) for name in needs}


def random_waves(key, lower, upper, fields, mean=0.0, waves=5, dtype=jnp.float64):
    """Wave numbers up to 3 along each axis of a periodic box; |u − mean| ≤ 1."""
    keys = jax.random.split(key, 4)
    period = jnp.asarray(upper, dtype) - jnp.asarray(lower, dtype)
    count = jax.random.randint(keys[0], (waves, len(lower)), -3, 4).astype(dtype)
    size = jax.random.uniform(keys[1], (waves, fields), dtype, 0.3, 1.0) / waves
    phase = jax.random.uniform(keys[2], (waves, fields), dtype, 0.0, 2 * np.pi)
    frequency = jax.random.uniform(keys[3], (waves,), dtype, -2.0, 2.0)
    k = count * (2 * np.pi / period)[None]
    return Waves(jnp.full(fields, mean, dtype), size, k, frequency, phase)
