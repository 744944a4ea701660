"""What a constitutive law is: the stress of one material point, and its own change."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.material._waves import fastest
from dynax.material.kinematics import matmul, spatial, transpose


Matrix = Float[Array | np.ndarray, "d d"]
Internal = PyTree[Float[Array, "..."]]


class AbstractLaw(eqx.Module):
    """Give the law of one material point.

    The law of one material point, d = 2 (plane strain) or 3; `jax.vmap` for many.

    F is the deformation gradient of shape (d, d), of the elastic part where there is a
    plastic one. Units are SI: stresses in Pa, energies in J per m³ of the undeformed
    body, times in s. Parameters are fields, traced, so that sweeping or learning them
    never recompiles; results have F's dtype. In the plane, F₃₃ = 1: what happens along
    the third axis is not forgotten.

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

    def stiffness(self, F: Matrix, alpha: Internal = ()) -> Scalar:
        """M in Pa with c = √(M/ρ₀), the fastest wave, for the limit of the time step.

        Unless a law says better, from its derivative (`fastest`): the largest
        eigenvalue over all n of the acoustic tensor Q(n)m = (Dτ[HF] − τHᵀ)n, H = m⊗n.
        """
        return fastest(lambda F: self.kirchhoff(F, alpha), F)


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
        check_parameter("young", self.young, lambda E: E > 0, "E > 0, in Pa")
        inside = lambda nu: (nu > -1) & (nu < 0.5)
        check_parameter("poisson", self.poisson, inside, "−1 < ν < ½")

    def lame(self, dtype) -> tuple[Scalar, Scalar]:
        """λ, μ in Pa."""
        return lame(number(self, "young", dtype), number(self, "poisson", dtype))


class AbstractReturn(eqx.Module):
    """The plastic part of a law: where F_trial, beyond yield, returns to."""

    accepts: ClassVar[type | tuple[type, ...]] = AbstractLaw  # what it may be joined to

    def check(self, elastic: AbstractLaw) -> None:
        """Raise a ValueError where the numbers of `elastic` do not go with it."""
        del elastic

    def init(self, F: Matrix) -> Internal:
        """Its own internal variables at rest, such as a hardening; () for none."""
        del F
        return ()

    @abc.abstractmethod
    def project(
        self, F: Matrix, alpha: Internal, dt: ScalarLike, elastic: AbstractLaw
    ) -> tuple[Matrix, Internal]:
        """(F_trial, α) → (F, α) in dt; `elastic` says what stress F means."""


class AbstractPlastic(AbstractLaw):
    """An elastic law, and the return map that follows each `update` of it."""

    elastic: eqx.AbstractVar[AbstractLaw]
    plastic: eqx.AbstractVar[AbstractReturn]

    def __check_init__(self):
        accepts = self.plastic.accepts
        if not isinstance(self.elastic, accepts):
            kinds = accepts if isinstance(accepts, tuple) else (accepts,)
            raise TypeError(
                f"elastic: given {type(self.elastic).__name__}; accepted with "
                f"{type(self.plastic).__name__} is "
                f"{' or '.join(kind.__name__ for kind in kinds)}."
            )
        self.plastic.check(self.elastic)


class Elastoplastic(AbstractPlastic, AbstractHyperelastic):
    """Split the deformation into an elastic and a plastic part.

    F = FᵉFᵖ: energy and stress of Fᵉ, which a return map keeps within yield.

    F here is Fᵉ throughout. The heat of a step is ψ(F_trial) − ψ(F), which is ≥ 0 with
    the returns of this package; of a return of your own, that is your claim.

    α = (that of the elastic law, that of the return), or () where both are (). In the
    plane it has Fᵉ₃₃ as well: F₃₃ = 1, of which a plastic part is taken up by Fᵉ₃₃.
    Return and elastic law are given Fᵉ in three dimensions.

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

    def init(self, F):
        if len(F) == 3:
            return _kept(*_both(self, F))
        third = jnp.ones((), F.dtype)
        return *_both(self, spatial(F, third)), third

    def _spatial(self, F, alpha):
        """Fᵉ in three dimensions, α of the elastic law and of the return."""
        if len(F) == 3:
            return F, *(alpha or _both(self, F))
        full: Any = alpha or self.init(F)
        inner, own, third = full
        return spatial(F, third), inner, own

    def energy(self, F, alpha=()):
        Fe, inner, _ = self._spatial(F, alpha)
        return self.elastic.energy(Fe, inner)

    def kirchhoff(self, F, alpha=()):
        d = len(F)
        Fe, inner, _ = self._spatial(F, alpha)
        return self.elastic.kirchhoff(Fe, inner)[:d, :d]

    def update(self, F, alpha, dt):
        d = len(F)
        Fe, inner, own = self._spatial(F, alpha)
        Fe, inner = self.elastic.update(Fe, inner, dt)
        Fe, own = self.plastic.project(Fe, own, dt, self.elastic)
        return Fe[:d, :d], _kept(inner, own) if d == 3 else (inner, own, Fe[2, 2])

    def stiffness(self, F, alpha=()):
        if len(F) == 3:
            return self.elastic.stiffness(*self._spatial(F, alpha)[:2])
        return fastest(lambda F: self.kirchhoff(F, alpha), F)


class StressAndReturn(AbstractPlastic):
    """Put a return after a stress without an energy, as `Elastoplastic` does: nothing
    is claimed of it.

    In the plane both are two-dimensional: nothing is known of a third axis.
    """

    elastic: AbstractLaw
    plastic: AbstractReturn

    def init(self, F):
        return _kept(*_both(self, F))

    def kirchhoff(self, F, alpha=()):
        return self.elastic.kirchhoff(F, (alpha or _both(self, F))[0])

    def update(self, F, alpha, dt):
        inner, own = alpha or _both(self, F)
        F, inner = self.elastic.update(F, inner, dt)
        F, own = self.plastic.project(F, own, dt, self.elastic)
        return F, _kept(inner, own)

    def stiffness(self, F, alpha=()):
        return self.elastic.stiffness(F, (alpha or _both(self, F))[0])


def _both(law, F):
    """α at rest, of the elastic law and of the return."""
    return law.elastic.init(F), law.plastic.init(F)


def _kept(inner, own):
    """α of the two; () where nothing is remembered."""
    return (inner, own) if jax.tree.leaves((inner, own)) else ()


def lame(young: ScalarLike, poisson: ScalarLike) -> tuple[Scalar, Scalar]:
    """Convert Young's modulus and Poisson's ratio to Lamé's constants.

    λ = Eν/((1+ν)(1−2ν)) and μ = E/2(1+ν).
    """
    young, poisson = jnp.asarray(young), jnp.asarray(poisson)
    mu = young / (2 * (1 + poisson))
    return 2 * mu * poisson / (1 - 2 * poisson), mu


def number(owner: eqx.Module, name: str, dtype) -> Scalar:
    """A parameter of one point, in the dtype of F.

    Raises:
        ValueError: at trace time; it is not one number.
    """
    given = getattr(owner, name)
    if jnp.shape(given) != ():
        raise ValueError(
            f"{name}: given shape {jnp.shape(given)}; accepted is () of one point. One "
            "value a point is for mpm.Material, one an element for Solid and Bar."
        )
    return tree.cast(given, dtype)


def not_plastic(elastic: AbstractLaw) -> None:
    """What viscous branches stand beside has no return, which they would not make.

    Raises:
        TypeError: it is plastic.
    """
    if isinstance(elastic, AbstractPlastic):
        raise TypeError(
            f"elastic: given {type(elastic).__name__}, whose return would not be made; "
            "accepted is a law without one."
        )
