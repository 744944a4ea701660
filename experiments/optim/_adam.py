"""What is measured of Adam: suprema over states, solves, and simpler relatives."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax.flow import Step
from dynax.monitor import row_of_step


DERIVED = "derived in dynax.optim.adam"


GENERAL = "da Silva, Gazeau, arXiv:1810.13108"


LR, SIZE = 1e-2, 6


SLOW = 0.99  # the β₁ of a = 1 at this LR


SHARP = (1.0, 3.9, 4.0, 8.0)  # b/a


RATIOS = (1.0, 4.0, 8.0, 40.0)  # b/a, with bias correction


AGES = np.geomspace(1.0, 3000.0, 15)


KNOWN = ((0.9, 0.999), (0.9, 0.95), (0.99, 0.95))


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


def wide(key, shape, decades):
    """Numbers of either sign and of sizes over 10^±decades."""
    a, b = jax.random.split(key)
    size = 10 ** jax.random.uniform(a, shape, minval=-decades, maxval=decades)
    return size * jax.random.normal(b, shape)


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
        assert row.defect is not None
        return (x1, state1), (
            cosine,
            jnp.abs(rate + d) / d,
            jnp.abs(row.defect) / row.scale,
        )

    x = jnp.zeros((4, 3))
    ks = jnp.arange(60, dtype=jnp.int32)
    return jax.lax.scan(body, (x, opt.init(x)), ks)[1]


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
