"""The clipped shallow piecewise-linear recurrent network."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from dynax._check import require


class Shallow(eqx.Module):
    """Step a state by one hidden layer whose effect is bounded.

        z₊ = Az + W₁[relu(W₂z + h₂) − relu(W₂z)] + h₁,   A diagonal

    The bracket lies between 0 and h₂, so orbits stay bounded where max|A| < 1.
    Source: Hess et al., ICML (2023), eq. 2.
    """

    a: Float[Array, " n"]
    out: Float[Array, "n hidden"]
    into: Float[Array, "hidden n"]
    bias: Float[Array, " n"]
    shift: Float[Array, " hidden"]

    def __call__(self, z: Float[Array, " n"]) -> Float[Array, " n"]:
        y = self.into @ z
        clipped = jax.nn.relu(y + self.shift) - jax.nn.relu(y)
        return self.a * z + self.out @ clipped + self.bias

    def lift(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the state of an observation: itself."""
        return x

    def jacobian(self, z: Float[Array, " n"]) -> Float[Array, "n n"]:
        """Return ∂z₊/∂z = A + W₁ diag([W₂z > −h₂] − [W₂z > 0]) W₂."""
        y = self.into @ z
        one = lambda on: on.astype(z.dtype)
        gate = one(y + self.shift > 0) - one(y > 0)
        return jnp.diag(self.a) + (self.out * gate[None]) @ self.into


@dataclasses.dataclass(frozen=True)
class ShallowPLRNN:
    """A clipped shallow network to be trained: `Shallow`, drawn at random.

    Args:
        hidden: how many hidden units.
    """

    hidden: int

    def __post_init__(self):
        require(self.hidden >= 1, "hidden", self.hidden, "at least 1")

    def draw(self, key: PRNGKeyArray, observed: int, dtype) -> Shallow:
        """Draw weights for a state of `observed` quantities."""
        near, far, shift = jax.random.split(key, 3)
        normal = lambda key, *shape: jax.random.normal(key, shape, dtype)
        return Shallow(
            jnp.full(observed, 0.95, dtype),
            normal(near, observed, self.hidden) * 0.1 / self.hidden**0.5,
            normal(far, self.hidden, observed) / observed**0.5,
            jnp.zeros(observed, dtype),
            normal(shift, self.hidden),
        )
