"""The fastest wave: the largest eigenvalue of acoustic tensors of all directions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax._types import Scalar
from dynax.material._algebra import (
    Matrices,
    Numbers,
    det,
    matmul,
    spherical,
    square,
    trace,
    transpose,
)


def _directions(d: int) -> np.ndarray:
    """Unit vectors: in space along axes, faces' and bodies' diagonals, none closer than
    35° to another; in the plane every 22.5°."""
    if d == 2:
        angle = np.pi / 8 * np.arange(8)
        return np.stack([np.cos(angle), np.sin(angle)], -1)
    grid = np.array([*itertools.product((-1, 0, 1), repeat=3)])
    half = grid[len(grid) // 2 + 1 :]  # of n and −n, one
    return half / np.linalg.norm(half, axis=1, keepdims=True)


ROUNDS, MARGIN = 8, 1.01  # what eight rounds leave over was 0.5 % at most


def fastest(stress, F: Matrices) -> Scalar:
    """The maximum of m·Q(n)m over unit m, n, Pa; where Q is not symmetric, √(its square
    + ‖W‖²), as |Im λ| ≤ ‖W‖ of Q's eigenvalues, W = ½(Q − Qᵀ) of the directions below.

    Qᵢₖ(n) = Aᵢⱼₖₗ nⱼnₗ with A[H] = Dτ[HF] − τHᵀ. The best of 13 directions n (8 in the
    plane) is improved by turns: for given n the best m is an eigenvector of Q(n), for
    given m the best n one of S(m), Sⱼₗ = mᵢ Aᵢⱼₖₗ mₖ.

    Args:
        stress: F → τ.
        F: (d, d).
    """
    d = len(F)
    eye = jnp.eye(d, dtype=F.dtype)
    tau = stress(F)

    def column(k, l):
        H = k[:, None] * l[None, :]
        return jax.jvp(stress, (F,), (matmul(H, F),))[1] - matmul(tau, transpose(H))

    pairs = jax.vmap(jax.vmap(column, (None, 0)), (0, None))
    A = jnp.moveaxis(pairs(eye, eye), (0, 1), (2, 3))
    unit = jnp.max(jnp.abs(A))
    A = A / jnp.where(unit > 0, unit, 1)
    n = jnp.asarray(_directions(d), F.dtype)
    Q = jnp.sum(A[None] * n[:, None, :, None, None] * n[:, None, None, None, :], (2, 4))
    twice = jnp.max(square(Q - transpose(Q)))  # ‖2W‖_F² = 8‖W‖²
    n = n[jnp.argmax(largest_eigenvalue(Q))]

    def turn(_, carry):
        n, _ = carry
        m = _top(jnp.sum(A * n[None, :, None, None] * n[None, None, None, :], (1, 3)))
        S = jnp.sum(A * m[:, None, None, None] * m[None, None, :, None], (0, 2))
        return _top(S), S

    _, S = jax.lax.fori_loop(0, ROUNDS, turn, (n, jnp.zeros_like(tau)))
    along = jnp.maximum(largest_eigenvalue(S), 0)
    slanted = jnp.sqrt(jnp.where(twice > 0, along**2 + twice / 8, 1))
    return MARGIN * unit * jnp.where(twice > 0, slanted, along)


@jax.jit
def largest_eigenvalue(A: Matrices) -> Numbers:
    """That of ½(A + Aᵀ), (…, d, d), by the roots of its characteristic polynomial."""
    d = A.shape[-1]
    mean = trace(A) / d
    B = (A + transpose(A)) / 2 - spherical(mean, d)
    unit = jnp.max(jnp.abs(B), (-2, -1))
    safe = jnp.where(unit > 0, unit, 1)
    B = B / safe[..., None, None]
    size = jnp.sqrt(square(B) / (d * (d - 1)))
    if d == 2:
        return mean + safe * size
    cube = jnp.where(size > 0, size, 1) ** 3
    third = jnp.arccos(jnp.clip(det(B) / (2 * cube), -1, 1)) / 3
    return mean + safe * 2 * size * jnp.cos(third)


@jax.jit
def _top(A: Matrices) -> Array:
    """A unit vector whose A-value is within 0.3 % of the spread of the largest one: a
    column of (A − λ_min I)⁶⁴, symmetric (d, d)."""
    A = (A + A.T) / 2
    B = A + spherical(largest_eigenvalue(-A), len(A))
    for _ in range(6):
        unit = jnp.max(jnp.abs(B))
        B = B / jnp.where(unit > 0, unit, 1)
        B = matmul(B, B)
    sizes = jnp.sqrt(jnp.sum(B**2, 0))
    best = jnp.argmax(sizes)
    first = jnp.zeros_like(sizes).at[0].set(1)
    return jnp.where(sizes[best] > 0, B[:, best] / sizes[best], first)
