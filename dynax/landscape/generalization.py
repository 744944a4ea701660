"""How gradient flow generalises in high dimension: the student of a noisy teacher.

    y = w̄·x + ε,   x_i ~ N(0, 1/N),   P = αN samples,   ẇ = Σ_μ (y_μ − w·x_μ) x_μ

For N → ∞ the test error depends on the eigenvalues λ of Σ x xᵀ alone, and they have the
Marchenko–Pastur density ρ(λ) = √((λ₊−λ)(λ−λ₋))/(2πλ) on λ± = (√α ± 1)², and a share
1 − α of zeros if α < 1:

    E(t) = ⟨(σ_w̄² + σ_w²) e^(−2λt) + (σ_ε²/λ)(1 − e^(−λt))²⟩ + σ_ε²

    E(∞) = σ_ε²/(α−1) + σ_ε²                                  α > 1
         = (1−α)(σ_w̄² + σ_w²) + σ_ε² α/(1−α) + σ_ε²            α < 1

with σ_w̄², σ_w² the variances of the teacher's and the first weights' components. At
α = 1 E(∞) = ∞ (double descent), and E is least at a finite t (early stopping).

Source: Advani, Saxe, arXiv:1710.03667.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax._types import Scalar, ScalarLike


def marchenko_pastur(
    load: float, points: int = 512
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Eigenvalues λ_k and weights with ⟨g⟩ ≈ Σ w_k g(λ_k): a quadrature.

    With λ = 1 + α + 2√α cos θ the rule is the trapezium rule in θ, which converges
    exponentially for smooth g (algebraically at α = 1, where λ₋ = 0). The last point
    is λ = 0, with the weight 1 − α if α < 1.
    """
    if not load > 0:
        raise ValueError(f"load: given {load}; accepted is α = P/N > 0.")
    theta = np.pi * np.arange(1, points + 1) / (points + 1)
    values = 1 + load + 2 * load**0.5 * np.cos(theta)
    weights = 2 * load * np.sin(theta) ** 2 / (points + 1) / values
    zero = max(0.0, 1.0 - load)
    return jnp.asarray(np.r_[values, 0.0]), jnp.asarray(np.r_[weights, zero])


def error_of_spectrum(
    t: ScalarLike,
    eigenvalues: Float[Array, " k"],
    weights: Float[Array, " k"],
    *,
    signal: ScalarLike = 1.0,
    noise: ScalarLike = 1.0,
) -> Scalar:
    """E(t) for given eigenvalues; `signal` = σ_w̄² + σ_w², `noise` = σ_ε²."""
    learnt = -jnp.expm1(-eigenvalues * t)
    divisor = jnp.where(eigenvalues > 0, eigenvalues, 1)
    per_mode = signal * (1 - learnt) ** 2 + noise * learnt**2 / divisor
    return jnp.sum(weights * per_mode) + noise


def generalization_error(
    t: ScalarLike,
    load: float,
    *,
    signal: ScalarLike = 1.0,
    noise: ScalarLike = 1.0,
    points: int = 512,
) -> Scalar:
    """E(t) for N → ∞ at α = `load`; `signal` = σ_w̄² + σ_w², `noise` = σ_ε²."""
    return error_of_spectrum(
        t, *marchenko_pastur(load, points), signal=signal, noise=noise
    )


def limit(load: float, *, signal: float = 1.0, noise: float = 1.0) -> float:
    """E(∞), infinite at α = 1 if there is noise."""
    if load == 1:
        return float("inf") if noise else 0.0
    if load > 1:
        return noise / (load - 1) + noise
    return (1 - load) * signal + noise * load / (1 - load) + noise
