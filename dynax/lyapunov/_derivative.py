"""The exact derivative of an energy along a flow, by one jvp."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import State


Energy = Callable[[Any, State, Any], Array]
Field = Callable[[Any, State, Any], State]


def lie_derivative(energy: Energy, field: Field) -> Callable:
    r"""Return a function that gives an energy and its exact slope along a flow.

    V and V̇ = ∂ₜV + ⟨∇V, F⟩ along ẏ = F(t, y), exactly, by one jvp.

    Args:
        energy: V(t, y, args) → scalar.
        field: F(t, y, args) → like y.

    Returns:
        (t, y, args) → (V, V̇).
    """

    def derivative(t, y, args=None):
        t = jnp.asarray(t, tree.result_dtype(y))
        tangents = jnp.ones_like(t), field(t, y, args)
        return jax.jvp(lambda t, y: energy(t, y, args), (t, y), tangents)

    return derivative


def along(energy: Energy, field: Field) -> Callable:
    """Return a function that saves an energy and its slope along a diffrax solve.

    `diffrax.SaveAt(ts=…, fn=along(H, field))` saves {"V": V, "dV": V̇}.
    """
    derivative = lie_derivative(energy, field)

    def fn(t, y, args):
        v, dv = derivative(t, y, args)
        return {"V": v, "dV": dv}

    return fn
