"""What a model of the Kuramoto–Sivashinsky equation lacks, from pairs of snapshots.

A sparse regression on what the model gets wrong in one short step names the missing
term among twenty, and its coefficient to a percent.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dynax import reconstruct as rc
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.identify import monomials
from dynax.pde.etdrk4 import coefficients, step as etdrk4
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study
from experiments._together import stacked


LENGTH = 100.0
LIBRARY = monomials("u u_x u_xx u_xxx u_xxxx", 2)  # 20 of them
# the equation, u_t = Σ, and three terms that it may have besides
KS = {"u·u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0}
MORE = {"u": -0.05, "u_x": 0.5, "u_xxx": 0.5}
CASES = [*KS, *MORE]  # what the model lacks
TIME = 1e-3


@dataclasses.dataclass(frozen=True)
class Config:
    modes: int = 256
    pairs: int = 30
    between: int = 100  # steps of 0.05 from one pair to the next
    draws: int = 100


SIZES = {
    "quick": Config(),
    "long": Config(512, 100, 200, 1000),
    "full": Config(1024, 300, 400, 10_000),
}


def tables(terms: dict, modes: int, h: float) -> tuple:
    """What `step` needs: of u_t = Σ cₖθₖ(u) with linear terms and u·u_x."""
    k = 2 * np.pi / LENGTH * np.fft.rfftfreq(modes, 1 / modes)
    linear = ("u", "u_x", "u_xx", "u_xxx", "u_xxxx")
    parts = [terms.get(name, 0.0) * (1j * k) ** p for p, name in enumerate(linear)]
    by = coefficients(jnp.asarray(np.sum(parts, axis=0)), jnp.asarray(h))
    return by, terms.get("u·u_x", 0.0) * 0.5j * k * (np.arange(len(k)) <= modes / 3)


def step(given: tuple, u):
    """One step of the equation that `tables` were made of."""
    by, product = given
    back = lambda v: jnp.fft.irfft(v, len(u))
    nonlinear = lambda v: product * jnp.fft.rfft(back(v) ** 2)
    return back(etdrk4(by, nonlinear, jnp.fft.rfft(u)))


def candidates(u):
    """All terms of the library at the points of a field, (n, p)."""
    modes = len(u)
    k = 2j * np.pi / LENGTH * np.fft.rfftfreq(modes, 1 / modes)
    v = jnp.fft.rfft(u)
    return LIBRARY(jnp.stack([jnp.fft.irfft(k**p * v, modes) for p in range(5)], -1))


def truth(case: str) -> dict:
    return KS | ({case: MORE[case]} if case in MORE else {})


def snapshots(config: Config, slow, fast):
    """Pairs u(t), u(t + τ) on the attractor of the true equation."""
    x = np.arange(config.modes) * LENGTH / config.modes
    start = np.cos(2 * np.pi * x / LENGTH) + 0.1 * np.sin(6 * np.pi * x / LENGTH)
    wait = lambda u, n: jax.lax.fori_loop(0, n, lambda _, u: step(slow, u), u)

    def go(u, _):
        u = wait(u, config.between)
        return u, (u, step(fast, u))

    return jax.lax.scan(go, wait(start, 4000), None, length=config.pairs)[1]


def cases(results) -> dict:
    """The regression for each missing term; for the right model; and with noise."""
    config, key = results.config, jax.random.key(0)
    of = lambda terms, h: tables(terms, config.modes, h)
    lacking = [{n: c for n, c in truth(k).items() if n != k} for k in CASES]
    true = [stacked([of(truth(k), h) for k in CASES]) for h in (0.05, TIME)]
    pairs = jax.jit(jax.vmap(lambda *given: snapshots(config, *given)))(*true)
    before, after = map(np.asarray, pairs)
    # after the six cases: the right model, and noise where u_xx is missing
    k = CASES.index("u_xx")
    noise = (
        1e-3
        * np.std(before[k])
        * np.random.default_rng(0).normal(size=(2, *before[k].shape))
    )
    before = np.concatenate([before, [before[k], before[k] + noise[0]]])
    after = np.concatenate([after, [after[k], after[k] + noise[1]]])
    models = stacked([of(m, TIME) for m in (*lacking, truth("u_xx"), lacking[k])])

    def fit(model, before, after):
        one = lambda u: step(model, u)
        kind = {"time": TIME, "draws": config.draws}
        return rc.model_error(one, candidates, before, after, key, **kind)

    found = jax.device_get(jax.jit(jax.vmap(fit))(models, before, after))
    names = (*CASES, "right", "noisy")
    pick = lambda i: jax.tree.map(lambda a: a[i], found)
    return {name: pick(i) for i, name in enumerate(names)}


PARTS = {"cases": cases}


def sought(found) -> np.ndarray:
    return found.coefficients[:, 0]


def expected(case: str) -> np.ndarray:
    return np.array([truth(case)[case] * (t == case) for t in LIBRARY.terms])


def off(results) -> Measured:
    """The largest relative error of the missing coefficient."""
    rows = {}
    for case in CASES:
        k, value = LIBRARY.terms.index(case), truth(case)[case]
        rows[case] = abs(sought(results["cases"][case])[k] / value - 1)
    return largest(rows)


def extra(results) -> Measured:
    """How many terms are found besides the missing ones, in all six cases."""
    more = {
        case: [
            LIBRARY.terms[k]
            for k in np.flatnonzero(sought(results["cases"][case]))
            if LIBRARY.terms[k] != case
        ]
        for case in CASES
    }
    count = sum(map(len, more.values()))
    text = "; ".join(f"{c}: {', '.join(v)}" for c, v in more.items() if v)
    return Measured(count, text)


def misfit(results, case) -> float:
    return float(results["cases"][case].misfit[0])


SOURCE = "Mojgani, Chattopadhyay, Hassanzadeh, Chaos 32 (2022) 061105"
CLAIMS = [
    Claim(
        "Y12",
        "six missing terms: relative error of the coefficient",
        at_most(0.02, "the bias of one step of 0.001"),
        off,
    ),
    Claim(
        "Y12a",
        "six cases: terms found that the model does not lack",
        equals(0, "each loses less than a percent of the fit"),
        extra,
    ),
    Claim(
        "Y12b",
        "six missing terms: misfit of the regression",
        at_most(0.02, "the bias of one step of 0.001"),
        lambda r: largest({case: misfit(r, case) for case in CASES}),
    ),
    Claim(
        "Y12c",
        "the right model: terms found",
        equals(0, "the difference is round-off"),
        lambda r: int(np.count_nonzero(sought(r["cases"]["right"]))),
    ),
    Control(
        "Y12x",
        "claim Y12 for u_xx from snapshots with noise of 10⁻³: misfit",
        at_least(0.5, "noise over a step of 0.001 exceeds what is missing"),
        lambda r: misfit(r, "noisy"),
        of="Y12",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(9.6, 3.6))
    left, right = axes[0]
    found = [results["cases"][case] for case in CASES]
    table = np.array([np.abs(sought(f)) for f in found])
    image = left.imshow(np.where(table > 0, table, np.nan), cmap="viridis", vmin=0)
    figure.colorbar(image, ax=left, shrink=0.6, label="|coefficient| found")
    left.set_xticks(range(len(LIBRARY.terms)), LIBRARY.terms, rotation=90, fontsize=6)
    left.set_yticks(range(len(CASES)), CASES)
    left.grid(False)
    left.set(ylabel="term that the model lacks")
    left.set_title("Terms found")
    for k, (case, f) in enumerate(zip(CASES, found, strict=True)):
        j = LIBRARY.terms.index(case)
        value = truth(case)[case]
        right.errorbar(
            k,
            sought(f)[j] / value,
            2 * f.errors[j, 0] / abs(value),
            fmt="o",
            color=COLORS["blue"],
            label="found ± 2 errors" if k == 0 else None,
        )
    right.axhspan(0.98, 1.02, color=COLORS["grey"], alpha=0.2, label="2 %")
    right.set_xticks(range(len(CASES)), CASES, rotation=45)
    right.set(ylabel="coefficient/truth")
    right.set_title("Coefficients, with bootstrap errors")
    legend_below(right, 2)
    caption = (
        "Terms of the Kuramoto–Sivashinsky equation and of three variants that a model "
        "lacks, found from 30 pairs of snapshots."
    )
    return {caption: figure}


STUDY = Study(
    "What a model lacks, from its errors in one step",
    SOURCE,
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
