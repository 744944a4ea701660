"""Schedule-Free SGD."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_parameter, check_positive
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractRatedFlow, AbstractRatedMap, AbstractRefinableOptimizer
from dynax.optim._common import combine, gap, scalars, square


class ScheduleFreeState(NamedTuple):
    """u = z − x, the sum of the weights so far, and the largest step so far."""

    u: Params
    weight_sum: Scalar
    max_lr: Scalar


class ScheduleFree(AbstractRatedFlow, AbstractRatedMap, AbstractRefinableOptimizer):
    r"""Take gradients between the iterate and its average, without a schedule.

    Schedule-Free SGD: gradients are taken at the parameters y = (1−β)z + βx,

        z₊ = z − εg(y),   x₊ = (1−c)x + cz₊,   c = w/(w + Σ of earlier w)

    with w = (largest ε so far)^p; x, the average of z, is `average(y, state)`, at which
    losses are to be evaluated. The state is u = z − x: then x = y − (1−β)u, z = y + βu
    for every β in [0, 1], and optax's division by β is not needed.

    Flow: ż = −g(y),  ẋ = (z − x)/t: what the map tends to at a constant ε, t = kε.

    Rates, f convex, D_h the Bregman distance of f:
        flow  V = t(f(x) − f*) + ½‖z − x*‖²,
              −V̇ = D(x*, y) + D(y, x) + β⟨∇f(y) − ∇f(x), z − x⟩ ≥ 0,
              hence f(x) − f* ≤ ‖z₀ − x*‖²/2t, a constant that f = |x| attains
        map   V = kε(f(x) − f*) + ½‖z − εg(y) − x*‖²,  V₊ ≤ V
              for ε ≤ 1/L, f L-smooth, constant ε: f(x_k) − f* ≤ ‖z₀ − x*‖²/2kε
        any f of Lipschitz constant G: f(x_k) − f* ≤ D²/2kε + (k+1)εG²/2k,
              D = ‖z₀ − x*‖, so ≤ (1 + 1/2k)DG/√k at ε = D/(G√k)

    Source: Defazio et al., arXiv:2405.15682, Theorem 1 (DG/√T; the implementations
    average one point fewer than the theorem, whence 1/2k). V of the map derived here.
    Twin: optax.contrib.schedule_free(optax.sgd(ε), ε).

    Args:
        beta: β in [0, 1]: 0 is Polyak's averaging, 1 primal averaging.
        weight_power: p, optax's `weight_lr_power`.
        weight: a factor of every w (1 in the paper); one that changes is a change of
            how much of the average a step is.
    """

    beta: ScalarLike = 0.9
    weight_power: ScalarLike = 2.0
    weight: ScalarLike = 1.0

    def __check_init__(self):
        ok = lambda b: (b >= 0) & (b <= 1)
        check_parameter("beta", self.beta, ok, "0 ≤ beta ≤ 1")
        check_nonnegative(weight_power=self.weight_power)
        check_positive(weight=self.weight)

    def refined(self, lr, finer) -> "ScheduleFree":
        return ScheduleFree(self.beta, self.weight_power, self.weight * (finer / lr))

    def average(self, x: Params, state: ScheduleFreeState) -> Params:
        """The average x, from the parameters y."""
        return combine((1.0, x), (self.beta - 1, state.u))

    def init(self, x):
        tree.check_params(x)
        zero = lambda: jnp.zeros((), tree.result_dtype(x))
        return ScheduleFreeState(tree.zeros_like(x), zero(), zero())

    def update(self, x, state, grad, lr):
        lr_, beta, power, weight = scalars(
            x, lr, self.beta, self.weight_power, self.weight
        )
        max_lr = jnp.maximum(state.max_lr, lr_)
        w = weight * max_lr**power
        total = state.weight_sum + w
        c = tree.safe_divide(w, total)
        moved = combine((1.0, state.u), (-lr_, grad))  # z₊ − x
        delta = combine((beta * c, moved), ((beta - 1) * lr_, grad))
        return delta, ScheduleFreeState(combine((1 - c, moved)), total, max_lr)

    def flow(self, t, x, state, grad, lr):
        t, lr_, beta = scalars(x, t, lr, self.beta)
        rate = tree.safe_divide(1.0, t)
        largest = jnp.maximum(state.max_lr, lr_)
        w = tree.cast(self.weight, lr_.dtype) * largest**self.weight_power
        du = combine((-1.0, grad), (-rate, state.u))
        dx = combine((beta * rate, state.u), (beta - 1, grad))
        return dx, ScheduleFreeState(du, w / lr_, jnp.zeros_like(w))

    def lyapunov(self, t, x, state, f, minimum, lr):
        del lr
        (t,) = scalars(x, t)
        z = combine((1.0, x), (self.beta, state.u), (-1.0, minimum.x))
        return t * gap(f, self.average(x, state), minimum) + square(z) / 2

    def decay(self, t, x, state, f, minimum, lr):
        """All of −V̇, an equality."""
        del t, lr
        at = self.average(x, state)
        (value, slope), (value_at, slope_at) = map(jax.value_and_grad(f), (x, at))
        to_minimum, to_x = combine((1.0, minimum.x), (-1.0, x)), tree.sub(x, at)
        below = tree.cast(minimum.value, value.dtype) - value
        below = below - tree.vdot(slope, to_minimum)
        between = value - value_at - tree.vdot(slope_at, to_x)
        turn = tree.vdot(tree.sub(slope, slope_at), state.u)
        return below + between + tree.cast(self.beta, turn.dtype) * turn

    def potential(self, k, x, state, f, minimum, lr):
        k, lr_ = scalars(x, k, lr)
        z = combine((1.0, x), (self.beta, state.u), (-lr_, jax.grad(f)(x)))
        off = square(tree.sub(z, minimum.x))
        return k * lr_ * gap(f, self.average(x, state), minimum) + off / 2

    def factor(self, k, lr):
        del k
        return jnp.ones_like(jnp.asarray(lr))
