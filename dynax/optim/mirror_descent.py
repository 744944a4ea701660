"""Mirror descent."""

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax.flow import AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.kappa import AbstractKappa, HalfSquared
from dynax.optim._common import (
    PointState,
    bregman,
    check_lr,
    check_mirror,
    combine,
    gap,
    point_state,
    scalars,
)


class MirrorDescent(AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""Descend in the dual variable of a mirror map.

    z₊ = z − εg,  x₊ = ∇ψ*(z₊).      Flow: ż = −∇f(x),  x = ∇ψ*(z).

    The mirror map is given by ψ*, a smooth κ; its conjugate generates distances:

        K.HalfSquared()     ψ = ½‖x‖²         gradient descent
        K.LogSumExp(1.0)    ψ = Σ x ln x      exponentiated gradient on the simplex
        K.HalfSquaredLp(p)  ψ = ½‖x‖_q²       1/p + 1/q = 1

    x has to be ∇ψ*(z) for some z (positive and of sum 1 on the simplex); z is kept.

    Certificates:
        flow, any f      H = f,   Ḣ = −⟨∇f, ∇²ψ*(z)∇f⟩
        f convex         D = D_ψ*(z, z*) = D_ψ(x*, x)
            flow         V = D,               V̇ ≤ −(f − f*)
            map          V = kε(f − f*) + D,  V₊ ≤ V for ε ≤ 1/L
    if f is L-smooth relative to ψ, as it is if L-smooth in a norm in which ψ is
    1-strongly convex: ‖·‖₁ on the simplex.
    D is written ψ*(z) + ψ(x*) − ⟨z, x*⟩, so that x* may lie on the boundary.

    Source: Nemirovski, Yudin 1983; the map's V: Lu, Freund, Nesterov, arXiv:1610.05708,
    Theorem 3.1.

    Args:
        mirror: ψ*.
    """

    mirror: AbstractKappa = HalfSquared()

    def __check_init__(self):
        check_mirror(self.mirror)

    def init(self, x):
        tree.check_params(x)
        return point_state(self.mirror.grad_conjugate(x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        z = combine((1.0, state.z), (-lr, grad))
        return tree.sub(self.mirror.grad(z), x), PointState(z)

    def flow(self, t, x, state, grad, lr):
        del t, x, lr
        dz = tree.map(jnp.negative, grad)
        return jax.jvp(self.mirror.grad, (state.z,), (dz,))[1], PointState(dz)

    def energy(self, t, x, state, value, lr):
        del t, state, lr
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        dx, _ = self.flow(t, x, state, grad, lr)
        return -tree.vdot(grad, dx)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, x, f, lr
        return bregman(self.mirror, state.z, minimum.x)

    def decay(self, t, x, state, f, minimum, lr):
        del t, state, lr
        return gap(f, x, minimum)

    def potential(self, k, x, state, f, minimum, lr):
        k, lr = scalars(x, k, lr)
        return k * lr * gap(f, x, minimum) + bregman(self.mirror, state.z, minimum.x)

    def factor(self, k, lr):
        del k, lr
        return jnp.ones(())
