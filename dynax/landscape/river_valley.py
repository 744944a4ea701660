"""A valley with a river: what a large learning rate gains and what its decay reveals.

    f(x, y) = −c·x + ½γ‖y‖²      river x, hills y;  gradients of y carry noise N(0, σ²)

SGD moves along the river by c·Ση whatever the noise, and on each hill its second moment
obeys m₊ = (1−ηγ)²m + η²σ², so that at a constant η the loss stays above the river by

    ½γ·E[y²] → ησ²/(2(2−ηγ))   per hill,   η < 2/γ.

Decaying η to 0 takes that away and costs little of Ση: the warm-up–stable–decay
schedule. The diffusion limit ησ²/4 is right for ηγ → 0 only.

Source: Wen, Li, Wang, Hall, Liang, Ma, arXiv:2410.05192 (the picture); the formulas are
those of a linear recursion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from dynax._types import Scalar, ScalarLike


class Valley(NamedTuple):
    """Slope c of the river, curvature γ of the hills, standard deviation σ of noise."""

    slope: ScalarLike = 0.1
    curvature: ScalarLike = 2.0
    noise: ScalarLike = 0.5**0.5

    def loss(self, x: Scalar, y: Float[Array, " hills"]) -> Scalar:
        """f(x, y)."""
        return -self.slope * x + self.curvature / 2 * jnp.sum(y**2)

    def floor(self, lr: ScalarLike) -> ScalarLike:
        """ησ²/(2(2−ηγ)), the mean excess loss of one hill at a constant η."""
        return lr * self.noise**2 / (2 * (2 - lr * self.curvature))

    def expected(
        self, lrs: Float[Array, " steps"], moment: ScalarLike = 0.0
    ) -> Float[Array, " steps"]:
        """The exact mean excess loss of one hill after each step, from E[y²] before."""
        lrs = jnp.asarray(lrs)

        def step(m, lr):
            m = (1 - lr * self.curvature) ** 2 * m + lr**2 * self.noise**2
            return m, self.curvature / 2 * m

        return jax.lax.scan(step, jnp.asarray(moment, lrs.dtype), lrs)[1]


class Path(NamedTuple):
    """Where SGD was after each step."""

    river: Float[Array, " steps"]
    excess: Float[Array, " steps"]


def sgd(
    valley: Valley,
    lrs: Float[Array, " steps"],
    key: PRNGKeyArray,
    *,
    hills: int = 1,
) -> Path:
    """SGD from (0, 0): the river's coordinate and the mean excess loss of a hill."""
    lrs = jnp.asarray(lrs)

    def step(carry, now):
        x, y = carry
        lr, key = now
        noise = valley.noise * jax.random.normal(key, y.shape, y.dtype)
        x = x + lr * valley.slope
        y = y - lr * (valley.curvature * y + noise)
        return (x, y), Path(x, valley.curvature / 2 * jnp.mean(y**2))

    start = jnp.zeros((), lrs.dtype), jnp.zeros(hills, lrs.dtype)
    return jax.lax.scan(step, start, (lrs, jax.random.split(key, lrs.size)))[1]
