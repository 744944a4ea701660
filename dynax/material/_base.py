"""What a constitutive law is: the stress of one material point, and its own change."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike
from dynax.material.kinematics import matmul, transpose


Matrix = Float[Array, "d d"]
Internal = PyTree[Float[Array, "..."]]


class AbstractLaw(eqx.Module):
    """The law of one material point, d = 2 (plane strain) or 3; `jax.vmap` for many.

    F is the deformation gradient of shape (d, d), of the elastic part where there is a
    plastic one. Units are SI: stresses in Pa, energies in J per m³ of the undeformed
    body, times in s. Parameters are fields, traced, so that sweeping or learning them
    never recompiles; results have F's dtype.

    A solver moves the point, F ← (I + dt ∇v)F, then calls `update`, then `kirchhoff`.
    To write your own law say `kirchhoff`, or an energy (`AbstractHyperelastic`).
    """

    def init(self, F: Matrix) -> Internal:
        """α, the internal variables at rest; () where there are none."""
        del F
        return ()

    @abc.abstractmethod
    def kirchhoff(self, F: Matrix, alpha: Internal = ()) -> Matrix:
        """τ = P Fᵀ = J σ, in Pa."""

    def update(
        self, F: Matrix, alpha: Internal, dt: ScalarLike
    ) -> tuple[Matrix, Internal]:
        """What happens within the material during dt, once it has moved: plastic
        return, flow of internal variables. The identity unless a law says more."""
        del dt
        return F, alpha

    def stiffness(self, F: Matrix) -> Scalar:
        """M in Pa with c = √(M/ρ₀), the fastest wave, for the limit of the time step.

        Unless a law says better, from its derivative: the norm of the acoustic tensor
        Q(n) of waves along the axes, Q(n)m = (Dτ[HF] − τHᵀ) n with H = m⊗n.
        """
        alpha = self.init(F)
        stress = lambda F: self.kirchhoff(F, alpha)
        tau, eye = stress(F), jnp.eye(F.shape[-1], dtype=F.dtype)

        def column(m, n):
            H = m[:, None] * n[None, :]
            change = jax.jvp(stress, (F,), (matmul(H, F),))[1]
            return (change - matmul(tau, transpose(H))) @ n

        Q = jax.vmap(lambda n: jax.vmap(column, (0, None))(eye, n))(eye)
        return jnp.sqrt(jnp.max(jnp.sum(Q**2, (1, 2))))


class AbstractHyperelastic(AbstractLaw):
    """A law with a stored energy: τ = (∂ψ/∂F) Fᵀ.

    ψ never rises in `update`: what it loses there is the heat of the step. So the
    energy of a body is a ledger, and the law passes the second law of thermodynamics.
    """

    @abc.abstractmethod
    def energy(self, F: Matrix, alpha: Internal = ()) -> Scalar:
        """ψ in J/m³; 0 at rest."""

    def kirchhoff(self, F, alpha=()):
        return matmul(jax.grad(self.energy)(F, alpha), transpose(F))


class AbstractViscous(AbstractHyperelastic):
    """A law whose internal variables flow, at a rate of loss that is known."""

    @abc.abstractmethod
    def dissipation(self, F: Matrix, alpha: Internal) -> Scalar:
        """−⟨∂ψ/∂α, α̇⟩ ≥ 0 in W/m³."""


def dissipation(law: AbstractLaw, F: Matrix, alpha: Internal) -> Scalar:
    """That of a viscous law, else 0."""
    if isinstance(law, AbstractViscous):
        return law.dissipation(F, alpha)
    return jnp.zeros((), F.dtype)


class AbstractClassical(AbstractHyperelastic):
    """An isotropic law of two constants, Hooke's for small strains.

    Args:
        young: E > 0, Pa.
        poisson: −1 < ν < ½.
    """

    young: ScalarLike
    poisson: ScalarLike

    def __check_init__(self):
        within("young", self.young, lambda E: E > 0, "E > 0, in Pa")
        inside = lambda nu: (nu > -1) & (nu < 0.5)
        within("poisson", self.poisson, inside, "−1 < ν < ½")

    def lame(self, dtype) -> tuple[Scalar, Scalar]:
        """λ, μ in Pa."""
        return lame(tree.cast(self.young, dtype), tree.cast(self.poisson, dtype))


class AbstractReturn(eqx.Module):
    """The plastic part of a law: where F_trial, beyond yield, returns to."""

    @abc.abstractmethod
    def project(self, F: Matrix, elastic: AbstractLaw) -> Matrix:
        """F_trial → F; the elastic part of the law says what stress F means."""


class AbstractPlastic(AbstractLaw):
    """An elastic law, and the return map that follows each `update` of it."""

    elastic: eqx.AbstractVar[AbstractLaw]
    plastic: eqx.AbstractVar[AbstractReturn]

    def init(self, F):
        return self.elastic.init(F)

    def kirchhoff(self, F, alpha=()):
        return self.elastic.kirchhoff(F, alpha)

    def update(self, F, alpha, dt):
        F, alpha = self.elastic.update(F, alpha, dt)
        return self.plastic.project(F, self.elastic), alpha

    def stiffness(self, F):
        return self.elastic.stiffness(F)


class Elastoplastic(AbstractPlastic, AbstractHyperelastic):
    """F = FᵉFᵖ: energy and stress of Fᵉ, which a return map keeps within yield.

    F here is Fᵉ throughout. The heat of a step is ψ(F_trial) − ψ(F) ≥ 0.

    Args:
        elastic: a law with an energy.
        plastic: its return map.
    """

    elastic: AbstractHyperelastic
    plastic: AbstractReturn

    def __check_init__(self):
        if not isinstance(self.elastic, AbstractHyperelastic):
            raise TypeError(
                f"elastic: given {type(self.elastic).__name__}, which has no energy; "
                "accepted is an AbstractHyperelastic (StressAndReturn takes the rest)."
            )

    def energy(self, F, alpha=()):
        return self.elastic.energy(F, alpha)


class StressAndReturn(AbstractPlastic):
    """As `Elastoplastic`, of a stress without an energy: nothing is claimed of it."""

    elastic: AbstractLaw
    plastic: AbstractReturn


def lame(young: ScalarLike, poisson: ScalarLike) -> tuple[Scalar, Scalar]:
    """λ = Eν/((1+ν)(1−2ν)) and μ = E/2(1+ν)."""
    young, poisson = jnp.asarray(young), jnp.asarray(poisson)
    mu = young / (2 * (1 + poisson))
    return 2 * mu * poisson / (1 - 2 * poisson), mu


def moduli(elastic: AbstractLaw, dtype) -> tuple[Scalar, Scalar]:
    """λ, μ of the elastic part, for a return map.

    Raises:
        TypeError: it has none.
    """
    if not isinstance(elastic, AbstractClassical):
        raise TypeError(
            f"elastic: given {type(elastic).__name__}; accepted is an "
            "AbstractClassical, whose E and ν this return map needs."
        )
    return elastic.lame(dtype)


def within(
    name: str, given: ScalarLike, holds: Callable[[np.ndarray], Any], accepted: str
) -> None:
    """A parameter is where its law makes sense; a tracer passes.

    Raises:
        ValueError: it is not, or is NaN.
    """
    if tree.is_concrete(given) and not np.all(holds(np.asarray(given))):
        raise ValueError(f"{name}: given {given}; accepted is {accepted}.")
