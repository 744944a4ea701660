r"""Singular values, and isotropic functions of the logarithmic strain."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.material._algebra import (
    Matrices,
    dot,
    entries,
    largest,
    matmul,
    matrix,
    transpose,
)
from dynax.material._jacobi import eigen, orthogonal


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def isotropic_function(g, F: Matrices, *args) -> Matrices:
    r"""G = V diag(g(ε)) Vᵀ of F = U diag(e^ε) Vᵀ: a function of ½ log FᵀF.

    That of ½ log FFᵀ is `isotropic_function(g, transpose(F))`. Small strains keep their
    digits if g does (expm1, not exp), and so do crushed F: the errors are those of
    rounding F.
    A derivative is right to 2·10⁻⁵ (float32) or 10⁻¹⁰ where εᵢ ≈ εⱼ, far better
    elsewhere.

    Source: Daleckiĭ, Kreĭn, AMS Transl. (2) 47 (1965), in the frame of ε.

    Args:
        g: (ε, *args) → values, both of shape (…, d), elementwise over leading axes. A
            permutation of ε must permute the values, which may depend on all of ε.
            What is to be differentiated besides ε comes by `args`, not by closure.
        F: of any size and sign; singular F give NaN or inf.
    """
    eps, _, V, _ = _stretched(F)
    return _assemble(V, g(eps, *args))


@isotropic_function.defjvp
def _(g, primals, tangents):
    (F, *args), (dF, *dargs) = primals, tangents
    eps, sigma, V, U = _stretched(F)
    r = range(eps.shape[-1])
    L = entries(matmul(matmul(transpose(U), dF), V) / sigma[..., None, :])
    along = jnp.stack([L[i][i] for i in r], -1)
    values, change = jax.jvp(g, (eps, *args), (along, *dargs))

    axes = [jnp.broadcast_to(row, eps.shape) for row in _rows(eps)]
    slopes = [jax.jvp(lambda x: g(x, *args), (eps,), (axis,))[1] for axis in axes]
    most = lambda a: jnp.max(jnp.abs(a), -1)
    size = most(values) + most(jnp.stack([most(a) for a in slopes], -1)) * most(eps)
    rounding = 4 * jnp.finfo(F.dtype).eps * size

    def gamma(i, j):
        """The slope where it agrees with the ratio to the rounding of the latter."""
        gap = eps[..., i] - eps[..., j]
        same = gap == 0
        ratio = (values[..., i] - values[..., j]) / jnp.where(same, 1, gap)
        slope = (slopes[i] - slopes[j])[..., i] + (slopes[j] - slopes[i])[..., j]
        close = jnp.abs(slope / 2 - ratio) * jnp.abs(gap) <= rounding
        shrink = jnp.where(same, 1, gap) / jnp.where(same, 1, jnp.sinh(gap))
        return jnp.where(close, slope / 2, ratio) * shrink

    pair = {(i, j): gamma(i, j) for i in r for j in r if i < j}
    weighted = [
        [
            change[..., i]
            if i == j
            else pair[min(i, j), max(i, j)] * (L[i][j] + L[j][i]) / 2
            for j in r
        ]
        for i in r
    ]
    dG = matmul(matmul(V, matrix(weighted)), transpose(V))
    return _assemble(V, values), dG


@jax.custom_jvp
def log_stretches(F: Matrices) -> Float[Array, "*batch d"]:
    """ε of F = U diag(e^ε) Vᵀ, unsorted; small strains keep their digits."""
    return _stretched(F)[0]


@log_stretches.defjvp
def _(primals, tangents):
    eps, sigma, V, U = _stretched(*primals)
    moved = matmul(matmul(transpose(U), *tangents), V)
    along = [moved[..., i, i] / sigma[..., i] for i in range(eps.shape[-1])]
    return eps, jnp.stack(along, -1)


@jax.custom_jvp
def singular_values(F: Matrices) -> Float[Array, "*batch d"]:
    """σ₁ ≥ … ≥ |σ_d|, the last with the sign of det F; to ε of σ₁, of F of any size."""
    return _frames(F)[1]


@singular_values.defjvp
def _(primals, tangents):
    U, sigma, V = _frames(*primals)
    moved = matmul(matmul(transpose(U), *tangents), V)
    return sigma, jnp.stack([moved[..., i, i] for i in range(sigma.shape[-1])], -1)


def _rows(eps):
    d = eps.shape[-1]
    shape = (1,) * (eps.ndim - 1) + (d,)
    return [jnp.zeros((d,), eps.dtype).at[i].set(1).reshape(shape) for i in range(d)]


def _assemble(V, values):
    return matmul(V * values[..., None, :], transpose(V))


def _once(fn):
    """`fn`, of which a derivative is refused: that of eigenvectors has poles.

    Its thousand operations are traced once for all that use it.
    """
    fn = jax.custom_jvp(jax.jit(fn))

    def refuse(primals, tangents):
        raise NotImplementedError(
            "singular_values, log_stretches and isotropic_function have first "
            "derivatives only: differentiate a stress (`kirchhoff`) once, not an "
            "energy twice."
        )

    fn.defjvp(refuse)
    return fn


@_once
def _stretched(F):
    """ε = log σ, σ, and V, U of F = U diag(σ) Vᵀ, unsorted.

    Of stretches near 1, e^{2ε} − 1 = Hv·(2v + Hv) with H = F − I; of others, σ = |Fv|.
    """
    unit, h, V, W, _ = _axes(F)
    eps, sigma, U = [], [], []
    for v, w in zip(V, W, strict=True):
        moved = [dot(row, v) for row in h]
        change = dot(moved, [2 * a + b for a, b in zip(v, moved, strict=True)])
        near = (jnp.abs(change) < 0.5) & (unit == 1)
        size = jnp.sqrt(dot(w, w))
        eps.append(jnp.where(near, jnp.log1p(change) / 2, jnp.log(unit * size)))
        sigma.append(unit * size)
        U.append([a / size for a in w])
    sigma = jnp.stack(sigma, -1)
    return jnp.stack(eps, -1), sigma, transpose(matrix(V)), transpose(matrix(U))


@_once
def _frames(F):
    """U, σ, V: F = U diag(σ) Vᵀ with rotations U, V, and σ as `singular_values`."""
    unit, h, V, W, sizes = _axes(F)
    d = len(V)
    for i, j in ((0, 1),) if d == 2 else ((0, 1), (1, 2), (0, 1)):
        keep = sizes[i] >= sizes[j]
        swap = lambda a, b, keep=keep: (jnp.where(keep, a, b), jnp.where(keep, b, a))
        sizes[i], sizes[j] = swap(sizes[i], sizes[j])
        for X in (V, W):
            pairs = [swap(a, b) for a, b in zip(X[i], X[j], strict=True)]
            X[i], X[j] = [a for a, _ in pairs], [b for _, b in pairs]
    V[-1] = _across(V[:-1])
    W[-1] = [dot(row, V[-1]) + v for row, v in zip(h, V[-1], strict=True)]
    U = [_unit(W[0])]
    if d == 3:
        part = dot(U[0], W[1])
        U.append(_unit([w - part * u for w, u in zip(W[1], U[0], strict=True)]))
    U.append(_across(U))
    sigma = jnp.stack([unit * dot(u, w) for u, w in zip(U, W, strict=True)], -1)
    return transpose(matrix(U)), sigma, transpose(matrix(V))


def _axes(F):
    """The unit that F is divided by; of what is left, the entries of F − I, V,
    FV, and sizes of FV to sort by, which are rounded but once.

    The unit is 1 where F is near a rotation, so that F − I loses nothing.
    """
    f = entries(F)
    r = range(len(f))
    unit = largest(f)
    unit = jnp.where((unit >= 0.5) & (unit <= 2) | (unit == 0), 1, unit)
    f = [[a / unit for a in row] for row in f]
    h = [[f[i][j] - int(i == j) for j in r] for i in r]
    column = [*zip(*h, strict=True)]
    C = [[h[i][j] + h[j][i] + dot(column[i], column[j]) for j in r] for i in r]
    _, V = eigen(C)
    V, sizes = orthogonal(f, V)
    return unit, h, V, [[dot(row, v) for row in f] for v in V], sizes


def _unit(x):
    size = jnp.sqrt(dot(x, x))
    return [a / size for a in x]


def _across(vectors):
    """The unit vector that makes a rotation of one (d = 2) or two (d = 3) others."""
    if len(vectors) == 1:
        (a, b) = vectors[0]
        return [-b, a]
    (a, b, c), (x, y, z) = vectors
    return [b * z - c * y, c * x - a * z, a * y - b * x]
