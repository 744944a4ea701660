"""Lyapunov exponents with bars that are true: two errors hold λ₁ in 95 % of runs,
because they come from independent starts. What is known is met: closed forms of maps,
Lorenz, ten exponents of the Kuramoto–Sivashinsky equation. Where a map jumps, as
training with Lion's sign does, the exponent depends on the size of the separation.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import dynamics as dy, landscape as ls
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.study import Study
from experiments.dynamics._exponents_figure import figures
from experiments.dynamics._systems import gyre, lorenz, waves


VISWANATH = 0.90566  # λ₁ of Lorenz: Physica D 190 (2004) 115 and Sprott (2003)
# L = 22 (Edson et al., ANZIAM J. 61 (2019) 270), and the zero of the conserved mean
KS = (0.048, 0, 0, 0, -0.003, -0.189, -0.256, -0.290, -0.310, -1.963)
PAPER = "Benettin et al., Meccanica 15 (1980)"
START = (1.0, 1.0, 20.0)


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 102_400  # of Lorenz, over 16 starts, h = 0.01
    repeats: int = 200
    waves: int = 20_000  # time of the Kuramoto–Sivashinsky equation, over 16 starts
    clv: int = 20_000
    grid: tuple[int, int] = (161, 81)


SIZES = {
    "quick": Config(),
    "long": Config(1_024_000, 1000, 200_000, 100_000, (401, 201)),
    "full": Config(10_240_000, 4000, 1_000_000, 400_000, (801, 401)),
}


def maps(results) -> dict:
    """What is known in closed form."""
    key = jax.random.key(0)
    linear = lambda y: y + 0.01 * jnp.array([-1.0, -2.0, -5.0]) * y
    henon = lambda y: jnp.stack([1 - 1.4 * y[0] ** 2 + y[1], 0.3 * y[0]])
    logistic = lambda x: 4 * x * (1 - x)
    kind = {"steps": 320_000, "discard": 1000}
    found = {
        "diag(0.99, 0.98, 0.95)": (
            dy.spectrum(linear, jnp.ones(3), key, **kind).value,
            np.log([0.99, 0.98, 0.95]),
        ),
        "logistic": (
            dy.spectrum(logistic, jnp.array(0.3), key, **kind).value,
            np.log(2),
        ),
        "Hénon, Σ": (
            jnp.sum(dy.spectrum(henon, jnp.full(2, 0.1), key, **kind).value),
            np.log(0.3),
        ),
    }
    return {k: np.abs(np.asarray(a) - b) for k, (a, b) in found.items()}


def spectra(results) -> dict:
    """Lorenz by step size; and in short runs, with and without turned tangents."""
    start, near = jnp.array(START), jnp.linspace(-2, 2, 400)[:, None]
    go = lambda h, y=start, **given: dy.spectrum(
        dy.rk4(lorenz, h), y, jax.random.key(1), **given
    )
    steps, short = results.config.steps, {"steps": 200_000, "starts": None}
    found: dict = {h: go(h, steps=steps, discard=3000) for h in (0.01, 0.1)}
    for name, discard in (("turned", 1500), ("not turned", 0)):
        found[name] = go(0.01, start[None] + near, discard=discard, **short)
    return found


def repeated(results) -> dict:
    """λ₁ and its error in many short runs: ours, and twenty blocks of one run."""
    start, count = jnp.array(START), results.config.repeats
    step, kind = dy.rk4(lorenz, 0.01), {"count": 1, "discard": 2000}

    def ours(key):
        found = dy.spectrum(step, start, key, steps=16_000, **kind)
        return found.value[0], found.error[0]

    def blocks(key):
        found = dy.spectrum(step, start, key, steps=16_000, starts=1, **kind)
        grown = found.series[:, 0] * jnp.arange(1.0, 1601.0)
        each = jnp.diff(grown[79::80], prepend=0.0) / 80
        return found.value[0], jnp.std(each, ddof=1) / 20**0.5

    keys = jax.random.split(jax.random.key(2), count)
    both = {"starts": ours, "blocks": blocks}
    return {k: jax.device_get(jax.jit(jax.vmap(f))(keys)) for k, f in both.items()}


def pattern(results):
    """Ten exponents of the Kuramoto–Sivashinsky equation on a circle of length 22."""
    step, u = waves()
    steps = int(results.config.waves / 0.25) // 160 * 160
    return dy.spectrum(
        step, u, jax.random.key(3), steps=steps, count=10, time=0.25, discard=4000
    )


def directions(results) -> dict:
    """How far vectors are from being carried into themselves, and from the flow."""
    step = dy.rk4(lorenz, 0.01)
    found = dy.covariant(
        step, jnp.array(START), jax.random.key(4), steps=results.config.clv, settle=4000
    )
    unit = lambda a: a / jnp.linalg.norm(a, axis=-1, keepdims=True)
    along = unit(jax.vmap(lambda y: lorenz(0.0, y, None))(found.states))

    @jax.jit
    @jax.vmap
    def carried(y, v):
        return jax.vmap(lambda v: jax.jvp(step, (y,), (v,))[1])(v)

    def defect(v):
        image, after = unit(carried(found.states[:-1], v[:-1])), v[1:]
        far = [jnp.linalg.norm(image - s * after, axis=-1) for s in (1, -1)]
        return float(jnp.max(jnp.minimum(*far)))

    cosine = jnp.abs(jnp.sum(along * found.vectors[:, 1], axis=1))
    return {
        "covariant": defect(found.vectors),
        "Gram–Schmidt": defect(found.forward),
        "off the flow": float(jnp.max(1 - cosine)),
        "angle": np.degrees(np.asarray(found.angles()[:, 0, 2])),
    }


def sizes(results) -> dict:
    """Growth of separations in training with Lion, by its κ."""
    key, *keys = jax.random.split(jax.random.key(5), 4)
    x = jax.random.normal(keys[0], (64, 8))
    y = jnp.sin(x @ jax.random.normal(keys[1], (8,)))
    w = {
        "in": jax.random.normal(keys[2], (8, 40)) / 8**0.5,
        "bias": jnp.zeros(40),
        "out": jax.random.normal(key, (40,)) / 40**0.5,
    }
    net = lambda w: jnp.tanh(x @ w["in"] + w["bias"]) @ w["out"]
    loss = lambda w: jnp.mean((net(w) - y) ** 2)
    found = {}
    for name, kappa in {
        "sign": dx.kappa.L1(),
        "smooth": dx.kappa.SoftAbs(1e-3),
    }.items():
        opt = dx.LionKappa(kappa, weight_decay=0.1)
        found[name] = dy.finite_size(
            ls.training_map(opt, loss, 1e-2),
            (w, opt.init(w)),
            key,
            sizes=[1e-6, 1e-8, 1e-10],
            steps=16 * 3000,
            every=50,
            discard=1000,
            rescale=False,
        )
    return found


def transport(results):
    """The finite-time exponent of the double gyre, by derivative and by differences."""
    nx, ny = results.config.grid
    x, y = jnp.linspace(0, 2, nx), jnp.linspace(0, 1, ny)
    grid = jnp.stack(jnp.meshgrid(x, y, indexing="ij"), axis=-1)
    flow = dy.flow_map(dy.rk4(gyre, 0.05, driven=True), 400)
    found = dy.ftle(flow, grid, time=20.0)
    ends = np.asarray(jax.vmap(jax.vmap(flow))(grid))
    slopes = np.stack([np.gradient(ends, 1 / (ny - 1), axis=k) for k in (0, 1)], -1)
    return *map(np.asarray, found), np.log(np.linalg.norm(slopes, 2, axis=(2, 3))) / 20


PARTS = {
    "maps": maps,
    "spectra": spectra,
    "repeated": repeated,
    "pattern": pattern,
    "directions": directions,
    "sizes": sizes,
    "transport": transport,
}


def off_known(results) -> Measured:
    found = results["spectra"][0.01]
    known = np.array([VISWANATH, 0, -41 / 3 - VISWANATH])
    text = str(found).split(";")[0]
    return largest(np.abs(np.asarray(found.value) - known) / found.error, text)


def off_divergence(results, h) -> Measured:
    found = results["spectra"][h]
    return largest(np.abs(np.sum(found.value) + 41 / 3), f"h = {h}")


def off_zero(results, name) -> Measured:
    found = results["spectra"][name]
    return largest(abs(found.value[1] - np.mean(found.neutral)) / found.error[1])


def inside(results) -> Measured:
    value, error = results["repeated"]["starts"]
    share = np.mean(np.abs(value - VISWANATH) <= 2 * error)
    return Measured(abs(share - 0.945), f"{share:.1%} of {len(value)} runs of T = 160")


def width(results, name, less=0) -> Measured:
    value, error = results["repeated"][name]
    ratio = abs(np.mean(error) / np.std(value) - less)
    return Measured(
        ratio, f"mean error {np.mean(error):.4f}, spread {np.std(value):.4f}"
    )


def off_pattern(results) -> Measured:
    found = results["pattern"]
    text = " ".join(f"{v:.4f}" for v in found.value)
    return largest(np.abs(np.asarray(found.value) - KS), text)


def growth(results, name, k) -> float:
    """The factor by which the separation of size k grew, the geometric mean."""
    return float(np.exp(results["sizes"][name].growth[-1, k]))


def unequal(results) -> Measured:
    large, small = growth(results, "smooth", 0), growth(results, "smooth", 2)
    return Measured(abs(large / small - 1), f"factors {large:.3g} and {small:.3g}")


CLAIMS = [
    Claim(
        "Y1",
        "maps with exponents in closed form: largest error",
        at_most(
            1e-4, "the logistic map's mean over 320,000 steps; others to round-off"
        ),
        lambda r: largest(r["maps"]),
        PAPER,
    ),
    Claim(
        "Y1a",
        "Lorenz, h = 0.01: |λ − known| of all three, in their errors",
        at_most(4, "three numbers, by chance"),
        off_known,
        PAPER,
    ),
    Claim(
        "Y1b",
        "Lorenz: |Σλ + 41/3|",
        at_most(1e-3, "h⁴ of the method"),
        lambda r: off_divergence(r, 0.01),
        PAPER,
    ),
    Claim(
        "Y1c",
        "the exponent along the flow against the growth of f, in its errors",
        at_most(4, "one number, by chance"),
        lambda r: off_zero(r, "turned"),
        PAPER,
    ),
    Control(
        "Y1x",
        "claim Y1 for the logistic map with r = 3.99, against ln 2",
        at_least(0.01, "λ₁ falls steeply below r = 4"),
        lambda r: wrong_map(),
        of="Y1",
    ),
    Control(
        "Y1ax",
        "claim Y1a for h = 0.1: |λ₃ − known| in its errors",
        at_least(20, "the step is too long for the contraction"),
        lambda r: smallest(
            abs(r["spectra"][0.1].value[2] + 41 / 3 + VISWANATH)
            / r["spectra"][0.1].error[2]
        ),
        of="Y1a",
    ),
    Control(
        "Y1bx",
        "claim Y1b for h = 0.1",
        at_least(1, "the step is too long for the contraction"),
        lambda r: off_divergence(r, 0.1),
        of="Y1b",
    ),
    Control(
        "Y1cx",
        "claim Y1c where tangents did not turn first",
        at_least(4, "an end term of order one over the duration"),
        lambda r: off_zero(r, "not turned"),
        of="Y1c",
    ),
    Claim(
        "Y2",
        "Kuramoto–Sivashinsky, L = 22: ten exponents, largest difference",
        at_most(0.004, "published to three digits, and their errors here"),
        off_pattern,
        "Edson, Bunder, Mattner, Roberts, ANZIAM J. 61 (2019) 270",
    ),
    Control(
        "Y2x",
        "claim Y2 with the sign of the fifth exponent turned",
        at_least(0.0045, "−0.003 against +0.003, less the errors"),
        lambda r: abs(float(r["pattern"].value[4]) - 0.003),
        of="Y2",
    ),
    Claim(
        "Y3",
        "covariant vectors: how far the derivative carries them off themselves",
        at_most(1e-12, "round-off of one step"),
        lambda r: r["directions"]["covariant"],
        "Ginelli et al., PRL 99 (2007) 130601",
    ),
    Claim(
        "Y3a",
        "the second covariant vector is along the flow: 1 − |cos|",
        at_most(1e-10, "convergence over 40 units of time"),
        lambda r: r["directions"]["off the flow"],
        "Ginelli et al., PRL 99 (2007) 130601",
    ),
    Control(
        "Y3x",
        "claim Y3 for the vectors of Gram–Schmidt",
        at_least(0.01, "they are made orthogonal"),
        lambda r: r["directions"]["Gram–Schmidt"],
        of="Y3",
    ),
    Claim(
        "Y4",
        "training with Lion's sign: growth of a separation of 1e-6 in 3,000 steps",
        at_least(1e5, "it crosses jumps: a parameter is 10⁶ times as large"),
        lambda r: growth(r, "sign", 0),
    ),
    Claim(
        "Y4a",
        "the same of a separation of 1e-10",
        at_most(1, "it meets no jump: λ₁ < 0"),
        lambda r: growth(r, "sign", 2),
    ),
    Claim(
        "Y4b",
        "with a smooth κ: growth at 1e-6 over growth at 1e-10, less 1",
        at_most(0.1, "both are infinitesimal against its width of 1e-3"),
        unequal,
    ),
    Control(
        "Y4x",
        "claim Y4 with a smooth κ: one over the growth of 1e-6",
        at_least(1e-4, "growth as in claim Y4 would be less"),
        lambda r: 1 / growth(r, "smooth", 0),
        of="Y4",
    ),
    Control(
        "Y4bx",
        "claim Y4b with Lion's sign",
        at_least(1e5, "growth against decay"),
        lambda r: growth(r, "sign", 0) / growth(r, "sign", 2) - 1,
        of="Y4b",
    ),
    Claim(
        "Y5",
        "two errors hold λ₁ of Lorenz in a share of runs: |share − 0.945|",
        at_most(0.045, "90 % to 99 %; Student's t of 15 says 93.6 %"),
        inside,
    ),
    Claim(
        "Y5a",
        "the mean error over the true spread, from 16 starts: |ratio − 1|",
        at_most(0.25, "the spread of 200 runs is known to 5 %"),
        lambda r: width(r, "starts", less=1),
    ),
    Control(
        "Y5x",
        "claim Y5a for twenty blocks of one run: mean error over true spread",
        at_least(2, "blocks are anti-correlated"),
        lambda r: width(r, "blocks"),
        of="Y5a",
    ),
    Claim(
        "Y6",
        "double gyre, T = 20: the highest ridge of σ",
        at_least(0.9, "no limit by the grid"),
        lambda r: float(np.max(r["transport"][0])),
        "Shadden, Lekien, Marsden, Physica D 212 (2005)",
    ),
    Claim(
        "Y6a",
        "double gyre: |det ∂φ − 1|",
        at_most(1e-6, "h⁵ of each of 400 steps, along the ridges"),
        lambda r: largest(np.abs(r["transport"][1] - 1)),
    ),
    Control(
        "Y6x",
        "claim Y6 by differences between points of the grid: one over the ridge",
        at_least(2.5, "(1/T) ln(size/spacing) is the most that they can show"),
        lambda r: 1 / float(np.max(r["transport"][2])),
        of="Y6",
    ),
]


def wrong_map() -> float:
    found = dy.spectrum(
        lambda x: 3.99 * x * (1 - x), jnp.array(0.3), jax.random.key(0), steps=320_000
    )
    return abs(float(found.value[0]) - np.log(2))


STUDY = Study(
    "Lyapunov exponents one can trust",
    "Benettin et al. (1980); Ginelli et al. (2007); Aurell et al. (1997)",
    SIZES,
    PARTS,
    CLAIMS,
    lambda results: figures(results, VISWANATH),
)
