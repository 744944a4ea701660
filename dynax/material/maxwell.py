"""Maxwell's viscoelasticity at large strains: a spring beside a sprung dashpot."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.material._algebra import Matrices
from dynax.material._base import (
    AbstractHyperelastic,
    AbstractViscous,
    dissipation,
    not_plastic,
    number,
)
from dynax.material.hencky import log_strain
from dynax.material.kinematics import (
    isotropic_function,
    matmul,
    spatial,
    spherical,
    square,
    trace,
    transpose,
)
from dynax.material.principal import deviator


class Maxwell(AbstractViscous):
    r"""Put a viscous branch beside an elastic law.

    ψ = ψ∞(F) + μ‖ε̂‖²,  τ = τ∞(F) + 2με̂,  ε̂ = dev ½ log FᵉFᵉᵀ,  Fᵉ = Fα.

    α = Fᵛ⁻¹ is the internal variable, (3, 3) in the plane too, where F₃₃ = 1 though the
    branch flows along the third axis. While F rests the branch flows by

        dε̂/dt = −ε̂/t_r,   dψ/dt = −2μ‖ε̂‖²/t_r ≤ 0,

    whose exact solution ε̂ e^{−dt/t_r} is the update: stable and dissipative for every
    dt; the volume is not relaxed. Several branches: nest them.

    Source: Reese, Govindjee, "A theory of finite viscoelasticity", Int. J. Solids
    Struct. 35 (1998), with a Hencky branch of constant viscosity μt_r.

    Args:
        elastic: ψ∞, what remains after long times. What flows in it flows; it has no
            plastic return.
        shear: μ ≥ 0 of the branch, Pa.
        time: t_r > 0, relaxation time in s.
    """

    elastic: AbstractHyperelastic
    shear: ScalarLike
    time: ScalarLike

    def __check_init__(self):
        not_plastic(self.elastic)
        check_parameter("shear", self.shear, lambda mu: mu >= 0, "μ ≥ 0, in Pa")
        check_parameter("time", self.time, lambda time: time > 0, "t_r > 0, in s")

    def init(self, F):
        return self.elastic.init(F), spherical(jnp.ones((), F.dtype), 3)

    def energy(self, F, alpha):
        inner, flow = alpha
        return self.elastic.energy(F, inner) + self._branch(_spring(F, flow))

    def _branch(self, Fe: Matrices) -> Scalar:
        return number(self, "shear", Fe.dtype) * square(_deviator(Fe))

    def kirchhoff(self, F, alpha):
        (inner, flow), d = alpha, len(F)
        eps = _deviator(transpose(_spring(F, flow)))[:d, :d]
        branch = 2 * number(self, "shear", F.dtype) * eps
        return self.elastic.kirchhoff(F, inner) + branch

    def update(self, F, alpha, dt):
        inner, flow = alpha
        _, inner = self.elastic.update(F, inner, dt)
        ratio = tree.cast(dt, F.dtype) / number(self, "time", F.dtype)
        change = isotropic_function(_relaxed, _spring(F, flow), jnp.expm1(-ratio))
        return F, (inner, flow + matmul(flow, change))

    def dissipation(self, F, alpha) -> Scalar:
        """2μ‖ε̂‖²/t_r in W/m³, and that of ψ∞."""
        own = 2 * self._branch(_spring(F, alpha[1])) / number(self, "time", F.dtype)
        return own + dissipation(self.elastic, F, alpha[0])


def _spring(F, flow):
    """Fᵉ = Fα."""
    return matmul(F if len(F) == 3 else spatial(F, jnp.ones((), F.dtype)), flow)


def _deviator(Fe):
    """dev ½ log FᵉᵀFᵉ."""
    eps = log_strain(Fe)
    return eps - spherical(trace(eps) / 3, 3)


def _relaxed(eps, loss):
    """σ_new/σ − 1, where ε̂ changes by loss·ε̂."""
    return jnp.expm1(loss * deviator(eps)[0])
