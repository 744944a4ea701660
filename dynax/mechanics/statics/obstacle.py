"""A rigid obstacle that a body in equilibrium may touch."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.mechanics._parts import Vectors


class Obstacle(eqx.Module):
    r"""Push a body out of a rigid obstacle without friction, by a penalty.

    A node a at x with signed distance φ(x, λ) < 0 and share A of the surface feels

        fₐ = −k A φ ∇φ,   of the energy ½ k A φ².

    The body enters by pressure/k, so k ≫ pressure/tolerated depth. The forces are in
    `Path.reaction`.

    Source: Wriggers, "Computational Contact Mechanics", 2nd ed., §6.3.

    Args:
        distance: (x, λ) → φ in m of a place (d,), < 0 inside; |∇φ| = 1.
        stiffness: k > 0, Pa/m.
        area: (n,), A of each node that may touch, else 0: `traction` of a unit pull.
    """

    distance: Callable[[Array, Scalar], Scalar]
    stiffness: ScalarLike
    area: Float[Array, " n"]

    def __check_init__(self):
        check_parameter("stiffness", self.stiffness, lambda k: k > 0, "k > 0, in Pa/m")

    def forces(self, x: Vectors, factor: Scalar) -> Vectors:
        """On each node, N."""
        return jax.vmap(lambda x, A: self._force(x, A, factor))(x, self.area)

    def steepness(self, x: Vectors, factor: Scalar) -> Float[Array, "n d d"]:
        """−∂f/∂x of each node, N/m."""
        steep = jax.jacfwd(lambda x, A: -self._force(x, A, factor))
        return jax.vmap(steep)(x, self.area)

    def _force(self, x, area, factor):
        k = tree.cast(self.stiffness, x.dtype) * area.astype(x.dtype)
        deep, normal = jax.value_and_grad(self.distance)(x, factor)
        return -k * jnp.minimum(deep, 0) * normal
