"""Elementwise potentials κ(m) = Σᵢ φ(mᵢ). Reference: Lion-κ, arXiv 2310.05898, Table 2.

The smooth families carry their width δ (or 1/s) and tend to ‖m‖₁ with it (n entries):
    0 ≤ SoftAbs − L1 ≤ nδ,   0 ≤ L1 − Huber ≤ nδ/2,   0 ≤ L1 − LogCosh ≤ n ln2 / s.
"""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from dynax._check import check_parameter
from dynax._types import ScalarLike

from ._base import AbstractBoxed


class L1(AbstractBoxed):
    """Take the ℓ₁ norm: Lion.

    Lion: the sign of the momentum.

        κ(m) = ‖m‖₁        ∇κ(m) = sign m        κ*(y) = δ(‖y‖_∞ ≤ 1)

    Lion-κ: the constraint ‖x‖_∞ ≤ 1/λ. Distance: (‖y‖_∞ − 1)₊ in ‖·‖_∞.
    Source: Chen et al., arXiv 2302.06675 (Lion); 2310.05898. optax: mode="hard".
    """

    smooth: ClassVar[bool] = False
    flat: ClassVar[bool] = True

    def _phi(self, m):
        return jnp.abs(m)

    def _grad(self, m):
        return jnp.sign(m)

    def _phi_conjugate(self, y):
        return jnp.zeros_like(y)

    def _grad_conjugate(self, y):
        return jnp.zeros_like(y)


class SparseL1(AbstractBoxed):
    """Lion that leaves small momenta alone.

        κ(m) = Σ(|m| − e)₊      ∇κ(m) = sign(m)·1(|m| > e)
        κ*(y) = e‖y‖₁ + δ(‖y‖_∞ ≤ 1)      ∇κ*(y) = e sign y

    Lion-κ: e‖x‖₁ and ‖x‖_∞ ≤ 1/λ. Distance: (‖y‖_∞ − 1)₊ in ‖·‖_∞.
    Source: arXiv 2310.05898, Table 2. `threshold` is e ≥ 0.
    """

    threshold: ScalarLike
    smooth: ClassVar[bool] = False

    def _phi(self, m):
        return jnp.maximum(jnp.abs(m) - _as(self.threshold, m), 0)

    def _grad(self, m):
        return jnp.where(jnp.abs(m) > _as(self.threshold, m), jnp.sign(m), 0)

    def _phi_conjugate(self, y):
        return _as(self.threshold, y) * jnp.minimum(jnp.abs(y), 1)

    def _grad_conjugate(self, y):
        return _as(self.threshold, y) * jnp.sign(y)

    def __check_init__(self):
        check_parameter("threshold", self.threshold, lambda e: e >= 0, "a number >= 0")


class Huber(AbstractBoxed):
    """Take a function that is quadratic near zero, so that the step is linear there and
    the sign further out.

        κ(m) = Σ m²/2δ where |m| ≤ δ, else |m| − δ/2      ∇κ(m) = clip(m/δ, −1, 1)
        κ*(y) = (δ/2)‖y‖² + δ(‖y‖_∞ ≤ 1)      ∇κ*(y) = δy

    Lion-κ: (δλ/2)‖x‖² and ‖x‖_∞ ≤ 1/λ. Distance: (‖y‖_∞ − 1)₊ in ‖·‖_∞.
    Source: arXiv 2310.05898, Table 2. optax: mode="refined" is δ = 1.
    """

    delta: ScalarLike
    smooth: ClassVar[bool] = True

    def _phi(self, m):
        delta = _as(self.delta, m)
        near = jnp.clip(m, -delta, delta)
        return near / delta * (m - near / 2)

    def _grad(self, m):
        return jnp.clip(m / _as(self.delta, m), -1, 1)

    def _phi_conjugate(self, y):
        return _as(self.delta, y) / 2 * jnp.clip(y, -1, 1) ** 2

    def _grad_conjugate(self, y):
        return _as(self.delta, y) * jnp.clip(y, -1, 1)

    def __check_init__(self):
        check_parameter("delta", self.delta, lambda delta: delta > 0, "a number > 0")


class SoftAbs(AbstractBoxed):
    """The smooth Lion to integrate as an ODE.

        κ(m) = Σ√(m² + δ²)      ∇κ(m) = m/√(m² + δ²)
        κ*(y) = −δΣ√(1 − y²) on ‖y‖_∞ ≤ 1      ∇κ*(y) = δy/√(1 − y²)   (1 − y² ≥ eps)

    Lion-κ: −(δ/λ)Σ√(1 − λ²x²), whose slope is infinite at the faces of
    ‖x‖_∞ ≤ 1/λ. Distance: (‖y‖_∞ − 1)₊ in ‖·‖_∞. Source: arXiv 2310.05898 (smoothing).
    """

    delta: ScalarLike
    smooth: ClassVar[bool] = True

    def _phi(self, m):
        return _hypot(m, _as(self.delta, m))

    def _grad(self, m):
        return m / _hypot(m, _as(self.delta, m))

    def _phi_conjugate(self, y):
        square = (1 - y) * (1 + y)
        inside = square > 0
        root = jnp.where(inside, jnp.sqrt(jnp.where(inside, square, 1)), 0)
        return -_as(self.delta, y) * root

    def _grad_conjugate(self, y):
        y = jnp.clip(y, -1, 1)
        square = jnp.maximum((1 - y) * (1 + y), jnp.finfo(y.dtype).eps)
        return _as(self.delta, y) * y / jnp.sqrt(square)

    def __check_init__(self):
        check_parameter("delta", self.delta, lambda delta: delta > 0, "a number > 0")


class LogCosh(AbstractBoxed):
    """Lion with tanh for the sign.

        κ(m) = (1/s)Σ ln cosh(sm)      ∇κ(m) = tanh(sm)
        κ*(y) = (1/2s)Σ (1+y)ln(1+y) + (1−y)ln(1−y) on ‖y‖_∞ ≤ 1
        ∇κ*(y) = artanh(y)/s   (|y| ≤ 1 − eps)

    Lion-κ: an entropic barrier on ‖x‖_∞ ≤ 1/λ. Distance: (‖y‖_∞ − 1)₊ in ‖·‖_∞.
    Source: arXiv 2310.05898, Table 2. optax: mode="smooth", smooth_beta = s.
    """

    scale: ScalarLike
    smooth: ClassVar[bool] = True

    def _phi(self, m):
        sm = _as(self.scale, m) * m
        small = jnp.abs(sm) < 1  # there ln cosh z = log1p(2 sinh²(z/2)) is accurate
        near = jnp.log1p(2 * jnp.sinh(jnp.where(small, sm, 0) / 2) ** 2)
        far = jnp.logaddexp(sm, -sm) - float(np.log(2))
        return jnp.where(small, near, far) / _as(self.scale, m)

    def _grad(self, m):
        return jnp.tanh(_as(self.scale, m) * m)

    def _phi_conjugate(self, y):
        y = jnp.clip(y, -1, 1)
        small = jnp.abs(y) < 0.5  # there the two entropies cancel to second order
        z = jnp.where(small, y, 0)
        near = 2 * z * jnp.arctanh(z) + jnp.log1p(-z * z)
        far = _entropy(y) + _entropy(-y)
        return jnp.where(small, near, far) / (2 * _as(self.scale, y))

    def _grad_conjugate(self, y):
        edge = 1 - float(jnp.finfo(y.dtype).eps)
        return jnp.arctanh(jnp.clip(y, -edge, edge)) / _as(self.scale, y)

    def __check_init__(self):
        check_parameter("scale", self.scale, lambda s: s > 0, "a number > 0")


def _as(parameter, array):
    return jnp.asarray(parameter, array.dtype)


def _hypot(m, delta):
    """√(m² + δ²) without overflow; s cancels, so it is a constant to autodiff."""
    s = lax.stop_gradient(jnp.maximum(jnp.abs(m), delta))
    return s * jnp.sqrt((m / s) ** 2 + (delta / s) ** 2)


def _entropy(y):
    """(1 + y)ln(1 + y), 0 at y = −1."""
    inside = y > -1
    return jnp.where(inside, (1 + y) * jnp.log1p(jnp.where(inside, y, 0)), 0)
