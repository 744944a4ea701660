"""A strip in a testing machine: its motion, its truth, and laws that may be learned."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax import material as mat
from dynax.mechanics import Solid, WithWorkAndSupply, audit, box_mesh


YOUNG, POISSON, SHEAR, TIME, DENSITY = 1e5, 0.3, 4e4, 0.2, 250.0  # SI; the strip: 1 m


SPAN = 1.6  # s, of a history


NEVER = 1e9  # s: a branch of this relaxation time is elastic


RTOL = 1e-6


PIECE = 0.025  # s, of constant speed, in the ledger


OMEGA = np.geomspace(0.5, 50, 41)  # 1/s


PATHS = {  # where the grip is, in m
    "held, let go": lambda t: 0.16 * (soft(t / 0.3) - soft(t / 0.3 - 2.7)),
    "slow cycle": lambda t: 0.2 * soft(t / 0.4) * np.sin(2 * np.pi * t / 1.6),
    "cycles": lambda t: 0.12 * soft(t / 0.4) * np.sin(2 * np.pi * t / 0.4),
    "small cycles": lambda t: (
        0.01
        * soft(t / 0.2)
        * (np.sin(2 * np.pi * t / 0.8) + np.sin(2 * np.pi * t / 0.25))
    ),
    "pressed, held": lambda t: -0.15 * soft(t / 0.2),
    "fast cycles": lambda t: 0.1 * soft(t / 0.4) * (1 - np.cos(2 * np.pi * t / 0.25)),
    "steps": lambda t: 0.07 * sum(soft(t / 0.2 - 2 * k) for k in (0, 1, 2)),
}


SEEN, ALL = 4, tuple(PATHS)  # the first four are for training


def soft(t):
    """From 0 to 1 while t does."""
    t = np.clip(t, 0.0, 1.0)
    return t**2 * (3 - 2 * t)


def strip(law, cells: int) -> Solid:
    """Clamped at both ends, four times as long as wide."""
    mesh = box_mesh((cells, max(cells // 4, 1)), (1.0, 0.25))
    X = mesh.nodes[:, 0]
    return Solid(law, mesh, DENSITY, held=(X == 0) | (X == 1))


def grip(body) -> Array:
    """(n, 2): 1 where it pulls."""
    X = body.parts.nodes
    return jnp.stack([X[:, 0] == 1, jnp.zeros_like(X[:, 0], bool)], -1).astype(X.dtype)


def step(cells: int) -> float:
    return 0.016 / cells


def speeds(name: str, dt: float) -> np.ndarray:
    """Of the grip during each step."""
    return np.diff(PATHS[name](dt * np.arange(round(SPAN / dt) + 1))) / dt


def motion(law, speeds, cells: int, dt: float):
    """The force at the grip, places and P₁₁ at each step: leapfrog, with the flow of
    the branch in the middle of a step; of second order."""
    body = strip(law, cells)
    (x, history), v = body.init()
    at = grip(body)

    def advance(y, speed):
        q, v = y
        moved = v + dt * body.acceleration(q)
        v = moved * (1 - at) + speed * at
        (x, history), _ = body.update(0.0, ((q[0] + dt / 2 * v, q[1]), v), dt)
        force = -jnp.sum(at * body.pull(q))
        return ((x + dt / 2 * v, history), v), (force, q[0], body.stress(q)[:, 0, 0, 0])

    return jax.lax.scan(jax.checkpoint(advance), ((x, history), v), speeds)[1]


def timed(law: mat.GSM, time) -> mat.GSM:
    return eqx.tree_at(lambda law: law.time, law, time)


class Gap(eqx.Module):
    """Mean square over histories of what is `off`; `time` is the law's t_r."""

    speeds: Array
    seen: Array
    time: Array
    cells: int

    def __call__(self, law):
        one = lambda s: motion(timed(law, self.time), s, self.cells, step(self.cells))[
            0
        ]
        force = jax.vmap(one)(self.speeds)
        wrong = jnp.sum(~jnp.all(jnp.isfinite(force), 1))
        return jnp.mean(off(force, self.seen) ** 2), wrong


def start(seed, width: int) -> mat.GSM:
    first, second = jax.random.split(jax.random.key(seed))
    elastic = mat.ICNN(first, 1e5, width)
    return mat.GSM(second, elastic, 1e5, TIME, width)


def noisy(key, force, noise):
    size = jnp.sqrt(jnp.mean(force**2, -1, keepdims=True))
    return force + noise * size * jax.random.normal(key, force.shape, force.dtype)


def truth(time=TIME) -> mat.Maxwell:
    return mat.Maxwell(mat.NeoHookean(YOUNG, POISSON), SHEAR, time)


def off(force, true):
    """Relative, root mean square over each history; ∞ of a run that failed."""
    part = jnp.linalg.norm(force - true, axis=-1) / jnp.linalg.norm(true, axis=-1)
    return jnp.where(jnp.isfinite(part), part, jnp.inf)


def backwards(law: mat.GSM) -> mat.GSM:
    """Its dashpot gives energy, slowly."""
    return timed(law, -20 * law.time)


@eqx.filter_jit
def _solve(body, paced):
    """Pieces of constant speed, each a solve of its own; at the joints the machine
    brings the grip to its next speed, and the work of that is supply."""
    system, at = WithWorkAndSupply(body), grip(body)
    ts = jnp.linspace(0.0, PIECE, 3)
    mass = body.parts.mass

    def piece(Y, speed):
        (q, v), (work, supply) = Y
        after = v * (1 - at) + speed * at
        jerk = jnp.sum(mass * (after**2 - v**2)) / 2
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(system.field),
            diffrax.Tsit5(),
            0.0,
            PIECE,
            PIECE / 10,
            ((q, after), (work, supply + jerk)),
            saveat=diffrax.SaveAt(ts=ts),
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=RTOL / 100),
        )
        return jax.tree.map(lambda a: a[-1], solution.ys), solution.ys

    _, ys = jax.lax.scan(piece, system.init(body.init()), paced)
    t = PIECE * jnp.arange(paced.size)[:, None] + ts
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), (t, ys))


def solve(law, cells):
    body = strip(law, cells)
    t, y = _solve(body, jnp.asarray(speeds("fast cycles", PIECE)))
    return body, t, y, audit(body, t, y, accuracy=10 * RTOL)


def closed_form(omega=OMEGA) -> dict:
    """Of the truth, at small strains in plane strain: its volume does not relax, but an
    area that changes is a change of shape as well, by a third."""
    G = YOUNG / (2 * (1 + POISSON))
    K = G / (1 - 2 * POISSON)  # λ + μ
    x = 1j * omega * TIME
    shear, volume = (b + c * x / (1 + x) for b, c in ((G, SHEAR), (K, SHEAR / 3)))
    return {"E": 4 * volume * shear / (volume + shear), "G": shear, "K": volume}


@eqx.filter_jit
def _springs(law):
    one = jnp.eye(2)
    pull, slide = (jnp.zeros((2, 2)).at[0, j].set(1) for j in (0, 1))
    tangent = lambda way: jax.jvp(law.elastic.kirchhoff, (one,), (way,))[1]
    G = tangent(slide)[0, 1]
    k, m, _ = law.moduli(one, law.init(one))
    return jnp.stack([G, tangent(pull)[0, 0] - G]), law.scale * k / 2, k * m / law.time


def moduli(law, omega=OMEGA) -> dict:
    """Of the learned law: of shape and of volume, each a spring beside a branch."""
    springs, branch, rate = map(np.asarray, _springs(law))
    x = 1j * omega[:, None] / rate
    shape, volume = (branch * x / (1 + x)).T
    # in plane strain an area relaxes as a third of a shape and two of a volume
    G, K = springs[0] + shape, springs[1] + shape / 3 + 2 * volume / 3
    named = {"springs": springs, "branch": branch, "rate": rate}
    return {"E": 4 * K * G / (K + G), "G": G, "K": K} | named
