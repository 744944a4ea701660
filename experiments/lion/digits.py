"""Lion trains a flax classifier on the handwritten digits of scikit-learn, audited.

On every audited step H₊ − H = −ε(aΔ₁ + bΔ₂) + r − (1/λ + c)D_κ* − cD_κ to round-off,
on minibatches too, although H itself rises on many. The parameters are those of
`optax.lion`, bit for bit. With a large λ the weights end in the box |w| ≤ 1/λ: from a
start outside, the distance falls by 1 − ελ a step. Coupled decay, exchanged β's and a
NaN do not get the verdict `holds`.
"""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import dynax as dx
from dynax.report import energy_figure, histogram_figure, new_figure, phase_figure


TITLE = "Lion on real data: every step audited"
SOURCE = "Chen, Liu, Liang, Liu, arXiv:2310.05898; balance per step"
BETAS = 0.9, 0.99
TEST = 297  # of 1797 images; the rest train


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


def ulps(a, b):
    """The greatest distance between two parameter trees in units in the last place."""

    def between(x, y):
        x, y = np.asarray(x), np.asarray(y)
        unit = np.spacing(np.maximum(np.abs(x), np.abs(y)))
        return float(np.max(np.abs(x.astype(np.float64) - y) / unit, initial=0))

    return max(jax.tree.leaves(jax.tree.map(between, a, b)))


def measure(config, progress):
    images = data()[0][0]
    lr, usual = config.learning_rate, config.decays[0]
    width, seeds = config.width, range(config.seeds)
    orders = [minibatches(config.steps, config.batch, seed) for seed in seeds]
    whole = jnp.tile(jnp.arange(len(images)), (config.full_steps, 1))
    unreadable = orders[0].at[config.steps // 2, 0].set(len(images))

    def go(route, given, order, *, seed=0, every=1):
        dtype = given["learning_rate"].dtype
        return train(
            given,
            begin(width, seed, dtype),
            jnp.asarray(images.astype(dtype)),
            order,
            route=route,
            every=every,
            width=width,
        )

    def minibatch(route):
        return {
            (decay, seed): go(route, settings(lr, decay), orders[seed], seed=seed)
            for decay in config.decays
            for seed in seeds
        }

    def full_batch(route):
        given = settings(lr, usual, dtype="float64")
        return go(route, given, whole, every=config.every)

    def audits():
        """One programme: optax.lion as it is, and two ways to get it wrong."""
        exchanged = settings(lr, usual, betas=BETAS[::-1])
        return {
            "as it is": go("audit", settings(lr, usual), orders[0]),
            "coupled": go("audit", settings(lr, 0.0, coupled=usual), orders[0]),
            "exchanged": go("audit", exchanged, orders[0]),
        }

    jobs = {
        "minibatch": lambda: minibatch("dynax"),
        "audit": audits,
        "full batch": lambda: full_batch("dynax"),
        "minibatch, optax": lambda: minibatch("plain"),
        "full batch, optax": lambda: full_batch("plain"),
        "unreadable": lambda: go("dynax", settings(lr, usual), unreadable),
    }
    x64 = jnp.result_type(float) == jnp.float64

    def call(job):  # settings of jax are a thread's own
        with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"):
            return jax.device_get(job())

    done = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # compiling takes the time
        for name, value in zip(jobs, pool.map(call, jobs.values()), strict=True):
            done[name] = value
            progress(len(done) / len(jobs), f"digits: {name}")
    return {"config": config, "runs": done, "verdicts": verdicts(done)}


def verdicts(runs):
    """By name; those of several seeds are one."""

    def judge(outs, claim, dtype="float32"):
        tally = functools.reduce(dx.merge, [out["tally"] for out in outs])
        return dx.verdict(tally, claim, f"round-off model, {dtype}")

    by_decay: dict = {}
    for (decay, _), out in runs["minibatch"].items():
        by_decay.setdefault(decay, []).append(out)
    audits, full = runs["audit"], [runs["full batch"]]
    return {
        **{
            f"λ = {decay:g}": judge(outs, f"digits, minibatches, λ = {decay:g}")
            for decay, outs in by_decay.items()
        },
        "full batch": judge(full, "digits, full batch", "float64"),
        "audit": judge([audits["as it is"]], "optax.lion is Lion"),
        "control: coupled": judge([audits["coupled"]], "L2 in the gradient is Lion"),
        "control: exchanged": judge([audits["exchanged"]], "β = (0.99, 0.9) is Lion"),
        "control: unreadable": judge([runs["unreadable"]], "a batch holds a NaN"),
    }


def claims(results):
    config, runs, found = results["config"], results["runs"], results["verdicts"]
    mini, peer = runs["minibatch"], runs["minibatch, optax"]
    lambdas = [found[f"λ = {decay:g}"] for decay in config.decays]
    audited = sum(v.audited for v in lambdas)
    full = found["full batch"]
    rises = ", ".join(str(v.rises) for v in lambdas)
    gaps = [ulps(out["params"], peer[key]["params"]) for key, out in mini.items()]
    gaps.append(ulps(runs["full batch"]["params"], runs["full batch, optax"]["params"]))
    gaps.append(
        ulps(runs["audit"]["as it is"]["params"], peer[config.decays[0], 0]["params"])
    )
    loose = [float(out["accuracy"][-1]) for (k, _), out in mini.items() if k <= 3]
    accuracy = "; ".join(
        f"λ = {k:g} (seed {seed}): {out['accuracy'][-1]:.3f}"
        for (k, seed), out in mini.items()
    )
    boxed = [contraction(config, key, out) for key, out in mini.items()]
    boxed = [row for row in boxed if row["start"] > 1]
    ratio = [row["ratio"] for row in boxed]
    reach = ", ".join(f"{row['start']:.3g} → {row['end']:.7g}" for row in boxed)
    nan = found["control: unreadable"]

    def same(a, b):
        return a.status == b.status == "holds" and a.violations == b.violations == 0

    return [
        dx.Claim(
            "D1",
            SOURCE,
            "digits, minibatches, float32: checks violated on audited steps",
            sum(v.violations for v in lambdas),
            "= 0",
            all(v.status == "holds" for v in lambdas),
            detail=f"{audited} steps, {len(full.checks)} checks each; relative defect: "
            f"visible from {max(v.resolution for v in lambdas):.1e}, largest seen "
            f"{max(v.error for v in lambdas):.1e}; H itself rose on {rises} "
            f"of {lambdas[0].audited} each",
        ),
        dx.Claim(
            "D2",
            SOURCE,
            "digits, full batch, float64: largest |defect| / Σ|terms|",
            full.error,
            "≤ 1e-12, no check violated",
            full.error <= 1e-12 and full.status == "holds",
            detail=f"{full.audited} rows, every {config.every} steps",
        ),
        dx.Claim(
            "D3",
            "Chen et al., arXiv:2302.06675; optax.lion",
            "parameters after training, against plain optax.lion: ulps apart",
            max(gaps),
            "= 0",
            max(gaps) == 0,
            spread=(min(gaps), max(gaps)),
            detail=f"{len(gaps)} runs: as_optax f32 and f64, audit(optax.lion)",
        ),
        dx.Claim(
            "D4",
            SOURCE,
            "audit(optax.lion), verdict as of as_optax(LionKappa): checks violated",
            found["audit"].violations,
            "= 0, both hold",
            same(found["audit"], lambdas[0]),
        ),
        dx.Claim(
            "D5",
            "UCI ML digits, as in scikit-learn",
            f"accuracy on {TEST} test images, λ ≤ 3 (least of all runs)",
            min(loose),
            "≥ 0.95",
            min(loose) >= 0.95,
            spread=(min(loose), max(loose)),
            detail=accuracy,
        ),
        dx.Claim(
            "D6",
            SOURCE,
            "start outside |w| ≤ 1/λ: dist_t / (1 − ελ)^t·dist_0, the largest of all t",
            max(ratio, default=float("nan")),
            "≤ 1 (2u a step allowed)",
            bool(ratio) and max(ratio) <= 1,
            detail=f"λ·max|w|: {reach}",
        ),
        *(
            dx.Claim(
                id,
                SOURCE,
                f"{what}, audited as Lion: checks violated",
                found[key].violations,
                "must be > 0, verdict violated",
                found[key].status == "violated",
                control=True,
                detail=f"first at step {found[key].first}",
            )
            for id, key, what in (
                ("D4x", "control: coupled", "decay coupled through the gradient"),
                ("D4y", "control: exchanged", "optax.lion with β₁, β₂ exchanged"),
            )
        ),
        dx.Claim(
            "D1x",
            SOURCE,
            "a NaN in one batch: the step from which the verdict is undecided",
            -1 if nan.non_finite is None else nan.non_finite,
            f"= {config.steps // 2}, never holds",
            nan.status == "undecided" and nan.non_finite == config.steps // 2,
            control=True,
        ),
    ]


def weights(params):
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(params)])


def contraction(config, key, out):
    """λ·max|w| before and after; the largest distance over what is proved, any step.

    Allowed for round-off: 2u a step, of which (1 − ελ)^t is left t steps later.
    """
    shrink = 1 - config.learning_rate * key[0]
    seen = out["ledger"].facts["distance"].astype(np.float64)
    slack = 2 * np.finfo(np.float32).eps / (1 - shrink)
    proved = shrink ** np.arange(len(seen)) * seen[0] + slack
    end = key[0] * np.abs(weights(out["params"])).max()
    return {"start": 1 + seen[0], "end": end, "ratio": float(np.max(seen / proved))}


def figures(results):
    config, runs = results["config"], results["runs"]
    mini = {k: out for (k, seed), out in runs["minibatch"].items() if seed == 0}
    first, last = config.decays[0], config.decays[-1]
    curves, axes = new_figure(1, 2, size=(7.6, 3.0))
    for decay, out in mini.items():
        axes[0, 0].plot(smooth(out["loss"]), label=f"λ = {decay:g}")
        axes[0, 1].plot(out["accuracy"], label=f"λ = {decay:g}")
    axes[0, 0].plot(runs["full batch"]["loss"], "k--", label="full batch", lw=1)
    axes[0, 1].plot(runs["full batch"]["accuracy"], "k--", lw=1)
    axes[0, 0].set(yscale="log", xlabel="step", title="Training loss (mean of 10)")
    axes[0, 1].set(ylim=(0.7, 1), xlabel="step", title="Accuracy on test images")
    axes[0, 0].legend()
    out = mini[first]
    made = {
        "loss and accuracy": curves,
        f"energy, λ = {first:g}": energy_figure(
            out["ledger"],
            loss=out["loss"],
            title=f"Lion on digits, minibatches, λ = {first:g}",
        ),
        f"phases, λ = {last:g}": phase_figure(
            mini[last]["ledger"], title=f"Start outside |w| ≤ 1/λ, λ = {last:g}"
        ),
    }
    for decay, out in mini.items():
        made[f"weights, λ = {decay:g}"] = histogram_figure(
            weights(out["params"]),
            1 / decay,
            title=f"Weights after training, λ = {decay:g}",
        )
    return made


def smooth(loss, width=10):
    return np.convolve(loss, np.full(width, 1 / width), "valid")
