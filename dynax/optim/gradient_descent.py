"""Gradient descent."""

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.optim import _balance
from dynax.optim._common import (
    NoState,
    check_lr,
    combine,
    gap,
    require,
    scalars,
    square,
)


class GradientDescent(AbstractBalancedOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""x₊ = x − εg, bit for bit `optax.sgd(ε)`.      Flow: ẋ = −∇f(x).

    Certificates, any f:
        H = f:   flow  Ḣ = −‖∇f‖²
                 map   H₊ − H = −ε‖g‖² + r,  r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g. If f is L-smooth and g = ∇f(x),
    r ≤ (L/2)‖x₊ − x‖², hence f(x₊) ≤ f(x) − ε(1 − εL/2)‖g‖².

    Rates, f μ-strongly convex (μ ≥ 0: convex):
        V = B(f − f*) + ½‖x − x*‖²
        flow  B = (1 − e^{−μt})/μ,      V̇ ≤ −μV − B‖∇f‖²
        map   B = (1 − (1 − με)ᵏ)/μ,    V₊ ≤ (1 − με)V    for ε ≤ 1/L, f L-smooth
    At μ = 0, B = t or kε: f − f* ≤ ‖x₀ − x*‖²/2t.

    Source: d'Aspremont, Scieur, Taylor, Acceleration Methods, arXiv:2101.09545, §4.

    Args:
        strong_convexity: μ ≥ 0, used by the rates only.
    """

    strong_convexity: ScalarLike = 0.0

    def __check_init__(self):
        require("strong_convexity", self.strong_convexity, "μ ≥ 0", lambda v: v >= 0)

    def init(self, x):
        tree.check_params(x)
        return NoState()

    def update(self, x, state, grad, lr):
        check_lr(lr)
        return tree.map(lambda a, g: -tree.cast(lr, a.dtype) * g, x, grad), state

    def flow(self, t, x, state, grad, lr):
        del t, x, lr
        return tree.map(jnp.negative, grad), state

    def energy(self, t, x, state, value, lr):
        del t, state, lr
        return tree.cast(value, tree.widest(x))

    def dissipation(self, t, x, state, grad, lr):
        del t, x, state, lr
        return square(grad)

    def balance(self, step, smoothness=None):
        (lr,) = scalars(step.x, step.lr)
        spent = {"descent": (lr, step.grad, step.grad)}
        return _balance.ledger(step, jnp.zeros_like(lr), [], spent, smoothness)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del state, lr
        mu, t = scalars(x, self.strong_convexity, t)
        return self._potential(_saturating(mu, mu * t, t), x, f, minimum)

    def decay(self, t, x, state, f, minimum, lr):
        mu, t_ = scalars(x, self.strong_convexity, t)
        fall = _saturating(mu, mu * t_, t_) * square(jax.grad(f)(x))
        return mu * self.lyapunov(t, x, state, f, minimum, lr) + fall

    def potential(self, k, x, state, f, minimum, lr):
        del state
        mu, k, lr = scalars(x, self.strong_convexity, k, lr)
        exponent = -k * jnp.log1p(-jnp.minimum(mu * lr, 1 - tree.eps(x)))
        return self._potential(_saturating(mu, exponent, k * lr), x, f, minimum)

    def factor(self, k, lr):
        del k
        return jnp.asarray(1 - self.strong_convexity * lr)

    def _potential(self, weight, x, f, minimum):
        off = combine((1.0, x), (-1.0, minimum.x))
        return weight * gap(f, x, minimum) + square(off) / 2


def _saturating(mu, exponent, limit):
    """(1 − e^{−exponent})/μ, or its limit at μ = 0."""
    return jnp.where(mu > 0, -jnp.expm1(-exponent) / jnp.where(mu > 0, mu, 1), limit)
