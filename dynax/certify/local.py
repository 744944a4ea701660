"""A certificate near an equilibrium: a quadratic V, a ball, and the level it reaches.

For ż = F(z) with F(z*) = 0 and A = ∂F(z*): AᵀP + PA = −I gives V = (z − z*)ᵀP(z − z*).
Every state of a ball has F(z) = J̄(z − z*) with J̄ an average of the Jacobian over the
ball, so that V̇ < 0 on all of it but z* if λ_max(mid S) + ‖rad S‖₂ < 0 for the interval
matrix S = JᵀP + PJ. For a map AᵀPA − P = −I and S = JᵀPJ − P. From that ball outwards
the level {V ≤ c} grows as far as boxes certify it.

The energy H of a method reaches further (`dynax.certify._lasalle`).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.flatten_util import ravel_pytree

from dynax.certify._lasalle import Argument, reach
from dynax.certify._verdict import ARITHMETIC, judged
from dynax.certify.box import Map, is_flat
from dynax.certify.interval import Interval, Program, point
from dynax.certify.interval._arithmetic import add, dot
from dynax.certify.region import Ball, Region
from dynax.certify.search import MARGIN, Bounded, largest, search
from dynax.flow import AbstractFlow, LyapunovFlow, is_continuous
from dynax.lyapunov import Verdict


NEUTRAL = 1e-8  # of the spectrum: a growth rate that is not told from 0
EQUILIBRIUM = 1e-10  # in units of `scale`: how far it may be from the true one


class Local(NamedTuple):
    """What is known near an equilibrium.

    Args:
        verdict: that V falls on {V ≤ level}, but for z* itself.
        P: of V = (z − z*)ᵀP(z − z*).
        level: the largest c that was certified.
        radius: of the ball ‖(z − z*)/scale‖ < radius on which no boxes were needed.
        spectrum: eigenvalues of the linearisation.
        energy: the states of `box` with H − H(z*) ≤ energy are attracted too, where the
            flow claims an energy H; 0 if none is certified.
        box: the ends of that box.
    """

    verdict: Verdict
    P: np.ndarray
    level: float
    radius: float
    spectrum: np.ndarray
    energy: float = 0.0
    box: tuple[np.ndarray, np.ndarray] | None = None


def locally(
    system: Any,
    at: Any,
    *,
    time: float = 0.0,
    scale: Any = 1.0,
    budget: int = 300_000,
) -> Local:
    """Certifies a region of attraction about an equilibrium.

    V is quadratic. Where the flow claims an energy H with Ḣ = −D, the states with
    H − H(z*) ≤ c are judged too, by LaSalle's argument: D may vanish at more than z*.

    Args:
        system: a flow of `dynax.as_flow`, a field(t, y, args), or `Map(step)`.
        at: the equilibrium z*, a vector or a tree like y. Of a flow, x alone serves:
            the state is that of `init`.
        time: t at which the field is looked at.
        scale: the size of z − z*, a number or one for each state in its own units. It
            sets the shape of the balls and the first that is tried.
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
    z0, n = np.asarray(centre), centre.size
    size = _sizes(scale, n)

    def F(z, t):
        here = z0 + size * z
        moved = ravel_pytree(field(t, restore(here), None))[0]
        return (moved - here if step else moved) / size

    now = np.asarray(time, float)
    near = Near(F, n, step, now)
    spot = near.spot(now)
    if not spot.miss <= EQUILIBRIUM * float(np.max(np.abs(spot.A))):
        raise ValueError(
            f"at: given {z0}, where the field is {size * spot.rest}; accepted is an "
            "equilibrium (Newton's method finds one near it)."
        )
    growth, spectrum = spot.growth, spot.spectrum
    if growth >= -spot.neutral:
        unstable = growth > spot.neutral
        verdict = judged(
            "local",
            "violated" if unstable else "undecided",
            f"z* = {np.round(z0, 6).tolist()} attracts every state near it",
            f"the linearisation is {'unstable' if unstable else 'neutral: undecided'} "
            f"(growth {growth:.3g})",
            origin="spectrum of the linearisation",
        )
        return Local(verdict, np.full((n, n), np.nan), 0.0, 0.0, spectrum)
    P, radius, level, boxes = near.quadratic(spot, now, budget=budget)
    claim = f"V = (z − z*)ᵀP(z − z*) falls on {{V ≤ {level:.4g}}}, which z* attracts"
    assumes = [f"z* is an equilibrium, to {spot.miss:.1e}"]
    if near.moves:
        assumes.append(f"the field stays what it is at t = {float(now):g}")
    further = Argument()
    if isinstance(system, LyapunovFlow) and radius > 0 and n <= 4 and not near.moves:
        inner = np.sqrt(level / np.linalg.eigvalsh(P)[-1]) * (1 - MARGIN)
        state = lambda z: restore(z0 + size * z)
        further = _by_energy(system, state, lambda z: F(z, now), n, inner, budget)
    box = None
    if further.level > 0:
        claim += f"; H − H(z*) ≤ {further.level:.4g} about it, which z* attracts too"
        assumes += further.assumes
        half = size * further.half
        box = z0 - half, z0 + half
    verdict = judged(
        "local",
        "holds" if radius > 0 else "undecided",
        claim,
        "" if radius > 0 else "no ball was certified",
        boxes + further.boxes,
        assumes=(*assumes, ARITHMETIC),
    )
    P = P / np.outer(size, size)
    return Local(verdict, P, level, radius, spectrum, further.level, box)


def _by_energy(flow: LyapunovFlow, state, F, n: int, ball, budget) -> Argument:
    """LaSalle's argument for H and D of the flow, if they do not depend on t."""
    H = lambda z, t: flow.energy(t, state(z))
    D = lambda z, t: flow.dissipation(t, state(z))
    z, t = (jax.ShapeDtypeStruct(shape, np.float64) for shape in ((n,), ()))
    both = Program(lambda z, t: (H(z, t), D(z, t)), z, t)
    if not is_continuous(flow.opt) or both.uses(1):
        return Argument()
    return reach(lambda z: H(z, 0.0), lambda z: D(z, 0.0), F, n, ball, budget)


def _sizes(scale, n: int) -> np.ndarray:
    size = np.asarray(ravel_pytree(scale)[0] if not is_flat(scale) else scale, float)
    if size.shape not in ((), (1,), (n,)) or not np.all((size > 0) & (size < np.inf)):
        raise ValueError(
            f"scale: given {scale}; accepted is a positive number, or {n}, one a state."
        )
    return np.broadcast_to(size, (n,))


class Spot(NamedTuple):
    """A system at its equilibrium: what is left of F there, and the linearisation."""

    rest: np.ndarray
    miss: float
    A: np.ndarray
    spectrum: np.ndarray
    growth: float

    @property
    def neutral(self) -> float:
        """Growth rates below it are not told from 0."""
        return NEUTRAL * float(np.max(np.abs(self.spectrum)))


class Near:
    """A system about its equilibrium 0, traced once.

    Args:
        F: (z, *parameters) → ż, or step(z) − z of a map.
        n: number of states.
        step: whether it is a map.
        parameters: arrays; others of the same shapes may be given later.
    """

    def __init__(self, F: Callable, n: int, step: bool, *parameters):
        specs = [jax.ShapeDtypeStruct(np.shape(p), np.float64) for p in parameters]
        spec = jax.ShapeDtypeStruct((n,), np.float64)
        self.n, self.step, self._F, self._given = n, step, F, parameters
        self._rest = Program(F, spec, *specs)
        self._jacobian = Program(jax.jacfwd(F), spec, *specs)

    @property
    def moves(self) -> bool:
        """Whether F depends on its parameters."""
        return self._rest.uses(*range(1, 1 + len(self._given)))

    def spot(self, *parameters) -> Spot:
        rest, J = self._at(self._rest, parameters), self._at(self._jacobian, parameters)
        A = (J.lo[..., 0] + J.hi[..., 0]) / 2
        spectrum = np.linalg.eigvals(A + np.eye(self.n) if self.step else A)
        size = np.abs(spectrum) - 1 if self.step else spectrum.real
        miss = float(np.max(np.abs([rest.lo, rest.hi])))
        return Spot(rest.lo[..., 0], miss, A, spectrum, float(np.max(size)))

    def _at(self, program: Program, parameters) -> Interval:
        return program(point(np.zeros(self.n)), *_points(parameters))[0]

    def quadratic(
        self, spot: Spot, *parameters, budget: int, most: float = np.inf
    ) -> tuple[np.ndarray, float, float, int]:
        """P, the ball, and the level {zᵀPz ≤ c} that is attracted, with its boxes.

        Nothing beyond a radius of about `most` is tried.
        """
        A, eye = spot.A, np.eye(self.n)
        if self.step:
            P = scipy.linalg.solve_discrete_lyapunov((A + eye).T, eye)
        else:
            P = scipy.linalg.solve_continuous_lyapunov(A.T, -eye)
        P = (P + P.T) / 2
        falls = lambda r: r <= most and self._in_ball(r, P, parameters)
        radius = largest(falls, min(1.0, most))
        level = float(np.linalg.eigvalsh(P)[0]) * radius**2 * (1 - MARGIN)
        if not radius > 0 or self.n > 4:
            return P, radius, level, 0
        return P, radius, *self._outwards(P, level, radius, parameters, budget, most)

    def _in_ball(self, r: float, P, parameters) -> bool:
        """Whether S is negative definite for all Jacobians of the ball."""
        box = point(np.zeros(self.n))
        J, marked = self._jacobian(
            Interval(box.lo - r, box.hi + r), *_points(parameters)
        )
        if marked[0] or not np.all(np.isfinite(J.lo + J.hi)):
            return False
        S = _decrease(J, P, self.step)
        middle, spread = (S.lo + S.hi)[..., 0] / 2, (S.hi - S.lo)[..., 0] / 2
        size = float(np.linalg.norm(P)) * (1 + float(np.max(np.abs([J.lo, J.hi])))) ** 2
        worst = np.linalg.eigvalsh((middle + middle.T) / 2)[-1]
        worst += np.linalg.norm(spread, 2) + MARGIN * size
        return bool(worst < 0)

    @functools.cached_property
    def _change(self) -> Bounded:
        def change(z, P, *p):
            moved = self._F(z, *p)
            product = 2 * z @ P @ moved
            return product + moved @ P @ moved if self.step else product

        V = lambda z, P, *p: z @ P @ z
        return Bounded(change, self.n, np.eye(self.n), *self._given, level=V)

    def _outwards(self, P, level: float, radius: float, parameters, budget, most):
        """The largest level for which boxes certify the decrease outside the ball."""
        self._change.parameters = _points((P, *parameters))
        inverse = np.sqrt(np.diag(np.linalg.inv(P)))
        boxes = 0

        def falls(c: float) -> bool:
            nonlocal boxes
            half = inverse * np.sqrt(c) * (1 + MARGIN)
            if np.any(half > 2 * most):
                return False
            region = Region.of(-half, half, Ball(radius))
            tiny = np.finfo(float).tiny
            found = search(self._change, region, -tiny, c, budget)
            boxes += found.boxes
            return found.certified

        return largest(falls, 4 * level, level), boxes


def _points(parameters) -> list[Interval]:
    return [point(np.asarray(p, float)) for p in parameters]


def _decrease(J: Interval, P, step: bool) -> Interval:
    """JᵀP + PJ of a flow; JᵀPJ − P of a map whose Jacobian is I + J."""
    matrix = (((1,), (0,)), ((), ()))
    turned = Interval(J.lo.swapaxes(0, 1), J.hi.swapaxes(0, 1))
    right = dot(point(P), J, matrix)
    left = dot(turned, point(P), matrix)
    both = add(left, right)
    return add(both, dot(turned, right, matrix)) if step else both


__all__ = ["Local", "Near", "locally"]
