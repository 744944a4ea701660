"""Material points that slide, stick, are pushed and held, against closed forms.

A block on an incline slides iff tan θ > μ, by g (sin θ − μ cos θ). A piston squeezes a
block against a wall: the block never gains more than the piston's work, and momentum is
accounted for to round-off. Held points stay where they are, to the last bit.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import material as mat, verdict
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.mechanics import mpm
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


G, ANGLE = 9.81, np.pi / 6
FRICTION = np.array([0.0, 0.2, 0.4, 0.7, 0.4, 0.8, 1.0])  # tan θ = 0.577
SPEED = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])  # at the start, m/s
DT, STROKE = 5e-4, 0.03  # s; of the piston, m


@dataclasses.dataclass(frozen=True)
class Config:
    nodes: int = 32
    seconds: float = 0.3


SIZES = {"quick": Config(), "long": Config(48, 0.4), "full": Config(64, 0.4)}


def block(lower, upper, spacing):
    x = mpm.bodies.box(lower, upper, spacing)
    return x, mpm.Material(mat.jelly(), 1e3, spacing**2, len(x))


def slide(results) -> dict:
    """Mean velocity along and across the incline, of each friction and start."""
    n, dx = results.config.nodes, 1 / results.config.nodes
    x, jelly = block((0.0, 0.0), (8 * dx, 4 * dx), dx / 2)
    along = np.array([np.cos(ANGLE), -np.sin(ANGLE)])
    normal = np.array([np.sin(ANGLE), np.cos(ANGLE)])
    foot = np.array([0.15, 0.7])
    place = foot + x[:, :1] * along + x[:, 1:] * normal
    steps = 20 * round(results.config.seconds / DT / 20)

    def run(given):
        friction, speed = given
        start = mpm.at_rest(jelly, jnp.asarray(place), speed * along)
        slope = mpm.Slope(foot, normal, friction=friction)
        solver = mpm.MPM(mpm.Grid((n, n), dx), (slope,), np.array([0.0, -G]))
        mean = lambda y: jnp.mean(y.v, 0) @ jnp.stack([along, normal], 1)
        moved = mpm.simulate(solver, jelly, start, DT, steps, 10, observe=mean)
        return moved.t, moved.y

    t, v = jax.jit(lambda *a: jax.lax.map(run, a))(FRICTION, SPEED)
    return {"t": np.asarray(t[0]), "v": np.asarray(v)}


def push(results) -> dict:
    """Energy, work and momentum of a block between a piston and a wall."""
    n, dx = results.config.nodes, 1 / results.config.nodes
    x, jelly = block((0.25, 0.25), (0.75, 0.5), dx / 2)
    start = mpm.at_rest(jelly, jnp.asarray(x))
    face, seconds = 0.25 - dx / 2, results.config.seconds
    way = lambda t: STROKE / 2 * (1 - jnp.cos(np.pi * t / seconds))
    piston = mpm.Collider(lambda x, t: x[0] - face - way(t))
    wall = mpm.Slope([0.75 + dx / 2, 0.0], [-1.0, 0.0])
    solver = mpm.MPM(mpm.Grid((n, n), dx), (piston, wall))
    motion = mpm.simulate(solver, jelly, start, DT, round(seconds / DT))
    rows = mpm.audit(solver, jelly, motion.t, motion.y)
    said = verdict(rows, "the block gains what the piston does").checks
    still = dataclasses.replace(solver, walls=(wall,))
    false = verdict(mpm.audit(still, jelly, motion.t, motion.y), "E falls")
    return {
        "t": np.asarray(motion.t)[1:],
        "work": np.cumsum(rows.terms["work"]),
        "gain": np.cumsum(rows.change),
        "unaccounted": said["momentum"]["violations"],
        "rises": said["fall"]["violations"],
        "rises without work": false.checks["fall"]["violations"],
    }


def hang(results) -> dict:
    """The way of held points and of the lower end, held at the top and not."""
    n, dx = results.config.nodes, 1 / results.config.nodes
    x, jelly = block((0.375, 0.25), (0.625, 0.75), dx / 2)
    start = mpm.at_rest(jelly, jnp.asarray(x))
    top = x[:, 1] > 0.75 - dx

    @jax.jit
    def run(held):
        solver = mpm.MPM(mpm.Grid((n, n), dx), (), np.array([0.0, -G]), held=held)
        way = lambda y: jnp.sqrt(jnp.sum((y.x - start.x) ** 2, -1))
        both = lambda y: (jnp.max(way(y) * top), jnp.max(way(y)))
        return mpm.simulate(solver, jelly, start, DT, 200, 20, observe=both).y

    return {"held": run(jnp.asarray(top)), "free": run(jnp.zeros_like(top))}


PARTS = {"slide": slide, "push": push, "hang": hang}


def acceleration(results) -> np.ndarray:
    """Along the incline, of those that start with a speed, m/s²."""
    t, v = results["slide"]["t"], results["slide"]["v"][:4, :, 0]
    return np.array([np.polyfit(t, row, 1)[0] for row in v])


def coulomb() -> np.ndarray:
    return G * (np.sin(ANGLE) - FRICTION * np.cos(ANGLE))


def sliding(results, friction) -> Measured:
    found = acceleration(results)
    exact = G * (np.sin(ANGLE) - friction * np.cos(ANGLE))
    pairs = zip(FRICTION[:4], found, strict=True)
    text = ", ".join(f"μ = {m}: {a:.3f}" for m, a in pairs)
    return Measured(float(np.max(np.abs(found - exact))) / G, text + " m/s²")


def sticking(results, which) -> float:
    """The last speed of a start at rest over that without friction."""
    t, v = results["slide"]["t"][-1], results["slide"]["v"][which, -1, 0]
    return float(np.max(np.abs(v)) / (G * np.sin(ANGLE) * t))


def lost(results) -> Measured:
    gain, work = (results["push"][k][-1] for k in ("gain", "work"))
    return Measured(1 - gain / work, f"gains {gain:.3f} J of {work:.3f} J")


CLAIMS = [
    Claim(
        "C36",
        "a block slides down an incline: off g (sin θ − μ cos θ), over g, μ = 0 … 0.7",
        at_most(0.01, "the block bounces a little as it comes to rest across"),
        functools.partial(sliding, friction=FRICTION[:4]),
    ),
    Control(
        "C36x",
        "the same against g sin θ",
        at_least(0.3, "μ cos θ is 0.6 for μ = 0.7"),
        functools.partial(sliding, friction=0.0),
        of="C36",
    ),
    Claim(
        "C37",
        "it starts at rest, μ > tan θ: speed after 0.3 s over that without friction",
        at_most(0.01, "it does not slide"),
        functools.partial(sticking, which=[5, 6]),
    ),
    Control(
        "C37x",
        "with μ = 0.4 < tan θ",
        at_least(0.2, "it slides"),
        functools.partial(sticking, which=[4]),
        of="C37",
    ),
    Claim(
        "C38a",
        "a piston: steps whose momentum is not accounted for",
        equals(0, "a theorem, judged to round-off"),
        lambda r: r["push"]["unaccounted"],
    ),
    Claim(
        "C38b",
        "a piston: steps in which the energy rises by more than its work",
        equals(0, "contact and transfers lose energy and give none"),
        lambda r: r["push"]["rises"],
    ),
    Control(
        "C38x",
        "without the piston's work: steps in which the energy rises",
        at_least(100, "the block is squeezed"),
        lambda r: r["push"]["rises without work"],
        of="C38b",
    ),
    Claim(
        "C38c",
        "a piston: the share of its work that is lost",
        at_most(0.2, "the kink of v at the piston is smoothed once a step: no theorem"),
        lost,
    ),
    Claim(
        "C39",
        "held points: how far they move, m",
        equals(0, "by construction, to the last bit"),
        lambda r: np.max(r["hang"]["held"][0]),
    ),
    Control(
        "C39x",
        "the same points, not held, m",
        at_least(0.03, "½ g t² = 0.05 m"),
        lambda r: np.max(r["hang"]["free"][0]),
        of="C39",
    ),
]


def figures(results) -> dict:
    figure, ((left, right),) = new_figure(1, 2, size=(7.6, 3.4))
    t, v = results["slide"]["t"], results["slide"]["v"][..., 0]
    colors = ("grey", "orange", "blue", "vermilion", "sky", "green", "purple")
    rows = zip(FRICTION, SPEED, v, coulomb(), colors, strict=True)
    for mu, start, row, a, color in rows:
        left.plot(t, row, color=COLORS[color], label=f"μ = {mu}")
        exact = start + a * t if start else max(a, 0) * t
        left.plot(t, exact, ":", color=COLORS[color])
    left.set(xlabel="t, s", ylabel="speed down the incline, m/s")
    left.set_title("30°; dotted: Coulomb")
    found = results["push"]
    right.plot(found["t"], found["work"], color=COLORS["grey"], label="work")
    right.plot(found["t"], found["gain"], ":", color=COLORS["blue"], label="energy")
    right.set(xlabel="t, s", ylabel="J")
    right.set_title("A piston squeezes a block")
    for ax in (left, right):
        legend_below(ax, 3)
    caption = (
        "A block slides iff tan θ > μ, as Coulomb says (left). The body gains the work "
        "of a moving collider but for what contact on the grid loses (right)."
    )
    return {caption: figure}


STUDY = Study(
    "Material points that slide, stick, are pushed and held",
    "Coulomb's law of friction; the balances of momentum and energy",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
