"""Arrays as matrices with a factor on each side: GGᵀ on the left, GᵀG on the right.

An array of more than two axes is the matrix (all but the last) × (the last). A side
that is not used is None in the trees of factors. Products are made in full precision:
a matrix unit would make orthogonal bases orthogonal to three digits only.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from dynax import _tree as tree
from dynax._types import Params


Factors = tuple[PyTree, PyTree]  # left, right: trees like the parameters, or None there


def matmul(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


def as_matrix(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1])


def factors(x: Params, make: Callable, longest: int, shortest: int = 1) -> Factors:
    """make(n, dtype) for each side n of a matrix, shortest ≤ n ≤ longest; else None.

    The dtype is the leaf's, and at least float32: no factorisation runs in half.
    """

    def side(k):
        def entry(a):
            n = as_matrix(a).shape[k] if a.ndim >= 2 else 0
            return make(n, tree.result_dtype(a)) if shortest <= n <= longest else None

        return tree.map(entry, x)

    return side(0), side(1)


def grams(grad: Params, like: Factors) -> Factors:
    """GGᵀ and GᵀG where `like` has a factor."""

    def side(k):
        def entry(g, a):
            if a is None:
                return None
            g = as_matrix(g.astype(a.dtype))
            return matmul(g.T, g) if k else matmul(g, g.T)

        return tree.map(entry, grad, like[k])

    return side(0), side(1)


def from_spectrum(basis: Array, values: Array) -> Array:
    """Q diag(λ) Qᵀ."""
    return matmul(basis * values[None], basis.T)


def sandwich(x: Params, by: Factors, *, back: bool = False) -> Params:
    """LᵀXR leaf by leaf: into the bases that are the columns of L and R, or, for
    symmetric factors, LXR. With `back` it is LXRᵀ. Products are made in the factors'
    dtype; each leaf keeps its own."""

    def entry(a, left, right):
        if left is None and right is None:
            return a
        m = as_matrix(a).astype((left if right is None else right).dtype)  # pyright: ignore
        if left is not None:
            m = matmul(left if back else left.T, m)
        if right is not None:
            m = matmul(m, right.T if back else right)
        return m.reshape(a.shape).astype(a.dtype)

    return tree.map(entry, x, *by)


def by_shape(fn: Callable, *trees: PyTree) -> PyTree:
    """fn(a, b, …) over the arrays of the trees, those of one shape in one batch.

    A batch of factorisations is one kernel, and is compiled once. fn returns a tuple;
    the result has one at the place of each array.
    """
    rows = list(zip(*map(tree.leaves, trees), strict=True))
    groups: dict = {}
    for k, row in enumerate(rows):
        groups.setdefault((row[0].shape, row[0].dtype), []).append(k)
    found: list = [None] * len(rows)
    for members in groups.values():
        columns = zip(*(rows[k] for k in members), strict=True)
        out = jax.vmap(fn)(*map(jnp.stack, columns))
        for place, k in enumerate(members):
            found[k] = tuple(a[place] for a in out)
    return jax.tree.unflatten(jax.tree.structure(trees[0]), found)
