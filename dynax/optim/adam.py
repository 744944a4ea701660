"""Adam."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractConditionalOptimizer,
    AbstractRefinableOptimizer,
    Step,
)
from dynax.lyapunov import Check, Ledger
from dynax.optim import _balance
from dynax.optim._averages import (
    approach,
    average,
    check_betas,
    sqrt,
    square,
    stored,
    times,
)
from dynax.optim._balance import Change


class AdamState(NamedTuple):
    """Averages m of g and v of g², and how much of an average each is.

    The weights are the same averages of the constant 1, so 1 − βᵏ after k steps;
    without bias correction they start, and stay, at 1.
    """

    m: Params
    v: Params
    weight_m: Scalar
    weight_v: Scalar


class Adam(
    AbstractBalancedOptimizer, AbstractConditionalOptimizer, AbstractRefinableOptimizer
):
    r"""Divide an average of gradients by the root of an average of their squares.

    Adam: m₊ = β₁m + (1−β₁)g,  v₊ = β₂v + (1−β₂)g²,  w₊ = βw + (1−β) for both w,

        x₊ = x − ε m̂₊/(√(v̂₊ + e_r) + e),     m̂ = m/w_m,  v̂ = v/w_v

    with w(0) = 0, hence w = 1 − βᵏ; `bias_correction=False` is w ≡ 1.

    Flow at ε (a = (1−β₁)/ε, b = (1−β₂)/ε):
        ẋ = −m̂/D,  D = √(v̂ + e_r) + e,  ṁ = a(g − m),  v̇ = b(g² − v),  ẇ = a, b(1 − w)

    Certificate of the flow:
        V = f(x) + (1/2a) Σ m²/(w_m D)
        −V̇ = Σ (m̂²/D)·[(1 + w_m)/2 + (b w_m/4a w_v)·(g² − v̂)/(√(v̂ + e_r) D)]  exactly,
        so V̇ ≤ −(1 − b/4a) Σ m²/D for w ≡ 1, a constant that no other can replace, and
        V̇ ≤ 0 with bias correction: both if b ≤ 4a, that is 1 − β₂ ≤ 4(1 − β₁).

    Certificate of the map, P = w_m D, c = εβ₁/(1−β₁), K = (c/2)Σ m²/P:
        V = f(x) + K,    V₊ − V = r − ε Σ m₊²/P₊ − (c/2) Σ (m₊ − m)²/P₊
                                   + (c/2) Σ m²(1/P₊ − 1/P)
        exactly, for every f and *any* vector g; r = f(x₊) − f(x) − ⟨g, x₊ − x⟩. What
        follows r is ≤ 0 if √β₂ ≥ β₁/(2 − β₁), in first order the flow's condition.

    (0.9, 0.999) and (0.9, 0.95) meet both conditions, (0.99, 0.95) neither; see
    `condition`, which `dynax.verify` reports first.

    Source: Kingma, Ba, arXiv:1412.6980. V of the flow: Barakat, Bianchi,
    arXiv:1810.02263, eq. 3.5 (U = aP); da Silva, Gazeau, arXiv:1810.13108. The exact
    −V̇, the balance of the map and its condition are derived here. Twin: optax.adam.

    Args:
        beta1, beta2: in [0, 1).
        eps, eps_root: e and e_r, ≥ 0, as in optax.
        bias_correction: whether the averages are divided by their weights.
    """

    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.999
    eps: ScalarLike = 1e-8
    eps_root: ScalarLike = 0.0
    bias_correction: bool = eqx.field(default=True, static=True)

    def __check_init__(self):
        check_betas(beta1=self.beta1, beta2=self.beta2)
        check_nonnegative(eps=self.eps, eps_root=self.eps_root)

    def condition(self) -> dict[str, Check]:
        """1 − b/4a ≥ 0 for the flow, √β₂ − β₁/(2 − β₁) ≥ 0 for the map."""
        beta1, beta2 = jnp.asarray(self.beta1), jnp.asarray(self.beta2)
        u = jnp.finfo(beta1.dtype).eps
        slack = 2 * u / (1 - beta1) * self.ratio
        map_ = jnp.sqrt(beta2) - beta1 / (2 - beta1)
        return {
            "flow": Check(1 - self.ratio / 4, slack),
            "map": Check(map_, jnp.full_like(map_, 2 * u)),
        }

    @property
    def ratio(self) -> Array:
        """b/a = (1 − β₂)/(1 − β₁)."""
        return jnp.asarray((1 - self.beta2) / (1 - self.beta1))

    def refined(self, lr, finer) -> "Adam":
        share = finer / lr
        beta1, beta2 = (1 - (1 - b) * share for b in (self.beta1, self.beta2))
        return Adam(beta1, beta2, self.eps, self.eps_root, self.bias_correction)

    def from_optax(self, state: Any) -> AdamState:
        """The averages in a state of optax.adam, as `audit(…, read=…)` needs them."""
        adam = optax.tree.get(state, "ScaleByAdamState")
        if adam is None:
            raise ValueError(
                "state: given one without averages; accepted is that of Adam."
            )
        count = jnp.asarray(adam.count, float)

        def weight(beta):
            power = tree.cast(beta, count.dtype) ** count
            dtype = tree.result_dtype(adam.mu)
            return tree.cast(1 - power * self.bias_correction, dtype)

        return AdamState(adam.mu, adam.nu, weight(self.beta1), weight(self.beta2))

    def init(self, x: Params) -> AdamState:
        tree.check_params(x)
        begun, dtype = float(not self.bias_correction), tree.result_dtype(x)
        weight = lambda: jnp.full((), begun, dtype)
        return AdamState(tree.zeros_like(x), tree.zeros_like(x), weight(), weight())

    def advance(self, state: AdamState, grad: Params) -> AdamState:
        """(m₊, v₊) and their weights."""

        def weigh(beta, w):  # exactly 1 if it was 1
            return w + tree.cast(1 - beta, w.dtype) * (1 - w)

        return AdamState(
            tree.map(lambda m, g: average(self.beta1, m, g), state.m, grad),
            tree.map(lambda v, g: average(self.beta2, v, square(g)), state.v, grad),
            weigh(self.beta1, state.weight_m),
            weigh(self.beta2, state.weight_v),
        )

    def update(self, x, state, grad, lr):
        state = self.advance(state, grad)
        descend = lambda d, x: -tree.cast(lr, x.dtype) * d.astype(x.dtype)
        return tree.map(descend, self._direction(state, grad), x), state

    def flow(self, t, x, state, grad, lr):
        del t
        a, b = (1 - self.beta1) / lr, (1 - self.beta2) / lr
        descend = lambda d, x: -d.astype(x.dtype)
        return tree.map(descend, self._direction(state, grad), x), AdamState(
            tree.map(lambda m, g: approach(a, m, g), state.m, grad),
            tree.map(lambda v, g: approach(b, v, square(g)), state.v, grad),
            approach(a, state.weight_m, 1),
            approach(b, state.weight_v, 1),
        )

    def energy(self, t, x, state, value, lr):
        del t
        half = self._cast(lr, x) / self._cast(2 - 2 * self.beta1, x)  # 1/2a
        return self._cast(value, x) + half * self._squares(state)

    def dissipation(self, t, x, state, grad, lr):
        del t, x, lr
        w_m, w_v = state.weight_m, state.weight_v
        ratio = tree.cast(self.ratio, w_m.dtype)
        turn = jnp.where(w_v > 0, ratio * w_m / tree.safe_denominator(w_v), 1) / 4

        def entry(m, v, g):
            m, v, root = self._corrected(state, m, v, g)
            d = root + tree.cast(self.eps, root.dtype)
            grown = tree.cast(turn, d.dtype) * (square(g) - v)
            share = tree.cast((1 + w_m) / 2, d.dtype)
            share = share + tree.safe_divide(grown, root * d)
            part = tree.safe_divide(square(m), d) * share
            return jnp.sum(tree.wide(part))

        parts = tree.leaves(tree.map(entry, state.m, state.v, grad))
        return tree.total(parts, w_m.dtype)

    def balance(self, step: Step, smoothness: ScalarLike | None = None) -> Ledger:
        before, after = step.state, step.state_next
        eps = self._cast(step.lr, step.x)
        half_c = self._half_c(step.lr, step.x)
        m, m1 = tree.wide(before.m), tree.wide(after.m)
        inverse = lambda s: tree.map(lambda v: self._inverse(s, v), tree.wide(s.v))
        q, q1 = inverse(before), inverse(after)
        pushed, turned = times(m1, q1), tree.sub(m1, m)
        spent = {
            "momentum": eps * tree.vdot(pushed, m1),
            "drift": half_c * tree.vdot(turned, times(turned, q1)),
            "adaptation": half_c * tree.vdot(times(m, m), tree.sub(q, q1)),
        }
        change: list[_balance.Product] = [
            (eps, pushed, m1),
            (2 * half_c, pushed, Change(m1, m)),
        ]
        row = _balance.ledger(
            step,
            self.kinetic(before, step.lr),
            change,
            {},
            smoothness,
            more=spent,
            unsigned=(*spent,),
            joint="dissipation",
        )
        size = self.advance(*tree.map(jnp.abs, (before, step.grad)))
        due = self.advance(before, step.grad)
        given = {"m": step.grad, "v": tree.map(square, step.grad)}
        checks = {
            name: stored(*(getattr(s, name) for s in (after, due, size, before)), new=g)
            for name, g in given.items()
        }
        return row._replace(checks=row.checks | checks)

    def kinetic(self, state: AdamState, lr: ScalarLike) -> Scalar:
        """K of the map, (c/2) Σ m²/P."""
        return self._half_c(lr, state.m) * self._squares(state)

    def _squares(self, state: AdamState) -> Scalar:
        """Σ m²/P."""
        entry = lambda m, v: jnp.sum(tree.wide(m * m * self._inverse(state, v)))
        parts = tree.leaves(tree.map(entry, state.m, state.v))
        return tree.total(parts, tree.result_dtype(state.m))

    def _half_c(self, lr, x) -> Array:
        share = self._cast(self.beta1, x) / self._cast(2 - 2 * self.beta1, x)
        return self._cast(lr, x) * share

    def _cast(self, value, x) -> Array:
        return tree.cast(value, tree.result_dtype(x))

    def _inverse(self, state: AdamState, v) -> Array:
        """1/P, and 0 before the first step."""
        w_m, w_v = (tree.cast(w, v.dtype) for w in (state.weight_m, state.weight_v))
        root = sqrt(tree.safe_divide(v, w_v) + tree.cast(self.eps_root, v.dtype))
        return tree.safe_divide(1.0, w_m * (root + tree.cast(self.eps, v.dtype)))

    def _corrected(self, state: AdamState, m, v, g):
        """m̂, v̂, √(v̂ + e_r); at the very start their limits g, g²."""
        w_m, w_v = (tree.cast(w, v.dtype) for w in (state.weight_m, state.weight_v))
        m = tree.safe_divide(m, w_m, g.astype(m.dtype))
        v = tree.safe_divide(v, w_v, square(g).astype(v.dtype))
        return m, v, sqrt(v + tree.cast(self.eps_root, v.dtype))

    def _direction(self, state: AdamState, grad: Params) -> Params:
        def entry(m, v, g):
            m, _, root = self._corrected(state, m, v, g)
            return tree.safe_divide(m, root + tree.cast(self.eps, root.dtype))

        return tree.map(entry, state.m, state.v, grad)
