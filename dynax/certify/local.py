"""A certificate near an equilibrium: a quadratic V, a ball, and the level it reaches.

For ż = F(z) with F(z*) = 0 and A = ∂F(z*): AᵀP + PA = −I gives V = (z − z*)ᵀP(z − z*).
Every state of a ball has F(z) = J̄(z − z*) with J̄ an average of the Jacobian over the
ball, so that V̇ < 0 on all of it but z* if λ_max(mid S) + ‖rad S‖₂ < 0 for the interval
matrix S = JᵀP + PJ. For a map AᵀPA − P = −I and S = JᵀPJ − P. From that ball outwards
the level {V ≤ c} grows as far as boxes certify it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.flatten_util import ravel_pytree

from dynax.certify._verdict import ARITHMETIC, judged
from dynax.certify.box import Map, is_flat
from dynax.certify.interval import Interval, Program, point
from dynax.certify.interval._arithmetic import add, dot
from dynax.certify.region import Ball, Region
from dynax.certify.search import Bounded, search
from dynax.flow import AbstractFlow
from dynax.lyapunov import Verdict


MARGIN = 1e-9  # of eigenvalues computed in floating point, relative to the matrix
HALVINGS = 24


class Local(NamedTuple):
    """What is known near an equilibrium.

    Args:
        verdict: that V falls on {V ≤ level}, but for z* itself.
        P: of V = (z − z*)ᵀP(z − z*).
        level: the largest c that was certified.
        radius: of the ball on which no boxes were needed.
        spectrum: eigenvalues of the linearisation.
    """

    verdict: Verdict
    P: np.ndarray
    level: float
    radius: float
    spectrum: np.ndarray


def locally(
    system: Any,
    at: Any,
    *,
    time: float = 0.0,
    reach: float = 1.0,
    budget: int = 300_000,
) -> Local:
    """Certifies a region of attraction about an equilibrium.

    Args:
        system: a flow of `dynax.as_flow`, a field(t, y, args), or `Map(step)`.
        at: the equilibrium z*, a vector or a tree like y. Of a flow, x alone serves:
            the state is that of `init`.
        time: t at which the field is looked at.
        reach: a length in the units of z: the first ball tried.
        budget: boxes to bound for each level tried.

    Raises:
        ValueError: `at` is no equilibrium.
    """
    step = isinstance(system, Map)
    field: Callable = getattr(system, "step" if step else "field", system)  # type: ignore
    with jax.enable_x64(True):
        at = jnp.asarray(at, float) if is_flat(at) else at
        bare = isinstance(system, AbstractFlow) and len(jax.tree.leaves(at)) == 1
        y = system.init(at) if bare else at
        y = jax.tree.map(lambda a: jnp.asarray(a, float), y)
        centre, restore = ravel_pytree(y)
        n = centre.size

        def F(z):
            moved = ravel_pytree(field(jnp.asarray(time), restore(z), None))[0]
            return moved - z if step else moved

        spec = jax.ShapeDtypeStruct((n,), np.float64)
        rest, jacobian = Program(F, spec), Program(jax.jacfwd(F), spec)
    z0 = np.asarray(centre)
    still = rest(point(z0))[0]
    miss = float(np.max(np.abs([still.lo, still.hi])))
    J = jacobian(point(z0))[0]
    A = (J.lo[..., 0] + J.hi[..., 0]) / 2
    if not miss <= 1e-10 * reach * max(1.0, float(np.max(np.abs(A)))):
        raise ValueError(
            f"at: given {z0}, where the field is {still.lo[..., 0]}; accepted is an "
            "equilibrium (Newton's method finds one near it)."
        )
    spectrum = np.linalg.eigvals(A + np.eye(n) if step else A)
    growth = np.max(np.abs(spectrum)) - 1 if step else np.max(spectrum.real)
    claim = f"z* = {np.round(z0, 6).tolist()} attracts every state near it"
    if growth >= -1e-8 * max(1.0, float(np.max(np.abs(spectrum)))):
        stable = "unstable" if growth > 1e-8 else "neutral: it does not decide"
        verdict = judged(
            "local",
            "violated" if growth > 1e-8 else "undecided",
            claim,
            f"the linearisation is {stable} (growth {growth:.3g})",
            origin="spectrum of the linearisation",
        )
        return Local(verdict, np.full((n, n), np.nan), 0.0, 0.0, spectrum)
    solve = (
        scipy.linalg.solve_discrete_lyapunov
        if step
        else scipy.linalg.solve_continuous_lyapunov
    )
    P = solve((A + np.eye(n)).T, np.eye(n)) if step else solve(A.T, -np.eye(n))
    P = (P + P.T) / 2
    radius = _ball(jacobian, z0, P, step, reach)
    level = float(np.linalg.eigvalsh(P)[0]) * radius**2 * (1 - MARGIN)
    boxes = 0
    if radius > 0 and n <= 4:
        level, boxes = _outwards(F, z0, P, level, radius, step, budget)
    claim = f"V = (z − z*)ᵀP(z − z*) falls on {{V ≤ {level:.4g}}}, which z* attracts"
    verdict = judged(
        "local",
        "holds" if radius > 0 else "undecided",
        claim,
        "" if radius > 0 else "no ball was certified",
        boxes,
        assumes=(f"z* is an equilibrium, to {miss:.1e}", ARITHMETIC),
    )
    return Local(verdict, P, level, radius, spectrum)


def _ball(jacobian: Program, z0, P, step: bool, reach: float) -> float:
    """The largest radius found on which S is negative definite."""

    def falls(r: float) -> bool:
        box = Interval((z0 - r)[:, None], (z0 + r)[:, None])
        J, marked = jacobian(box)
        if marked[0] or not np.all(np.isfinite(J.lo + J.hi)):
            return False
        S = _decrease(J, P, step)
        middle, spread = (S.lo + S.hi)[..., 0] / 2, (S.hi - S.lo)[..., 0] / 2
        size = float(np.linalg.norm(P)) * (1 + float(np.max(np.abs([J.lo, J.hi])))) ** 2
        worst = np.linalg.eigvalsh((middle + middle.T) / 2)[-1]
        worst += np.linalg.norm(spread, 2) + MARGIN * size
        return bool(worst < 0)

    r, tries = reach, 0
    while falls(r) and tries < HALVINGS:
        r, tries = 2 * r, tries + 1
    low, high = (r / 2, r) if tries else (0.0, r)
    while not low and tries < 2 * HALVINGS:
        high, tries = high / 2, tries + 1
        low = high if falls(high) else 0.0
    high = 2 * low if not high > low else high
    return _last(falls, low, high)


def _last(falls: Callable, low: float, high: float) -> float:
    """The last place where it falls, between one where it does and one where not."""
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if falls(middle) else (low, middle)
    return low


def _decrease(J: Interval, P, step: bool) -> Interval:
    """JᵀP + PJ of a flow; JᵀPJ − P of a map whose Jacobian is I + J."""
    matrix = (((1,), (0,)), ((), ()))
    turned = Interval(J.lo.swapaxes(0, 1), J.hi.swapaxes(0, 1))
    right = dot(point(P), J, matrix)
    left = dot(turned, point(P), matrix)
    both = add(left, right)
    return add(both, dot(turned, right, matrix)) if step else both


def _outwards(F: Callable, z0, P, level: float, radius: float, step: bool, budget: int):
    """The largest level found for which boxes certify the decrease outside the ball."""
    n = z0.size

    def V(z, matrix):
        return (z - z0) @ matrix @ (z - z0)

    def change(z, matrix):
        moved = F(z)
        product = 2 * (z - z0) @ matrix @ moved
        return product + moved @ matrix @ moved if step else product

    with jax.enable_x64(True):
        bounded = Bounded(change, n, P, level=V)
    inverse = np.sqrt(np.diag(np.linalg.inv(P)))
    boxes = 0

    def falls(c: float) -> bool:
        nonlocal boxes
        half = inverse * np.sqrt(c) * (1 + MARGIN)
        ball = Ball(radius, tuple(z0))
        region = Region.of(z0 - half, z0 + half, ball)
        found = search(bounded, region, -np.finfo(float).tiny, c, budget)
        boxes += found.boxes
        return found.certified

    low, high = level, 4 * level
    for _ in range(HALVINGS):
        if not falls(high):
            break
        low, high = high, 4 * high
    return _last(falls, low, high), boxes


__all__ = ["Local", "locally"]
