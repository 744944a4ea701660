"""Accelerated mirror descent."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.flow import AbstractRatedFlow, AbstractRatedMap
from dynax.kappa import AbstractKappa, HalfSquared
from dynax.optim._common import (
    TimedState,
    bregman,
    check_lr,
    check_mirror,
    combine,
    gap,
    scalars,
    timed_state,
)


class AcceleratedMirror(AbstractRatedFlow, AbstractRatedMap):
    r"""Descend with momentum in the geometry of a mirror map.

    Flow, a the clock, r ≥ 2: ẋ = (r/a)(∇ψ*(z) − x),  ż = −(a/r)∇f(x),  ȧ = 1.

    Map. h = learning_rate is the time step, so the gradient step is h². The parameters
    are the points y at which gradients are taken; u = ∇ψ*(z), a₊ = max(a + h, rh):

        z₊ = z − (ha₊/r)g,   x₊ = y + (rh/a₊)(u₊ − u),   y₊ = x₊ + (rh/a₊₊)(u₊ − x₊)

    Every point is a mean of points u, so the simplex is not left. ψ = ½‖·‖² and r = 2
    is `NesterovC` with the momentum k/(k+3). Mirror maps: see `MirrorDescent`.

    Certificates, f convex:
        V = (a²/r²)(f − f*) + D_ψ*(z, z*), of the map at its x
        flow  V̇ ≤ −(a/r)(1 − 2/r)(f − f*)
        map   V never rises for h² ≤ 1/L, f L-smooth in a norm in which ψ is 1-strongly
              convex (‖·‖₁ on the simplex)
    Hence f − f* ≤ r²D₀/t².

    Source: Krichene, Bayen, Bartlett, NIPS 2015, Theorem 2 (the flow; r times this V);
    the map: Tseng 2008, Algorithm 1, with weights that allow r > 2.

    Args:
        mirror: ψ*, a smooth κ.
        r: ≥ 2.
    """

    mirror: AbstractKappa = HalfSquared()
    r: ScalarLike = 3.0

    def __check_init__(self):
        check_mirror(self.mirror)
        check_parameter("r", self.r, lambda r: r >= 2, "r ≥ 2")

    def init(self, x):
        tree.check_params(x)
        return timed_state(self.mirror.grad_conjugate(x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        h, r = scalars(x, lr, self.r)
        clock = self._tick(state.clock, h, r)
        share = tree.safe_divide(r * h, clock)
        ahead = tree.safe_divide(r * h, self._tick(clock, h, r))
        z = combine((1.0, state.z), (-h * clock / r, grad))
        u = self.mirror.grad(z)
        moved = tree.scale(share, tree.sub(u, self.mirror.grad(state.z)))  # x₊ − y
        rest = tree.sub(tree.sub(u, x), moved)  # u₊ − x₊
        return combine((1.0, moved), (ahead, rest)), TimedState(z, clock)

    def flow(self, t, x, state, grad, lr):
        del t, lr
        r, clock = *scalars(x, self.r), state.clock
        toward = tree.sub(self.mirror.grad(state.z), x)
        dx = tree.scale(tree.safe_divide(r, clock), toward)
        return dx, TimedState(tree.scale(-clock / r, grad), jnp.ones_like(clock))

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, lr
        (r,) = scalars(x, self.r)
        weight = (state.clock / r) ** 2
        return weight * gap(f, x, minimum) + bregman(self.mirror, state.z, minimum.x)

    def decay(self, t, x, state, f, minimum, lr):
        del t, lr
        (r,) = scalars(x, self.r)
        return state.clock / r * (1 - 2 / r) * gap(f, x, minimum)

    def potential(self, k, x, state, f, minimum, lr):
        h, r = scalars(x, lr, self.r)
        later = self._tick(state.clock, h, r)
        share = tree.safe_divide(r * h, later)  # 1 where V has no f yet
        back = tree.sub(x, self.mirror.grad(state.z))
        step = jnp.where(share < 1, share / jnp.where(share < 1, 1 - share, 1), 0)
        before = combine((1.0, x), (step, back))
        return self.lyapunov(k, before, state, f, minimum, lr)

    def factor(self, k, lr):
        del k, lr
        return jnp.ones(())

    def _tick(self, clock, h, r):
        return jnp.maximum(clock + h, r * h)
