"""A damped Gauss–Newton step λ ↦ p, in the forms that suit the shape of J."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from dynax._types import Scalar


Matrix = Float[Array, "m n"]


class Linearised(NamedTuple):
    """r and J at one point, as far as a step needs them; m rows, n parameters.

    Args:
        gradient: g = Jᵀr, (n,).
        scale: ‖J‖²_F/n, the mean eigenvalue of JᵀJ; 1 where J = 0.
        least: the lowest μ = λ/scale that is not below round-off.
        model: p ↦ Jp.
        step: λ ↦ p = −(JᵀJ + λI)⁻¹g; NaN where the factorisation fails.
    """

    gradient: Float[Array, " n"]
    scale: Scalar
    least: Scalar
    model: Callable[[Array], Array]
    step: Callable[[Scalar], Array]


def solve(A, damping, b):
    """(A + diag(damping))⁻¹b by Cholesky."""
    shifted = A + jnp.diag(jnp.broadcast_to(damping, len(A)))
    return cho_solve((jnp.linalg.cholesky(shifted), True), b)


def size(a: Scalar) -> Scalar:
    """a, to divide by: 1 in the place of 0 and of what is not finite."""
    return jnp.where((a > 0) & (a < jnp.inf), a, 1)


def primal(J: Matrix, g: Float[Array, " n"]) -> Linearised:
    """p = −(JᵀJ + Λ)⁻¹g, Λⱼ = max(λ, nε·min(‖Jⱼ‖², ‖J‖²_F/n)).

    Cholesky's round-off in a row and column is that of its own diagonal entry. So where
    columns are of very different size, λ may go below the round-off of ‖J‖²_F.
    """
    A = J.T @ J
    scale, squares = size(jnp.trace(A) / len(g)), jnp.diagonal(A)
    share = jnp.minimum(squares / scale, 1)
    least = _round_off(g) * jnp.min(share, where=share > 0, initial=1)
    floor = _round_off(g) * share * scale
    step = lambda damping: -solve(A, jnp.maximum(damping, floor), g)
    return Linearised(g, scale, least, lambda p: J @ p, step)


def dual(J: Matrix, r: Float[Array, " m"]) -> Linearised:
    """p = −Jᵀ(JJᵀ + λI)⁻¹r, the same step."""
    A, g = J @ J.T, J.T @ r
    step = lambda damping: -J.T @ solve(A, damping, r)
    return Linearised(
        g, size(jnp.trace(A) / len(g)), _round_off(g), lambda p: J @ p, step
    )


def _round_off(g: Float[Array, " n"]) -> Scalar:
    return jnp.asarray(len(g) * jnp.finfo(g.dtype).eps, g.dtype)


def free(
    push, pull, r: Float[Array, " m"], n: int, solver, preconditioner=None
) -> Linearised:
    """The same step by an iterative solver: J is never formed.

    ‖J‖²_F is estimated by the mean of ‖Jz‖² over eight fixed vectors of signs
    (Hutchinson). The solver sees (JᵀJ/scale + μI)x = g/‖g‖, free of units, so that
    its tolerances mean the same everywhere.

    Args:
        push: p ↦ Jp.
        pull: q ↦ Jᵀq.
        r: the residual.
        n: the number of parameters.
        solver: lineax's, of a positive definite system.
        preconditioner: λ ↦ (v ↦ M⁻¹v), M like JᵀJ + λI and positive definite.
    """
    g = pull(r)
    signs = jax.random.rademacher(jax.random.key(0), (8, n), g.dtype)
    squares = jax.lax.map(lambda z: jnp.sum(push(z) ** 2), signs)
    scale, length = size(jnp.mean(squares) / n), size(jnp.linalg.norm(g))

    def step(damping):
        normal = lambda x: (pull(push(x)) + damping * x) / scale
        struct = jax.ShapeDtypeStruct(g.shape, g.dtype)
        tags = lx.positive_semidefinite_tag
        operator = lx.FunctionLinearOperator(normal, struct, tags)
        options = {}
        if preconditioner is not None:
            near = preconditioner(damping)
            inverse = lambda x: near(x) * scale
            like = lx.FunctionLinearOperator(inverse, struct, tags)
            options = {"preconditioner": like}
        x = lx.linear_solve(
            operator, -g / length, solver, options=options, throw=False
        ).value
        return x * (length / scale)

    return Linearised(g, scale, _round_off(g), push, step)


def count_sketch(key, J: Matrix, rows: int) -> Float[Array, "rows n"]:
    """SJ: every row of J gets a random sign and is added to one of `rows` sums.

    E[(SJ)ᵀSJ] = JᵀJ. Source: Clarkson, Woodruff, arXiv:1207.6365.
    """
    place, sign = jax.random.split(key)
    place = jax.random.randint(place, J.shape[:1], 0, rows)
    sign = jax.random.rademacher(sign, (len(J), 1), J.dtype)
    return jax.ops.segment_sum(sign * J, place, rows)
