"""At constant learning rate Lion never rests: on f = ½hx² it ends in a cycle

    x ∈ {a, a − ε},   β₁/(1+β₂) < a/ε < 1 − β₁/(1+β₂),   mean loss ≥ hε²/8,

which exists exactly when 2β₁ < 1 + β₂ and draws the momentum in by β₂² a period.
The map runs from every phase a/ε; what persists is compared with the band.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax.report import new_figure


TITLE = "The 2-cycle of Lion at constant learning rate"
SOURCE = "Exact 2-cycle of the λ = 0 map on a scalar quadratic; derivation in `cycle`"


@dataclasses.dataclass(frozen=True)
class Config:
    phases: int = 2001  # a/ε from 0.4 to 0.6
    steps: int = 4000
    eps: float = 1e-2
    h: float = 3.0


SIZES = {
    "quick": Config(),
    "long": Config(phases=20_001, steps=20_000),
    "full": Config(phases=200_001, steps=100_000),
}
SPACE = {
    "phase": tuple(np.linspace(0.4, 0.6, 21)),
    "beta1": (0.8, 0.9, 0.95),
    "beta2": (0.98, 0.99),
    "eps": (1e-2, 1e-3),
}


def band(beta1, beta2):
    """The phases a/ε that cycle: sign m̃ is + at a and − at a − ε."""
    edge = beta1 / (1 + beta2)
    return edge, 1 - edge


def cycle(phase, beta2, eps, h):
    """(a, m_A): m_A = β₂²m_A + (1−β₂)h(β₂a + a − ε) gives m_A = h(a − ε/(1+β₂)).

    m_A is an average of gradients; dynax keeps minus that.
    """
    a = phase * eps
    return a, dx.LionState(-h * (a - eps / (1 + beta2)))


def run(phase, beta1=0.9, beta2=0.99, eps=1e-2, h=3.0, kick=0.0, steps=4000):
    """Start on the would-be cycle (m_A kicked by `kick`) and follow the map.

    Returns `drift`, the largest |x − cycle|/ε; `loss`, its mean; `multiplier`, the
    contraction of the kick over the first period; `x`, every second iterate;
    `balance`, the least margin/tolerance of the ledger's balance (it holds if ≥ −1).
    """
    opt = dx.LionKappa(beta1=beta1, beta2=beta2)
    f = lambda x: h * x**2 / 2
    a, m = cycle(phase, beta2, eps, h)
    a = jnp.asarray(a)
    start = a, dx.LionState(jnp.asarray(m.m + kick, a.dtype))

    def body(carry, k):
        x, s = carry
        after = opt.step(x, s, h * x, eps)
        row = dx.monitor.observe(
            opt, dx.flow.Step(k, x, s, h * x, eps, *after, f(x), f(after[0]))
        )
        check = row.checks["balance"]
        share = check.margin / (check.tolerance + jnp.finfo(x.dtype).tiny)
        return after, (x, s.m, share)

    ks = jnp.arange(steps, dtype=jnp.int32)
    _, (x, m_t, share) = jax.lax.scan(body, start, ks)
    drift = jnp.max(jnp.abs(x - jnp.where(ks % 2 == 0, a, a - eps))) / eps
    kicked = jnp.where(kick == 0, 1.0, kick)
    return {
        "drift": drift,
        "loss": jnp.mean(f(x)),
        "multiplier": (m_t[2] - m.m) / kicked,
        "x": x[1:1000:2] / eps,
        "balance": jnp.min(share),
    }


def measure(config: Config, progress) -> dict:
    phases = np.linspace(0.4, 0.6, config.phases)

    @eqx.filter_jit
    def over(phases, beta1, beta2, kick):
        one = lambda p: run(p, beta1, beta2, config.eps, config.h, kick, config.steps)
        return jax.lax.map(one, phases, batch_size=512)

    results = {"config": config, "phases": phases, "pairs": {}}
    pairs = [(0.9, 0.99), (0.95, 0.98), (0.9, 0.9), (0.995, 0.98)]
    for i, (beta1, beta2) in enumerate(pairs):
        progress(i / len(pairs), f"β = ({beta1}, {beta2}), {config.phases} phases")
        out = over(jnp.asarray(phases), beta1, beta2, 0.0)
        results["pairs"][beta1, beta2] = jax.device_get(out)
    middle = jnp.array([0.5])
    results["kick"] = jax.device_get(
        over(middle, 0.9, 0.99, 1e-3 * config.h * config.eps)
    )
    results["edge"] = jax.device_get(over(jnp.array([0.451, 0.453]), 0.9, 0.99, 0.0))
    progress(1.0, "done")
    return results


def _persists(out):
    return out["drift"] <= 1e-9


def _edge_error(phases, out, beta1, beta2):
    kept = phases[_persists(out)]
    low, high = band(beta1, beta2)
    return max(abs(kept.min() - low), abs(kept.max() - high)) if kept.size else np.inf


def claims(results) -> list[dx.Claim]:
    config, phases = results["config"], results["phases"]
    spacing = phases[1] - phases[0]
    exist = {k: v for k, v in results["pairs"].items() if 2 * k[0] < 1 + k[1]}
    none = {k: v for k, v in results["pairs"].items() if 2 * k[0] > 1 + k[1]}
    errors = [_edge_error(phases, out, *pair) for pair, out in exist.items()]
    floor = min(out["loss"].min() for out in exist.values())
    exact = config.h * config.eps**2 / 8
    multiplier = float(results["kick"]["multiplier"][0])
    outside, inside = results["edge"]["drift"]
    ghosts = sum(int(_persists(out).sum()) for out in none.values())
    worst = min(float(out["balance"].min()) for out in results["pairs"].values())
    steps = f"{config.steps} steps, {config.phases} phases, ε = {config.eps:g}"
    make = lambda id, *a, **k: dx.Claim(id, SOURCE, *a, **k)
    return [
        make(
            "16a",
            "the cycle persists exactly for β₁/(1+β₂) < a/ε < 1 − β₁/(1+β₂)",
            float(max(errors)),
            f"edges within the spacing {spacing:.0e}",
            bool(max(errors) <= spacing * (1 + 1e-9)),
            spread=(float(min(errors)), float(max(errors))),
            detail=f"{len(exist)} pairs β, {steps}",
        ),
        make(
            "16b",
            "a kick of the momentum shrinks by β₂² a period (0.9801)",
            multiplier,
            "|measured − β₂²| ≤ 1e-9",
            bool(abs(multiplier - 0.99**2) <= 1e-9),
        ),
        make(
            "16c",
            "the mean loss on the cycle is at least hε²/8, reached at a = ε/2",
            float(floor / exact - 1),
            "|relative error| ≤ 1e-9",
            bool(abs(floor / exact - 1) <= 1e-9),
        ),
        make(
            "16d",
            "the energy balance of λ = 0 holds on every step, cycling or not",
            worst,
            "≥ −1 tolerances",
            bool(worst >= -1),
        ),
        make(
            "16x",
            "control: 2β₁ > 1 + β₂, (0.995, 0.98), has a cycle",
            float(ghosts),
            "at least one phase persists",
            ghosts == 0,
            control=True,
        ),
        make(
            "16y",
            "control: the phase 0.451, outside (0.4523, 0.5477), persists too",
            float(outside),
            "drift ≤ 1e-9 ε",
            bool(outside > 1e-9 and inside <= 1e-9),
            control=True,
            detail=f"0.453 drifts by {float(inside):.0e} ε",
        ),
    ]


def figures(results) -> dict:
    phases = results["phases"]
    figure, ((left, right),) = new_figure(1, 2)
    for name, phase in (("outside, a/ε = 0.451", 0), ("inside, a/ε = 0.453", 1)):
        x = results["edge"]["x"][phase]
        left.plot(1 + 2 * np.arange(len(x)), x, label=name)
    left.set(xlabel="step", ylabel="x/ε", title="Every second iterate")
    left.legend()
    for pair, out in results["pairs"].items():
        drift = np.maximum(out["drift"], 1e-17)
        (line,) = right.semilogy(phases, drift, label=f"β = {pair}")
        if 2 * pair[0] < 1 + pair[1]:
            for edge in band(*pair):
                right.axvline(edge, color=line.get_color(), ls=":", lw=1)
    right.set(xlabel="a/ε", ylabel="drift from the cycle /ε", title="What persists")
    right.legend()
    title = "Inside the band (dotted: predicted edges) Lion cycles, outside it leaves"
    return {title: figure}
