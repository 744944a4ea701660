"""Pytree algebra: the few operations the mathematics needs."""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from dynax._types import Scalar


map = jax.tree.map
leaves = jax.tree.leaves


def cast(scalar, dtype) -> Array:
    """A hyper-parameter in the dtype of the array it acts on: dtype follows the inputs.

    >>> cast(0.9, jnp.float32).dtype
    dtype('float32')
    """
    return jnp.asarray(scalar).astype(dtype)


def result_dtype(*trees: PyTree) -> np.dtype:
    """The dtype in which scalars of these trees are accumulated (≥ float32)."""
    dtypes = [jnp.asarray(a).dtype for a in leaves(trees)]
    return max([jnp.dtype(jnp.float32), *dtypes], key=lambda dtype: dtype.itemsize)


def wide(x: PyTree) -> PyTree:
    """`x` in at least single precision: sums and energies never run in half."""
    return map(lambda a: a.astype(result_dtype(a)), x)


def safe_denominator(a: Array) -> Array:
    """`a` where it is positive, and 1 elsewhere."""
    return jnp.where(a > 0, a, 1)


def safe_divide(a, b: Array, otherwise: ArrayLike = 0.0) -> Array:
    """Return a/b where b > 0, and `otherwise` elsewhere, in the dtype of b."""
    return jnp.where(b > 0, cast(a, b.dtype) / safe_denominator(b), otherwise)


def zeros_like(x: PyTree, dtype=None) -> PyTree:
    return map(lambda a: jnp.zeros_like(a, dtype=dtype), x)


def copy(x: PyTree) -> PyTree:
    """The same numbers in arrays of their own, so that x and they can be donated."""
    return map(lambda a: jnp.array(a, copy=True), x)


def cast_like(x: PyTree, like: PyTree) -> PyTree:
    """`x` in the dtypes of `like`."""
    return map(lambda a, b: a.astype(b.dtype), x, like)


def add(x: PyTree, y: PyTree) -> PyTree:
    return map(lambda a, b: a + b.astype(a.dtype), x, y)


def sub(x: PyTree, y: PyTree) -> PyTree:
    return map(lambda a, b: a - b, x, y)


def scale(s, x: PyTree) -> PyTree:
    return map(lambda a: cast(s, a.dtype) * a, x)


def total(parts: list[Array], dtype) -> Scalar:
    out = jnp.zeros((), dtype)
    for p in parts:
        out = out + p.astype(dtype)
    return out


def vdot(x: PyTree, y: PyTree) -> Scalar:
    """⟨x, y⟩ = Σ xᵢyᵢ as an elementwise product and a sum.

    Not `jnp.vdot`: a matrix unit may run that in bfloat16 or TF32.
    """
    parts = map(lambda a, b: jnp.sum(wide(a) * wide(b)), x, y)
    return total(leaves(parts), result_dtype(x, y))


def size(x: PyTree) -> int:
    return sum(int(np.prod(a.shape)) for a in leaves(x))


def eps(x: PyTree) -> float:
    """The coarsest machine epsilon among the leaves."""
    return max((float(jnp.finfo(a.dtype).eps) for a in leaves(x)), default=0.0)


def is_concrete(*values) -> bool:
    return not any(isinstance(v, jax.core.Tracer) for v in leaves(values))


def check_params(x: PyTree, name: str = "params") -> None:
    """Real floating leaves, finite where their values are known.

    A tree without leaves passes: optax hands one to `init`, to see what is shaped like
    the parameters (`optax.tree.map_params`) or where all of them are masked.

    Raises:
        TypeError: a leaf is not a real floating array.
        ValueError: a NaN or infinity in one.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(x):
        where = f"{name}{jax.tree_util.keystr(path)}"
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            given = dtype if dtype is not None else type(leaf).__name__
            raise TypeError(
                f"{where}: given {given}; accepted are real floating arrays."
            )
        if is_concrete(leaf):
            with jax.ensure_compile_time_eval():
                finite = bool(_all_finite(leaf))
            if not finite:
                raise ValueError(f"{where}: given NaN or infinity; accepted is finite.")


@jax.jit
def _all_finite(a) -> Array:
    return jnp.all(jnp.isfinite(a))


def check_match(x: PyTree, y: PyTree, x_name: str, y_name: str) -> None:
    """`y` has the structure and the shapes of `x`.

    Raises:
        ValueError: naming the first difference.
    """
    sx, sy = jax.tree.structure(x), jax.tree.structure(y)
    if sx != sy:
        raise ValueError(
            f"{y_name}: given the tree {sy}; accepted is that of {x_name}, {sx}."
        )
    pairs = zip(jax.tree_util.tree_leaves_with_path(x), leaves(y), strict=True)
    for (path, a), b in pairs:
        if jnp.shape(a) != jnp.shape(b):
            where = jax.tree_util.keystr(path)
            raise ValueError(
                f"{y_name}{where}: given shape {jnp.shape(b)}; "
                f"accepted is that of {x_name}{where}, {jnp.shape(a)}."
            )


def check_scalar(value, name: str) -> None:
    """`value` is one real floating number.

    Raises:
        ValueError: it has a shape, or is not real floating.
    """
    given = jax.tree.map(lambda v: f"{jnp.result_type(v)}{list(jnp.shape(v))}", value)
    scalar = jax.tree.structure(value) == jax.tree.structure(0) and not jnp.shape(value)
    if not scalar or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise ValueError(f"{name}: given {given}; accepted is one real scalar.")
