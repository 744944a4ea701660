"""Muon is Lion-κ with κ = ‖·‖_*: with the exact factor UVᵀ it solves min F on
‖X‖_op ≤ 1/λ. The five Newton–Schulz steps used in practice are no subgradient of any
convex κ: their map of singular values falls and rises. Yet H rises less often than with
the exact factor; only S(X) = ‖∇F‖_* + λ⟨X, ∇F⟩ tells them apart.
"""

import dataclasses
import functools
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from optax.contrib import _muon

from dynax import LionKappa, iterate, kappa as K
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 6000
    side: int = 4
    seeds: int = 4
    seed: int = 0
    points: int = 2000  # of the map of singular values


SIZES = {
    "quick": Config(),
    "long": Config(steps=50_000, side=8, seeds=32),
    "full": Config(steps=50_000, side=64, seeds=8, points=100_000),
}
SPACE = {
    "lr": (1e-1, 3e-2, 1e-2),
    "weight_decay": (0.5, 1.0, 2.0),
    "beta1": (0.9, 0.95),
    "beta2": (0.98, 0.99),
    "seed": (0, 1, 2),
}
KINDS = "exact", "five_steps"
DIMS = {f"{a}_{b}": ["step"] for a in KINDS for b in ("S", "energy", "signs")}
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class NewtonSchulz(K.AbstractNorm):
    """Practical Muon posing as a norm: for UVᵀ, five Newton–Schulz steps (optax)."""

    scope: ClassVar[Literal["leaf", "tree"]] = "leaf"

    def _value(self, m):
        return K.nuclear()._value(m)

    def _grad(self, m):
        coefficients = jnp.asarray(COEFFICIENTS, m.dtype)
        return _muon.orthogonalize_via_newton_schulz(m, coefficients)

    def _dual(self, y):
        return K.spectral()._value(y)


def singular_value_map(s):
    """σ ↦ σ' of the five steps, read off diag(σ, √(1 − σ²)), which has norm 1."""

    def image(s):
        pair = jnp.stack([s, jnp.sqrt(jnp.maximum(1 - s * s, 0))])
        return NewtonSchulz()._grad(jnp.diag(pair))[0, 0]

    return jax.vmap(image)(s)


def train(kappa, lr, weight_decay, beta1, beta2, seed, steps=2000, side=4) -> dict:
    """min ½‖X − B‖² on ‖X‖_op ≤ 1/λ with ε falling from lr to lr/1000.

    σ(B) runs from 3/λ, beyond the ball, to 1/2λ, in it; F* = ½Σ(σᵢ − 1/λ)₊².
    """
    key_b, key_x = jax.random.split(jax.random.key(seed))
    U, _, Vt = jnp.linalg.svd(jax.random.normal(key_b, (side, side)))
    sigma = jnp.linspace(3.0, 0.5, side) / weight_decay
    B = (U * sigma[None]) @ Vt
    start = jax.random.normal(key_x, (side, side))
    start = start / (2 * weight_decay * jnp.linalg.norm(start, 2))
    (X, _), rows = iterate(
        LionKappa(kappa, beta1, beta2, weight_decay),
        lambda X: jnp.sum((X - B) ** 2) / 2,
        start,
        lambda k: lr * 10 ** (-3 * jnp.asarray(k, B.dtype) / steps),
        steps=steps,
        smoothness=1.0,
    )
    allowed = rows.checks["theorem"].margin + rows.terms["residual"]
    change = rows.change - 1e-12 * jnp.abs(rows.energy)  # a rise that is not round-off
    best = jnp.sum(jax.nn.relu(sigma - 1 / weight_decay) ** 2) / 2
    return {
        "sigma": weight_decay * jnp.linalg.svd(X, compute_uv=False),
        "gap": jnp.sum((X - B) ** 2) / 2 - best,
        "S": rows.facts["stationarity"],
        "energy": rows.energy,
        "rises": jnp.mean(change > 0),
        "beyond": jnp.mean(change > allowed),
        "signs": jnp.minimum(
            rows.terms["dissipation_2"], rows.terms["bregman_momentum"]
        ),
    }


def run(lr, weight_decay, beta1, beta2, seed) -> dict:
    exact = train(K.nuclear(), lr, weight_decay, beta1, beta2, seed)
    five = train(NewtonSchulz(), lr, weight_decay, beta1, beta2, seed)
    return {f"exact_{k}": v for k, v in exact.items()} | {
        f"five_steps_{k}": v for k, v in five.items()
    }


def trained(results, kappa) -> dict:
    """Every seed of one factor, at λ = 1."""
    config = results.config
    go = functools.partial(train, kappa, steps=config.steps, side=config.side)
    over = jax.jit(jax.vmap(go, (None, None, None, None, 0)))
    seeds = config.seed + jnp.arange(config.seeds)
    return jax.device_get(over(0.1, 1.0, 0.9, 0.99, seeds))


def image(results):
    """σ and σ' of the five steps."""
    s = jnp.linspace(0.05, 1.0, results.config.points)
    return np.asarray(s), np.asarray(jax.jit(singular_value_map)(s))


PARTS = {
    "exact": functools.partial(trained, kappa=K.nuclear()),
    "five": functools.partial(trained, kappa=NewtonSchulz()),
    "map": image,
}


def score(results) -> Measured:
    exact = results["exact"]
    text = f"ε = 1e-4 at the end; H rose on {np.mean(exact['rises']):.0%} of steps"
    return Measured(np.max(exact["S"][:, -1]), text)


def fall(results) -> Measured:
    _, image = results["map"]
    largest = np.max(np.maximum.accumulate(image) - image)
    return Measured(largest, "the map of a convex κ never falls")


def off_one(results) -> Measured:
    low, high = map(float, (results["map"][1].min(), results["map"][1].max()))
    return Measured(max(1 - low, high - 1), f"range [{low:.2f}, {high:.2f}]")


def score_of_five(results) -> Measured:
    five = results["five"]
    ended = ", ".join(f"{v:.2f}" for v in five["sigma"][0])
    text = f"H rose on only {np.mean(five['rises']):.0%} of the steps; F − F* ends at "
    return Measured(
        np.min(five["S"]), f"{text}{np.min(five['gap']):.2f}, λσ at {ended}"
    )


CLAIMS = [
    Claim(
        "11",
        "Muon with the exact factor, min ½‖X − B‖² on ‖X‖_op ≤ 1/λ: λσ_max(X) − 1",
        at_most(1e-11, "round-off of an SVD a step, which decay forgets"),
        lambda r: np.max(r["exact"]["sigma"]) - 1,
    ),
    Claim(
        "11a",
        "F(X) − F*, F* in closed form",
        at_most(1e-5, "second order in the last step, ε = 1e-4"),
        lambda r: largest(np.abs(r["exact"]["gap"]), f"{len(r['exact']['gap'])} seeds"),
    ),
    Claim(
        "11b",
        "the KKT score S(X) = ‖∇F‖_* + λ⟨X, ∇F⟩ of the last iterate",
        at_most(1e-3, "first order in the last step, ε = 1e-4"),
        score,
    ),
    Control(
        "11x",
        "five Newton–Schulz steps as ∇κ: largest fall of the map σ ↦ σ'",
        at_least(0.1, "a tenth of the exact σ' = 1; a monotone map falls by 0"),
        fall,
        of="11",
    ),
    Control(
        "11y",
        "five Newton–Schulz steps as UVᵀ: max |σ' − 1| over σ in [0.05, 1]",
        at_least(0.05, "far above round-off"),
        off_one,
        of="11",
    ),
    Control(
        "11z",
        "claim 11b with five Newton–Schulz steps: least S of the whole run",
        at_least(0.1, "a hundred times what claim 11b allows"),
        score_of_five,
        of="11b",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    s, image = results["map"]
    left.plot(s, image, color=COLORS["vermilion"], label="five Newton–Schulz steps")
    left.axhline(1, color=COLORS["blue"], label="exact: UVᵀ")
    band = {"color": COLORS["blue"], "alpha": 0.12, "lw": 0}
    left.axhspan(0.95, 1.05, **band, label="within 5 % of it")
    left.set(xlabel="σ / ‖M‖_F, before", ylabel="σ, after", xscale="log", ylim=(0, 1.3))
    left.set_title("Singular values of the step")
    for key, color in (("exact", "blue"), ("five", "vermilion")):
        score = np.abs(results[key]["S"][0])
        bins = np.linspace(0, len(score), 201).astype(int)
        mean = np.add.reduceat(score, bins[:-1]) / np.diff(bins)
        rises = results[key]["rises"]
        label = f"{key}: H rises on {np.mean(rises):.0%} of the steps, all seeds"
        right.plot(bins[:-1], mean, color=COLORS[color], label=label)
    right.set(yscale="log", xlabel="step", ylabel="S(X)")
    right.set_title("KKT score: only it tells them apart")
    for ax in (left, right):
        legend_below(ax, 1)
    caption = "Five Newton–Schulz steps do not keep the order of the singular values "
    return {caption + "(left), and stop short of a KKT point (right).": figure}


STUDY = Study(
    "Muon, exact and practical",
    "Chen, Li, Liu, arXiv:2506.15054; Jordan et al., Muon (coefficients)",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
