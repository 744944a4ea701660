"""Mean-square linear stability of SGD at a minimum that fits every sample.

There e₊ = (I − ηH_B)e, H_B the mean Hessian of a batch B drawn without replacement, and
the second moment M = E[eeᵀ] moves by the linear operator

    M₊ = M − η(HM + MH) + η²((1−p)HMH + p·(1/n)ΣᵢHᵢMHᵢ),   p = (n−B)/(B(n−1)),

which keeps the cone of positive semidefinite M. So M stays bounded iff η ≤ η*:

    η* = 2/λ_max(C†D),   C = ½(H⊗I + I⊗H),   D = (1−p)H⊗H + p·(1/n)ΣᵢHᵢ⊗Hᵢ.

B = n is gradient descent, η* = 2/λ_max(H). At B = 1 and Hᵢ of rank one (squared loss,
one output) stability implies tr H ≤ 2/η. It is an equality for samples of equal length,
orthogonal or not; of different lengths, orthogonal ones have tr H < 2/η*. For Hᵢ of
higher rank or B > 1 it is no bound: all Hᵢ = I₅ have η* = 2 and tr H = 5 > 2/η*.

Where H has a negative eigenvalue, or some Hᵢ curves where H does not, SGD grows at
every learning rate: η* = 0.

Sources: Mulayoff, Michaeli, arXiv:2306.07850 (η*); Wu, Su, arXiv:2305.17490 (trace).
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike


Hessians = Float[Array, "n d d"]


def mixture(n: int, batch: ScalarLike) -> ScalarLike:
    """Return how often SGD with batches acts as with single samples.

    p = (n−B)/(B(n−1)): SGD has the threshold of single samples with probability p,
    full batches with 1 − p; p = 0 of one sample. B from 1 to n, checked if known."""
    if tree.is_concrete(batch) and not bool(1 <= batch <= n):
        raise ValueError(f"batch: given {batch}; accepted is 1 to n = {n}.")
    return (n - batch) / (batch * max(n - 1, 1))


def second_moment(
    hessians: Hessians, lr: ScalarLike, batch: ScalarLike, moment: Float[Array, "d d"]
) -> Float[Array, "d d"]:
    """Return E[eeᵀ] after one step, from E[eeᵀ] before it."""
    h, p = jnp.mean(hessians, axis=0), mixture(hessians.shape[0], batch)
    single = jnp.mean(hessians @ moment[None] @ hessians, axis=0)
    noise = (1 - p) * (h @ moment @ h) + p * single
    return moment - lr * (h @ moment + moment @ h) + lr**2 * noise


def stability_threshold(hessians: Hessians, batch: ScalarLike) -> Scalar:
    """Return η*, the largest learning rate at which SGD is stable in mean square.

    Args:
        hessians: symmetric Hᵢ of each sample's loss; d² × d² numbers are stored.
        batch: B, from 1 to n.

    Returns:
        η*, ∞ if all Hᵢ are 0; 0 if no learning rate is stable.
    """
    _check(hessians)
    n, d = hessians.shape[:2]
    h, p = jnp.mean(hessians, axis=0), mixture(n, batch)
    values, basis = jnp.linalg.eigh(h)
    rotated = basis.T[None] @ hessians @ basis[None]
    # in H's eigenbasis C is diagonal, and D is symmetric
    c = (values[:, None] + values[None, :]).ravel() / 2
    product = lambda a: jnp.einsum("ij,kl->ikjl", a, a).reshape(d * d, d * d)
    single = jnp.mean(jax.vmap(product)(rotated), axis=0)
    both = (1 - p) * jnp.diag(jnp.outer(values, values).ravel()) + p * single
    null = d * jnp.finfo(h.dtype).eps * jnp.max(jnp.abs(values))
    root = jnp.where(c > null, jax.lax.rsqrt(jnp.where(c > null, c, 1)), 0)
    top = jnp.linalg.eigvalsh(root[:, None] * both * root[None, :])[-1]
    eta = tree.safe_divide(2, top, jnp.inf)
    # of positive semidefinite Hᵢ none curves where H does not: D vanishes with C
    outside = jnp.max(jnp.where((c <= null)[:, None], jnp.abs(both), 0))
    grows = (values[0] < -null) | (outside > 4 * n * null * jnp.max(jnp.abs(hessians)))
    return jnp.where(grows, 0, eta)


def trace_bound(lr: ScalarLike) -> ScalarLike:
    """Return the bound of the Hessian's trace for stability.

    2/η: the largest tr H with SGD stable at B = 1, where all Hᵢ are of rank one.
    """
    return 2 / lr


def _check(hessians: Hessians) -> None:
    if tree.is_concrete(hessians):
        tilt = float(jnp.max(jnp.abs(hessians - jnp.swapaxes(hessians, 1, 2))))
        size = float(jnp.max(jnp.abs(hessians)))
        if not tilt <= float(jnp.finfo(hessians.dtype).eps) ** 0.5 * size:
            raise ValueError(
                f"hessians: given |Hᵢ − Hᵢᵀ| up to {tilt:.3g} beside |Hᵢ| up to "
                f"{size:.3g}; accepted are symmetric, finite Hᵢ."
            )


def by_enumeration(
    hessians: Hessians, lr: ScalarLike, batch: int
) -> Float[Array, "d2 d2"]:
    """Return the operator on E[eeᵀ] as a d²×d² matrix, from all batches: the test
    oracle.
    """
    n, d = hessians.shape[:2]
    mixture(n, batch)
    batches = jnp.asarray(list(itertools.combinations(range(n), batch)))

    def one(rows):
        step = jnp.eye(d, dtype=hessians.dtype) - lr * jnp.mean(hessians[rows], axis=0)
        return jnp.kron(step, step)

    return jnp.mean(jax.vmap(one)(batches), axis=0)
