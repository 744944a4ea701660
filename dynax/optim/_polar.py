"""The polar factor UVᵀ of M = UΣVᵀ: exactly, by a convergent iteration, and roughly."""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from dynax._types import ScalarLike
from dynax.kappa.spectral import thin_svd


PRACTICAL = (3.4445, -4.7750, 2.0315)  # Jordan et al., Muon


@functools.cache
def scaled_newton_schulz(eps: float) -> tuple[np.ndarray, float]:
    """Rows (a, b) of the steps σ ← aσ + bσ³ that bring all of [eps, 1] to 1 ± error.

    Each is the cubic with the least error on the interval [l, u] left by those before
    (Polar Express, arXiv:2505.16932, degree 3, in closed form). l is taken as at least
    u/10: the cubic throws the largest σ down to about l, and round-off with it.
    """
    low, high, rows = eps, 1.0, []
    while max(1 - low, high - 1) > eps:
        w = max(low, high / 10)
        alpha = np.sqrt(3 / (high**2 + high * w + w**2))
        top = 4 / (2 + w * high * (w + high) * alpha**3)
        a, b = 1.5 * alpha * top, -0.5 * alpha**3 * top
        rows.append((a, b))
        low, high = min(a * low + b * low**3, a * high + b * high**3), top
    return np.array(rows), max(1 - low, high - 1)


def polar_svd(m: Float[Array, "*batch rows columns"]):
    """UVᵀ over the σ that are not rounding: the least subgradient of ‖·‖_*."""
    u, sigma, vt = thin_svd(m)
    return _matmul(u * jnp.sign(sigma)[..., None, :], vt)


def polar_newton_schulz(m: Float[Array, "*batch rows columns"]):
    """UVᵀ by matrix products only, to round-off of the dtype: 21 steps, 45 in float64.

    σ ≥ eps‖M‖_F end at 1 ± a few eps; smaller ones anywhere in [0, 1], which for the
    subgradient inequality ‖M‖_* − ⟨M, V⟩ ≥ 0 is an error of at most Σσ over them.
    """
    rows, _ = scaled_newton_schulz(float(jnp.finfo(m.dtype).eps))

    def step(x, row):
        return row[0] * x + row[1] * _matmul(_gram(x), x), None

    x, wide = _wide(m)
    x, _ = lax.scan(step, x, jnp.asarray(rows, m.dtype))
    return x if wide else _transpose(x)


def five_steps(m: Float[Array, "*batch rows columns"], eps: ScalarLike = 1e-8):
    """Practical Muon's: σ/‖M‖_F ends somewhere in [0.68, 1.13] if it was not tiny."""
    a, b, c = (jnp.asarray(v, m.dtype) for v in PRACTICAL)
    x, wide = _wide(m, jnp.asarray(eps, m.dtype))
    for _ in range(5):
        gram = jnp.matmul(x, _transpose(x))
        x = a * x + jnp.matmul(b * gram + c * jnp.matmul(gram, gram), x)
    return x if wide else _transpose(x)


def _wide(m, eps=None):
    """M/‖M‖_F with no more rows than columns, and whether it was so already."""
    wide = m.shape[-2] <= m.shape[-1]
    x = m if wide else _transpose(m)
    norm = jnp.sqrt(jnp.sum(x * x, axis=(-2, -1), keepdims=True))
    if eps is None:
        return x / jnp.where(norm > 0, norm, 1), wide
    return x / (norm + eps), wide


def _gram(x):
    return _matmul(x, _transpose(x))


def _matmul(a, b):  # TF32 would leave the ball ‖V‖_op ≤ 1 by 1e-3
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _transpose(x):
    return jnp.swapaxes(x, -2, -1)
