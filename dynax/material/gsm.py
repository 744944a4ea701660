"""A learned viscoelastic law: a generalised standard material of two potentials."""

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.material._base import (
    AbstractHyperelastic,
    AbstractViscous,
    dissipation,
    not_plastic,
    number,
)
from dynax.material._convex import Convex
from dynax.material.kinematics import (
    spatial,
    spherical,
    square,
    trace,
    twice_green_lagrange,
)


class GSM(AbstractViscous):
    r"""Give a generalised standard material: a free energy and a dissipation potential.

    ψ(F, α) = ψ∞(F) + s[N(q(E − α)) − N(0)],  α̇ = ∂φ*/∂A,  A = −∂ψ/∂α,

        φ*(A) = (s/t_r)[M(q(A/s)) − M(0)],   q(X) = (‖dev X‖², tr²X/d)

    with E = ½(FᵀF − I), α a symmetric strain, (3, 3) in the plane too, where E₃₃ = 0,
    and N, M convex and non-decreasing
    (`Convex`). So φ* is convex with its minimum at A = 0, and for any weights

        D = ⟨A, ∂φ*/∂A⟩ ≥ 0     (Clausius–Duhem),

    the stress is objective, symmetric, isotropic and zero at rest. With the moduli k,
    m ≥ 0 of the old state, both parts of E − α shrink by e^{−mk dt} in a step: exact in
    the linear case, first order else; ψ falls for every dt and any weights.

    Source: Halphen, Nguyen, "Sur les matériaux standards généralisés", J. Mécanique 14
    (1975).

    Args:
        key: of the weights.
        elastic: ψ∞, what remains after long times. What flows in it flows; it has no
            plastic return.
        scale: s > 0, Pa, the stiffness expected of the viscous branch.
        time: t_r > 0, s, the relaxation time expected.
        width: hidden units in each of two layers.
    """

    elastic: AbstractHyperelastic
    stored: Convex
    dissipated: Convex
    scale: ScalarLike
    time: ScalarLike

    def __init__(self, key, elastic, scale, time, width: int = 16, dtype=None):
        not_plastic(elastic)
        check_parameter("scale", scale, lambda s: s > 0, "s > 0, in Pa")
        check_parameter("time", time, lambda t: t > 0, "t_r > 0, in s")
        first, second = jax.random.split(key)
        self.elastic, self.scale, self.time = elastic, scale, time
        self.stored = Convex(first, 2, 2, width, dtype)
        self.dissipated = Convex(second, 2, 2, width, dtype)

    def init(self, F):
        return self.elastic.init(F), jnp.zeros((3, 3), F.dtype)

    def energy(self, F, alpha):
        inner, flow = alpha
        X = _strain(F) - flow
        rise = self.stored(parts(X)) - self.stored(jnp.zeros((2,), F.dtype))
        return self.elastic.energy(F, inner) + number(self, "scale", F.dtype) * rise

    def moduli(self, F, alpha):
        """k of A = s(k₁ dev X + k₂ tr X I/d), m of α̇ = (m₁ dev A + m₂ tr A I/d)/(s t_r)
        and q(A/s)."""
        q = parts(_strain(F) - alpha[1])
        k = 2 * jax.grad(self.stored)(q)
        q = k**2 * q
        return k, 2 * jax.grad(self.dissipated)(q), q

    def update(self, F, alpha, dt):
        inner, flow = alpha
        _, inner = self.elastic.update(F, inner, dt)
        k, m, _ = self.moduli(F, alpha)
        E, d = _strain(F), 3
        rate = k * m / number(self, "time", F.dtype)
        keep, keep_volume = jnp.exp(-rate * tree.cast(dt, F.dtype))
        X = E - flow
        volume = spherical(trace(X) / d, d)
        return F, (inner, E - keep * (X - volume) - keep_volume * volume)

    def dissipation(self, F, alpha) -> Scalar:
        """⟨A, ∂φ*/∂A⟩ in W/m³, and that of ψ∞."""
        _, m, q = self.moduli(F, alpha)
        unit = number(self, "scale", F.dtype) / number(self, "time", F.dtype)
        return unit * jnp.sum(m * q) + dissipation(self.elastic, F, alpha[0])


def _strain(F):
    """E in three dimensions."""
    F = F if len(F) == 3 else spatial(F, jnp.ones((), F.dtype))
    return twice_green_lagrange(F) / 2


def parts(X):
    """q(X) = (‖dev X‖², tr²X/d): the squares of shape and volume."""
    d = X.shape[-1]
    volume = trace(X) / d
    return jnp.stack([square(X - spherical(volume, d)), d * volume**2])
