"""Muon with the exact orthogonal factor: a Lion-κ."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax._types import ScalarLike
from dynax.kappa import L1, AbstractArrayKappa, AbstractNorm
from dynax.kappa.spectral import cut
from dynax.optim._averages import check_betas
from dynax.optim._polar import polar_newton_schulz, polar_svd
from dynax.optim._relatives import AbstractLion
from dynax.optim.lion_kappa import LionKappa


Factor = Literal["svd", "newton-schulz"]
FACTORS = {"svd": polar_svd, "newton-schulz": polar_newton_schulz}


class Muon(AbstractLion):
    """Step along the orthogonal factor of the momentum of a matrix.

    m₊ = βm − (1−β)g,  m̃ = βm₊ − (1−β)g,  x₊ = x + ε(UVᵀ − λx),  m̃ = UΣVᵀ.

    Lion-κ with κ = ‖·‖_*, β₂ = β and β₁ = β² (`nesterov`) or β; m is *minus* optax's
    `mu`. It solves min f on ‖X‖_op ≤ 1/λ for every matrix leaf. Certificate: H, Ḣ and
    the exact balance of LionKappa; inside, H = f + c(‖m‖_* − λ⟨m, X⟩), S(X) = ‖g‖_* +
    λ⟨X, g⟩ = 0 just at KKT points.

    Of the subgradients of ‖·‖_* at a matrix of less than full rank, UVᵀ over its σ > 0
    is the least: a matrix, a row or a rank without gradient does not move. With "svd" a
    σ ≤ n·u·σ₁ counts as 0; "newton-schulz" takes it anywhere in [0, 1].

    Leaves of fewer than two axes (biases, scales) take Lion's step, κ = ‖·‖₁, so that
    κ stays one convex function; optax.contrib.muon hands them to Adam.

    Source: Chen, Li, Liu, arXiv:2506.15054; Jordan et al., Muon. See `PracticalMuon`
    for the five Newton–Schulz steps in use, which are not a Lion-κ.

    Args:
        beta: in [0, 1).
        weight_decay: λ ≥ 0.
        nesterov: look ahead, as is usual.
        factor: UVᵀ by "svd", or by "newton-schulz": matrix products only, run until
            every σ ≥ eps‖m̃‖_F is 1 to round-off (21 steps of two products in float32,
            45 in float64), fit for accelerators and shards.
        stacked: of a leaf with more than two axes, the last two are a matrix and the
            others count matrices; False: the last axis against all others, as of a
            convolution.
    """

    beta: ScalarLike = 0.95
    weight_decay: ScalarLike = 0.0
    nesterov: bool = eqx.field(default=True, static=True)
    factor: Factor = eqx.field(default="svd", static=True)
    stacked: bool = eqx.field(default=False, static=True)

    def __check_init__(self):
        check_betas(beta=self.beta)
        _ = self.lion

    @property
    def lion(self) -> LionKappa:
        ahead = self.beta**2 if self.nesterov else self.beta
        kappa = ByRank(Nuclear(self.factor, self.stacked), L1())
        return LionKappa(kappa, ahead, self.beta, self.weight_decay)


class Nuclear(AbstractNorm):
    """κ(M) = ‖M‖_*, ∇κ(M) = UVᵀ, κ*(Y) = δ(‖Y‖_op ≤ 1); the sum over a stack.

    As `kappa.nuclear()`, with a choice of how UVᵀ is found and of what a matrix is.
    ‖M‖_* = ⟨M, UVᵀ⟩, without singular values for "newton-schulz". Distance: in ‖·‖_op.
    With `tall`, κ = ‖M‖_*·√max(1, rows/columns), or the other way round.
    """

    factor: Factor = eqx.field(default="svd", static=True)
    stacked: bool = eqx.field(default=False, static=True)
    tall: Literal["rows", "columns"] | None = eqx.field(default=None, static=True)
    scope: ClassVar[Literal["leaf", "tree"]] = "leaf"

    def _value(self, m):
        if self.factor == "svd":
            m = self._matrices(m)
            sigma = cut(jnp.linalg.svd(m, compute_uv=False), m.shape[-2:])
            return self._stretch(m) * jnp.sum(sigma)
        return jnp.sum(m * jax.lax.stop_gradient(self._grad(m)))

    def _grad(self, m):
        factor = FACTORS[self.factor](self._matrices(m)).reshape(m.shape)
        return self._stretch(m) * factor

    def _dual(self, y):
        sigma = jnp.linalg.svd(self._matrices(y), compute_uv=False)
        return jnp.max(sigma) / self._stretch(y)

    def _stretch(self, m) -> float:
        return stretch(self._matrices(m).shape, self.tall)

    def _matrices(self, m):
        if m.ndim < 2:
            return m.reshape(-1, 1)
        return m if self.stacked else m.reshape(-1, m.shape[-1])

    def __check_init__(self):
        accepted = " or ".join(map(repr, FACTORS))
        if self.factor not in FACTORS:
            raise ValueError(f"factor: given {self.factor!r}; accepted is {accepted}.")


def stretch(shape: tuple[int, ...], tall: str | None) -> float:
    """√max(1, rows/columns) of a matrix, of columns/rows, or 1."""
    rows, columns = shape[-2:]
    share = {"rows": rows / columns, "columns": columns / rows, None: 1.0}[tall]
    return max(1.0, share) ** 0.5


class ByRank(AbstractArrayKappa):
    """One κ for leaves of two axes or more, another for the rest: their sum."""

    matrices: AbstractArrayKappa
    vectors: AbstractArrayKappa
    scope: ClassVar[Literal["leaf", "tree"]] = "leaf"

    def __init__(self, matrices: AbstractArrayKappa, vectors: AbstractArrayKappa):
        self.matrices, self.vectors = matrices, vectors

    @property
    def smooth(self) -> bool:
        return self.matrices.smooth and self.vectors.smooth

    @property
    def zero_in_domain(self) -> bool:
        return self.matrices.zero_in_domain and self.vectors.zero_in_domain

    def _of(self, a) -> AbstractArrayKappa:
        return self.matrices if a.ndim >= 2 else self.vectors

    def _value(self, m):
        return self._of(m)._value(m)

    def _grad(self, m):
        return self._of(m)._grad(m)

    def _conjugate(self, y):
        return self._of(y)._conjugate(y)

    def _grad_conjugate(self, y):
        return self._of(y)._grad_conjugate(y)

    def _distance(self, y):
        return self._of(y)._distance(y)
