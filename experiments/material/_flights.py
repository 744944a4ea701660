"""A cube of material points that falls, or turns in free flight, and its rows."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import material as mat
from dynax.lyapunov import Check
from dynax.mechanics import mpm


NODES, CELLS, DT = 20, 10, 5e-4


FREE = 60  # steps of the flight that touches no wall


SCALE = 1e5  # Pa, that of jelly


def traced(module):
    """Its numbers as arrays: one program for all values."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.result_type(a)), module)


def scene(law, dtype: Any = np.float64, *, free=False, spin=4.0, judge=None):
    """Solver, the cube, the same of the law `judge`, and the start: of the drop; or,
    free, of a cube that turns in place, off the edges of the cells: there float32 may
    round a point into one cell for its weights and another for its nodes."""
    side = 0.5 / CELLS
    x = mpm.bodies.box((0.25,) * 3, (0.75,) * 3, side)
    x = (x + 0.007 * free).astype(dtype)
    of = lambda law: traced(mpm.Material(law, 1e3, side**3, len(x)))
    g, v = np.array([0, -9.8, 0], dtype), np.array([1, -1.5, -2], dtype)
    grid = mpm.Grid((NODES,) * 3, 1 / NODES)
    solver = traced(mpm.MPM(grid, mpm.box_walls(3), g * (not free)))
    start = mpm.at_rest(of(law), x, v * (not free), jnp.full(3, spin, dtype))
    return solver, of(law), of(law if judge is None else judge), start


@eqx.filter_jit
def flight(solver, cube, judge, start, steps):
    """Rows by the law of `judge`; L, and some frames."""
    motion = mpm.simulate(solver, cube, start, DT, steps, throw=False)
    every = max(1, -(-steps // 50))
    L = jax.lax.map(lambda y: mpm.angular_momentum(solver, cube, y), motion.y)
    return {
        "rows": mpm.audit(solver, judge, motion.t, motion.y, free=True),
        "L": L[: FREE + 1],
        "x": motion.y.x[::every],
        "v": motion.y.v[::every],
        "made": motion.steps,
    }


@eqx.filter_jit
def turning(solver, cube, _, start):
    """L alone, in the free flight."""
    observe = lambda y: mpm.angular_momentum(solver, cube, y)
    return mpm.simulate(solver, cube, start, DT, FREE, throw=False, observe=observe).y


def falling(rows):
    return rows._replace(checks={"fall": rows.checks["fall"]})


def without(rows, name):
    """The false account that leaves out a part of E."""
    change, tolerance = rows.change - rows.terms[name], rows.checks["fall"].tolerance
    return rows._replace(change=change, checks={"fall": Check(-change, tolerance)})


def kept(rows):
    """Momentum and angular momentum in the free flight."""
    checks = {k: rows.checks[k] for k in ("momentum", "angular")}
    return jax.tree.map(lambda a: a[:FREE], rows._replace(checks=checks))


def other_sign(law):
    """The law with the same μ, and −λ."""
    lam, mu = mat.lame(law.young, law.poisson)
    return mat.FixedCorotated(
        mu * (2 * mu - 3 * lam) / (mu - lam), lam / 2 / (lam - mu)
    )


def network(key):
    """NCElastic of random weights: at some F its stress is as large as jelly's."""
    law = mat.NCElastic(key)
    F = jnp.diag(jnp.array([1.0, 1.05, 1.1]))
    jelly, ours = (jnp.linalg.norm(a.kirchhoff(F)) for a in (mat.jelly(), law))
    return eqx.tree_at(lambda law: law.weights[-1], law, jelly / ours * law.weights[-1])


@jax.jit
def networks(keys):
    """L in the free flights of some."""
    return jax.vmap(lambda key: turning(*scene(network(key), free=True)))(keys)


def rises(rows) -> int:
    return int(np.sum(rows.change > 0))


def drift(L):
    """|L − L₀|/|L₀| as far as the run came."""
    L = L[np.all(np.isfinite(L), 1)]
    return np.linalg.norm(L - L[:1], axis=1) / np.linalg.norm(L[0])
