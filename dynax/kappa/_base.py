"""What a convex potential κ is, and the one place where arrays become pytrees.

    κ*(y) = sup_m ⟨m, y⟩ − κ(m),     κ(m) + κ*(y) ≥ ⟨m, y⟩,   equality ⇔ y ∈ ∂κ(m)

Lion-κ minimises f(x) + (1/λ)κ*(λx): what κ* does on its domain is a regulariser,
and the domain itself is a constraint on λx. A subclass of `AbstractArrayKappa` shows
only its mathematics, on one array; trees, dtypes and the slack at the boundary of
dom κ* are handled here.

Every method computes in the widest dtype of the tree's leaves, and at least in
float32; what is shaped like the tree is returned in the dtypes of the tree.
"""

import abc
import functools
from collections.abc import Callable
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree, Scalar

from dynax._check import require


Scope = Literal["leaf", "tree"]


class AbstractKappa(eqx.Module):
    """A closed convex function κ on pytrees of floating-point arrays.

    `smooth`: κ is differentiable everywhere, so that ∇κ may drive a flow.
    `zero_in_domain`: κ*(0) < ∞, i.e. κ is bounded below.
    """

    smooth: eqx.AbstractVar[bool]
    zero_in_domain: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def value(self, m: PyTree) -> Scalar:
        """κ(m)."""

    @abc.abstractmethod
    def grad(self, m: PyTree) -> PyTree:
        """One V ∈ ∂κ(m), chosen deterministically (sign 0 = 0, first of a tie)."""

    @abc.abstractmethod
    def finite_conjugate(self, y: PyTree) -> Scalar:
        """κ*(y) on dom κ*, continued outside by clipping: finite for finite y."""

    @abc.abstractmethod
    def grad_conjugate(self, y: PyTree) -> PyTree:
        """One p ∈ ∂κ*(y) on dom κ*; y is clipped to keep p finite elsewhere."""

    @abc.abstractmethod
    def distance(self, y: PyTree) -> Scalar:
        """How far y is from dom κ*, in the norm named by the class; 0 inside."""

    def conjugate(self, y: PyTree) -> Scalar:
        """κ*(y); +∞ (for NaN too) unless distance ≤ max(1, max|y|)·tol, where tol is
        64 eps of the dtype computed in plus one eps of the dtype stored."""
        inside = self.distance(y) <= _slack(y)
        return jnp.where(inside, self.finite_conjugate(y), jnp.inf)


class AbstractArrayKappa(AbstractKappa):
    """A κ written on one array and lifted to trees.

    scope "leaf": κ(m) = Σ κ(leaf), dom κ* is a product, distance = max over leaves.
    scope "tree": κ acts on the whole tree as one vector. (Elementwise κ are the same
    in both scopes and have no such argument.) Leaves of size zero contribute nothing.
    """

    @property
    @abc.abstractmethod
    def scope(self) -> Scope: ...

    @abc.abstractmethod
    def _value(self, m: Float[Array, "..."]) -> Scalar: ...

    @abc.abstractmethod
    def _grad(self, m: Float[Array, "..."]) -> Float[Array, "..."]: ...

    @abc.abstractmethod
    def _conjugate(self, y: Float[Array, "..."]) -> Scalar: ...

    @abc.abstractmethod
    def _grad_conjugate(self, y: Float[Array, "..."]) -> Float[Array, "..."]: ...

    @abc.abstractmethod
    def _distance(self, y: Float[Array, "..."]) -> Scalar: ...

    def value(self, m: PyTree) -> Scalar:
        return _total(jnp.add, self._value, m, self.scope)

    def grad(self, m: PyTree) -> PyTree:
        return _mapped(self._grad, m, self.scope)

    def finite_conjugate(self, y: PyTree) -> Scalar:
        return _total(jnp.add, self._conjugate, y, self.scope)

    def grad_conjugate(self, y: PyTree) -> PyTree:
        return _mapped(self._grad_conjugate, y, self.scope)

    def distance(self, y: PyTree) -> Scalar:
        return _total(jnp.maximum, self._distance, y, self.scope)

    def __check_init__(self):
        require(self.scope in ("leaf", "tree"), "scope", self.scope, "'leaf' or 'tree'")


class AbstractNorm(AbstractArrayKappa):
    """A function κ that is a norm: κ* = δ(‖y‖_dual ≤ 1), distance = (‖y‖_dual − 1)₊ in
    the dual norm.
    """

    smooth: ClassVar[bool] = False
    zero_in_domain: ClassVar[bool] = True

    @abc.abstractmethod
    def _dual(self, y: Float[Array, "..."]) -> Scalar: ...

    def _conjugate(self, y):
        return jnp.zeros((), y.dtype)

    def _grad_conjugate(self, y):
        return jnp.zeros_like(y)

    def _distance(self, y):
        return jax.nn.relu(self._dual(y) - 1)


class AbstractSeparable(AbstractArrayKappa):
    """Sum a function of one variable over the entries.

    κ(m) = Σᵢ φ(mᵢ), κ*(y) = Σᵢ φ*(yᵢ): a class shows φ, entry by entry.

    `_excess` is how far each entry is from dom φ*; distance = the largest. Being a sum,
    κ can be accounted for in one pass over memory. `flat`: φ* is 0 on its domain.
    """

    scope: ClassVar[Scope] = "leaf"
    zero_in_domain: ClassVar[bool] = True
    flat: ClassVar[bool] = False

    @abc.abstractmethod
    def _phi(self, m: Float[Array, "..."]) -> Float[Array, "..."]: ...

    @abc.abstractmethod
    def _phi_conjugate(self, y: Float[Array, "..."]) -> Float[Array, "..."]: ...

    @abc.abstractmethod
    def _excess(self, y: Float[Array, "..."]) -> Float[Array, "..."]: ...

    def _value(self, m):
        return jnp.sum(self._phi(m))

    def _conjugate(self, y):
        return jnp.sum(self._phi_conjugate(y))

    def _distance(self, y):
        return jnp.max(self._excess(y))


class AbstractBoxed(AbstractSeparable):
    """An elementwise κ of slope ≤ 1: dom κ* = {max|y| ≤ 1}, distance (max|y| − 1)₊."""

    def _excess(self, y):
        return jax.nn.relu(jnp.abs(y) - 1)


class AbstractCoercive(AbstractArrayKappa):
    """A κ that grows faster than any norm: dom κ* is everything, distance 0."""

    smooth: ClassVar[bool] = True
    zero_in_domain: ClassVar[bool] = True

    def _distance(self, y):
        return jnp.zeros((), y.dtype)


def widen(tree: PyTree) -> PyTree:
    """The tree in the dtype computed in: the widest of its leaves, ≥ float32."""
    tree = jax.tree.map(jnp.asarray, tree)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(tree)]
    real = all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes)
    require(real, "tree", dtypes, "one of floating-point arrays")
    widest = max([jnp.dtype(jnp.float32), *dtypes], key=lambda dtype: dtype.itemsize)
    return jax.tree.map(lambda leaf: leaf.astype(widest), tree)


def cast_like(tree: PyTree, like: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: a.astype(jnp.asarray(b).dtype), tree, like)


def _total(join: Callable, f: Callable, tree: PyTree, scope: Scope) -> Scalar:
    wide = widen(tree)
    blocks = jax.tree.leaves(wide) if scope == "leaf" else [ravel_pytree(wide)[0]]
    parts = [f(block) for block in blocks if block.size]
    return functools.reduce(join, parts) if parts else jnp.zeros((), jnp.float32)


def _mapped(f: Callable, tree: PyTree, scope: Scope) -> PyTree:
    on = lambda block: f(block) if block.size else block
    wide = widen(tree)
    if scope == "leaf":
        return cast_like(jax.tree.map(on, wide), tree)
    flat, unravel = ravel_pytree(wide)
    return cast_like(unravel(on(flat)), tree)


def _slack(tree: PyTree) -> Scalar:
    stored = [jnp.finfo(jnp.asarray(leaf).dtype).eps for leaf in jax.tree.leaves(tree)]
    top = _total(jnp.maximum, lambda a: jnp.max(jnp.abs(a)), tree, "leaf")
    eps = 64 * float(jnp.finfo(top.dtype).eps) + max(map(float, stored), default=0.0)
    return eps * jnp.maximum(top, 1)
