"""Polyak's heavy ball with its optimal constants is the fastest on quadratics, and does
not converge on every strongly convex f. Where f' has slope 1 between 1 and 2 and slope
25 elsewhere, x₊ = −2ρx − ρ²x₋ + 4ρ·clip(x − 1, 0, 1) with ρ = (√κ − 1)/(√κ + 1) = 2/3,
and a 3-cycle attracts a sixth of the starts |x₀|, |x₋₁| ≤ 5. NAG-SC and the triple
momentum method keep their proved rates on the same f.
"""

import dataclasses
import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import Claim
from dynax.report import COLORS, new_figure


TITLE = "Polyak's heavy ball in a 3-cycle"
SOURCE = "Lessard, Recht, Packard, arXiv:1408.3595, §4.6"
KAPPA = 25  # μ = 1
PRINTED = [Fraction(n, 1225) for n in (792, -2208, 2592)]
INTERVAL = (3.07, 3.46)  # starts x₀ = x₋₁ said to end in the cycle


@dataclasses.dataclass(frozen=True)
class Config:
    starts: int = 201  # a side of the square |x₀|, |x₋₁| ≤ 5
    steps: int = 600
    kappas: int = 1001


SIZES = {
    "quick": Config(),
    "long": Config(starts=2001, steps=1000, kappas=100_001),
    "full": Config(starts=10_001, steps=1000, kappas=1_000_001),
}
SPACE = {
    "start": tuple(np.linspace(-5.0, 5.0, 41)),
    "kappa": (10.0, 20.0, 25.0, 50.0, 100.0),
    "momentum": (0.9, 1.0),
}


def loss(kappa):
    """f' = κx − (κ − 1)·clip(x − 1, 0, 1): 1-strongly convex, κ-smooth, f* = 0 at 0."""
    bend = lambda x, a: jnp.maximum(x - a, 0) ** 2
    return lambda x: (kappa * x**2 - (kappa - 1) * (bend(x, 1) - bend(x, 2))) / 2


def optimal(root):
    """α and β for the quadratics with curvatures in [1, κ], `root` = √κ."""
    return 4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2


def cycle(root):
    """The 3-cycle that visits x < 1 twice and x ≥ 2 once, in the arithmetic of √κ.

    As x₋ = s − x − x₊, s the sum of the three, x₊ = rx + d, with a larger d from x₂.
    """
    rho = (root - 1) / (root + 1)
    s = 4 * rho / (1 + rho) ** 2
    r, d = (rho**2 - 2 * rho) / (1 - rho**2), -(rho**2) * s / (1 - rho**2)
    x0 = ((r**2 + r + 1) * d + 4 * rho / (1 - rho**2)) / (1 - r**3)
    x1 = r * x0 + d
    return [x0, x1, r * x1 + d]


def birth() -> float:
    """The least κ at which the cycle's third point is at least 2."""
    low, high = 2.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if cycle(middle**0.5)[2] >= 2 else (middle, high)
    return high


def polyak(x, before, kappa, steps, momentum=1.0, size=1.0):
    """x_k, k < steps, of dx.Momentum with `size`·α and `momentum`·β."""
    f = loss(kappa)
    alpha, beta = optimal(jnp.sqrt(kappa))
    opt, lr = dx.Momentum(momentum * beta), size * alpha
    state = dx.MomentumState((before - x) / lr)

    def body(carry, _):
        x, state = carry
        return opt.step(x, state, jax.grad(f)(x), lr), x

    return jax.lax.scan(body, (x, state), length=steps)[1]


def distance(xs, points):
    """Of the last three of xs from the cycle, entry by entry, the largest."""
    turned = jnp.stack([jnp.roll(points, k, axis=0) for k in range(3)])
    return jnp.min(jnp.max(jnp.abs(xs[None, -3:] - turned), axis=1), axis=0)


def run(start, kappa, momentum, steps=600) -> dict:
    """From x₀ = x₋₁ = start; where it ends, and how far that is from the cycle."""
    start, kappa = jnp.asarray(start, float), jnp.asarray(kappa, float)
    xs = polyak(start, start, kappa, steps, momentum)
    points = jnp.stack(cycle(jnp.sqrt(kappa)))
    return {"end": xs[-1], "distance": distance(xs, points)}


def rated(opt, start, steps) -> dict:
    """x_k, V_k and its proved factor."""
    f, lr = loss(float(KAPPA)), KAPPA**-0.5
    minimum = dx.Minimum(jnp.zeros(()), jnp.zeros(()))

    def body(carry, k):
        x, state = carry
        v = opt.potential(k, x, state, f, minimum, lr)
        return opt.step(x, state, jax.grad(f)(x), lr), (x, v, opt.factor(k, lr))

    ks = jnp.arange(float(steps))
    _, (x, v, factor) = jax.lax.scan(body, (start, opt.init(start)), ks)
    return {"x": x, "V": v, "factor": factor}


METHODS = {"NAG-SC": dx.NesterovSC(), "TMM": dx.TripleMomentum()}


def measure(config: Config, progress) -> dict:
    kappa, steps = jnp.asarray(float(KAPPA)), config.steps
    points = jnp.stack(cycle(jnp.sqrt(kappa)))
    side = jnp.linspace(-5.0, 5.0, config.starts)

    def ends(x, before, *wrong):
        xs = polyak(x, before, kappa, steps, *wrong)
        return {"end": jnp.abs(xs[-1]), "distance": distance(xs, points)}

    def square(*wrong):
        row = lambda x: jax.vmap(lambda before: ends(x, before, *wrong))(side)
        return jax.device_get(jax.jit(lambda: jax.lax.map(row, side))())

    found = {}
    for name, wrong in (("right", ()), ("0.9β", (0.9,)), ("0.98α", (1.0, 0.98))):
        progress(len(found) / 5, f"starts, {name}")
        found[name] = square(*wrong)
    line = jnp.linspace(*INTERVAL, config.starts)
    found["interval"] = jax.device_get(jax.jit(jax.vmap(ends))(line, line))

    progress(3 / 5, "the birth of the cycle")
    kappas = jnp.linspace(10.0, 40.0, config.kappas)

    def stays(kappa):
        points = jnp.stack(cycle(jnp.sqrt(kappa)))
        return distance(polyak(points[0], points[2], kappa, steps), points)

    three = lambda p: polyak(p[0], p[1], kappa, 4)[:1:-1]  # x₃, x₂ of x₀, x₋₁
    progress(4 / 5, ", ".join(METHODS))
    follow = lambda opt: jax.jit(jax.vmap(lambda x: rated(opt, x, steps)))(side)
    from_rest = jax.jit(jax.vmap(lambda x: polyak(x, x, kappa, steps)))
    begin = jnp.asarray(3.3)
    shown = {"heavy ball": polyak(begin, begin, kappa, 60)}
    shown |= {k: rated(opt, begin, 60)["x"] for k, opt in METHODS.items()}
    rest = {
        "side": side,
        "from rest": from_rest(side),
        "births": (kappas, jax.jit(jax.vmap(stays))(kappas)),
        "jacobian": jax.jacfwd(three)(points[jnp.array([0, 2])]),
        "rated": {k: follow(opt) for k, opt in METHODS.items()},
        "shown": shown,
    }
    return {"found": found, **jax.device_get(rest)}


def fall(x, V, factor):
    """Over all starts: max V₊/V − ρ, least measured/proved rate, max |x| at the end."""
    v, factor = V[:, :-1], factor[:, :-1]
    seen = np.minimum.accumulate(v, axis=1) > 1e-12 * v[:, :1]
    with np.errstate(divide="ignore", invalid="ignore"):
        shrunk = np.where(seen, np.maximum(V[:, 1:] / v, 0), 0)
        ratio = np.log(shrunk) / np.log(factor)
    return np.max(shrunk - factor), np.min(ratio), np.max(np.abs(x[:, -1]))


def claims(results) -> list[Claim]:
    found, side = results["found"], results["side"]
    claim = functools.partial(Claim.judged, SOURCE)
    alpha, beta = optimal(Fraction(5))
    x0, x1, x2 = points = cycle(Fraction(5))
    slope = lambda x: KAPPA * x - (KAPPA - 1) * min(max(x - 1, 0), 1)
    step = lambda x, before: x - alpha * slope(x) + beta * (x - before)
    after = [step(x0, x2), step(x1, x0), step(x2, x1)]
    exact = max(abs(a - b) for a, b in zip(after, [x1, x2, x0], strict=True))
    printed = max(abs(a - b) for a, b in zip(points, PRINTED, strict=True))

    interval = found["interval"]["distance"]
    share = {k: np.mean(v["distance"] < 1e-6) for k, v in found.items()}
    still = {k: np.mean(v["end"] < 1e-6) for k, v in found.items()}
    ended = found["right"]["distance"] < 1e-6
    elsewhere = np.sum(~ended & (found["right"]["end"] >= 1e-6))
    radius = max(abs(np.linalg.eigvals(results["jacobian"])))
    curvatures = np.linspace(1, KAPPA, 1001)
    root = lambda h: np.roots([1, float(alpha) * h - 1 - float(beta), float(beta)])
    quadratic = max(max(abs(root(h))) for h in curvatures)
    kappas, away = results["births"]
    born, spacing = kappas[away < 1e-6].min(), kappas[1] - kappas[0]

    f = lambda x: np.asarray(loss(float(KAPPA))(x))
    last = results["from rest"].shape[1] - 1
    bound = (1 - KAPPA**-0.5) ** last * (f(side) + side**2 / 2)
    over = np.sum(f(results["from rest"][:, last]) > bound)
    rows = [
        claim(
            "15",
            f"x₀ = x₋₁ in {INTERVAL}: the farthest end from (792, −2208, 2592)/1225",
            np.max(interval),
            "≤ 1e-6",
            f"α = {alpha}, β = {beta}, {len(interval)} starts",
        ),
        claim(
            "15a",
            "the cycle in fractions: less its image, and less the printed one",
            float(max(exact, printed)),
            "≤ 0",
            ", ".join(str(p) for p in points),
        ),
        claim(
            "15b",
            "the cycle attracts: spectral radius of its three steps, less ρ³ = 8/27",
            abs(radius - 8 / 27),
            "≤ 1e-6",
            "a double root, so rounding enters as its square root",
        ),
        claim(
            "15c",
            "share of the starts |x₀|, |x₋₁| ≤ 5 that end in the cycle",
            share["right"],
            "≥ 0.1",
            f"{ended.size} starts; at x*: {still['right']:.4f}; elsewhere: {elsewhere}",
        ),
        claim(
            "15d",
            "the same α, β on ½hx², 1 ≤ h ≤ 25: largest spectral radius, less ρ",
            quadratic - 2 / 3,
            "≤ 1e-6",
            f"{len(curvatures)} curvatures",
        ),
        claim(
            "15e",
            "optimal α, β for κ: the least κ with a cycle, less where x₂ = 2",
            abs(born - birth()),
            f"≤ {spacing:.3g}",
            f"{born:.4f}, by the formula {birth():.4f}",
        ),
    ]
    for id, (name, power) in zip(
        ("15f", "15g"), {"NAG-SC": "", "TMM": "²"}.items(), strict=True
    ):
        excess, ratio, end = fall(**results["rated"][name])
        rows.append(
            claim(
                id,
                f"{name} on the same f, V₊ ≤ (1 − √q){power}V: largest V₊/V − ρ",
                excess,
                "≤ 1e-8",
                f"{len(side)} starts; measured/proved rate ≥ {ratio:.4f}; "
                f"|x − x*| ≤ {end:.0e} at the end",
            )
        )
    return [
        *rows,
        claim(
            "15x",
            "claim 15c with 0.9β: share that converges to x*",
            still["0.9β"],
            "≥ 0.999999 rejected",
        ),
        claim(
            "15y",
            "claim 15 with 0.98α: the nearest end to the printed cycle",
            np.min(found["0.98α"]["distance"]),
            "≥ 1e-3 rejected",
            f"{1 - still['0.98α']:.1%} of the starts do not converge",
        ),
        claim(
            "15z",
            "claim 15f of the heavy ball: starts with f > (1 − √q)ᵏV₀ at the last k",
            over,
            "≥ 1 rejected",
            f"of {len(side)} with x₀ = x₋₁",
        ),
    ]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    ended = results["found"]["right"]["distance"] < 1e-6
    left.imshow(
        np.where(ended, 1.0, np.nan),
        origin="lower",
        extent=(-5, 5, -5, 5),
        cmap="Oranges",
        vmin=0,
        vmax=1.6,
        interpolation="nearest",
    )
    points = [float(p) for p in PRINTED]
    left.plot(np.roll(points, 1), points, "o", ms=4, color=COLORS["black"])
    left.plot(0, 0, "x", ms=6, color=COLORS["blue"])
    left.set(xlabel="x₋₁", ylabel="x₀")
    left.set_title("Starts that end in the cycle (dots)")
    colors = {"heavy ball": "vermilion", "NAG-SC": "blue", "TMM": "green"}
    for name, x in results["shown"].items():
        right.plot(np.abs(x), ".-", ms=3, color=COLORS[colors[name]], label=name)
    right.set(xlabel="step k", ylabel="|x_k − x*|", yscale="log", ylim=(1e-8, 10))
    right.set_title("x₀ = x₋₁ = 3.3")
    right.legend(loc="lower left")
    return {"cycle": figure}
