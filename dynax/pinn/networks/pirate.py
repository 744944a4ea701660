"""PirateNet: a deep network that starts as a linear one."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.pinn.networks.field import Field
from dynax.pinn.networks.linear import AbstractBody, AbstractLinear, Linear
from dynax.pinn.networks.modified_mlp import mix


class PirateBlock(eqx.Module):
    """Apply three gated layers, beside a path that skips them.

    f = tanh(W₁x + b₁),  p = f⊙U + (1 − f)⊙V,
    g = tanh(W₂p + b₂),  q = g⊙U + (1 − g)⊙V,  h = tanh(W₃q + b₃),

        x ↦ αh + (1 − α)x,   α = 0 at first."""

    layers: tuple[AbstractLinear, AbstractLinear, AbstractLinear]
    alpha: Float[Array, ""]

    def __init__(self, size, width, *, key, dtype=None, linear=Linear):
        one, two, three = jax.random.split(key, 3)
        self.layers = (
            linear(size, width, key=one, dtype=dtype),
            linear(width, width, key=two, dtype=dtype),
            linear(width, size, key=three, dtype=dtype),
        )
        self.alpha = jnp.zeros_like(self.layers[0].bias, shape=())

    def __call__(self, x, u, v):
        first, second, third = self.layers
        p = mix(jnp.tanh(first(x)), u, v)
        q = mix(jnp.tanh(second(p)), u, v)
        return x + self.alpha * (jnp.tanh(third(q)) - x)


class PirateNet(AbstractBody):
    """Apply residual blocks that are the identity at first.

    U = tanh(W_U z + b_U),  V = tanh(W_V z + b_V), then `depth` blocks from x = z,
    and W x + b: at first a linear function of the features, which `fit_last_layer`
    sets to the initial state.

    The paper's has `RandomFourier` features, as many as the width.
    Source: Wang, Li, Chen, Perdikaris, arXiv:2402.00326.

    Args: as for `MLP`; a block has three layers.
    """

    gates: tuple[AbstractLinear, AbstractLinear]
    blocks: tuple[PirateBlock, ...]
    last: AbstractLinear

    def __init__(
        self, size_in, size_out, width, depth, *, key, dtype=None, linear=Linear
    ):
        *keys, key_u, key_v, key_last = jax.random.split(key, depth + 3)
        self.blocks = tuple(
            PirateBlock(size_in, width, key=k, dtype=dtype, linear=linear) for k in keys
        )
        self.gates = (
            linear(size_in, width, key=key_u, dtype=dtype),
            linear(size_in, width, key=key_v, dtype=dtype),
        )
        self.last = linear(size_in, size_out, key=key_last, dtype=dtype)

    def hidden(self, z):
        u, v = (jnp.tanh(gate(z)) for gate in self.gates)
        for block in self.blocks:
            z = block(z, u, v)
        return z


def fit_last_layer(field: Field, initial, t, x: Float[Array, "n d"]) -> Field:
    """The field whose last layer fits the state at time t best, in least squares:
    min Σⱼ |W h(t, xⱼ) + b − u₀(xⱼ)|², the smallest (W, b) of those that do.

    Args:
        field: its body an `AbstractBody`.
        initial: u₀, x → fields.
        t: the time.
        x: where.
    """
    body = field.body
    if not isinstance(body, AbstractBody):
        raise TypeError(
            f"field: given a body of type {type(body).__name__}; accepted is an "
            "AbstractBody, which has a last layer."
        )
    t = jnp.asarray(t, x.dtype)
    hidden = jax.vmap(lambda x: body.hidden(field.features(t, x)))(x)
    columns = jnp.concatenate([hidden, jnp.ones_like(hidden[:, :1])], 1)
    found = jnp.linalg.lstsq(columns, jax.vmap(initial)(x))[0]
    last = body.last.set(found[:-1].T, found[-1])
    return eqx.tree_at(lambda field: field.body.last, field, last)
