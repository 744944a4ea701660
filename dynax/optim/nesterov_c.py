"""Nesterov's accelerated gradient for convex functions."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.optim._common import (
    TimedState,
    check_lr,
    combine,
    gap,
    scalars,
    square,
    timed_state,
)


class NesterovC(AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""NAG-C, with the momentum of FISTA. h = learning_rate is the time step, so the
    gradient step is h² (≤ 1/L). The parameters are the points y at which gradients are
    taken; a is the clock, 0 at first, a₊ = h + √(a² + h²), a = 2ht with FISTA's t:

        x₊ = y − h²g,   z₊ = z − ½ha₊g,   y₊ = x₊ + (2h/a₊₊)(z₊ − x₊)

    Flow, the parameters called x: ẋ = (2/a)(z − x),  ż = −(a/2)∇f(x),  ȧ = 1,
    which is Su–Boyd–Candès, ẍ + (3/t)ẋ + ∇f(x) = 0, at the time a.

    Certificates:
        flow, any f     H = f + ½‖ẋ‖²,   Ḣ = −(3/a)‖ẋ‖²
        f convex        V = a²(f − f*) + 2‖z − x*‖², V of the map at its x
            flow, and map with h² ≤ 1/L:   V never rises
    Hence f − f* ≤ 2‖x₀ − x*‖²/t², and 2‖x₀ − x*‖²/(h²(k+1)²) after k steps.

    Source: Beck, Teboulle 2009; Su, Boyd, Candès, arXiv:1503.01243, Theorem 3.
    """

    def init(self, x):
        tree.check_params(x)
        return timed_state(x)

    def update(self, x, state, grad, lr):
        return advance(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        del t, lr
        return drift(0.0, x, state, grad)

    def energy(self, t, x, state, value, lr):
        del t, lr
        speed = tree.safe_divide(2.0, state.clock) ** 2 * square(tree.sub(state.z, x))
        return tree.cast(value, tree.result_dtype(x)) + speed / 2

    def dissipation(self, t, x, state, grad, lr):
        del t, grad, lr
        speed = tree.safe_divide(2.0, state.clock) ** 2 * square(tree.sub(state.z, x))
        return tree.safe_divide(3.0, state.clock) * speed

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, lr
        return _v(x, state, f, minimum)

    def decay(self, t, x, state, f, minimum, lr):
        del t, x, f, minimum, lr
        return jnp.zeros_like(state.clock)

    def potential(self, k, x, state, f, minimum, lr):
        del k
        return potential(x, state, f, minimum, lr)

    def factor(self, k, lr):
        del k, lr
        return jnp.ones(())


def advance(x, state: TimedState, grad, lr: ScalarLike):
    """One step of NAG-C."""
    check_lr(lr)
    (h,) = scalars(x, lr)
    clock = h + jnp.hypot(state.clock, h)
    share = 2 * h / (h + jnp.hypot(clock, h))
    apart = tree.sub(state.z, x)
    onward = combine((1.0, apart), (-h * clock / 2, grad))  # z₊ − y
    delta = combine((share, onward), ((share - 1) * h**2, grad))
    return delta, TimedState(combine((1.0, state.z), (-h * clock / 2, grad)), clock)


def drift(h: ScalarLike, x, state: TimedState, grad):
    """ẋ = (2/a)(z − x) − h∇f,  ż = −½(a + h/2)∇f,  ȧ = 1."""
    h, clock = *scalars(x, h), state.clock
    dx = combine((tree.safe_divide(2.0, clock), tree.sub(state.z, x)), (-h, grad))
    dz = tree.scale(-(clock + h / 2) / 2, grad)
    return dx, TimedState(dz, jnp.ones_like(clock))


def potential(x, state: TimedState, f, minimum, lr: ScalarLike):
    """V at the point from which the method extrapolated to `x`."""
    h, clock = *scalars(x, lr), state.clock
    ahead = 2 * h * (h + jnp.hypot(clock, h)) * tree.safe_divide(1.0, clock) ** 2
    before = combine((1.0, x), (-ahead, tree.sub(state.z, x)))
    return _v(before, state, f, minimum)


def _v(x, state, f, minimum):
    off = square(tree.sub(state.z, minimum.x))
    return state.clock**2 * gap(f, x, minimum) + 2 * off
