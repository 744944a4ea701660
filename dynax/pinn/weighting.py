"""Weights that balance the blocks of a loss: equation, initial state, data.

With one size a block, λᵢ = mean_j(sizeⱼ)/sizeᵢ makes all λᵢ·sizeᵢ the same. Sizes are

    ‖∇L_i‖            gradients:  Wang, Teng, Perdikaris, arXiv:2001.04536
    tr Kᵢ             convergence rates of gradient flow:  Wang, Yu, Perdikaris,
                      arXiv:2007.14527; Kᵢ = Jᵢ Jᵢᵀ, a mean over points here

in the form of Wang, Sankaran, Wang, Perdikaris, arXiv:2308.08468. The trace per
time, C(t), tells which times gradient descent fits first: arXiv:2203.07404.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike
from dynax.pde import Points


Blocks = dict[str, Scalar]


def balance(sizes: Blocks) -> Blocks:
    """λᵢ = mean_j(sizeⱼ)/sizeᵢ, and 1 for a block of size 0."""
    mean = sum(sizes.values()) / len(sizes)
    weigh = lambda size: tree.safe_divide(mean, size, 1)
    return {name: weigh(size) for name, size in sizes.items()}


def average(old: Blocks, new: Blocks, decay: ScalarLike = 0.9) -> Blocks:
    """decay·old + (1 − decay)·new: weights are carried from step to step."""
    mix = lambda a, b: b + tree.cast(decay, a.dtype) * (a - b)
    return tree.map(mix, old, new)


def gradient_norms(losses: Callable[[Params], Blocks], params: Params) -> Blocks:
    """‖∇Lᵢ‖ of each block: one evaluation, one pull-back a block."""
    values, pull = jax.vjp(losses, params)

    def norm(name):
        only = {k: jnp.full_like(v, k == name) for k, v in values.items()}
        (grad,) = pull(only)
        return jnp.sqrt(tree.vdot(grad, grad))

    return {name: norm(name) for name in values}


def ntk_traces(
    row: Callable, params: Params, points: Points, block: int = 1024
) -> Float[Array, " times"]:
    """Return the trace of the tangent kernel at each time.

    C(t) = meanⱼ ‖∂ row(t, xⱼ)/∂params‖².

    Args:
        row: (params, t, x) → residuals, of shape (r,).
        params: what is trained.
        points: where.
        block: points whose gradients are in memory at once.
    """
    times, places, d = points.x.shape

    def square(point) -> Array:
        jacobian = jax.jacrev(row)(params, *point)
        return tree.vdot(jacobian, jacobian)

    each = jnp.repeat(points.t, places), points.x.reshape(times * places, d)
    traces = lax.map(square, each, batch_size=min(block, times * places))
    return jnp.mean(traces.reshape(times, places), 1)
