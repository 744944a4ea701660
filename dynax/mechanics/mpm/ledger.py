"""The ledger of a run: what becomes of energy, momentum and angular momentum."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Scalar
from dynax.lyapunov import Check, Ledger, ledger_row
from dynax.material import AbstractHyperelastic
from dynax.material.kinematics import axial, square
from dynax.mechanics.mpm.body import Body, Materials, by_law, masses, several, volumes
from dynax.mechanics.mpm.solver import MPM, Stress


def energies(solver: MPM, args: Materials, y: Body) -> dict[str, Float[Array, " N"]]:
    """Return the parts of the energy of each point, in J.

    Of each point, in J, with D = ¼dx²:

    motion    ½m|v|²
    affine    ½mD|C|², what the grid carries and v does not
    weight    −m g·x
    stored    V₀ψ, of laws that have an energy, else 0
    """
    m, V = masses(args, y.x.dtype), volumes(args, y.x.dtype)

    def psi(law, F, alpha):
        has = isinstance(law, AbstractHyperelastic)
        return law.energy(F, alpha) if has else jnp.zeros((), F.dtype)

    return {
        "motion": m * jnp.sum(y.v**2, -1) / 2,
        "affine": m * _spread(solver, y) * square(y.C) / 2,
        "weight": -m * jnp.sum(_gravity(solver, y) * y.x, -1),
        "stored": V * jnp.concatenate(by_law(psi, args, y.F, y.alpha)),
    }


def energy(solver: MPM, args: Materials, y: Body) -> Scalar:
    """Return the total energy of a body.

    E = Σ m(½|v|² + ⅛dx²|C|² − g·x) + Σ V₀ψ, in J.
    """
    return jnp.sum(jnp.stack([*energies(solver, args, y).values()]))


def momentum(args: Materials, y: Body) -> Float[Array, " d"]:
    """Return the total momentum of a body.

    Σ m v.
    """
    return jnp.sum(masses(args, y.x.dtype)[:, None] * y.v, 0)


def angular_momentum(solver: MPM, args: Materials, y: Body) -> Array:
    """Return the total angular momentum about the origin.

    Σ m (x × v + ¼dx² axl(C − Cᵀ)) about the origin: (3,), or () in the plane.
    """
    m = masses(args, y.x.dtype)[:, None, None]
    L = y.x[:, :, None] * y.v[:, None] + _spread(solver, y) * jnp.swapaxes(y.C, 1, 2)
    return axial(jnp.sum(m * L, 0))


@eqx.filter_jit
def audit(
    solver: MPM,
    args: Materials,
    t: Float[Array, " k"],
    y: Body,
    *,
    free: bool = False,
    affine: bool = True,
) -> Ledger:
    """Rows of the saved states of a run, each from one save to the next.

        fall       E₊ ≤ E; where every law has an energy, of rows that are one step each
        momentum   Σmv₊ = Σmv + M g Δt; of a free body
        angular    L₊ = L + Δt Σm x × g; of a free body saved at every step

    With colliders or held points, E may rise by their work W (`terms`), and momentum is
    judged with what walls and they gave, of rows that are one step each.

    Velocities lie half a step before places, so a sampled ½m|v|² would rise and fall
    by the first order of dt. Here E = Σ ½m(v·v₊ + ¼dx² C:C₊) + …, v₊ of the next step:
    right to second order, and for a linear force exactly constant but for what the
    transfers lose.

    Tolerances are round-off, `rounding_depth`·u·(sum of the sizes of the terms). The
    size of V₀ψ is V₀‖τ‖‖F‖, since F is itself rounded.

    Args:
        solver, args: as the run had them.
        t, y: as `simulate` or `SaveAt(t0=True, steps=True)` saves them, every step.
        free: no wall has been touched.
        affine: False leaves ⅛m dx²|C|² out, which makes a false account.
    """
    last = tree.map(lambda a: a[-1], y)
    dt = (t[-1] - t[-2]).astype(y.x.dtype)
    beyond = solver.move(Stress().vf(0, last, args), last, args, dt, t[-1])
    ahead = [
        jnp.append(a[2:], b[None], 0) for a, b in zip(y[1:3], beyond[1:3], strict=True)
    ]
    before = tree.map(lambda a: a[:-1], (t, y))
    after = tree.map(lambda a: a[1:], (t, y))
    names = ["motion", "affine", "weight", "stored"]
    if not affine:
        names.remove("affine")

    def row(step):
        (t0, a), (t1, b), (v, C) = step
        dt = (t1 - t0).astype(a.x.dtype)
        given, work = jnp.zeros_like(a.x[0]), jnp.zeros_like(dt)
        if solver.driven:
            tau = [Stress().vf(0, y, args) for y in (a, b)]
            given, done = solver.pushes(tau[0], a, args, dt, t0)
            work = (done + solver.pushes(tau[1], b, args, dt, t1)[1]) / 2
        old, new = (energies(solver, args, y) for y in (a, b))
        m, g = masses(args, a.x.dtype)[:, None], _gravity(solver, a)
        spin = _spread(solver, a) * m[:, None]
        terms = {
            "motion": jnp.sum(m * b.v * (v - a.v)) / 2,
            "affine": jnp.sum(spin * b.C * (C - a.C)) / 2,
            **{k: jnp.sum(new[k] - old[k]) for k in ("weight", "stored")},
        }
        start = {
            "motion": jnp.sum(m * a.v * b.v) / 2,
            "affine": jnp.sum(spin * a.C * b.C) / 2,
            **{k: jnp.sum(old[k]) for k in ("weight", "stored")},
        }
        off = jnp.max(jnp.abs(b.x - a.x - dt * b.v))
        size = _size(solver, args, a) + _size(solver, args, b)
        push = dt * m * g
        gained = jnp.sum(m * (b.v - a.v) - push, 0) - given
        turn = axial(jnp.sum(a.x[:, :, None] * push[:, None], 0))
        turned = (
            angular_momentum(solver, args, b) - angular_momentum(solver, args, a) - turn
        )
        speed, reach = (
            jnp.max(jnp.abs(u)) + jnp.max(jnp.abs(w))
            for u, w in ((a.v, b.v), (a.x, b.x))
        )
        swift, speed = speed, speed + _stress_speed(solver, args, a, dt)
        moved = jnp.sum(m) * speed
        return (
            jnp.sum(jnp.stack([start[k] for k in names])),
            {k: terms[k] for k in names},
            work,
            off <= 8 * tree.eps(a) * (reach + t1.astype(dt.dtype) * swift),
            size,
            jnp.max(jnp.abs(gained)),
            jnp.max(jnp.abs(turned)),
            moved,
            moved * reach,
        )

    steps = before, after, tuple(ahead)
    start, terms, work, single, *rest = jax.lax.map(row, steps)
    size, gained, turned, moved, swept = rest
    change = jnp.sum(jnp.stack([*terms.values()]), 0)
    u = rounding_depth(y.x.shape[1]) * tree.eps(y) / 2
    checks = {}
    if all(isinstance(g.law, AbstractHyperelastic) for g in several(args)):
        margin = jnp.where(single, work - change, jnp.nan)  # else nothing is known
        checks["fall"] = Check(margin, u * size)
    if solver.driven:
        terms = terms | {"work": work}
        checks["momentum"] = Check(jnp.where(single, -gained, jnp.nan), u * moved)
    if free:
        checks["momentum"] = Check(-gained, u * moved)
        checks["angular"] = Check(-turned, u * swept)
    index = jnp.arange(change.size)
    return ledger_row(index, start, change, checks, scale=size, terms=terms)


def _size(solver, args, y: Body):
    """The sizes of what makes up E, J."""
    parts = energies(solver, args, y)
    tau = jnp.sqrt(square(Stress().vf(0, y, args)))
    F = jnp.sqrt(square(y.F))
    kept = jnp.abs(parts["stored"]) + volumes(args, y.x.dtype) * tau * F
    weight = masses(args, y.x.dtype) * jnp.sum(jnp.abs(_gravity(solver, y) * y.x), -1)
    return jnp.sum(2 * parts["motion"] + 2 * parts["affine"] + weight + kept)


def _stress_speed(solver, args, y: Body, dt):
    """What the stress of a point adds to the velocity of a node, 4dt V₀‖τ‖/(m dx)."""
    dx = tree.cast(solver.grid.dx, y.x.dtype)
    tau = jnp.sqrt(square(Stress().vf(0, y, args)))
    ratio = volumes(args, y.x.dtype) / masses(args, y.x.dtype)
    return 4 * dt / dx * jnp.max(ratio * tau)


def _spread(solver, y: Body):
    return tree.cast(solver.grid.dx, y.x.dtype) ** 2 / 4


def _gravity(solver, y: Body):
    g = 0.0 if solver.gravity is None else solver.gravity
    return jnp.broadcast_to(tree.cast(g, y.x.dtype), y.x.shape[1:])[None]
