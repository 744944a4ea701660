"""The network with two gates."""

import jax
import jax.numpy as jnp

from dynax.pinn.networks.linear import AbstractBody, AbstractLinear, Linear
from dynax.pinn.networks.mlp import MLP


class ModifiedMLP(AbstractBody):
    """Apply tanh layers that two encoders of the input gate.

    U = tanh(W_U z + b_U),  V = tanh(W_V z + b_V),  h₀ = z,

        fₗ = tanh(Wₗ hₗ₋₁ + bₗ),   hₗ = fₗ ⊙ U + (1 − fₗ) ⊙ V,

    and W h + b at the end. Source: Wang, Teng, Perdikaris, SIAM J. Sci. Comput. 43
    (2021) A3055, arXiv:2001.04536; here with a gate after the first layer too.

    Args: as for `MLP`.
    """

    gates: tuple[AbstractLinear, AbstractLinear]
    layers: tuple[AbstractLinear, ...]
    last: AbstractLinear

    def __init__(
        self, size_in, size_out, width, depth, *, key, dtype=None, linear=Linear
    ):
        key, key_u, key_v = jax.random.split(key, 3)
        plain = MLP(
            size_in, size_out, width, depth, key=key, dtype=dtype, linear=linear
        )
        self.layers, self.last = plain.layers, plain.last
        self.gates = (
            linear(size_in, width, key=key_u, dtype=dtype),
            linear(size_in, width, key=key_v, dtype=dtype),
        )

    def hidden(self, z):
        u, v = (jnp.tanh(gate(z)) for gate in self.gates)
        for layer in self.layers:
            z = mix(jnp.tanh(layer(z)), u, v)
        return z


def mix(f, u, v):
    """f ⊙ u + (1 − f) ⊙ v."""
    return v + f * (u - v)
