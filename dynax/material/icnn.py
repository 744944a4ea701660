"""A learned hyperelastic law: a convex potential of invariants."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.material._base import AbstractHyperelastic, within
from dynax.material._convex import Convex
from dynax.material.kinematics import cofactor, strain, trace, volume_change


class ICNN(AbstractHyperelastic):
    r"""ψ = s[N(z) − N(0) − ∂_J N(0)(J − 1) + ½⟦k⟧(J − 1)²],  ⟦k⟧ = softplus k,

    z = (Ī₁ − d, Ī₂ − d, J − 1), Ī₁ = tr C J^{−2/d}, Ī₂ = I₂ J^{−4/d} (three dimensions
    only), C = FᵀF; N is convex and does not decrease in Ī₁, Ī₂ (`Convex`).

    For any weights: objective, isotropic, a symmetric Cauchy stress, ψ(I) = 0 the least
    of all ψ, no stress at F = I. Needs no eigenvalues. Convex in z, which is less than
    polyconvex in F: Ī₂ is not polyconvex.

    Source: invariants and corrections at rest as in Thakolkaran et al., "NN-EUCLID",
    JMPS 169 (2022); here with J − 1 as a feature and its linear term removed.

    Args:
        key: of the weights.
        scale: s > 0, Pa: the stiffness expected, so that weights are of order one and
            learning rates the usual ones. A Python number is not trained.
        width: hidden units in each of two layers.
        d: 2 or 3.
    """

    network: Convex
    bulk: Array
    scale: ScalarLike

    def __init__(self, key, scale: ScalarLike, width: int = 32, d: int = 3, dtype=None):
        within("scale", scale, lambda s: s > 0, "s > 0, in Pa")
        within("d", d, lambda d: (d == 2) | (d == 3), "2 or 3")
        self.network = Convex(key, d, d - 1, width, dtype)
        self.bulk = jnp.zeros((), self.network.last.dtype)
        self.scale = scale

    def energy(self, F, alpha=()):
        del alpha
        z, j = invariants(F), volume_change(F)
        value, slope = jax.value_and_grad(self.network)(jnp.zeros_like(z))
        shape = self.network(z) - value - slope[-1] * j
        bulk = jax.nn.softplus(tree.cast(self.bulk, F.dtype))
        return tree.cast(self.scale, F.dtype) * (shape + bulk / 2 * j**2)


def invariants(F):
    """(Ī₁ − d, Ī₂ − d, J − 1), without Ī₂ in two dimensions; 0 at F = I."""
    d, A, j = F.shape[-1], strain(F), volume_change(F)
    log = jnp.log1p(j)
    part = lambda change, n: (
        change * jnp.exp(-n / d * log) + d * jnp.expm1(-n / d * log)
    )
    first = part(trace(A), 2)
    if d == 2:
        return jnp.stack([first, j])
    second = part(2 * trace(A) + trace(cofactor(A)), 4)
    return jnp.stack([first, second, j])
