"""Random trigonometric functions of (t, x), whose derivatives are known exactly."""

from typing import NamedTuple

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


def random_waves(seed, lower, upper, fields, mean=0.0, waves=5, dtype=np.float64):
    """Wave numbers up to 3 along each axis of a periodic box, 0 of the first wave, so
    that the mean moves, the same of two more, so that the norms of all derivatives
    do; |u − mean| ≤ 1."""
    random = np.random.RandomState(seed)
    count = random.randint(-3, 4, (waves, len(lower)))
    count[0], count[1:3] = 0, 2
    parts = (
        np.full(fields, mean),
        random.uniform(0.3, 1.0, (waves, fields)) / waves,
        count * 2 * np.pi / np.subtract(upper, lower),
        random.uniform(0.5, 2.0, waves),
        random.uniform(0.0, 2 * np.pi, (waves, fields)),
    )
    return Waves(*(jnp.asarray(a, dtype) for a in parts))


def random_points(seed, lower, upper, *shape, dtype=np.float64):
    """t (*shape) in (0, 1), x (*shape, d) in a box."""
    random = np.random.RandomState(seed)
    t, x = random.uniform(size=shape), random.uniform(size=(*shape, len(lower)))
    x = np.asarray(lower) + np.subtract(upper, lower) * x
    return jnp.asarray(t, dtype), jnp.asarray(x, dtype)
