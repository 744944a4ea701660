"""The polar decomposition."""

import jax
import jax.numpy as jnp

from dynax.material._algebra import (
    Matrices,
    cofactors,
    dot,
    entries,
    inverse,
    largest,
    matrix,
    product,
    spherical,
    total,
    trace,
    transpose,
)


@jax.custom_jvp
@jax.jit
def polar(F: Matrices) -> tuple[Matrices, Matrices]:
    """F = RS: R orthogonal, S symmetric and positive.

    F may be of any size: it is divided by its largest entry first. Errors grow with
    κ = σ₁/|σ_d|, in three dimensions as κ²ε, for det F cancels.
    Three dimensions: Newton's iteration R ← (γR + R⁻ᵀ/γ)/2 with γ² = ‖R⁻ᵀ‖/‖R‖.
    Source: Higham, "Computing the polar decomposition", SIAM J. Sci. Stat. Comput. 7
    (1986).
    """
    f = entries(F)
    scale = 1 / largest(f)
    f = [[scale * a for a in row] for row in f]
    if len(f) == 2:
        flip = jnp.where(dot(f[0], cofactors(f)[0]) < 0, -1, 1).astype(F.dtype)
        a, b = f[0][0] + flip * f[1][1], f[1][0] - flip * f[0][1]
        size = jnp.sqrt(a**2 + b**2)
        a, b = a / size, b / size
        R = matrix([[a, -flip * b], [b, flip * a]])
    else:
        steps = 6 if F.dtype.itemsize == 4 else 9
        R = matrix(jax.lax.fori_loop(0, steps, _newton, f))
    S = product(transpose(R), F)
    return R, (S + transpose(S)) / 2


def _newton(_, a):
    cof = cofactors(a)
    size, size_cof = (total(x**2 for row in b for x in row) for b in (a, cof))
    J = dot(a[0], cof[0])
    gamma = jnp.sqrt(jnp.sqrt(size_cof / size) / jnp.abs(J))
    x, y = gamma / 2, 1 / (2 * gamma * J)
    return [[x * a[i][j] + y * cof[i][j] for j in range(3)] for i in range(3)]


@polar.defjvp
def _(primals, tangents):
    R, S = polar(*primals)
    A = product(transpose(R), *tangents)
    W = entries(A - transpose(A))
    if len(W) == 2:
        rate = W[1][0] / trace(S)
        omega = matrix([[jnp.zeros_like(rate), -rate], [rate, jnp.zeros_like(rate)]])
    else:
        size = trace(S)
        K = entries(
            inverse(spherical(jnp.ones_like(size), 3) - S / size[..., None, None])
        )
        axis = [w / size for w in (W[2][1], W[0][2], W[1][0])]
        x, y, z = (dot(row, axis) for row in K)
        o = jnp.zeros_like(x)
        omega = matrix([[o, -z, y], [z, o, -x], [-y, x, o]])
    dS = A - product(omega, S)
    return (R, S), (product(R, omega), (dS + transpose(dS)) / 2)
