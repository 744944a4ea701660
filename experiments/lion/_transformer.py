"""A flax transformer and its Lion step, to run on one device or on a mesh.

To copy for a TPU slice or a GPU node:

    make = functools.partial(begin, model, tx, "float32", seed)
    where = shardings(jax.eval_shape(make), mesh)
    carry = jax.jit(make, out_shardings=where)()
    step = jax.jit(stepper(model, tx), out_shardings=(where, None), donate_argnums=0)
    carry, seen = step(carry, jax.device_put(batch, NamedSharding(mesh, P("data"))))
"""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from sklearn.datasets import load_digits


CLASSES, ROWS = 10, 8


# Which axis of which array lies along "tensor". What no rule names is replicated; the
# same rules place the momentum, whose paths end like those of the parameters.
RULES = (
    (r"(query|key|value)/kernel$", P(None, "tensor", None)),
    (r"out/kernel$", P("tensor", None, None)),
    (r"up/kernel$", P(None, "tensor")),
    (r"up/bias$", P("tensor")),
    (r"down/kernel$", P("tensor", None)),
)


class Block(nn.Module):
    heads: int

    @nn.compact
    def __call__(self, x):
        width, y = x.shape[-1], nn.LayerNorm()(x)
        # a bias of the keys has no effect, so its gradient would be round-off alone
        attention = nn.MultiHeadDotProductAttention(
            self.heads, use_bias=False, name="attention"
        )
        x = x + attention(y, y)
        y = nn.Dense(4 * width, name="up")(nn.LayerNorm()(x))
        return x + nn.Dense(width, name="down")(nn.gelu(y))


class Transformer(nn.Module):
    """Images (batch, 64) as eight tokens, their rows → logits (batch, 10)."""

    width: int
    heads: int
    blocks: int

    @nn.compact
    def __call__(self, images):
        x = nn.Dense(self.width, name="embed")(images.reshape(-1, ROWS, ROWS))
        start = nn.initializers.normal(0.1)
        x = x + self.param("position", start, (1, ROWS, self.width)).astype(x.dtype)
        for _ in range(self.blocks):
            x = Block(self.heads)(x)
        return nn.Dense(CLASSES, name="head")(nn.LayerNorm()(x).mean(1))


def shardings(tree, mesh: Mesh):
    """The sharding declared for every leaf of parameters, optimizer state or both."""

    def declared(path, _):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = next((spec for rule, spec in RULES if re.search(rule, name)), P())
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(declared, tree)


def begin(model, tx, dtype, seed):
    """(parameters, optimizer state); under jit with `out_shardings` nowhere whole."""
    params = model.init(jax.random.key(seed), jnp.zeros((1, ROWS * ROWS), jnp.float32))
    params = jax.tree.map(lambda a: a.astype(dtype), params)
    return params, tx.init(params)


def stepper(model, tx):
    """(carry, batch) → (carry, what was seen). Nothing in it speaks of devices."""

    def step(carry, batch):
        params, state = carry
        images, labels = batch

        def loss(params):
            each = optax.softmax_cross_entropy_with_integer_labels
            return each(model.apply(params, images), labels).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value, value_fn=loss)
        params = optax.apply_updates(params, updates)
        ledger = optax.tree.get(state, "ledger")
        seen = {"loss": value, "loss after": loss(params), "grads": grads}
        return (params, state), {"ledger": ledger, **seen}

    return step


@functools.cache
def data():
    """(images in [0, 1], labels): 1797 handwritten digits."""
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels.astype(np.int32)


def batches(steps, batch, seed, dtype):
    images, labels = data()
    order = np.random.default_rng(seed).integers(0, len(images), (steps, batch))
    return images[order].astype(dtype), labels[order]
