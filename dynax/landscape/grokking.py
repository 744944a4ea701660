"""Grokking as the passage from lazy to rich learning, in a model with few parts.

    f(x) = (α/N) Σᵢ φ(wᵢ·x) − f₀(x),   φ(h) = h + (ε/2)h²
    target  y = ½(β·x)²,   x ~ N(0, I/D),   wᵢ ~ N(0, I) at first, where f₀ is taken

Only the wᵢ are trained. α is the laziness: large α moves the weights little, so
learning is that of the kernel K(x, x') = x·x' + ε²(x·x')², whose eigenvalues are 1/D on
linear and 2ε²/D² on (traceless) quadratic functions: the target comes last. With
M = (1/N)Σwwᵀ, w̄ = (1/N)Σw less their first values, A = ββᵀ − αεM, the test error is

    E[(y − f)²] = ¼(tr A/D)² + ‖A‖²/(2D²) + (α²/D)‖w̄‖²,   exactly.

Source: Kumar, Bordelon, Gershman, Pehlevan, arXiv:2310.06110. The main text prints
2ε/D² for the quadratic eigenvalue; 2ε²/D² is that of its appendix, and what is found.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from dynax._types import Scalar, ScalarLike


Weights = Float[Array, "N D"]
Inputs = Float[Array, "P D"]


class Problem(NamedTuple):
    """A training set, the target's β and the first weights."""

    x: Inputs
    y: Float[Array, " P"]
    beta: Float[Array, " D"]
    start: Weights

    @classmethod
    def sample(
        cls, key: PRNGKeyArray, *, dimension: int, width: int, samples: int
    ) -> "Problem":
        """Random inputs and weights; |β|² = D, so that E[y²] = ¾ is of order one."""
        kx, kb, kw = jax.random.split(key, 3)
        x = jax.random.normal(kx, (samples, dimension)) / dimension**0.5
        beta = jax.random.normal(kb, (dimension,))
        beta = beta * dimension**0.5 / jnp.linalg.norm(beta)
        start = jax.random.normal(kw, (width, dimension))
        return cls(x, (x @ beta) ** 2 / 2, beta, start)


def activation(h: Float[Array, "..."], epsilon: ScalarLike) -> Float[Array, "..."]:
    """φ(h) = h + (ε/2)h²."""
    return h + epsilon / 2 * h**2


def network(
    weights: Weights,
    start: Weights,
    x: Inputs,
    alpha: ScalarLike,
    epsilon: ScalarLike,
) -> Float[Array, " P"]:
    """f(x), which is 0 at the first weights."""
    apply = lambda w: jnp.mean(activation(x @ w.T, epsilon), axis=1)
    return alpha * (apply(weights) - apply(start))


def train_error(
    weights: Weights, problem: Problem, alpha: ScalarLike, epsilon: ScalarLike
) -> Scalar:
    """The mean square over the training set."""
    out = network(weights, problem.start, problem.x, alpha, epsilon)
    return jnp.mean((problem.y - out) ** 2)


def test_error(
    weights: Weights, problem: Problem, alpha: ScalarLike, epsilon: ScalarLike
) -> Scalar:
    """E[(y − f)²] over all x, in closed form."""
    n, d = weights.shape
    second = (weights.T @ weights - problem.start.T @ problem.start) / n
    mean = jnp.mean(weights - problem.start, axis=0)
    a = jnp.outer(problem.beta, problem.beta) - alpha * epsilon * second
    quadratic = (jnp.trace(a) / d) ** 2 / 4 + jnp.sum(a**2) / (2 * d**2)
    return quadratic + alpha**2 / d * jnp.sum(mean**2)


def kernel(
    x: Float[Array, " D"], other: Float[Array, " D"], epsilon: ScalarLike
) -> Scalar:
    """The tangent kernel of an infinitely wide network, over α²/N."""
    overlap = x @ other
    return overlap + epsilon**2 * overlap**2


def kernel_eigenvalues(
    dimension: int, epsilon: ScalarLike
) -> tuple[ScalarLike, ScalarLike]:
    """1/D on linear functions of x, 2ε²/D² on traceless quadratic ones."""
    return 1 / dimension, 2 * epsilon**2 / dimension**2
