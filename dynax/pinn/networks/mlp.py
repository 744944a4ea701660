"""The plain network."""

import jax
import jax.numpy as jnp

from dynax.pinn.networks.linear import AbstractBody, AbstractLinear, Linear


class MLP(AbstractBody):
    """Apply tanh layers, and a linear one at the end.

    hₗ = tanh(Wₗ hₗ₋₁ + bₗ), l = 1 … depth, h₀ = z;  W h + b at the end.

    Args:
        size_in, size_out: features, fields.
        width, depth: hidden units a layer, hidden layers.
        linear: the kind of layer, `Linear` or `FactorisedLinear`.
    """

    layers: tuple[AbstractLinear, ...]
    last: AbstractLinear

    def __init__(
        self, size_in, size_out, width, depth, *, key, dtype=None, linear=Linear
    ):
        *keys, key_last = jax.random.split(key, depth + 1)
        sizes = [size_in] + [width] * depth
        self.layers = tuple(
            linear(a, b, key=k, dtype=dtype)
            for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.last = linear(sizes[-1], size_out, key=key_last, dtype=dtype)

    def hidden(self, z):
        for layer in self.layers:
            z = jnp.tanh(layer(z))
        return z
