"""Simple flows found later than the nineteen cases of Sprott.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Flow, point


class SprottJerk(Flow):
    """An algebraically simple flow depending on a third time derivative. Numerical
    integration of this attractor is extremely sensitive to the initial conditions.

        ẋ = y
        ẏ = z
        ż = −x + y² − μz

    Source: Sprott, J. C. Simplest dissipative chaotic flow. Physics Letters A (1997).
    """

    mu: ScalarLike = 2.017
    start = point(-0.54106056, 0.59383201, 0.45127217)
    period = 11.921

    @staticmethod
    def rates(state, mu):
        x, y, z = state
        return y, z, -x + y**2 - mu * z


class SprottTorus(Flow):
    """A multiattractor system that goes to a torus or a complex attractor depending on
    the initial conditions.

        ẋ = y + 2xy + xz
        ẏ = 1 − 2x² + yz
        ż = x − x² − y²

    Source: Sprott Physics Letters A 2014.
    """

    start = point(0.6883476, -0.18017646, 0.58539724)
    period = 13.607

    @staticmethod
    def rates(state):
        x, y, z = state
        return y + 2 * x * y + x * z, 1 - 2 * x**2 + y * z, x - x**2 - y**2


class SprottMore(Flow):
    """A multifractal system with a nearly 3D attractor.

        ẋ = y
        ẏ = −x − sign(z)·y
        ż = y² − exp(−x²)

    Source: Sprott, J. C. (2020). Do We Need More Chaos Examples? Chaos Theory and
    Applications 2(2),1-3, 2020.
    """

    start = point(-1.3396906, -0.21238338, 0.32982163)
    period = 6.62095890410959
    smooth = False

    @staticmethod
    def rates(state):
        x, y, z = state
        return y, -x - jnp.sign(z) * y, y**2 - jnp.exp(-(x**2))


class Halvorsen(Flow):
    """An algebraically-simple chaotic system with quadratic nonlinearity.

        ẋ = −ax − by − bz − y²
        ẏ = −ay − bz − bx − z²
        ż = −az − bx − by − x²

    Source: Sprott, Julien C (2010). Elegant chaos: algebraically simple chaotic flows.
    World Scientific, 2010.
    """

    a: ScalarLike = 1.4
    b: ScalarLike = 4.0
    start = point(-8.6807408, -2.4741399, 0.070775762)
    period = 1.4889

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return (
            -a * x - b * y - b * z - y**2,
            -a * y - b * z - b * x - z**2,
            -a * z - b * x - b * y - x**2,
        )


class Thomas(Flow):
    """A cyclically-symmetric attractor corresponding to a frictionally-damped particle
    traversing a 3D lattice of forces.

        ẋ = −ax + b sin(y)
        ẏ = −ay + b sin(z)
        ż = −az + b sin(x)

    Source: Thomas, Rene (1999). Deterministic chaos seen in terms of feedback circuits:
    Analysis, synthesis, labyrinth chaos. Int. J. Bifurc. Chaos.
    """

    a: ScalarLike = 1.85
    b: ScalarLike = 10.0
    start = point(2.199442, 2.3634225, 3.220197)
    period = 4.969

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return -a * x + b * jnp.sin(y), -a * y + b * jnp.sin(z), -a * z + b * jnp.sin(x)


class ThomasLabyrinth(Flow):
    """A system in which trajectories seemingly undergo Brownian motion on an infinite
    lattice, but remain bounded when the parameter a is less than one.

        ẋ = −ax + b sin(y)
        ẏ = −ay + b sin(z)
        ż = −az + b sin(x)

    Source: Thomas, Rene. Deterministic chaos seen in terms of feedback circuits:
    Analysis, synthesis, labyrinth chaos. Int. J. Bifurc. Chaos. (1999).
    """

    a: ScalarLike = 0.5
    b: ScalarLike = 10.0
    start = point(-4.9599545, 1.0302034, -4.6883893)
    period = 6.05

    @staticmethod
    def rates(state, a, b):
        x, y, z = state
        return -a * x + b * jnp.sin(y), -a * y + b * jnp.sin(z), -a * z + b * jnp.sin(x)
