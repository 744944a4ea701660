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

from dynax import Claim, LionKappa, kappa as K
from dynax.report import COLORS, histogram_figure, new_figure, trajectory_figure


TITLE = "Lion-κ solves a constrained problem"
SOURCE = "Chen, Liu, Liang, Liu, arXiv:2310.05898, Sections 3 and 4"


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

# Independent solvers of min ½‖x − b‖² + (1/λ)κ*(λx) ----------------------------------


def bisect(increasing, low, high):
    """The root of an increasing function, entry by entry."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    for _ in range(200):
        middle = (low + high) / 2
        below = increasing(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def soft(b, theta):
    return np.sign(b) * np.maximum(np.abs(b) - theta, 0)


def powered(b, mu, power):
    """sign(b)·x with x + μxᵖ = |b|."""
    size = np.abs(b)
    return np.sign(b) * bisect(lambda x: x + mu * x**power - size, 0 * b, size)


def on_budget(point, size, budget, most):
    """point(θ) for the least θ ≥ 0 with size(point(θ)) ≤ budget."""
    if size(point(0.0)) <= budget:
        return point(0.0)
    return point(bisect(lambda t: budget - size(point(t)), 0.0, most))


def l1_ball(b, lam, k=1, cap=np.inf):
    point = lambda theta: np.clip(soft(b, theta), -cap, cap)
    return on_budget(point, lambda x: np.abs(x).sum(), k / lam, np.abs(b).max())


def lq_ball(b, lam, q=3.0):
    point = lambda mu: powered(b, mu, q - 1)
    return on_budget(point, lambda x: np.linalg.norm(x, q), 1 / lam, 1e6)


def half_lq(b, lam, q=3.0):
    def point(t):
        return powered(b, lam * t ** (2 - q), q - 1)

    most = np.linalg.norm(b, q)
    return point(bisect(lambda t: t - np.linalg.norm(point(t), q), 1e-9, most))


def entropic(b, lam, delta=0.5):
    """λx = y on the simplex with y/λ + δ ln y = b − ν."""

    def simplex(nu):
        residual = lambda y: y / lam + delta * np.log(y) - b + nu
        return bisect(residual, np.full(b.shape, 1e-300), np.full(b.shape, 50.0))

    return simplex(bisect(lambda nu: 1 - simplex(nu).sum(), -50.0, 50.0)) / lam


def barrier(b, lam, slope):
    """x + slope(λx) = b inside the box."""
    side = np.full(b.shape, (1 - 1e-16) / lam)
    return bisect(lambda x: x + slope(lam * x) - b, -side, side)


def on_simplex(b, lam):
    theta = bisect(lambda t: 1 / lam - np.maximum(b - t, 0).sum(), -50.0, b.max())
    return np.maximum(b - theta, 0)


def on_singular_values(solve):
    def inner(B, lam):
        U, sigma, Vt = np.linalg.svd(B, full_matrices=False)
        return (U * solve(sigma, lam)) @ Vt

    return inner


def box(b, lam):
    return np.clip(b, -1 / lam, 1 / lam)


def soft_box(b, lam, delta=0.2):
    return barrier(b, lam, lambda y: delta * y / np.sqrt((1 - y) * (1 + y)))


def columns(b, lam):
    return b / np.maximum(1, lam * np.linalg.norm(b, axis=0, keepdims=True))


def simplex_vertex(g):
    return jax.nn.one_hot(jnp.argmin(g), g.size, dtype=g.dtype).reshape(g.shape)


def library() -> dict:
    """κ, its independent solver, and whether b is a matrix."""
    top, cap = K.TopK(3), functools.partial(l1_ball, k=3)
    simplex = K.Support(simplex_vertex, zero_in_domain=False)
    smooth = K.OrthogonallyInvariant(K.SoftAbs(0.2))
    return {
        "ℓ₁: box": (K.L1(), box, 0),
        "ℓ₁.₅: ℓ₃ ball": (K.Lp(1.5), lq_ball, 0),
        "ℓ_∞: ℓ₁ ball": (K.LInf(), l1_ball, 0),
        "group ℓ₂: balls": (K.GroupL2(0), columns, 1),
        "top 3: box ∩ ℓ₁ ball": (top, lambda b, lam: cap(b, lam, cap=1 / lam), 0),
        "sparse ℓ₁: box + ℓ₁": (
            K.SparseL1(0.3),
            lambda b, lam: box(soft(b, 0.3), lam),
            0,
        ),
        "Huber: box + ½ℓ₂²": (
            K.Huber(0.3),
            lambda b, lam: box(b / (1 + 0.3 * lam), lam),
            0,
        ),
        "√(m²+δ²): barrier": (K.SoftAbs(0.2), soft_box, 0),
        "log cosh: barrier": (
            K.LogCosh(2.0),
            lambda b, lam: barrier(b, lam, lambda y: np.arctanh(y) / 2),
            0,
        ),
        "log Σ exp: entropy": (K.LogSumExp(0.5), entropic, 0),
        "½ℓ₂²: ½ℓ₂²": (K.HalfSquared(), lambda b, lam: b / (1 + lam), 0),
        "½ℓ₁.₅²: ½ℓ₃²": (K.HalfSquaredLp(1.5), half_lq, 0),
        "quartic: ℓ_4/3": (
            K.Quartic(),
            lambda b, lam: powered(b, np.cbrt(lam), 1 / 3),
            0,
        ),
        "nuclear: spectral ball": (K.nuclear(), on_singular_values(box), 1),
        "spectral: nuclear ball": (K.spectral(), on_singular_values(l1_ball), 1),
        "Ky Fan 2": (
            K.ky_fan(2),
            on_singular_values(lambda s, lam: l1_ball(s, lam, k=2, cap=1 / lam)),
            1,
        ),
        "smooth nuclear": (smooth, on_singular_values(soft_box), 1),
        "support: simplex": (simplex, on_simplex, 0),
    }


# The runs -----------------------------------------------------------------------------


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


def measure(config: Config, progress) -> dict:
    rng = np.random.default_rng(config.seed)
    cases, landed = library(), {}
    for k, (name, (kappa, solve, matrix)) in enumerate(cases.items()):
        progress(0.5 * k / len(cases), f"landing: {name}")
        b = 1.5 * rng.normal(size=(4, 4) if matrix else 8)
        program = jax.jit(functools.partial(landing, kappa, steps=config.steps))
        xs = np.asarray(program(jnp.asarray(b), LAM))
        gap = lambda x, xs=xs: np.linalg.norm((xs - x).reshape(len(xs), -1), axis=1)
        landed[name] = {
            "gap": gap(solve(b, LAM)),
            "wrong": gap(solve(b, LAM / 1.1))[-1],
            "outside": float(kappa.distance(LAM * jnp.asarray(xs[-1]))),
        }
    progress(0.5, "phase 1")
    distances = phase_one(config)
    progress(0.7, "Lion on a box")
    lam, n = 2.0, config.weights
    Q, b, x = (np.asarray(a) for a in box_problem(config.seed, n))
    best = {}
    for side in (1 / lam, 1.1 / lam):
        best[side] = scipy.optimize.minimize(
            lambda x: (x @ Q @ x / 2 - b @ x, Q @ x - b),
            x * side,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-side, side)] * n,
            options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10_000},
        )
    lion = functools.partial(run, steps=config.box_steps, n=n)
    program = jax.jit(jax.vmap(lion, (0, None, None, None, None)))
    box_runs = jax.device_get(program(jnp.asarray(BOX), lam, 0.9, 0.99, config.seed))
    right, larger = (best[side] for side in (1 / lam, 1.1 / lam))
    progress(0.9, "in the plane")
    return {
        "landed": landed,
        "distances": distances,
        "box": box_runs | {"f": box_runs["f"] - right.fun, "side": 1 / lam},
        "larger": (
            larger.fun - right.fun,
            np.linalg.norm(box_runs["x"][-1] - larger.x),
        ),
        "optimum": right.x,
        "plane": plane(),
    }


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


def claims(results) -> list[Claim]:
    landed, box_runs = results["landed"], results["box"]
    outside = {k: d[0, : d.shape[1] // 2] for k, d in results["distances"].items()}
    inside = {k: d[:, d.shape[1] // 2 :] for k, d in results["distances"].items()}
    gap = {name: v["gap"][-1] for name, v in landed.items()}
    last = max(gap, key=gap.__getitem__)
    S, f = box_runs["S"], box_runs["f"]
    decade = lambda v: float(np.sqrt(v[0].mean() / v[2].mean()))
    means = lambda v: ", ".join(f"{a:.1e}" for a in v.mean(axis=1))

    def excess(d, faster=1.0):
        bound = (1 - faster * RATES[0] * LAM) ** np.arange(d.shape[-1]) * d[:, :1]
        return float(np.max(d - bound))

    claim = functools.partial(Claim.judged, SOURCE)

    return [
        claim(
            "4",
            "from outside, dist(λx_t) − (1 − ελ)ᵗ dist(λx₀), the largest",
            max(excess(d) for d in outside.values()),
            "≤ 1e-12",
            f"{', '.join(DUALS)}; {len(outside['ℓ₁: box'])} starts each",
        ),
        claim(
            "4a",
            "from inside, dist(λx_t), the largest",
            max(d[0].max() for d in inside.values()),
            "≤ 1e-12",
        ),
        claim(
            "4x",
            "claim 4 with a rate 5 % too fast",
            min(excess(d, 1.05) for d in outside.values()),
            "≥ 0.01 rejected",
            "the least of the three κ",
        ),
        claim(
            "4y",
            f"claim 4a with ελ = {RATES[1] * LAM:.1f} > 1",
            min(d[1].max() for d in inside.values()),
            "≥ 0.01 rejected",
            "the least of the three κ",
        ),
        claim(
            "5",
            "Lion on ½xᵀQx − bᵀx in a box: S(x) at ε = 1e-2, best of the last tenth",
            S[0].min(),
            "≤ 1e-2",
            f"n = {len(box_runs['x'][0])}, ‖Q‖ = 1; mean {S[0].mean():.1e}",
        ),
        claim(
            "5a",
            "S(x) is smaller per decade of ε by the factor",
            decade(S),
            "≥ 5",
            f"means over the last tenth at ε = 1e-2, 1e-3, 1e-4: {means(S)}",
        ),
        claim(
            "5b",
            "f(x) − f* is smaller per decade of ε by the factor, f* by L-BFGS-B",
            decade(f),
            "≥ 5",
            f"means over the last tenth: {means(f)}",
        ),
        claim(
            "5c",
            "with every κ, ‖x_T − x*‖ ≤ 10ε_T, ε_T = 1e-4, x* by an independent solver",
            gap[last],
            "≤ 1e-3",
            f"{len(gap)} κ; worst: {last}",
            (float(min(gap.values())), float(gap[last])),
        ),
        claim(
            "5d",
            "with every κ, the last iterate's distance to the domain of κ*",
            max(v["outside"] for v in landed.values()),
            "≤ 1e-12",
        ),
        claim(
            "5x",
            "claim 5c with x* of a set 10 % larger (λ/1.1): ‖x_T − x*‖",
            min(v["wrong"] for v in landed.values()),
            "≥ 0.01 rejected",
            f"the least of {len(gap)} κ",
        ),
        claim(
            "5y",
            "claim 5b with f* of a box 10 % larger: |f(x) − f*| at ε = 1e-4",
            abs(f[2].mean() - results["larger"][0]),
            "≥ 0.01 rejected",
            f"‖x − x*‖ = {results['larger'][1]:.2f}",
        ),
    ]


def figures(results) -> dict:
    planes = results["plane"]
    phases, axes = new_figure(1, 2, size=(7.6, 3.2))
    arrive, settle = axes[0]
    for name, d in results["distances"].items():
        arrive.plot(np.maximum(d[0, 0], 1e-9), label=name)
    time = np.arange(results["distances"]["ℓ₁: box"].shape[-1])
    start = results["distances"]["ℓ₁: box"][0, 0, 0]
    proved = start * (1 - RATES[0] * LAM) ** time
    arrive.plot(time, proved, "--", color=COLORS["black"], label="proved, for the box")
    arrive.set(yscale="log", ylim=(1e-6, None), xlabel="step", ylabel="distance of λx")
    arrive.set_title("Phase 1: into the domain")
    for case in results["landed"].values():
        settle.plot(case["gap"][::50], lw=0.8, color=COLORS["blue"], alpha=0.6)
    steps = np.arange(len(case["gap"][::50]))
    rate = 0.1 * 10 ** (-3 * steps / len(steps))
    settle.plot(steps, rate, "--", color=COLORS["black"], label="ε")
    settle.set(yscale="log", ylim=(1e-8, None), xlabel="step / 50", ylabel="‖x − x*‖")
    settle.set_title(f"Phase 2: onto the optimum, {len(results['landed'])} κ")
    for ax in (arrive, settle):
        ax.legend(loc="lower left")
    side = results["box"]["side"]
    weights = {"Lion, ε = 1e-4": results["box"]["x"][2], "optimum": results["optimum"]}
    return {
        "paths": trajectory_figure(
            {name: path for name, (path, _, _) in planes.items()},
            level=lambda X, Y: (X - TARGET[0]) ** 2 + (Y - TARGET[1]) ** 2,
            outlines={
                k: edge for k, (_, edge, _) in planes.items() if edge is not None
            },
            optima={name: best for name, (_, _, best) in planes.items()},
            title="Lion-κ from outside: κ decides the set and the optimum (×)",
        ),
        "phases": phases,
        "weights": histogram_figure(weights, side, title="Weights of the box problem"),
    }
