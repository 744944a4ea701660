"""Muon and its descendants, by what their steps do to Muon's energy.

A map of singular values is the gradient of a convex function exactly when it never
falls. Soft-Muon's never does: it is a Lion-κ, its balance closes and every step
dissipates. Contra-Muon's falls, five Newton–Schulz steps' falls and rises, and
NorMuon's step is the gradient of nothing, so nothing forbids their steps to put energy
in. On a matrix without noise they do; on minibatches of digits not one step does, for
there singular vectors turn faster than singular values change.
"""

import dataclasses
import functools
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import dynax as dx
from dynax import kappa as K
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.optim._detour import SPENT
from dynax.report import COLORS, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 400
    seeds: int = 3
    seed: int = 0
    width: int = 24
    batch: int = 64


SIZES = {
    "quick": Config(),
    "long": Config(steps=3000, seeds=8, width=64),
    "full": Config(steps=20_000, seeds=16, width=256),
}


def nor_muon(beta):
    """As published: the orthogonal factor is found by five Newton–Schulz steps."""
    return dx.NorMuon(beta, factor="five-steps")


LR = 0.02
METHODS = {
    "Muon": (dx.ContraMuon, 0.0),
    "Contra-Muon, a = 0.2": (dx.ContraMuon, 0.2),
    "Contra-Muon, a = 0.5": (dx.ContraMuon, 0.5),
    "Soft-Muon, p = 0.1": (dx.SoftMuon, 0.1),
    "five Newton–Schulz steps": (dx.PracticalMuon, 0.95),
    "NorMuon": (nor_muon, 0.95),
}
PROVED = "Muon", "Soft-Muon, p = 0.1"
OTHERS = tuple(name for name in METHODS if name not in PROVED)
NOISE = 1e-12  # of an account's size: above the round-off of its sums in float64


@functools.cache
def digits():
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def begin(key, width):
    """A net of two layers: matrices for Muon, biases for Lion."""
    first, second = jax.random.split(key)
    return {
        "w1": jax.random.normal(first, (64, width)) / 8,
        "b1": jnp.zeros(width),
        "w2": jax.random.normal(second, (width, 10)) / width**0.5,
        "b2": jnp.zeros(10),
    }


def loss(x, images, labels):
    hidden = jnp.tanh(images @ x["w1"] + x["b1"])
    logits = hidden @ x["w2"] + x["b2"]
    each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(each)


def train(make, value, seed, *, steps, width, batch) -> dict:
    """What is spent at each step, beside all that the account moves, and the loss."""
    images, labels = (jnp.asarray(a) for a in digits())
    key, order = jax.random.split(jax.random.key(seed))
    chosen = jax.random.randint(order, (steps, batch), 0, len(images))
    f = lambda x, batch: loss(x, images[batch], labels[batch])
    rate = lambda k: LR * (1 - jnp.asarray(k, float) / steps)
    start = begin(key, width)
    (x, _), rows = dx.iterate(make(value), f, start, rate, batches=chosen)
    detour = rows.terms.get("detour", jnp.zeros(steps))
    assert rows.defect is not None
    return {
        "spent": (sum(rows.terms[k] for k in SPENT) + detour) / rows.scale,
        "detour": detour / rows.scale,
        "error": jnp.abs(rows.defect) / rows.scale,
        "start": loss(start, images, labels),
        "loss": loss(x, images, labels),
    }


def trained(results) -> dict:
    """Every method with every seed; those of one class in one program."""
    config, out = results.config, {}
    given = {k: getattr(config, k) for k in ("steps", "width", "batch")}
    seeds = config.seed + jnp.arange(config.seeds)
    for make in dict.fromkeys(make for make, _ in METHODS.values()):
        names = [name for name, (kind, _) in METHODS.items() if kind is make]
        values = jnp.array([METHODS[name][1] for name in names])
        run = functools.partial(train, make, **given)
        run = jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))
        found = jax.device_get(run(values, seeds))
        out |= {n: {k: v[i] for k, v in found.items()} for i, n in enumerate(names)}
        results.tell(len(out) / len(METHODS), f"trained by {', '.join(names)}")
    return out


class Posed(K.AbstractNorm):
    """Contra-Muon's step posing as the gradient of a norm."""

    contra: float | jax.Array
    scope: ClassVar[Literal["leaf", "tree"]] = "leaf"

    def _value(self, m):
        return K.nuclear()._value(m)

    def _grad(self, m):
        return dx.ContraMuon(self.contra)._direction(m)

    def _dual(self, y):
        return K.spectral()._value(y)


def matched(results) -> dict:
    """⟨V(m₊) − V(m̃), m − m₊⟩ ≥ 0 of a convex κ, along min ½‖X − B‖² without noise."""

    def run(contra, seed, side=4, steps=results.config.steps):
        key, other = jax.random.split(jax.random.key(seed))
        target, start = (jax.random.normal(k, (side, side)) for k in (key, other))
        opt = dx.LionKappa(Posed(contra), 0.9, 0.95)
        f = lambda x: jnp.sum((x - target) ** 2) / 2
        rate = lambda k: LR * (1 - jnp.asarray(k, float) / steps)
        _, rows = dx.iterate(opt, f, start, rate, steps=steps)
        return rows.terms["dissipation_2"] / rows.scale

    seeds = results.config.seed + jnp.arange(results.config.seeds)
    values = jnp.array([0.0, 0.2, 0.5])
    over = jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))
    return dict(zip(values.tolist(), jax.device_get(over(values, seeds)), strict=True))


PARTS = {"trained": trained, "matched": matched}


def gaining(results) -> Measured:
    """The largest share of steps that put energy in, over the uncertified methods."""
    shares = {k: np.mean(results["trained"][k]["spent"] < -NOISE, 1) for k in OTHERS}
    least = min(np.min(results["trained"][k]["spent"]) for k in OTHERS)
    return largest(
        shares, f"least spent: {100 * least:.1f} % of what the account moves"
    )


def never(results) -> Measured:
    found = results["trained"]
    count = sum(np.sum(found[k]["spent"] < -NOISE) for k in PROVED)
    steps = sum(found[k]["spent"].size for k in PROVED)
    return Measured(count, f"of {steps} steps of {' and '.join(PROVED)}")


def falling(results, contra) -> Measured:
    shares = np.mean(results["matched"][contra] < -NOISE, axis=1)
    return Measured(np.mean(shares), "", (np.min(shares), np.max(shares)))


CLAIMS = [
    Claim(
        "23",
        "Muon and Soft-Muon on minibatches of digits: |defect| over what is moved",
        at_most(1e-13, "round-off of the sums of one step"),
        lambda r: largest({k: r["trained"][k]["error"].ravel() for k in PROVED}),
    ),
    Claim(
        "23a",
        "steps of these on which all but r puts energy in",
        equals(0, "every term is ≥ 0 for a convex κ"),
        never,
    ),
    Claim(
        "23b",
        "Contra-Muon, five Newton–Schulz steps, NorMuon: the share of such steps",
        at_most(0.01, "what nothing proves is seen on digits all the same"),
        gaining,
    ),
    Claim(
        "23c",
        "all six methods learn: the worst loss at the end",
        at_most(0.5, "a fifth of ln 10, the loss of a guess"),
        lambda r: largest({k: r["trained"][k]["loss"] for k in METHODS}),
    ),
    Control(
        "23v",
        "NorMuon's account without its detour: the largest defect over what is moved",
        at_least(1e-3, "a part in a thousand is far from rounding"),
        lambda r: largest(np.abs(r["trained"]["NorMuon"]["detour"])),
        of="23",
    ),
    Control(
        "23x",
        "Contra-Muon, a = ½, matches a matrix without noise: the share of steps on "
        "which ⟨V(m₊) − V(m̃), m − m₊⟩ < 0",
        at_least(0.1, "one step in ten, far from rounding"),
        lambda r: falling(r, 0.5),
        of="23b",
    ),
    Control(
        "23y",
        "the same with a = 0.2",
        at_least(0.1, "one step in ten, far from rounding"),
        lambda r: falling(r, 0.2),
        of="23a",
    ),
    Control(
        "23z",
        "the loss before training",
        at_least(2.0, "near ln 10 = 2.30"),
        lambda r: r["trained"]["Muon"]["start"].min(),
        of="23c",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(len(METHODS), 1, size=(7.6, 6.4), sharex=True)
    bins = np.linspace(-0.6, 1.0, 81)
    for ax, name in zip(axes[:, 0], METHODS, strict=True):
        spent = results["trained"][name]["spent"].ravel()
        counts, _ = np.histogram(spent, bins)
        share = counts / spent.size
        below = bins[:-1] < -1e-9
        width = bins[1] - bins[0]
        for part, color in ((below, "vermilion"), (~below, "blue")):
            where = {"x": bins[:-1][part], "height": share[part], "width": width}
            ax.bar(**where, align="edge", color=COLORS[color])
        ax.axvline(0, color=COLORS["grey"], lw=0.8)
        gained = np.mean(spent < -NOISE)
        ax.set_title(f"{name}: {gained:.0%} of the steps put energy in")
        ax.set(yticks=[], ylabel="steps")
    axes[-1, 0].set_xlabel("what a step takes out of H, over what its account moves")
    caption = (
        "What each step takes out of H = f + c‖m‖_*, beside f's own bend. For a convex "
        "κ it is never negative."
    )
    return {caption: figure}


STUDY = Study(
    "Muon's descendants and its energy",
    "Li et al., arXiv:2510.05491; nilin/contra-muon; Chen, Li, Liu, arXiv:2506.15054",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
