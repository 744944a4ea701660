"""Kinetic energies of Hamiltonian descent."""

from typing import ClassVar, Literal

import jax.numpy as jnp

from ._base import AbstractArrayKappa, AbstractSeparable


class FourThirds(AbstractSeparable):
    """The conjugate of Σx⁴/4: the kinetic energy that suits quartic valleys.

        κ(p) = ¾Σ|p|^{4/3}      ∇κ(p) = ∛p      κ*(y) = Σy⁴/4      ∇κ*(y) = y³

    ∇κ is continuous, but infinitely steep at 0: an adaptive solver loses its order
    where an entry of p changes sign, and its error estimate does not notice.
    Distance: 0, dom κ* is everything. Source: Maddison et al., arXiv 1809.05042.
    """

    smooth: ClassVar[bool] = True

    def _phi(self, m):
        return 0.75 * jnp.abs(m) ** (4 / 3)

    def _grad(self, m):
        return jnp.cbrt(m)

    def _phi_conjugate(self, y):
        return y**4 / 4

    def _grad_conjugate(self, y):
        return y**3

    def _excess(self, y):
        return jnp.zeros_like(y)


class Relativistic(AbstractArrayKappa):
    """The kinetic energy of a relativistic particle: no step is longer than 1.

        κ(p) = √(1 + ‖p‖²) − 1      ∇κ(p) = p/√(1 + ‖p‖²)
        κ*(y) = 1 − √(1 − ‖y‖²) on ‖y‖ ≤ 1      ∇κ*(y) = y/√(1 − ‖y‖²), clipped

    Distance: (‖y‖ − 1)₊. Acts on the whole tree as one vector.
    Source: Maddison et al., arXiv 1809.05042.
    """

    scope: ClassVar[Literal["leaf", "tree"]] = "tree"
    smooth: ClassVar[bool] = True
    zero_in_domain: ClassVar[bool] = True

    def _value(self, m):
        square = jnp.sum(m * m)
        return square / (1 + jnp.sqrt(1 + square))

    def _grad(self, m):
        return m / jnp.sqrt(1 + jnp.sum(m * m))

    def _conjugate(self, y):
        square = jnp.minimum(jnp.sum(y * y), 1)
        left = 1 - square
        root = jnp.sqrt(jnp.where(left > 0, left, 1))
        return square / (1 + jnp.where(left > 0, root, 0))

    def _grad_conjugate(self, y):
        left = jnp.maximum(1 - jnp.sum(y * y), jnp.finfo(y.dtype).eps)
        return y / jnp.sqrt(left)

    def _distance(self, y):
        square = jnp.sum(y * y)
        size = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        return jnp.maximum(size - 1, 0)
