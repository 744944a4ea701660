"""The Euclidean Bregman–Lagrangian family."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_parameter, check_positive
from dynax._types import ScalarLike
from dynax.flow import AbstractRatedFlow
from dynax.optim._common import (
    TimedState,
    check_lr,
    combine,
    gap,
    scalars,
    square,
    timed_state,
)


class BregmanLagrangian(AbstractRatedFlow):
    r"""Follow the flow of the Bregman Lagrangian, discretised at a polynomial rate.

    Flow, a the clock: ẍ + ((p+1)/a)ẋ + Cp²a^{p−2}∇f(x) = 0, that is

        ẋ = (p/a)(z − x),   ż = −Cpa^{p−1}∇f(x),   ȧ = 1

    p = 2, C = ¼ is the flow of `NesterovC`. At one C all p trace one curve at different
    speeds: the flow of p at the time a is where that of 2 is at a^{p/2}.

    Certificate, f convex:
        flow  V = ½‖z − x*‖² + Ca^p(f − f*),   V̇ ≤ 0; hence f − f* = O(1/t^p)
        map   no certificate known

    The map is the semi-implicit Euler step of length h = learning_rate,
        a₊ = a + h,   z₊ = z − hCpa₊^{p−1}g,   x₊ = x + min(hp/a₊, 1)(z₊ − x)
    For p > 2 it diverges in the end, as it must: no first-order method is faster than
    1/k², and the force Cp²a^{p−2}L outgrows any fixed step.

    Source: Wibisono, Wilson, Jordan, PNAS 2016, arXiv:1603.04245, (2.9).

    Args:
        order: p ≥ 1.
        weight: C > 0.
    """

    order: ScalarLike = 2.0
    weight: ScalarLike = 0.25

    def __check_init__(self):
        check_parameter("order", self.order, lambda p: p >= 1, "p ≥ 1")
        check_positive(weight=self.weight)

    def init(self, x):
        tree.check_params(x)
        return timed_state(x)

    def update(self, x, state, grad, lr):
        check_lr(lr)
        h, p = scalars(x, lr, self.order)
        clock = state.clock + h
        z = combine((1.0, state.z), (-h * self._force(clock), grad))
        share = jnp.minimum(tree.safe_divide(h * p, clock), 1)
        return tree.scale(share, tree.sub(z, x)), TimedState(z, clock)

    def flow(self, t, x, state, grad, lr):
        del t, lr
        p, clock = *scalars(x, self.order), state.clock
        dx = tree.scale(tree.safe_divide(p, clock), tree.sub(state.z, x))
        dz = tree.scale(-self._force(clock), grad)
        return dx, TimedState(dz, jnp.ones_like(clock))

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, lr
        p, c = scalars(x, self.order, self.weight)
        off = square(tree.sub(state.z, minimum.x))
        return off / 2 + c * state.clock**p * gap(f, x, minimum)

    def decay(self, t, x, state, f, minimum, lr):
        del t, x, f, minimum, lr
        return jnp.zeros_like(state.clock)

    def _force(self, clock):
        p, c = scalars(clock, self.order, self.weight)
        return c * p * clock ** (p - 1)
