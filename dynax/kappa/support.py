"""Support functions: Frank–Wolfe with momentum, on any set with a linear oracle."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial
from jaxtyping import PyTree, Scalar

from dynax._check import require

from ._base import AbstractKappa, cast_like, widen


class Support(AbstractKappa):
    """The support function of a closed bounded convex set C, known by its oracle.

        lmo(g) = argmin_{s∈C} ⟨g, s⟩
        κ(m) = max_{s∈C} ⟨m, s⟩ = ⟨m, lmo(−m)⟩    ∇κ(m) = lmo(−m)    κ*(y) = δ_C(y)

    `lmo` maps a tree to a tree of the same structure, shapes and dtypes (a function, or
    a pytree with `__call__` if it has parameters to trace); lmo(0) is any point of C:

        box       lambda g: jax.tree.map(lambda a: -jnp.sign(a), g)              → L1
        simplex   lambda g: jax.nn.one_hot(jnp.argmin(g), g.size, dtype=g.dtype) → max
        ball      lambda g: -radius * g / (jnp.linalg.norm(g) + 1e-30)     → radius·‖·‖₂

    Lion-κ: x ∈ C/λ; with β₁ = β₂ = 0 it is Frank–Wolfe with step ελ.
    Source: arXiv 2310.05898; Frank–Wolfe: Jaggi, ICML 2013.

    Distance: `distance_fn(y)` if given, in the user's norm. Otherwise Euclidean, from
    `steps` Frank–Wolfe steps on ½‖s − y‖² with exact line search. Each iterate s proves
    a separation, and the best one proved is returned:

        (⟨v − y, s − y⟩/‖s − y‖)₊ ≤ dist(y, C) ≤ ‖s − y‖,    v = lmo(s − y)

    So it is 0 (to round-off) at every y ∈ C, κ*(y) = +∞ only where y is proved to be
    outside, and outside it may fall short of the distance by what k steps leave of the
    gap, O(1/k) at worst. (The upper bound would call every inner point outside.)

    `zero_in_domain` is distance(0) = 0, decided at construction for trees shaped as
    `like`; state it instead where `lmo` holds traced values.
    """

    lmo: Callable[[PyTree], PyTree]
    distance_fn: Callable[[PyTree], Scalar] | None
    steps: int = eqx.field(static=True)
    zero_in_domain: bool = eqx.field(static=True)
    smooth: ClassVar[bool] = False

    def __init__(
        self,
        lmo: Callable[[PyTree], PyTree],
        like: PyTree = None,
        *,
        zero_in_domain: bool | None = None,
        distance_fn: Callable[[PyTree], Scalar] | None = None,
        steps: int = 64,
    ):
        require(callable(lmo), "lmo", lmo, "a callable g ↦ argmin_{s∈C} ⟨g, s⟩")
        require(isinstance(steps, int) and steps >= 1, "steps", steps, "an int >= 1")
        either = (like is None) != (zero_in_domain is None)
        require(either, "like, zero_in_domain", "both or none", "one of them")
        self.lmo = _as_pytree(lmo)
        self.distance_fn = None if distance_fn is None else _as_pytree(distance_fn)
        self.steps = steps
        if zero_in_domain is None:
            self.zero_in_domain = False
            zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)
            zero_in_domain = bool(jnp.isfinite(self.conjugate(zero)))
        self.zero_in_domain = zero_in_domain

    def value(self, m: PyTree) -> Scalar:
        flat, _ = ravel_pytree(widen(m))
        return jnp.sum(flat * ravel_pytree(widen(self.grad(m)))[0])

    def grad(self, m: PyTree) -> PyTree:
        return cast_like(self.lmo(jax.tree.map(jnp.negative, m)), m)

    def finite_conjugate(self, y: PyTree) -> Scalar:
        return jnp.zeros((), ravel_pytree(widen(y))[0].dtype)

    def grad_conjugate(self, y: PyTree) -> PyTree:
        return jax.tree.map(jnp.zeros_like, y)

    def distance(self, y: PyTree) -> Scalar:
        if self.distance_fn is not None:
            return self.distance_fn(y)
        target, unravel = ravel_pytree(widen(y))

        def vertex(g):
            return ravel_pytree(widen(self.lmo(cast_like(unravel(g), y))))[0]

        def step(carry, _):
            s, proved = carry
            g = s - target
            v = vertex(g)
            square = jnp.sum(g * g)
            norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 1)
            proved = jnp.maximum(proved, jnp.sum((v - target) * g) / norm)
            d = v - s
            along = jnp.sum(d * d)
            gamma = -jnp.sum(g * d) / jnp.where(along > 0, along, 1)
            return (s + jnp.clip(gamma, 0, 1) * d, proved), None

        start = vertex(-target), jnp.zeros((), target.dtype)
        (_, proved), _ = lax.scan(step, start, length=self.steps)
        return proved


def _as_pytree(f: Callable) -> Any:
    return f if isinstance(f, eqx.Module | Partial) else Partial(f)
