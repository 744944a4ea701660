"""A learned hyperelastic law: a convex potential of invariants."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.material._base import AbstractHyperelastic, number
from dynax.material._convex import Convex
from dynax.material.kinematics import (
    cofactor,
    log_volume,
    spatial,
    trace,
    twice_green_lagrange,
    volume_change,
)


class ICNN(AbstractHyperelastic):
    r"""Give an energy by a network that is convex in invariants of F.

    ψ = s[N(z) − N(0) − ∇N(0)·z + ¼⟦m⟧·(Ī − 3) + ½⟦k⟧(J − 1)²],

    z = (Ī₁ − 3, Ī₂ − 3, J − 1), Ī₁ = tr C J^{−2/3}, Ī₂ = I₂ J^{−4/3}, C = FᵀF; N is
    convex (`Convex`), ⟦·⟧ = softplus. In the plane F₃₃ = 1.

    For any weights: objective, isotropic, a symmetric Cauchy stress, no stress at
    F = I, ψ(I) = 0 the least of all ψ (N lies above its tangent plane, and Ī ≥ 3), the
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
    """

    network: Convex
    shear: Array
    bulk: Array
    scale: ScalarLike

    def __init__(self, key, scale: ScalarLike, width: int = 32, dtype=None):
        check_parameter("scale", scale, lambda s: s > 0, "s > 0, in Pa")
        self.network = Convex(key, 3, 0, width, dtype)
        self.shear = jnp.zeros((2,), self.network.last.dtype)
        self.bulk = jnp.zeros((), self.network.last.dtype)
        self.scale = scale

    def energy(self, F, alpha=()):
        del alpha
        z, cast = invariants(F), lambda a: tree.cast(a, F.dtype)
        positive = lambda a: jax.nn.softplus(cast(a))
        value, slope = jax.value_and_grad(self.network)(jnp.zeros_like(z))
        plane = jnp.append(positive(self.shear) / 4, 0) - slope
        bulk = positive(self.bulk) / 2 * z[-1] ** 2
        return number(self, "scale", F.dtype) * (
            self.network(z) - value + plane @ z + bulk
        )


def invariants(F):
    """(Ī₁ − 3, Ī₂ − 3, J − 1), in the plane with F₃₃ = 1; 0 at F = I."""
    if len(F) == 2:
        F = spatial(F, jnp.ones((), F.dtype))
    A, log = twice_green_lagrange(F), log_volume(F)

    def part(change, n):
        scale = -n / 3 * log
        return change * jnp.exp(scale) + 3 * jnp.expm1(scale)

    second = part(2 * trace(A) + trace(cofactor(A)), 4)
    return jnp.stack([part(trace(A), 2), second, volume_change(F)])
