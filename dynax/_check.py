"""Checks of arguments: one rule and one style of error for the whole package."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from dynax import _tree as tree
from dynax._types import ScalarLike


def require(ok: Any, name: str, given: Any, accepted: str) -> None:
    """Raise a ValueError that names the argument, unless `ok` is true."""
    if not ok:
        given = repr(given) if isinstance(given, str) else given
        raise ValueError(f"{name}: given {given}; accepted is {accepted}.")


def check_parameter(
    name: str,
    value: ScalarLike,
    condition: Callable[[Any], Any],
    accepted: str,
    *,
    finite: bool = True,
) -> None:
    """Check a numerical parameter whose value is known; a tracer passes.

    Args:
        name: of the parameter.
        value: a number, or an array of them.
        condition: (array) → bools, all of which must be true.
        accepted: the condition in words.
        finite: whether infinity is refused.

    Raises:
        ValueError: the condition is false somewhere, or a value is NaN, infinite or
            no number.
    """
    if not tree.is_concrete(value):
        return
    a = np.asarray(value)
    number = jnp.issubdtype(a.dtype, np.integer) or jnp.issubdtype(a.dtype, np.floating)
    known = np.isfinite if finite else lambda a: ~np.isnan(a)
    ok = number and np.all(known(a)) and np.all(condition(a))
    require(ok, name, value, accepted)


def check_positive(**values: ScalarLike) -> None:
    """Check parameters that are finite and > 0."""
    for name, value in values.items():
        check_parameter(name, value, lambda v: v > 0, f"a finite {name} > 0")


def check_nonnegative(**values: ScalarLike) -> None:
    """Check parameters that are finite and ≥ 0."""
    for name, value in values.items():
        check_parameter(name, value, lambda v: v >= 0, f"a finite {name} ≥ 0")
