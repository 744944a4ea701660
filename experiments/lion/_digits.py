"""A flax classifier of the digits of scikit-learn, trained by Lion in three ways."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import dynax as dx


BETAS = 0.9, 0.99


TEST = 297  # of 1797 images; the rest train


class MLP(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(10)(x)


@functools.cache
def data():
    """((train images, labels), (test images, labels)), float32 in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order]
    images, labels = np.split(images, [TEST]), np.split(labels.astype(np.int32), [TEST])
    return (images[1], labels[1]), (images[0], labels[0])


def settings(learning_rate, weight_decay, betas=BETAS, coupled=0.0, dtype="float32"):
    """What a run can be given without compiling again."""
    names = "learning_rate", "weight_decay", "beta1", "beta2", "coupled"
    numbers = learning_rate, weight_decay, *betas, coupled
    return {
        k: jnp.asarray(v).astype(dtype) for k, v in zip(names, numbers, strict=True)
    }


def transformation(route, given, every):
    """Three ways to the same parameters; what is claimed has the right β's."""
    lr, decay = given["learning_rate"], given["weight_decay"]
    lion = optax.lion(lr, given["beta1"], given["beta2"], weight_decay=decay)
    beta1, beta2 = (jnp.asarray(b, lr.dtype) for b in BETAS)
    opt = dx.LionKappa(beta1=beta1, beta2=beta2, weight_decay=decay)
    if route == "plain":
        return lion
    if route == "dynax":
        return dx.as_optax(opt, lr, every=every)
    faulty = optax.chain(optax.add_decayed_weights(given["coupled"]), lion)
    return dx.audit(faulty, opt, lr, read=dx.LionState.from_optax, every=every)


@functools.partial(jax.jit, static_argnames=("route", "every", "width"))
def train(given, params, images, order, *, route, every=1, width):
    """A flax training loop; `order` says which images make up which batch."""
    labels, (held, answers) = data()[0][1], data()[1]
    tx = optax.with_extra_args_support(transformation(route, given, every))
    apply: Callable = MLP(width).apply

    def loss(params, batch):
        # an index past the end stands for an image that cannot be read
        seen = images.at[batch].get(mode="fill", fill_value=jnp.nan)
        logits = apply(params, seen)
        each = optax.softmax_cross_entropy_with_integer_labels(
            logits, jnp.asarray(labels)[batch]
        )
        return each.mean()

    def step(carry, batch):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, batch)
        updates, state = tx.update(
            grads, state, params, value=value, value_fn=lambda p: loss(p, batch)
        )
        params = optax.apply_updates(params, updates)
        right = apply(params, held.astype(images.dtype)).argmax(1) == answers
        seen = {"loss": value, "accuracy": right.mean(dtype=images.dtype)}
        if route != "plain":
            seen["ledger"] = optax.tree.get(state, "ledger")
        return (params, state), seen

    (params, state), seen = jax.lax.scan(step, (params, tx.init(params)), order)
    if route != "plain":
        seen["tally"] = optax.tree.get(state, "tally")
    return {"params": params, **seen}


def begin(width, seed, dtype="float32"):
    params = MLP(width).init(jax.random.key(seed), jnp.zeros((1, 64), np.float32))
    return jax.tree.map(lambda a: a.astype(dtype), params)


def minibatches(steps, batch, seed):
    """Random batches as indices into the training images."""
    count = len(data()[0][0])
    return jax.random.randint(jax.random.key(seed), (steps, batch), 0, count)


def ulps(a, b):
    """The greatest distance between two parameter trees in units in the last place."""

    def between(x, y):
        x, y = np.asarray(x), np.asarray(y)
        unit = np.spacing(np.maximum(np.abs(x), np.abs(y)))
        return float(np.max(np.abs(x.astype(np.float64) - y) / unit, initial=0))

    return max(jax.tree.leaves(jax.tree.map(between, a, b)))


def weights(params):
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(params)])


def contraction(config, key, out, faster=1.0):
    """λ·max|w| before and after; the largest distance over what is proved, any step.

    Allowed for round-off: 2u a step, of which (1 − ελ)^t is left t steps later.
    """
    shrink = 1 - faster * config.learning_rate * key[0]
    seen = out["ledger"].facts["distance"].astype(np.float64)
    slack = 2 * np.finfo(np.float32).eps / (1 - shrink)
    proved = shrink ** np.arange(len(seen)) * seen[0] + slack
    end = key[0] * np.abs(weights(out["params"])).max()
    return {"start": 1 + seen[0], "end": end, "ratio": float(np.max(seen / proved))}
