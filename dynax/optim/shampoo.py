"""Shampoo."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_parameter
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractRefinableOptimizer, Step
from dynax.lyapunov import Ledger
from dynax.optim import _balance
from dynax.optim._averages import sqrt, square, stored
from dynax.optim._kronecker import (
    Factors,
    by_shape,
    factors,
    from_spectrum,
    grams,
    sandwich,
)


NEVER = 2**30


class ShampooState(NamedTuple):
    """Σ GGᵀ and Σ GᵀG of matrices, Σ g² of all else; the roots in use, if kept.

    Their age is in steps, −1 before there are any. What does not apply to a leaf is
    None there.
    """

    sums: Factors
    squares: Params
    roots: Factors | None
    age: Scalar


class Shampoo(AbstractBalancedOptimizer, AbstractRefinableOptimizer):
    r"""Precondition the gradient of a matrix from its left and its right.

    Shampoo: L₊ = βL + wGGᵀ,  R₊ = βR + wGᵀG,  w = 1 − β, or 1 for the sum β = 1,

        X₊ = X − ε (L₊ + eI)^{−1/4} G (R₊ + eI)^{−1/4}

    Roots by `eigh`, anew every `interval` steps, from the first on; all matrices of one
    shape in one batch. An array of more than two axes is the matrix (all but the last)
    × (the last). A side longer than `longest` is left out, and the other one takes the
    exponent −1/2. Scalars, vectors and matrices with no side left are AdaGrad's:
    v₊ = βv + wg²,  x₊ = x − εg/√(v₊ + e). All sums are kept in at least float32.

    Flow at ε: L̇ = (L₊ − L)/ε, Ṙ and v̇ alike, Ẋ = −PGQ with the map's roots P, Q: those
    of L₊, R₊ that it looks ahead to, or, with interval > 1, the ones in use between two
    renewals.

    Certificate, V = f:
        flow  V̇ = −Σ ⟨G, PGQ⟩ = −Σ ‖P^{1/2} G Q^{1/2}‖² ≤ 0 for any P, Q ⪰ 0
        map   f₊ − f = −ε Σ ⟨G, PGQ⟩ + r,   r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g; f L-smooth: r ≤ (L/2)‖x₊ − x‖².

    Source: Gupta, Koren, Singer, arXiv:1802.09568, Algorithm 1 (there L₀ = eI). V
    derived here. No twin in optax.

    Args:
        beta: in [0, 1]; 1 is the sum of the paper.
        eps: e > 0.
        interval: steps between two renewals of the roots, an integer.
        longest: the longest side that gets a factor.
    """

    beta: ScalarLike = 1.0
    eps: ScalarLike = 1e-6
    interval: int = eqx.field(default=1, static=True)
    longest: int = eqx.field(default=4096, static=True)

    def __check_init__(self):
        ok = lambda b: (b >= 0) & (b <= 1)
        check_parameter("beta", self.beta, ok, "0 ≤ beta ≤ 1")
        check_nonnegative(eps=self.eps)
        for name in ("interval", "longest"):
            given = getattr(self, name)
            if not isinstance(given, int) or given < 1:
                raise ValueError(
                    f"{name}: given {given!r}; accepted is an integer ≥ 1."
                )

    def refined(self, lr, finer) -> "Shampoo":
        del lr, finer
        interval = 1 if self.interval == 1 else NEVER
        return Shampoo(self.beta, self.eps, interval, self.longest)

    def init(self, x):
        tree.check_params(x)
        sums = factors(x, lambda n, dtype: jnp.zeros((n, n), dtype), self.longest)

        def alone(a, left, right):
            none = left is None and right is None
            return jnp.zeros_like(a, dtype=tree.result_dtype(a)) if none else None

        squares = tree.map(alone, x, *sums)
        never = jnp.full((), -1.0, tree.result_dtype(x))
        state = ShampooState(sums, squares, None, never)
        if self.interval == 1:
            return state
        return state._replace(roots=self._roots(x, state))

    def update(self, x, state, grad, lr):
        grad = tree.wide(grad)
        ahead = self._advance(x, state, grad)
        delta = tree.scale(-lr, self._direction(x, ahead, grad))
        return tree.cast_like(delta, x), ahead

    def flow(self, t, x, state, grad, lr):
        del t
        grad = tree.wide(grad)
        ahead = self._summed(state, grad)
        rate = lambda new, old: (new - old) / tree.cast(lr, old.dtype)
        rates = ahead._replace(
            sums=tree.map(rate, ahead.sums, state.sums),
            squares=tree.map(rate, ahead.squares, state.squares),
            roots=tree.zeros_like(state.roots),
            age=jnp.zeros_like(state.age),
        )
        if self.interval > 1:
            rates = rates._replace(age=1 / tree.cast(lr, state.age.dtype))
        dx = tree.scale(-1, self._direction(x, ahead, grad))
        return tree.cast_like(dx, x), rates

    def energy(self, t, x, state, value, lr):
        del t, state, lr
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        del t, lr
        grad = tree.wide(grad)
        ahead = self._summed(state, grad)
        return tree.vdot(grad, self._direction(x, ahead, grad))

    def balance(self, step: Step, smoothness=None) -> Ledger:
        step = step._replace(grad=tree.wide(step.grad))
        lr = tree.cast(step.lr, tree.result_dtype(step.x))
        direction = self._direction(step.x, step.state_next, step.grad)
        row = _balance.ledger(
            step,
            jnp.zeros_like(lr),
            [],
            {"descent": (lr, step.grad, direction)},
            smoothness,
        )
        due = self._summed(step.state, step.grad)
        absolute = tree.map(jnp.abs, (step.state, step.grad))
        size = self._summed(*absolute)
        fresh = step.state._replace(
            sums=grams(absolute[1], step.state.sums),
            squares=tree.map(
                lambda g, v: None if v is None else square(g),
                step.grad,
                step.state.squares,
            ),
        )
        longest = max((a.size for a in tree.leaves(step.x)), default=0)
        both = lambda s: (s.sums, s.squares)
        states = step.state_next, due, size, step.state, fresh
        sums = stored(*map(both, states), k=8 + longest**0.5)
        return row._replace(checks=row.checks | {"sums": sums})

    def _summed(self, state: ShampooState, grad: Params) -> ShampooState:
        left = 1 - jnp.asarray(self.beta)
        fresh = jnp.where(left > 0, left, 1)

        def add(old, new):
            beta, w = tree.cast(self.beta, old.dtype), tree.cast(fresh, old.dtype)
            return beta * old + w * new

        def add_square(g, v):
            return None if v is None else add(v, square(g).astype(v.dtype))

        return state._replace(
            sums=tree.map(add, state.sums, grams(grad, state.sums)),
            squares=tree.map(add_square, grad, state.squares),
        )

    def _advance(self, x: Params, state: ShampooState, grad: Params) -> ShampooState:
        state = self._summed(state, grad)
        if self.interval == 1:
            return state
        age = state.age + 1
        due = (state.age < 0) | (age >= self.interval)
        roots = jax.lax.cond(due, lambda: self._roots(x, state), lambda: state.roots)
        return state._replace(roots=roots, age=jnp.where(due, 0, age))

    def _roots(self, x: Params, state: ShampooState) -> Factors:
        """(L + eI)^{−1/2k} of every factor, k the number of sides its matrix has."""
        sided = lambda a, left, right: left is not None and right is not None
        both = tree.map(sided, x, *state.sums)

        def exponent(both, a):
            return None if a is None else jnp.full((), -0.25 if both else -0.5, a.dtype)

        powers = tuple(tree.map(exponent, both, side) for side in state.sums)

        def root(a, power):
            values, basis = jnp.linalg.eigh(a)
            values = jnp.maximum(values, 0) + tree.cast(self.eps, a.dtype)
            return (from_spectrum(basis, values**power),)

        found = by_shape(root, state.sums, powers)
        return tree.map(lambda a, new: new[0], state.sums, found)

    def _direction(self, x: Params, state: ShampooState, grad: Params) -> Params:
        roots = self._roots(x, state) if state.roots is None else state.roots

        def alone(g, v):
            return (
                g
                if v is None
                else tree.safe_divide(g, sqrt(v + tree.cast(self.eps, v.dtype)))
            )

        return tree.map(alone, sandwich(grad, roots), state.squares)
