"""Curvature of a loss by Hessian-vector products: sharpness, trace.

    S = λ_max(H),   λ_max(P⁻¹H),   tr H,      H = ∇²f(x)

Nothing forms H: a product Hv is one jvp of ∇f, on any pytree. Each number comes with
its error: of the Ritz pair (θ, v) of Lanczos' method the residual ρ = ‖Hv − θv‖, within
which H has an eigenvalue, |λ − θ| ≤ ρ; of Hutchinson's trace the standard error.
Everything is jit-able and vmappable. Needs `pip install matfree`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from dynax import _tree as tree
from dynax._types import Params, Scalar


class Ritz(NamedTuple):
    """An approximate eigenpair: H has an eigenvalue within `residual` of `value`.

    With a preconditioner P it is one of P⁻¹H; the residual is ‖P^(−½)(Hv − θPv)‖ and v
    has vᵀPv = 1.
    """

    value: Scalar
    vector: Params
    residual: Scalar


class Estimate(NamedTuple):
    """A number and its error: a standard error, or 0 if it is exact."""

    value: Scalar
    error: Scalar


def hessian_product(
    f: Callable[[Params], Scalar], x: Params
) -> Callable[[Params], Params]:
    """Return the product v ↦ ∇²f(x)·v. ∇f is linearised once, so repeated products are
    cheap.
    """
    return jax.linearize(jax.grad(f), x)[1]


def sharpness(
    f: Callable[[Params], Scalar],
    x: Params,
    key: PRNGKeyArray,
    *,
    matvecs: int = 32,
    precondition: Params | None = None,
) -> Ritz:
    """Estimate the largest eigenvalue of the Hessian by Lanczos' method.

    The largest eigenvalue of H = ∇²f(x), or of P⁻¹H, by Lanczos' method.

    Args:
        f: x → scalar loss; close over the data.
        x: where.
        key: of the random first vector.
        matvecs: Hessian-vector products, at most as many as x has numbers; the
            residual says whether they were enough. n numbers are kept for each.
        precondition: the diagonal of P > 0, a tree like x; for Adam √v̂ + ϵ.
    """
    tree.check_params(x, "x")
    if precondition is not None:
        tree.check_match(x, precondition, "x", "precondition")
    product = hessian_product(f, x)
    flat, unravel = jax.flatten_util.ravel_pytree(x)
    dtype = tree.result_dtype(x)
    root = jnp.ones(flat.shape, dtype)
    if precondition is not None:
        root = jnp.sqrt(jax.flatten_util.ravel_pytree(precondition)[0].astype(dtype))

    def matvec(v):  # P^(−½) H P^(−½): symmetric, with the eigenvalues of P⁻¹H
        out = product(unravel((v / root).astype(flat.dtype)))
        return jax.flatten_util.ravel_pytree(out)[0].astype(dtype) / root

    value, vector, residual = _largest(matvec, root, key, matvecs)
    return Ritz(value, unravel((vector / root).astype(flat.dtype)), residual)


def trace(
    f: Callable[[Params], Scalar],
    x: Params,
    key: PRNGKeyArray | None = None,
    *,
    samples: int = 64,
) -> Estimate:
    """Estimate the trace of the Hessian.

    tr ∇²f(x): exactly without a key, else Hutchinson's mean of zᵀHz, z = ±1.

    Args:
        f, x: as in `sharpness`.
        key: None for the sum over all n unit vectors, n products.
        samples: with a key, the number of products, at least 2.
    """
    tree.check_params(x, "x")
    product = hessian_product(f, x)
    flat, unravel = jax.flatten_util.ravel_pytree(x)

    def matvec(v):
        return jax.flatten_util.ravel_pytree(product(unravel(v)))[0]

    if key is None:
        unit = lambda i: jnp.zeros_like(flat).at[i].set(1)
        entry = lambda i: matvec(unit(i))[i]
        diagonal = jax.lax.map(entry, jnp.arange(flat.size), batch_size=64)
        return Estimate(jnp.sum(diagonal), jnp.zeros((), flat.dtype))
    if samples < 2:
        raise ValueError(f"samples: given {samples}; accepted is at least 2.")
    stochtrace = _matfree().stochtrace
    sampler = stochtrace.sampler_signs(flat, num=samples)
    estimate = stochtrace.estimator_monte_carlo_mean_and_sem(
        stochtrace.monte_carlo_trace(), sampler
    )
    return Estimate(*estimate(matvec, key))


def _largest(matvec, like: Array, key, matvecs: int) -> tuple[Array, Array, Array]:
    """(θ, v, ‖Av − θv‖) of the largest Ritz value; `like` gives n and the dtype."""
    if matvecs < 1:
        raise ValueError(f"matvecs: given {matvecs}; accepted is at least 1.")
    matvecs = min(matvecs, like.size)
    start = jax.random.normal(key, like.shape, like.dtype)
    lanczos = _matfree().decomp.tridiag_sym(
        matvecs, materialize=False, custom_vjp=False
    )
    found = lanczos(matvec, start)
    basis, (alpha, beta) = jnp.asarray(found.Q_tall), found.J_small
    # When the Krylov space is exhausted what follows is NaN or noise, not orthogonal to
    # what came before. Its place is taken by numbers below the largest Ritz value.
    basis = jnp.where(jnp.isfinite(basis), basis, 0)
    overlap = jnp.tril(basis @ basis.T, -1)
    good = jnp.max(jnp.abs(overlap), axis=1) <= jnp.finfo(like.dtype).eps ** 0.5
    good = good & (jnp.max(jnp.abs(basis), axis=1) > 0)
    alive = jnp.cumprod(good) > 0
    alpha = jnp.where(alive, alpha, alpha[0] - 1 - jnp.abs(alpha[0]))
    beta = jnp.where(alive[1:], beta, 0)
    small = jnp.diag(alpha) + jnp.diag(beta, 1) + jnp.diag(beta, -1)
    vector = jnp.linalg.eigh(small)[1][:, -1] @ jnp.where(alive[:, None], basis, 0)
    vector = vector / jnp.linalg.norm(vector)
    image = matvec(vector)
    value = vector @ image  # never above the largest eigenvalue
    return value, vector, jnp.linalg.norm(image - value * vector)


def _matfree():
    try:
        import matfree.decomp
        import matfree.stochtrace
    except ImportError as error:
        raise ImportError(
            "dynax.landscape.sharpness and trace need matfree; run: "
            "pip install 'dynax-lab[landscape]' (or matfree>=0.6)"
        ) from error
    return matfree
