"""Motions of a material: one that is seen, and those that are to be foreseen."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import material as mat
from dynax.mechanics import learn, mpm


DT, DENSITY, SIDE = 5e-4, 1e3, 0.5


FALL = np.array([1.0, -1.5, -2.0]), np.array([4.0, 4.0, 4.0])  # velocity and spin


GRAVITY = np.array([0.0, -9.8, 0.0])


FLIGHT = 60  # steps without a wall


VELOCITIES = 1, 7, 8


SHAPES = "ball", "torus", "star", "letter"


UNSEEN = (
    "longer",
    *(f"velocity {k}" for k in VELOCITIES),
    *SHAPES,
    "sticky",
    "slope",
    "contact",
)


FEWER = tuple(n for n in UNSEEN if n not in ("torus", "star", "sticky"))


@dataclasses.dataclass(frozen=True)
class Config:
    cells: int = 6  # points along the cube, on a grid of twice as many nodes
    steps: int = 100  # that are seen
    epochs: int = 40
    horizons: tuple[int, ...] = (25,)
    seeds: int = 1
    unseen: tuple[str, ...] = ("velocity 1",)
    ahead: int = 100  # steps of the unseen motions
    models: tuple[str, ...] = ("nclaw",)
    rate: float = 1.0
    single: int = 0  # epochs on single steps, before rollouts
    fitted: float = 0.5  # claimed: the error of the motion that was seen, and of those
    foreseen: float = 0.5  # that were not; of zero stress's


class ZeroStress(mat.AbstractLaw):
    """No law at all: dust."""

    def kirchhoff(self, F, alpha=()):
        return jnp.zeros_like(F)

    def stiffness(self, F, alpha=()):
        return jnp.ones((), F.dtype)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A motion to be foreseen: `materials` wants one law, the rest is known."""

    solver: mpm.MPM
    materials: Any
    start: mpm.Body
    steps: int

    def filled(self, law):
        known = isinstance(self.materials, tuple)
        return learn.filled(self.materials, (law, None) if known else law)

    def moved(self, law) -> mpm.Motion:
        return _run(self.solver, self.filled(law), self.start, self.steps)

    def truth(self, law) -> learn.Trajectory:
        return learn.observed(self.moved(law), DT)

    def foreseen(self, law, truth) -> learn.Free:
        return learn.free_run(self.solver, self.filled(law), truth, self.start)


@eqx.filter_jit
def _run(solver, args, start, steps):
    return mpm.simulate(solver, args, start, DT, steps, throw=False)


def scene(name: str, config: Config, other: Any, steps: int | None = None) -> Scene:
    """`other`: what the body meets in "contact", a law that is known."""
    nodes = 2 * config.cells
    velocity, spin = FALL
    walls, gravity = mpm.box_walls(3), GRAVITY
    spacing = SIDE / config.cells
    x = mpm.bodies.box((0.25,) * 3, (0.75,) * 3, spacing)
    if name.startswith("velocity"):
        draw = np.random.default_rng(int(name.split()[1])).uniform
        velocity, spin = np.array([0, -draw(0, 3), 0]), draw(0, 3, 3)
    if name in SHAPES:
        nodes = math.ceil(1.6 * nodes)
        spacing = 1 / nodes
        center = (0.5, 0.5, 0.5)
        x = {
            "ball": lambda: mpm.bodies.ball(center, 0.25, spacing),
            "torus": lambda: mpm.bodies.torus(center, 0.22, 0.09, spacing),
            "star": lambda: mpm.bodies.star(center, 0.3, spacing),
            "letter": lambda: mpm.bodies.letter("X", center, 0.5, spacing),
        }[name]()
    if name == "sticky":
        walls = mpm.box_walls(3, "sticky")
    if name == "slope":
        low = mpm.Slope(np.array([0.5, 0.15, 0.5]), np.array([0.0, 2.0, 1.0]))
        walls = (*walls, low)
    grid = mpm.Grid((nodes,) * 3, 1 / nodes)
    solver = mpm.MPM(grid, walls, _single(gravity))
    one = lambda law, x: mpm.Material(law, DENSITY, spacing**3, len(x))
    steps = config.ahead if steps is None else steps
    if name != "contact":
        body = one(ZeroStress(), x)
        start = mpm.at_rest(body, _single(x), _single(velocity), _single(spin))
        return Scene(solver, body, start, steps)
    low = _block((0.25, 0.17, 0.25), (0.75, 0.4, 0.75), spacing)
    high = _block((0.3, 0.45, 0.3), (0.7, 0.85, 0.7), spacing)
    bodies = one(ZeroStress(), high), one(other, low)
    x = np.concatenate([high, low])
    start = mpm.at_rest(bodies, _single(x), _single([0.0, -2.0, 0.0]))
    return Scene(solver, bodies, start, steps)


def _block(low, high, spacing):
    """A box of about these corners, of whole cells."""
    sides = np.rint(np.subtract(high, low) / spacing) * spacing
    return mpm.bodies.box(low, low + sides, spacing)


def _single(a):
    return jnp.asarray(a, jnp.float32)


def floats(law):
    """A law of Python numbers as one of arrays, which can be learned."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), law)


def drift(law, config: Config) -> float:
    """How far angular momentum moves in 60 steps without walls or weight, of itself."""
    there = scene("drop", config, None)
    solver = mpm.MPM(there.solver.grid)
    args = there.filled(law)
    start = mpm.at_rest(
        args, there.start.x, spin=_single([20.0, 0.0, 0.0])
    )  # turning makes stress
    start = start._replace(F=start.F * jnp.array([1.02, 1.0, 0.98], jnp.float32))
    motion = _run(solver, args, start, FLIGHT)
    about = lambda y: mpm.angular_momentum(solver, args, y)
    L = np.asarray(jax.vmap(about)(motion.y))
    moved = np.linalg.norm(L - L[:1], axis=1)
    return float(np.nan_to_num(moved, nan=np.inf).max() / np.linalg.norm(L[0]))


def energy_rises(law, config: Config, steps: int) -> int:
    """In how many steps of the drop the energy rises, in float64."""
    there = scene("drop", config, None)
    wide = lambda tree: jax.tree.map(
        lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, tree
    )
    solver, args = wide(there.solver), wide(there.filled(law))
    motion = _run(solver, args, wide(there.start), steps)
    rows = mpm.audit(solver, args, motion.t, motion.y)
    return dx.verdict(rows, "E falls").checks["fall"]["violations"]
