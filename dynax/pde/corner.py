"""How solutions behave at a corner: functions that no smooth basis has."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array

from dynax._check import require


@dataclasses.dataclass(frozen=True)
class CornerFunction:
    """A harmonic function of a wedge with its tip at a corner, 0 on both sides of it.

        s = rᵖ sin pθ,  or  rᵖ (ln r sin pθ + θ cos pθ) where p is a whole number:

    the first is then a polynomial, and the second is what a source brings about. On the
    far side of the wedge the second is a smooth function.

    Args:
        at: the corner, (x, y).
        start: the direction of the side from which θ is measured, in radians.
        opening: of the wedge, counterclockwise from there to its other side.
        power: p.
    """

    at: tuple[float, float]
    start: float
    opening: float
    power: float

    def __call__(self, x: Array) -> Array:
        """s at places (…, 2)."""
        middle = self.start + self.opening / 2
        c, s = math.cos(middle), math.sin(middle)
        a, b = x[..., 0] - self.at[0], x[..., 1] - self.at[1]
        theta = jnp.arctan2(c * b - s * a, c * a + s * b) + self.opening / 2
        square = a**2 + b**2 + 1e-30
        r, p = square ** (self.power / 2), self.power
        if p != round(p):
            return r * jnp.sin(p * theta)
        log = jnp.log(square) / 2
        return r * (log * jnp.sin(p * theta) + theta * jnp.cos(p * theta))


def corner(
    at: tuple[float, float], start: float, opening: float, count: int = 4
) -> tuple[CornerFunction, ...]:
    """The first functions that a solution of Poisson's equation has at a corner.

    p = kπ/`opening`, k = 1 … count: u = 0, or smooth values, on both sides.

    Source: Kondrat'ev, 1967; Grisvard, Elliptic Problems in Nonsmooth Domains (1985).

    Args:
        at, start, opening: as of `CornerFunction`; an L with its corner at 0 that has
            no quadrant x, y > 0 has start π/2 and opening 3π/2.
        count: functions.
    """
    require(0 < opening < 2 * math.pi, "opening", opening, "an angle in (0, 2π)")
    place, found = (float(at[0]), float(at[1])), []
    for k in range(1, count + 1):
        p, whole = k * math.pi / opening, round(k * math.pi / opening)
        p = float(whole) if abs(p - whole) < 1e-9 else p
        found.append(CornerFunction(place, start, opening, p))
    return tuple(found)
