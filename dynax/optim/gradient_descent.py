"""Gradient descent."""

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.optim import _balance
from dynax.optim._common import NoState, check_lr, combine, gap, scalars, square


class GradientDescent(AbstractBalancedOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""Step against the gradient.

    x₊ = x − εg, bit for bit `optax.sgd(ε)`.      Flow: ẋ = −∇f(x).

    Certificates, any f:
        H = f:   flow  Ḣ = −‖∇f‖²
                 map   H₊ − H = −ε‖g‖² + r,  r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g. If f is L-smooth and g = ∇f(x),
    r ≤ (L/2)‖x₊ − x‖², hence f(x₊) ≤ f(x) − ε(1 − εL/2)‖g‖².

    Rates, f μ-strongly convex, for the map L-smooth too:
        μ > 0   V = ½‖x − x*‖²
            flow  V̇ ≤ −2μV
            map   V₊ ≤ (1 − με)²V                        for ε ≤ 2/(L + μ)
        μ = 0   V = B(f − f*) + ½‖x − x*‖²,   so that f − f* ≤ ‖x₀ − x*‖²/2B
            flow  B = t,     V̇ ≤ −B‖∇f‖²
            map   B = kε,    V₊ ≤ V                      for ε ≤ 1/L
    At μ > 0 both are attained, by f = ½μ‖x‖²: no weight of f in V could grow there.

    Source: μ > 0: Taylor, Hendrickx, Glineur, arXiv:1705.04398; μ = 0: d'Aspremont,
    Scieur, Taylor, Acceleration Methods, arXiv:2101.09545, §4.

    Args:
        strong_convexity: μ ≥ 0, used by the rates only.
    """

    strong_convexity: ScalarLike = 0.0

    def __check_init__(self):
        check_nonnegative(strong_convexity=self.strong_convexity)

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
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        del t, x, state, lr
        return square(grad)

    def balance(self, step, smoothness=None):
        (lr,) = scalars(step.x, step.lr)
        spent = {"descent": (lr, step.grad, step.grad)}
        return _balance.ledger(step, jnp.zeros_like(lr), [], spent, smoothness)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del state, lr
        return self._potential(t, x, f, minimum)

    def decay(self, t, x, state, f, minimum, lr):
        (mu,) = scalars(x, self.strong_convexity)
        fall = self._weight(t, x) * square(jax.grad(f)(x))
        return 2 * mu * self.lyapunov(t, x, state, f, minimum, lr) + fall

    def potential(self, k, x, state, f, minimum, lr):
        del state
        k, lr = scalars(x, k, lr)
        return self._potential(k * lr, x, f, minimum)

    def factor(self, k, lr):
        del k
        return jnp.asarray(1 - self.strong_convexity * lr) ** 2

    def _weight(self, time, x):
        """B."""
        mu, time = scalars(x, self.strong_convexity, time)
        return jnp.where(mu > 0, 0, time)

    def _potential(self, time, x, f, minimum):
        off = combine((1.0, x), (-1.0, minimum.x))
        return self._weight(time, x) * gap(f, x, minimum) + square(off) / 2
