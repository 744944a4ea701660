"""Lion trains a flax classifier on the handwritten digits of scikit-learn, audited.

On every audited step H₊ − H = −ε(aΔ₁ + bΔ₂) + r − (1/λ + c)D_κ* − cD_κ to round-off,
on minibatches too, although H itself rises on many. The parameters are compared with
those of `optax.lion`, bit for bit. With a large λ the weights end in the box |w| ≤ 1/λ:
from a start outside, the distance falls by 1 − ελ a step. Coupled decay, exchanged β's
and a NaN do not get the verdict `holds`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax.claim import (
    Claim,
    Control,
    Measured,
    at_least,
    at_most,
    equals,
    largest,
    smallest,
)
from dynax.report import (
    energy_figure,
    histogram_figure,
    legend_below,
    new_figure,
    phase_figure,
)
from dynax.study import Study
from experiments.lion._digits import (
    BETAS,
    TEST,
    begin,
    contraction,
    data,
    minibatches,
    settings,
    train,
    ulps,
    weights,
)


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 64
    batch: int = 128
    steps: int = 600
    full_steps: int = 100
    every: int = 10  # of the full-batch run
    learning_rate: float = 3e-3
    decays: tuple[float, ...] = (1.0, 3.0, 8.0)
    seeds: int = 1


SIZES = {
    "quick": Config(),
    "long": Config(128, steps=2000, full_steps=300, seeds=5),
    "full": Config(1024, 256, 20_000, 2000, 10, 1e-3, (0.1, 1.0, 3.0, 8.0), 10),
}
SPACE = {
    "learning_rate": np.logspace(-4, -2, 5),
    "weight_decay": np.array([0.0, 0.1, 1.0, 3.0, 10.0]),
    "seed": np.arange(3),
}
DIMS = {"loss": ["step"], "accuracy": ["step"]}


def run(learning_rate=1e-3, weight_decay=0.1, seed=0):
    """300 audited minibatch steps of a small net; the arguments may be traced.

    Loss (of each minibatch) and accuracy are curves.
    """
    given, images = settings(learning_rate, weight_decay), jnp.asarray(data()[0][0])
    start, order = begin(32, seed), minibatches(300, 64, seed)
    with jax.numpy_dtype_promotion("standard"):
        out = train(given, start, images, order, route="dynax", width=32)
    tally = out["tally"]
    violations = sum(count.violations for count in tally.counts.values())
    top = [jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(out["params"])]
    return {
        "loss": out["loss"],
        "accuracy": out["accuracy"],
        "violations": violations,
        "rises": tally.rises,
        "error": tally.error,
        "reach": given["weight_decay"] * jnp.max(jnp.stack(top)),
    }


def begun_and_trained(config, route, given, order, seed=0, every=1):
    """A run of the experiment's net, on the host."""
    dtype = given["learning_rate"].dtype
    start = begin(config.width, seed, dtype)
    images = jnp.asarray(data()[0][0].astype(dtype))
    how = {"route": route, "every": every, "width": config.width}
    with jax.numpy_dtype_promotion("standard"):
        return jax.device_get(train(given, start, images, order, **how))


def order(config, seed=0):
    return minibatches(config.steps, config.batch, seed)


def minibatch(results, route) -> dict:
    """By λ and seed."""
    config = results.config
    return {
        (decay, seed): begun_and_trained(
            config,
            route,
            settings(config.learning_rate, decay),
            order(config, seed),
            seed,
        )
        for decay in config.decays
        for seed in range(config.seeds)
    }


def full_batch(results, route):
    config = results.config
    given = settings(config.learning_rate, config.decays[0], dtype="float64")
    whole = jnp.tile(jnp.arange(len(data()[0][0])), (config.full_steps, 1))
    return begun_and_trained(config, route, given, whole, every=config.every)


def audits(results) -> dict:
    """One program: optax.lion as it is, and two ways to get it wrong."""
    config = results.config
    lr, usual = config.learning_rate, config.decays[0]
    given = {
        "as it is": settings(lr, usual),
        "coupled": settings(lr, 0.0, coupled=usual),
        "exchanged": settings(lr, usual, betas=BETAS[::-1]),
    }
    go = functools.partial(begun_and_trained, config, "audit", order=order(config))
    return {name: go(given=g) for name, g in given.items()}


def unreadable(results):
    """A batch in the middle holds an image that cannot be read."""
    config = results.config
    broken = order(config).at[config.steps // 2, 0].set(len(data()[0][0]))
    given = settings(config.learning_rate, config.decays[0])
    return begun_and_trained(config, "dynax", given, broken)


def verdicts(results) -> dict:
    """By name; those of several seeds are one."""

    def judge(outs, claim, dtype="float32"):
        tally = functools.reduce(dx.merge, [out["tally"] for out in outs])
        return dx.verdict(tally, claim, f"round-off model, {dtype}")

    by_decay: dict = {}
    for (decay, _), out in results["minibatch"].items():
        by_decay.setdefault(decay, []).append(out)
    audits, full = results["audit"], [results["full batch"]]
    return {
        **{
            f"λ = {decay:g}": judge(outs, f"digits, minibatches, λ = {decay:g}")
            for decay, outs in by_decay.items()
        },
        "full batch": judge(full, "digits, full batch", "float64"),
        "audit": judge([audits["as it is"]], "optax.lion is Lion"),
        "control: coupled": judge([audits["coupled"]], "L2 in the gradient is Lion"),
        "control: exchanged": judge([audits["exchanged"]], "β = (0.99, 0.9) is Lion"),
        "control: unreadable": judge([results["unreadable"]], "a batch holds a NaN"),
    }


PARTS = {
    "minibatch": functools.partial(minibatch, route="dynax"),
    "minibatch, optax": functools.partial(minibatch, route="plain"),
    "full batch": functools.partial(full_batch, route="dynax"),
    "full batch, optax": functools.partial(full_batch, route="plain"),
    "audit": audits,
    "unreadable": unreadable,
    "verdicts": verdicts,
}


def violated(results) -> Measured:
    """Of the minibatch runs; NaN unless the verdicts hold."""
    found = results["verdicts"]
    of = [found[f"λ = {decay:g}"] for decay in results.config.decays]
    rises = ", ".join(str(v.rises) for v in of)
    text = (
        f"{sum(v.audited for v in of)} steps; relative defect: visible from "
        f"{max(v.resolution for v in of):.1e}, largest seen "
        f"{max(v.error for v in of):.1e}; H itself rose on {rises} of {of[0].audited}"
    )
    held = all(v.status == "holds" for v in of)
    return Measured(sum(v.violations for v in of) if held else np.nan, text)


def defect(results) -> Measured:
    """Of the full batch in float64; NaN unless the verdict holds."""
    full = results["verdicts"]["full batch"]
    error = full.error if full.status == "holds" else np.nan
    return Measured(error, f"{full.audited} rows, every {results.config.every} steps")


def apart(results) -> Measured:
    mini, peer = results["minibatch"], results["minibatch, optax"]
    pairs = [(out, peer[key]) for key, out in mini.items()]
    pairs.append((results["full batch"], results["full batch, optax"]))
    pairs.append((results["audit"]["as it is"], peer[results.config.decays[0], 0]))
    gaps = [ulps(a["params"], b["params"]) for a, b in pairs]
    return largest(gaps, f"{len(gaps)} runs: as_optax f32 and f64, audit(optax.lion)")


def exchanged(results) -> float:
    right = results["minibatch, optax"][results.config.decays[0], 0]
    return ulps(results["audit"]["exchanged"]["params"], right["params"])


def audited(results) -> float:
    """Violations of audit(optax.lion); NaN unless it and as_optax hold."""
    found = results["verdicts"]
    pair = found["audit"], found[f"λ = {results.config.decays[0]:g}"]
    held = all(v.status == "holds" for v in pair)
    return sum(v.violations for v in pair) if held else np.nan


def accuracy(results) -> Measured:
    found = {k: float(v["accuracy"][-1]) for k, v in results["minibatch"].items()}
    told = "; ".join(f"λ = {k:g} (seed {s}): {v:.3f}" for (k, s), v in found.items())
    return smallest([v for (k, _), v in found.items() if k <= 3], told)


def contracted(results, faster=1.0) -> Measured:
    mini = results["minibatch"].items()
    rows = [contraction(results.config, key, out, faster) for key, out in mini]
    rows = [row for row in rows if row["start"] > 1]
    reach = ", ".join(f"{row['start']:.3g} → {row['end']:.7g}" for row in rows)
    top = max((row["ratio"] for row in rows), default=np.nan)
    return Measured(top, f"λ·max|w|: {reach}")


def found_out(results, key) -> Measured:
    """Violations where the verdict is violated, else 0."""
    v = results["verdicts"][f"control: {key}"]
    count = v.violations if v.status == "violated" else 0
    return Measured(count, f"first at step {v.first}")


def first_undecided(results) -> float:
    v = results["verdicts"]["control: unreadable"]
    undecided = v.status == "undecided"
    return -1 if v.non_finite is None or not undecided else v.non_finite


def claims(config) -> list:
    return [
        Claim(
            "D1",
            "digits, minibatches, float32: checks violated on audited steps",
            equals(0, "a count, past the round-off model; all verdicts hold"),
            violated,
        ),
        Claim(
            "D2",
            "digits, full batch, float64: largest |defect| / Σ|terms|",
            at_most(1e-13, "round-off of sums of some thousand products, over ε"),
            defect,
        ),
        Claim(
            "D3",
            "parameters after training, against plain optax.lion: ulps apart",
            equals(0, "the same operations in the same order"),
            apart,
            "Chen et al., arXiv:2302.06675; optax.lion",
        ),
        Claim(
            "D4",
            "audit(optax.lion), verdict as of as_optax(LionKappa): checks violated",
            equals(0, "a count; both verdicts hold"),
            audited,
        ),
        Claim(
            "D5",
            f"accuracy on {TEST} test images, λ ≤ 3 (least of all runs)",
            at_least(0.95, "what a small network reaches on these digits"),
            accuracy,
            "UCI ML digits, as in scikit-learn",
        ),
        Claim(
            "D6",
            "start outside |w| ≤ 1/λ: dist_t / (1 − ελ)^t·dist_0, the largest of all t",
            at_most(1, "the proved rate; round-off of 2u a step is allowed for"),
            contracted,
        ),
        Control(
            "D2x",
            "largest |defect|/Σ|terms| of optax.lion with β₁, β₂ exchanged",
            at_least(1e-3, "far above the round-off of float32"),
            lambda r: r["verdicts"]["control: exchanged"].error,
            of="D2",
        ),
        Control(
            "D3x",
            "claim D3 with β₁, β₂ exchanged: ulps apart",
            at_least(1e4, "a thousandth of a parameter"),
            exchanged,
            of="D3",
        ),
        Control(
            "D5x",
            "accuracy after one step: the best",
            at_most(0.5, "chance is 0.1"),
            lambda r: max(out["accuracy"][0] for out in r["minibatch"].values()),
            of="D5",
        ),
        Control(
            "D6x",
            "claim D6 with a rate 5 % too fast",
            at_least(1.05, "5 % after 1/ελ steps, and growing"),
            functools.partial(contracted, faster=1.05),
            of="D6",
        ),
        Control(
            "D4x",
            "decay coupled through the gradient, audited as Lion: checks violated",
            at_least(1, "one is enough"),
            functools.partial(found_out, key="coupled"),
            of="D4",
        ),
        Control(
            "D4y",
            "optax.lion with β₁, β₂ exchanged, audited as Lion: checks violated",
            at_least(1, "one is enough"),
            functools.partial(found_out, key="exchanged"),
            of="D4",
        ),
        Control(
            "D1x",
            "a NaN in one batch: the step from which the verdict is undecided",
            equals(config.steps // 2, "the step of that batch"),
            first_undecided,
            of="D1",
        ),
    ]


def figures(results):
    config, whole = results.config, results["full batch"]
    mini = {k: out for (k, seed), out in results["minibatch"].items() if seed == 0}
    first, last = config.decays[0], config.decays[-1]
    curves, axes = new_figure(1, 2, size=(7.6, 3.0))
    for decay, out in mini.items():
        axes[0, 0].plot(smooth(out["loss"]), label=f"λ = {decay:g}")
        axes[0, 1].plot(out["accuracy"], label=f"λ = {decay:g}")
    label = f"full batch, {len(whole['loss'])} steps"
    axes[0, 0].plot(whole["loss"], "k--", label=label, lw=1)
    axes[0, 1].plot(whole["accuracy"], "k--", label=label, lw=1)
    axes[0, 0].set(yscale="log", xlabel="step", ylabel="loss, mean of 10 steps")
    axes[0, 1].set(ylim=(0.7, 1), xlabel="step", ylabel="share of test images right")
    axes[0, 0].set_title("Training loss")
    axes[0, 1].set_title("Accuracy")
    for ax in axes[0]:
        legend_below(ax)
    out = mini[first]
    audited = f"The energy ledger of training with minibatches, λ = {first:g}."
    outside = f"From outside the box the distance falls as proved, λ = {last:g}."
    made = {
        "Training loss and test accuracy of Lion on the digits.": curves,
        audited: energy_figure(out["ledger"], loss=out["loss"]),
        outside: phase_figure(mini[last]["ledger"], title="Start outside |w| ≤ 1/λ"),
    }
    for decay, out in mini.items():
        caption = f"The weights against the box that theory predicts, λ = {decay:g}."
        made[caption] = histogram_figure(weights(out["params"]), 1 / decay)
    return made


def smooth(loss, width=10):
    return np.convolve(loss, np.full(width, 1 / width), "valid")


STUDY = Study(
    "Lion on real data: every step audited",
    "Chen, Liu, Liang, Liu, arXiv:2310.05898; balance per step",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
