"""Cautious updates move only along coordinates with g∘u > 0, u the step of any method.

Along the flow the loss f and the energy H of the method both fall, H no slower than
without the mask. With steps of finite length f may rise, though far more rarely; the
thresholded mask 1(g∘u ≥ (Lε/2)u∘u) never lets it, at any ε. Where all coordinates agree
the customary factor n/(nnz + 1) is below 1, and then H can rise: it is claimed without.
"""

import dataclasses
import functools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import kappa as K
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.optim.adam import Adam
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    states: int = 20_000  # random ones, for each method
    steps: int = 400
    starts: int = 64
    horizon: float = 12.0
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(states=400_000, steps=4000, starts=2000, horizon=60.0),
    "full": Config(states=4_000_000, steps=40_000, starts=20_000, horizon=60.0),
}
SPACE = {
    "lr": (1e-3, 1e-2, 1e-1),
    "momentum": (0.5, 0.9, 0.99),
    "seed": (0, 1, 2),
}
LR, SIZE, FEATURES = 1e-2, 6, 24
CURVATURES = np.array([4.0, 1.0])  # f = 4w₁² + w₂², as in the paper
LONG = (1e-3, 1e-2, 3e-2, 1e-1, 0.3, 1.0)  # ε of the thresholded mask


def methods() -> dict:
    """Methods with H = f + K(state)."""
    return {
        "heavy ball": dx.HeavyBall(0.1),
        "Lion": dx.LionKappa(K.L1()),
        "smooth Lion": dx.LionKappa(K.SoftAbs(0.1)),
        "Adam": Adam(bias_correction=False),
    }


def loss(seed, size=SIZE):
    """Smooth and not convex: f(x) = 0.05‖x‖² + Σ sin(w·x + b)/√K, and an L."""
    kw, kb = jax.random.split(jax.random.key(seed))
    w = jax.random.normal(kw, (FEATURES, size))
    b = 2 * jnp.pi * jax.random.uniform(kb, (FEATURES,))

    def f(x):
        waves = jnp.sin(jnp.sum(w * x[None], axis=1) + b)
        return 0.05 * jnp.sum(x**2) + jnp.sum(waves) / FEATURES**0.5

    # ‖∇²f‖ ≤ 0.1 + ‖Σ wwᵀ‖/√K
    return f, 0.1 + jnp.linalg.norm(w, 2) ** 2 / FEATURES**0.5


def bowl(w):
    return jnp.sum(CURVATURES * w**2)


def pointwise(name, opt, config) -> dict:
    """Ḣ and ḟ of the masked flow at random states, by one jvp; D as claimed."""
    masked = dx.CautiousHamiltonian(opt)
    flows = {"masked": masked, "scaled": dx.Cautious(opt), "bare": opt}
    f, _ = loss(config.seed)

    @jax.vmap
    def at(key):
        keys = jax.random.split(key, 3)
        x = 2 * jax.random.normal(keys[0], (SIZE,))
        zero = opt.init(x)
        state = jax.tree.map(lambda a: jax.random.normal(keys[1], a.shape), zero)
        if name == "Adam":
            v = jax.random.normal(keys[2], x.shape) ** 2
            state = zero._replace(m=state.m, v=v)
        g = jax.grad(f)(x)
        # H is linear in the direction: one linearisation, three flows
        _, slope = jax.linearize(lambda x, s: opt.energy(0.0, x, s, f(x), LR), x, state)
        rate = {k: o.flow(0.0, x, state, g, LR) for k, o in flows.items()}
        d = masked.dissipation(0.0, x, state, g, LR)
        fall = slope(*rate["masked"])
        return {
            "H": fall,
            "f": jnp.sum(g * rate["masked"][0]),
            "identity": jnp.abs(fall + d) / (1 + d),
            "slower": fall - slope(*rate["bare"]),
            "scaled": slope(*rate["scaled"]),
        }

    found = jax.jit(at)(jax.random.split(jax.random.key(config.seed), config.states))
    return {k: float(jnp.max(v)) for k, v in found.items()}


@eqx.filter_jit
def along(opt, ts):
    """f and H along the flow of the heavy ball, masked or not (Tsit5).

    f is a sum over coordinates: where they are coupled, the masked flow slides along
    gᵢ = 0 (Filippov), and no adaptive solver follows.
    """
    f = lambda x: jnp.sum(jnp.cos(2 * x) + jnp.arange(1.0, SIZE + 1) * x**2 / 4)
    system = dx.LyapunovFlow(opt, f, 1.0)
    start = 2 * jnp.linspace(-1.0, 1.0, SIZE), opt.init(jnp.zeros(SIZE))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(system.field),
        diffrax.Tsit5(),
        ts[0],
        ts[-1],
        None,
        start,
        stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
        saveat=diffrax.SaveAt(
            ts=ts, fn=lambda t, y, args: (f(y[0]), system.energy(t, y))
        ),
        max_steps=100_000,
    )
    return solution.ys


def descend(opt, f, x, lr, steps):
    """f along the map, which starts anew from x."""

    def body(carry, _):
        x, state = carry
        carry = opt.step(x, state, jax.grad(f)(x), lr)
        return carry, f(carry[0])

    values = jax.lax.scan(body, (x, opt.init(x)), length=steps)[1]
    return jnp.concatenate([f(x)[None], values])


def rises(values, size=0.0):
    """Steps on which f rose by more than round-off, terms of `size` summed in it."""
    allowed = 16 * jnp.finfo(values.dtype).eps * (size + jnp.abs(values[..., :-1]))
    return jnp.sum(values[..., 1:] - values[..., :-1] > allowed, axis=-1)


def run(lr, momentum, seed, steps=400) -> dict:
    """Rises of f in `steps` steps from a random start, and where it ends."""
    x = 2 * jax.random.normal(jax.random.key(seed), (2,))
    gdm = dx.Momentum(momentum)
    found = {}
    for name, opt in (
        ("gdm", gdm),
        ("cautious", dx.Cautious(gdm, scaled=False)),
        ("scaled", dx.Cautious(gdm)),
        ("thresholded", dx.ThresholdedCautious(gdm, 8.0)),
    ):
        values = descend(opt, bowl, x, lr, steps)
        found |= {f"{name}_rises": rises(values), f"{name}_end": values[-1]}
    return found


def thresholded(config) -> dict:
    """Rises on the loss that is not convex, with L and L/10 in the mask: (ε, start)."""
    f, smoothness = loss(config.seed)
    keys = jax.random.split(jax.random.key(config.seed), config.starts)
    xs = jax.vmap(lambda key: 2 * jax.random.normal(key, (SIZE,)))(keys)

    def one(share, lr, x):
        opt = dx.ThresholdedCautious(dx.Momentum(), share * smoothness)
        values = descend(opt, f, x, lr, config.steps)
        # Σ sin/√K, and 0.05‖x‖² by the same again
        return rises(values, 2 * FEATURES**0.5), values[0] - values[-1]

    for axes in ((None, None, 0), (None, 0, None), (0, None, None)):
        one = jax.vmap(one, axes)
    counts, fall = jax.jit(one)(jnp.array([1.0, 0.1]), jnp.asarray(LONG), xs)
    return {"rises": np.asarray(counts), "fall": np.asarray(fall)}


def states(results) -> dict:
    found, cases = {}, methods()
    for k, (name, opt) in enumerate(cases.items()):
        results.tell(k / len(cases), f"random states: {name}")
        found[name] = pointwise(name, opt, results.config)
    return found


def times(results):
    return jnp.linspace(0.0, results.config.horizon, 601)


def flows(results) -> dict:
    ball, ts = dx.HeavyBall(0.5), times(results)
    masked = dx.CautiousHamiltonian(ball)
    cases = {"heavy ball": ball, "cautious": masked}
    return {name: jax.device_get(along(opt, ts)) for name, opt in cases.items()}


def maps(results) -> dict:
    config = results.config
    seeds = config.seed + jnp.arange(config.starts)
    go = functools.partial(run, steps=config.steps)
    return jax.device_get(jax.jit(jax.vmap(go, (None, None, 0)))(LR, 0.9, seeds))


def paths(results) -> dict:
    """f along the map from (1, 1)."""
    one, gdm = jnp.ones(2), dx.Momentum(0.9)
    shown = {
        "GDM": gdm,
        "cautious": dx.Cautious(gdm, scaled=False),
        "thresholded": dx.ThresholdedCautious(gdm, 8.0),
    }
    follow = jax.jit(lambda opt: descend(opt, bowl, one, LR, results.config.steps))
    return {name: np.asarray(follow(opt)) for name, opt in shown.items()}


PARTS = {
    "states": states,
    "flows": flows,
    "maps": maps,
    "paths": paths,
    "thresholded": lambda r: thresholded(r.config),
}


def worst(results, key) -> Measured:
    top = {name: v[key] for name, v in results["states"].items()}
    return largest(top, f"{', '.join(top)}; {results.config.states} states each")


def step(results, name, which=slice(None)) -> float:
    """The largest rise of f and H between save points."""
    return max(np.max(np.diff(v)) for v in results["flows"][name][which])


def never(results) -> Measured:
    right = results["thresholded"]["rises"][0]
    still = np.mean(results["thresholded"]["fall"][0] == 0, axis=1)
    text = f"ε = {', '.join(f'{lr:g}' for lr in LONG)}; {right.shape[1]} starts, of "
    text += f"which {', '.join(f'{s:.0%}' for s in still)} never moved; f not convex"
    return Measured(right.sum(), text)


def rarer(results) -> Measured:
    masked, plain = (results["maps"][f"{k}_rises"] for k in ("cautious", "gdm"))
    first = {name: int(rises(v)) for name, v in results["paths"].items()}
    ends = ", ".join(f"{k} {v[-1]:.0e}" for k, v in results["paths"].items())
    text = f"{len(plain)} starts; from (1, 1): {first['cautious']} against "
    text += f"{first['GDM']}; f at the end: {ends}"
    share = masked / plain
    return Measured(masked.sum() / plain.sum(), text, (np.min(share), np.max(share)))


def tenth(results) -> Measured:
    wrong = results["thresholded"]["rises"][1]
    return Measured(wrong.sum(), f"{np.mean(wrong > 0):.0%} of the runs")


SIGN = "0, and round-off of sums of 6 terms"
CLAIMS = [
    Claim(
        "10",
        "largest Ḣ of the masked flow at random states, by one jvp",
        at_most(1e-12, SIGN),
        functools.partial(worst, key="H"),
    ),
    Claim(
        "10a",
        "largest ḟ of the masked flow",
        at_most(1e-12, SIGN),
        functools.partial(worst, key="f"),
    ),
    Claim(
        "10b",
        "largest Ḣ(with mask) − Ḣ(without), at the same state",
        at_most(1e-12, SIGN),
        functools.partial(worst, key="slower"),
    ),
    Claim(
        "10c",
        "|Ḣ + D|/(1 + D), D as claimed",
        at_most(1e-12, "round-off of two sums of 6 terms"),
        functools.partial(worst, key="identity"),
    ),
    Claim(
        "10d",
        "along a solve of the masked heavy ball, the largest rise of f or H",
        at_most(1e-10, "rtol 1e-8 of what falls between two of 601 points"),
        lambda r: step(r, "cautious"),
    ),
    Claim(
        "10e",
        "thresholded mask: steps on which f rose",
        equals(0, "a count, past round-off"),
        never,
    ),
    Claim(
        "10f",
        "plain mask on 4w₁² + w₂², ε = 0.01, β = 0.9: its rises of f / GDM's",
        at_most(0.25, "far more rarely: here, a quarter"),
        rarer,
    ),
    Control(
        "10x",
        "claim 10d without mask: the largest rise of f",
        at_least(1e-3, "far above the solver's tolerance"),
        lambda r: step(r, "heavy ball", slice(1)),
        of="10d",
    ),
    Control(
        "10y",
        "claim 10e with a tenth of L in the mask",
        at_least(1, "one is enough"),
        tenth,
        of="10e",
    ),
    Control(
        "10z",
        "claim 10 for the mask with its factor n/(nnz + 1): largest Ḣ",
        at_least(0.01, "far above round-off"),
        functools.partial(worst, key="scaled"),
        of="10",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    t = times(results)
    for name, color in (("heavy ball", "vermilion"), ("cautious", "blue")):
        f, h = results["flows"][name]
        left.plot(t, h, "--", color=COLORS[color], lw=1, label=f"{name}: H")
        left.plot(t, f, color=COLORS[color], label=f"{name}: f")
    left.set(xlabel="t", ylabel="f, H")
    left.set_title("Flow: f and H both fall")
    colors = {"GDM": "vermilion", "cautious": "blue", "thresholded": "green"}
    for name, values in results["paths"].items():
        label = f"{name}: {int(rises(values))} rises"
        right.plot(np.maximum(values, 1e-36), color=COLORS[colors[name]], label=label)
    right.set(xlabel="step", ylabel="f", yscale="log")
    right.set_title("Map: f = 4w₁² + w₂², ε = 0.01")
    for ax in (left, right):
        legend_below(ax)
    return {"H of the cautious flow falls, and f rises less often.": figure}


STUDY = Study(
    "Cautious: H and the loss both fall",
    "Liang, Chen, Liu, Liu, arXiv:2411.16085, Theorems 2.1 and 2.4",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
