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
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


KAPPA = 25  # μ = 1
DOUBLE = "a double root: rounding enters as its square root"
LOOSE = "the root came out exact here; √u = 1.5e-8 is what rounding may do elsewhere"
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


def starts(results) -> dict:
    """Where the square of starts ends, with the right constants and with wrong ones."""
    config, kappa = results.config, jnp.asarray(float(KAPPA))
    points = jnp.stack(cycle(jnp.sqrt(kappa)))
    side = jnp.linspace(-5.0, 5.0, config.starts)

    def ends(x, before, *wrong):
        xs = polyak(x, before, kappa, config.steps, *wrong)
        return {"end": jnp.abs(xs[-1]), "distance": distance(xs, points)}

    def square(*wrong):
        row = lambda x: jax.vmap(lambda before: ends(x, before, *wrong))(side)
        return jax.device_get(jax.jit(lambda: jax.lax.map(row, side))())

    found = {}
    for name, wrong in (("right", ()), ("0.9β", (0.9,)), ("0.98α", (1.0, 0.98))):
        results.tell(len(found) / 3, f"starts, {name}")
        found[name] = square(*wrong)
    line = jnp.linspace(*INTERVAL, config.starts)
    found["interval"] = jax.device_get(jax.jit(jax.vmap(ends))(line, line))
    return found


def births(results):
    """(κ, distance of the orbit that starts on the formula's cycle from it)."""
    config = results.config
    kappas = jnp.linspace(10.0, 40.0, config.kappas)

    def stays(kappa):
        points = jnp.stack(cycle(jnp.sqrt(kappa)))
        return distance(polyak(points[0], points[2], kappa, config.steps), points)

    return jax.device_get((kappas, jax.jit(jax.vmap(stays))(kappas)))


def jacobian(results):
    """Of three steps, at a point of the cycle."""
    del results
    kappa = jnp.asarray(float(KAPPA))
    points = jnp.stack(cycle(jnp.sqrt(kappa)))
    three = lambda p: polyak(p[0], p[1], kappa, 4)[:1:-1]  # x₃, x₂ of x₀, x₋₁
    return np.asarray(jax.jacfwd(three)(points[jnp.array([0, 2])]))


def rates(results) -> dict:
    """x_k, V_k and its proved factor of each accelerated method, from every start."""
    config = results.config
    side = jnp.linspace(-5.0, 5.0, config.starts)
    follow = lambda opt: jax.jit(jax.vmap(lambda x: rated(opt, x, config.steps)))(side)
    return jax.device_get({k: follow(opt) for k, opt in METHODS.items()})


def from_rest(results):
    """x_k of the heavy ball from every start at rest."""
    config, kappa = results.config, jnp.asarray(float(KAPPA))
    side = jnp.linspace(-5.0, 5.0, config.starts)
    run = jax.jit(jax.vmap(lambda x: polyak(x, x, kappa, config.steps)))
    return side, np.asarray(run(side))


def shown(results) -> dict:
    """60 steps of each method from one start."""
    del results
    begin, kappa = jnp.asarray(3.3), jnp.asarray(float(KAPPA))
    found = {"heavy ball": polyak(begin, begin, kappa, 60)}
    return found | {k: rated(opt, begin, 60)["x"] for k, opt in METHODS.items()}


PARTS = {
    "starts": starts,
    "births": births,
    "jacobian": jacobian,
    "rates": rates,
    "from rest": from_rest,
    "shown": shown,
}


def fall(x, V, factor):
    """Over all starts: max V₊/V − ρ, least measured/proved rate, max |x| at the end."""
    v, factor = V[:, :-1], factor[:, :-1]
    seen = np.minimum.accumulate(v, axis=1) > 1e-12 * v[:, :1]
    with np.errstate(divide="ignore", invalid="ignore"):
        shrunk = np.where(seen, np.maximum(V[:, 1:] / v, 0), 0)
        ratio = np.log(shrunk) / np.log(factor)
    return np.max(shrunk - factor), np.min(ratio), np.max(np.abs(x[:, -1]))


def interval(results) -> Measured:
    found = results["starts"]["interval"]["distance"]
    alpha, beta = optimal(Fraction(5))
    return Measured(np.max(found), f"α = {alpha}, β = {beta}, {len(found)} starts")


def in_fractions(results) -> Measured:
    """The cycle in exact arithmetic, against its image and the printed points."""
    del results
    alpha, beta = optimal(Fraction(5))
    x0, x1, x2 = points = cycle(Fraction(5))
    slope = lambda x: KAPPA * x - (KAPPA - 1) * min(max(x - 1, 0), 1)
    step = lambda x, before: x - alpha * slope(x) + beta * (x - before)
    after = [step(x0, x2), step(x1, x0), step(x2, x1)]
    exact = max(abs(a - b) for a, b in zip(after, [x1, x2, x0], strict=True))
    printed = max(abs(a - b) for a, b in zip(points, PRINTED, strict=True))
    return Measured(float(max(exact, printed)), ", ".join(map(str, points)))


def attraction(results) -> float:
    radius = max(abs(np.linalg.eigvals(results["jacobian"])))
    return abs(radius - 8 / 27)


def share(results) -> Measured:
    right = results["starts"]["right"]
    ended, still = right["distance"] < 1e-6, right["end"] < 1e-6
    text = f"{ended.size} starts; at x*: {np.mean(still):.4f}; "
    return Measured(np.mean(ended), f"{text}elsewhere: {np.sum(~ended & ~still)}")


def on_quadratics(results) -> Measured:
    del results
    alpha, beta = map(float, optimal(Fraction(5)))
    curvatures = np.linspace(1, KAPPA, 1001)
    root = lambda h: np.roots([1, alpha * h - 1 - beta, beta])
    worst = max(max(abs(root(h))) for h in curvatures)
    return Measured(worst - 2 / 3, f"{len(curvatures)} curvatures")


def born(results) -> Measured:
    kappas, away = results["births"]
    first = kappas[away < 1e-6].min()
    return Measured(abs(first - birth()), f"{first:.4f}, by the formula {birth():.4f}")


def shrinkage(results, name) -> Measured:
    excess, ratio, end = fall(**results["rates"][name])
    count = len(results["rates"][name]["V"])
    text = f"{count} starts; measured/proved rate ≥ {ratio:.4f}; |x − x*| ≤ {end:.0e}"
    return Measured(excess, f"{text} at the end")


def converging(results) -> float:
    return np.mean(results["starts"]["0.9β"]["end"] < 1e-6)


def other_step(results) -> Measured:
    found = results["starts"]["0.98α"]
    text = f"{np.mean(found['end'] >= 1e-6):.1%} of the starts do not converge"
    return Measured(np.min(found["distance"]), text)


def unaccelerated(results) -> Measured:
    side, xs = results["from rest"]
    f = lambda x: np.asarray(loss(float(KAPPA))(x))
    last = xs.shape[1] - 1
    allowed = (1 - KAPPA**-0.5) ** last * (f(side) + side**2 / 2)
    return Measured(np.sum(f(xs[:, last]) > allowed), f"of {len(side)} with x₀ = x₋₁")


def claims(config) -> list:
    spacing = 30 / (config.kappas - 1)
    rounding = "rounding of the last cycle, √u at most: the cycle attracts"
    return [
        Claim(
            "15",
            f"x₀ = x₋₁ in {INTERVAL}: the farthest end from (792, −2208, 2592)/1225",
            at_most(1e-11, rounding),
            interval,
        ),
        Claim(
            "15a",
            "the cycle in fractions: less its image, and less the printed one",
            equals(0, "exact arithmetic"),
            in_fractions,
        ),
        Claim(
            "15b",
            "the cycle attracts: spectral radius of its three steps, less ρ³ = 8/27",
            at_most(1e-6, DOUBLE, LOOSE),
            attraction,
        ),
        Claim(
            "15c",
            "share of the starts |x₀|, |x₋₁| ≤ 5 that end in the cycle",
            at_least(0.1, "a sixth by count here; the paper says an open set"),
            share,
        ),
        Claim(
            "15d",
            "the same α, β on ½hx², 1 ≤ h ≤ 25: largest spectral radius, less ρ",
            at_most(1e-6, DOUBLE, LOOSE),
            on_quadratics,
        ),
        Claim(
            "15e",
            "optimal α, β for κ: the least κ with a cycle, less where x₂ = 2",
            at_most(spacing, "the spacing of κ"),
            born,
        ),
        Claim(
            "15f",
            "NAG-SC on the same f, V₊ ≤ (1 − √q)V: largest V₊/V − ρ",
            at_most(1e-8, "rounding of V near its end, 1e-12 of its start"),
            functools.partial(shrinkage, name="NAG-SC"),
        ),
        Claim(
            "15g",
            "TMM on the same f, V₊ ≤ (1 − √q)²V: largest V₊/V − ρ",
            at_most(1e-8, "rounding of V near its end, 1e-12 of its start"),
            functools.partial(shrinkage, name="TMM"),
        ),
        Control(
            "15x",
            "claim 15c with 0.9β: share that converges to x*",
            at_least(0.999999, "all of them, but for a start that is still on its way"),
            converging,
            of="15c",
        ),
        Control(
            "15y",
            "claim 15 with 0.98α: the nearest end to the printed cycle",
            at_least(1e-3, "far above the rounding that claim 15 allows"),
            other_step,
            of="15",
        ),
        Control(
            "15z",
            "claim 15f of the heavy ball: starts with f > (1 − √q)ᵏV₀ at the last k",
            at_least(1, "one start suffices"),
            unaccelerated,
            of="15f",
        ),
    ]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    ended = results["starts"]["right"]["distance"] < 1e-6
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
    legend_below(right)
    return {
        "From the orange regions the heavy ball ends in a cycle of three points. It "
        "never reaches the minimum (×), though the loss is convex.": figure
    }


STUDY = Study(
    "Polyak's heavy ball in a 3-cycle",
    "Lessard, Recht, Packard, arXiv:1408.3595, §4.6",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
)
