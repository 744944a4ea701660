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

from dynax import Claim
from dynax.landscape import grokking
from dynax.report import COLORS, new_figure
from experiments._together import together


TITLE = "Grokking from lazy to rich"
SOURCE = "Kumar, Bordelon, Gershman, Pehlevan, arXiv:2310.06110"
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


def measure(config: Config, progress) -> dict:
    fixed = {
        "dimension": config.dimension,
        "width": config.width,
        "rate": config.rate,
        "every": config.every,
    }
    seeds = jnp.arange(config.seeds)

    def sweep():
        one = functools.partial(
            run, samples=config.samples, steps=config.steps, **fixed
        )
        both = jax.vmap(jax.vmap(one, (None, None, 0)), (0, None, None))
        return jax.jit(both)(jnp.asarray(config.alphas), config.epsilon, seeds)

    def data(samples):
        steps = config.steps // 5
        one = functools.partial(run, samples=samples, steps=steps, **fixed)
        return jax.jit(jax.vmap(one, (None, None, 0)))(0.3, config.epsilon, seeds)

    jobs = {
        "α": sweep,
        **{f"P = {p}": functools.partial(data, p) for p in config.few_and_many},
    }
    done = together(jobs, progress)
    eigenvalue = {e: kernel_ratio(e) for e in (0.1, 0.25, 0.5, 1.0)}
    return {"config": config, "eigenvalue": eigenvalue, **done}


def claims(results) -> list[Claim]:
    config, rows = results["config"], results["α"]
    alphas = np.asarray(config.alphas)
    time = lambda rows, error: first(rows[error], config.every)
    train, test = (np.median(time(rows, e), 1) for e in ("train", "test"))
    final = np.median(rows["test"][..., -1], axis=1)
    fitted = np.median(rows["train"][..., -1], axis=1)
    at = {a: k for k, a in enumerate(config.alphas)}
    never = np.isinf(test)
    later = np.where(never, 10 * config.steps, test)  # ∞ − ∞ is no number
    rising = np.diff(later)[~never[:-1]]
    rich = final[alphas >= 0.3]
    few, some, many = (results[f"P = {p}"] for p in config.few_and_many)
    delay = [
        np.median(time(c, "test")) / np.median(time(c, "train"))
        for c in (few, some, many)
    ]
    d = 3  # of the quadrature
    eigen = {
        e: (r, 2 * e**2 / d**2, 2 * e / d**2) for e, r in results["eigenvalue"].items()
    }
    closed = rows["sampled"]
    claim = functools.partial(Claim.judged, SOURCE)
    what = f"D = {config.dimension}, N = {config.width}, P = {config.samples}"
    show = lambda a: ", ".join("never" if np.isinf(v) else f"{v:.4g}" for v in a)
    table = f"α = {show(alphas)}: train {show(train)}, test {show(test)}"
    names = ", ".join(str(p) for p in config.few_and_many)
    return [
        claim(
            "19",
            "steps until the test error is learnt, α = 1 over α = 0.05",
            test[at[1.0]] / test[at[0.05]],
            f"≥ {config.later:g}",
            f"{what}; steps to 10 % of the variance, {table}",
        ),
        claim(
            "19a",
            "… and it rises with α: least ratio of neighbours",
            np.min((later[1:] / later[:-1])[~never[:-1]]),
            "≥ 1.5",
            f"{rising.size} neighbours, of which the last never learns it",
        ),
        claim(
            "19b",
            "final test error rises with α: least rise, α ≥ 0.3",
            np.min(np.diff(rich)),
            "≥ 0.01",
            f"over the variance: {', '.join(f'{v:.3g}' for v in final)}",
        ),
        claim(
            "19c",
            "grokking, α = 1: test learnt later than the training set by a factor",
            test[at[1.0]] / train[at[1.0]],
            "≥ 3",
            f"steps {train[at[1.0]]:g} and {test[at[1.0]]:g}",
        ),
        claim(
            "19d",
            "lazy: the largest α fits the training set all the same",
            fitted[-1],
            "≤ 0.02",
            f"α = {alphas[-1]:g}; its test error is {final[-1]:.2f}",
        ),
        claim(
            "19e",
            "α = 0.3, many samples: no grokking, test later than train by a factor",
            delay[2],
            "≤ 2",
            f"P = {names}: {show(delay)}",
        ),
        claim(
            "19f",
            "the kernel's eigenvalue on quadratic functions is 2ε²/D²: relative error",
            max(abs(r / right - 1) for r, right, _ in eigen.values()),
            "≤ 1e-12",
            "Gauss–Hermite, exact",
        ),
        claim(
            "19g",
            "the closed form of the test error against fresh samples, relative",
            np.max(np.abs(closed - 1)),
            "≤ 0.2",
            f"4000 samples, {closed.size} networks",
        ),
        claim(
            "19x",
            "too few samples, α = 0.3: test error at the end",
            np.median(few["test"][..., -1]),
            "≥ 0.5 rejected",
            f"P = {config.few_and_many[0]}; training error "
            f"{np.median(few['train'][..., -1]):.3g}",
        ),
        claim(
            "19y",
            "claim 19f with 2ε/D², as the main text prints: relative error",
            min(abs(r / wrong - 1) for e, (r, _, wrong) in eigen.items() if e != 1),
            "≥ 0.1 rejected",
        ),
        claim(
            "19z",
            f"claim 19 with the lazy α = {alphas[-1]:g}: test error at the end",
            final[-1],
            f"≥ {FITTED} rejected",
        ),
    ]


def figures(results) -> dict:
    config, rows = results["config"], results["α"]
    steps = config.every * np.arange(1, rows["train"].shape[-1] + 1)
    names = ("blue", "green", "orange", "vermilion", "purple", "sky", "black")
    figure, axes = new_figure(1, 2, size=(7.6, 3.2), sharey=True)
    left, right = axes[0]
    for k, (alpha, name) in enumerate(zip(config.alphas, names, strict=False)):
        color = COLORS[name]
        left.plot(steps, rows["train"][k, 0], ":", color=color, lw=1)
        left.plot(steps, rows["test"][k, 0], color=color, label=f"α = {alpha:g}")
    few = [f"P = {p}" for p in config.few_and_many]
    for label, name in zip(few, ("vermilion", "green", "blue"), strict=True):
        seen, color = results[label], COLORS[name]
        short = steps[: seen["train"].shape[-1]]
        right.plot(short, seen["train"][0], ":", color=color, lw=1)
        right.plot(short, seen["test"][0], color=color, label=label)
    for axis in (left, right):
        axis.set(xscale="log", yscale="log", xlabel="step", ylim=(1e-4, 4))
        axis.axhline(FITTED, color=COLORS["grey"], lw=0.8, ls="--")
        axis.legend(loc="lower left")
    left.set_ylabel("error over the variance of y")
    left.set_title("Test (lines), training (dotted)")
    right.set_title("α = 0.3: samples")
    return {"grokking": figure}
