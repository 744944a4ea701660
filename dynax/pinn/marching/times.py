"""Functions of time that coefficients move along within a window, 0 at its start.

z(t) = z(t₀) + Σ_p a_p g_p(τ),   τ = (t − t₀)/Δ,   g_p(0) = 0.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.pinn.networks.mlp import MLP


class AbstractTime(eqx.Module):
    """Functions g_p of τ, with parameters θ of their own."""

    count: eqx.AbstractVar[int]
    linear: eqx.AbstractClassVar[bool]  # whether there is no θ

    @abc.abstractmethod
    def init(self, key, dtype) -> Any:
        """θ."""

    @abc.abstractmethod
    def __call__(self, theta, tau: Float[Array, ""]) -> Float[Array, " count"]:
        """g."""

    @abc.abstractmethod
    def goes_on(self, a: Array, ratio) -> Array:
        """a to begin the next window with, `ratio` times as long."""


class Legendre(AbstractTime):
    """Expand the rate in Legendre polynomials of time.

    g_p = ∫₀^τ P_p(2s − 1) ds = (P_{p+1} − P_{p−1})(2τ − 1)/(2(2p + 1)),  g₀ = τ.

    Not z itself: so the identity stands in front of all that the equation adds, and the
    least-squares problem is well conditioned.

    Args:
        count: P.
    """

    count: int = eqx.field(static=True, default=10)
    linear: ClassVar[bool] = True

    def init(self, key, dtype):
        return ()

    def __call__(self, theta, tau):
        s = 2 * tau - 1
        p = [jnp.ones_like(s), s]
        for n in range(1, self.count):
            p.append(((2 * n + 1) * s * p[n] - n * p[n - 1]) / (n + 1))
        rest = [(p[n + 1] - p[n - 1]) / (4 * n + 2) for n in range(1, self.count)]
        return jnp.stack([tau, *rest])

    def goes_on(self, a, ratio):
        """At the last rate: P_p(1) = 1."""
        return jnp.zeros_like(a).at[0].set(ratio * jnp.sum(a, 0))


class TimeNetwork(AbstractTime):
    """Let a small network learn the functions of time.

    g = τ h(τ; θ): h is the last hidden layer of a tanh network of τ, all of it trained.

    Args:
        count: functions, the width of the last layer.
        width, depth: of the layers before.
    """

    count: int = eqx.field(static=True, default=12)
    linear: ClassVar[bool] = False
    width: int = eqx.field(static=True, default=8)
    depth: int = eqx.field(static=True, default=1)

    def init(self, key, dtype):
        first, rest = jax.random.split(key)
        mlp = MLP(1, self.count, self.width, self.depth, key=first, dtype=dtype)
        # breaks spread over the window, so that the functions differ from the start
        bias = jax.random.uniform(rest, mlp.layers[0].bias.shape, dtype, -2, 2)
        return eqx.tree_at(lambda m: m.layers[0].bias, mlp, bias)

    def __call__(self, theta, tau):
        return tau * jnp.tanh(theta((2 * tau - 1)[None]))

    def goes_on(self, a, ratio):
        return ratio * a
