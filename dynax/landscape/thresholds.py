"""Where a method becomes unstable: the largest stable curvature h on f = ½hx².

Each formula is the h at which the linear map (x, state) ↦ (x₊, state₊) gets an
eigenvalue on the unit circle; above it the iterates grow. Full-batch training hovers
there (the edge of stability).

    gradient descent     x₊ = x − ηg                                2/η
    Polyak's heavy ball  x₊ = x − ηg + β(x − x₋)                    (2+2β)/η
    averaged momentum    m₊ = βm + (1−β)g,  x₊ = x − ηm₊            (2+2β)/((1−β)η)
    Nesterov             y = x + β(x − x₋),  x₊ = y − η∇f(y)        (2+2β)/((1+2β)η)
    look-ahead, β₁ ≤ β₂  m₊ = β₂m + (1−β₂)g,                 (2+2β₂)/((1+β₂−2β₁)η)
                         x₊ = x − η(β₁m + (1−β₁)g)
    Adam, P frozen       averaged momentum in the metric P: of λ_max(P⁻¹H)

`threshold` finds the same number for any linear map by its spectral radius, and
`companion` makes that map of any dynax optimizer: one is the test of the other.

Sources: Cohen, Kaur, Li, Kolter, Talwalkar, arXiv:2103.00065; Cohen et al.,
arXiv:2207.14484 (Adam: P = √v̂ + ϵ, with its bias correction); look-ahead: derived.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Numbers, ScalarLike
from dynax.flow import AbstractOptimizer


Matrix = Callable[[ScalarLike], Float[Array, "n n"]]


def gradient_descent(lr: Numbers) -> Numbers:
    """2/η."""
    return 2 / lr


def heavy_ball(lr: Numbers, beta: Numbers) -> Numbers:
    """(2+2β)/η, of Polyak's method and of optax's `sgd(momentum=β)`."""
    return (2 + 2 * beta) / lr


def averaged_momentum(lr: Numbers, beta: Numbers) -> Numbers:
    """(2+2β)/((1−β)η), of momentum as an average of gradients."""
    return (2 + 2 * beta) / ((1 - beta) * lr)


def nesterov(lr: Numbers, beta: Numbers) -> Numbers:
    """(2+2β)/((1+2β)η), of Nesterov's method with a constant β."""
    return (2 + 2 * beta) / ((1 + 2 * beta) * lr)


def look_ahead(lr: Numbers, beta1: Numbers, beta2: Numbers) -> Numbers:
    """(2+2β₂)/((1+β₂−2β₁)η), of Lion-κ with κ = ½‖·‖², if β₁ ≤ β₂."""
    return (2 + 2 * beta2) / ((1 + beta2 - 2 * beta1) * lr)


def adam(lr: Numbers, beta1: Numbers) -> Numbers:
    """(2+2β₁)/((1−β₁)η), the threshold of λ_max(P⁻¹H), P = √v̂ + ϵ: 38/η at β₁ = 0.9."""
    return averaged_momentum(lr, beta1)


def companion(opt: AbstractOptimizer, lr: ScalarLike) -> Matrix:
    """Return the Jacobian of one step of an optimizer on a quadratic.

    h ↦ the Jacobian at x = 0 of one step of `opt` on f = ½hx², x a number.

    Every floating-point number of the state is a coordinate; counters are held at their
    first value. A method that is not linear (Lion, Adam) is linearised, which at x = 0
    says nothing of it; hold its preconditioner fixed instead.
    """
    x = jnp.zeros(())
    state = opt.init(x)
    moving, fixed = eqx.partition((x, state), eqx.is_inexact_array)
    flat, unravel = jax.flatten_util.ravel_pytree(moving)

    @jax.jit
    def matrix(h):
        def step(y):
            x, state = eqx.combine(unravel(y), fixed)
            after = opt.step(x, state, tree.cast(h, x.dtype) * x, lr)
            kept, _ = eqx.partition(after, eqx.is_inexact_array)
            return jax.flatten_util.ravel_pytree(kept)[0]

        return jax.jacfwd(step)(flat)

    return matrix


def spectral_radius(matrix: Float[Array, "n n"]) -> float:
    """Return the largest |eigenvalue|, on the host."""
    return float(np.max(np.abs(np.linalg.eigvals(np.asarray(matrix)))))


def threshold(
    matrix: Matrix, start: float = 1e-3, *, largest: float = 1e12, rtol: float = 1e-12
) -> float:
    """The curvature at which the linear map leaves the unit disc, by bisection.

    Args:
        matrix: h → the matrix of one step, as `companion(opt, lr)`.
        start: a stable h > 0.
        largest: where the search ends; h doubles until a map is unstable.
        rtol: of the answer. The map is known to round-off only, and where two
            eigenvalues meet on the unit circle an error u of it moves them by √u.

    Returns:
        The end of the stable interval around `start`, ∞ if it reaches `largest`.
    """
    stable = lambda h: spectral_radius(matrix(h)) <= 1
    if not stable(start):
        radius = spectral_radius(matrix(start))
        raise ValueError(
            f"start: given {start}, where the spectral radius is {radius:.6g}; "
            "accepted is a stable curvature, of radius ≤ 1."
        )
    low, high = start, 2 * start
    while stable(high):
        low, high = high, 2 * high
        if low > largest:
            return float("inf")
    while high - low > rtol * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if stable(middle) else (low, middle)
    return (low + high) / 2
