"""Does noisy training still fall in expectation? Judged at any time, on fresh batches.

First noise of known laws: each assumption is wrong in at most α of the runs. A t-test
at every step is not, nor is symmetry taken for granted of a skewed law. Then Lion on
softmax regression of the handwritten digits of scikit-learn: the loss falls at first,
nothing can be said at the floor, ascent rises. Judged on the batches that made the
steps, the floor "falls" too.

The bound of the digits: pixels are in [0, 1], so one loss changes by at most
2 maxᵢ‖(zᵢ, 1)‖₁·max|x₊ − x|.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats
from sklearn.datasets import load_digits

import dynax as dx
from dynax import certify
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.lyapunov import NEVER
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    runs: int = 1000
    audits: int = 2000
    trainings: int = 16
    warm: int = 3000
    floor: int = 1000


SIZES = {
    "quick": Config(),
    "long": Config(2000, 5000, 64, 10_000, 5000),
    "full": Config(10_000, 10_000, 256, 30_000, 20_000),
}
ALPHA = 0.05
DRIFT = 0.1  # in standard deviations
ROOT3 = 3**0.5

# Noise of known laws

ASSUMING: dict[str, Any] = {  # name → assumption, c, laws that satisfy it
    "Bounded": (certify.Bounded(), 2.0, ("uniform",)),
    "Variance": (
        certify.Variance(),
        (1 + DRIFT**2) ** 0.5,
        ("Gauss", "Student 3", "uniform", "Pareto left", "Pareto right"),
    ),
    "Clipped": (certify.Clipped(), None, ("Gauss", "Student 3", "uniform")),
    "Symmetric": (certify.Symmetric(), None, ("Gauss", "Student 3", "uniform")),
    "Asymptotic": (certify.Asymptotic(), None, ("Gauss", "Student 3", "uniform")),
}


def noise(law, config):
    """Of mean 0 and variance 1, by NumPy."""
    rng, shape = np.random.default_rng(5), (config.runs, config.audits)
    pareto = lambda: (rng.pareto(3.0, shape) - 0.5) / 0.75**0.5
    return {
        "Gauss": lambda: rng.normal(size=shape),
        "Student 3": lambda: rng.standard_t(3, shape) / ROOT3,
        "uniform": lambda: rng.uniform(-ROOT3, ROOT3, shape),
        "Pareto right": pareto,
        "Pareto left": lambda: -pareto(),
    }[law]()


@functools.cache
def judge(name):
    """Evidence at the end of each run of single examples."""
    assuming, bound, _ = ASSUMING[name]
    test = certify.Sequential(assuming, ALPHA)

    def run(x):
        step = lambda e, value: (test.update(e, value[None], bound), None)
        return jax.lax.scan(step, test.init(), x)[0]

    return jax.jit(jax.vmap(run))


def decided(name, x) -> tuple[float, float, float]:
    """Shares of runs that were called rising and falling; median time of the former."""
    e = jax.device_get(judge(name)(jnp.asarray(x)))
    sound = e.broken == NEVER
    rose, fell = sound & (e.alarmed < NEVER), sound & (e.fell < NEVER)
    when = float(np.median(e.alarmed[rose])) if np.any(rose) else np.inf
    return float(np.mean(rose)), float(np.mean(fell)), when


def nulls(results) -> dict:
    """Drift 0 and drift 0.1 σ, for each assumption and law that satisfies it."""
    pairs = [(k, law) for k, (*_, laws) in ASSUMING.items() for law in laws]
    found = {}
    for n, (name, law) in enumerate(pairs):
        results.tell(n / len(pairs), f"{name}, {law}")
        x = noise(law, results.config)
        found[name, law] = decided(name, x), decided(name, x + DRIFT)
    return found


def skewed(results) -> tuple[float, float, float]:
    """Symmetry taken for granted of a law with a long left tail."""
    return decided("Symmetric", noise("Pareto left", results.config))


def t_test(results) -> float:
    """How often a t-test at every step from the 20th on calls Gaussian noise rising."""
    x = noise("Gauss", results.config)
    n = np.arange(1, x.shape[1] + 1)
    mean = np.cumsum(x, axis=1) / n
    variance = np.maximum(np.cumsum(x**2, axis=1) / n - mean**2, 1e-12)
    t = mean * np.sqrt(n / variance)
    return float(np.mean(np.any(t[:, 20:] > scipy.stats.norm.ppf(1 - ALPHA), axis=1)))


# Lion on digits

LR, DECAY, BATCH = 1e-3, 1.0, 32


@functools.cache
def digits():
    """Images with a 1 appended, in [0, 1], and labels."""
    images, labels = load_digits(return_X_y=True)
    ones = np.ones((len(images), 1))
    return np.hstack([images / 16, ones]).astype(np.float32), labels.astype(np.int32)


def losses(w, batch):
    images, labels = (jnp.asarray(a)[batch] for a in digits())
    return optax.softmax_cross_entropy_with_integer_labels(images @ w, labels)


def bound(w, w_next):
    slope = 2 * float(np.max(np.sum(digits()[0], axis=1)))
    return slope * jnp.max(jnp.abs(w_next - w))


TESTS = {
    "Bounded": certify.Sequential(certify.Bounded(bound), ALPHA, losses=losses),
    "Clipped": certify.Sequential(certify.Clipped(), ALPHA, losses=losses),
}


@functools.partial(jax.jit, static_argnames=("name", "steps", "sign"))
def train(start, keys, *, name, steps, sign=1.0):
    """Runs side by side: (w, state), evidence on training batches, and curves.

    Args:
        start: (w, state) of each run, or None to begin.
    """
    test = TESTS[name]
    lion = dx.as_optax(dx.LionKappa(weight_decay=DECAY), LR)
    tx = test.watch(optax.chain(lion, optax.scale(sign)))
    count = len(digits()[1])
    pick = lambda key: jax.random.randint(key, (BATCH,), 0, count)

    def step(carry, key):
        w, state, biased = carry
        batch, fresh = (pick(k) for k in jax.random.split(key))
        grads = jax.grad(lambda w: jnp.mean(losses(w, batch)))(w)
        updates, state = tx.update(grads, state, w, fresh=fresh)
        w_next = optax.apply_updates(w, updates)
        moved = losses(w_next, batch) - losses(w, batch)
        c = bound(w, w_next) if name == "Bounded" else None
        biased = test.update(biased, moved, c)
        e: certify.Evidence = optax.tree.get(state, "evidence")
        rise, fall = test.assuming.weigh(e, ALPHA / 2)
        seen = {
            "loss": jnp.mean(losses(w, fresh)),
            "rise": rise,
            "fall": fall,
            "evidence": e,
        }
        return (w_next, state, biased), seen

    def run(begun, key):
        w, state = begun
        state = state._replace(evidence=test.init())
        carry = w, state, test.init()
        (w, state, biased), seen = jax.lax.scan(
            step, carry, jax.random.split(key, steps)
        )
        return (w, state), biased, seen

    with jax.numpy_dtype_promotion("standard"):
        if start is None:
            w = jnp.zeros((len(keys), digits()[0].shape[1], 10), jnp.float32)
            start = w, jax.vmap(tx.init)(w)
        return jax.vmap(run)(start, keys)


def training(results) -> dict:
    """Early steps, ascent and the floor, by assumption."""
    config, found = results.config, {}
    keys = jax.random.split(jax.random.key(0), (3, config.trainings))
    for k, name in enumerate(TESTS):
        results.tell(k / len(TESTS), name)
        go = functools.partial(train, name=name)
        ascent = go(None, keys[0], steps=300, sign=-1.0)
        warm = go(None, keys[1], steps=config.warm)
        floor = go(warm[0], keys[2], steps=config.floor)
        runs = {"early": warm, "ascent": ascent, "floor": floor}
        found[name] = {}
        for which, ((_, state), biased, seen) in runs.items():
            first = jax.tree.map(lambda a: a[0], seen.pop("evidence"))  # of one run
            found[name][which] = jax.device_get((state.evidence, biased, seen, first))
    return found


PARTS = {"nulls": nulls, "skewed": skewed, "t-test": t_test, "training": training}


def false_alarms(results, name) -> Measured:
    found = {
        law: null[0] + null[1]
        for (k, law), (null, _) in results["nulls"].items()
        if k == name
    }
    told = ", ".join(f"{law} {share:.3f}" for law, share in found.items())
    return largest(found, told)


def power(results) -> Measured:
    found = {f"{k}, {law}": drift for (k, law), (_, drift) in results["nulls"].items()}
    told = ", ".join(
        f"{k} {share:.2f} ({when:.0f})" for k, (share, _, when) in found.items()
    )
    return Measured(min(share for share, *_ in found.values()), told)


def decision(results, name, which, flag) -> Measured:
    """After how many audits the last run was decided; ∞ if one was not, or wrongly."""
    e = results["training"][name][which][0]
    other = {"alarmed": e.fell, "fell": e.alarmed}[flag]
    when = getattr(e, flag)
    ok = (when < NEVER) & (when < other) & (e.broken == NEVER)
    times = np.where(ok, when, np.inf)
    return largest(times, f"{len(times)} runs")


def undecided(results, name) -> Measured:
    """Runs at the floor that were decided."""
    e = results["training"][name]["floor"][0]
    wrong = (e.alarmed < NEVER) | (e.fell < NEVER) | (e.broken < NEVER)
    loss = results["training"][name]["floor"][2]["loss"]
    half = loss.shape[1] // 2
    drift = (loss[:, half:].mean(1) - loss[:, :half].mean(1)) / half
    told = f"{len(wrong)} runs; drift of the loss {drift.mean():+.1e} a step"
    return Measured(int(np.sum(wrong)), told)


def biased(results, name) -> Measured:
    """Share of the runs at the floor that fall, judged on the training batches."""
    e = results["training"][name]["floor"][1]
    when = np.median(e.fell)
    return Measured(np.mean(e.fell < NEVER), f"after {when:.0f} audits")


def claims(config) -> list:
    share = ALPHA + 2 * (ALPHA * (1 - ALPHA) / config.runs) ** 0.5
    allowed = at_most(share, "α = 0.05 and two standard errors of the runs")
    say = "noise without drift: share of runs that are called rising or falling"
    wrong = [
        Claim(
            f"K6{suffix}",
            f"{name}: {say}",
            allowed,
            lambda r, name=name: false_alarms(r, name),
        )
        for suffix, name in zip(("", "a", "b", "c", "d"), ASSUMING, strict=True)
    ]
    return [
        *wrong,
        Claim(
            "K6e",
            "a drift of 0.1 standard deviations: share of runs that are called rising",
            at_least(0.8, "the tests are not idle; 0.85 to 0.98 where they come from"),
            power,
        ),
        Control(
            "K6x",
            "a t-test at every step, on Gaussian noise: share called rising",
            at_least(0.25, "its level is for one look only"),
            lambda r: r["t-test"],
            of="K6",
        ),
        Control(
            "K6y",
            "symmetry taken for granted of a law with a long left tail: share wrong",
            at_least(0.10, "twice α: the median is above the mean"),
            lambda r: Measured(r["skewed"][0]),
            of="K6b",
        ),
        *(
            Claim(
                f"K7{suffix}",
                f"Lion on digits, first steps, {name}: audits until it holds",
                at_most(300, "the loss falls by its whole height in as many steps"),
                lambda r, name=name: decision(r, name, "early", "fell"),
            )
            for suffix, name in zip(("", "a"), TESTS, strict=True)
        ),
        *(
            Claim(
                f"K7{suffix}",
                f"Lion on digits, at the floor, {name}: runs that are decided",
                equals(0, "there is no drift to be found"),
                lambda r, name=name: undecided(r, name),
            )
            for suffix, name in zip(("b", "c"), TESTS, strict=True)
        ),
        Claim(
            "K7d",
            "Lion on digits, ascent: audits until it is violated",
            at_most(50, "every step goes up by as much as descent goes down"),
            lambda r: decision(r, "Bounded", "ascent", "alarmed"),
        ),
        Control(
            "K7x",
            "at the floor, judged on the training batches: share of runs that hold",
            at_least(1, "a step goes down on the batch that made it"),
            lambda r: biased(r, "Bounded"),
            of="K7b",
        ),
    ]


def figures(results) -> dict:
    found = results["training"]["Bounded"]
    figure, ((left, right),) = new_figure(1, 2, size=(9.0, 3.8))
    rows = {
        "first steps: a fall": ("early", "fall", "blue"),
        "ascent: a rise": ("ascent", "rise", "vermilion"),
        "floor: a fall": ("floor", "fall", "green"),
        "floor: a rise": ("floor", "rise", "orange"),
    }
    for label, (which, key, color) in rows.items():
        curve = found[which][2][key] / np.log(10)
        audits = np.arange(1, curve.shape[1] + 1)
        for k, row in enumerate(curve):
            told = label if k == 0 else None
            left.plot(audits, row, color=COLORS[color], lw=0.7, alpha=0.7, label=told)
    left.axhline(np.log10(2 / ALPHA), color="k", lw=1, ls="--", label="2/α")
    left.set_xscale("log")
    left.set_ylim(-2, 12)
    left.set_xlabel("audits")
    left.set_ylabel("log₁₀ of the evidence")
    legend_below(left)
    upper = jax.jit(jax.vmap(TESTS["Bounded"].upper))
    for which, color in zip(found, ("blue", "vermilion", "green"), strict=True):
        e = found[which][3]
        at = np.unique(np.geomspace(1, len(e.audits), 60).astype(int)) - 1
        mean, color = e.total / np.maximum(e.examples, 1), COLORS[color]
        end = upper(jax.tree.map(lambda a, at=at: jnp.asarray(a[at]), e))
        right.plot(at + 1, mean[at], color=color, label=f"{which}: mean")
        right.plot(at + 1, end, color=color, ls=":", label="upper end")
    right.axhline(0, color="k", lw=1)
    right.set_xscale("log")
    right.set_ylim(-0.15, 0.2)
    right.set_xlabel("audits")
    right.set_ylabel("change of a loss, in bounds")
    legend_below(right)
    caption = (
        "Lion on softmax regression of digits. Left: evidence of all runs, decided "
        "above 2/α. Right: the running mean of one run, and the upper end of its "
        "confidence sequence."
    )
    return {caption: figure}


STUDY = Study(
    title="Decrease in expectation, judged at any time",
    source="Waudby-Smith, Ramdas, JRSS B 2024; Howard et al., Ann. Statist. 2021",
    sizes=SIZES,
    parts=PARTS,
    claims=claims,
    figures=figures,
)
