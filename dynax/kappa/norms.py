"""Potentials that couple the entries of an array. Reference: arXiv 2310.05898, Table 2.

`scope` is the user's statement of what one vector is: each leaf, or the whole tree.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from dynax._check import check_parameter, require
from dynax._types import ScalarLike

from ._base import AbstractArrayKappa, AbstractNorm, Scope


class Lp(AbstractNorm):
    """Take the ℓ_p norm: Lion-ℓ_p.

    Lion-ℓ_p, 1 < p < ∞ (p = 1 is `L1`, p = ∞ is `LInf`), 1/p + 1/q = 1.

        κ(m) = ‖m‖_p      ∇κ(m) = sign(m)(|m|/‖m‖_p)^{p−1}      κ*(y) = δ(‖y‖_q ≤ 1)

    Lion-κ: ‖x‖_q ≤ 1/λ; p = 2 is normalised momentum in a ball.
    Distance: (‖y‖_q − 1)₊ in ‖·‖_q. Source: arXiv 2310.05898, Table 2.
    """

    p: ScalarLike
    scope: Scope = eqx.field(default="leaf", static=True)

    def _value(self, m):
        return jnp.sum(norm(m, self.p))

    def _grad(self, m):
        return norm_grad(m, self.p)

    def _dual(self, y):
        return jnp.sum(norm(y, dual_exponent(self.p, y)))

    def __check_init__(self):
        check_parameter("p", self.p, lambda p: p > 1, "a number > 1")


class LInf(AbstractNorm):
    """Take the ℓ_∞ norm: greedy coordinate descent.

        κ(m) = ‖m‖_∞      ∇κ(m) = sign(mⱼ)eⱼ, j = argmax|m|      κ*(y) = δ(‖y‖₁ ≤ 1)

    Lion-κ: ‖x‖₁ ≤ 1/λ, sparse x. Distance: (‖y‖₁ − 1)₊ in ‖·‖₁.
    Source: arXiv 2310.05898, Table 2.
    """

    scope: Scope = eqx.field(default="leaf", static=True)

    def _value(self, m):
        return jnp.max(jnp.abs(m))

    def _grad(self, m):
        return _sign_on(jnp.argmax(jnp.abs(m)), m)

    def _dual(self, y):
        return jnp.sum(jnp.abs(y))


class GroupL2(AbstractNorm):
    """Normalise each group of entries. G runs over the slices along `axis` (an int or
    several).

        κ(m) = Σ_G‖m_G‖₂      ∇κ(m)_G = m_G/‖m_G‖      κ*(y) = δ(max_G‖y_G‖ ≤ 1)

    axis = 0 on an (in, out) matrix: one group a column. axis = None: each leaf (scope
    "leaf") or the whole tree (scope "tree") is one group, κ = ‖·‖₂.
    Lion-κ: ‖x_G‖ ≤ 1/λ. Distance: (max_G‖y_G‖ − 1)₊ in max_G‖·‖₂.
    Source: arXiv 2310.05898, Table 2.
    """

    axis: int | tuple[int, ...] | None = eqx.field(default=None, static=True)
    scope: Scope = eqx.field(default="leaf", static=True)

    def _value(self, m):
        return jnp.sum(norm(m, 2.0, self.axis))

    def _grad(self, m):
        return norm_grad(m, 2.0, self.axis)

    def _dual(self, y):
        return jnp.max(norm(y, 2.0, self.axis))

    def __check_init__(self):
        whole = self.scope == "leaf" or self.axis is None
        require(whole, "axis", self.axis, "None when scope is 'tree'")


class TopK(AbstractNorm):
    """The sum of the k largest |mᵢ|: k = 1 is ‖·‖_∞, k = n is ‖·‖₁.

        κ(m) = Σ_{i≤k}|m|₍ᵢ₎      ∇κ(m) = sign(m) on the k largest
        κ*(y) = δ(‖y‖_∞ ≤ 1, ‖y‖₁ ≤ k)      dual norm max(‖y‖_∞, ‖y‖₁/k)

    Lion-κ: ‖x‖_∞ ≤ 1/λ and ‖x‖₁ ≤ k/λ. Distance: (‖y‖_dual − 1)₊ in the dual norm.
    Source: arXiv 2310.05898, Table 2. A block of fewer
    than k entries has them all among its k largest.
    """

    k: int = eqx.field(static=True)
    scope: Scope = eqx.field(default="leaf", static=True)

    def _value(self, m):
        return jnp.sum(lax.top_k(jnp.abs(m).ravel(), self._fitting(m))[0])

    def _grad(self, m):
        return _sign_on(lax.top_k(jnp.abs(m).ravel(), self._fitting(m))[1], m)

    def _dual(self, y):
        size = jnp.abs(y)
        return jnp.maximum(jnp.max(size), jnp.sum(size) / self.k)

    def _fitting(self, m) -> int:
        return min(self.k, m.size)

    def __check_init__(self):
        whole = isinstance(self.k, int) and not isinstance(self.k, bool)
        require(whole and self.k >= 1, "k", self.k, "an int >= 1")


class LogSumExp(AbstractArrayKappa):
    """Smooth the maximum, for softmax steps. 0 ≤ κ(m) − max m ≤ δ ln n.

        κ(m) = δ ln Σ e^{m/δ}      ∇κ(m) = softmax(m/δ)
        κ*(y) = δΣ y ln y on the simplex Δ      ∇κ*(y) ∋ δ ln y   (y ≥ tiny)

    Lion-κ: λx ∈ Δ and the entropy (δ/λ)Σλx ln λx. Here 0 ∉ dom κ*.
    Distance: N + |P − 1| in ‖·‖₁, P = Σy₊, N = Σ(−y)₊. Source: arXiv 2310.05898.
    """

    temperature: ScalarLike
    scope: Scope = eqx.field(default="leaf", static=True)
    smooth: ClassVar[bool] = True
    zero_in_domain: ClassVar[bool] = False

    def _value(self, m):
        delta = jnp.asarray(self.temperature, m.dtype)
        return delta * jax.nn.logsumexp(m / delta)

    def _grad(self, m):
        return jax.nn.softmax(m / jnp.asarray(self.temperature, m.dtype), axis=None)

    def _conjugate(self, y):
        y = jnp.clip(y, 0, 1)
        entropy = jnp.sum(y * jnp.log(jnp.where(y > 0, y, 1)))
        return jnp.asarray(self.temperature, y.dtype) * entropy

    def _grad_conjugate(self, y):
        y = jnp.clip(y, jnp.finfo(y.dtype).tiny, 1)
        return jnp.asarray(self.temperature, y.dtype) * jnp.log(y)

    def _distance(self, y):
        return jnp.sum(jax.nn.relu(-y)) + jnp.abs(jnp.sum(jax.nn.relu(y)) - 1)

    def __check_init__(self):
        given = self.temperature
        check_parameter("temperature", given, lambda delta: delta > 0, "a number > 0")


def dual_exponent(p, array):
    p = jnp.asarray(p, array.dtype)
    return p / (p - 1)


def norm(m, p, axis=None):
    """‖m‖_p along axis (kept). The scale s = max|m| cancels: constant to autodiff."""
    p = jnp.asarray(p, m.dtype)
    size = jnp.abs(m)
    s = lax.stop_gradient(jnp.max(size, axis=axis, keepdims=True))
    power = jnp.sum((size / jnp.where(s > 0, s, 1)) ** p, axis=axis, keepdims=True)
    return s * jnp.where(s > 0, power, 1) ** (1 / p)


def norm_grad(m, p, axis=None):
    size = norm(m, p, axis)
    ratio = jnp.abs(m) / jnp.where(size > 0, size, 1)
    return jnp.sign(m) * ratio ** (jnp.asarray(p, m.dtype) - 1)


def _sign_on(index, m):
    flat = m.ravel()
    return jnp.zeros_like(flat).at[index].set(jnp.sign(flat[index])).reshape(m.shape)
