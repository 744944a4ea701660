"""Training as a map, whose exponents and stability can be computed."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractOptimizer


def training_map(
    opt: AbstractOptimizer, f: Callable[[Params], Scalar], lr: ScalarLike
) -> Callable[[PyTree], PyTree]:
    """Return one training step as a map of parameters and state.

    (x, state) ↦ (x₊, state₊), one step of `opt` on the loss f.
    """

    def step(y):
        x, state = y
        return opt.step(x, state, jax.grad(f)(x), lr)

    return step
