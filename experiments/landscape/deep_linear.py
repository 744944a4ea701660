"""Two solved models of learning. A deep linear network on whitened inputs learns each
singular mode of its target along a known curve, in time ∝ 1/s, and conserves
W_{l+1}ᵀW_{l+1} − W_lW_lᵀ. The test error of a linear student of a noisy teacher follows
from the Marchenko–Pastur law alone: it has its dip where one should stop early, and
diverges where there are as many samples as parameters.
"""

import dataclasses
import functools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from dynax import Claim
from dynax.landscape import deep_linear as dl, generalization as gen
from dynax.report import COLORS, new_figure
from experiments._together import together


TITLE = "Deep linear networks and the student of a noisy teacher"
SOURCE = "Saxe, McClelland, Ganguli, arXiv:1312.6120"
ADVANI = "Advani, Saxe, arXiv:1710.03667"
STRENGTHS = (4.0, 3.0, 2.0, 1.0)
STARTS = {2: 1e-3, 3: 2e-2, 4: 2e-2}  # depth → u₀ of every mode
HORIZON = 6.0
SIGNAL, NOISE = 1.0, 0.25


@dataclasses.dataclass(frozen=True)
class Config:
    lr: float = 1e-4
    scales: tuple[float, ...] = (1e-2, 1e-3, 1e-4)  # of random first weights
    networks: int = 4
    size: int = 400  # N, parameters of the student
    loads: tuple[float, ...] = (0.5, 1.0, 2.0)
    seeds: int = 10


SIZES = {
    "quick": Config(),
    "long": Config(lr=2e-5, networks=64, loads=(0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)),
    "full": Config(lr=5e-6, networks=256, size=2000, seeds=40),
}
SPACE = {
    "scale": np.logspace(-5, -1, 9),
    "seed": np.arange(8),
}
DIMS = {name: ["mode"] for name in ("half", "predicted", "learnt")}


def target(strengths=STRENGTHS, seed=0):
    """A square matrix with these singular values, in random directions."""
    n = len(strengths)
    a = jax.random.normal(jax.random.key(seed), (2, n, n))
    u, v = jnp.linalg.qr(a)[0]
    return (u * jnp.asarray(strengths)[None]) @ v.T


def run(scale, seed, lr=2e-3, steps=6000, width=64) -> dict:
    """Two layers from small random weights, not aligned: when each mode is half learnt.

    `predicted` is the closed form from where the growing part of a mode begins: early
    on p = (W₁v + W₂ᵀu)/2 grows as e^(st), so u₀ = ‖p‖². In a wide hidden layer the p of
    different modes are nearly orthogonal.
    """
    y = target((4.0, 3.5, 3.0, 2.5, 2.0, 1.6, 1.3, 1.0))
    k1, k2 = jax.random.split(jax.random.key(seed))
    weights = [
        scale * jax.random.normal(k1, (width, y.shape[0])),
        scale * jax.random.normal(k2, (y.shape[0], width)),
    ]
    u, s, vt = jnp.linalg.svd(y)
    p = (weights[0] @ vt.T + weights[1].T @ u) / 2
    predicted = dl.half_time(s, jnp.sum(p**2, axis=0))

    def step(weights, _):
        grads = jax.grad(dl.loss)(weights, y)
        after = [w - lr * g for w, g in zip(weights, grads, strict=True)]
        return after, jnp.diag(u.T @ dl.product(weights) @ vt.T) / s

    _, learnt = jax.lax.scan(step, weights, length=steps)
    half = lr * jnp.argmax(learnt > 0.5, axis=0).astype(s.dtype)
    product = half * s
    return {
        "half": half,
        "predicted": predicted,
        "variation": jnp.std(product) / jnp.mean(product),
        "learnt": learnt[-1],
    }


@functools.partial(jax.jit, static_argnames=("depth", "steps", "saves"))
def descend(depth, lr, steps, saves=200):
    """Gradient descent on aligned weights: the time and modes at `saves` moments."""
    y = target()
    weights = dl.aligned(y, STARTS[depth], depth)

    def step(weights, _):
        grads = jax.grad(dl.loss)(weights, y)
        return [w - lr * g for w, g in zip(weights, grads, strict=True)], None

    def group(weights, _):
        weights, _ = jax.lax.scan(step, weights, length=steps // saves)
        return weights, dl.modes(weights, y)

    modes = jax.lax.scan(group, weights, length=saves)[1]
    return lr * (steps // saves) * jnp.arange(1, saves + 1), modes


@jax.jit
def solve(depths, powers, ts):
    """u̇ = D·u^power·(s − u), a row of `depths` and `powers` for each start."""
    start = jnp.asarray(list(STARTS.values()) * 2)[: depths.size]
    s = jnp.asarray(STRENGTHS)
    field = lambda t, u, args: depths[:, None] * u ** powers[:, None] * (s[None] - u)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        ts[-1],
        None,
        jnp.tile(start[:, None], s.size),
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
        max_steps=100_000,
    ).ys


@jax.jit
@jax.vmap
def drift(rates):
    """How far the conserved matrices of three random layers move along the flow, over
    how far W₁W₁ᵀ does. Unequal `rates` of the layers break the law."""
    y = target()
    keys = jax.random.split(jax.random.key(3), 3)
    start = [0.5 * jax.random.normal(k, y.shape) for k in keys]

    def field(t, weights, args):
        grads = jax.grad(dl.loss)(weights, y)
        return [-r * g for r, g in zip(rates, grads, strict=True)]

    end = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        HORIZON,
        None,
        start,
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
        max_steps=100_000,
    ).ys
    assert end is not None
    end = [w[-1] for w in end]
    pairs = zip(dl.conserved(start), dl.conserved(end), strict=True)
    moved = jnp.stack([jnp.max(jnp.abs(b - a)) for a, b in pairs])
    grown = end[0] @ end[0].T - start[0] @ start[0].T
    return jnp.max(moved) / jnp.max(jnp.abs(grown))


def student(size, load, key, ts):
    """Test error at `ts` of one student: gradient flow on one drawn training set."""
    kx, kw, ke, ks = jax.random.split(key, 4)
    samples = round(load * size)
    x = jax.random.normal(kx, (size, samples)) / size**0.5
    teacher = jax.random.normal(kw, (size,)) * (SIGNAL / 2) ** 0.5
    first = jax.random.normal(ks, (size,)) * (SIGNAL / 2) ** 0.5
    noise = jax.random.normal(ke, (samples,)) * NOISE**0.5
    values, basis = jnp.linalg.eigh(x @ x.T)
    values = jnp.where(values > 1e-10, values, 0)
    away, force = basis.T @ (first - teacher), basis.T @ (x @ noise)

    def at(t):
        gain = -jnp.expm1(-values * t) / jnp.where(values > 0, values, 1)
        apart = jnp.exp(-values * t) * away + gain * force
        return jnp.mean(apart**2) + NOISE

    return jax.vmap(at)(ts)


def measure(config: Config, progress) -> dict:
    steps = round(HORIZON / config.lr)
    ts = jnp.logspace(-1, 2, 31)
    theory = functools.partial(gen.generalization_error, signal=SIGNAL, noise=NOISE)

    def teach(load):
        one = functools.partial(student, config.size, load)
        every = jax.jit(lambda keys: jax.lax.map(lambda k: one(k, ts), keys))
        curve = jax.jit(jax.vmap(theory, (0, None)), static_argnums=1)
        return {
            "t": np.asarray(ts),
            "seen": every(jax.random.split(jax.random.key(17), config.seeds)),
            "theory": curve(ts, load),
            "inverse": curve(ts, 1 / load),
        }

    def scattered():
        go = jax.jit(jax.vmap(run, (None, 0)))
        return {s: go(s, jnp.arange(config.networks)) for s in config.scales}

    def curves():
        times = descend(2, config.lr, steps)[0]
        depths = jnp.asarray([2.0, 3.0, 4.0, 2.0, 3.0, 4.0])
        powers = jnp.where(jnp.arange(6) < 3, 2 - 2 / depths, 2 - 1 / depths)
        return solve(depths, powers, times)

    jobs = {
        **{
            f"{d} layers": functools.partial(descend, d, config.lr, steps)
            for d in STARTS
        },
        "curves": curves,
        "drift": lambda: drift(jnp.asarray([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]])),
        "random": scattered,
        **{f"P/N = {load:g}": functools.partial(teach, load) for load in config.loads},
    }
    return {"config": config, **together(jobs, progress)}


def claims(results) -> list[Claim]:
    config, curves = results["config"], results["curves"]
    s = np.asarray(STRENGTHS)
    found = [results[f"{d} layers"][1] for d in STARTS]
    ts = results["2 layers"][0]
    closed = np.asarray(dl.two_layer(ts[:, None], s[None], STARTS[2]))
    slow = np.asarray(dl.two_layer(ts[:, None], s[None], STARTS[2], tau=2.0))
    ode = [np.max(np.abs(f - curves[:, k]) / s) for k, f in enumerate(found)]
    wrong = [np.max(np.abs(f - curves[:, k + 3]) / s) for k, f in enumerate(found)]
    random = results["random"]
    smallest = random[min(config.scales)]
    delay = {
        scale: np.max(np.abs(r["half"] / r["predicted"] - 1))
        for scale, r in random.items()
    }
    spread = ", ".join(
        f"{100 * r['variation'].mean():.1f} % at {scale:g}"
        for scale, r in sorted(random.items(), reverse=True)
    )
    students = {load: results[f"P/N = {load:g}"] for load in config.loads}
    means = {load: seen["seen"].mean(axis=0) for load, seen in students.items()}
    off = {k: np.max(np.abs(means[k] / v["theory"] - 1)) for k, v in students.items()}
    inverse = {
        k: np.max(np.abs(means[k] / v["inverse"] - 1))
        for k, v in students.items()
        if k != 1
    }
    one = max(np.max(np.abs(v["seen"] / v["theory"] - 1)) for v in students.values())
    dip = students[1.0]
    claim = functools.partial(Claim.judged, SOURCE)
    advani = functools.partial(Claim.judged, ADVANI)
    step = f"dt = {config.lr:g}, u/s of modes s = {STRENGTHS}"
    drawn = f"N = {config.size}, mean of {config.seeds} seeds"
    return [
        claim(
            "18",
            "2 layers, gradient descent: farthest from the closed form u(t)",
            np.max(np.abs(found[0] - closed) / s),
            "≤ 1e-3",
            step,
        ),
        claim(
            "18a",
            "2, 3, 4 layers: farthest from the solution of u̇ = D·u^(2−2/D)·(s − u)",
            max(ode),
            "≤ 1e-3",
            f"{step}; " + ", ".join(f"{e:.1e}" for e in ode),
            (min(ode), max(ode)),
        ),
        Claim.judged(
            "Arora, Cohen, Hazan, arXiv:1802.06509",
            "18b",
            "3 random layers, flow: W_{l+1}ᵀW_{l+1} − W_lW_lᵀ moves, relative to W₁W₁ᵀ",
            results["drift"][0],
            "≤ 1e-9",
            "diffrax Tsit5, rtol 1e-10",
        ),
        claim(
            "18c",
            "random weights, half learnt at (1/2s)·ln(s/‖p‖² − 1): relative error",
            delay[min(config.scales)],
            "≤ 0.05",
            f"weights {min(config.scales):g}, {smallest['half'].size} modes, 64 hidden;"
            f" t_½·s varies by {spread}",
        ),
        advani(
            "18d",
            "student of a noisy teacher: test error over the formula, less 1, any time",
            max(off.values()),
            "≤ 0.05",
            f"{drawn}, P/N = {', '.join(f'{k:g}' for k in off)}; one seed: {one:.2f}",
            (min(off.values()), max(off.values())),
        ),
        advani(
            "18e",
            "the formula for t → ∞ against σ²/(α−1)+σ², (1−α)S+σ²α/(1−α)+σ²",
            max(
                abs(_late(load) / gen.limit(load, signal=SIGNAL, noise=NOISE) - 1)
                for load in (0.25, 0.5, 2.0, 4.0)
            ),
            "≤ 1e-9",
            "relative; P/N = 0.25, 0.5, 2, 4, quadrature of 512 points",
        ),
        advani(
            "18f",
            "P = N: test error at its least over that at the end (early stopping pays)",
            means[1.0].min() / means[1.0][-1],
            "≤ 0.5",
            f"{drawn}; least at t = {dip['t'][means[1.0].argmin()]:.2g}, formula: "
            f"{dip['t'][dip['theory'].argmin()]:.2g}",
        ),
        claim(
            "18ax",
            "claim 18a with the exponent 2 − 1/D: the least error",
            min(wrong),
            "≥ 0.1 rejected",
        ),
        claim(
            "18bx",
            "claim 18b with the middle layer trained twice as fast",
            results["drift"][1],
            "≥ 0.01 rejected",
        ),
        claim(
            "18x",
            "claim 18 without the 2 of e^(2st/τ)",
            np.max(np.abs(found[0] - slow) / s),
            "≥ 0.1 rejected",
        ),
        advani(
            "18dx",
            "claim 18d with N/P in place of P/N: the least error of P ≠ N",
            min(inverse.values()),
            "≥ 0.2 rejected",
        ),
    ]


def _late(load):
    return float(gen.generalization_error(1e9, load, signal=SIGNAL, noise=NOISE))


def figures(results) -> dict:
    colors = [COLORS[c] for c in ("blue", "vermilion", "green", "purple")]
    layers, axes = new_figure(1, 2, size=(7.6, 3.0), sharey=True)
    for k, (axis, depth) in enumerate(zip(axes[0], (2, 4), strict=True)):
        ts, found = results[f"{depth} layers"]
        curve = results["curves"][:, 2 * k]
        for j, color in enumerate(colors):
            axis.plot(ts, found[:, j], color=color, lw=3, alpha=0.4)
            axis.plot(ts, curve[:, j], color=color, lw=1)
            axis.text(HORIZON, found[-1, j] - 0.25, f"s = {STRENGTHS[j]:g}", ha="right")
        axis.set(xlabel="time", title=f"{depth} layers: every mode is a step")
    axes[0, 0].plot([], [], color=colors[0], lw=1, label="theory")
    axes[0, 0].plot([], [], color=colors[0], lw=3, alpha=0.4, label="descent")
    axes[0, 0].set_ylabel("strength u of the mode")
    axes[0, 0].set_ylim(-0.9, None)
    axes[0, 0].legend(loc="lower right", ncols=2)
    both, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    for (scale, r), color in zip(results["random"].items(), colors, strict=False):
        times = np.ravel(r["predicted"]), np.ravel(r["half"])
        left.plot(*times, "o", ms=3, color=color, label=f"{scale:g}")
    ends = [0, left.get_xlim()[1]]
    left.plot(ends, ends, color=COLORS["grey"], lw=0.8)
    left.set(xlabel="(1/2s)·ln(s/‖p‖² − 1)", ylabel="half learnt at")
    left.set_title("Not aligned: the same time")
    left.legend(title="first weights", loc="upper left")
    loads = results["config"].loads
    shades = [COLORS[c] for c in ("blue", "vermilion", "green", "purple", "orange")]
    for k, load in enumerate(loads):
        seen, color = results[f"P/N = {load:g}"], shades[k % len(shades)]
        right.plot(seen["t"], seen["seen"].T, color=color, lw=0.5, alpha=0.35)
        right.plot(seen["t"], seen["theory"], "--", color="black", lw=1)
        right.plot([], [], color=color, label=f"P/N = {load:g}")
    right.set(xscale="log", xlabel="time", ylabel="test error", ylim=(0, 2))
    right.set_title("Students, and the formula (dashed)")
    right.legend(loc="upper left")
    return {"modes": layers, "times and students": both}
