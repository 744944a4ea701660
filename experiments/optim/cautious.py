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
from dynax import Claim, kappa as K
from dynax.optim.adam import Adam
from dynax.report import COLORS, new_figure


TITLE = "Cautious: H and the loss both fall"
SOURCE = "Liang, Chen, Liu, Liu, arXiv:2411.16085, Theorems 2.1 and 2.4"


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


def measure(config: Config, progress) -> dict:
    found = {}
    cases = methods()
    for k, (name, opt) in enumerate(cases.items()):
        progress(0.5 * k / len(cases), f"random states: {name}")
        found[name] = pointwise(name, opt, config)
    progress(0.5, "along the flow")
    ts = jnp.linspace(0.0, config.horizon, 601)
    ball = dx.HeavyBall(0.5)
    flows = {
        "heavy ball": jax.device_get(along(ball, ts)),
        "cautious": jax.device_get(along(dx.CautiousHamiltonian(ball), ts)),
    }
    progress(0.7, "maps")
    seeds = config.seed + jnp.arange(config.starts)
    go = functools.partial(run, steps=config.steps)
    maps = jax.device_get(jax.jit(jax.vmap(go, (None, None, 0)))(LR, 0.9, seeds))
    one = jnp.ones(2)
    gdm = dx.Momentum(0.9)
    shown = {
        "GDM": gdm,
        "cautious": dx.Cautious(gdm, scaled=False),
        "thresholded": dx.ThresholdedCautious(gdm, 8.0),
    }
    follow = jax.jit(lambda opt: descend(opt, bowl, one, LR, config.steps))
    paths = {name: np.asarray(follow(opt)) for name, opt in shown.items()}
    progress(0.85, "thresholded masks")
    return {
        "states": found,
        "t": np.asarray(ts),
        "flows": flows,
        "maps": maps,
        "paths": paths,
        "thresholded": thresholded(config),
        "count": config.states,
    }


def claims(results) -> list[Claim]:
    states, maps, paths = results["states"], results["maps"], results["paths"]
    worst = lambda key: max(v[key] for v in states.values())
    many = f"{', '.join(states)}; {results['count']} states each"
    f, h = results["flows"]["cautious"]
    f_plain, h_plain = results["flows"]["heavy ball"]
    right, wrong = results["thresholded"]["rises"]
    still = np.mean(results["thresholded"]["fall"][0] == 0, axis=1)
    masked, plain = maps["cautious_rises"].sum(), maps["gdm_rises"].sum()
    first = {name: int(rises(v)) for name, v in paths.items()}
    ends = ", ".join(f"{name} {v[-1]:.0e}" for name, v in paths.items())
    step = lambda v: float(np.max(v[1:] - v[:-1]))

    claim = functools.partial(Claim.judged, SOURCE)

    return [
        claim(
            "10",
            "largest Ḣ of the masked flow at random states, by one jvp",
            worst("H"),
            "≤ 1e-12",
            many,
        ),
        claim("10a", "largest ḟ of the masked flow", worst("f"), "≤ 1e-12", many),
        claim(
            "10b",
            "largest Ḣ(with mask) − Ḣ(without), at the same state",
            worst("slower"),
            "≤ 1e-12",
            many,
        ),
        claim("10c", "|Ḣ + D|/(1 + D), D as claimed", worst("identity"), "≤ 1e-10"),
        claim(
            "10d",
            "along a solve of the masked heavy ball, the largest rise of f or H",
            max(step(f), step(h)),
            "≤ 1e-10",
            f"{len(f)} save points, Tsit5 at rtol 1e-8",
        ),
        claim(
            "10e",
            "thresholded mask: steps on which f rose",
            right.sum(),
            "≤ 0",
            f"ε = {', '.join(f'{lr:g}' for lr in LONG)}; {right.shape[1]} starts, of "
            f"which {', '.join(f'{s:.0%}' for s in still)} never moved; f not convex",
        ),
        claim(
            "10f",
            "plain mask on 4w₁² + w₂², ε = 0.01, β = 0.9: its rises of f / GDM's",
            masked / plain,
            "≤ 0.25",
            f"{len(maps['gdm_rises'])} starts; from (1, 1): {first['cautious']} "
            f"against {first['GDM']}; f at the end: {ends}",
            (
                float(np.min(maps["cautious_rises"] / maps["gdm_rises"])),
                float(np.max(maps["cautious_rises"] / maps["gdm_rises"])),
            ),
        ),
        claim(
            "10x",
            "claim 10d without mask: the largest rise of f",
            step(f_plain),
            "≥ 1e-3 rejected",
            f"its H rises by {step(h_plain):.0e}",
        ),
        claim(
            "10y",
            "claim 10e with a tenth of L in the mask",
            wrong.sum(),
            "≥ 1 rejected",
            f"{np.mean(wrong > 0):.0%} of the runs",
        ),
        claim(
            "10z",
            "claim 10 for the mask with its factor n/(nnz + 1): largest Ḣ",
            worst("scaled"),
            "≥ 0.01 rejected",
        ),
    ]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    t = results["t"]
    for name, color in (("heavy ball", "vermilion"), ("cautious", "blue")):
        f, h = results["flows"][name]
        left.plot(t, h, "--", color=COLORS[color], lw=1, label=f"{name}: H")
        left.plot(t, f, color=COLORS[color], label=f"{name}: f")
    left.set(xlabel="t", ylabel="f, H")
    left.set_title("Flow: f and H both fall")
    colors = {"GDM": "vermilion", "cautious": "blue", "thresholded": "green"}
    for name, values in results["paths"].items():
        label = f"{name}: f rose on {int(rises(values))} steps"
        right.plot(np.maximum(values, 1e-36), color=COLORS[colors[name]], label=label)
    right.set(xlabel="step", ylabel="f", yscale="log")
    right.set_title("Map: 4w₁² + w₂², ε = 0.01")
    for ax in (left, right):
        ax.legend()
    return {"cautious": figure}
