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
    r"""ψ = s[N(z) − N(0) − ∇N(0)·z + ¼⟦m⟧·(Ī − d) + ½⟦k⟧(J − 1)²],

    z = (Ī₁ − d, Ī₂ − d, J − 1), Ī₁ = tr C J^{−2/d}, Ī₂ = I₂ J^{−4/d}, C = FᵀF; N is
    convex (`Convex`), ⟦·⟧ = softplus. In two dimensions there is no Ī₂.

    For any weights: objective, isotropic, a symmetric Cauchy stress, no stress at
    F = I, ψ(I) = 0 the least of all ψ (N lies above its tangent plane, and Ī ≥ d), the
    shear modulus ½s(⟦m₁⟧ + ⟦m₂⟧) and a bulk modulus ≥ s⟦k⟧ at rest. Needs no
    eigenvalues. Convex in z, which is less than polyconvex in F; and less than any
    law: what softens in shear when it is pressed, as corotated elasticity does, is
    not convex in z.

    Source: invariants and corrections at rest as in Thakolkaran et al., "NN-EUCLID",
    JMPS 169 (2022); here the whole tangent plane is replaced.

    Args:
        key: of the weights.
        scale: s > 0, Pa: the stiffness expected, so that weights are of order one and
            learning rates the usual ones. A Python number is not trained.
        width: hidden units in each of two layers.
        d: 2 or 3.
    """

    network: Convex
    shear: Array
    bulk: Array
    scale: ScalarLike

    def __init__(self, key, scale: ScalarLike, width: int = 32, d: int = 3, dtype=None):
        within("scale", scale, lambda s: s > 0, "s > 0, in Pa")
        within("d", d, lambda d: (d == 2) | (d == 3), "2 or 3")
        self.network = Convex(key, d, 0, width, dtype)
        self.shear = jnp.zeros((d - 1,), self.network.last.dtype)
        self.bulk = jnp.zeros((), self.network.last.dtype)
        self.scale = scale

    def energy(self, F, alpha=()):
        del alpha
        z, cast = invariants(F), lambda a: tree.cast(a, F.dtype)
        positive = lambda a: jax.nn.softplus(cast(a))
        value, slope = jax.value_and_grad(self.network)(jnp.zeros_like(z))
        plane = jnp.append(positive(self.shear) / 4, 0) - slope
        bulk = positive(self.bulk) / 2 * z[-1] ** 2
        return cast(self.scale) * (self.network(z) - value + plane @ z + bulk)


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
