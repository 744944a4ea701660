"""Linear algebra of 2×2 and 3×3 matrices by their entries, one matrix or many.

`jit` here saves tracing: each function is traced once for a shape, not at each use.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


Matrices = Float[Array | np.ndarray, "*batch d d"]
Numbers = Float[Array | np.ndarray, "*batch"]


def entries(A: Matrices) -> list[list[Array]]:
    """A[..., i, j] as [i][j]: the loops of the formulas below are over these.

    Raises:
        ValueError: at trace time; not 2×2 or 3×3, or not float32 or float64.
    """
    d, bits = A.shape[-2:], jnp.finfo(A.dtype).bits if A.dtype.kind == "f" else 0
    if d not in ((2, 2), (3, 3)) or bits < 32:
        raise ValueError(
            f"F: given shape {A.shape}, {A.dtype}; accepted is (…, d, d) with d = 2 or "
            "3, float32 or float64."
        )
    (n, _), batch = d, A.shape[:-2]
    flat = A.reshape(*batch, n * n)
    # `split`, for its transpose is one concatenation, of slices a sum of padded arrays
    parts = [a.reshape(batch) for a in jax.lax.split(flat, (1,) * n**2, len(batch))]
    return [parts[n * i : n * i + n] for i in range(n)]


def matrix(rows) -> Matrices:
    flat = jnp.stack([a for row in rows for a in row], -1)
    return flat.reshape(*flat.shape[:-1], len(rows), len(rows))


def transpose(A: Matrices) -> Matrices:
    return jnp.swapaxes(A, -1, -2)


@jax.jit
def matmul(A: Matrices, B: Matrices) -> Matrices:
    """A B, in the full precision of the dtype on every device."""
    return jnp.sum(A[..., :, :, None] * B[..., None, :, :], -2)


@jax.jit
def product(A: Matrices, B: Matrices) -> Matrices:
    """A B by entries: the same, with a faster derivative and slower to compile."""
    columns = [*zip(*entries(B), strict=True)]
    return matrix([[dot(row, column) for column in columns] for row in entries(A)])


@jax.jit
def cofactor(A: Matrices) -> Matrices:
    """cof A = ∂ det A/∂A, of a singular A too."""
    return matrix(cofactors(entries(A)))


def cofactors(a):
    if len(a) == 2:
        return [[a[1][1], -a[1][0]], [-a[0][1], a[0][0]]]
    n = (1, 2, 0, 1)
    return [
        [
            a[n[i]][n[j]] * a[n[i + 1]][n[j + 1]]
            - a[n[i]][n[j + 1]] * a[n[i + 1]][n[j]]
            for j in range(3)
        ]
        for i in range(3)
    ]


@jax.jit
def det(A: Matrices) -> Numbers:
    a = entries(A)
    return dot(a[0], cofactors(a)[0])


@jax.jit
def inverse(A: Matrices) -> Matrices:
    """A⁻¹; inf or NaN where A is singular."""
    return transpose(cofactor(A)) / det(A)[..., None, None]


@jax.jit
def trace(A: Matrices) -> Numbers:
    return total(A[..., i, i] for i in range(A.shape[-1]))


@jax.jit
def square(A: Matrices) -> Numbers:
    """‖A‖² = Σ Aᵢⱼ²."""
    return jnp.sum(A**2, (-2, -1))


def axial(L: Float[Array, "d d"]) -> Array:
    """x × v of L = x vᵀ, and so of sums of them: (3,), or () in the plane."""
    W = L - L.T
    return W[0, 1] if len(W) == 2 else jnp.stack([W[1, 2], W[2, 0], W[0, 1]])


def spherical(s: Numbers, d: int) -> Matrices:
    """s I."""
    return s[..., None, None] * eye(s.ndim, d, s.dtype)


def displacement(F: Matrices) -> Matrices:
    """H = F − I."""
    return F - eye(F.ndim - 2, F.shape[-1], F.dtype)


@jax.jit
def twice_green_lagrange(F: Matrices) -> Matrices:
    """FᵀF − I = H + Hᵀ + HᵀH, twice the Green–Lagrange strain, without cancellation."""
    H = displacement(F)
    return H + transpose(H) + matmul(transpose(H), H)


@jax.jit
def volume_change(F: Matrices) -> Numbers:
    """J − 1 = tr H + (tr²H − tr H²)/2 + det H, H = F − I: without cancellation."""
    H = displacement(F)
    if F.shape[-1] == 2:
        return trace(H) + det(H)
    return trace(H) + trace(cofactor(H)) + det(H)


@jax.jit
def log_volume(F: Matrices) -> Numbers:
    """log J: by J − 1 near 1, by det F elsewhere, so that a crushed F keeps its digits.

    −inf for a singular F, NaN for an inverted one.
    """
    change = volume_change(F)
    near = jnp.abs(change) < 0.5
    small = jnp.log1p(jnp.where(near, change, 0))
    return jnp.where(near, small, jnp.log(jnp.where(near, 1, det(F))))


@jax.jit
def spatial(F: Matrices, third: Numbers) -> Float[Array, "*batch 3 3"]:
    """F in three dimensions of an F in the plane, with F₃₃ = `third`."""
    row = jnp.zeros_like(F[..., :1])
    corner = jnp.broadcast_to(third, F.shape[:-2])[..., None, None]
    left = jnp.concatenate([F, jnp.swapaxes(row, -1, -2)], -2)
    return jnp.concatenate([left, jnp.concatenate([row, corner], -2)], -1)


def total(terms):
    first, *rest = terms
    return sum(rest, first)


def dot(x, y):
    return total(a * b for a, b in zip(x, y, strict=True))


def eye(batch, d, dtype):
    return jnp.eye(d, dtype=dtype).reshape((1,) * batch + (d, d))


def largest(a):
    """max |aᵢⱼ|: divide by it, and squares neither overflow nor vanish."""
    return functools.reduce(jnp.maximum, [jnp.abs(x) for row in a for x in row])
