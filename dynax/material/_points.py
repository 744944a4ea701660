"""Parameters that differ from point to point: one value each."""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey, tree_map_with_path
from jaxtyping import PyTree

from dynax._types import Scalar, ScalarLike


NUMBERS = (ScalarLike, Scalar, float)


def each(fn: Callable, law: PyTree, count: int, *values: PyTree) -> PyTree:
    """fn(law, *values) of each of `count` points, by which `values` lead.

    A parameter is a field annotated as one number (`ScalarLike`, `float`), in the law
    or in laws within it: () is that of all points, (count,) has one value for each.
    Arrays of other fields, such as weights, are of all points.

    Raises:
        ValueError: a parameter has another shape.
    """
    own, rest = split(law, count)
    return jax.vmap(lambda own, *a: fn(eqx.combine(own, rest), *a))(own, *values)


def split(law: PyTree, count: int) -> tuple[PyTree, PyTree]:
    """The parameters with one value a point, and the rest, for `eqx.combine`."""

    def mark(path, value):
        *way, last = path
        owner = functools.reduce(_down, way, law)
        if not (isinstance(owner, eqx.Module) and isinstance(last, GetAttrKey)):
            return False
        if type(owner).__dataclass_fields__[last.name].type not in NUMBERS:
            return False
        if jnp.shape(value) not in ((), (count,)):
            raise ValueError(
                f"{last.name}: given shape {jnp.shape(value)}; accepted are () and "
                f"({count},), one value a point or element."
            )
        return jnp.shape(value) != ()

    return eqx.partition(law, tree_map_with_path(mark, law))


def _down(node, key):
    if isinstance(key, GetAttrKey):
        return getattr(node, key.name)
    return node[getattr(key, "idx", getattr(key, "key", None))]
