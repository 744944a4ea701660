"""Passivity and immersion: an invariant manifold that attracts."""

from typing import NamedTuple

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.optim._common import check_lr, combine, scalars, square


class ImmersionState(NamedTuple):
    """ψ = ẋ + k∇f(x), the distance from the manifold ẋ = −k∇f(x)."""

    psi: Params


class Immersion(AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""Contract second-order dynamics onto the gradient flow.

    Flow: ẍ = −ρψ − k∇²f(x)ẋ with ψ = ẋ + k∇f(x), that is

        ẍ + ρẋ + k∇²f(x)ẋ + ρk∇f(x) = 0,      or without ∇²f:   ẋ = ψ − k∇f(x),  ψ̇ = −ρψ

    Map, h = learning_rate: ψ₊ = e^{−ρh}ψ,  x₊ = x + h(ψ₊ − kg).

    Certificates:
        ψ(t) = e^{−ρt}ψ(0) exactly: V = ½‖ψ‖², V̇ = −2ρV;  map V₊ = e^{−2ρh}V
        any f   H = f + ‖ψ‖²/(4kρ),   Ḣ = −(k/2)‖∇f‖² − (1/2k)‖ẋ‖²

    On the manifold this is gradient flow, which is also where `init` starts: the
    construction explains where a Hessian-damped flow comes from, and is by itself no
    faster than gradient descent with the step kh. `at_rest` starts from ẋ = 0.

    Source: Parimi, Mehra, Wagh, Yerudkar, Singh, arXiv:2509.18346, whose equations were
    not seen: the smallest construction of its kind, derived here.

    Args:
        attraction: ρ > 0.
        gain: k > 0.
    """

    attraction: ScalarLike = 1.0
    gain: ScalarLike = 1.0

    def __check_init__(self):
        check_positive(attraction=self.attraction)
        check_positive(gain=self.gain)

    def init(self, x):
        tree.check_params(x)
        return ImmersionState(tree.zeros_like(x))

    def at_rest(self, grad: Params) -> ImmersionState:
        """The state with ẋ = 0 at a point where ∇f is `grad`."""
        return ImmersionState(tree.scale(self.gain, grad))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        rho, k, h = scalars(x, self.attraction, self.gain, lr)
        psi = tree.scale(jnp.exp(-rho * h), state.psi)
        return combine((h, psi), (-k * h, grad)), ImmersionState(psi)

    def flow(self, t, x, state, grad, lr):
        del t, lr
        rho, k = scalars(x, self.attraction, self.gain)
        dx = combine((1.0, state.psi), (-k, grad))
        return dx, ImmersionState(tree.scale(-rho, state.psi))

    def energy(self, t, x, state, value, lr):
        del t, lr
        rho, k = scalars(x, self.attraction, self.gain)
        return tree.cast(value, k.dtype) + square(state.psi) / (4 * k * rho)

    def dissipation(self, t, x, state, grad, lr):
        (k,) = scalars(x, self.gain)
        dx, _ = self.flow(t, x, state, grad, lr)
        return k / 2 * square(grad) + square(dx) / (2 * k)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, x, f, minimum, lr
        return square(state.psi) / 2

    def decay(self, t, x, state, f, minimum, lr):
        (rho,) = scalars(x, self.attraction)
        return 2 * rho * self.lyapunov(t, x, state, f, minimum, lr)

    def potential(self, k, x, state, f, minimum, lr):
        return self.lyapunov(k, x, state, f, minimum, lr)

    def factor(self, k, lr):
        del k
        return jnp.exp(-2 * jnp.asarray(self.attraction) * lr)
