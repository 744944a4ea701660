"""Problems without time."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from dynax.pde._base import AbstractPDE, Points
from dynax.pde.derivatives import Derivatives


class AbstractSteady(AbstractPDE):
    """State a problem without time: F(x, u, ∇u, …) = 0 in a region.

    Say the region, what holds on its sides, and `balance`:

        class Poisson(pde.AbstractSteady):
            "−Δu = 1 on an L, u = 0 on its boundary."
            domain = shapes.Box((-1, -1), (1, 1)) - shapes.Box((0, 0), (1, 1))
            boundary = pde.Dirichlet(0.0)
            needs = "xx yy"

            def balance(self, x, d):
                return d.xx + d.yy + 1

    A function of it is still u(t, x), whatever t. Where the region has corners that
    point inwards, say what the solution has there: `singular = pde.corner(…)`, or
    functions of your own, places (…, d) → (…). Networks of `mlp_field` and the estimate
    of the error then have them, too.
    """

    boundary: ClassVar[Any]
    singular: ClassVar[tuple[Callable[[Array], Array], ...]] = ()
    horizon: ClassVar = 1.0
    least_times: ClassVar = 1

    @abc.abstractmethod
    def balance(self, x: Array, d: Derivatives) -> Array:
        """F, one number per residual, elementwise over leading axes.

        Args:
            x: (…, d), the place.
            d: `d.u`, `d.xx`, … each of shape (…, c).
        """

    def equation(self, t, x, d):
        return self.balance(x, d)

    def initial(self, x):
        """Zero: what the solution is measured against, not a start."""
        return jnp.zeros((len(self.fields),), x.dtype)

    def sample(self, key, times, points, t0=0.0, t1=None, dtype=None) -> Points:
        points = super().sample(key, times, points, t0, t1, dtype)
        return points._replace(t=jnp.zeros_like(points.t))
