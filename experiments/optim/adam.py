"""f + (1/2a)Σ m²/D is a Lyapunov function of Adam if 1 − β₂ ≤ 4(1 − β₁), not beyond.

That this is b ≤ 4a and that the constant is sharp is not taken from a formula: a search
over states (m, v, g) maximises V̇, which one jvp gives, and finds the theory's supremum
and no more. The same search over steps of the map finds the map's condition,
√β₂ ≥ β₁/(2 − β₁), and both are what `Adam.condition` says before any run. Along a solve
V rises where the condition is not met: across the flat floor of a valley the gradient
is gone, v forgets it before m does, and x speeds up with no force to pay for it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments._together import together
from experiments.optim._adam import (
    AGES,
    DERIVED,
    GENERAL,
    KNOWN,
    PLAINER,
    RATIOS,
    SHARP,
    SIZE,
    SLOW,
    general,
    run,
    search,
    slope,
    solves,
    steepest,
    wide,
)


@dataclasses.dataclass(frozen=True)
class Config:
    pairs: int = 120  # random (β₁, β₂)
    states: int = 20_000
    steps: int = 200
    seeds: int = 8
    starts: int = 3  # of the solves
    horizon: float = 8.0
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(pairs=4000, states=200_000, steps=2000, seeds=50, starts=50),
    "full": Config(pairs=40_000, states=2_000_000, steps=2000, seeds=500, starts=500),
}
SPACE = {
    "beta1": (0.5, 0.9, 0.99),
    "beta2": (0.9, 0.95, 0.99, 0.999),
    "age": (1.0, 10.0, 100.0, 1000.0),
    "seed": (0, 1, 2),
}


# The supremum over states -------------------------------------------------------------


# Identities at random states ----------------------------------------------------------


# Along a solve ------------------------------------------------------------------------


def over(results) -> np.ndarray:
    """V̇/Σ m²/D + 1 − b/4a at random states and a, b, w ≡ 1."""

    def at(key):
        k = jax.random.split(key, 5)
        b1, b2 = 1 - 10 ** jax.random.uniform(k[0], (2,), minval=-3.0, maxval=-0.1)
        opt = dx.Adam(
            b1, b2, *10 ** jax.random.uniform(k[1], (2,), minval=-8, maxval=-1)
        )
        m, v, g = (
            wide(key, (SIZE,), d) for key, d in zip(k[2:], (1, 2, 1), strict=True)
        )
        return slope(opt, m, v**2, g) + 1 - opt.ratio / 4

    return np.asarray(jax.jit(jax.vmap(at))(keys(results.config)))


def keys(config):
    return jax.random.split(jax.random.key(config.seed + 1), config.states)


def plainer(results) -> dict:
    seeds = results.config.seed + jnp.arange(results.config.seeds)
    of = lambda opt: jax.jit(jax.vmap(functools.partial(steepest, opt)))(seeds)
    jobs = {name: lambda opt=opt: of(opt) for name, opt in PLAINER.items()}
    return together(jobs, results.tell)


PARTS = {
    "search": lambda r: search(r.config),
    "over": over,
    "solves": lambda r: jax.device_get(solves(r.config)),
    "general": lambda r: jax.device_get(jax.jit(jax.vmap(general))(keys(r.config))),
    "plainer": plainer,
}


def supremum(b1, b2, age):
    """Of V̇/Σ m̂²/D, at g = 0 and e ≪ √v."""
    w_m, w_v = -np.expm1(-(1 - b1) * age), -np.expm1(-(1 - b2) * age)
    return (1 - b2) / (1 - b1) / 4 * w_m / w_v - (1 + w_m) / 2


def supremum_of_map(b1, b2):
    """Of (V₊ − V − r)/K, at m₊ = β₁m/(2 − β₁) and m, g ≪ √v."""
    return b1 / (2 - b1) / np.sqrt(b2) - 1


def show(values):
    return ", ".join(f"{v:.3g}" for v in values)


ALLOWED = np.array(RATIOS) <= 4


def sharp(results) -> Measured:
    found = results["search"]["sharp"]
    gap = np.abs(found["flow"] - supremum(*found["given"]))
    top = np.max(results["over"])
    text = f"found by search: {show(found['flow'])}; at {results['over'].size} random "
    text += f"states and a, b, the largest V̇/Σ + 1 − b/4a: {top:.0e}"
    return Measured(max(np.max(gap), top), text)


def by_time(results):
    """By b/a, the supremum at any time."""
    flow = results["search"]["times"]["flow"]
    return np.max(flow.reshape(len(RATIOS), len(AGES)), axis=1)


def corrected(results) -> Measured:
    times, found = results["search"]["times"], by_time(results)
    off = np.max(np.abs(times["flow"] - supremum(*times["given"])))
    ends = f"a·t from {(1 - SLOW) * AGES[0]:g} to {(1 - SLOW) * AGES[-1]:g}"
    text = f"{ends}; b/a = {show(RATIOS)}: {show(found)}; against V̇ at g = e = 0: "
    return Measured(np.max(found[ALLOWED]), f"{text}{off:.0e}")


def of_map(results) -> Measured:
    old = (results["search"][k] for k in ("known", "edge", "random"))
    found = [k["map"] - supremum_of_map(*k["given"][:2]) for k in old]
    found = np.concatenate(found)
    text = f"{found.size} pairs; above it by at most {np.max(found):.0e}"
    return Measured(np.max(np.abs(found)), text)


def disagreements(results) -> Measured:
    """Pairs of which `condition` says something else than was found."""
    near, wrong, total = 5e-4, 0, 0
    for name in ("known", "edge", "random", "aged", "times"):
        part = results["search"][name]
        old = np.isinf(part["given"][2])  # a young state may be better than an old one
        for kind in ("flow", "map"):
            found, margin = part[kind] > 1e-12, part["margin"][kind]
            wrong += np.sum(found & (margin > 0))
            wrong += np.sum(~found & old & (margin < -near))
            total += found.size
    known, betas = results["search"]["known"], ", ".join(map(str, KNOWN))
    text = f"of {total}, at both sides of either edge, at random, and early; {betas}: "
    text += f"sup V̇/Σ {show(known['flow'])}, sup (V₊ − V − r)/K {show(known['map'])}"
    return Measured(wrong, text)


def descent(results) -> Measured:
    cosine, rate, defect = (
        [np.max(v[k]) for v in results["plainer"].values()] for k in range(3)
    )
    text = f"|ḟ + D|/D ≤ {max(rate):.0e}; defect of the map's balance {max(defect):.0e}"
    return largest(cosine, f"{show(cosine)}; {text}")


def rise(results):
    """By b/a and start, the largest rise of V between save points."""
    return np.max(np.diff(results["solves"]["V"], axis=-1), axis=-1)


def along(results) -> Measured:
    total = results["solves"]["V"] + results["solves"]["work"]
    open_ = np.max(np.abs(total / total[..., :1] - 1))
    text = f"b/a = {show(np.array(RATIOS)[ALLOWED])}, {total.shape[1]} starts, Tsit5; "
    text += f"V + ∫D is constant to {open_:.0e}, for b > 4a too"
    return Measured(np.max(rise(results)[ALLOWED]), text)


def beyond(results) -> float:
    return min(results["search"]["sharp"]["flow"][-1], *by_time(results)[~ALLOWED])


CLAIMS = [
    Claim(
        "8",
        "sup V̇/Σ(m²/D) over states against −(1 − b/4a), b/a = 1, 3.9, 4, 8",
        at_most(1e-10, "the search ends 1e-5 from a smooth maximum: its square"),
        sharp,
    ),
    Claim(
        "8a",
        "with bias correction, any time, b/a = 1, 4: sup V̇/Σ(m̂²/D)",
        at_most(1e-12, "0, and round-off of sums over Σ"),
        corrected,
    ),
    Claim(
        "8d",
        "sup (V₊ − V − r)/K of the map against β₁/((2 − β₁)√β₂) − 1",
        at_most(1e-3, "by search, from below; m, g ≪ √v is a limit"),
        of_map,
        DERIVED,
    ),
    Claim(
        "8e",
        "Adam.condition, before any run, against the search: pairs of which they "
        "disagree, flow and map",
        equals(0, "a count, but for pairs within 5e-4 of the edge"),
        disagreements,
        DERIVED,
    ),
    Claim(
        "8f",
        "ṁ = hg − rm, v̇ = pg² − qv: V̇ + [r/h + ḣ/2h² − q/4h]Σ m²/√(v+e)",
        at_most(1e-12, "0, and round-off of sums over Σ"),
        lambda r: np.max(r["general"][0]),
        GENERAL,
    ),
    Claim(
        "8g",
        f"{', '.join(PLAINER)}: largest cosine of ẋ and ∇f",
        at_most(0, "a descent direction, always"),
        descent,
        "arXiv:1810.13108; Gupta, Koren, Singer, arXiv:1802.09568",
    ),
    Claim(
        "8h",
        "along solves with b ≤ 4a: the largest rise of V between save points",
        at_most(1e-8, "the solver's tolerance"),
        along,
    ),
    Control(
        "8x",
        "claims 8 and 8a beyond b = 4a (b/a = 8, 40): the least supremum",
        at_least(0.5, "half of b/4a − 1 at b = 8a"),
        beyond,
        of="8a",
    ),
    Control(
        "8y",
        "claim 8 with 0.95·b/4a: what it is exceeded by at b = 4a",
        at_least(0.01, "a fifth of the 5 %"),
        lambda r: r["search"]["sharp"]["flow"][SHARP.index(4.0)] + 1 - 0.95,
        of="8",
    ),
    Control(
        "8fx",
        "claim 8f without ḣ: the largest excess",
        at_least(0.1, "of the order of the term left out"),
        lambda r: np.max(r["general"][1]),
        GENERAL,
        of="8f",
    ),
    Control(
        "8hx",
        "claim 8h with b = 8a: the largest rise of V, the least over the starts",
        at_least(1e-3, "far above the solver's tolerance"),
        lambda r: np.min(rise(r)[RATIOS.index(8.0)]),
        of="8h",
    ),
]


def figures(results) -> dict:
    found, solved = results["search"], results["solves"]
    black, grey = COLORS["black"], COLORS["grey"]

    def gather(*names):
        """β₁, β₂, and what was found of flow and map."""
        parts = [
            (*found[k]["given"][:2], found[k]["flow"], found[k]["map"]) for k in names
        ]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    plane, axes = new_figure(1, 2, size=(7.6, 3.8))
    left, right = axes[0]
    b1, b2, flow, _ = gather("random", "sharp")
    ratios = np.array([0.0, 10.0])
    left.plot(ratios, ratios / 4 - 1, color=grey, lw=1, label="−(1 − b/4a)")
    ratio = (1 - b2) / (1 - b1)
    near = (ratio < 10) & (flow < 1.6)
    blue = {"ms": 3, "color": COLORS["blue"], "label": "found"}
    left.plot(ratio[near], flow[near], "o", **blue)
    left.axhline(0, color=black, lw=0.6)
    left.set(xlabel="b/a", ylabel="sup V̇ / Σ(m²/D)", xlim=(-0.3, 10.3))
    left.set_ylim(-1.1, 1.7)
    left.set_title("Flow: the largest V̇")
    legend_below(left)

    b1, b2, flow, map_ = gather("random", "edge")
    for kind, color, label in (
        ((flow <= 0) & (map_ <= 0), "blue", "V falls"),
        ((flow <= 0) & (map_ > 0), "orange", "V of the map can rise"),
        ((flow > 0) & (map_ > 0), "vermilion", "V of both can rise"),
    ):
        style = {"ms": 3, "color": COLORS[color], "label": label}
        right.plot(1 - b1[kind], 1 - b2[kind], "o", **style)
    d = np.geomspace(1e-3, 1, 200)
    line = {"color": black, "lw": 1}
    right.plot(d, 4 * d, **line, label="b = 4a")
    beyond = 1 - ((1 - d) / (1 + d)) ** 2
    right.plot(d, beyond, "--", **line, label="√β₂ = β₁/(2 − β₁)")
    for b1, b2 in KNOWN:
        right.plot(1 - b1, 1 - b2, "s", ms=5, color=black)
        text = {"xytext": (6, -3), "textcoords": "offset points", "fontsize": 8}
        right.annotate(f"({b1:g}, {b2:g})", (1 - b1, 1 - b2), **text)
    right.set(xlabel="1 − β₁", ylabel="1 − β₂", xscale="log", yscale="log")
    right.set(xlim=(8e-4, 1.3), ylim=(8e-4, 1.3))
    right.set_title("What the search finds")
    plane.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)

    other, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    given = found["times"]["given"].reshape(3, len(RATIOS), -1)
    flow = found["times"]["flow"].reshape(len(RATIOS), -1)
    ages = np.geomspace(AGES[0], AGES[-1], 200)
    for k, name in enumerate(("blue", "green", "orange", "vermilion")):
        style = {"color": COLORS[name], "lw": 1}
        label = "b = a" if RATIOS[k] == 1 else f"b = {RATIOS[k]:g}a"
        left.plot(solved["t"], solved["V"][k, 0], **style, label=label)
        b1, b2, age = given[:, k]
        right.plot((1 - SLOW) * ages, supremum(b1[0], b2[0], ages), **style)
        right.plot((1 - SLOW) * age, flow[k], "o", ms=3, **style)
    left.set(xlabel="a·t", ylabel="V", yscale="log")
    left.set_title("Along a solve, in a valley")
    legend_below(left)
    right.axhline(0, color=black, lw=0.6)
    right.set(xlabel="a·t", ylabel="sup V̇ / Σ(m̂²/D)", xscale="log", ylim=(-1.1, 2))
    right.set_title("With bias correction (lines: g = 0)")
    return {
        "Which (β₁, β₂) let V of Adam rise: found, and as proved.": plane,
        "V of Adam over time, and the steepest rise found with bias correction.": other,
    }


STUDY = Study(
    "Adam: b ≤ 4a is sharp",
    "Barakat, Bianchi, arXiv:1810.02263, eq. 3.5",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
