"""High-resolution flows: what a step of h = √s leaves in the ODE of an accelerated map.

They hold ∇²f(x)ẋ. With the second point z of the map in place of the velocity it is
gone: it is the time derivative of the h∇f in ẋ = … − h∇f. The maps are those of
NesterovSC, NesterovC and the heavy ball; h is the learning rate of the flow.

Source of all: Shi, Du, Jordan, Su, arXiv:1810.08907 (V: their (3.1), (3.7), (4.7)).
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._types import ScalarLike
from dynax.flow import AbstractRatedFlow, AbstractRatedMap
from dynax.optim import nesterov_c, nesterov_sc
from dynax.optim._common import (
    VelocityState,
    combine,
    gap,
    point_state,
    scalars,
    square,
    timed_state,
)


class HighResolutionSC(AbstractRatedFlow, AbstractRatedMap):
    r"""See Nesterov's method for strongly convex f through its high-resolution flow.

    The map of `NesterovSC` seen through ẍ + 2√μẋ + h∇²f(x)ẋ + (1 + √μh)∇f(x) = 0:

        ẋ = √μ(z − x) − h∇f(x),   ż = √μ(x − z) − ∇f(x)/√μ

    Certificates, f μ-strongly convex and (1/h²)-smooth:
        flow  V = (1 + √μh)(f − f*) + ¼‖ẋ‖² + ¼‖ẋ + 2√μ(x − x*) + h∇f‖²,  V̇ ≤ −(√μ/4)V
              (the bracket is √μ(z + x − 2x*)); and, sharper, for any h ≥ 0:
              W = f − f* + (μ/2)‖z − x*‖²,   Ẇ ≤ −√μW − h‖∇f‖²
        map   W₊ ≤ (1 − √μh)W at its own x, as NesterovSC

    W: derived here; h enters only ẋ, where −h∇f lowers f by h‖∇f‖².

    Args:
        strong_convexity: μ > 0.
        sharp: whether `lyapunov` is W.
    """

    strong_convexity: ScalarLike = 1.0
    sharp: bool = eqx.field(default=False, static=True)

    def __check_init__(self):
        check_positive(strong_convexity=self.strong_convexity)

    def init(self, x):
        tree.check_params(x)
        return point_state(x)

    def update(self, x, state, grad, lr):
        return nesterov_sc.advance(self.strong_convexity, x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        del t
        return nesterov_sc.drift(self.strong_convexity, lr, x, state, grad)

    def lyapunov(self, t, x, state, f, minimum, lr):
        r, mu, _ = nesterov_sc.root_q(self.strong_convexity, x, lr)
        if self.sharp:
            return nesterov_sc.lyapunov(mu, x, state, f, minimum)
        speed, _ = self.flow(t, x, state, jax.grad(f)(x), lr)
        middle = tree.sub(tree.add(x, state.z), tree.scale(2.0, minimum.x))
        kinetic = square(speed) / 4 + mu / 4 * square(middle)
        return (1 + r) * gap(f, x, minimum) + kinetic

    def decay(self, t, x, state, f, minimum, lr):
        mu, h = scalars(x, self.strong_convexity, lr)
        v = self.lyapunov(t, x, state, f, minimum, lr)
        if self.sharp:
            return jnp.sqrt(mu) * v + h * square(jax.grad(f)(x))
        return jnp.sqrt(mu) / 4 * v

    def potential(self, k, x, state, f, minimum, lr):
        del k
        return nesterov_sc.potential(self.strong_convexity, x, state, f, minimum, lr)

    def factor(self, k, lr):
        del k
        return 1 - jnp.sqrt(jnp.asarray(self.strong_convexity)) * lr


class HighResolutionC(AbstractRatedFlow, AbstractRatedMap):
    r"""See Nesterov's method for convex f through its high-resolution flow.

    The map of `NesterovC` seen through its high-resolution flow, a the clock:

        ẍ + (3/a)ẋ + h∇²f(x)ẋ + (1 + 3h/2a)∇f(x) = 0
        ẋ = (2/a)(z − x) − h∇f(x),   ż = −½(a + h/2)∇f(x),   ȧ = 1

    Certificates, f convex:
        flow  V = a(a + h/2)(f − f*) + 2‖z − x*‖²       (= ½‖aẋ + 2(x − x*) + ah∇f‖²)
              V̇ ≤ −½h(f − f*) − ha(a + h/2)‖∇f‖²
        map   as NesterovC: V at h = 0 and its own x never rises for h² ≤ 1/L
    Hence min ‖∇f‖² = O(1/t³), which the flow of NesterovC does not have.
    """

    def init(self, x):
        tree.check_params(x)
        return timed_state(x)

    def update(self, x, state, grad, lr):
        return nesterov_c.advance(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        del t
        return nesterov_c.drift(lr, x, state, grad)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t
        h, a = *scalars(x, lr), state.clock
        off = square(tree.sub(state.z, minimum.x))
        return a * (a + h / 2) * gap(f, x, minimum) + 2 * off

    def decay(self, t, x, state, f, minimum, lr):
        del t
        h, a = *scalars(x, lr), state.clock
        slope = h * a * (a + h / 2) * square(jax.grad(f)(x))
        return h / 2 * gap(f, x, minimum) + slope

    def potential(self, k, x, state, f, minimum, lr):
        del k
        return nesterov_c.potential(x, state, f, minimum, lr)

    def factor(self, k, lr):
        del k, lr
        return jnp.ones(())


class HighResolutionHeavyBall(AbstractRatedFlow):
    r"""See Polyak's heavy ball through its high-resolution flow.

    Polyak's heavy ball, x₊ = x + β(x − x₋) − h²g with β = (1−√q)/(1+√q), q = μh²,
    kept as v = (x − x₋)/h, seen through the high-resolution flow, which has no ∇²f:

        ẋ = v,   v̇ = −2√μv − (1 + √μh)∇f(x)

    Certificate, f μ-strongly convex:
        flow  V = (1 + √μh)(f − f*) + ¼‖v‖² + ¼‖v + 2√μ(x − x*)‖²,   V̇ ≤ −(√μ/4)V
    Of the map no rate is claimed: it is `optax.sgd(h², momentum=β)`, see `Momentum`.

    Args:
        strong_convexity: μ > 0.
    """

    strong_convexity: ScalarLike = 1.0

    def __check_init__(self):
        check_positive(strong_convexity=self.strong_convexity)

    def init(self, x):
        tree.check_params(x)
        return VelocityState(tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        r, _, h = nesterov_sc.root_q(self.strong_convexity, x, lr)
        v = combine(((1 - r) / (1 + r), state.v), (-h, grad))
        return tree.scale(h, v), VelocityState(v)

    def flow(self, t, x, state, grad, lr):
        del t
        r, mu, _ = nesterov_sc.root_q(self.strong_convexity, x, lr)
        dv = combine((-2 * jnp.sqrt(mu), state.v), (-(1 + r), grad))
        return state.v, VelocityState(dv)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t
        r, mu, _ = nesterov_sc.root_q(self.strong_convexity, x, lr)
        off = combine((1.0, state.v), (2 * jnp.sqrt(mu), tree.sub(x, minimum.x)))
        return (1 + r) * gap(f, x, minimum) + (square(state.v) + square(off)) / 4

    def decay(self, t, x, state, f, minimum, lr):
        (mu,) = scalars(x, self.strong_convexity)
        return jnp.sqrt(mu) / 4 * self.lyapunov(t, x, state, f, minimum, lr)
