"""Cautious updates: only along coordinates that the present gradient agrees with."""

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._reduce import rounding_depth
from dynax._types import ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
)
from dynax.lyapunov import Check, ledger_row
from dynax.optim._relatives import (
    AbstractWrapper,
    check_hamiltonian,
    check_optimizer,
    condition_of,
    slope_in_value,
)


class Cautious(AbstractWrapper, AbstractLyapunovOptimizer):
    """Mask the entries of an optimizer's step that point uphill.

    x₊ − x = φ∘δ,  φ = 1(g∘δ < 0)·n/(nnz + 1),  δ = −εu the step of any optimizer.

    n and nnz count a leaf's entries and those kept, as in the authors' code. All of δ
    is masked, decay too: give `opt` none and wrap the result in `cautious_decay`.

    Flow: ẋ = φ∘ẋ_opt, the state as without mask. Certificate, whatever the optimizer:
        H = f,   Ḣ = −Σφ(−g∘ẋ_opt)₊
    of the flow only; on steps of finite length f may rise (see ThresholdedCautious).

    Source: Liang et al., arXiv:2411.16085, Algorithm 1, Theorem 2.1. No twin in optax.

    Args:
        opt: any optimizer.
        scaled: whether the mask carries the factor n/(nnz + 1).
    """

    opt: AbstractOptimizer
    scaled: bool = eqx.field(default=True, static=True)

    def update(self, x, state, grad, lr):
        delta, state = self.opt.update(x, state, grad, lr)
        return _masked(delta, grad, self.scaled), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.opt.flow(t, x, state, grad, lr)
        return _masked(rate, grad, self.scaled), dstate

    def energy(self, t, x, state, value, lr):
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        return -tree.vdot(grad, self.flow(t, x, state, grad, lr)[0])


class CautiousHamiltonian(AbstractWrapper, AbstractConditionalOptimizer):
    """Mask the step of an optimizer that has a Hamiltonian, and keep its energy.

    The mask φ = 1(g∘δ < 0) on an optimizer with H = w·f(x) + K(state), and its H.

    Both fall along the flow, H at least as fast as without the mask:
        ḟ = −Σ(−g∘ẋ_opt)₊,   Ḣ = −D_opt − wΣ(g∘ẋ_opt)₊
    φ has no factor here: n/(nnz + 1) < 1 where all is kept, and then H may rise.

    Source: Liang et al., arXiv:2411.16085, Theorem 2.1 (its Φ-term is masked too here).

    Args:
        opt: an optimizer whose energy depends on x through f(x) only, as LionKappa at
            λ = 0; another one is refused by `init`.
    """

    opt: AbstractLyapunovOptimizer

    def __check_init__(self):
        check_optimizer(self.opt, AbstractLyapunovOptimizer)

    def condition(self):
        return condition_of(self.opt)

    def init(self, x):
        check_hamiltonian(self.opt, x)
        return self.opt.init(x)

    def update(self, x, state, grad, lr):
        delta, state = self.opt.update(x, state, grad, lr)
        return _masked(delta, grad, False), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.opt.flow(t, x, state, grad, lr)
        return _masked(rate, grad, False), dstate

    def energy(self, t, x, state, value, lr):
        return self.opt.energy(t, x, state, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        rate, _ = self.opt.flow(t, x, state, grad, lr)
        against = tree.map(lambda g, r: jax.nn.relu(g * r), grad, rate)
        lost = tree.vdot(against, tree.map(jnp.ones_like, against))
        d = self.opt.dissipation(t, x, state, grad, lr)
        return d + slope_in_value(self.opt, t, x, state, lr) * lost


class ThresholdedCautious(AbstractWrapper, AbstractBalancedOptimizer):
    """Mask the entries of a step that do not lower the quadratic bound of f.

    x₊ − x = φ∘δ,  φ = 1(−g∘δ ≥ (L/2)δ∘δ): f falls at every step, of any length.

    δ = −εu, so φ = 1(g∘u ≥ (Lε/2)u∘u). Certificate for an L-smooth f and g = ∇f(x):
        map   f₊ − f ≤ −Σφ(−g∘δ − (L/2)δ∘δ) ≤ 0
        flow  H = f,  Ḣ = −⟨g, −φ∘ẋ_opt⟩, the mask at the given ε
    A step that is too long is left out, not shortened: at a large ε x stands still.

    Source: Liang et al., arXiv:2411.16085, Theorem 2.4 (σ = ε).

    Args:
        opt: any optimizer.
        smoothness: L > 0, a Lipschitz constant of ∇f.
    """

    opt: AbstractOptimizer
    smoothness: ScalarLike

    def __check_init__(self):
        check_positive(smoothness=self.smoothness)

    def update(self, x, state, grad, lr):
        delta, state = self.opt.update(x, state, grad, lr)
        return self._kept(delta, grad, 1.0), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.opt.flow(t, x, state, grad, lr)
        return self._kept(rate, grad, lr), dstate

    def energy(self, t, x, state, value, lr):
        return tree.cast(value, tree.result_dtype(x))

    def dissipation(self, t, x, state, grad, lr):
        return -tree.vdot(grad, self.flow(t, x, state, grad, lr)[0])

    def balance(self, step, smoothness=None):
        """The row of f₊ − f = ⟨g, δ⟩ + r: `descent` f₊ ≤ f, `theorem` r ≤ (L/2)‖δ‖²."""
        dtype = tree.result_dtype(step.x)
        given = self.smoothness if smoothness is None else smoothness
        delta = step.displacement
        f, f_next = step.value.astype(dtype), step.value_next.astype(dtype)
        work, change = tree.vdot(step.grad, delta), f_next - f
        bound = tree.cast(given, dtype) / 2 * tree.vdot(delta, delta)
        size = tree.map(jnp.abs, (step.grad, delta, step.x_next))
        u = tree.eps(step.x) / 2
        # f is known to a few u|f|; x₊, where the step is read off it, to u|x₊|
        noise = rounding_depth(tree.size(step.x)) * u * tree.vdot(*size[:2])
        if step.delta is None:
            noise = noise + 4 * u * tree.vdot(size[0], size[2])
        values = noise + 64 * u * (jnp.abs(f) + jnp.abs(f_next))
        checks = {
            "descent": Check(-change, values),
            "theorem": Check(bound - (change - work), values),
            "mask": Check(-work - bound, noise),
        }
        terms = {"work": work, "residual": change - work}
        return ledger_row(step.index, f, change, checks, terms=terms)

    def _kept(self, delta, grad, lr):
        def keep(d, g):
            half = tree.cast(lr, d.dtype) * tree.cast(self.smoothness, d.dtype) / 2
            return jnp.where(-g * d >= half * d * d, d, 0)

        return tree.map(keep, delta, grad)


def _masked(delta, grad, scaled):
    def mask(d, g):
        keep = g * d < 0
        kept = jnp.where(keep, d, 0)
        if not scaled:
            return kept
        count = jnp.sum(keep, dtype=d.dtype)
        return kept * (jnp.asarray(d.size, d.dtype) / (count + 1))

    return tree.map(mask, delta, grad)
