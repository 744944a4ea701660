"""Linear algebra of the deformation gradient: d = 2 or 3, one matrix or many.

Every function takes leading axes as a batch and acts entry by entry on them: no LAPACK,
no loop over matrices, no matrix unit that rounds to TF32 or bfloat16.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


Matrices = Float[Array, "*batch d d"]


def entries(A: Matrices) -> list[list[Array]]:
    d = A.shape[-1]
    return [[A[..., i, j] for j in range(d)] for i in range(d)]


def matrix(rows) -> Matrices:
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def transpose(A: Matrices) -> Matrices:
    return jnp.swapaxes(A, -1, -2)


def matmul(A: Matrices, B: Matrices) -> Matrices:
    """A B, in the full precision of the dtype on every device."""
    a, b = entries(A), entries(B)
    r = range(len(a))
    return matrix([[sum(a[i][k] * b[k][j] for k in r) for j in r] for i in r])


def cofactor(A: Matrices) -> Matrices:
    """cof A = ∂ det A/∂A; defined for singular A too."""
    a = entries(A)
    if len(a) == 2:
        return matrix([[a[1][1], -a[1][0]], [-a[0][1], a[0][0]]])
    n = (1, 2, 0, 1)
    minor = lambda i, j: (
        a[n[i]][n[j]] * a[n[i + 1]][n[j + 1]] - a[n[i]][n[j + 1]] * a[n[i + 1]][n[j]]
    )
    return matrix([[minor(i, j) for j in range(3)] for i in range(3)])


def det(A: Matrices) -> Float[Array, "*batch"]:
    return jnp.sum(A[..., 0, :] * cofactor(A)[..., 0, :], -1)


def inverse(A: Matrices) -> Matrices:
    """A⁻¹; inf or NaN where A is singular."""
    return transpose(cofactor(A)) / det(A)[..., None, None]


def polar(F: Matrices) -> tuple[Matrices, Matrices]:
    """F = R S, R a rotation, S symmetric."""
    if F.shape[-1] == 2:
        f = entries(F)
        a, b = f[0][0] + f[1][1], f[1][0] - f[0][1]
        size = jnp.sqrt(a**2 + b**2)
        c, s = a / size, b / size
        R = matrix([[c, -s], [s, c]])
    else:
        R = F
        for _ in range(8):
            R = (R + transpose(inverse(R))) / 2
    return R, matmul(transpose(R), F)


def square(A: Matrices) -> Float[Array, "*batch"]:
    """‖A‖² = Σ Aᵢⱼ²."""
    return jnp.sum(A**2, (-2, -1))


def trace(A: Matrices) -> Float[Array, "*batch"]:
    return sum(A[..., i, i] for i in range(A.shape[-1]))


def displacement(F: Matrices) -> Matrices:
    """H = F − I."""
    return F - jnp.broadcast_to(jnp.eye(F.shape[-1], dtype=F.dtype), F.shape)


def strain(F: Matrices) -> Matrices:
    """FᵀF − I = H + Hᵀ + HᵀH, twice the Green–Lagrange strain, without cancellation."""
    H = displacement(F)
    return H + transpose(H) + matmul(transpose(H), H)


def volume_change(F: Matrices) -> Float[Array, "*batch"]:
    """J − 1 = tr H + (tr²H − tr H²)/2 + det H, H = F − I: without cancellation."""
    H = displacement(F)
    if F.shape[-1] == 2:
        return trace(H) + det(H)
    return trace(H) + trace(cofactor(H)) + det(H)
