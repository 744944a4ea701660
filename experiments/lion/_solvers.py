"""Solvers of min ½‖x − b‖² + (1/λ)κ*(λx) for every κ, independent of dynax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import kappa as K


def bisect(increasing, low, high):
    """The root of an increasing function, entry by entry."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    for _ in range(200):
        middle = (low + high) / 2
        below = increasing(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def soft(b, theta):
    return np.sign(b) * np.maximum(np.abs(b) - theta, 0)


def powered(b, mu, power):
    """sign(b)·x with x + μxᵖ = |b|."""
    size = np.abs(b)
    return np.sign(b) * bisect(lambda x: x + mu * x**power - size, 0 * b, size)


def on_budget(point, size, budget, most):
    """point(θ) for the least θ ≥ 0 with size(point(θ)) ≤ budget."""
    if size(point(0.0)) <= budget:
        return point(0.0)
    return point(bisect(lambda t: budget - size(point(t)), 0.0, most))


def l1_ball(b, lam, k=1, cap=np.inf):
    point = lambda theta: np.clip(soft(b, theta), -cap, cap)
    return on_budget(point, lambda x: np.abs(x).sum(), k / lam, np.abs(b).max())


def lq_ball(b, lam, q=3.0):
    point = lambda mu: powered(b, mu, q - 1)
    return on_budget(point, lambda x: np.linalg.norm(x, q), 1 / lam, 1e6)


def half_lq(b, lam, q=3.0):
    def point(t):
        return powered(b, lam * t ** (2 - q), q - 1)

    most = np.linalg.norm(b, q)
    return point(bisect(lambda t: t - np.linalg.norm(point(t), q), 1e-9, most))


def entropic(b, lam, delta=0.5):
    """λx = y on the simplex with y/λ + δ ln y = b − ν."""

    def simplex(nu):
        residual = lambda y: y / lam + delta * np.log(y) - b + nu
        return bisect(residual, np.full(b.shape, 1e-300), np.full(b.shape, 50.0))

    return simplex(bisect(lambda nu: 1 - simplex(nu).sum(), -50.0, 50.0)) / lam


def barrier(b, lam, slope):
    """x + slope(λx) = b inside the box."""
    side = np.full(b.shape, (1 - 1e-16) / lam)
    return bisect(lambda x: x + slope(lam * x) - b, -side, side)


def on_simplex(b, lam):
    theta = bisect(lambda t: 1 / lam - np.maximum(b - t, 0).sum(), -50.0, b.max())
    return np.maximum(b - theta, 0)


def on_singular_values(solve):
    def inner(B, lam):
        U, sigma, Vt = np.linalg.svd(B, full_matrices=False)
        return (U * solve(sigma, lam)) @ Vt

    return inner


def box(b, lam):
    return np.clip(b, -1 / lam, 1 / lam)


def soft_box(b, lam, delta=0.2):
    return barrier(b, lam, lambda y: delta * y / np.sqrt((1 - y) * (1 + y)))


def columns(b, lam):
    return b / np.maximum(1, lam * np.linalg.norm(b, axis=0, keepdims=True))


def simplex_vertex(g):
    return jax.nn.one_hot(jnp.argmin(g), g.size, dtype=g.dtype).reshape(g.shape)


def library() -> dict:
    """κ, its independent solver, and whether b is a matrix."""
    top, cap = K.TopK(3), functools.partial(l1_ball, k=3)
    simplex = K.Support(simplex_vertex, zero_in_domain=False)
    smooth = K.OrthogonallyInvariant(K.SoftAbs(0.2))
    return {
        "ℓ₁: box": (K.L1(), box, 0),
        "ℓ₁.₅: ℓ₃ ball": (K.Lp(1.5), lq_ball, 0),
        "ℓ_∞: ℓ₁ ball": (K.LInf(), l1_ball, 0),
        "group ℓ₂: balls": (K.GroupL2(0), columns, 1),
        "top 3: box ∩ ℓ₁ ball": (top, lambda b, lam: cap(b, lam, cap=1 / lam), 0),
        "sparse ℓ₁: box + ℓ₁": (
            K.SparseL1(0.3),
            lambda b, lam: box(soft(b, 0.3), lam),
            0,
        ),
        "Huber: box + ½ℓ₂²": (
            K.Huber(0.3),
            lambda b, lam: box(b / (1 + 0.3 * lam), lam),
            0,
        ),
        "√(m²+δ²): barrier": (K.SoftAbs(0.2), soft_box, 0),
        "log cosh: barrier": (
            K.LogCosh(2.0),
            lambda b, lam: barrier(b, lam, lambda y: np.arctanh(y) / 2),
            0,
        ),
        "log Σ exp: entropy": (K.LogSumExp(0.5), entropic, 0),
        "½ℓ₂²: ½ℓ₂²": (K.HalfSquared(), lambda b, lam: b / (1 + lam), 0),
        "½ℓ₁.₅²: ½ℓ₃²": (K.HalfSquaredLp(1.5), half_lq, 0),
        "quartic: ℓ_4/3": (
            K.Quartic(),
            lambda b, lam: powered(b, np.cbrt(lam), 1 / 3),
            0,
        ),
        "nuclear: spectral ball": (K.nuclear(), on_singular_values(box), 1),
        "spectral: nuclear ball": (K.spectral(), on_singular_values(l1_ball), 1),
        "Ky Fan 2": (
            K.ky_fan(2),
            on_singular_values(lambda s, lam: l1_ball(s, lam, k=2, cap=1 / lam)),
            1,
        ),
        "smooth nuclear": (smooth, on_singular_values(soft_box), 1),
        "support: simplex": (simplex, on_simplex, 0),
    }
