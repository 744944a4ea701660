"""A law from one motion in seconds, by two convex problems and no rollout."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.material import ConvexEnergy, Elastoplastic, Units
from dynax.mechanics.learn.pairs import (
    FEW,
    Pairs,
    fit_return,
    in_space,
    pairs,
    parts,
    third,
)
from dynax.mechanics.learn.trajectory import Trajectory
from dynax.mechanics.learn.weak import Balance, solve_nonnegative, summed
from dynax.mechanics.mpm.body import Material
from dynax.mechanics.mpm.solver import MPM


GROUPS = "volume", "shear", "strain", "stretch"
UNITS = *GROUPS, "quadratic"
SIZES = dict(zip(UNITS, (14, 8, 10, 10, 4), strict=True))
OF = np.array([name for name, size in SIZES.items() for _ in range(size)])
STATES = 50  # of the balance, about
PASSES = 8  # of Gauss–Newton at most: walls make the balance nonlinear
SMALL = 0.05  # strains, of which moduli at rest are told
RIDGE = 1e-9  # of columns scaled to one
MISFIT = 0.05  # residual of the balance that says so, of that without stress


class Learned(NamedTuple):
    """A law that was learned from a motion, and what is known of it.

    Args:
        law: `Elastoplastic` of a `ConvexEnergy` and a `YieldCurve`.
        numbers: bulk and shear modulus of small strains and yield stress in Pa, the
            friction ‖dev τ‖/−tr τ, the relaxation time in s; those the motion tells.
        residual: rms of the balance of momentum, m/s².
        misfit: the residual, of that without any stress. Above 0.05 the material does
            not belong to the family, if there is no noise.
        notes: what could not be told, one sentence each.
    """

    law: Elastoplastic
    numbers: dict[str, float]
    residual: float
    misfit: float
    notes: tuple[str, ...]


def local(
    solver: MPM,
    material: Material,
    trajectory: Trajectory,
    units: Sequence[str] = UNITS,
) -> Learned:
    """Learn a law with an energy and a return from a motion with full states.

    The return comes from strains before and after it (`pairs`, `fit_return`), the
    energy from the balance of momentum (`Balance`), which is linear in its weights:
    non-negative least squares, few passes. No rollout, no learning rate, no seed. A
    motion with noise is better `smoothed` before.

    Args:
        solver: as the motion had it.
        material: of the points; its law is replaced.
        trajectory: with x, v, C and F, in SI units.
        units: which of the energy's units are used. Without "quadratic" Hencky's law
            and water are not members of the family, but limits of it.

    Raises:
        ValueError: places only, no such units, or nothing that needs a stress.
        TypeError: several materials.
    """
    if not isinstance(material, Material):
        raise TypeError(
            f"material: given {type(material).__name__}; accepted is one Material."
        )
    if unknown := set(units) - {*UNITS}:
        raise ValueError(f"units: given {sorted(unknown)}; accepted are {UNITS}.")
    seen = pairs(trajectory)
    plastic, notes = fit_return(seen)
    law = Elastoplastic(start(seen), plastic)
    dtype = trajectory.y.x.dtype
    law = jax.tree.map(lambda a: jnp.asarray(a, dtype), law)
    cut, yields = np.isfinite(plastic.cap), np.isfinite(plastic.base)
    barred = {"stretch"} if cut or yields else set()
    barred |= {"strain"} if cut and plastic.base > 0 else set()
    used = {*units} - barred
    allowed = np.isin(OF, [*used])
    allowed[-1] &= not barred  # n, of stretches too
    law, told, (whole, residual) = _energy(
        _balance(solver, material, trajectory), law, allowed
    )
    if whole == 0:
        raise ValueError(
            "trajectory: given one that no stress is needed for; accepted is one in "
            "which the body deforms."
        )
    notes += [
        f"{name}: not seen, its weights are 0" for name in UNITS if name in used - told
    ]
    noisy = any(note.startswith("noise") for note in notes)
    if residual > MISFIT * whole and noisy:
        notes.append(
            f"balance: it leaves {residual:.3g} m/s², {residual / whole:.1%} of what "
            "it is without stress; of noise or of a misfit cannot be told"
        )
    elif residual > MISFIT * whole:
        notes.append(
            f"misfit: the balance of momentum leaves {residual:.3g} m/s², "
            f"{residual / whole:.1%} of what it is without stress; a material of this "
            f"family leaves less than {MISFIT:.0%}"
        )
    found = numbers(law.elastic, law.plastic, seen)
    return Learned(law, found, residual, residual / whole, tuple(notes))


def _balance(solver, material, trajectory) -> Balance:
    """Of some fifty states, with the α that the learned law has."""
    plane = trajectory.y.x.shape[2] == 2
    alpha = ((None, None, third(trajectory)),) if plane else ()
    states = Trajectory(trajectory.dt, trajectory.y._replace(alpha=alpha))
    stride = max(trajectory.steps // STATES, 1)
    return Balance(solver, material, states, stride=stride)


def _energy(balance, law, allowed):
    """The law with weights ≥ 0 of the units allowed; which of all were told of; and the
    rms of the balance before and after, m/s²."""
    rms = lambda matrix: float(np.sqrt(matrix[-1, -1] / balance.after.size))
    frames = _frames(balance)
    matrix, w = np.asarray(_normal(balance, law, frames)), np.zeros(OF.size)
    told, sizes = allowed, [rms(matrix)]
    for _ in range(PASSES):
        w, told = solve_nonnegative(matrix, w, RIDGE, allowed)
        law = _with(law, w)
        matrix = np.asarray(_normal(balance, law, frames))
        sizes.append(rms(matrix))
        if len(sizes) > 2 and sizes[-1] > 0.9 * sizes[-2]:
            break
    return law, {*OF[told].tolist()}, (sizes[0], sizes[-1])


def start(seen: Pairs) -> ConvexEnergy:
    """Units without weight, their bends where strains were seen."""
    v, size = parts(seen.after)
    sides = {
        "volume": np.expm1(v),
        "shear": size,
        "strain": seen.after.ravel(),
        "stretch": np.expm1(seen.after.ravel()),
    }
    knots = {name: _units(sides[name], SIZES[name]) for name in GROUPS}
    return ConvexEnergy(**knots, quadratic=np.zeros(4))


def _units(x, count) -> Units:
    """Half at quantiles, half equally spaced, none closer than a share of the range."""
    low, high = float(np.min(x)), float(np.max(x))
    high = max(high, low + 1e-4)
    half = count // 2
    at = np.quantile(x, (np.arange(half) + 0.5) / half)
    center = np.sort(np.concatenate([at, np.linspace(low, high, count - half)]))
    gap = (high - low) / (3 * count)
    least = gap * np.arange(count)
    center = np.maximum.accumulate(center - least) + least
    return Units(np.zeros(count), center, np.maximum(np.gradient(center) / 2, gap / 2))


def _weights(law):
    """The weights of the energy."""
    groups = [getattr(law.elastic, name).weight for name in GROUPS]
    return [*groups, law.elastic.quadratic]


def _with(law, w):
    parts = np.split(w, np.cumsum([*SIZES.values()])[:-1])
    given = [
        jnp.asarray(new, old.dtype)
        for new, old in zip(parts, _weights(law), strict=True)
    ]
    return eqx.tree_at(_weights, law, given)


@eqx.filter_jit
def _normal(balance, law, frames):
    """As `normal` of the weights, by the stress of each unit."""
    w, d = jnp.concatenate(_weights(law)), balance.after.shape[2]

    def stresses(_, frame):
        eps, n = frame
        slopes = jax.vmap(law.elastic.units)(eps)
        both = n[:, :d, None] * n[:, None, :d]  # of nᵢ ⊗ nᵢ, i last
        units = jnp.sum(slopes[:, :, None, None] * both[:, None], -1)
        return jnp.sum(w[None, :, None, None] * units, 1), units

    materials = balance.segments.materials
    return summed(balance, materials, stresses, OF.size, frames)


def _frames(balance):
    """ε and the n of τ = Σ ∂ψ/∂εᵢ nᵢ ⊗ nᵢ in all states, found on the host."""
    y = balance.segments.starts
    F = np.asarray(y.F, np.float64)
    if F.shape[-1] == 2:
        F = in_space(F, np.asarray(y.alpha[0][2]))
    n, stretches, _ = np.linalg.svd(F)
    return tuple(jnp.asarray(a, y.F.dtype) for a in (np.log(stretches), n))


@eqx.filter_jit
def _stress(elastic, eps):
    """∂ψ/∂ε."""
    given = elastic.numbers(eps.dtype)
    return jax.grad(lambda eps: jnp.sum(elastic.potential(eps, *given)))(eps)


def numbers(elastic, plastic, seen: Pairs) -> dict[str, float]:
    """Moduli at rest (`_moduli`). Of yielding, medians of ‖dev τ‖ and of ‖dev τ‖/−tr τ;
    those that are constant to 5 %."""
    dtype = plastic.scale.dtype
    tau = np.asarray(_stress(elastic, jnp.asarray(seen.after, dtype)))
    (p, size), (_, r) = parts(tau), parts(seen.after)
    fell = parts(seen.before)[1] - r > seen.slack
    pressed = fell & (p < -1e-3 * np.max(np.abs(p)))
    bulk, shear = _moduli(tau, seen)
    found = {
        "bulk modulus": bulk,
        "shear modulus": shear,
        "yield stress": _constant(size[fell]),
        "friction": _constant(size[pressed] / -p[pressed]),
        "relaxation time": float(plastic.time),
    }
    return {name: a for name, a in found.items() if a > 0}


def _moduli(tau, seen) -> list[float]:
    """K and μ of ψ = ½K v² + μ r² + a v³ + b v r² + c tr e³, fitted to the stresses of
    small strains; 0 where they are rounding, or the fit is off by more than 5 %."""
    v, r = parts(seen.after)
    e = seen.after - v[:, None] / 3
    unit, none, square = np.where(r > 0, r, 1), np.zeros_like(v), v**2 + r**2
    few = square <= min(float(np.median(square)), SMALL**2)
    cube = np.sum(e**3, 1) / unit
    slopes = (  # ∂ψ/∂v and ∂ψ/∂r, by K, μ, a, b, c
        (np.sum(tau, 1) / 3, [v, none, 3 * v**2, r**2, none], few & told(v, seen)),
        (
            np.sum(tau * e, 1) / unit,
            [none, 2 * r, none, 2 * v * r, 3 * cube],
            few & told(r, seen),
        ),
    )
    rows = [(np.stack(A, 1)[at], b[at]) for b, A, at in slopes]
    A, b = (np.concatenate(a) for a in zip(*rows, strict=True))
    fit, *_ = np.linalg.lstsq(A, b)
    norm = np.linalg.norm
    close = [len(b) >= FEW and norm(A @ fit - b) <= 0.05 * norm(b) for A, b in rows]
    return [float(fit[i]) if close[i] else 0.0 for i in range(2)]


def told(strain, seen: Pairs):
    """Where a strain is more than rounding."""
    return np.abs(strain) > 100 * seen.slack


def _constant(a) -> float:
    """The median, if half of the numbers are within 5 % of it."""
    if a.size < FEW:
        return 0.0
    low, middle, high = np.quantile(a, (0.25, 0.5, 0.75))
    return float(middle) if high - low <= 0.1 * middle else 0.0
