"""A small GPT as functions: rotary places, root-mean-square norms, of keys as well.

The blocks are run by one scan, so that the program does not grow with them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of the network: `layers` blocks of `width` with `heads`."""

    vocabulary: int = 128
    width: int = 16
    layers: int = 1
    heads: int = 2
    length: int = 16


def start(shape: Shape, seed: int) -> dict:
    """Kernels of variance 1/inputs; what ends a block starts at 0, as does the head."""
    w, random = shape.width, np.random.default_rng(seed)
    draw = lambda *s: (random.normal(size=s) / w**0.5).astype(np.float32)
    block = lambda: {
        "qkv": draw(w, 3 * w),
        "out": np.zeros((w, w), np.float32),
        "up": draw(w, 4 * w),
        "down": np.zeros((4 * w, w), np.float32),
    }
    return {
        "embed": random.normal(size=(shape.vocabulary, w)).astype(np.float32),
        "head": np.zeros((w, shape.vocabulary), np.float32),
        "blocks": [block() for _ in range(shape.layers)],
    }


def normed(x):
    """Each vector divided by its root mean square."""
    mean = jnp.mean(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(mean + np.float32(1e-6))


def rotary(length: int, depth: int):
    """(cos, sin), each (length, depth/2): of the angle of a place at each frequency."""
    rate = 100.0 ** -np.linspace(0, 1, depth // 2)
    angle = np.arange(length)[:, None] * rate
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def logits(shape: Shape, params: dict, tokens):
    """Of the next byte, (…, length, vocabulary)."""
    depth, time = shape.width // shape.heads, tokens.shape[-1]
    cos, sin = (a[:, None] for a in rotary(time, depth))
    past = np.where(np.tril(np.ones((time, time), bool)), 0, -1e9).astype(np.float32)

    def turned(a):
        left, right = jnp.split(normed(a), 2, axis=-1)
        return jnp.concatenate([left * cos - right * sin, right * cos + left * sin], -1)

    def block(x, p):
        qkv = (normed(x) @ p["qkv"]).reshape(*x.shape[:-1], 3, shape.heads, depth)
        q, k, v = (qkv[..., i, :, :] for i in range(3))
        scores = jnp.einsum("bthd,bshd->bhts", turned(q), turned(k))
        weights = jax.nn.softmax(scores / np.float32(depth**0.5) + past, axis=-1)
        mixed = jnp.einsum("bhts,bshd->bthd", weights, v).reshape(x.shape)
        x = x + mixed @ p["out"]
        return x + jnp.square(jax.nn.relu(normed(x) @ p["up"])) @ p["down"], None

    stack = lambda *a: jnp.stack(a)
    x = params["embed"][tokens]
    x, _ = jax.lax.scan(block, x, jax.tree.map(stack, *params["blocks"]))
    return normed(x) @ params["head"]


def loss(shape: Shape, params: dict, windows):
    """Mean cross-entropy in nats of windows (batch, length + 1) of bytes."""
    found = logits(shape, params, windows[:, :-1])
    each = optax.softmax_cross_entropy_with_integer_labels(found, windows[:, 1:])
    return jnp.mean(each)
