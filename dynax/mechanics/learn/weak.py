"""A law from the balance of momentum in single steps: no rollout, no backpropagation
through time; for laws of few parameters one least-squares problem."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from dynax import _tree as tree
from dynax.mechanics.learn.segments import Reset, Segments, filled
from dynax.mechanics.learn.trajectory import Trajectory
from dynax.mechanics.mpm.body import Body, Materials
from dynax.mechanics.mpm.solver import MPM, Stress


class Balance(eqx.Module):
    r"""Compare each seen velocity with that of one step from what was seen before.

    r = v₊ − v̂₊, v̂₊ of one step from what was seen; its mean square is the loss.

    The step is momentum balance tested with the B-splines N of the grid, the weak form

        Σ_p N m (v₊ − v)/dt = −Σ_p V₀ τ(F; θ) ∇N + Σ_p N m g

    read where points are, so r is affine in τ, but for walls. With dt·a as the unit of
    r, where a = 1 m/s².

    Source: Flaschel, Kumar, De Lorenzis, "Unsupervised discovery of interpretable
    hyperelastic constitutive laws" (EUCLID), CMAME 381 (2021): weak form, sparse.

    Args:
        solver, materials, trajectory, reset: as of `Segments`.
        stride: every how many steps one is used.
        strain: if given, the mean of |F₊ − F̂₊|²/strain² is added, by which a full
            trajectory shows what a plastic return does.

    Raises:
        ValueError: as `Segments`; `strain` without a full trajectory.
    """

    segments: Segments
    after: Float[Array, "s N d"]
    deformed: Any
    strain: float | None

    def __init__(
        self,
        solver: MPM,
        materials: Materials,
        trajectory: Trajectory,
        reset: Reset = "full_state",
        stride: int = 1,
        strain: float | None = None,
    ):
        self.segments = Segments(solver, materials, trajectory, stride, reset)
        x = trajectory.y.x
        before, after = x[:-1:stride], x[1::stride]
        dt = tree.cast(trajectory.dt, x.dtype)
        full = reset == "full_state"
        self.after = trajectory.y.v[1::stride] if full else (after - before) / dt
        if strain is not None and not full:
            raise ValueError(
                f"strain: given {strain} with reset={reset!r}; accepted is None, or "
                "reset='full_state'."
            )
        self.strain = strain
        self.deformed = None if strain is None else trajectory.y.F[1::stride]

    def __call__(self, law: PyTree) -> tuple[Array, Array]:
        args = filled(self.segments.materials, law)

        def part(step):
            y, after, deformed = step
            moved = self._moved(args, y)
            size = jnp.mean(self._off(moved, after) ** 2)
            if self.strain is None:
                return size
            off = (moved.F - deformed) / tree.cast(self.strain, y.F.dtype)
            return size + jnp.mean(off**2)

        states = self.segments.states(args)
        sizes = jax.lax.map(part, (states, self.after, self.deformed))
        return jnp.mean(sizes), jnp.zeros((), jnp.int32)

    def residual(self, args: Materials, y: Body, after) -> Float[Array, "N d"]:
        return self._off(self._moved(args, y), after)

    def _moved(self, args, y: Body) -> Body:
        dt = tree.cast(self.segments.seen.dt, y.x.dtype)
        return self.segments.solver.move(Stress().vf(0, y, args), y, args, dt)

    def _off(self, moved: Body, after):
        return (after - moved.v) / tree.cast(self.segments.seen.dt, after.dtype)


@eqx.filter_jit
def normal(balance: Balance, law: PyTree, learned: Any = None) -> Float[Array, "k k"]:
    """Σ [J r]ᵀ[J r] of `Balance` about a law, with the slopes J of its residuals r.

    The stress by forward mode, its step as `MPM.respond`; summed in the widest type.

    Args:
        balance: what was seen.
        law: where J and r are taken.
        learned: a tree of bools: what is learned. By default all arrays of floating
            numbers.
    """
    params, static = eqx.partition(law, _learned(learned))
    flat, back = ravel_pytree(params)
    fill = lambda x: filled(balance.segments.materials, eqx.combine(back(x), static))

    def stresses(y, _):
        tau, slope = jax.linearize(lambda x: Stress().vf(0, y, fill(x)), flat)
        return tau, jax.vmap(slope, out_axes=1)(jnp.eye(flat.size, dtype=flat.dtype))

    return summed(balance, fill(flat), stresses, flat.size)


def summed(balance, args: Materials, stresses, count: int, more: Any = None) -> Array:
    """Σ [J r]ᵀ[J r] of stresses and their slopes, (N, d, d) and (N, count, d, d), of
    (a state, its part of `more`)."""
    segments = balance.segments
    dt = tree.cast(segments.seen.dt, balance.after.dtype)

    def add(total, both):
        y, after, known = both
        tau, slopes = stresses(y, known)
        v, slopes = segments.solver.respond(tau, slopes, y, args, dt)
        rows = jnp.concatenate([-slopes, (after - v)[:, None]], 1) / dt
        A = jnp.moveaxis(rows, 1, 0).reshape(count + 1, -1).astype(total.dtype)
        return total + A @ A.T, None

    both: Any = segments.states(args), balance.after, more
    empty = jnp.zeros((count + 1,) * 2, jnp.result_type(float))
    return jax.lax.scan(add, empty, both)[0]


def least_squares(
    balance: Balance,
    law: PyTree,
    steps: int = 1,
    *,
    learned: Any = None,
    nonnegative: bool = False,
    ridge: float = 0.0,
) -> PyTree:
    """Gauss–Newton's method on `Balance` over all arrays of floating numbers in `law`.

    One step solves for a law that is linear in them. The matrix has their number
    squared of entries, and forward mode takes one rollout of single steps for each: for
    some dozens, not for networks. Directions that the motion does not tell (singular
    values below √u of the largest) stay as they are.

    Args:
        balance: what was seen.
        law: the start.
        steps: how many.
        learned: a tree of bools, what is learned.
        nonnegative: whether all numbers are kept ≥ 0, by non-negative least squares;
            those without data (columns below 10⁻⁵ of the largest) become 0. Not within
            a `jit`.
        ridge: added to the diagonal of the matrix, whose columns are scaled to one.
    """
    for _ in range(steps):
        params, static = eqx.partition(law, _learned(learned))
        flat, back = ravel_pytree(params)
        if not flat.size:
            raise ValueError(
                "law: given no arrays of floating numbers; accepted is ≥ 1."
            )
        matrix = normal(balance, law, learned)
        if nonnegative:
            found, _ = solve_nonnegative(matrix, flat, ridge)
            flat = jnp.asarray(found, flat.dtype)
        else:
            flat = flat + _change(matrix, ridge, flat.dtype)
        law = eqx.combine(back(flat), static)
    return law


def _learned(learned):
    return eqx.is_inexact_array if learned is None else learned


def _change(matrix, ridge, dtype) -> Array:
    A, rhs = matrix[:-1, :-1], matrix[:-1, -1]
    size = jnp.sqrt(jnp.maximum(jnp.diag(A), float(jnp.finfo(A.dtype).tiny)))
    scaled = A / size[:, None] / size[None] + ridge * jnp.eye(len(A), dtype=A.dtype)
    cut = float(jnp.finfo(dtype).eps) * len(A)
    inverse = jnp.linalg.pinv(scaled, rtol=cut, hermitian=True)
    return (-(inverse @ (rhs / size)) / size).astype(dtype)


def solve_nonnegative(
    matrix, x, ridge, allowed: Any = True
) -> tuple[np.ndarray, np.ndarray]:
    """min |J(x₊ − x) + r|² over x₊ ≥ 0, and what was told of: columns not below 10⁻⁵ of
    the largest. The rest of x₊, and what is not allowed, are 0."""
    rounding = 100 * float(jnp.finfo(matrix.dtype).eps)  # of its sums
    ridge = max(ridge, rounding)
    matrix, x = np.asarray(matrix, np.float64), np.asarray(x, np.float64)
    size = np.sqrt(np.diag(matrix)[:-1])
    told = size > 1e-5 * np.max(size)
    keep, A = told & allowed, matrix[:-1, :-1]
    found = np.zeros_like(x)
    if not np.any(keep):
        return found, told
    size, goal = size[keep], (A @ x - matrix[:-1, -1])[keep]  # Jᵀ(Jx − r)
    A, goal = A[np.ix_(keep, keep)] / np.outer(size, size), goal / size
    root = scipy.linalg.cholesky(A + ridge * np.eye(len(A)))  # A = rootᵀ root
    goal = scipy.linalg.solve_triangular(root, goal, trans=1)
    x, _ = scipy.optimize.nnls(root, goal, maxiter=100 * len(size))
    found[keep] = x / size
    return found, told
