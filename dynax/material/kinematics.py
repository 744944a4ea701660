r"""Linear algebra of the deformation gradient: d = 2 or 3, one matrix or many.

Every function takes leading axes as a batch and acts entry by entry on them: no LAPACK,
no loop over matrices, no matrix unit that rounds to TF32 or bfloat16.

Derivatives are exact where those of an SVD are not: no 1/(σᵢ² − σⱼ²) appears.

    polar              dR = R[ω]×,  (tr(S)I − S) ω = axl(RᵀdF − dFᵀR)   (1/(σᵢ + σⱼ))
    singular values    dσᵢ = uᵢᵀ dF vᵢ
    isotropic G(A)     dG = V(diag dg + Γ∘(VᵀdA V))Vᵀ,  Γᵢⱼ = (gᵢ − gⱼ)/(λᵢ − λⱼ) or,
                       near λᵢ = λⱼ, its limit (Daleckiĭ, Kreĭn)

`polar` has derivatives of every order. The other two have the first, forward and
reverse; a second one raises NotImplementedError.

det F < 0 (inverted): polar gives det R = −1 with S > 0, the orthogonal matrix nearest
to F, and the last singular value is negative. det F = 0: polar is NaN or inf; singular
values are finite if the rank is d − 1. Isotropic functions of A are finite where g is.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.material._jacobi import eigen


Matrices = Float[Array, "*batch d d"]
Numbers = Float[Array, "*batch"]


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


def matmul(A: Matrices, B: Matrices) -> Matrices:
    """A B, in the full precision of the dtype on every device."""
    return jnp.sum(A[..., :, :, None] * B[..., None, :, :], -2)


def product(A: Matrices, B: Matrices) -> Matrices:
    """A B by entries: the same, with a faster derivative and slower to compile."""
    columns = [*zip(*entries(B), strict=True)]
    return matrix([[_dot(row, column) for column in columns] for row in entries(A)])


def cofactor(A: Matrices) -> Matrices:
    """cof A = ∂ det A/∂A, of a singular A too."""
    return matrix(_cofactor(entries(A)))


def _cofactor(a):
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


def det(A: Matrices) -> Numbers:
    a = entries(A)
    return _dot(a[0], _cofactor(a)[0])


def inverse(A: Matrices) -> Matrices:
    """A⁻¹; inf or NaN where A is singular."""
    return transpose(cofactor(A)) / det(A)[..., None, None]


def trace(A: Matrices) -> Numbers:
    return _total(A[..., i, i] for i in range(A.shape[-1]))


def square(A: Matrices) -> Numbers:
    """‖A‖² = Σ Aᵢⱼ²."""
    return jnp.sum(A**2, (-2, -1))


def axial(L: Float[Array, "d d"]) -> Array:
    """x × v of L = x vᵀ, and so of sums of them: (3,), or () in the plane."""
    W = L - L.T
    return W[0, 1] if len(W) == 2 else jnp.stack([W[1, 2], W[2, 0], W[0, 1]])


def spherical(s: Numbers, d: int) -> Matrices:
    """s I."""
    return s[..., None, None] * _eye(s.ndim, d, s.dtype)


def displacement(F: Matrices) -> Matrices:
    """H = F − I."""
    return F - _eye(F.ndim - 2, F.shape[-1], F.dtype)


def strain(F: Matrices) -> Matrices:
    """FᵀF − I = H + Hᵀ + HᵀH, twice the Green–Lagrange strain, without cancellation."""
    H = displacement(F)
    return H + transpose(H) + matmul(transpose(H), H)


def volume_change(F: Matrices) -> Numbers:
    """J − 1 = tr H + (tr²H − tr H²)/2 + det H, H = F − I: without cancellation."""
    H = displacement(F)
    if F.shape[-1] == 2:
        return trace(H) + det(H)
    return trace(H) + trace(cofactor(H)) + det(H)


@jax.custom_jvp
def polar(F: Matrices) -> tuple[Matrices, Matrices]:
    """F = RS: R orthogonal, S symmetric and positive.

    Three dimensions: Newton's iteration R ← (γR + R⁻ᵀ/γ)/2 with γ² = ‖R⁻ᵀ‖/‖R‖.
    Source: Higham, "Computing the polar decomposition", SIAM J. Sci. Stat. Comput. 7
    (1986).
    """
    f = entries(F)
    if len(f) == 2:
        flip = jnp.where(det(F) < 0, -1, 1).astype(F.dtype)
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
    cof = _cofactor(a)
    size, size_cof = (_total(x**2 for row in b for x in row) for b in (a, cof))
    J = _dot(a[0], cof[0])
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
        K = entries(inverse(spherical(trace(S), 3) - S))
        axis = W[2][1], W[0][2], W[1][0]
        x, y, z = (_dot(row, axis) for row in K)
        o = jnp.zeros_like(x)
        omega = matrix([[o, -z, y], [z, o, -x], [-y, x, o]])
    dS = A - product(omega, S)
    return (R, S), (product(R, omega), (dS + transpose(dS)) / 2)


@jax.custom_jvp
def singular_values(F: Matrices) -> Float[Array, "*batch d"]:
    """σ₁ ≥ … ≥ |σ_d|, the last with the sign of det F."""
    return _frames(F)[1]


@singular_values.defjvp
def _(primals, tangents):
    U, sigma, V = _frames(*primals)
    moved = matmul(matmul(transpose(U), *tangents), V)
    return sigma, jnp.stack([moved[..., i, i] for i in range(sigma.shape[-1])], -1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def isotropic(g, A: Matrices, *args) -> Matrices:
    """G(A) = V diag(g(λ)) Vᵀ of a symmetric A = V diag(λ) Vᵀ.

    Take A = `strain(F)` and a g that is small where A is (log1p, expm1): small strains
    then keep their digits. A derivative is right to 2·10⁻⁵ (float32) or 10⁻¹⁰ where
    λᵢ ≈ λⱼ, far better elsewhere.

    Args:
        g: (λ, *args) → values, both of shape (…, d), elementwise over leading axes. A
            permutation of λ must permute the values, which may depend on all of λ.
            What is to be differentiated besides λ comes by `args`, not by closure.
        A: symmetric.
    """
    lam, V = _eigen(A)
    return _assemble(V, g(lam, *args))


@isotropic.defjvp
def _(g, primals, tangents):
    (A, *args), (dA, *dargs) = primals, tangents
    lam, V = _eigen(A)
    r = range(lam.shape[-1])
    M = entries(matmul(matmul(transpose(V), dA), V))
    along = jnp.stack([M[i][i] for i in r], -1)
    values, change = jax.jvp(g, (lam, *args), (along, *dargs))

    axes = [jnp.broadcast_to(row, lam.shape) for row in _rows(lam)]
    slopes = [jax.jvp(lambda x: g(x, *args), (lam,), (axis,))[1] for axis in axes]
    size = jnp.max(jnp.abs(lam), -1)
    near = (12 * jnp.finfo(A.dtype).eps) ** (1 / 3) * size

    def gamma(i, j):
        gap = lam[..., i] - lam[..., j]
        close = jnp.abs(gap) <= near
        limit = (slopes[i] - slopes[j])[..., i] + (slopes[j] - slopes[i])[..., j]
        ratio = (values[..., i] - values[..., j]) / jnp.where(close, 1, gap)
        return jnp.where(close, limit / 2, ratio)

    pair = {(i, j): gamma(i, j) for i in r for j in r if i < j}
    weighted = [
        [change[..., i] if i == j else pair[min(i, j), max(i, j)] * M[i][j] for j in r]
        for i in r
    ]
    dG = matmul(matmul(V, matrix(weighted)), transpose(V))
    return _assemble(V, values), dG


def _rows(lam):
    d = lam.shape[-1]
    shape = (1,) * (lam.ndim - 1) + (d,)
    return [jnp.zeros((d,), lam.dtype).at[i].set(1).reshape(shape) for i in range(d)]


def _assemble(V, values):
    return matmul(V * values[..., None, :], transpose(V))


def _eye(batch, d, dtype):
    return jnp.eye(d, dtype=dtype).reshape((1,) * batch + (d, d))


def _once(fn):
    """`fn`, of which a derivative is refused: that of eigenvectors has poles."""
    fn = jax.custom_jvp(fn)

    def refuse(primals, tangents):
        raise NotImplementedError(
            "singular_values and isotropic have first derivatives only: differentiate "
            "the stress of a law (`kirchhoff`) once, not its energy twice."
        )

    fn.defjvp(refuse)
    return fn


@_once
def _eigen(A):
    lam, V = eigen(entries(A))
    return jnp.stack(lam, -1), transpose(matrix(V))


@_once
def _frames(F):
    """U, σ, V: F = U diag(σ) Vᵀ with rotations U, V, and σ as `singular_values`."""
    lam, V = eigen(entries(strain(F)))
    d = len(lam)
    for i, j in ((0, 1),) if d == 2 else ((0, 1), (1, 2), (0, 1)):
        keep = lam[i] >= lam[j]
        swap = lambda a, b, keep=keep: (jnp.where(keep, a, b), jnp.where(keep, b, a))
        lam[i], lam[j] = swap(lam[i], lam[j])
        pairs = [swap(a, b) for a, b in zip(V[i], V[j], strict=True)]
        V[i], V[j] = [a for a, _ in pairs], [b for _, b in pairs]
    V[-1] = _across(V[:-1])
    f = entries(F)
    W = [[_dot(row, v) for row in f] for v in V]
    U = [_unit(W[0])]
    if d == 3:
        part = _dot(U[0], W[1])
        U.append(_unit([w - part * u for w, u in zip(W[1], U[0], strict=True)]))
    U.append(_across(U))
    sigma = jnp.stack([_dot(u, w) for u, w in zip(U, W, strict=True)], -1)
    return transpose(matrix(U)), sigma, transpose(matrix(V))


def _total(terms):
    first, *rest = terms
    return sum(rest, first)


def _dot(x, y):
    return _total(a * b for a, b in zip(x, y, strict=True))


def _unit(x):
    size = jnp.sqrt(_dot(x, x))
    return [a / size for a in x]


def _across(vectors):
    """The unit vector that makes a rotation of one (d = 2) or two (d = 3) others."""
    if len(vectors) == 1:
        (a, b) = vectors[0]
        return [-b, a]
    (a, b, c), (x, y, z) = vectors
    return [b * z - c * y, c * x - a * z, a * y - b * x]
