"""How large a learning rate SGD stands at a minimum that fits every sample: exactly
η* = 2/λ_max(C†D) in mean square, for every batch size B. For B = 1 and one output, a
stable minimum has tr H ≤ 2/η, with equality if all samples have the same length; larger
batches approach gradient descent, whose only bound is λ_max(H) ≤ 2/η.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.landscape import (
    by_enumeration,
    second_moment,
    stability_threshold,
    trace_bound,
)
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


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


def found(results) -> dict:
    """By kind of data and batch size: what `run` gives, and the same by enumeration."""
    config = results.config
    seeds = jnp.arange(config.seeds)
    go = jax.jit(lambda kind, batch: over(kind, batch, seeds), static_argnums=0)
    out = {}
    for k, kind in enumerate(KINDS):
        results.tell(k / len(KINDS), f"thresholds, {kind}")
        for batch in config.batches:
            rows = jax.device_get(go(kind, float(batch)))
            brute = [oracle(data(kind, seed), batch) for seed in range(config.seeds)]
            out[kind, batch] = {**rows, "brute": np.asarray(brute)}
    return out


def over(kind, batch, seeds):
    return jax.vmap(lambda seed: run(batch, seed, kind))(seeds)


def traces(results):
    """tr(H)·η*/2 of data of random lengths, singly and in pairs."""

    def scaled(key):
        kx, kl = jax.random.split(key)
        length = jnp.exp(jax.random.normal(kl, (N, 1)))
        x = jax.random.normal(kx, (N, 3)) * length
        hessians = jax.vmap(jnp.outer)(x, x)
        mean = jnp.mean(hessians, axis=0)
        each = [jnp.trace(mean) * stability_threshold(hessians, b) / 2 for b in (1, 2)]
        return jnp.stack(each)

    keys = jax.random.split(jax.random.key(5), results.config.random)
    return jax.device_get(jax.jit(lambda k: jax.lax.map(scaled, k))(keys))


def chains(results) -> dict:
    """By batch and share of η*: E|e|² of SGD, its standard error, the recursion's."""
    config, hessians, out = results.config, data("Gaussian", 0), {}
    go = jax.jit(simulate, static_argnums=(2, 3, 4))
    for batch in (1, 2):
        eta = stability_threshold(hessians, batch)
        for share in (0.9, 1.1):
            key, size = jax.random.key(batch), (config.steps, config.chains)
            seen = go(hessians, share * eta, batch, *size, key)
            exact = recursion(hessians, share * eta, batch, 400)
            out[batch, share] = (*jax.device_get(seen), np.asarray(exact))
    return out


PARTS = {"found": found, "traces": traces, "chains": chains}


def error(results) -> Measured:
    off = {k: v["threshold"] / v["brute"] - 1 for k, v in results["found"].items()}
    return largest({k: np.abs(v) for k, v in off.items()}, f"n = {N}, d = {D}")


def equal(results) -> Measured:
    found, batches = results["found"], results.config.batches
    mean = {k: [found[k, b]["trace"].mean() for b in batches] for k in KINDS}
    means = "; ".join(f"{k}: {', '.join(f'{m:.2f}' for m in mean[k])}" for k in KINDS)
    off = {k: np.abs(found[k, 1]["trace"] - 1) for k in EQUAL}
    return largest(off, f"tr(H)·η*/2 for B = {batches}: {means}")


def falls(results) -> Measured:
    """The relative fall of η* from one batch size to the next."""
    out = {}
    for kind in KINDS:
        found = (results["found"][kind, b] for b in results.config.batches)
        rows = np.stack([f["threshold"] for f in found])
        out[kind] = 1 - rows[1:] / rows[:-1]
    return largest(out)


def score(results) -> Measured:
    config, rows = results.config, results["chains"].values()
    off = [np.abs(mean - exact[: mean.size]) / error for mean, error, exact in rows]
    text = f"{config.chains} runs of {config.steps} steps; B = 1, 2; η = 0.9η*, 1.1η*"
    return largest(off, text)


def ends(results, share):
    """E|e|² after 400 steps over its first value, of both batch sizes."""
    rows = results["chains"].items()
    return [exact[-1] / D for (_, s), (*_, exact) in rows if s == share]


def with_replacement(results) -> Measured:
    """η* for independent draws: p = (n−B')/(B'(n−1)) is 1/B at B' = nB/(n+B−1)."""
    batch = N * 2 / (N + 1)
    seeds = range(results.config.seeds)
    each = [stability_threshold(data("Gaussian", s), batch) for s in seeds]
    brute = results["found"]["Gaussian", 2]["brute"]
    return smallest(np.abs(np.asarray(each) / brute - 1), "B = 2, Gaussian")


def pairs(results) -> Measured:
    text = f"random data: up to {results['traces'][:, 1].max():.2f}"
    return largest(results["found"]["one-hot", 2]["trace"], text)


CLAIMS = [
    Claim(
        "17",
        "η* = 2/λ_max(C†D) against the operator enumerated over all batches",
        at_most(1e-10, "1e-13 of a radius, over its slope; a pseudo-inverse"),
        error,
    ),
    Claim(
        "17a",
        "B = 1, one output: tr(H)·η*/2, the greatest of random data",
        at_most(1 + 1e-9, "the bound, and round-off of a pseudo-inverse"),
        lambda r: largest(r["traces"][:, 0], f"{r.config.random} data sets, d = 3"),
        TRACE,
    ),
    Claim(
        "17b",
        "B = 1, samples of equal length: |tr(H)·η*/2 − 1|",
        at_most(1e-11, "round-off of a pseudo-inverse of 25 × 25"),
        equal,
        TRACE,
    ),
    Claim(
        "17c",
        "η* never falls as B grows: greatest relative fall",
        at_most(1e-9, "0, and round-off of a pseudo-inverse"),
        falls,
    ),
    Claim(
        "17d",
        "B = n is gradient descent: |λ_max(H)·η*/2 − 1|",
        at_most(1e-12, "round-off of two eigenvalues"),
        lambda r: largest({k: abs(r["found"][k, N]["sharpness"] - 1) for k in KINDS}),
    ),
    Claim(
        "17e",
        "E|e|² of SGD itself against the recursion, in standard errors",
        at_most(5, "the largest of 48 numbers, by chance"),
        score,
    ),
    Claim(
        "17f",
        "η = 0.9η*: E|e|² after 400 steps over its first value",
        at_most(1e-5, "a fall by 3 % a step"),
        lambda r: largest(ends(r, 0.9)),
    ),
    Control(
        "17x",
        "claim 17a for B = 2, one-hot samples: tr(H)·η*/2",
        at_least(1.5, "half more than the bound for B = 1"),
        pairs,
        TRACE,
        of="17a",
    ),
    Control(
        "17ax",
        "claim 17a for two outputs (Hessians of rank 2), B = 1: tr(H)·η*/2",
        at_least(1.01, "far above the round-off that claim 17a allows"),
        lambda r: largest(r["found"]["two outputs", 1]["trace"]),
        TRACE,
        of="17a",
    ),
    Control(
        "17y",
        "claim 17 with p = 1/B, batches drawn with replacement",
        at_least(1e-3, "far above round-off"),
        with_replacement,
        of="17",
    ),
    Control(
        "17z",
        "claim 17f with η = 1.1η*: E|e|² grows by",
        at_least(1e14, "a growth by 8 % a step"),
        lambda r: smallest(ends(r, 1.1)),
        of="17f",
    ),
]


def figures(results) -> dict:
    config, found = results.config, results["found"]
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
    legend_below(left)
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
    legend_below(right)
    return {
        "With one example a batch, tr H is at most 2/η (left). SGD converges just "
        "below its threshold η* and diverges just above it (right).": figure
    }


STUDY = Study(
    "Mean-square stability of SGD, for every batch size",
    "Mulayoff, Michaeli, arXiv:2306.07850",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
