"""Lion-κ."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from dynax import _tree as tree
from dynax._check import check_nonnegative, require
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractKappaOptimizer, AbstractSwitchedOptimizer, Step
from dynax.kappa import L1, AbstractArrayKappa, AbstractKappa
from dynax.lyapunov import Ledger
from dynax.optim import _lion_balance
from dynax.optim._averages import check_betas
from dynax.optim._common import check_lr
from dynax.optim._lion_block import Block, Weights, star, weights


class LionState(NamedTuple):
    """The momentum m, in the paper's sign: *minus* an average of gradients."""

    m: Params

    @classmethod
    def from_optax(cls, state: Any) -> "LionState":
        """The momentum inside an optax state: m = −`mu`."""
        mu = optax.tree.get(state, "mu")
        if mu is None:
            raise ValueError("state: given one without `mu`; accepted is that of Lion.")
        return cls(tree.map(jnp.negative, mu))


class LionKappa(AbstractKappaOptimizer, AbstractSwitchedOptimizer):
    r"""Step along ∇κ of an average of gradients and decay: Lion for κ = ‖·‖₁.

    Lion-κ: m₊ = β₂m − (1−β₂)g,  m̃ = β₁m − (1−β₁)g, and

        x₊ = x + ε(∇κ(m̃) − λx)        decay="explicit" (optax, PyTorch)
        x₊ = x + ε(∇κ(m̃) − λx₊)       decay="implicit" (the discrete theorem)

    for any convex κ; κ = ‖·‖₁ is Lion. The two are one map: explicit ε is implicit
    ε/(1−ελ), and in all that follows ε is the implicit one. The composite problem
    solved is min f(x) + (1/λ)κ*(λx): for a norm, f on the dual-norm ball of radius 1/λ.

    Sign of the momentum: m here is the paper's, *minus* optax's `mu`.

    Flow (Euler with step ε; γ = (1−β₂)/ε, ε_c = (1−β₁)/γ):
        ṁ = −γ(g + m),   ẋ = ∇κ(m̃) − λx,   m̃ = m + ε_c ṁ

    Certificate, S = ελ(1−β₁) + (1−β₂), c = εβ₁/S, a = 1 + λc:
        H = f(x) + (1/λ)κ*(λx) + c[κ*(λx) + κ(m) − ⟨m, λx⟩]
        flow  −Ḣ = a⟨m̃ − ∇κ*(λx), ∇κ(m̃) − λx⟩ + (c/ε_c)⟨m̃ − m, ∇κ(m̃) − ∇κ(m)⟩
        map   H₊ − H = −ε(aΔ₁ + bΔ₂) + r − (1/λ + c)D_κ*(λx, λx₊) − c D_κ(m, m₊)
              εΔ₁ = ⟨x₊ − x, m̃ − ∇κ*(λx₊)⟩,   εbΔ₂ = c⟨∇κ(m₊) − ∇κ(m̃), m − m₊⟩,
              r = f(x₊) − f(x) − ⟨g, x₊ − x⟩

    The map's line is an equality for every f and *any* vector g (minibatch, noise); all
    terms but r are ≥ 0 when β₁ ≤ β₂. If f is L-smooth and g = ∇f(x), r ≤ (L/2)‖x₊−x‖².
    λ = 0 is ordinary Lion: H = f + cκ(m).

    Source: Chen, Liu, Liang, Liu, "Lion secretly solves constrained optimization",
    arXiv:2310.05898, Theorem 4.1 (the bound) and its one-step equality.

    Args:
        kappa: the convex potential κ.
        beta1, beta2: in [0, 1).
        weight_decay: λ ≥ 0.
        decay: where the decay is evaluated, "explicit" or "implicit".
        decay_mask: as optax: a tree of bools (or a prefix of one) like the parameters,
            or a function that makes it; False leaves are not decayed. κ must then be a
            sum over leaves.
        momentum_dtype: store m in this dtype (bfloat16 halves it), as optax `mu_dtype`.
            m₊ is computed in the gradients' precision and then rounded; optax 0.2
            rounds β₂ first, so that 0.99 becomes 0.98828.
    """

    kappa: AbstractKappa = eqx.field(default_factory=L1)
    beta1: ScalarLike = 0.9
    beta2: ScalarLike = 0.99
    weight_decay: ScalarLike = 0.0
    decay: Literal["explicit", "implicit"] = eqx.field(default="explicit", static=True)
    decay_mask: PyTree[bool] | Callable[[Params], PyTree[bool]] | None = None
    momentum_dtype: Any = eqx.field(default=None, static=True)

    def __check_init__(self):
        if not isinstance(self.kappa, AbstractKappa):
            raise TypeError(
                f"kappa: given {type(self.kappa).__name__}; accepted is a "
                "dynax.kappa.AbstractKappa, such as dynax.kappa.L1()."
            )
        check_betas(beta1=self.beta1, beta2=self.beta2)
        check_nonnegative(weight_decay=self.weight_decay)
        known = self.decay in ("explicit", "implicit")
        require(known, "decay", self.decay, "'explicit' or 'implicit'")

    @classmethod
    def from_flow(
        cls,
        kappa: AbstractKappa,
        gamma: ScalarLike,
        eps_c: ScalarLike,
        weight_decay: ScalarLike,
        lr: ScalarLike,
    ) -> "LionKappa":
        """The Lion-κ whose flow at `lr` has the given γ and look-ahead ε_c.

        An α ≠ γ in ṁ = −αg − γm is the same flow on the loss (α/γ)f.
        """
        return cls(kappa, 1 - eps_c * gamma, 1 - gamma * lr, weight_decay)

    @property
    def continuous(self):
        return self.kappa.smooth

    def init(self, x: Params) -> LionState:
        tree.check_params(x)
        for lam, (part,) in self._parts(x, x):
            if tree.is_concrete(lam) and not np.all(np.asarray(lam) > 0):
                self._check_origin(part)
        return LionState(tree.zeros_like(x, self.momentum_dtype))

    def update(self, x, state, grad, lr):
        self._check_lr(lr)
        m_tilde = self._average(self.beta1, state.m, grad)
        m = self._average(self.beta2, state.m, grad)

        def displace(v, x, lam):
            eps, lam = tree.cast(lr, x.dtype), tree.cast(lam, x.dtype)
            if self.decay == "implicit":
                eps = eps / (1 + eps * lam)
            return eps * (v.astype(x.dtype) - lam * x)

        delta = tree.map(displace, self.kappa.grad(m_tilde), x, self._decays(x))
        return delta, LionState(tree.map(lambda a, m: a.astype(m.dtype), m, state.m))

    def flow(self, t, x, state, grad, lr):
        del t
        gamma = (1 - self.beta2) / lr
        v = self.kappa.grad(self._average(self.beta1, state.m, grad))
        decays = self._decays(x)
        dx = tree.map(lambda v, x, lam: v - tree.cast(lam, x.dtype) * x, v, x, decays)
        dm = tree.map(lambda m, g: -tree.cast(gamma, m.dtype) * (g + m), state.m, grad)
        return dx, LionState(dm)

    def energy(self, t, x, state, value, lr):
        del t
        h = tree.cast(value, tree.result_dtype(x))
        for lam, (x_, m) in self._parts(x, x, state.m):
            w = self._weights(lr, lam, h.dtype)
            s = star(self.kappa.conjugate(tree.scale(lam, x_)), w.lam)
            gap = s + self.kappa.value(m) - w.lam * tree.vdot(m, x_)
            h = h + tree.safe_divide(s, w.lam) + w.c * gap
        return h

    def dissipation(self, t, x, state, grad, lr):
        del t
        total = jnp.zeros((), tree.result_dtype(x))
        for lam, (x_, m, g) in self._parts(x, x, state.m, grad):
            w = self._weights(lr, lam, total.dtype)
            m_tilde, y = self._average(self.beta1, m, g), tree.scale(lam, x_)
            v, p = self.kappa.grad(m_tilde), self.kappa.grad_conjugate(y)
            p = tree.map(lambda p, w=w: star(p, w.lam), p)
            d1 = tree.vdot(tree.sub(m_tilde, p), tree.sub(v, y))
            # (1/ε_c)(m̃ − m) = −γ(g + m): nothing is divided by ε_c
            gamma = tree.cast((1 - self.beta2) / lr, w.c.dtype)
            d2 = gamma * tree.vdot(tree.add(g, m), tree.sub(self.kappa.grad(m), v))
            total = total + w.a * d1 + w.c * d2
        return total

    def balance(self, step: Step, smoothness: ScalarLike | None = None) -> Ledger:
        return _lion_balance.ledger(
            self.kappa,
            self.blocks(step),
            step.index,
            step.value,
            step.value_next,
            smoothness,
        )

    def blocks(self, step: Step) -> list[Block]:
        """The step, cut where λ changes: at most a decayed and an undecayed part."""
        memory = step.state.m, step.state_next.m
        trees = step.x, step.x_next, step.displacement, *memory, step.grad
        dtype = tree.result_dtype(step.x)
        return [
            Block(
                self._weights(self._implicit(step.lr, lam, dtype), lam, dtype),
                self.beta1,
                self.beta2,
                tree.eps(step.x),
                step.delta is None,
                *part,
            )
            for lam, part in self._parts(step.x, *trees)
        ]

    def _weights(self, eps, lam, dtype) -> Weights:
        return weights(eps, lam, self.beta1, self.beta2, dtype)

    def _implicit(self, lr, lam, dtype) -> Array:
        """The implicit ε of a step `lr`; NaN, hence `undecided`, where ελ ≥ 1."""
        eps, lam = tree.cast(lr, dtype), tree.cast(lam, dtype)
        if self.decay == "implicit":
            return eps
        return jnp.where(eps * lam < 1, eps / (1 - eps * lam), jnp.nan)

    def _average(self, beta, m, grad):
        def average(m, g):
            dtype = max(m.dtype, g.dtype, key=lambda d: d.itemsize)
            b, b_ = tree.cast(beta, dtype), tree.cast(1 - beta, dtype)
            return b_ * -g.astype(dtype) + b * m.astype(dtype)

        return tree.map(average, m, grad)

    def _mask(self, x: Params) -> PyTree[bool]:
        mask = self.decay_mask(x) if callable(self.decay_mask) else self.decay_mask
        try:
            return tree.map(bool, jax.tree.broadcast(mask, x))
        except ValueError as error:
            raise ValueError(
                f"decay_mask: given {jax.tree.structure(mask)}; accepted is a tree of "
                f"bools that is a prefix of the parameters, {jax.tree.structure(x)}."
            ) from error

    def _decays(self, x: Params) -> PyTree:
        if self.decay_mask is None or not tree.leaves(x):
            return tree.map(lambda _: self.weight_decay, x)
        lam = self.weight_decay
        return tree.map(lambda _, on: lam if on else 0.0, x, self._mask(x))

    def _parts(self, x: Params, *trees: PyTree) -> list[tuple[ScalarLike, tuple]]:
        """(λ, trees restricted to the leaves that decay with λ)."""
        if self.decay_mask is None or not tree.leaves(x):
            return [(self.weight_decay, trees)]
        on = self._mask(x)
        off = tree.map(lambda m: not m, on)
        parts = [
            (lam, tuple(eqx.filter(t, mask) for t in trees))
            for lam, mask in ((self.weight_decay, on), (0.0, off))
            if any(tree.leaves(mask))
        ]
        if len(parts) == 2 and not _sums_over_leaves(self.kappa):
            raise ValueError(
                f"decay_mask: given one that decays some leaves only, with κ = "
                f"{self.kappa}, which is not a sum over leaves; accepted is "
                "scope='leaf', or a mask that is the same everywhere."
            )
        return parts

    def _check_lr(self, lr: ScalarLike) -> None:
        check_lr(lr)
        lam = self.weight_decay
        if self.decay == "explicit" and tree.is_concrete(lr, lam):
            product = float(np.max(np.asarray(lr) * np.asarray(lam)))
            if product >= 1:
                raise ValueError(
                    f"learning_rate·weight_decay: given {lr}·{lam} = {product:g}; "
                    "accepted is ελ < 1 with decay='explicit' (any with 'implicit')."
                )

    def _check_origin(self, x: Params) -> None:
        with jax.ensure_compile_time_eval():
            origin = tree.map(lambda a: jnp.zeros(a.shape, a.dtype), x)
            distance = self.kappa.distance(origin)
            infinite = tree.is_concrete(distance) and bool(distance > 0)
        if infinite:
            raise ValueError(
                f"weight_decay: given 0 with κ = {type(self.kappa).__name__}, whose "
                "conjugate is infinite at 0; accepted is λ > 0 for this κ."
            )


def _sums_over_leaves(kappa: AbstractKappa) -> bool:
    return isinstance(kappa, AbstractArrayKappa) and kappa.scope == "leaf"
