"""A learned Lyapunov function, with its certificate and the region that it attracts.

V(y) = ‖φ(ζ) − φ(0)‖² + a‖ζ‖² with ζ = (y − y*)/scale and φ a network. In training
max(V̇/(bV) + 1, 0) is made small where V ≤ c, and {V ≤ c} large, with c the least V on
the faces of the box. What branch and bound then finds wrong is trained again.

Counterexamples from the verifier: Chang, Roohi, Gao, NeurIPS 2019, arXiv:2005.00611.
Both terms of the loss: Yang, Dai, Shi, Hsieh, Tedrake, Zhang, ICML 2024,
arXiv:2404.07956.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from dynax.certify._basin import Judge
from dynax.certify._verdict import certified
from dynax.certify.local import EQUILIBRIUM
from dynax.certify.region import Region
from dynax.certify.search import Outcome
from dynax.lyapunov import Verdict


FLOOR = 0.1  # a of V
DECREASE = 0.3  # b, of the slowest rate at y*; V̇ < 0 is what is certified
AREA = 0.6  # weight in the loss of the size of {V ≤ c}
STEPS, POINTS, KEPT = 1500, 512, 128


class Model(NamedTuple):
    """A function of (parameters, z), and its parameters: a pytree of arrays."""

    parameters: Any
    apply: Callable


class LearnedV(eqx.Module):
    """V(t, y, args) = ‖φ(ζ) − φ(0)‖² + a‖ζ‖² with ζ = (y − centre)/scale."""

    parameters: Any
    apply: Callable = eqx.field(static=True)
    centre: jax.Array
    scale: jax.Array

    def __call__(self, t, y, args=None):
        del t, args
        return _value(self.apply, self.parameters, (y - self.centre) / self.scale)


class Feedback(eqx.Module):
    """A learned control u(y) = π(ζ) − π(0) with ζ = (y − centre)/scale."""

    parameters: Any
    apply: Callable = eqx.field(static=True)
    centre: jax.Array
    scale: jax.Array

    def __call__(self, y):
        return _control(self.apply, self.parameters, (y - self.centre) / self.scale)


class Basin(NamedTuple):
    """The states of a box with V ≤ level: certified to be attracted.

    Args:
        verdict: of the claim.
        V: V(t, y, args).
        level: c; 0 if nothing is certified.
        lower, upper: ends of the box.
        control: u(y), if one was learned.
        outcome: the boxes that closed and that stay open, in units of ζ.
    """

    verdict: Verdict
    V: LearnedV
    level: float
    lower: np.ndarray
    upper: np.ndarray
    control: Feedback | None
    outcome: Outcome

    def contains(self, y):
        """Whether states (…, n) are certified to be attracted."""

        def one(y):
            inside = jnp.all((y >= self.lower) & (y <= self.upper))
            return inside & (self.V(0.0, y) <= self.level)

        return jnp.vectorize(one, signature="(n)->()")(jnp.asarray(y))

    def share(self, count: int = 100_000) -> float:
        """Its share of the box, measured on a grid of about `count` states."""
        n = self.lower.size
        side = (np.arange(m := round(count ** (1 / n))) + 0.5) / m
        grid = np.stack(np.meshgrid(*[side] * n, indexing="ij"), -1).reshape(-1, n)
        with jax.enable_x64(True):
            y = self.lower + (self.upper - self.lower) * grid
            return float(jnp.mean(self.contains(y)))


def _value(apply, parameters, z):
    moved = apply(parameters, z) - apply(parameters, jnp.zeros_like(z))
    return jnp.sum(moved**2) + FLOOR * jnp.sum(z**2)


def _control(apply, parameters, z):
    return apply(parameters, z) - apply(parameters, jnp.zeros_like(z))


def _model(given, default: Callable) -> Model:
    """A model from an equinox module or a pair (parameters, function)."""
    if given is None:
        given = default()
    if isinstance(given, tuple):
        parameters, apply = given
    else:
        parameters, static = eqx.partition(given, eqx.is_inexact_array)
        apply = lambda p, z: eqx.combine(p, static)(z)
    return Model(jax.tree.map(lambda a: jnp.asarray(a, float), parameters), apply)


def learn(
    field: Callable,
    lower: Any,
    upper: Any,
    key: jax.Array,
    *,
    at: Any = None,
    network: Any = None,
    control: Any = None,
    rounds: int = 6,
    budget: int = 1_000_000,
) -> tuple[LearnedV, Basin]:
    """Learns a Lyapunov function and certifies the states that it attracts.

    Args:
        field: field(t, y, args) of y, a vector; t is 0. `args` is u(y) where a control
            is learned, else None.
        lower, upper: the ends of a box about the equilibrium.
        key: of the first parameters and of the samples.
        at: the equilibrium y*; 0 unless said. With a control, that at u = 0.
        network: φ, an equinox module or (parameters, function of (parameters, ζ)); two
            layers of 16 and 8 unless said.
        control: π in the same form: u(y) = π(ζ) − π(0) is learned together with V.
        rounds: how often to train and to judge.
        budget: boxes to bound in each round.

    Returns:
        V and the region {V ≤ c} of the box, with its verdict.

    Raises:
        ValueError: `at` is no equilibrium in the box, or is not stable (no control).
        NotImplementedError: a primitive without an interval rule, by its line.
    """
    with jax.enable_x64(True):
        return _learn(field, lower, upper, key, at, network, control, rounds, budget)


def _learn(field, lower, upper, key, at, network, control, rounds, budget):
    region = Region.of(lower, upper)
    n = region.lower.size
    centre = np.zeros(n) if at is None else np.asarray(at, float)
    scale = (region.upper - region.lower) / 2
    low, high = (region.lower - centre) / scale, (region.upper - centre) / scale
    if not (np.all(low < 0) and np.all(high > 0)):
        raise ValueError(
            f"at: given {centre}; accepted is a state inside of the box from {lower} "
            f"to {upper}."
        )
    first, second, key = jax.random.split(key, 3)
    phi = _model(network, lambda: eqx.nn.MLP(n, 8, 16, 1, jnp.tanh, key=first))
    pi = None if control is None else _model(control, lambda: None)
    start, restore = ravel_pytree((phi.parameters, pi.parameters if pi else ()))

    def F(z, w):
        u = _control(pi.apply, restore(w)[1], z) if pi else None
        return field(jnp.zeros(()), centre + scale * z, u) / scale

    V = lambda z, w: _value(phi.apply, restore(w)[0], z)
    slope = lambda z, w: jax.jvp(lambda z: V(z, w), (z,), (F(z, w),))[1]
    judge = Judge(F, V, slope, low, high, start, budget)
    spot = judge.near.spot(start)
    if not spot.miss <= EQUILIBRIUM * float(np.max(np.abs(spot.A))):
        raise ValueError(
            f"at: given {centre}, where the field is {scale * spot.rest}; accepted is "
            "an equilibrium, at u = 0 if a control is learned."
        )
    if pi is None and not spot.growth < -spot.neutral:
        raise ValueError(
            f"at: given {centre}, whose linearisation grows at {spot.growth:.3g}; "
            "accepted is an equilibrium that attracts, or a control that is learned."
        )
    slowest = -spot.growth if pi is None else float(np.max(np.abs(spot.spectrum)))
    train = _training(V, slope, DECREASE * slowest, low, high)
    w, wrong = start, _uniform(key, KEPT, low, high)
    for now in jax.random.split(key, rounds):
        with jax.numpy_dtype_promotion("standard"):  # optax counts in integers
            w = train(w, wrong, now)
        found = judge(w)
        if found.outcome.certified:
            break
        wrong = _fed(found.outcome, wrong, now)
    found = judge.shrunk(w, found)
    outcome = _in_units(found.outcome, centre, scale)
    claim = f"y* = {centre.tolist()} attracts the states of the box with V ≤ "
    assumes = (
        f"y* is an equilibrium, to {found.miss:.1e}",
        f"{{‖(y − y*)/scale‖ < {found.ball:.4g}}} is attracted: by a quadratic V",
    )
    verdict = certified("box", f"{claim}{found.level:.4g}", outcome, assumes)
    parts, ends = restore(jnp.asarray(w)), (jnp.asarray(centre), jnp.asarray(scale))
    learned = LearnedV(parts[0], phi.apply, *ends)
    u = Feedback(parts[1], pi.apply, *ends) if pi else None
    level = found.level if verdict.status == "holds" else 0.0
    sides = region.lower, region.upper
    return learned, Basin(verdict, learned, level, *sides, u, outcome)


def _training(V, slope, decrease, low, high):
    """(w, states that were wrong, key) → w after all steps: one program."""
    rate = lambda k: 1e-4 + 5e-3 * (1 + jnp.cos(jnp.pi * k.astype(float) / STEPS))
    optimizer = optax.adam(rate)

    def loss(w, wrong, key):
        inner, outer, near = jax.random.split(key, 3)
        z = _uniform(inner, POINTS, low, high)
        closer = 10 ** -jax.random.uniform(near, (POINTS, 1), maxval=1.5)
        z = jnp.where(jnp.arange(POINTS)[:, None] % 4 == 0, closer * z, z)
        faces = _faces(outer, POINTS, low, high)
        # not the slope of `min`, which is 0/0 where XLA computes a value twice
        level = V(faces[jnp.argmin(jax.vmap(lambda z: V(z, w))(faces))], w)

        def excess(z):
            value = V(z, w)
            rate = slope(z, w) / value / decrease + 1
            return jax.nn.relu(rate) * jax.nn.relu(1.2 - value / level)

        small = jax.nn.relu(jax.vmap(lambda z: V(z, w))(z) / level - 1)
        again = jnp.mean(jax.vmap(excess)(wrong))
        return jnp.mean(jax.vmap(excess)(z)) + again + AREA * jnp.mean(small)

    @jax.jit
    def train(w, wrong, key):
        def body(carry, key):
            w, state = carry
            updates, state = optimizer.update(jax.grad(loss)(w, wrong, key), state)
            return (optax.apply_updates(w, updates), state), None

        keys = jax.random.split(key, STEPS)
        return jax.lax.scan(body, (w, optimizer.init(w)), keys)[0][0]

    return train


def _uniform(key, count: int, low, high):
    ends = {"minval": low[None], "maxval": high[None]}
    return jax.random.uniform(key, (count, low.size), float, **ends)


def _faces(key, count: int, low, high):
    """States on the 2n faces of the box, in turn."""
    z, k = _uniform(key, count, low, high), np.arange(count)
    axis = k % low.size
    ends = np.where(k // low.size % 2, high[axis], low[axis])
    return z.at[k, axis].set(ends)


def _fed(outcome: Outcome, wrong, key):
    """Half of the states that were wrong, and new ones: where the claim failed."""
    new, n = KEPT // 2, wrong.shape[1]
    first, second = jax.random.split(key)
    if outcome.counterexample is not None:
        z = np.tile(outcome.counterexample[0], (new, 1))
    else:
        lo, hi = outcome.open
        chosen = jax.random.randint(first, (new,), 0, lo.shape[1])
        z = ((lo + hi) / 2).T[np.asarray(chosen)]
    near = z + 0.03 * jax.random.normal(second, (new, n))
    return jnp.concatenate([near, wrong[:new]])


def _in_units(outcome: Outcome, centre, scale) -> Outcome:
    """The outcome in the units of y, of one in those of ζ."""
    turn = lambda z: centre + scale * z if z.ndim == 1 else (centre + scale * z.T).T
    both = lambda pair: None if pair is None else (turn(pair[0]), turn(pair[1]))
    point, worst = outcome.counterexample, outcome.worst
    return outcome._replace(
        counterexample=None if point is None else (turn(point[0]), point[1]),
        worst=None if worst is None else (turn(worst[0]), turn(worst[1]), worst[2]),
        open=both(outcome.open),
        closed=both(outcome.closed),
    )


__all__ = ["Basin", "Feedback", "LearnedV", "learn"]
