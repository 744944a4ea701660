"""How large a learning rate SGD stands at a minimum that fits every sample: exactly
η* = 2/λ_max(C†D) in mean square, for every batch size B. For B = 1 and one output, a
stable minimum has tr H ≤ 2/η, with equality if all samples have the same length; larger
batches approach gradient descent, whose only bound is λ_max(H) ≤ 2/η.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import Claim
from dynax.landscape import (
    by_enumeration,
    second_moment,
    stability_threshold,
    trace_bound,
)
from dynax.report import COLORS, new_figure


TITLE = "Mean-square stability of SGD, for every batch size"
SOURCE = "Mulayoff, Michaeli, arXiv:2306.07850"
TRACE = "Wu, Su, arXiv:2305.17490"
N, D = 8, 5
KINDS = ("one-hot", "sphere", "Gaussian", "anisotropic", "two outputs")
EQUAL = ("one-hot", "sphere")  # samples of equal length


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 4
    batches: tuple[int, ...] = (1, 2, 4, 8)
    random: int = 2000  # data sets for the trace bound
    chains: int = 20_000  # runs of SGD
    steps: int = 12


SIZES = {
    "quick": Config(),
    "long": Config(seeds=16, batches=tuple(range(1, N + 1)), random=50_000),
    "full": Config(64, tuple(range(1, N + 1)), 500_000, chains=1_000_000, steps=16),
}
SPACE = {
    "batch": (1, 2, 4, 8),
    "seed": np.arange(8),
    "kind": KINDS,
}


def data(kind, seed, n=N, d=D):
    """Hᵢ, n matrices d × d: xxᵀ of the samples x, or two such terms for two outputs."""
    x = jax.random.normal(jax.random.key(seed), (n, d))
    if kind == "two outputs":
        other = jax.random.normal(jax.random.key(seed + 1000), (n, d))
        return jax.vmap(jnp.outer)(x, x) + jax.vmap(jnp.outer)(other, other)
    if kind == "one-hot":
        x = jnp.eye(d)[jnp.arange(n) % d]
    elif kind == "sphere":
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    elif kind == "anisotropic":
        x = x * 2.0 ** -jnp.arange(float(d))[None]
    return jax.vmap(jnp.outer)(x, x)


def run(batch, seed, kind) -> dict:
    """The threshold, and what it is in units of the two simple bounds."""
    hessians = data(kind, seed)
    eta, mean = stability_threshold(hessians, batch), jnp.mean(hessians, axis=0)
    return {
        "threshold": eta,
        "trace": jnp.trace(mean) / trace_bound(eta),
        "sharpness": jnp.linalg.eigvalsh(mean)[-1] * eta / 2,
    }


enumerate_batches = jax.jit(by_enumeration, static_argnums=2)


def oracle(hessians, batch) -> float:
    """η* by bisection on the radius of the operator enumerated over all batches."""

    def stable(lr):
        matrix = np.asarray(enumerate_batches(hessians, lr, batch))
        return np.linalg.eigvalsh(matrix)[-1] <= 1 + 1e-13

    low, high = 1e-6, 1.0
    while stable(high):
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


def simulate(hessians, lr, batch, steps, chains, key):
    """E|e|² of SGD itself, batches without replacement, mean and standard error."""
    n, d = hessians.shape[:2]

    def chain(key):
        def step(e, key):
            rows = jax.random.permutation(key, n)[:batch]
            e = e - lr * jnp.mean(hessians[rows], axis=0) @ e
            return e, jnp.sum(e**2)

        first, rest = jax.random.split(key)
        start = jax.random.normal(first, (d,))
        return jax.lax.scan(step, start, jax.random.split(rest, steps))[1]

    squares = jax.vmap(chain)(jax.random.split(key, chains))
    return jnp.mean(squares, axis=0), jnp.std(squares, axis=0) / chains**0.5


def recursion(hessians, lr, batch, steps):
    """E|e|² by the operator, from E[eeᵀ] = I."""

    def step(moment, _):
        moment = second_moment(hessians, lr, batch, moment)
        return moment, jnp.trace(moment)

    return jax.lax.scan(step, jnp.eye(hessians.shape[1]), length=steps)[1]


def measure(config: Config, progress) -> dict:

    def go(kind, batch):
        return jax.vmap(lambda seed: run(batch, seed, kind))(seeds)

    go = jax.jit(go, static_argnums=0)
    seeds = jnp.arange(config.seeds)
    found = {}
    for k, kind in enumerate(KINDS):
        progress(0.5 * k / len(KINDS), f"thresholds, {kind}")
        for batch in config.batches:
            rows = jax.device_get(go(kind, float(batch)))
            brute = [oracle(data(kind, seed), batch) for seed in range(config.seeds)]
            found[kind, batch] = {**rows, "brute": np.asarray(brute)}
    progress(0.6, "the trace bound")

    def scaled(key):
        """One data set of random lengths, singly and in pairs."""
        kx, kl = jax.random.split(key)
        length = jnp.exp(jax.random.normal(kl, (N, 1)))
        x = jax.random.normal(kx, (N, 3)) * length
        hessians = jax.vmap(jnp.outer)(x, x)
        mean = jnp.mean(hessians, axis=0)
        each = [jnp.trace(mean) * stability_threshold(hessians, b) / 2 for b in (1, 2)]
        return jnp.stack(each)

    keys = jax.random.split(jax.random.key(5), config.random)
    traces = jax.device_get(jax.jit(lambda k: jax.lax.map(scaled, k))(keys))
    progress(0.8, "SGD itself")
    hessians, chains = data("Gaussian", 0), {}
    go = jax.jit(simulate, static_argnums=(2, 3, 4))
    for batch in (1, 2):
        eta = stability_threshold(hessians, batch)
        for share in (0.9, 1.1):
            seen = go(
                hessians,
                share * eta,
                batch,
                config.steps,
                config.chains,
                jax.random.key(batch),
            )
            exact = recursion(hessians, share * eta, batch, 400)
            chains[batch, share] = (*jax.device_get(seen), np.asarray(exact))
    return {"config": config, "found": found, "traces": traces, "chains": chains}


def claims(results) -> list[Claim]:
    config, found = results["config"], results["found"]
    error = [np.max(np.abs(v["threshold"] / v["brute"] - 1)) for v in found.values()]
    equal = [np.max(np.abs(found[k, 1]["trace"] - 1)) for k in EQUAL]
    single, pairs = results["traces"].T
    fall = []
    for kind in KINDS:
        rows = np.stack([found[kind, b]["threshold"] for b in config.batches])
        fall.append(np.max(1 - rows[1:] / rows[:-1]))
    whole = max(np.max(np.abs(found[k, N]["sharpness"] - 1)) for k in KINDS)
    chains = results["chains"]
    score = max(
        np.max(np.abs(mean - exact[: mean.size]) / error)
        for mean, error, exact in chains.values()
    )
    below = max(exact[-1] for (_, share), (*_, exact) in chains.items() if share < 1)
    above = min(exact[-1] for (_, share), (*_, exact) in chains.items() if share > 1)
    replaced = np.asarray(
        [_with_replacement(data("Gaussian", s), 2) for s in range(config.seeds)]
    )
    brute = found["Gaussian", 2]["brute"]
    pair = found["one-hot", 2]["trace"]
    claim = functools.partial(Claim.judged, SOURCE)
    bound = functools.partial(Claim.judged, TRACE)
    cases = f"{len(KINDS)} kinds of data, {config.seeds} seeds, B = {config.batches}"
    mean = {k: [found[k, b]["trace"].mean() for b in config.batches] for k in KINDS}
    means = "; ".join(f"{k}: {', '.join(f'{m:.2f}' for m in mean[k])}" for k in KINDS)
    return [
        claim(
            "17",
            "η* = 2/λ_max(C†D) against the operator enumerated over all batches",
            max(error),
            "≤ 1e-8",
            f"relative; n = {N}, d = {D}; {cases}",
        ),
        bound(
            "17a",
            "B = 1, one output: tr(H)·η*/2, the greatest of random data",
            single.max(),
            "≤ 1.000000001",
            f"{config.random} data sets, d = 3",
            (single.min(), single.max()),
        ),
        bound(
            "17b",
            "B = 1, samples of equal length: |tr(H)·η*/2 − 1|",
            max(equal),
            "≤ 1e-9",
            f"{', '.join(EQUAL)}; tr(H)·η*/2 for B = {config.batches}: {means}",
        ),
        claim(
            "17c",
            "η* never falls as B grows: greatest relative fall",
            max(fall),
            "≤ 1e-9",
            cases,
        ),
        claim(
            "17d",
            "B = n is gradient descent: |λ_max(H)·η*/2 − 1|",
            whole,
            "≤ 1e-9",
        ),
        claim(
            "17e",
            "E|e|² of SGD itself against the recursion, in standard errors",
            score,
            "≤ 5 (of 48 numbers)",
            f"{config.chains} runs of {config.steps} steps; B = 1, 2; η = 0.9η*, 1.1η*",
        ),
        claim(
            "17f",
            "η = 0.9η*: E|e|² after 400 steps over its first value",
            below / D,
            "≤ 1e-2",
        ),
        bound(
            "17x",
            "claim 17a for B = 2, one-hot samples: tr(H)·η*/2",
            pair.max(),
            "≥ 1.5 rejected",
            f"random data: up to {pairs.max():.2f}",
        ),
        bound(
            "17ax",
            "claim 17a for two outputs (Hessians of rank 2), B = 1: tr(H)·η*/2",
            found["two outputs", 1]["trace"].max(),
            "≥ 1.01 rejected",
        ),
        claim(
            "17y",
            "claim 17 with p = 1/B, batches drawn with replacement",
            np.min(np.abs(replaced / brute - 1)),
            "≥ 1e-3 rejected",
            "B = 2, Gaussian",
        ),
        claim(
            "17z",
            "claim 17f with η = 1.1η*: E|e|² grows by",
            above / D,
            "≥ 100 rejected",
        ),
    ]


def _with_replacement(hessians, batch) -> float:
    """η* for independent draws: p = (n−B')/(B'(n−1)) is 1/B at B' = nB/(n+B−1)."""
    n = hessians.shape[0]
    return float(stability_threshold(hessians, n * batch / (n + batch - 1)))


def figures(results) -> dict:
    config, found = results["config"], results["found"]
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    names = ("blue", "vermilion", "green", "purple", "orange")
    for kind, name in zip(KINDS, names, strict=True):
        rows = np.stack([found[kind, b]["trace"] for b in config.batches])
        left.plot(config.batches, rows, color=COLORS[name], lw=0.6, alpha=0.5)
        left.plot(
            config.batches,
            rows.mean(axis=1),
            "o-",
            ms=3,
            color=COLORS[name],
            label=kind,
        )
    left.axhline(1, color=COLORS["grey"], ls="--", lw=1)
    left.set(xlabel="batch size B", ylabel="tr(H)·η*/2", xscale="log")
    left.set_xticks(config.batches, [str(b) for b in config.batches])
    left.minorticks_off()
    left.set_title("tr H ≤ 2/η is a bound at B = 1")
    left.legend()
    shown = {0.9: "blue", 1.1: "vermilion"}
    for (batch, share), (mean, error, exact) in results["chains"].items():
        style = {"color": COLORS[shown[share]], "lw": 1}
        steps = np.arange(1, 41)
        right.plot(steps, exact[:40], "-" if batch == 1 else ":", **style)
        right.errorbar(
            steps[: mean.size], mean, 2 * error, fmt=".", ms=4, color=style["color"]
        )
        right.plot(
            [],
            [],
            "-" if batch == 1 else ":",
            label=f"B = {batch}, {share:g}η*",
            **style,
        )
    right.set(xlabel="step", ylabel="E|e|²", yscale="log")
    right.set_title("Recursion (lines) and SGD (dots)")
    right.legend()
    return {"stability of SGD": figure}
