"""A damped Gauss–Newton step λ ↦ p, in the forms that suit the shape of J."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from dynax._types import Scalar


class Linearised(NamedTuple):
    """r and J at one point, as far as a step needs them; n parameters, m rows.

    Args:
        gradient: g = Jᵀr, (n,).
        scale: ‖J‖²_F/n, the mean eigenvalue of JᵀJ.
        model: p ↦ Jp.
        step: λ ↦ p = −(JᵀJ + λI)⁻¹Jᵀr; NaN where the factorisation fails.
    """

    gradient: Float[Array, " n"]
    scale: Scalar
    model: Callable[[Array], Array]
    step: Callable[[Scalar], Array]


def shifted(A, damping):
    return A + damping * jnp.eye(len(A), dtype=A.dtype)


def primal(J: Float[Array, "m n"], r: Float[Array, " m"]) -> Linearised:
    """p = −(JᵀJ + λI)⁻¹Jᵀr."""
    A, g = J.T @ J, J.T @ r

    def step(damping):
        return -cho_solve((jnp.linalg.cholesky(shifted(A, damping)), True), g)

    return Linearised(g, jnp.trace(A) / len(g), lambda p: J @ p, step)


def dual(J: Float[Array, "m n"], r: Float[Array, " m"]) -> Linearised:
    """p = −Jᵀ(JJᵀ + λI)⁻¹r, the same step."""
    A, g = J @ J.T, J.T @ r

    def step(damping):
        return -J.T @ cho_solve((jnp.linalg.cholesky(shifted(A, damping)), True), r)

    return Linearised(g, jnp.trace(A) / len(g), lambda p: J @ p, step)


def free(residual, y: Float[Array, " n"], solver: lx.AbstractLinearSolver):
    """The same step by conjugate gradients: J is never formed.

    ‖J‖²_F is estimated by ‖Jz‖² with one fixed vector z of signs (Hutchinson).

    Args:
        residual: y ↦ (r, aux).
        y: the point.
        solver: of a symmetric positive definite system.

    Returns:
        r, aux and the `Linearised`.
    """
    r, push, aux = jax.linearize(residual, y, has_aux=True)
    transpose = jax.linear_transpose(push, y)
    pull = lambda v: transpose(v)[0]
    g = pull(r)
    z = jax.random.rademacher(jax.random.key(0), y.shape, y.dtype)

    def step(damping):
        normal = lambda p: pull(push(p)) + damping * p
        struct = jax.ShapeDtypeStruct(y.shape, y.dtype)
        tags = lx.positive_semidefinite_tag
        operator = lx.FunctionLinearOperator(normal, struct, tags)
        return lx.linear_solve(operator, -g, solver, throw=False).value

    return r, aux, Linearised(g, jnp.sum(push(z) ** 2) / len(g), push, step)
