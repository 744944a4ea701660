"""Frank–Wolfe: Lion-κ without momentum, on a set of its own size."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._reduce import rounding_depth
from dynax._types import ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractRatedFlow,
    AbstractSwitchedOptimizer,
)
from dynax.kappa import AbstractKappa
from dynax.lyapunov import Check, ledger_row
from dynax.optim._averages import check_betas
from dynax.optim._common import NoState, check_lr
from dynax.optim.lion_kappa import LionKappa


def open_loop(k):
    """Return the step size of Frank–Wolfe that needs no search.

    The step size 2/(k+2), k = 0, 1, …: a schedule for `learning_rate`.
    """
    return 2 / (jnp.asarray(k, float) + 2)


class FrankWolfe(
    AbstractBalancedOptimizer, AbstractRatedFlow, AbstractSwitchedOptimizer
):
    """Move towards the point of a convex set at which the linear model is smallest.

    x₊ = x + γ(s − x),  s = argmin_{s∈C} ⟨g, s⟩ = ρ∇κ(−g),  C = ρ·dom κ*.

    γ is the learning rate; κ is the support function of C/ρ. From a start in C, x stays
    in C while γ ≤ 1. (With a κ* that is finite on C it solves min f + ρκ*(x/ρ).)

    Flow: ẋ = s − x.   Certificate:
        flow  H = f + δ_C(x),  Ḣ = −⟨g, x − s⟩, the Frank–Wolfe gap, ≥ 0
              V = H − H*,  V̇ ≤ −V  for convex f
        map   f₊ − f = r − γ⟨g, x − s⟩,  r ≤ (L/2)‖x₊ − x‖² for L-smooth f
              f(x_k) − f* ≤ 2L·diam(C)²/(k+2)  for convex f, γ = `open_loop`(k), k ≥ 1
              (x₀ may be as bad as it likes; the first step, γ = 1, forgets it)

    The same map as Lion-κ with β₁ = β₂ = 0, λ = 1/ρ, ε = γρ.

    Source: Jaggi, ICML 2013, Theorem 1; Lion-κ: arXiv:2310.05898.

    Args:
        kappa: as K.L1() (a box), K.nuclear() (a ball of ‖·‖_op), K.Support(lmo).
        radius: ρ > 0.
    """

    kappa: AbstractKappa
    radius: ScalarLike = 1.0

    def __check_init__(self):
        _check(self.kappa, self.radius)

    @property
    def continuous(self):
        return self.kappa.smooth

    def init(self, x):
        tree.check_params(x)
        return NoState()

    def update(self, x, state, grad, lr):
        check_lr(lr)
        return tree.scale(lr, self.flow(0.0, x, state, grad, lr)[0]), state

    def flow(self, t, x, state, grad, lr):
        del t, lr
        v = self.kappa.grad(tree.scale(-1.0, grad))
        return tree.sub(tree.scale(self.radius, v), x), state

    def energy(self, t, x, state, value, lr):
        del t, state, lr
        size = tree.cast(self.radius, tree.result_dtype(x))
        star = self.kappa.conjugate(tree.scale(1 / self.radius, x))
        return tree.cast(value, size.dtype) + size * star.astype(size.dtype)

    def dissipation(self, t, x, state, grad, lr):
        rate, _ = self.flow(t, x, state, grad, lr)
        p = self.kappa.grad_conjugate(tree.scale(1 / self.radius, x))
        return -tree.vdot(tree.add(grad, p), rate)

    def balance(self, step, smoothness=None):
        """The row of H₊ − H = r − γG − (convexity of κ*), v = s/ρ as observed.

        Checks: κ(−g) + κ*(v) + ⟨g, v⟩ = 0, so v was the best point (`balance`), of C/ρ
        (`domain`); G ≥ 0 (`gap`); x nears C at the rate 1 − γ (`contraction`);
        `theorem`.
        """
        dtype = tree.result_dtype(step.x)
        rho, lr = tree.cast(self.radius, dtype), tree.cast(step.lr, dtype)
        g, delta = step.grad, step.displacement
        y, y_next = (tree.scale(1 / self.radius, a) for a in (step.x, step.x_next))
        per = tree.safe_divide(1 / rho, lr)
        v = tree.add(y, tree.scale(per, delta))
        number = lambda a: a.astype(dtype)
        star, star_next, star_v = (
            rho * number(self.kappa.finite_conjugate(a)) for a in (y, y_next, v)
        )
        far, far_next, far_v = (number(self.kappa.distance(a)) for a in (y, y_next, v))
        best = rho * number(self.kappa.value(tree.scale(-1.0, g)))
        work, offset = tree.vdot(g, delta), tree.vdot(g, step.x)
        gap = best + star + offset
        bend = (1 - lr) * star + lr * star_v - star_next
        defect = lr * (best + star_v + offset) + work
        f, f_next = number(step.value), number(step.value_next)
        r = f_next - f - work

        u = tree.eps(step.x) / 2
        depth = rounding_depth(tree.size(step.x)) * u
        size = lambda a: tree.map(jnp.abs, a)
        a, b = tree.vdot(size(g), size(step.x)), tree.vdot(size(g), size(delta))
        ones = tree.map(jnp.ones_like, step.x)
        reach = tree.vdot(size(delta), ones) + lr * tree.vdot(size(step.x), ones)
        if step.delta is None:  # known to the rounding of x₊
            b = b + tree.vdot(size(g), size(step.x_next))
            reach = reach + tree.vdot(size(step.x_next), ones)
        sums = jnp.abs(best) + jnp.abs(star) + 4 * a
        noise = depth * (lr * (sums + jnp.abs(star_v)) + 4 * b)
        v_known, off = depth * (1 + far_v) + 8 * u * per * reach, depth * (2 + 2 * far)
        checks = {
            "balance": Check(-jnp.abs(defect), noise),
            "domain": Check(-far_v, v_known, v_known),
            "gap": Check(jnp.where(far > 0, jnp.inf, gap), depth * sums),
            "contraction": Check((1 - lr) * far - far_next, off, off / (1 + far)),
        }
        if smoothness is not None:
            bound = tree.cast(smoothness, dtype) / 2 * tree.vdot(delta, delta)
            both = 64 * u * (jnp.abs(f) + jnp.abs(f_next))
            checks["theorem"] = Check(bound - r, both + noise)
        predicted = r - lr * gap - bend
        outside = far > depth * (2 + far)
        return ledger_row(
            step.index,
            f + star,
            predicted + defect,
            checks,
            predicted=predicted,
            defect=defect,
            scale=jnp.abs(work) + lr * jnp.abs(gap) + jnp.abs(bend),
            terms={"residual": r, "gap": lr * gap, "convexity": bend},
            facts={"outside": outside, "distance": far, "stationarity": gap},
        )

    def lyapunov(self, t, x, state, f, minimum, lr):
        return self.energy(t, x, state, f(x), lr) - minimum.value

    def decay(self, t, x, state, f, minimum, lr):
        return self.lyapunov(t, x, state, f, minimum, lr)


class StochasticFrankWolfe(AbstractBalancedOptimizer, AbstractSwitchedOptimizer):
    """Run Frank–Wolfe on an average of noisy gradients.

    m₊ = βm − (1−β)g,  x₊ = x + γ(s − x),  s = ρ∇κ(m₊): gradients are averaged.

    Lion-κ with β₁ = β₂ = β, λ = 1/ρ and ε = γρ, and its H, Ḣ and exact balance for any
    g (time runs ρ times as fast), for γ < 1; β = 0 is `FrankWolfe`. m is *minus* the
    average.

    Source: Mokhtari, Hassani, Karbasi, arXiv:1804.09554 (there 1−β = 4/(k+8)^{2/3});
    Sfyraki, Wang, arXiv:2506.04192 (Lion and Muon are of this kind).

    Args:
        kappa, radius: as of FrankWolfe.
        beta: in [0, 1).
    """

    kappa: AbstractKappa
    radius: ScalarLike = 1.0
    beta: ScalarLike = 0.9

    def __check_init__(self):
        _check(self.kappa, self.radius)
        check_betas(beta=self.beta)

    @property
    def lion(self) -> LionKappa:
        return LionKappa(self.kappa, self.beta, self.beta, 1 / self.radius)

    @property
    def continuous(self):
        return self.kappa.smooth

    def init(self, x):
        return self.lion.init(x)

    def update(self, x, state, grad, lr):
        return self.lion.update(x, state, grad, lr * self.radius)

    def flow(self, t, x, state, grad, lr):
        rates = self.lion.flow(t, x, state, grad, lr * self.radius)
        return tree.scale(self.radius, rates)

    def energy(self, t, x, state, value, lr):
        return self.lion.energy(t, x, state, value, lr * self.radius)

    def dissipation(self, t, x, state, grad, lr):
        d = self.lion.dissipation(t, x, state, grad, lr * self.radius)
        return tree.cast(self.radius, d.dtype) * d

    def balance(self, step, smoothness=None):
        return self.lion.balance(step._replace(lr=step.lr * self.radius), smoothness)


def _check(kappa, radius) -> None:
    if not isinstance(kappa, AbstractKappa):
        raise TypeError(
            f"kappa: given {type(kappa).__name__}; accepted is a "
            "dynax.kappa.AbstractKappa, such as dynax.kappa.L1()."
        )
    check_positive(radius=radius)
