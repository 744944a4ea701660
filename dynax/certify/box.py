"""Certificates on a region: the claim for every state of it, not of one run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from dynax.certify._verdict import certified
from dynax.certify.interval import Program, point
from dynax.certify.region import Region
from dynax.certify.search import Bounded, search
from dynax.flow import AbstractFlow, LyapunovFlow, is_continuous
from dynax.lyapunov import Verdict, lie_derivative


TOLERANCE = 0.01  # of the largest |V̇| sampled: equalities cannot be closed exactly


class Map(NamedTuple):
    """A discrete step z → step(t, z, args), in the place of a field."""

    step: Callable


def on_box(
    system: Any,
    *given: Any,
    below: float | None = None,
    decrease: Callable | None = None,
    excluding=(),
    level: float | None = None,
    time: float | tuple[float, float] = 0.0,
    args: float | tuple[float, float] | None = None,
    budget: int = 1_000_000,
) -> Verdict:
    """Judges a claimed decrease for every state of a box: V̇ ≤ −D + below.

    `on_box(flow, lower, upper)` takes V and D from a flow of `dynax.as_flow`.
    `on_box(V, field, lower, upper)` takes your own V(t, y, args) and field(t, y, args);
    `Map(step)` in the place of the field claims V(step(y)) − V(y) ≤ −D + below.

    The claim is certified by interval arithmetic with outward rounding and by branch
    and bound. It is made about the traced program in exact arithmetic.

    Args:
        system: a flow, or V.
        given: the ends of the box (a vector with one entry a state, or a tree like y),
            after the field where `system` is V.
        below: a number in the units of V̇ (of V for a map). For a flow it is 1 % of the
            largest |V̇| sampled unless said, since V̇ = −D cannot be closed exactly;
            else 0.
        decrease: D(t, y, args) of your own V; 0 unless said.
        excluding: `Ball` or several: states about which nothing is claimed.
        level: judge only the states with V ≤ level.
        time: t, or an interval (first, last) of it that counts as one more state.
        args: what your V and field get as `args`: a number, as the learning rate of a
            map, or an interval of it that counts as one more state.
        budget: boxes to bound before giving up.

    Returns:
        A verdict whose evidence is "box": `holds` for the whole region; `violated` with
        a counterexample; `undecided` where the budget ran out, with the share that is
        certified and the worst box that is open.

    Raises:
        ValueError: ends of a box that is none, more than 4 states, a V that is no
            scalar, or that is not a number in the middle of the box.
        NotImplementedError: a primitive without an interval rule, by its line.
    """
    with jax.enable_x64(True):
        others = {"time": time, "args": args}
        problem = _problem(system, given, decrease, others, excluding, level)
    region, terms = problem.region, problem.terms
    below = problem.below if below is None else below
    outcome = search(problem.bounded, region, below, level, budget)
    right = f"{terms.right} + {below:.3g}" if terms.right != "0" else f"{below:.3g}"
    right = terms.right if below == 0 else right
    claim = f"{terms.left} ≤ {right} on {_shown(region, level)}"
    return certified("box", claim, outcome, terms.assumes, problem.restore)


class Terms(NamedTuple):
    """V, V̇ (or the change over a step) and D, functions of (t, y, args), named."""

    V: Callable
    change: Callable
    fall: Callable
    left: str
    right: str
    equality: bool = False
    assumes: tuple[str, ...] = ()


class Problem(NamedTuple):
    """G = V̇ + D of a flat z, where it is asked for, and the room that is left to it."""

    bounded: Bounded
    region: Region
    restore: Callable
    terms: Terms
    below: float


def _problem(system, given, decrease, others, excluding, level) -> Problem:
    own = not isinstance(system, AbstractFlow)
    if len(given) != (3 if own else 2):
        raise TypeError(
            f"on_box: given {1 + len(given)} arguments; accepted are (flow, lower, "
            "upper) or (V, field, lower, upper)."
        )
    if not own and others["args"] is not None:
        raise ValueError(
            f"args: given {others['args']} with a flow, which takes none; accepted is "
            "None, or your own V and field."
        )
    like = _like(system, given[-2])
    flat, restore = ravel_pytree(like)
    lower, upper = (_vector(e, like) for e in given[-2:])
    n, moving = flat.size, [k for k, v in others.items() if isinstance(v, tuple)]
    lower = np.concatenate([lower, [others[k][0] for k in moving]])
    upper = np.concatenate([upper, [others[k][1] for k in moving]])
    region = Region.of(lower, upper, excluding)

    def split(z):
        known = others | {k: z[n + i] for i, k in enumerate(moving)}
        return jnp.asarray(known["time"], float), restore(z[:n]), known["args"]

    terms = _own(system, given[0], decrease) if own else _of_flow(system)
    G = lambda z: terms.change(*split(z)) + terms.fall(*split(z))
    V = lambda z: terms.V(*split(z))
    bounded = Bounded(G, region.lower.size, level=None if level is None else V)
    width = (region.upper - region.lower)[:, None]
    middle = region.lower + width[:, 0] / 2
    spec = jax.ShapeDtypeStruct(middle.shape, np.float64)
    value = Program(V, spec)(point(middle))[0]
    if not np.all(np.isfinite([value.lo, bounded.at(middle[:, None])[0].lo])):
        raise ValueError(
            f"lower, upper: given a box whose middle is {np.round(middle, 6)}, "
            f"where V or {terms.left} is not a number; accepted is one about states "
            "where both are defined."
        )

    def kept(z):
        extra = {k: z[n + i] for i, k in enumerate(moving)}
        return {"y": restore(z[:n]), **extra} if extra else restore(z)

    below = 0.0
    if terms.equality:
        shares = np.random.default_rng(0).random((region.lower.size, 256))
        speed = Bounded(lambda z: terms.change(*split(z)), region.lower.size)
        sizes = np.abs(speed.at(region.lower[:, None] + width * shares)[0].lo)
        below = TOLERANCE * float(np.max(sizes[np.isfinite(sizes)], initial=0.0))
    return Problem(bounded, region, kept, terms, below)


def _own(V, field, decrease) -> Terms:
    """V(t, y, args) along a field, or over a step."""
    fall = decrease if decrease else lambda t, y, args: 0.0
    right = "−D" if decrease else "0"
    if isinstance(field, Map):
        step = field.step
        change = lambda t, y, args: V(t, step(t, y, args), args) - V(t, y, args)
        return Terms(V, change, fall, "V(step) − V", right)
    derivative = lie_derivative(V, field)
    return Terms(V, lambda *at: derivative(*at)[1], fall, "V̇", right)


def _of_flow(flow) -> Terms:
    """The energy that a method claims, and its D."""
    if not isinstance(flow, LyapunovFlow):
        raise ValueError(
            f"flow: given one of {type(flow.opt).__name__}, which claims no energy; "
            "accepted is the flow of a method that does, or your own V and field."
        )
    energy, fall = flow.energy, flow.dissipation
    if not is_continuous(flow.opt):
        # A jvp of H would meet two signs that are one; D is what the identity leaves.
        change, none = lambda *at: -fall(*at), lambda *at: 0.0
        assumes = (
            "V̇ = −D by the identity of the method",
            "for every selection of the sign at its jumps",
        )
        return Terms(energy, change, none, "−D", "0", assumes=assumes)
    derivative = lie_derivative(energy, flow.field)
    change = lambda *at: derivative(*at)[1]
    return Terms(energy, change, fall, "V̇", "−D", equality=True)


def _like(system, lower):
    """A tree of the shapes of y: that of the box, or one with as many entries."""
    if not isinstance(system, AbstractFlow):
        return (
            lower if not is_flat(lower) else jnp.zeros(np.shape(np.atleast_1d(lower)))
        )
    if not is_flat(lower):
        return lower
    n = np.size(lower)
    for shape in [(), *((d,) for d in range(1, n + 1))]:
        try:
            y = system.init(jnp.zeros(shape))
            value = jax.eval_shape(system.f, y[0])
        except Exception:
            continue
        if ravel_pytree(y)[0].size == n and value.shape == ():
            return y
    raise ValueError(
        f"lower: given {n} numbers, as many as x and its state never have together; "
        "accepted is a vector with one entry a state, or a tree like (x, state)."
    )


def is_flat(value) -> bool:
    return isinstance(value, list | float | int | np.ndarray | jax.Array) or (
        isinstance(value, tuple) and all(isinstance(v, float | int) for v in value)
    )


def _vector(value, like) -> np.ndarray:
    if is_flat(value):
        return np.atleast_1d(np.asarray(value, float))
    given, wanted = jax.tree.structure(value), jax.tree.structure(like)
    if given != wanted:
        raise ValueError(f"upper: given a tree {given}; accepted is one like {wanted}.")
    return np.asarray(
        ravel_pytree(jax.tree.map(lambda a: jnp.asarray(a, float), value))[0]
    )


def _shown(region: Region, level) -> str:
    sides = zip(region.lower, region.upper, strict=True)
    text = " × ".join(f"[{a:g}, {b:g}]" for a, b in sides)
    if level is not None:
        text += f" where V ≤ {level:g}"
    for ball in region.excluding:
        about = "0" if ball.centre is None else str(tuple(ball.centre))
        text += f" outside the ball of radius {ball.radius:g} about {about}"
    return text


__all__ = ["Map", "on_box"]
