"""Cautious weight decay: only where it goes along with the step."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import Params, ScalarLike, State
from dynax.flow import (
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
    AbstractRefinableOptimizer,
    AbstractSwitchedOptimizer,
)
from dynax.kappa import L1, HalfSquared, Huber, LogCosh, Quartic, SoftAbs
from dynax.optim._relatives import AbstractLion, AbstractWrapper, check_optimizer
from dynax.optim.adam import Adam
from dynax.optim.gradient_descent import GradientDescent
from dynax.optim.heavy_ball import HeavyBall
from dynax.optim.lion_kappa import LionKappa
from dynax.optim.momentum import Momentum
from dynax.optim.sign import SignSGD


Base = GradientDescent | SignSGD | Momentum | HeavyBall | LionKappa | AbstractLion

# φ convex, entry by entry, with sgn φ'(m) = sgn m: what the theorem asks of κ
SIGNED = L1, Huber, SoftAbs, LogCosh, HalfSquared, Quartic


def cautious_decay(opt: AbstractOptimizer, weight_decay: ScalarLike):
    """Put cautious weight decay around any optimizer, with what is known of it.

    x₊ = x + δ − ελ1(δ∘x ≤ 0)∘x around any optimizer, with what is known of it.

    Returns:
        `CautiousDecayAdam` around Adam and `CautiousDecayLyapunov` around
        GradientDescent, SignSGD, Momentum, HeavyBall, and LionKappa (Signum) with an
        elementwise κ and no decay of its own: they have a Lyapunov function. Around
        any other optimizer `CautiousDecay`: no certificate known.
    """
    if isinstance(opt, Adam):
        return CautiousDecayAdam(opt, weight_decay)
    if isinstance(opt, Base) and _covered(opt):
        return CautiousDecayLyapunov(opt, weight_decay)
    return CautiousDecay(opt, weight_decay)


class CautiousDecay(AbstractWrapper):
    """Decay only the entries whose step does not move away from zero.

    x₊ = x + δ − ελ1(δ∘x ≤ 0)∘x,  δ = −εu of any optimizer. No certificate known.

    λ pulls an entry to 0 only where u does too, so a stationary point of f stays one,
    and among them small |x| is sought; ordinary decay minimises another function.

    Flow: ẋ = ẋ_opt − λ1(ẋ_opt∘x ≤ 0)∘x, the state as without decay.

    Source: arXiv:2510.12402, Algorithm 1. No twin in optax.
    """

    opt: AbstractOptimizer
    weight_decay: ScalarLike

    def __check_init__(self):
        check_nonnegative(weight_decay=self.weight_decay)

    def update(self, x, state, grad, lr):
        return _update(self, x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return _flow(self, t, x, state, grad, lr)


class AbstractCertifiedDecay(AbstractLyapunovOptimizer, AbstractSwitchedOptimizer):
    """Cautious decay around a method that moves along a momentum n, with V.

    r = ẋ_opt, q = {r∘x ≤ 0}, p = {n∘x ≤ 0}; H, D are those of `opt`. Certificate:
        V = H + λc‖(−n∘x)₊‖₁
        −V̇ = D + λ⟨g, 1_q x⟩ + λc⟨1_p, ṅ∘x + n∘(r − λ1_q x)⟩

    `opt`            n    c             −V̇ ≥ 0
    GradientDescent  –    0             V = f, −V̇ = D + λ‖(gx)₊‖₁; so for SignSGD
    HeavyBall        v    1             −V̇ = ⟨λ1_p + γ, v²⟩ + λ(λ + γ)‖(−vx)₊‖₁
    LionKappa        m    εβ₁/(1−β₂)    if λε ≤ (1−β₂)/(1−β₁)
    Momentum        −m    εβ            if λε ≤ 2
    Adam            −m    ε/(1−β₁)      if D ≥ 0;
                          −V̇ = D + λ(1 + λc)‖(mx)₊‖₁ + λc⟨1_p, m m̂/(√v̂ + e)⟩

    Those without a condition are of the source. The maps of LionKappa and Momentum look
    ahead, so r and n may differ in sign; their conditions are derived here, and as
    β₁ → 1 at a given γ = (1−β₂)/ε that of LionKappa goes and γV, −γV̇ tend to those of
    the source, γf + κ(m) + λ‖(−mx)₊‖₁ and ⟨λ1_p + γ, ∇κ(m)m⟩ + λ(λ+γ)‖(−mx)₊‖₁.

    Source: arXiv:2510.12402. The flow jumps where an entry of x, r or n is 0: rigour
    needs Filippov solutions.
    """

    opt: eqx.AbstractVar[AbstractLyapunovOptimizer]
    weight_decay: eqx.AbstractVar[ScalarLike]

    @abc.abstractmethod
    def momentum(self, state: State) -> Params | None:
        """n, linear in the state; None for a method without memory."""

    @abc.abstractmethod
    def weight(self, lr: ScalarLike) -> ScalarLike:
        """c."""

    @property
    def continuous(self):
        return False

    def init(self, x):
        return self.opt.init(x)

    def update(self, x, state, grad, lr):
        return _update(self, x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return _flow(self, t, x, state, grad, lr)

    def energy(self, t, x, state, value, lr):
        h, n = self.opt.energy(t, x, state, value, lr), self.momentum(state)
        if n is None:
            return h
        against = tree.map(lambda n, x: jax.nn.relu(-n * x), n, x)
        total = tree.vdot(against, tree.map(jnp.ones_like, against))
        return h + tree.cast(self.weight_decay * self.weight(lr), h.dtype) * total

    def dissipation(self, t, x, state, grad, lr):
        rate, dstate = self.opt.flow(t, x, state, grad, lr)
        d = self.opt.dissipation(t, x, state, grad, lr)
        lam = tree.cast(self.weight_decay, d.dtype)
        decayed = tree.map(lambda r, x: jnp.where(r * x <= 0, x, 0), rate, x)
        d = d + lam * tree.vdot(grad, decayed)
        n, dn = self.momentum(state), self.momentum(dstate)
        if n is None:
            return d
        x_p = tree.map(lambda n, x: jnp.where(n * x <= 0, x, 0), n, x)
        n_p = tree.map(lambda n, x: jnp.where(n * x <= 0, n, 0), n, x)
        pull = tree.sub(rate, tree.scale(self.weight_decay, decayed))
        gained = tree.vdot(dn, x_p) + tree.vdot(n_p, pull)
        return d + lam * tree.cast(self.weight(lr), d.dtype) * gained


class CautiousDecayLyapunov(AbstractCertifiedDecay):
    """Put cautious weight decay around an optimizer that has an energy.

    Cautious decay around GradientDescent, SignSGD, Momentum, HeavyBall, LionKappa.

    V and V̇ in the table of `AbstractCertifiedDecay`; LionKappa has λ = 0 and an
    elementwise κ with sgn ∇κ(m) = sgn m, Momentum is Polyak's.
    """

    opt: Base
    weight_decay: ScalarLike

    def __check_init__(self):
        check_nonnegative(weight_decay=self.weight_decay)
        if not (isinstance(self.opt, Base) and _covered(self.opt)):
            kappas = ", ".join(k.__name__ for k in SIGNED)
            raise ValueError(
                f"opt: given {self.opt}; accepted with weight_decay = 0 are "
                "GradientDescent, SignSGD, Momentum without nesterov, HeavyBall, and "
                f"LionKappa or Signum with κ one of {kappas}."
            )

    def momentum(self, state):
        if isinstance(self.opt, GradientDescent | SignSGD):
            return None
        if isinstance(self.opt, HeavyBall):
            return state.v
        if isinstance(self.opt, Momentum):
            return tree.map(jnp.negative, state.m)
        return state.m

    def weight(self, lr):
        if isinstance(self.opt, LionKappa | AbstractLion):
            lion = _lion(self.opt)
            return lr * lion.beta1 / (1 - lion.beta2)
        return lr * self.opt.momentum if isinstance(self.opt, Momentum) else 1.0


class CautiousDecayAdam(
    AbstractCertifiedDecay, AbstractConditionalOptimizer, AbstractRefinableOptimizer
):
    """Put cautious weight decay around Adam.

    Cautious decay around Adam: V, V̇ in `AbstractCertifiedDecay`, if b ≤ 4a.

    AdamW, the same with plain decay, has no known Lyapunov function.
    """

    opt: Adam
    weight_decay: ScalarLike

    def __check_init__(self):
        check_optimizer(self.opt, Adam)
        check_nonnegative(weight_decay=self.weight_decay)

    def condition(self):
        return {"flow": self.opt.condition()["flow"]}

    def refined(self, lr, finer):
        return CautiousDecayAdam(self.opt.refined(lr, finer), self.weight_decay)

    def momentum(self, state):
        return tree.map(jnp.negative, state.m)

    def weight(self, lr):
        return lr / (1 - self.opt.beta1)


def _update(self, x, state, grad, lr):
    delta, state = self.opt.update(x, state, grad, lr)
    return _decayed(delta, x, lr, self.weight_decay), state


def _flow(self, t, x, state, grad, lr):
    rate, dstate = self.opt.flow(t, x, state, grad, lr)
    return _decayed(rate, x, 1.0, self.weight_decay), dstate


def _decayed(delta, x, lr, lam):
    def decay(d, x):
        shrink = tree.cast(lr, x.dtype) * tree.cast(lam, x.dtype) * x
        return d - jnp.where(d * x <= 0, shrink, 0)

    return tree.map(decay, delta, x)


def _lion(opt: LionKappa | AbstractLion) -> LionKappa:
    return opt.lion if isinstance(opt, AbstractLion) else opt


def _covered(opt: Base) -> bool:
    if isinstance(opt, Momentum):
        return not opt.nesterov
    if isinstance(opt, SignSGD):
        return _zero(opt.weight_decay)
    if isinstance(opt, LionKappa | AbstractLion):
        lion = _lion(opt)
        return _zero(lion.weight_decay) and isinstance(lion.kappa, SIGNED)
    return True


def _zero(lam) -> bool:
    return tree.is_concrete(lam) and not np.any(np.asarray(lam))
