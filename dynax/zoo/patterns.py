"""Maps of the plane that draw patterns.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.zoo._base import Map, point


class Gingerbreadman(Map):
    """A piecewise linear area-preserving map.

    x₊ = 1 − y + |x|
    y₊ = x
    """

    start = point(0.51, 0.1)
    smooth = False
    pairs = True

    @staticmethod
    def image(state):
        x, y = state
        return 1 - y + jnp.abs(x), x


class GumowskiMira(Map):
    """Orbits of a particle in an accelerator.

        fx = ax + 2(1 − a)x²/(1 + x²)
        fx₁ = a·xp + 2(1 − a)·xp²/(1 + xp²)
        x₊ = by + fx
        y₊ = fx₁ − x

    Source: Gumowski, Igor, and Christian Mira (2006). Recurrences and discrete dynamic
    systems. Vol. 809. Springer.
    """

    a: ScalarLike = -1.1
    b: ScalarLike = -0.2
    start = point(0.1, 0.1)

    @staticmethod
    def image(state, a, b):
        x, y = state
        fx = a * x + 2 * (1 - a) * x**2 / (1 + x**2)
        xp = b * y + fx
        fx1 = a * xp + 2 * (1 - a) * xp**2 / (1 + xp**2)
        return xp, fx1 - x


class Hopalong(Map):
    """Orbits that hop along rings.

        x₊ = y − 1 − √(|bx − 1 − c|)·sign(x − 1)
        y₊ = a − x − 1

    Source: Barry Martin.
    """

    a: ScalarLike = 3.1
    b: ScalarLike = 2.5
    c: ScalarLike = 4.2
    start = point(0.1, 0.1)
    smooth = False

    @staticmethod
    def image(state, a, b, c):
        x, y = state
        return y - 1 - jnp.sqrt(jnp.abs(b * x - 1 - c)) * jnp.sign(x - 1), a - x - 1


class Pickover(Map):
    """A map of sines for computer art, by Clifford Pickover.

    x₊ = sin(ay) + c cos(ax)
    y₊ = sin(bx) + d cos(by)
    """

    a: ScalarLike = -1.4
    b: ScalarLike = 1.6
    c: ScalarLike = 1.0
    d: ScalarLike = 0.7
    start = point(-0.97631884, -1.2040783)

    @staticmethod
    def image(state, a, b, c, d):
        x, y = state
        return jnp.sin(a * y) + c * jnp.cos(a * x), jnp.sin(b * x) + d * jnp.cos(b * y)


class DeJong(Map):
    """A map of sines for computer art, by Peter de Jong.

    x₊ = sin(ay) − cos(bx)
    y₊ = sin(cx) − cos(dy)
    """

    a: ScalarLike = 1.641
    b: ScalarLike = 1.902
    c: ScalarLike = 0.316
    d: ScalarLike = 1.525
    start = point(1.78166133, -1.15791549)

    @staticmethod
    def image(state, a, b, c, d):
        x, y = state
        return jnp.sin(a * y) - jnp.cos(b * x), jnp.sin(c * x) - jnp.cos(d * y)


class Svensson(Map):
    """A variant of the De Jong map, by Johnny Svensson.

        x₊ = d sin(ax) − sin(by)
        y₊ = c cos(ax) + cos(by)

    Source: Ivan Emrich.
    """

    a: ScalarLike = 1.5
    b: ScalarLike = -1.8
    c: ScalarLike = 1.6
    d: ScalarLike = 0.9
    start = point(0.5, 0.5)

    @staticmethod
    def image(state, a, b, c, d):
        x, y = state
        return d * jnp.sin(a * x) - jnp.sin(b * y), c * jnp.cos(a * x) + jnp.cos(b * y)


class Bedhead(Map):
    """A map of sines for computer art.

        x₊ = sin(xy/b)·y + cos(ax − y)
        y₊ = x + sin(y)/b

    Source: Ivan Emrich.
    """

    a: ScalarLike = -0.67
    b: ScalarLike = 0.83
    start = point(0.5, 0.5)

    @staticmethod
    def image(state, a, b):
        x, y = state
        return jnp.sin(x * y / b) * y + jnp.cos(a * x - y), x + jnp.sin(y) / b
