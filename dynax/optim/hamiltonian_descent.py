"""Hamiltonian descent."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_parameter, check_positive
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractRatedFlow
from dynax.kappa import AbstractKappa, HalfSquared
from dynax.optim import _balance
from dynax.optim._common import check_lr, check_mirror, combine, gap, scalars


class HamiltonianState(NamedTuple):
    """The momentum p."""

    p: Params


class HamiltonianDescent(AbstractBalancedOptimizer, AbstractRatedFlow):
    r"""Descend with a friction and any convex kinetic energy.

    Flow: ẋ = ∇k(p),  ṗ = −∇f(x) − γp, k a smooth even κ: the kinetic energy.

    Map, h = learning_rate the time step: x₊ = x + h∇k(p₊) with
        p₊ = (p − hg)/(1 + γh)      scheme="first", the first explicit method
        p₊ = (1 − γh)p − hg         scheme="second" (the paper's x is one step behind)

        K.HalfSquared()     ½‖p‖²                 `HeavyBall`
        K.FourThirds()      ¾Σ|p|^{4/3}           for quartic f
        K.Relativistic()    √(1 + ‖p‖²) − 1       for f that grows linearly

    Certificates, any f, H = f + k(p) in both:
        flow    Ḣ = −γ⟨p, ∇k(p)⟩
        first   H₊ − H = −γh⟨p₊, ∇k(p₊)⟩ − D_k(p, p₊) + r
        second  H₊ − H = −γh⟨p, ∇k(p₊)⟩ − D_k(p, p₊) + r, the first term without a sign
    with r = f(x₊) − f(x) − ⟨g, x₊ − x⟩: equalities for every convex k and any vector g.

    Rate of the flow, f convex and k(p) ≥ α·f_c*(±p), f_c(x) = f(x + x*) − f*, γ < 1:
        V = H − f* + β⟨x − x*, p⟩,   V̇ ≤ −λV,   λ = β(1−γ)/(1−β),
        β = 2αγ/(2α + γ + √(4α²(1−γ) + γ²))
    So a k that dominates the conjugate of f gives a linear rate where f is not strongly
    convex: k = ¾|p|^{4/3} for f = x⁴/4 (α = 1), on which ½p² is sublinear.

    Source: Maddison, Paulin, Teh, O'Donoghue, Doucet, arXiv:1809.05042, Theorem 1 and
    §4; the maps' balance: derived here.

    Args:
        kinetic: k.
        damping: γ > 0.
        alpha: α in (0, 1], used by the rate only.
        scheme: "first" or "second".
    """

    kinetic: AbstractKappa = HalfSquared()
    damping: ScalarLike = 0.5
    alpha: ScalarLike = 1.0
    scheme: Literal["first", "second"] = eqx.field(default="first", static=True)

    def __check_init__(self):
        check_mirror(self.kinetic, "kinetic")
        check_positive(damping=self.damping)
        check_parameter("alpha", self.alpha, lambda a: (a > 0) & (a <= 1), "0 < α ≤ 1")
        if self.scheme not in ("first", "second"):
            raise ValueError(
                f"scheme: given {self.scheme!r}; accepted is 'first' or 'second'."
            )

    def init(self, x):
        tree.check_params(x)
        return HamiltonianState(tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        h, gamma = scalars(x, lr, self.damping)
        shrink = 1 / (1 + gamma * h)
        terms = (shrink, state.p), (-shrink * h, grad)
        if self.scheme == "second":
            terms = (1 - gamma * h, state.p), (-h, grad)
        p = combine(*terms)
        return tree.scale(h, self.kinetic.grad(p)), HamiltonianState(p)

    def flow(self, t, x, state, grad, lr):
        del t, x, lr
        dp = combine((-self.damping, state.p), (-1.0, grad))
        return self.kinetic.grad(state.p), HamiltonianState(dp)

    def energy(self, t, x, state, value, lr):
        del t, lr
        return tree.cast(value, tree.result_dtype(x)) + self.kinetic.value(state.p)

    def dissipation(self, t, x, state, grad, lr):
        del t, grad, lr
        (gamma,) = scalars(x, self.damping)
        return gamma * tree.vdot(state.p, self.kinetic.grad(state.p))

    def balance(self, step, smoothness=None):
        h, gamma = scalars(step.x, step.lr, self.damping)
        p, after = tree.wide(step.state.p), tree.wide(step.state_next.p)
        v = self.kinetic.grad(after)
        before, left = self.kinetic.value(p), self.kinetic.value(after)
        bregman = before - left + tree.vdot(tree.sub(after, p), v)
        damped = after if self.scheme == "first" else p
        return _balance.ledger(
            step,
            before,
            [(1.0, _balance.Change(after, p), v)],
            {"damping": (gamma * h, damped, v)},
            smoothness,
            more={"bregman": bregman},
            unsigned=() if self.scheme == "first" else ("damping",),
        )

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, lr
        beta, _ = self._rate(x)
        pull = beta * tree.vdot(tree.sub(x, minimum.x), state.p)
        return gap(f, x, minimum) + self.kinetic.value(state.p) + pull

    def decay(self, t, x, state, f, minimum, lr):
        _, rate = self._rate(x)
        return rate * self.lyapunov(t, x, state, f, minimum, lr)

    def _rate(self, x):
        """β and λ: the best the proof gives; NaN where it gives nothing, γ ≥ 1."""
        alpha, gamma = scalars(x, self.alpha, self.damping)
        gamma = jnp.where(gamma < 1, gamma, jnp.nan)
        root = jnp.sqrt(4 * alpha**2 * (1 - gamma) + gamma**2)
        beta = 2 * alpha * gamma / (2 * alpha + gamma + root)
        return beta, beta * (1 - gamma) / (1 - beta)
