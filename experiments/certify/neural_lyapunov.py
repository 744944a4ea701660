"""What an equilibrium attracts: a learned Lyapunov function, and local certificates.

A damped pendulum on [−2, 2]² with a network 2-16-8, three seeds. Then the sets that
are certified about equilibria of six systems by a quadratic V. Every set is put to the
test by runs that start in it.
"""

import dataclasses
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from matplotlib.patches import Rectangle

import dynax as dx
from dynax import certify
from dynax.certify._edge import Edge
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    runs: int = 10_000
    seeds: int = 3
    steps: int = 2000  # of the Runge–Kutta method


SIZES = {"quick": Config(), "long": Config(100_000, 10), "full": Config(10**6, 30)}
SIDE = 2.0
STEP = 0.02


def pendulum(t, z, args):
    return jnp.stack([z[1], -jnp.sin(z[0]) - z[1]])


def arrive(field, z, steps, keep=0):
    """States (batch, n) after a run; and `keep` of them on the way."""

    def body(z, _):
        F = jax.vmap(lambda z: field(0.0, z, None))
        a = F(z)
        b = F(z + STEP / 2 * a)
        c = F(z + STEP / 2 * b)
        d = F(z + STEP * c)
        z = z + STEP / 6 * (a + 2 * b + 2 * c + d)
        return z, z[:keep]

    with jax.enable_x64(True):
        run = jax.jit(lambda z: jax.lax.scan(body, z, None, length=steps))
        end, path = run(jnp.asarray(z))
    return np.asarray(end), np.asarray(path)


def within(region, count, seed=0):
    """States (count, n) of a learned region."""
    rng, found = np.random.default_rng(seed), []
    with jax.enable_x64(True):
        contains = jax.jit(region.contains)
        while sum(map(len, found)) < count:
            z = rng.uniform(region.lower, region.upper, (count, region.lower.size))
            found.append(z[np.asarray(contains(z))])
    return np.concatenate(found)[:count]


def flipped(V):
    """V with the sign of one weight turned: the one that spoils the most of 441 states.

    A state counts where V̇ > 0 and V is below its least value on the faces.
    """
    w, restore = ravel_pytree(V.parameters)
    side = np.linspace(-SIDE, SIDE, 21)
    grid = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    edge = np.max(np.abs(grid), axis=1) == SIDE
    turned = lambda k: eqx.tree_at(
        lambda V: V.parameters, V, restore(w.at[k].multiply(-1))
    )

    def spoilt(k):
        rate = dx.lie_derivative(turned(k), pendulum)
        value, change = jax.vmap(lambda y: rate(0.0, y))(grid)
        level = jnp.min(jnp.where(edge, value, jnp.inf))
        return jnp.sum((value < level) & (change > 0))

    return turned(int(jnp.argmax(jax.jit(jax.vmap(spoilt))(jnp.arange(w.size)))))


def judged(V, lower, upper):
    """V̇ < 0 where V is below its least value on the faces, outside of a ball."""
    with jax.enable_x64(True):
        level, _ = Edge(lambda y: V(0.0, y), len(lower)).least(lower, upper)
    given = {"excluding": certify.Ball(0.42), "level": level}
    return certify.on_box(V, pendulum, lower, upper, **given)


def learned(results) -> dict:
    """For each seed: the region, its area, runs from it, and V with a sign flipped."""
    found, sides = {}, ([-SIDE] * 2, [SIDE] * 2)
    for seed in range(results.config.seeds):
        results.tell(seed / results.config.seeds, f"seed {seed}")
        begun = time.process_time()
        V, region = certify.learn(pendulum, *sides, jax.random.key(seed))
        seconds = time.process_time() - begun
        count = results.config.runs // results.config.seeds
        end, _ = arrive(pendulum, within(region, count), results.config.steps)
        found[seed] = {
            "region": region,
            "area": region.share() * (2 * SIDE) ** 2,
            "seconds": seconds,
            "runs": count,
            "away": int(np.sum(~(np.linalg.norm(end, axis=1) < 1e-3))),
            "again": judged(V, region.lower, region.upper),
        }
        with jax.enable_x64(True):
            wrong = flipped(V)
        found[seed]["control: flipped"] = judged(wrong, region.lower, region.upper)
    return found


def well(x):
    return (x**2 - 1) ** 2 / 4


def systems():
    """Name → system, equilibrium, and its field on vectors."""
    ball = dx.as_flow(dx.HeavyBall(1.0), well)
    van_der_pol = lambda t, z, args: jnp.stack([-z[1], z[0] - (1 - z[0] ** 2) * z[1]])
    prey = lambda t, z, args: jnp.stack([z[0] * (1 - z[0] - z[1]), z[1] * (z[0] - 0.5)])
    held = lambda t, z, args: jnp.stack(
        [z[1], jnp.sin(z[0]) - z[1] - 3 * jnp.tanh(2 * z[0] + z[1])]
    )
    cubic = lambda t, z, args: -z + z**3
    own = {
        "pendulum": (pendulum, [0.0, 0.0]),
        "Van der Pol, reversed": (van_der_pol, [0.0, 0.0]),
        "predator and prey": (prey, [0.5, 0.5]),
        "upright with a torque": (held, [0.0, 0.0]),
        "−x + x³": (cubic, [0.0]),
    }
    return {k: (f, at, f) for k, (f, at) in own.items()} | {
        "heavy ball": (ball, jnp.asarray(1.0), lambda t, z, a: _flat(ball, z))
    }


def _flat(flow, z):
    y, restore = ravel_pytree(flow.init(jnp.zeros(())))
    return ravel_pytree(flow.field(0.0, restore(z)))[0]


def started(found, at, factor, count):
    """States on {V = factor²·level}, V the quadratic one."""
    n = at.size
    z = np.random.default_rng(0).standard_normal((count, n))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    root = np.linalg.inv(np.linalg.cholesky(found.P))
    return at + factor * np.sqrt(found.level) * z @ root


def rising(field, found, at, z):
    """Of states z: how many have V̇ ≥ 0."""
    with jax.enable_x64(True):
        F = np.asarray(jax.vmap(lambda z: field(0.0, z, None))(jnp.asarray(z)))
    return int(np.sum(np.sum((z - at) @ found.P * F, axis=1) >= 0))


def local(results) -> dict:
    """For each system: states of the certified set, and of one 1.3 times as large."""
    found, all = {}, systems()
    for k, (name, (system, at, field)) in enumerate(all.items()):
        results.tell(k / len(all), name)
        certificate = certify.locally(system, at)
        centre = np.asarray([1.0, 0.0] if name == "heavy ball" else at, float)
        row: dict = {"certificate": certificate}
        for factor in (1.0, 1.3):
            z = started(certificate, centre, factor, results.config.runs)
            end, _ = arrive(field, z, results.config.steps)
            away = ~(np.linalg.norm(end - centre, axis=1) < 1e-2)
            row[factor] = rising(field, certificate, centre, z), int(np.sum(away))
        found[name] = row
    return found


PARTS = {"learned": learned, "local": local}


def least_area(results) -> Measured:
    rows = results["learned"].values()
    held = [row for row in rows if row["region"].verdict.status == "holds"]
    boxes = ", ".join(str(row["region"].verdict.audited) for row in rows)
    text = f"{len(held)} of {len(rows)} hold; boxes: {boxes}"
    area = min(row["area"] for row in rows)
    return Measured(area if len(held) == len(rows) else 0.0, text)


def most_seconds(results) -> Measured:
    return Measured(max(row["seconds"] for row in results["learned"].values()))


def away(results) -> Measured:
    rows = results["learned"].values()
    total = sum(row["runs"] for row in rows)
    return Measured(sum(row["away"] for row in rows), f"of {total}")


def count(results, key, status) -> Measured:
    rows = results["learned"].values()
    bad = sum(row[key].status != status for row in rows)
    return Measured(bad, f"of {len(rows)}")


def outside(results, factor) -> Measured:
    """States with V̇ ≥ 0, or that do not arrive."""
    rows = results["local"]
    bad = {name: row[factor] for name, row in rows.items() if any(row[factor])}
    text = "; ".join(f"{n}: V̇ ≥ 0 {r}, astray {a}" for n, (r, a) in bad.items())
    wrong = sum(sum(v) for v in bad.values()) if factor == 1.0 else len(bad)
    return Measured(wrong, text)


CLAIMS = [
    Claim(
        "K8",
        "pendulum on [−2, 2]²: least certified area of {V ≤ c} over the seeds",
        at_least(6.0, "three eighths of the box"),
        least_area,
        source="Chang, Roohi, Gao, NeurIPS 2019, arXiv:2005.00611",
    ),
    Claim(
        "K8a",
        "CPU seconds to learn and to certify, the most of the seeds",
        at_most(60.0, "ten times what one core takes"),
        most_seconds,
    ),
    Claim(
        "K8b",
        "runs from the certified region that do not arrive",
        equals(0, "the certificate is of every state"),
        away,
    ),
    Control(
        "K8x",
        "claim K8 with the sign of one weight of V turned: seeds that are not refuted",
        equals(0, "V̇ > 0 somewhere where that V is below its values on the faces"),
        lambda r: count(r, "control: flipped", "violated"),
        of="K8",
    ),
    Claim(
        "K9",
        "six equilibria: states on the edge of the certified set that go astray",
        equals(0, "V̇ < 0 is certified on all of it"),
        lambda r: outside(r, 1.0),
    ),
    Control(
        "K9x",
        "claim K9 with the set 1.3 times as large: systems where a state fails",
        at_least(1, "the level stops where V̇ = 0 somewhere"),
        lambda r: outside(r, 1.3),
        of="K9",
    ),
]


def _boxes(axis, boxes, color):
    lo, hi = boxes
    for k in range(lo.shape[1]):
        width, height = hi[:, k] - lo[:, k]
        patch = Rectangle(
            (lo[0, k], lo[1, k]), width, height, facecolor=color, alpha=0.35
        )
        patch.set(edgecolor="white", linewidth=0.2)
        axis.add_patch(patch)


def figures(results) -> dict:
    region = results["learned"][0]["region"]
    figure, axes = new_figure(1, 2, size=(9.0, 4.4))
    first, second = np.ravel(axes)
    side = np.linspace(-SIDE, SIDE, 161)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    with jax.enable_x64(True):
        V = jax.vmap(jax.vmap(lambda y: region.V(0.0, y)))(jnp.asarray(grid))
    _boxes(first, region.outcome.closed, COLORS["green"])
    _boxes(first, region.outcome.open, COLORS["orange"])
    first.set_title(f"{region.outcome.closed[0].shape[1]} closed boxes")
    z = within(region, 24)
    _, path = arrive(pendulum, z, 600, keep=24)
    for k in range(path.shape[1]):
        line = np.concatenate([z[None, k], path[:, k]])
        second.plot(*line.T, color=COLORS["blue"], linewidth=0.6)
    second.plot(*z.T, ".", color=COLORS["blue"], markersize=3, label="starts of runs")
    second.contour(side, side, V, 12, colors=COLORS["grey"], linewidths=0.5)
    second.set_title("level sets of V and runs")
    for axis in (first, second):
        edge = axis.contour(
            side, side, V, [region.level], colors=COLORS["vermilion"], linewidths=1.6
        )
        del edge
        axis.set(xlabel="angle", ylabel="angular velocity")
        axis.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE))
    second.plot([], [], color=COLORS["vermilion"], label="V = c, edge of the region")
    legend_below(second)
    caption = (
        "A learned Lyapunov function of the pendulum. Left: boxes on which V̇ < 0 is "
        "certified. Right: what is certified to be attracted, and runs from it."
    )
    return {caption: figure}


STUDY = Study(
    title="Learned Lyapunov functions and local certificates",
    source="Chang, Roohi, Gao, NeurIPS 2019, arXiv:2005.00611",
    sizes=SIZES,
    parts=PARTS,
    claims=CLAIMS,
    figures=figures,
)
