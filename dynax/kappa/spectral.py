"""Potentials of the singular values of a matrix: Muon and its relatives."""

from typing import ClassVar

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dynax._check import require

from ._base import AbstractArrayKappa, Scope
from .norms import LInf, LogSumExp, TopK
from .separable import L1


class OrthogonallyInvariant(AbstractArrayKappa):
    """Apply a vector potential to the singular values of a matrix.

    κ(M) = φ(σ(M)) for a vector potential φ symmetric in order and signs.

        M = U diag(σ) Vᵀ      ∇κ(M) = U diag(∇φ(σ)) Vᵀ
        κ*(Y) = φ*(σ(Y))      dom κ* = {σ(Y) ∈ dom φ*}

    φ = L1: nuclear norm, UVᵀ (Muon), ‖X‖_op ≤ 1/λ. φ = LInf: spectral norm, u₁v₁ᵀ,
    ‖X‖_* ≤ 1/λ. φ = TopK(k): Ky Fan. φ = SoftAbs(δ), Huber(δ), LogCosh(s): smooth
    nuclear norms. Distance: φ's distance of σ(Y).

    A σ that the dtype cannot tell from 0 counts as 0 (`thin_svd`), and of all
    subgradients there the least is taken: ∇κ(0) = 0, and rows without gradient rest.
    At a repeated σ₁, LInf takes the pair that the factorisation puts first.

    An array is read as a matrix: fewer than two axes, one column (then ‖·‖_* = ‖·‖₂);
    more, the leading axes flattened into rows. Each leaf is a matrix of its own.
    First derivatives of `value` and `finite_conjugate` are fine at repeated σ; those of
    `grad` differentiate U and V and are not.
    Source: Lewis, J. Convex Anal. 2 (1995); Lion-κ as Muon: arXiv 2506.15054.
    """

    vector_kappa: AbstractArrayKappa
    scope: ClassVar[Scope] = "leaf"

    def __init__(self, vector_kappa: AbstractArrayKappa):
        self.vector_kappa = vector_kappa

    @property
    def smooth(self) -> bool:
        return self.vector_kappa.smooth

    @property
    def zero_in_domain(self) -> bool:
        return self.vector_kappa.zero_in_domain

    def _value(self, m):
        return self.vector_kappa._value(_singular_values(m))

    def _grad(self, m):
        return on_singular_values(self.vector_kappa._grad, m)

    def _conjugate(self, y):
        return self.vector_kappa._conjugate(_singular_values(y))

    def _grad_conjugate(self, y):
        return on_singular_values(self.vector_kappa._grad_conjugate, y)

    def _distance(self, y):
        return self.vector_kappa._distance(_singular_values(y))

    def __check_init__(self):
        phi = self.vector_kappa
        vector = isinstance(phi, AbstractArrayKappa)
        symmetric = not isinstance(phi, LogSumExp | OrthogonallyInvariant)
        accepted = "a kappa of vectors symmetric in order and signs, as L1 or SoftAbs"
        require(vector and symmetric, "vector_kappa", phi, accepted)


def nuclear() -> OrthogonallyInvariant:
    """Return the nuclear norm: the sum of all singular values.

    ‖M‖_* = Σσᵢ: Muon with the exact orthogonal factor.
    """
    return OrthogonallyInvariant(L1())


def spectral() -> OrthogonallyInvariant:
    """Return the spectral norm: the largest singular value.

    ‖M‖_op = σ₁: rank-one steps u₁v₁ᵀ. (A 16-bit u₁v₁ᵀ has ‖·‖_* > 1 by a few eps
    of its dtype: it is called outside. Keep this one in 32 bits.)"""
    return OrthogonallyInvariant(LInf())


def ky_fan(k: int) -> OrthogonallyInvariant:
    """Return the Ky Fan norm: the sum of the k largest singular values.

    σ₁ + … + σ_k: steps of rank k, between `spectral` and `nuclear`.
    """
    return OrthogonallyInvariant(TopK(k))


def _matrix(a):
    return a.reshape(-1, 1) if a.ndim < 2 else a.reshape(-1, a.shape[-1])


def _singular_values(a):
    return cut(jnp.linalg.svd(_matrix(a), compute_uv=False), _matrix(a).shape)


def on_singular_values(f, a):
    """U diag(f(σ)) Vᵀ, of an array read as one matrix."""
    u, sigma, vt = thin_svd(_matrix(a))
    full = lax.Precision.HIGHEST  # TF32 would leave dom κ* by 1e-3
    return jnp.matmul(u * f(sigma)[None, :], vt, precision=full).reshape(a.shape)


def thin_svd(m: Float[Array, "*batch rows columns"]):
    """U, σ, Vᵀ with the σ that are rounding set to 0: σ ≤ n·u·σ₁, n the longer side.

    An SVD in the unit round-off u leaves about that in the place of a zero.
    """
    u, sigma, vt = jnp.linalg.svd(m, full_matrices=False)
    return u, cut(sigma, m.shape[-2:]), vt


def cut(sigma: Float[Array, "*batch r"], shape: tuple[int, ...]):
    """0 where σ ≤ n·u·σ₁; of huge n half the digits are kept."""
    unit = float(jnp.finfo(sigma.dtype).eps) / 2
    share = min(max(shape) * unit, unit**0.5)
    return jnp.where(sigma <= share * sigma[..., :1], 0, sigma)
