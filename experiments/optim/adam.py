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

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import Claim
from dynax.flow import Step
from dynax.monitor import row_of_step
from dynax.report import COLORS, new_figure
from experiments._together import together


TITLE = "Adam: b ≤ 4a is sharp"
SOURCE = "Barakat, Bianchi, arXiv:1810.02263, eq. 3.5"
DERIVED = "derived in dynax.optim.adam"
GENERAL = "da Silva, Gazeau, arXiv:1810.13108"
PLAIN = "arXiv:1810.13108; Gupta, Koren, Singer, arXiv:1802.09568"
DECOUPLED = "Loshchilov, Hutter, arXiv:1711.05101"


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
LR, SIZE = 1e-2, 6
SLOW = 0.99  # the β₁ of a = 1 at this LR
SHARP = (1.0, 3.9, 4.0, 8.0)  # b/a
RATIOS = (1.0, 4.0, 8.0, 40.0)  # b/a, with bias correction
AGES = np.geomspace(1.0, 3000.0, 15)
KNOWN = ((0.9, 0.999), (0.9, 0.95), (0.99, 0.95))


# The supremum over states -------------------------------------------------------------


def slope(opt, m, v, g, age=jnp.inf):
    """V̇ / Σ m̂²/D by one jvp, at a state with ∇f = g, `age` steps after the start.

    At age ∞ the averages are whole, w ≡ 1: the autonomous flow.
    """
    w_m, w_v = (-jnp.expm1(-(1 - beta) * age) for beta in (opt.beta1, opt.beta2))
    flow = dx.LyapunovFlow(opt, lambda x: jnp.sum(g * x), LR)
    y = jnp.zeros_like(m), dx.AdamState(m, v, w_m, w_v)
    _, rate = dx.lie_derivative(flow.energy, flow.field)(0.0, y)
    d = jnp.sqrt(v / w_v + opt.eps_root) + opt.eps
    return rate / jnp.sum((m / w_m) ** 2 / d)


def jump(opt, m, v, g, age=jnp.inf):
    """(V₊ − V − r)/K of one step with the gradient g, that is (K₊ − K + ⟨g, δ⟩)/K."""
    x, w_m, w_v = jnp.zeros_like(m), 1 - opt.beta1**age, 1 - opt.beta2**age
    state = dx.AdamState(m, v, w_m, w_v)
    delta, after = opt.update(x, state, g, LR)
    k = opt.kinetic(state, LR)
    return (opt.kinetic(after, LR) - k + jnp.sum(g * delta)) / k


def greatest(score, key):
    """The greatest score(m, v, g) found over states of two entries.

    Two hundred times, the best of 64 states near the best so far, and far from it: at
    all distances from 10⁻⁵ to 10.
    """

    def scored(z):
        m, v, share = z
        found = score(jnp.exp(m), jnp.exp(v), share * jnp.exp(m))
        return jnp.where(jnp.isfinite(found), found, -jnp.inf)

    def narrow(best, key):
        a, b = jax.random.split(key)
        far = 10 ** jax.random.uniform(a, (64, 1, 1), minval=-5.0, maxval=1.0)
        tried = best[0][None] + far * jax.random.normal(b, (64, 3, 2))
        values = jax.vmap(scored)(tried)
        k = jnp.argmax(values)
        better = values[k] > best[1]
        new = jnp.where(better, tried[k], best[0]), jnp.maximum(values[k], best[1])
        return new, None

    start = jnp.zeros((3, 2)), -jnp.inf
    return jax.lax.scan(narrow, start, jax.random.split(key, 200))[0][1]


def run(beta1, beta2, age, seed) -> dict:
    """The suprema of V̇/Σ of the flow and of (V₊ − V − r)/K of the map, as found."""
    opt, key = dx.Adam(beta1, beta2), jax.random.key(seed)
    return {
        "flow": greatest(lambda m, v, g: slope(opt, m, v, g, age), key),
        "map": greatest(lambda m, v, g: jump(opt, m, v, g, age), key),
    }


def table(config) -> dict:
    """Named sets of (β₁, β₂, age)."""
    k1, k2, k3 = jax.random.split(jax.random.key(config.seed), 3)
    spread = lambda key: 10 ** jax.random.uniform(key, (config.pairs,), maxval=3.0)
    random = [1 - 1 / spread(k1), 1 - 1 / spread(k2)]
    b1 = np.array([0.8, 0.9, 0.99])
    sides = 1 + 1e-3 * np.array([[-1], [1]])
    edges = 1 - 4 * (1 - b1) * sides, (b1 / (2 - b1) * sides) ** 2
    edge = [np.tile(b1, 4), np.concatenate([b.ravel() for b in edges])]
    of = lambda ratios: [SLOW, 1 - (1 - SLOW) * np.asarray(ratios)]
    sets = {
        "sharp": [*of(SHARP), np.inf],
        "times": [*of(np.repeat(RATIOS, len(AGES))), np.tile(AGES, len(RATIOS))],
        "known": [*np.transpose(KNOWN), np.inf],
        "edge": [*edge, np.inf],
        "random": [*random, np.inf],
        "aged": np.stack([*random, 1 + spread(k3)])[:, ::2],
    }
    return {k: np.stack(np.broadcast_arrays(*v)) for k, v in sets.items()}


def search(config) -> dict:
    """What `run` finds of each set, and the margin by which `condition` is met."""
    sets = table(config)

    @jax.jit
    @jax.vmap
    def every(b1, b2, age):
        checks = dx.Adam(b1, b2).condition()
        margins = {k: c.margin for k, c in checks.items()}
        return run(b1, b2, age, config.seed) | {"margin": margins}

    found = every(*jnp.asarray(np.concatenate([*sets.values()], axis=1)))
    cuts = np.cumsum([given.shape[1] for given in sets.values()])[:-1]
    leaves, tree = jax.tree.flatten(jax.device_get(found))
    parts = zip(*(np.split(a, cuts) for a in leaves), strict=True)
    return {
        name: {"given": given} | jax.tree.unflatten(tree, part)
        for (name, given), part in zip(sets.items(), parts, strict=True)
    }


# Identities at random states ----------------------------------------------------------


def wide(key, shape, decades):
    """Numbers of either sign and of sizes over 10^±decades."""
    a, b = jax.random.split(key)
    size = 10 ** jax.random.uniform(a, shape, minval=-decades, maxval=decades)
    return size * jax.random.normal(b, shape)


def exact(key):
    """|V̇ + D| over the numbers summed in it, and V̇/Σ m²/D + 1 − b/4a at w ≡ 1."""
    k = jax.random.split(key, 6)
    b1, b2 = 1 - 10 ** jax.random.uniform(k[0], (2,), minval=-3.0, maxval=-0.1)
    opt = dx.Adam(b1, b2, *10 ** jax.random.uniform(k[1], (2,), minval=-8, maxval=-1.0))
    m, v, g = (
        wide(k[2], (SIZE,), 1),
        wide(k[3], (SIZE,), 2) ** 2,
        wide(k[4], (SIZE,), 1),
    )
    age = 10 ** jax.random.uniform(k[5], minval=-1.0, maxval=4.0)
    w_m, w_v = (-jnp.expm1(-(1 - beta) * age) for beta in (b1, b2))
    flow = dx.LyapunovFlow(opt, lambda x: jnp.sum(g * x), LR)
    y = jnp.zeros(SIZE), dx.AdamState(m, v, w_m, w_v)
    _, rate = dx.lie_derivative(flow.energy, flow.field)(0.0, y)
    d, speed = flow.dissipation(0.0, y), flow.field(0.0, y)[0]
    size = jnp.sum(jnp.abs(g * speed)) + jnp.abs(d)
    return jnp.abs(rate + d) / size, slope(opt, m, v, g) + 1 - opt.ratio / 4


def general(key):
    """ẋ = −m/√(v+e), ṁ = hg − rm, v̇ = pg² − qv, h = h₀ + st: V̇ over its bound, in Σ.

    V = f + (1/2h) Σ m²/√(v+e) has V̇ ≤ −[r/h + ḣ/2h² − q/4h] Σ m²/√(v+e); the same
    without ḣ.
    """
    k = jax.random.split(key, 5)
    h0, r, p, q = 10 ** jax.random.uniform(k[0], (4,), minval=-1.0, maxval=1.0)
    s = h0 * jax.random.normal(k[1])
    m, v = wide(k[2], (SIZE,), 1), wide(k[3], (SIZE,), 2) ** 2
    g, e, h = wide(k[4], (SIZE,), 1), 1e-3, lambda t: h0 + s * t

    def field(t, y, args):
        _, m, v = y
        return -m / jnp.sqrt(v + e), h(t) * g - r * m, p * g**2 - q * v

    def energy(t, y, args):
        x, m, v = y
        return jnp.sum(g * x) + jnp.sum(m**2 / jnp.sqrt(v + e)) / (2 * h(t))

    _, rate = dx.lie_derivative(energy, field)(0.0, (jnp.zeros(SIZE), m, v))
    total = jnp.sum(m**2 / jnp.sqrt(v + e))
    size = jnp.sum(jnp.abs(g * m) / jnp.sqrt(v + e)) + total * (r + q) / h0
    bound = -(r / h0 + s / (2 * h0**2) - q / (4 * h0)) * total
    unsteady = bound + s / (2 * h0**2) * total
    return (rate - bound) / size, (rate - unsteady) / size


PLAINER = {
    "RMSprop": dx.RMSprop(),
    "AdaGrad": dx.AdaGrad(),
    "Shampoo": dx.Shampoo(),
}


def steepest(opt, seed):
    """cos(∇f, ẋ) and |ḟ + D|/D at states reached by random gradients, V = f; and the
    relative defect of the map's balance there."""

    def body(carry, k):
        x, state = carry
        g = wide(jax.random.fold_in(jax.random.key(seed), k), (4, 3), 1)
        flow = dx.LyapunovFlow(opt, lambda x: jnp.sum(g * x), LR)
        _, rate = dx.lie_derivative(flow.energy, flow.field)(0.0, carry)
        speed, d = flow.field(0.0, carry)[0], flow.dissipation(0.0, carry)
        cosine = rate / jnp.sqrt(jnp.sum(g**2) * jnp.sum(speed**2))
        x1, state1 = opt.step(x, state, g, LR)
        value, value1 = jnp.sum(jnp.cos(x)), jnp.sum(jnp.cos(x1))
        row = row_of_step(opt, Step(k, x, state, g, LR, x1, state1, value, value1))
        return (x1, state1), (
            cosine,
            jnp.abs(rate + d) / d,
            jnp.abs(row.defect) / row.scale,
        )

    x = jnp.zeros((4, 3))
    ks = jnp.arange(60, dtype=jnp.int32)
    return jax.lax.scan(body, (x, opt.init(x)), ks)[1]


def audited(claim, opt, seed, steps):
    """Steps of `opt` from random gradients, held against the balance of `claim`: what
    its ledger leaves open, or V₊ − V as it is defined, over the energies and terms; and
    whether that is beyond the ledger's model of round-off."""
    f = lambda x: jnp.sum(jnp.cos(x) + x**2 / 4)
    potential = lambda x, state: f(x) + claim.kinetic(state, LR)

    def body(carry, k):
        g = wide(jax.random.fold_in(jax.random.key(seed), k), (SIZE,), 3)
        after = opt.step(*carry, g, LR)
        (x, state), (x1, state1) = carry, after
        row = row_of_step(claim, Step(k, x, state, g, LR, x1, state1, f(x), f(x1)))
        v, v1 = potential(*carry), potential(*after)
        size = jnp.abs(v) + jnp.abs(v1) + row.scale
        gaps = jnp.abs(jnp.stack([row.defect, v1 - v - row.predicted])) / size
        check = row.checks["balance"]
        return after, (jnp.max(gaps), check.margin < -check.tolerance)

    x = jnp.ones(SIZE)
    ks = jnp.arange(steps, dtype=jnp.int32)
    return jax.lax.scan(body, (x, opt.init(x)), ks)[1]


# Along a solve ------------------------------------------------------------------------


def valley(x):
    """Walls of slope 1 at ±1, and between them nearly nothing."""
    return jnp.sum(jax.nn.softplus(10 * (x - 1)) + jax.nn.softplus(-10 * (x + 1))) / 10


def solve(ratio, x, ts):
    """V and ∫D along the flow of b/a = ratio from x."""
    opt = dx.Adam(SLOW, 1 - (1 - SLOW) * ratio)
    system = dx.WithDissipation(dx.LyapunovFlow(opt, valley, LR))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(system.field),
        diffrax.Tsit5(),
        ts[0],
        ts[-1],
        None,
        system.init(x),
        stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
        saveat=diffrax.SaveAt(ts=ts, fn=lambda t, y, args: (system.energy(t, y), y[1])),
        max_steps=20_000,
        throw=False,  # an unfinished solve ends in inf, and no claim holds of that
    )
    return solution.ys


def solves(config) -> dict:
    ts = jnp.linspace(0.0, config.horizon, 601)
    key = jax.random.key(config.seed)
    start = jax.random.uniform(key, (config.starts, 3), minval=1.2, maxval=3.0)
    start = start * jnp.array([[1.0, -1.0, 1.0]])
    each = jax.vmap(jax.vmap(solve, (None, 0, None)), (0, None, None))
    v, work = jax.jit(each)(jnp.asarray(RATIOS), start, ts)
    return {"t": ts, "V": v, "work": work}


def certified(config) -> dict:
    """What `dx.verify` says of the parts of AdamW."""
    system = dx.System(dx.AdamW(), valley, 2 * jnp.ones(3), LR, horizon=None)
    result = dx.verify(system, steps=50, states=20, seed=config.seed)
    return {name: v.status for name, v in result.verdicts.items()}


def measure(config: Config, progress) -> dict:
    keys = jax.random.split(jax.random.key(config.seed + 1), config.states)
    seeds = config.seed + jnp.arange(config.seeds)
    betas = jnp.asarray(KNOWN).T
    over_seeds = lambda go: jax.jit(jax.vmap(go))(seeds)
    audit = functools.partial(audited, steps=config.steps)

    def of_known(seed):
        adam = lambda b1, b2: dx.Adam(b1, b2)
        return jax.vmap(lambda opt: audit(opt, opt, seed))(jax.vmap(adam)(*betas))

    decayed = lambda seed: audit(dx.Adam(), dx.AdamW(weight_decay=0.1), seed)
    jobs = {
        "search": lambda: search(config),
        "solves": lambda: solves(config),
        "exact": lambda: jax.jit(jax.vmap(exact))(keys),
        "general": lambda: jax.jit(jax.vmap(general))(keys),
        "maps": lambda: over_seeds(of_known),
        "AdamW": lambda: over_seeds(decayed),
        "verify": lambda: certified(config),
    }
    for name, opt in PLAINER.items():
        jobs[name] = lambda opt=opt: over_seeds(functools.partial(steepest, opt))
    return together(jobs, progress) | {"config": config}


# Judgement ----------------------------------------------------------------------------


def supremum(b1, b2, age):
    """Of V̇/Σ m̂²/D, at g = 0 and e ≪ √v."""
    w_m, w_v = -np.expm1(-(1 - b1) * age), -np.expm1(-(1 - b2) * age)
    return (1 - b2) / (1 - b1) / 4 * w_m / w_v - (1 + w_m) / 2


def supremum_of_map(b1, b2):
    """Of (V₊ − V − r)/K, at m₊ = β₁m/(2 − β₁) and m, g ≪ √v."""
    return b1 / (2 - b1) / np.sqrt(b2) - 1


def disagreements(results, kind):
    """Pairs of which `condition` says something else than was found."""
    near, wrong, total = 5e-4, 0, 0
    for name in ("known", "edge", "random", "aged", "times"):
        part = results["search"][name]
        found, margin = part[kind] > 1e-12, part["margin"][kind]
        old = np.isinf(part["given"][2])  # a young state may be better than an old one
        wrong += np.sum(found & (margin > 0)) + np.sum(~found & old & (margin < -near))
        total += found.size
    return int(wrong), total


def claims(results) -> list[Claim]:
    config, found, solved = (results[k] for k in ("config", "search", "solves"))
    sharp, times, known = (found[k] for k in ("sharp", "times", "known"))
    error, over = results["exact"]
    gap = np.abs(sharp["flow"] - supremum(*sharp["given"]))
    by_time = times["flow"].reshape(len(RATIOS), len(AGES))
    off = np.max(np.abs(times["flow"] - supremum(*times["given"])))
    allowed = np.array(RATIOS) <= 4
    old = ("known", "edge", "random")
    of_map = [found[k]["map"] - supremum_of_map(*found[k]["given"][:2]) for k in old]
    wrong = {kind: disagreements(results, kind) for kind in ("flow", "map")}
    defect, broken = (np.max(v) for v in results["maps"])
    proved, unsteady = (np.max(v) for v in results["general"])
    plainer = {name: [np.max(v) for v in results[name]] for name in PLAINER}
    rise = np.max(np.diff(solved["V"], axis=-1), axis=-1)
    total = solved["V"] + solved["work"]
    open_ = np.max(np.abs(total / total[..., :1] - 1))
    betas = ", ".join(f"({b1:g}, {b2:g})" for b1, b2 in KNOWN)
    show = lambda values: ", ".join(f"{v:.3g}" for v in values)
    claim = functools.partial(Claim.judged, SOURCE)
    derived = functools.partial(Claim.judged, DERIVED)
    general_ = functools.partial(Claim.judged, GENERAL)
    return [
        claim(
            "8",
            "sup V̇/Σ(m²/D) over states against −(1 − b/4a), b/a = 1, 3.9, 4, 8",
            max(np.max(gap), np.max(over)),
            "≤ 1e-6",
            f"found by search: {show(sharp['flow'])}; at {config.states} random states "
            f"and a, b, the largest V̇/Σ + 1 − b/4a: {np.max(over):.0e}",
        ),
        claim(
            "8a",
            "with bias correction, any time, b/a = 1, 4: sup V̇/Σ(m̂²/D)",
            np.max(by_time[allowed]),
            "≤ 1e-12",
            f"a·t from {(1 - SLOW) * AGES[0]:g} to {(1 - SLOW) * AGES[-1]:g}; b/a = "
            f"{show(RATIOS)}: {show(np.max(by_time, axis=1))}; against V̇ at g = e = 0: "
            f"{off:.0e}",
        ),
        derived(
            "8b",
            "V̇ is what Adam.dissipation says, to the numbers summed in it",
            np.max(error),
            "≤ 1e-12",
            f"{config.states} random states, β, e, e_r and times",
        ),
        derived(
            "8c",
            "the map's balance on random gradients: its relative defect",
            defect,
            "≤ 1e-12",
            f"{betas}, {config.seeds} runs of {config.steps} steps, gradients over six "
            f"decades; by the ledger, or by V₊ − V as defined; some step beyond the "
            f"model of round-off: {'yes' if broken else 'no'}",
        ),
        derived(
            "8d",
            "sup (V₊ − V − r)/K of the map against β₁/((2 − β₁)√β₂) − 1",
            max(np.max(np.abs(v)) for v in of_map),
            "≤ 1e-3 (by search, from below)",
            f"{sum(v.size for v in of_map)} pairs; above it by at most "
            f"{max(np.max(v) for v in of_map):.0e}",
        ),
        derived(
            "8e",
            "Adam.condition, before any run, against the search: pairs of which they "
            "disagree, flow and map",
            sum(count for count, _ in wrong.values()),
            "≤ 0",
            f"of {sum(n for _, n in wrong.values())}, at both sides of either edge, at "
            f"random, and early; {betas}: sup V̇/Σ {show(known['flow'])}, "
            f"sup (V₊ − V − r)/K {show(known['map'])}",
        ),
        general_(
            "8f",
            "ṁ = hg − rm, v̇ = pg² − qv: V̇ + [r/h + ḣ/2h² − q/4h]Σ m²/√(v+e)",
            proved,
            "≤ 1e-12",
            f"the largest, relative; {config.states} random states and coefficients",
        ),
        Claim.judged(
            PLAIN,
            "8g",
            f"{', '.join(PLAINER)}: largest cosine of ẋ and ∇f",
            max(v[0] for v in plainer.values()),
            "≤ 0",
            f"{show(v[0] for v in plainer.values())}; |ḟ + D|/D ≤ "
            f"{max(v[1] for v in plainer.values()):.0e}; defect of the map's balance "
            f"{max(v[2] for v in plainer.values()):.0e}",
        ),
        claim(
            "8h",
            "along solves with b ≤ 4a: the largest rise of V between save points",
            np.max(rise[allowed]),
            "≤ 1e-8 (the solver's tolerance)",
            f"b/a = {show(np.array(RATIOS)[allowed])}, {config.starts} starts, Tsit5; "
            f"V + ∫D is constant to {open_:.0e}, for b > 4a too",
        ),
        Claim.judged(
            DECOUPLED,
            "8i",
            "dx.verify certifies nothing of AdamW: parts with a verdict",
            sum(
                status != "no certificate"
                for name, status in results["verify"].items()
                if name != "limit"
            ),
            "≤ 0",
            "; ".join(f"{k}: {v}" for k, v in results["verify"].items()),
        ),
        claim(
            "8x",
            "claims 8 and 8a beyond b = 4a (b/a = 8, 40): the least supremum",
            min(sharp["flow"][-1], *np.max(by_time[~allowed], axis=1)),
            "≥ 0.5 rejected",
        ),
        claim(
            "8y",
            "claim 8 with 0.95·b/4a: what it is exceeded by at b = 4a",
            sharp["flow"][SHARP.index(4.0)] + 1 - 0.95,
            "≥ 0.01 rejected",
        ),
        derived(
            "8z",
            "claim 8c for AdamW held against Adam: least share of steps that break it",
            np.min(np.mean(results["AdamW"][1], axis=-1)),
            "≥ 0.9 rejected",
            "λ = 0.1",
        ),
        general_(
            "8fx",
            "claim 8f without ḣ: the largest excess",
            unsteady,
            "≥ 0.1 rejected",
        ),
        claim(
            "8hx",
            "claim 8h with b = 8a: the largest rise of V, the least over the starts",
            np.min(rise[RATIOS.index(8.0)]),
            "≥ 1e-3 rejected",
            f"between save points; b = 40a: {np.min(rise[RATIOS.index(40.0)]):.2g}",
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
    left.plot((1 - b2) / (1 - b1), flow, "o", ms=3, color=COLORS["blue"], label="found")
    left.axhline(0, color=black, lw=0.6)
    left.set(xlabel="b/a", ylabel="sup V̇ / Σ(m²/D)", xlim=(0, 10), ylim=(-1.1, 1.6))
    left.set_title("Flow: the largest V̇")
    left.legend(loc="upper left")

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
    left.legend(loc="lower left")
    right.axhline(0, color=black, lw=0.6)
    right.set(xlabel="a·t", ylabel="sup V̇ / Σ(m̂²/D)", xscale="log", ylim=(-1.1, 2))
    right.set_title("With bias correction (lines: g = 0)")
    return {"betas": plane, "time": other}
