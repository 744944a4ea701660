"""Grokking: the training error is gone long before the test error falls. In a model
with one knob α it is the passage from lazy to rich learning: lazy (large α) networks
first fit with a kernel that is bad at the target, and the larger α, the later, and at
last never, do they find the target's direction. Too few samples let no α find it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.landscape import grokking
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments._together import together


VARIANCE = 0.5  # of the target ½(β·x)², (β·x) ~ N(0, 1)
FITTED = 0.1  # an error below this share of the variance counts as learnt


@dataclasses.dataclass(frozen=True)
class Config:
    alphas: tuple[float, ...] = (0.05, 0.3, 1.0, 4.0)
    dimension: int = 30
    width: int = 100
    samples: int = 180
    few_and_many: tuple[int, ...] = (45, 180, 540)  # samples, at α = 0.3
    epsilon: float = 0.25
    rate: float = 0.5  # learning rate = rate·N/α²
    steps: int = 5000
    every: int = 10
    seeds: int = 1
    later: float = 15.0  # how much longer α = 1 takes than α = 0.05, at least


SIZES = {
    "quick": Config(),
    "long": Config(
        alphas=(0.05, 0.3, 1.0, 4.0, 16.0),
        dimension=50,
        width=200,
        samples=250,
        few_and_many=(50, 250, 1000),
        rate=1.0,
        steps=20_000,
        later=30.0,
    ),
    "full": Config(
        alphas=(0.05, 0.1, 0.3, 1.0, 2.0, 4.0, 16.0),
        dimension=100,
        width=500,
        samples=1600,
        few_and_many=(400, 1600, 6000),
        steps=100_000,
        every=50,
        seeds=8,
        later=30.0,
    ),
}
SPACE = {
    "alpha": np.geomspace(0.05, 16.0, 6),
    "epsilon": np.array([0.25, 0.5]),
    "seed": np.arange(3),
}
DIMS = {"train": ["group"], "test": ["group"]}


def run(
    alpha,
    epsilon,
    seed,
    *,
    dimension=30,
    width=100,
    samples=180,
    rate=0.5,
    steps=2000,
    every=10,
) -> dict:
    """Full-batch gradient descent; both errors, in units of the target's variance."""
    problem = grokking.Problem.sample(
        jax.random.key(seed), dimension=dimension, width=width, samples=samples
    )
    lr = rate * width / alpha**2
    descent = jax.grad(grokking.train_error)

    def step(weights, _):
        return weights - lr * descent(weights, problem, alpha, epsilon), None

    def group(weights, _):
        weights, _ = jax.lax.scan(step, weights, length=every)
        errors = grokking.train_error, grokking.test_error
        seen = [e(weights, problem, alpha, epsilon) / VARIANCE for e in errors]
        return weights, jnp.stack(seen)

    weights, errors = jax.lax.scan(group, problem.start, length=steps // every)
    train, test = errors.T
    return {
        "train": train,
        "test": test,
        "moved": jnp.linalg.norm(weights - problem.start)
        / jnp.linalg.norm(problem.start),
        "sampled": sampled(weights, problem, alpha, epsilon),
    }


def first(errors, every):
    """The step after which an error first is below FITTED, ∞ if it never is."""
    below = errors < FITTED
    return np.where(below.any(-1), (below.argmax(-1) + 1.0) * every, np.inf)


def sampled(weights, problem, alpha, epsilon, points=4000):
    """The test error on fresh samples over its closed form."""
    shape = points, problem.beta.size
    x = jax.random.normal(jax.random.key(99), shape) / problem.beta.size**0.5
    out = grokking.network(weights, problem.start, x, alpha, epsilon)
    seen = jnp.mean(((x @ problem.beta) ** 2 / 2 - out) ** 2)
    return seen / grokking.test_error(weights, problem, alpha, epsilon)


def kernel_ratio(epsilon, dimension=3, points=8):
    """E[K(x, x')q(x')]/q(x) for a traceless quadratic q, by Gauss–Hermite quadrature,
    which is exact for these polynomials."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    grid = np.stack(np.meshgrid(*[nodes] * dimension), -1).reshape(-1, dimension)
    mass = np.prod(np.stack(np.meshgrid(*[weights] * dimension), -1), -1).ravel()
    others = grid / dimension**0.5
    q = lambda x: x[..., 0] ** 2 - x[..., 1] ** 2 + 3 * x[..., 0] * x[..., 2]
    x = np.array([0.3, -1.1, 0.7])
    apply = jax.vmap(grokking.kernel, (None, 0, None))
    values = np.asarray(apply(jnp.asarray(x), jnp.asarray(others), epsilon))
    return float(np.sum(mass * values * q(others)) / np.sum(mass) / q(x))


def trained(results, samples, steps, alphas):
    """`run` of every α and seed."""
    config = results.config
    names = "dimension", "width", "rate", "every"
    fixed = {name: getattr(config, name) for name in names}
    one = functools.partial(run, samples=samples, steps=steps, **fixed)
    both = jax.jit(jax.vmap(jax.vmap(one, (None, None, 0)), (0, None, None)))
    seeds = jnp.arange(config.seeds)
    return jax.device_get(both(jnp.asarray(alphas), config.epsilon, seeds))


def sweep(results):
    config = results.config
    return trained(results, config.samples, config.steps, config.alphas)


def by_samples(results) -> dict:
    """At α = 0.3."""
    steps = results.config.steps // 5
    go = lambda p: lambda: trained(results, p, steps, [0.3])
    return together({p: go(p) for p in results.config.few_and_many}, results.tell)


PARTS = {
    "α": sweep,
    "samples": by_samples,
    "eigenvalue": lambda r: {e: kernel_ratio(e) for e in (0.1, 0.25, 0.5, 1.0)},
}
D = 3  # of the quadrature


def steps_of(results, error):
    """By α, the median over seeds of the steps until an error is learnt."""
    return np.median(first(results["α"][error], results.config.every), axis=1)


def final(results, error="test"):
    return np.median(results["α"][error][..., -1], axis=1)


def show(values):
    return ", ".join("never" if np.isinf(v) else f"{v:.4g}" for v in values)


def slower(results) -> Measured:
    test, train = (steps_of(results, k) for k in ("test", "train"))
    at = results.config.alphas.index
    text = f"steps to 10 % of the variance, α = {show(results.config.alphas)}: "
    text += f"train {show(train)}, test {show(test)}"
    return Measured(test[at(1.0)] / test[at(0.05)], text)


def neighbours(results) -> Measured:
    test = steps_of(results, "test")
    never = np.isinf(test)
    later = np.where(never, 10 * results.config.steps, test)  # ∞ − ∞ is no number
    ratio = (later[1:] / later[:-1])[~never[:-1]]
    return smallest(ratio, f"{ratio.size} neighbours; the last never learns it")


def ends_higher(results) -> Measured:
    found, alphas = final(results), np.asarray(results.config.alphas)
    text = f"over the variance: {show(found)}"
    return smallest(np.diff(found[alphas >= 0.3]), text)


def grokked(results) -> Measured:
    at = results.config.alphas.index(1.0)
    test, train = (steps_of(results, k)[at] for k in ("test", "train"))
    return Measured(test / train, f"steps {train:g} and {test:g}")


def lazy(results) -> Measured:
    text = (
        f"α = {results.config.alphas[-1]:g}; its test error: {final(results)[-1]:.2f}"
    )
    return Measured(final(results, "train")[-1], text)


def many(results) -> Measured:
    every, rows = results.config.every, results["samples"]
    time = lambda row, error: np.median(first(row[error], every))
    delay = {p: time(row, "test") / time(row, "train") for p, row in rows.items()}
    text = f"P = {', '.join(map(str, delay))}: {show(delay.values())}"
    return Measured(list(delay.values())[-1], text)


def off_eigenvalue(results, value) -> dict:
    """By ε, of the kernel's eigenvalue from value(ε)."""
    found = results["eigenvalue"].items()
    return {e: abs(ratio / value(e) - 1) for e, ratio in found}


def too_few(results) -> Measured:
    samples, row = next(iter(results["samples"].items()))
    error = np.median(row["train"][..., -1])
    text = f"P = {samples}; training error {error:.3g}"
    return Measured(np.median(row["test"][..., -1]), text)


def printed(results) -> Measured:
    off = off_eigenvalue(results, lambda e: 2 * e / D**2)
    return smallest({e: v for e, v in off.items() if e != 1})


def claims(config) -> list:
    return [
        Claim(
            "19",
            "steps until the test error is learnt, α = 1 over α = 0.05",
            at_least(config.later, "later by more than a decade, of four in α²"),
            slower,
        ),
        Claim(
            "19a",
            "… and it rises with α: least ratio of neighbours",
            at_least(1.5, "a rise that no seed undoes"),
            neighbours,
        ),
        Claim(
            "19b",
            "final test error rises with α: least rise, α ≥ 0.3",
            at_least(0.01, "a hundredth of the variance"),
            ends_higher,
        ),
        Claim(
            "19c",
            "grokking, α = 1: test learnt later than the training set by a factor",
            at_least(3, "long after"),
            grokked,
        ),
        Claim(
            "19d",
            "lazy: the largest α fits the training set all the same",
            at_most(0.02, "a fifth of what counts as learnt"),
            lazy,
        ),
        Claim(
            "19e",
            "α = 0.3, many samples: no grokking, test later than train by a factor",
            at_most(2, "hardly later"),
            many,
        ),
        Claim(
            "19f",
            "the kernel's eigenvalue on quadratic functions is 2ε²/D²: relative error",
            at_most(1e-12, "Gauss–Hermite is exact here; round-off of 512 points"),
            lambda r: largest(off_eigenvalue(r, lambda e: 2 * e**2 / D**2)),
        ),
        Claim(
            "19g",
            "the closed form of the test error against fresh samples, relative",
            at_most(0.2, "three standard errors of 4000 samples with heavy tails"),
            lambda r: largest(np.abs(r["α"]["sampled"] - 1)),
        ),
        Control(
            "19x",
            "too few samples, α = 0.3: test error at the end",
            at_least(0.5, "half of the variance: not learnt"),
            too_few,
            of="19e",
        ),
        Control(
            "19y",
            "claim 19f with 2ε/D², as the main text prints: relative error",
            at_least(0.1, "far above round-off"),
            printed,
            of="19f",
        ),
        Control(
            "19z",
            f"claim 19 with the lazy α = {config.alphas[-1]:g}: test error at the end",
            at_least(FITTED, "not learnt"),
            lambda r: final(r)[-1],
            of="19",
        ),
    ]


def figures(results) -> dict:
    config, rows = results.config, results["α"]
    steps = config.every * np.arange(1, rows["train"].shape[-1] + 1)
    names = ("blue", "green", "orange", "vermilion", "purple", "sky", "black")
    figure, axes = new_figure(1, 2, size=(7.6, 3.2), sharey=True)
    left, right = axes[0]
    for k, (alpha, name) in enumerate(zip(config.alphas, names, strict=False)):
        color = COLORS[name]
        left.plot(steps, rows["train"][k, 0], ":", color=color, lw=1)
        left.plot(steps, rows["test"][k, 0], color=color, label=f"α = {alpha:g}")
    rows = results["samples"].items()
    for (p, seen), name in zip(rows, ("vermilion", "green", "blue"), strict=True):
        color, label = COLORS[name], f"P = {p}"
        short = steps[: seen["train"].shape[-1]]
        right.plot(short, seen["train"][0, 0], ":", color=color, lw=1)
        right.plot(short, seen["test"][0, 0], color=color, label=label)
    for axis in (left, right):
        axis.set(xscale="log", yscale="log", xlabel="step", ylim=(1e-4, 4))
        axis.axhline(FITTED, color=COLORS["grey"], lw=0.8, ls="--")
        legend_below(axis)
    left.set_ylabel("error over the variance of y")
    left.set_title("Test (lines), training (dotted)")
    right.set_title("α = 0.3: samples")
    return {
        "The test error falls long after the training error: measured, "
        "and in closed form.": figure
    }


STUDY = Study(
    "Grokking from lazy to rich",
    "Kumar, Bordelon, Gershman, Pehlevan, arXiv:2310.06110",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
