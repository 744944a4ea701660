"""A return map from what it did: strains before and after it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax.material import YieldCurve
from dynax.material.yield_curve import pressure_units
from dynax.mechanics.learn.trajectory import Trajectory


SCALES = 10  # of the units of Y, geometric
SCATTER = 0.02  # of the yield limit, relative, which is a misfit
FEW = 20  # events below which nothing is concluded


class Pairs(NamedTuple):
    """Principal logarithmic strains before and after the return, in order of size.

    Args:
        before: of (I + dt C₊)F, (n, 3), float64.
        after: of F₊.
        slack: what rounding may have added to each, (n,).
        dt: s.
    """

    before: Float[np.ndarray, "n 3"]
    after: Float[np.ndarray, "n 3"]
    slack: Float[np.ndarray, " n"]
    dt: float


def pairs(trajectory: Trajectory, count: int = 20_000, seed: int = 0) -> Pairs:
    """Take the strains before and after the return at random points and steps.

    A radial return keeps the order of the principal strains and their axes, so they
    compare one by one. In the plane F₃₃ is what `alpha` of the trajectory says, or 1.

    Args:
        trajectory: with C and F.
        count: how many pairs at most.
        seed: of the choice.

    Raises:
        ValueError: places only.
    """
    if not trajectory.full:
        raise ValueError(
            "trajectory: given places only; accepted is one with v, C and F."
        )
    y, dt = trajectory.y, trajectory.dt
    total = trajectory.steps * y.x.shape[1]
    chosen = np.random.default_rng(seed).permutation(total)[:count]
    step, point = np.divmod(chosen, y.x.shape[1])
    pick = lambda a, step: np.asarray(a)[step, point].astype(np.float64)
    old, new, C = pick(y.F, step), pick(y.F, step + 1), pick(y.C, step + 1)
    moved = old + dt * C @ old
    if y.x.shape[2] == 2:
        along = third(trajectory)
        moved = in_space(moved, pick(along, step))
        new = in_space(new, pick(along, step + 1))
    before, after = (np.log(np.linalg.svd(F, compute_uv=False)) for F in (moved, new))
    slack = 30 * float(np.finfo(y.F.dtype).eps) * np.exp(np.ptp(before, axis=1))
    return Pairs(before, after, slack, dt)


def third(trajectory: Trajectory) -> Float[Array, "k N"]:
    """Fᵉ₃₃ of a motion in the plane: what `alpha` says, or 1."""
    y = trajectory.y
    known = [a for a in tree.leaves(y.alpha) if a.shape == y.x.shape[:2]]
    return known[0] if known else jnp.ones_like(y.x[..., 0])


def in_space(F, third):
    out = np.zeros((*F.shape[:-2], 3, 3))
    out[..., :2, :2], out[..., 2, 2] = F, third
    return out


def fit_return(pairs: Pairs) -> tuple[YieldCurve, list[str]]:
    """Fit the yield limit, cap and time of a return, and say what is not known.

    Where ‖e‖ fell, r_b → r_a, the limit Y(v) is seen: r_a = κr_b + (1 − κ)Y with
    κ = e^{−dt/t_r}, 0 where nothing depends on the rate. Elsewhere Y(v) ≥ r_b is all
    that is known. With Y = b + Σ w u(p), b, w ≥ 0, this is a convex problem,

        min Σ_seen g²(Y − r_a)² + Σ_else g²(r_b − Y)₊²,   g = 1/(r_a + 0.01 rms r_a),

    solved by non-negative least squares with an active set. Volumes that fell to one
    value T are a cap, unless points lie beyond it uncut.

    No return lets a volume grow, so where v grew there is noise. Beyond rounding it
    hides which pairs yield. Then Σ g²(min(r_b, Y) − r_a)² over all of them is made
    small, from Y = 0 upwards, and no time is told.
    """
    (v_b, r_b), (v, r) = parts(pairs.before), parts(pairs.after)
    grown = np.maximum(v - v_b, 0)
    noise = float(np.sqrt(np.mean(grown[grown > 0] ** 2))) if np.any(grown) else 0.0
    noisy = noise > float(np.median(pairs.slack))
    slack, notes = pairs.slack, []
    if noisy:
        slack = np.maximum(slack, 3 * noise)
        notes.append(
            f"noise: volumes grow in a return by {noise:.2g} in the rms; which pairs "
            "yield is not known, nor is a relaxation time"
        )
    few = max(FEW, len(r) // 100) if noisy else FEW  # of white noise 0.13 % is as large
    cap = _cap(v_b, v, slack, few, notes)
    origin = cap if np.isfinite(cap) else float(np.max(v))
    p = np.maximum(origin - v, 0)
    scale = np.geomspace(1e-4, 3, SCALES) * max(float(np.max(p)), 1e-6)
    fell = r_b - r > slack
    drop = np.mean(r_b - r) / max(np.std(r_b - r), 1e-300) * np.sqrt(len(r))
    if drop < 5 if noisy else np.sum(fell) < FEW:
        notes.append(
            f"yield limit: no pair yields up to ‖e‖ = {np.max(r_b):.3g}, so it cannot "
            "be told"
        )
        return YieldCurve(np.inf, np.zeros(2 * SCALES), scale, origin, cap), notes
    weight = 1 / (r + 0.01 * np.sqrt(np.mean(r**2)) + slack)
    units = jax.jit(pressure_units)(p, scale).T
    units = np.concatenate([np.ones((len(p), 1)), units], 1)
    if noisy:
        limit = _unlabelled(units, weight, r, r_b)
        return YieldCurve(float(limit[0]), limit[1:], scale, origin, cap), notes
    limit, off = _censored(units, weight, fell, r, r_b)
    time, both = 0.0, np.concatenate([r_b[:, None], units], 1)
    (keep, *_), slow = _nonnegative(both[fell], weight[fell], r[fell])
    if 0.02 < keep < 1 and slow < 0.5 * off:
        time = -pairs.dt / float(np.log(keep))
        seen = (r - keep * r_b) / (1 - keep)
        limit, off = _censored(units, (1 - keep) * weight, fell, seen, r_b)
    if off > SCATTER:
        notes.append(
            f"misfit: where it yields, ‖e‖ is off a function of log J by {off:.1%}; a "
            f"material of this family is by less than {SCATTER:.0%}"
        )
    return YieldCurve(float(limit[0]), limit[1:], scale, origin, cap, time), notes


def _unlabelled(units, weight, r, r_b):
    """w ≥ 0 of Y = units @ w: the mean of what lies above it before the return."""
    active = np.ones(len(r), bool)
    for _ in range(40):
        w, _ = _nonnegative(units[active], weight[active], r[active])
        above = r_b > units @ w
        if np.array_equal(above, active):
            break
        active = above
    return w


def parts(eps):
    """tr ε, ‖dev ε‖."""
    v = np.sum(eps, 1)
    return v, np.linalg.norm(eps - v[:, None] / 3, axis=1)


def _cap(v_b, v, slack, few, notes) -> float:
    """T, or ∞."""
    cut = v_b - v > slack
    if np.sum(cut) < few:
        return np.inf
    level, near = float(np.median(v[cut])), float(np.median(slack[cut]))
    beyond = float(np.mean(v > level + slack))
    if beyond > 0.01 or level < -near:
        notes.append(
            f"cap: {np.sum(cut)} volumes fell, about to log J = {level:.3g}, but "
            f"{beyond:.0%} of all points lie beyond it uncut; none was taken"
        )
        return np.inf
    return level if level > near else 0.0


def _censored(units, weight, fell, seen, least):
    """w ≥ 0 with units @ w = seen where it fell, ≥ least elsewhere; and the rms."""
    goal, active = np.where(fell, seen, least), fell
    for _ in range(4):
        w, _ = _nonnegative(units[active], weight[active], goal[active])
        active = fell | (units @ w < least)
    off = weight * (units @ w - seen)
    return w, float(np.sqrt(np.mean(off[fell] ** 2)))


def _nonnegative(A, weight, b):
    """min |g(Ax − b)| over x ≥ 0, columns scaled; and the rms of g(Ax − b)."""
    size = np.linalg.norm(weight[:, None] * A, axis=0)
    size = np.where(size > 0, size, 1)
    rows = weight[:, None] * np.concatenate([A / size, b[:, None]], 1)
    ridge = 1e-9 * np.eye(rows.shape[1])
    R: Any = np.linalg.qr(np.concatenate([rows, ridge]), "r")
    x, _ = scipy.optimize.nnls(R[:, :-1], R[:, -1], maxiter=100 * len(size))
    off = weight * (A @ (x / size) - b)
    return x / size, float(np.sqrt(np.mean(off**2)))
