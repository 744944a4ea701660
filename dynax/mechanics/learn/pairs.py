"""A return map from what it did: strains before and after it."""

from typing import NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Float

from dynax import _tree as tree
from dynax.material import YieldCurve
from dynax.material.yield_curve import pressure_units
from dynax.mechanics.learn.trajectory import Trajectory


SCALES = 10  # of the units of Y, geometric
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
    d, total = y.x.shape[2], trajectory.steps * y.x.shape[1]
    chosen = np.random.default_rng(seed).permutation(total)[:count]
    step, point = np.divmod(chosen, y.x.shape[1])
    pick = lambda a, step: np.asarray(a)[step, point].astype(np.float64)
    old, new, C = pick(y.F, step), pick(y.F, step + 1), pick(y.C, step + 1)
    moved = old + dt * C @ old
    if d == 2:
        known = [a for a in tree.leaves(y.alpha) if a.shape == y.x.shape[:2]]
        third = known[0] if known else np.ones(y.x.shape[:2])
        moved = _in_space(moved, pick(third, step))
        new = _in_space(new, pick(third, step + 1))
    before, after = (np.log(np.linalg.svd(F, compute_uv=False)) for F in (moved, new))
    slack = 30 * float(np.finfo(y.F.dtype).eps) * np.exp(np.ptp(before, axis=1))
    return Pairs(before, after, slack, dt)


def _in_space(F, third):
    out = np.zeros((len(F), 3, 3))
    out[:, :2, :2], out[:, 2, 2] = F, third
    return out


def fit_return(pairs: Pairs) -> tuple[YieldCurve, list[str]]:
    """Fit the yield limit, cap and time of a return; and say what is not known.

    Where ‖e‖ fell, r_b → r_a, the limit Y(v) is seen: r_a = κr_b + (1 − κ)Y with
    κ = e^{−dt/t_r}, 0 where nothing depends on the rate. Elsewhere Y(v) ≥ r_b is all
    that is known. With Y = b + Σ w u(p), b, w ≥ 0, this is a convex problem,

        min Σ_seen g²(Y − r_a)² + Σ_else g²(r_b − Y)₊²,   g = 1/(r_a + 0.01 rms r_a),

    solved by non-negative least squares with an active set. Volumes that fell to one
    value T are a cap, unless points lie beyond it uncut.
    """
    (v_b, r_b), (v, r) = parts(pairs.before), parts(pairs.after)
    slack, notes = pairs.slack, []
    cap = _cap(v_b, v, slack, notes)
    origin = cap if np.isfinite(cap) else float(np.max(v))
    p = np.maximum(origin - v, 0)
    scale = np.geomspace(1e-4, 3, SCALES) * max(float(np.max(p)), 1e-6)
    fell = r_b - r > slack
    if np.sum(fell) < FEW:
        notes.append(
            f"yield limit: no pair yields up to ‖e‖ = {np.max(r_b):.3g}, so it cannot "
            "be told"
        )
        return YieldCurve(np.inf, np.zeros(2 * SCALES), scale, origin, cap), notes
    weight = 1 / (r + 0.01 * np.sqrt(np.mean(r**2)) + slack)
    units = np.concatenate([np.ones((len(p), 1)), pressure_units(p, scale)], 1)
    limit, off = _censored(units, weight, fell, r, r_b)
    time, both = 0.0, np.concatenate([r_b[:, None], units], 1)
    (keep, *_), slow = _nonnegative(both[fell], weight[fell], r[fell])
    if 0.02 < keep < 1 and slow < 0.5 * off:
        time = -pairs.dt / float(np.log(keep))
        seen = (r - keep * r_b) / (1 - keep)
        limit, _ = _censored(units, (1 - keep) * weight, fell, seen, r_b)
    return YieldCurve(float(limit[0]), limit[1:], scale, origin, cap, time), notes


def parts(eps):
    """tr ε, ‖dev ε‖."""
    v = np.sum(eps, 1)
    return v, np.linalg.norm(eps - v[:, None] / 3, axis=1)


def _cap(v_b, v, slack, notes) -> float:
    """T, or ∞."""
    cut = v_b - v > slack
    if np.sum(cut) < FEW:
        return np.inf
    level = float(np.median(v[cut]))
    beyond = float(np.mean(v > level + 10 * slack))
    if beyond > 0.01 or level < -10 * float(np.median(slack[cut])):
        notes.append(
            f"cap: {np.sum(cut)} volumes fell, about to log J = {level:.3g}, but "
            f"{beyond:.0%} of all points lie beyond it uncut; none was taken"
        )
        return np.inf
    return level if level > 10 * float(np.median(slack[cut])) else 0.0


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
    R = np.linalg.qr(weight[:, None] * np.concatenate([A / size, b[:, None]], 1), "r")
    x, _ = scipy.optimize.nnls(R[:, :-1], R[:, -1])
    off = weight * (A @ (x / size) - b)
    return x / size, float(np.sqrt(np.mean(off**2)))
