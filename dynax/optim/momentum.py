"""Momentum as it is trained with: Polyak's or Nesterov's, in optax's units."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import optax

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractBalancedOptimizer
from dynax.optim import _balance
from dynax.optim._common import check_lr, combine, scalars, square


class MomentumState(NamedTuple):
    """The decaying sum of gradients m."""

    m: Params

    @classmethod
    def from_optax(cls, state: Any) -> "MomentumState":
        """The `trace` inside an optax state."""
        m = optax.tree.get(state, "trace")
        if m is None:
            raise ValueError(
                "state: given one without `trace`; accepted is that of sgd."
            )
        return cls(m)


class Momentum(AbstractBalancedOptimizer):
    r"""Step along a decaying sum of gradients, in optax's units.

    m₊ = βm + g,  x₊ = x − εu,   u = m₊,  or u = g + βm₊ with nesterov=True.

    Bit for bit `optax.sgd(ε, momentum=β, nesterov=…)`.

    Flow (Euler with step ε, exactly):  ṁ = (g − (1−β)m)/ε,  ẋ = −u.

    Certificates, any f, H = f + ½c‖m‖² in both:
        Polyak's, c = εβ
            flow  Ḣ = −‖g‖² − β(1−β)‖m‖²
            map   H₊ − H = −ε(1−β)‖m₊‖² − ½εβ‖m₊ − m‖² + r
        Nesterov's, c = εβ²
            flow  Ḣ = −(1+β)‖g‖² − β²(1−β)‖m‖²
            map   H₊ − H = −½ε[(2+β)‖g‖² + β²(1−β)‖m‖² + β(1−β)‖m₊‖²] + r
    with r = f(x₊) − f(x) − ⟨g, x₊ − x⟩. The map's lines are equalities for any vector
    g: Lion-κ's for κ = ½‖·‖² without decay. r ≤ (L/2)‖x₊ − x‖² if f is L-smooth and
    g = ∇f(x), so Polyak's H falls at every step if ε ≤ 2(1−β)/L.

    Rates: with β = (1−√q)/(1+√q), q = με ≤ μ/L, and nesterov=True this is `NesterovSC`
    with h = √ε, and its rate. Polyak's has none with its optimal ε = 4/(√L + √μ)²,
    β = ((√L − √μ)/(√L + √μ))²: at L = 25μ there is a strongly convex f on which it ends
    in a 3-cycle.

    Source: Polyak 1964; Sutskever et al., ICML 2013; the cycle: Lessard, Recht,
    Packard, arXiv:1408.3595, §4.6; the balance: derived here.

    Args:
        momentum: β in [0, 1).
        nesterov: whether the gradient is added once more.
    """

    momentum: ScalarLike = 0.9
    nesterov: bool = eqx.field(default=False, static=True)

    def __check_init__(self):
        ok = lambda b: (b >= 0) & (b < 1)
        check_parameter("momentum", self.momentum, ok, "0 ≤ β < 1")

    def init(self, x):
        tree.check_params(x)
        return MomentumState(tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        m, u = self._next(state.m, grad)
        delta = tree.map(lambda a, u: -tree.cast(lr, a.dtype) * u, x, u)
        return delta, MomentumState(m)

    def flow(self, t, x, state, grad, lr):
        del t
        beta, lr = scalars(x, self.momentum, lr)
        dm = combine((-(1 - beta) / lr, state.m), (1 / lr, grad))
        _, u = self._next(state.m, grad)
        return tree.map(jnp.negative, u), MomentumState(dm)

    def energy(self, t, x, state, value, lr):
        del t
        return tree.cast(value, tree.result_dtype(x)) + self._kinetic(x, state.m, lr)

    def dissipation(self, t, x, state, grad, lr):
        del t, lr
        (beta,) = scalars(x, self.momentum)
        if self.nesterov:
            return (1 + beta) * square(grad) + beta**2 * (1 - beta) * square(state.m)
        return square(grad) + beta * (1 - beta) * square(state.m)

    def balance(self, step, smoothness=None):
        beta, lr = scalars(step.x, self.momentum, step.lr)
        m, after, g = step.state.m, step.state_next.m, step.grad
        jump, low = _balance.Change(after, m), lr * (1 - beta) / 2
        spent: dict[str, _balance.Product] = {
            "damping": (2 * low, after, after),
            "jump": (lr * beta / 2, jump, jump),
        }
        if self.nesterov:
            spent = {
                "damping": (low * beta, after, after),
                "forgetting": (low * beta**2, m, m),
                "descent": (lr * (2 + beta) / 2, g, g),
            }
        change = _balance.kinetic(self._weight(lr, beta), m, after)
        energy = self._kinetic(step.x, m, lr)
        return _balance.ledger(step, energy, change, spent, smoothness)

    def _next(self, m, grad):
        add = lambda g, m: g + tree.cast(self.momentum, m.dtype) * m
        m = tree.map(add, grad, m)
        return m, tree.map(add, grad, m) if self.nesterov else m

    def _weight(self, lr, beta):
        return lr * beta**2 if self.nesterov else lr * beta

    def _kinetic(self, x, m, lr):
        lr, beta = scalars(x, lr, self.momentum)
        return self._weight(lr, beta) / 2 * square(m)
