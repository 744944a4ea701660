"""SOAP."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractConditionalOptimizer,
    AbstractRefinableOptimizer,
    Step,
)
from dynax.lyapunov import Check, Ledger
from dynax.optim._averages import approach, average, check_betas, sqrt
from dynax.optim._kronecker import (
    Factors,
    as_matrix,
    by_shape,
    factors,
    grams,
    matmul,
    sandwich,
)
from dynax.optim.adam import Adam, AdamState


class SOAPState(NamedTuple):
    """Adam's averages in the bases, the averages L, R, the bases, and their age.

    Bases are orthogonal, their columns near the eigenvectors of L and R, the largest
    first; a side without one is None. Their age is in steps, −1 before there are any.
    """

    adam: AdamState
    averages: Factors
    bases: Factors
    age: Scalar


class SOAP(
    AbstractBalancedOptimizer, AbstractConditionalOptimizer, AbstractRefinableOptimizer
):
    r"""Run Adam in the eigenbasis of Shampoo's preconditioner.

    SOAP: Adam in the eigenbases of Shampoo. With Ĝ = Q_Lᵀ G Q_R

        m₊, v₊, δ̂ = Adam's of Ĝ,    X₊ = X + Q_L δ̂ Q_Rᵀ
        L₊ = β₃L + (1−β₃)GGᵀ,  R₊ = β₃R + (1−β₃)GᵀG

    Every `interval` steps the bases are renewed by one step of orthogonal iteration,
    Q₊ = qr(L₊Q) with the columns sorted by diag(QᵀL₊Q); m is turned into the new bases
    and v sorted along. The first step only looks: it makes the bases, by `eigh`, and
    leaves x where it is. Arrays of more than two axes are the matrix (all but the last)
    × (the last); sides of length 1 or longer than `longest` have no basis, nor have
    vectors, on which this is Adam. All averages and bases are kept in at least float32.

    Flow at ε: that of Adam in bases at rest, L̇ = ((1−β₃)/ε)(GGᵀ − L), Q̇ = 0.

    Certificate, between two renewals: V, V̇ and the map's balance are those of Adam with
    m and v in the bases (see there), under the same conditions on β₁, β₂.
        a renewal adds  J = K(m', v') − K(m, v),  K = (c/2) Σ m²/P,  c = εβ₁/(1−β₁)
    of either sign, a term of the ledger (`rotation` = −J) and no part of what is
    claimed ≥ 0. For bases that turn without rest, Q̇_L = Q_LΩ, that is
        V̇ = −D + (1/a) ⟨m/P, Ωᵀm⟩,  of no sign: V can rise.

    Source: Vyas et al., arXiv:2409.11321, Algorithm 3 and its published code; here m is
    kept in the bases, the same map. V, J derived here. No twin in optax.

    Args:
        beta1, beta2, eps: Adam's.
        beta3: of L and R; β₂ unless given.
        interval: steps between two renewals, ≥ 1 (infinity: never); not recompiled for.
        longest: the longest side that gets a basis.
    """

    beta1: ScalarLike = 0.95
    beta2: ScalarLike = 0.95
    eps: ScalarLike = 1e-8
    beta3: ScalarLike | None = None
    interval: ScalarLike = 10
    longest: int = eqx.field(default=10_000, static=True)

    def __check_init__(self):
        _ = self.adam
        check_betas(beta3=self._beta3)
        allowed = lambda k: k >= 1  # at ∞ the bases stay
        accepted = "a number ≥ 1, or infinity"
        check_parameter("interval", self.interval, allowed, accepted, finite=False)

    @property
    def adam(self) -> Adam:
        """Adam, as it works in the bases."""
        return Adam(self.beta1, self.beta2, self.eps)

    @property
    def _beta3(self) -> ScalarLike:
        return self.beta2 if self.beta3 is None else self.beta3

    def condition(self) -> dict[str, Check]:
        return self.adam.condition()

    def refined(self, lr, finer) -> "SOAP":
        adam = self.adam.refined(lr, finer)
        beta3 = 1 - (1 - self._beta3) * (finer / lr)
        return SOAP(adam.beta1, adam.beta2, self.eps, beta3, jnp.inf, self.longest)

    def init(self, x):
        adam = self.adam.init(tree.wide(x))
        square = lambda n, dtype: jnp.zeros((n, n), dtype)
        averages = factors(x, square, self.longest, shortest=2)
        bases = tree.map(lambda a: jnp.eye(a.shape[0], dtype=a.dtype), averages)
        return SOAPState(
            adam, averages, bases, jnp.full((), -1.0, tree.result_dtype(x))
        )

    def update(self, x, state, grad, lr):
        grad, wide = tree.wide(grad), tree.wide(x)
        inside = sandwich(grad, state.bases)
        delta, adam = self.adam.update(wide, state.adam, inside, lr)
        delta = sandwich(delta, state.bases, back=True)
        averages = self._averaged(state, grad)
        age = state.age + 1
        old = (age >= tree.cast(self.interval, age.dtype)).astype(jnp.int32)
        due = jnp.where(state.age < 0, 2, old)
        bases, adam = jax.lax.switch(
            due,
            [
                lambda: (state.bases, adam),
                lambda: _renewed(averages, state.bases, adam),
                lambda: (_eigenbases(averages), state.adam),
            ],
        )
        begun = state.age >= 0
        delta = tree.map(lambda d: jnp.where(begun, d, 0), delta)
        delta = tree.cast_like(delta, x)
        return delta, SOAPState(adam, averages, bases, jnp.where(due > 0, 0, age))

    def flow(self, t, x, state, grad, lr):
        grad, inside = tree.wide(grad), sandwich(tree.wide(grad), state.bases)
        rate, adam = self.adam.flow(t, tree.wide(x), state.adam, inside, lr)
        rate = tree.cast_like(sandwich(rate, state.bases, back=True), x)
        b = (1 - self._beta3) / lr
        towards = lambda old, new: approach(b, old, new)
        return rate, SOAPState(
            adam,
            tree.map(towards, state.averages, grams(grad, state.averages)),
            tree.zeros_like(state.bases),
            1 / tree.cast(lr, state.age.dtype),
        )

    def energy(self, t, x, state, value, lr):
        return self.adam.energy(t, x, state.adam, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        inside = sandwich(tree.wide(grad), state.bases)
        return self.adam.dissipation(t, x, state.adam, inside, lr)

    def balance(self, step: Step, smoothness: ScalarLike | None = None) -> Ledger:
        bases, begun = step.state.bases, step.state.age >= 0
        grad = sandwich(tree.wide(step.grad), bases)
        grad = tree.map(lambda g: jnp.where(begun, g, 0), grad)
        turned = self.adam.advance(step.state.adam, grad)
        inside = step._replace(
            x=sandwich(step.x, bases),
            x_next=sandwich(step.x_next, bases),
            delta=None if step.delta is None else sandwich(step.delta, bases),
            state=step.state.adam,
            state_next=turned,
            grad=grad,
        )
        row = self.adam.balance(inside, smoothness)
        assert row.predicted is not None
        after, kinetic = step.state_next, self.adam.kinetic
        jump = kinetic(after.adam, step.lr) - kinetic(turned, step.lr)
        seen = sandwich(sandwich(after.adam.m, after.bases, back=True), bases)
        u = tree.eps(after.adam.m)
        rounding = jnp.full_like(jump, 8 * tree.size(step.x) ** 0.5 * u)
        checks = {k: c for k, c in row.checks.items() if k not in ("m", "v")}
        checks["m"] = Check(-_apart(seen, turned.m), rounding, rounding)
        far = _apart(_sums(after.adam.v), _sums(turned.v))
        checks["v"] = Check(-far, rounding, rounding)
        far = _defect(after.bases, jump.dtype)
        checks["orthogonal"] = Check(-far, rounding, rounding)
        return row._replace(
            change=row.change + jump,
            predicted=row.predicted + jump,
            scale=row.scale + jnp.abs(jump),
            terms={**row.terms, "rotation": -jump},
            checks=checks,
        )

    def _averaged(self, state: SOAPState, grad: Params) -> Factors:
        entry = lambda old, new: average(self._beta3, old, new)
        return tree.map(entry, state.averages, grams(grad, state.averages))


def _eigenbases(averages: Factors) -> Factors:
    """Eigenvectors, the largest eigenvalue first."""
    found = by_shape(lambda a: (jnp.linalg.eigh(a)[1][:, ::-1],), averages)
    return tree.map(lambda _, new: new[0], averages, found)


def _renewed(averages: Factors, bases: Factors, adam: AdamState):
    """Bases one step of orthogonal iteration on, and Adam's averages in these."""

    def iterate(a, q):
        moved = matmul(a, q)
        order = jnp.argsort(-jnp.sum(q * moved, axis=0))
        new = jnp.linalg.qr(moved[:, order])[0]
        return new, matmul(q.T, new), order

    found = by_shape(iterate, averages, bases)
    new, turns, orders = (
        tree.map(lambda _, f, k=k: f[k], averages, found) for k in range(3)
    )

    def sort(v, left, right):
        if left is None and right is None:
            return v
        m = as_matrix(v)
        m = m if left is None else m[left]
        m = m if right is None else m[:, right]
        return m.reshape(v.shape)

    turned = adam._replace(m=sandwich(adam.m, turns), v=tree.map(sort, adam.v, *orders))
    return new, turned


def _sums(v: Params) -> Params:
    """What sorting leaves as it is."""
    return tree.map(jnp.sum, tree.wide(v))


def _apart(a: Params, b: Params) -> Array:
    """‖a − b‖/‖b‖."""
    gap = tree.sub(a, b)
    return sqrt(tree.safe_divide(tree.vdot(gap, gap), tree.vdot(b, b)))


def _defect(bases: Factors, dtype) -> Array:
    """max |QᵀQ − I|."""

    def away(q):
        return jnp.max(jnp.abs(matmul(q.T, q) - jnp.eye(q.shape[0], dtype=q.dtype)))

    parts = [away(q).astype(dtype) for q in tree.leaves(bases)]
    return jnp.max(jnp.stack([jnp.zeros((), dtype), *parts]))
