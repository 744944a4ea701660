"""How much a transformer's final loss depends on the learning rate, on a small scale.
Attention logits grow without bound at large rates and training fails; normalising
queries and keys (qk-norm) stops it, so that a far wider range of rates works. A penalty
on the softmax's normaliser (z-loss) holds the output logits, and is no cure for that.

The task is a Markov chain of order two that skips a token: the next is drawn from a row
of a random table chosen by the token before the last, so attention is needed, and the
least possible loss is known, the table's entropy.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynax.claim import Claim, Control, Measured, at_least, at_most, smallest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


VOCABULARY, LENGTH, LAYERS, HEADS = 16, 12, 2, 2
LRS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
Z = (0.0, 1e-4, 1e-2)
LARGE = 0.1  # the rate at which the two kinds of network are compared


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 32
    steps: int = 150
    batch: int = 8
    seeds: int = 1


SIZES = {
    "quick": Config(),
    "long": Config(width=64, steps=600, batch=16, seeds=3),
    "full": Config(width=256, steps=10_000, batch=128, seeds=5),
}
SPACE = {
    "lr": np.asarray(LRS, np.float32),
    "qk_norm": (False, True),
    "z_loss": np.asarray(Z, np.float32),
    "seed": np.arange(3),
}


class Block(nn.Module):
    """Attention and a perceptron, both after a norm; with it the greatest |logit|."""

    width: int

    @nn.compact
    def __call__(self, x, qk_norm):
        depth, norm = (
            self.width // HEADS,
            functools.partial(nn.LayerNorm, use_bias=False),
        )
        project = functools.partial(nn.DenseGeneral, use_bias=False)
        h = norm()(x)
        q, k, v = (project((HEADS, depth), name=name)(h) for name in "qkv")
        q = jnp.where(qk_norm, norm(name="q_norm")(q), q)
        k = jnp.where(qk_norm, norm(name="k_norm")(k), k)
        logits = jnp.einsum("bthd,bshd->bhts", q, k) / np.float32(depth**0.5)
        past = jnp.tril(jnp.ones(2 * x.shape[1:2], bool))[None, None]
        top = jnp.max(jnp.where(past, jnp.abs(logits), 0))
        weights = jax.nn.softmax(jnp.where(past, logits, -1e30), axis=-1)
        mixed = jnp.einsum("bhts,bshd->bthd", weights, v)
        x = x + project(self.width, axis=(-2, -1), name="out")(mixed)
        h = nn.gelu(project(4 * self.width, name="up")(norm()(x)))
        return x + project(self.width, name="down")(h), top


class Transformer(nn.Module):
    """Tokens (batch, time) → logits of the next, and the largest |attention logit|."""

    width: int

    @nn.compact
    def __call__(self, tokens, qk_norm):
        start = nn.initializers.normal(0.02)
        places = self.param("places", start, (LENGTH, self.width))
        x = nn.Embed(VOCABULARY, self.width)(tokens) + places[None, : tokens.shape[1]]
        tops = []
        for _ in range(LAYERS):
            x, top = Block(self.width)(x, qk_norm)
            tops.append(top)
        x = nn.LayerNorm(use_bias=False)(x)
        return nn.Dense(VOCABULARY, use_bias=False)(x), jnp.max(jnp.stack(tops))


def table():
    """The probabilities of the next token, a row for each token before the last."""
    rows = jax.random.dirichlet(
        jax.random.key(0), jnp.full(VOCABULARY, 0.15), (VOCABULARY,)
    )
    return rows.astype(jnp.float32)


def entropy() -> float:
    """The least possible loss: the rows' entropies in the stationary distribution."""
    rows = np.asarray(table(), np.float64)
    rows = rows / rows.sum(axis=1, keepdims=True)
    values, vectors = np.linalg.eig(rows.T)
    share = np.real(vectors[:, np.argmax(np.real(values))])
    each = -np.sum(rows * np.log(np.maximum(rows, 1e-300)), axis=1)
    return float(share @ each / share.sum())


def draw(key, rows, batch):
    """Sequences of the chain, (batch, LENGTH)."""
    first, rest = jax.random.split(key)
    start = jax.random.randint(first, (2, batch), 0, VOCABULARY)

    def step(carry, key):
        before, last = carry
        token = jax.random.categorical(key, jnp.log(rows[before] + np.float32(1e-9)))
        return (last, token), token

    keys = jax.random.split(rest, LENGTH - 2)
    rows = jax.lax.scan(step, (start[0], start[1]), keys)[1]
    return jnp.concatenate([start, rows]).T


def train(lr, qk_norm, z_loss, seed, width, steps, batch):
    """AdamW with warm-up and cosine decay: loss, greatest |logit|, mean (log Z)²."""
    net, rows = Transformer(width), table()
    blank = jnp.zeros((1, LENGTH), jnp.int32)
    params = net.init(jax.random.key(seed), blank, jnp.asarray(False))
    shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, steps // 10, steps)
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b2=0.95),
        optax.scale_by_schedule(lambda k: -jnp.asarray(shape(k), jnp.float32)),
    )

    def loss(params, tokens):
        logits, top = net.apply(params, tokens[:, :-1], qk_norm)  # pyright: ignore
        log_z = jax.nn.logsumexp(logits, axis=-1)
        right = jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
        value = jnp.mean((log_z - right)[:, 1:])  # the first can not be known
        square = jnp.mean(log_z**2)
        return value + z_loss * square, (value, top, square)

    def step(carry, key):
        params, state = carry
        grads, seen = jax.grad(loss, has_aux=True)(params, draw(key, rows, batch))
        updates, state = tx.update(grads, state, params)
        updates = jax.tree.map(lambda u: lr * u, updates)
        return (optax.apply_updates(params, updates), state), seen

    keys = jax.random.split(jax.random.key(seed + 100), steps)
    _, (value, top, square) = jax.lax.scan(step, (params, tx.init(params)), keys)
    late = max(10, steps // 10)
    return {
        "first": value[0],
        "loss": jnp.mean(value[-late:]),
        "curve": value,
        "logit": jnp.max(top),
        "log Z": jnp.mean(square[-late:]),
    }


def run(lr, qk_norm, z_loss, seed, width=32, steps=150, batch=8) -> dict:
    """One training run; see `train`."""
    lr, z_loss = (jnp.asarray(v).astype(jnp.float32) for v in (lr, z_loss))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return train(lr, jnp.asarray(qk_norm), z_loss, seed, width, steps, batch)


def runs(results) -> dict:
    """`run` by seed, qk-norm, z-loss and rate."""
    config = results.config
    shape = config.seeds, 2, len(Z), len(LRS)
    index = np.indices(shape).reshape(4, -1)
    # one flat axis: XLA's CPU kernels take arrays of at most eight axes
    points = np.asarray(LRS)[index[3]], index[1] == 1, np.asarray(Z)[index[2]], index[0]
    size = config.width, config.steps, config.batch
    one = jax.jit(jax.vmap(lambda a, b, c, d: run(a, b, c, d, *size)))
    out = jax.device_get(one(*map(jnp.asarray, points)))
    return {k: v.reshape(*shape, *v.shape[1:]) for k, v in out.items()}


PARTS = {"runs": runs, "entropy": lambda r: entropy()}
AT, BEST = LRS.index(LARGE), 3  # the best rate is LRS[BEST]


def sensitivity(results, rates=slice(None)) -> np.ndarray:
    """Mean over rates and seeds of min(ℓ(η), ℓ₀) − ℓ*, by qk-norm and z-loss."""
    runs = results["runs"]
    capped = np.minimum(np.nan_to_num(runs["loss"], nan=np.inf), runs["first"])
    best = capped.min(axis=-1, keepdims=True)
    return (capped - best)[..., rates].mean(axis=-1).mean(axis=0)


def excess(results):
    """The loss above the least possible, by qk-norm, z-loss and rate."""
    return results["runs"]["loss"].mean(axis=0) - results["entropy"]


def gained(results) -> Measured:
    plain, normed = sensitivity(results)[:, 0]
    rows = zip(("plain", "qk-norm"), results["runs"]["loss"].mean(0)[:, 0], strict=True)
    table = "; ".join(f"{k}: {', '.join(f'{v:.2f}' for v in row)}" for k, row in rows)
    text = f"{plain:.3f} and {normed:.3f}; losses at η = {LRS}: {table}"
    return Measured(plain - normed, text)


def normed(results) -> Measured:
    found = excess(results)[1, 0]
    text = f"least {results['entropy']:.3f}; at the best rate {found.min():.3f} above"
    return Measured(found[AT], text)


def logits(results) -> Measured:
    plain, normed = (results["runs"]["logit"][:, k, 0, AT] for k in (0, 1))
    return smallest(
        plain / normed, f"plain {plain.max():.0f}, qk-norm {normed.max():.0f}"
    )


def failed(results) -> Measured:
    runs = results["runs"]
    lost = runs["loss"][:, 0][runs["logit"][:, 0] > 1e4] - results["entropy"]
    return Measured(np.min(lost, initial=np.inf), f"{lost.size} runs")


def held(results) -> Measured:
    square = results["runs"]["log Z"].mean(axis=0)[1, :, BEST]
    z = ", ".join(f"{v:.3f}" for v in sensitivity(results)[0])
    text = f"η = {LRS[BEST]:g}, qk-norm; with 1e-4: {square[0] / square[1]:.3g}, no "
    text += f"effect here; sensitivity of plain with z-loss {Z}: {z}"
    return Measured(square[0] / square[2], text)


def at_small_rates(results) -> Measured:
    small = sensitivity(results, slice(0, BEST + 1))
    text = "where the logits stay small qk-norm changes nothing"
    return Measured(small[0, 0] - small[1, 0], text)


CLAIMS = [
    Claim(
        "LR1",
        "sensitivity to the learning rate: plain less qk-norm",
        at_least(0.05, "more than rates ≤ 1e-2 alone can show, 0.03"),
        gained,
    ),
    Claim(
        "LR1a",
        f"qk-norm, η = {LARGE:g}: loss above the least possible",
        at_most(0.4, "not lost: a fifth of the first loss"),
        normed,
    ),
    Claim(
        "LR1b",
        f"largest |attention logit| at η = {LARGE:g}: plain over qk-norm",
        at_least(10, "a decade"),
        logits,
    ),
    Claim(
        "LR1c",
        "every plain run with a logit > 1e4 failed: least loss above the least",
        at_least(0.4, "more than claim LR1a allows"),
        failed,
    ),
    Claim(
        "LR1d",
        "z-loss 1e-2: mean (log Z)² without it over with it, at the best rate",
        at_least(2, "half or less"),
        held,
    ),
    Control(
        "LR1x",
        f"claim LR1 with rates ≤ {LRS[BEST]:g} only",
        at_most(0.03, "below the 0.05 of claim LR1"),
        at_small_rates,
        of="LR1",
    ),
    Control(
        "LR1y",
        f"claim LR1a with z-loss 1e-4 in place of qk-norm, η = {LARGE:g}",
        at_least(0.4, "more than claim LR1a allows"),
        lambda r: excess(r)[0, 1, AT],
        of="LR1a",
    ),
]


def figures(results) -> dict:
    runs, least = results["runs"], results["entropy"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    for k, (name, color) in enumerate([("plain", "vermilion"), ("qk-norm", "blue")]):
        color = COLORS[color]
        left.plot([], [], color=color, label=name)
        for j, line in enumerate(("-", "--", ":")):
            loss = runs["loss"][:, k, j].mean(axis=0)
            left.plot(LRS, loss, line, marker=".", ms=3, color=color)
            right.plot(
                LRS, runs["logit"][:, k, j].T, line, marker=".", ms=3, color=color
            )
    for z, line in zip(Z, ("-", "--", ":"), strict=True):
        left.plot([], [], line, color=COLORS["black"], label=f"z-loss {z:g}")
    left.axhline(least, color=COLORS["grey"], lw=1)
    left.set(xscale="log", xlabel="learning rate", ylabel="loss at the end")
    left.set_ylim(least - 0.7, None)
    left.set_title("A wider range of rates works")
    legend_below(left)
    right.axhline(1e4, color=COLORS["grey"], lw=1)
    right.set(xscale="log", yscale="log", xlabel="learning rate")
    right.set_ylabel("largest |attention logit|")
    right.set_title("because logits stay bounded")
    return {
        "A small transformer: its loss and its largest attention logit "
        "over the rate.": figure
    }


STUDY = Study(
    "A small transformer's sensitivity to the learning rate",
    "Wortsman et al., arXiv:2309.14322",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
