"""Lion-κ solves min f(x) + (1/λ)κ*(λx): κ alone decides the constraint and the penalty.

From outside, dist(λx_t) ≤ (1 − ελ)ᵗ dist(λx₀) until x is in the domain of κ*, which it
never leaves again (phase 1); inside, S(x) = κ(−∇f) + ⟨λx, ∇f⟩ → 0 (phase 2). For every
κ of the library the last iterate lies on the optimum that an independent solver gives.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from dynax import LionKappa, kappa as K
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.report import (
    COLORS,
    histogram_figure,
    legend_below,
    new_figure,
    trajectory_figure,
)
from dynax.study import Study
from experiments.lion._solvers import library


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 10_000  # with every κ, ε falling from 0.1 to 1e-4
    starts: int = 64  # outside, for phase 1
    box_steps: int = 100_000  # of Lion on the box at three ε
    weights: int = 20  # n of the box problem
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(steps=100_000, starts=1000, box_steps=1_000_000),
    "full": Config(steps=1_000_000, starts=2000, box_steps=1_000_000, weights=100),
}
SPACE = {
    "lr": (1e-2, 1e-3, 1e-4),
    "weight_decay": (0.5, 1.0, 2.0),
    "beta1": (0.9, 0.95),
    "beta2": (0.98, 0.99),
    "seed": (0, 1, 2),
}
DIMS = {"S": ["step"], "f": ["step"], "x": ["coordinate"]}
LAM = 0.8
BOX = (1e-2, 1e-3, 1e-4)


def follow(opt, grad, x, lr, steps):
    """The iterates x₁ … x_T; lr: step → ε."""

    def body(carry, step):
        x, state = carry
        x, state = opt.step(x, state, grad(x), lr(step))
        return (x, state), x

    return jax.lax.scan(body, (x, opt.init(x)), jnp.arange(float(steps)))[1]


def landing(kappa, b, lam, steps):
    """min ½‖x − b‖² + (1/λ)κ*(λx) from 0, with ε falling from 0.1 to 1e-4."""
    rate = lambda step: 0.1 * 10 ** (-3 * step / steps)
    opt = LionKappa(kappa, weight_decay=lam)
    return follow(opt, lambda x: x - b, jnp.zeros_like(b), rate, steps)


def arrival(kappa, x, b, lr, lam, steps=400):
    """Phase 1: the same f at a constant ε."""
    opt = LionKappa(kappa, weight_decay=lam)
    return follow(opt, lambda x: x - b, x, lambda _: lr, steps)


def box_problem(seed, n):
    keys = jax.random.split(jax.random.key(seed), 3)
    A, b = jax.random.normal(keys[0], (n, n)), jax.random.normal(keys[1], (n,))
    Q = A @ A.T / n + jnp.eye(n) / 10
    L = jnp.linalg.norm(Q, 2)
    return Q / L, b / L, jax.random.uniform(keys[2], (n,), minval=-1.0)


def run(lr, weight_decay, beta1, beta2, seed, steps=2000, n=20) -> dict:
    """Lion on min ½xᵀQx − bᵀx, ‖x‖_∞ ≤ 1/λ: S(x) and f along the last tenth."""
    Q, b, x = box_problem(seed, n)
    grad = lambda x: Q @ x - b
    opt = LionKappa(K.L1(), beta1, beta2, weight_decay)
    xs = follow(opt, grad, x / weight_decay, lambda _: lr, steps)
    tail = xs[-(steps // 10) :]
    g = jax.vmap(grad)(tail)
    return {
        "S": jnp.sum(jnp.abs(g) + weight_decay * tail * g, axis=-1),
        "f": jnp.sum(tail * (g - b[None]), axis=-1) / 2,
        "x": xs[-1],
    }


DUALS = {  # κ, the norm whose ball is its domain, and the power of x that ∇κ undoes
    "ℓ₁: box": (K.L1(), lambda y: np.max(np.abs(y), axis=(-2, -1)), 1),
    "ℓ₁.₅: ℓ₃ ball": (
        K.Lp(1.5),
        lambda y: np.sum(np.abs(y) ** 3, (-2, -1)) ** (1 / 3),
        2,
    ),
    "nuclear: spectral ball": (
        K.nuclear(),
        lambda y: np.linalg.norm(y, 2, (-2, -1)),
        1,
    ),
}
RATES = (0.05, 1.5)  # ε of phase 1: a proper one, and the control ελ > 1


def phase_one(config: Config) -> dict:
    """dist(λx_t) from several starts, at both ε. From outside, f pulls further out:
    V stays λx/‖λx‖ and the bound is attained. From inside, f pulls to the edge."""
    rng = np.random.default_rng(config.seed)
    far = rng.normal(size=(config.starts, 4, 4)) * rng.uniform(
        3, 30, (config.starts, 1, 1)
    )
    found = {}
    for name, (kappa, norm, power) in DUALS.items():
        inside = 0.9 * far / norm(far)[:, None, None] / LAM
        starts = np.concatenate([far, inside])
        pull = np.concatenate([1e3 * far * np.abs(far) ** (power - 1), 0 * far + 3])
        every = jax.vmap(functools.partial(arrival, kappa), (0, 0, None, None))
        program = jax.jit(jax.vmap(every, (None, None, 0, None)))
        xs = program(jnp.asarray(starts), jnp.asarray(pull), jnp.asarray(RATES), LAM)
        both = np.stack([starts] * 2)[:, :, None]
        xs = np.concatenate([both, xs], axis=2)
        found[name] = np.maximum(norm(LAM * xs) - 1, 0)
    return found


def landed(results) -> dict:
    """By κ: ‖x − x*‖ along the run, of another set's x* at its end, the distance."""
    config, cases, found = results.config, library(), {}
    rng = np.random.default_rng(config.seed)
    for k, (name, (kappa, solve, matrix)) in enumerate(cases.items()):
        results.tell(k / len(cases), f"landing: {name}")
        b = 1.5 * rng.normal(size=(4, 4) if matrix else 8)
        program = jax.jit(functools.partial(landing, kappa, steps=config.steps))
        xs = np.asarray(program(jnp.asarray(b), LAM))
        gap = lambda x, xs=xs: np.linalg.norm((xs - x).reshape(len(xs), -1), axis=1)
        found[name] = {
            "gap": gap(solve(b, LAM)),
            "wrong": gap(solve(b, LAM / 1.1))[-1],
            "outside": float(kappa.distance(LAM * jnp.asarray(xs[-1]))),
        }
    return found


def box(results) -> dict:
    """Lion on the box problem at three ε, f less f* by L-BFGS-B; a larger box too."""
    config, lam = results.config, 2.0
    n, side = config.weights, 1 / lam
    Q, b, x = (np.asarray(a) for a in box_problem(config.seed, n))

    def best(side):
        return scipy.optimize.minimize(
            lambda x: (x @ Q @ x / 2 - b @ x, Q @ x - b),
            x * side,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-side, side)] * n,
            options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10_000},
        )

    right, larger = best(side), best(1.1 * side)
    lion = functools.partial(run, steps=config.box_steps, n=n)
    program = jax.jit(jax.vmap(lion, (0, None, None, None, None)))
    found = jax.device_get(program(jnp.asarray(BOX), lam, 0.9, 0.99, config.seed))
    found["f"] = found["f"] - right.fun
    found |= {"side": side, "optimum": right.x, "larger": larger.fun - right.fun}
    return found | {"apart": np.linalg.norm(found["x"][-1] - larger.x)}


TARGET, START = np.array([2.0, 0.9]), np.array([-2.2, 1.8])


def plane() -> dict:
    """Paths in the plane from outside, at ε = 5e-3: (T, 2), outline, optimum."""
    angle = np.linspace(0, 2 * np.pi, 241)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    R = 1 / LAM
    square = R * circle / np.max(np.abs(circle), 1, keepdims=True)
    p_ball = lambda q: (
        R * circle / np.sum(np.abs(circle) ** q, 1, keepdims=True) ** (1 / q)
    )
    triangle = R * np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    sets = {
        "ℓ₁: box": square,
        "ℓ₁.₅: ℓ₃ ball": p_ball(3.0),
        "ℓ_∞: ℓ₁ ball": p_ball(1.0),
        "sparse ℓ₁: box + ℓ₁": square,
        "Huber: box + ½ℓ₂²": square,
        "log Σ exp: entropy": triangle,
        "support: simplex": triangle,
        "½ℓ₂²: ½ℓ₂²": None,
    }
    found, cases = {}, library()
    for name, outline in sets.items():
        kappa, solve, _ = cases[name]
        opt = LionKappa(kappa, weight_decay=LAM)
        path = jax.jit(
            lambda opt, x: follow(opt, lambda x: x - TARGET, x, lambda _: 5e-3, 2000)
        )
        xs = np.asarray(path(opt, jnp.asarray(START)))
        found[name] = (np.concatenate([START[None], xs]), outline, solve(TARGET, LAM))
    return found


PARTS = {
    "distances": lambda r: phase_one(r.config),
    "landed": landed,
    "box": box,
    "plane": lambda r: plane(),
}


def excess(results, faster=1.0) -> list:
    """dist(λx_t) less the proved rate, the largest of each κ, from outside."""
    outside = [d[0, : d.shape[1] // 2] for d in results["distances"].values()]
    rate = 1 - faster * RATES[0] * LAM
    return [np.max(d - rate ** np.arange(d.shape[-1]) * d[:, :1]) for d in outside]


def inside(results, rate) -> list:
    return [d[rate, d.shape[1] // 2 :].max() for d in results["distances"].values()]


def of_landed(results, key) -> dict:
    return {name: np.ravel(v[key])[-1] for name, v in results["landed"].items()}


def decade(results, key) -> Measured:
    values = results["box"][key]
    means = ", ".join(f"{v:.1e}" for v in values.mean(axis=1))
    factor = np.sqrt(values[0].mean() / values[2].mean())
    return Measured(
        factor, f"means over the last tenth at ε = 1e-2, 1e-3, 1e-4: {means}"
    )


def score(results) -> Measured:
    S, n = results["box"]["S"][0], len(results["box"]["x"][0])
    return Measured(S.min(), f"n = {n}, ‖Q‖ = 1; mean {S.mean():.1e}")


def of_larger(results) -> Measured:
    found = results["box"]
    text = f"‖x − x*‖ = {found['apart']:.2f}"
    return Measured(abs(found["f"][2].mean() - found["larger"]), text)


CLAIMS = [
    Claim(
        "4",
        "from outside, dist(λx_t) − (1 − ελ)ᵗ dist(λx₀), the largest",
        at_most(1e-12, "round-off of norms up to 100, over 400 steps"),
        lambda r: largest(excess(r), ", ".join(DUALS)),
    ),
    Claim(
        "4a",
        "from inside, dist(λx_t), the largest",
        at_most(1e-14, "round-off of a norm of 1"),
        lambda r: largest(inside(r, 0)),
    ),
    Control(
        "4x",
        "claim 4 with a rate 5 % too fast",
        at_least(0.01, "far above round-off"),
        lambda r: smallest(excess(r, 1.05), "of three κ"),
        of="4",
    ),
    Control(
        "4y",
        f"claim 4a with ελ = {RATES[1] * LAM:.1f} > 1",
        at_least(0.01, "far above round-off"),
        lambda r: smallest(inside(r, 1), "of three κ"),
        of="4a",
    ),
    Claim(
        "5",
        "Lion on ½xᵀQx − bᵀx in a box: S(x) at ε = 1e-2, best of the last tenth",
        at_most(1e-2, "first order in ε"),
        score,
    ),
    Claim(
        "5a",
        "S(x) is smaller per decade of ε by the factor",
        at_least(5, "10 for an error of first order; half of it, as runs end"),
        functools.partial(decade, key="S"),
    ),
    Claim(
        "5b",
        "f(x) − f* is smaller per decade of ε by the factor, f* by L-BFGS-B",
        at_least(5, "10 for an error of first order; half of it, as runs end"),
        functools.partial(decade, key="f"),
    ),
    Claim(
        "5c",
        "with every κ, ‖x_T − x*‖ ≤ 10ε_T, ε_T = 1e-4, x* by an independent solver",
        at_most(1e-3, "ten of the last steps"),
        lambda r: largest(of_landed(r, "gap")),
    ),
    Claim(
        "5d",
        "with every κ, the last iterate's distance to the domain of κ*",
        at_most(1e-12, "round-off of a distance, of an SVD for some κ"),
        lambda r: largest(of_landed(r, "outside")),
    ),
    Control(
        "5x",
        "claim 5c with x* of a set 10 % larger (λ/1.1): ‖x_T − x*‖",
        at_least(0.01, "ten times what claim 5c allows"),
        lambda r: smallest(of_landed(r, "wrong")),
        of="5c",
    ),
    Control(
        "5y",
        "claim 5b with f* of a box 10 % larger: |f(x) − f*| at ε = 1e-4",
        at_least(0.01, "far above f(x) − f* of claim 5b"),
        of_larger,
        of="5b",
    ),
]


def figures(results) -> dict:
    planes = results["plane"]
    phases, axes = new_figure(1, 2, size=(7.6, 3.2))
    arrive, settle = axes[0]
    widths = np.linspace(5, 1, len(results["distances"]))  # some of them coincide
    for (name, d), width in zip(results["distances"].items(), widths, strict=True):
        arrive.plot(np.maximum(d[0, 0], 1e-9), label=name, lw=width)
    time = np.arange(results["distances"]["ℓ₁: box"].shape[-1])
    start = results["distances"]["ℓ₁: box"][0, 0, 0]
    proved = start * (1 - RATES[0] * LAM) ** time
    arrive.plot(time, proved, "--", color=COLORS["black"], label="proved, for the box")
    arrive.set(yscale="log", ylim=(1e-6, None), xlabel="step", ylabel="distance of λx")
    arrive.set_title("Phase 1: into the domain")
    look = {"lw": 0.8, "color": COLORS["blue"], "alpha": 0.6}
    for k, case in enumerate(results["landed"].values()):
        every = 50 * np.arange(len(case["gap"][::50]))
        label = None if k else "one κ each"
        settle.plot(every, case["gap"][::50], **look, label=label)
    steps = np.arange(len(every))
    rate = 0.1 * 10 ** (-3 * steps / len(steps))
    settle.plot(every, rate, "--", color=COLORS["black"], label="learning rate ε")
    settle.set(yscale="log", ylim=(1e-8, None), xlabel="step", ylabel="‖x − x*‖")
    settle.set_title(f"Phase 2: onto the optimum, {len(results['landed'])} κ")
    for ax in (arrive, settle):
        legend_below(ax, 1 + (ax is settle))
    side = results["box"]["side"]
    weights = {
        "Lion, ε = 1e-4": results["box"]["x"][2],
        "optimum": results["box"]["optimum"],
    }
    return {
        "From outside, each Lion-κ enters the set that its κ decides, and ends at the "
        "optimum there.": trajectory_figure(
            {name: path for name, (path, _, _) in planes.items()},
            level=lambda X, Y: (X - TARGET[0]) ** 2 + (Y - TARGET[1]) ** 2,
            outlines={
                k: edge for k, (_, edge, _) in planes.items() if edge is not None
            },
            optima={name: best for name, (_, _, best) in planes.items()},
            title="Lion-κ from outside: κ decides the set and the optimum (×)",
        ),
        "First the distance to the domain falls at least as fast as proved, then the "
        "distance to the optimum falls with the learning rate.": phases,
        "The weights of the box problem end in the box, where the optimum has "
        "them.": histogram_figure(weights, side, title="Weights of the box problem"),
    }


STUDY = Study(
    "Lion-κ solves a constrained problem",
    "Chen, Liu, Liang, Liu, arXiv:2310.05898, Sections 3 and 4",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
