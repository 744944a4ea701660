"""Decrease in expectation, judged while noisy training runs, whenever one looks.

After step k is fixed, a *fresh* batch is drawn and X = f_i(x₊) − f_i(x) − claimed is
measured on each of its examples, so that E[X | past] is the drift less the claim. The
batch that made the step is biased, it says "falls" for ever; it has no place here.

Two e-processes, mixtures over a grid of λ, each below 1/α′ for ever with probability
1 − α′ (Ville), α′ = α/2:

    alarm   rejects "the expected change is at most the claim at every audit"
    fall    rejects "the running mean of expected changes is at least the claim"

x is X in units of the bound that was known before the batch was drawn. Increments of
the logarithms:

    Bounded     |x| ≤ 1       log(1 + λx)        −λx/2 − ψ(λ)((x − p)/2)²
    Variance    E[x²] ≤ 1     φ(λx) − λ²/2       φ(−λx) − λ²/2
    Symmetric   x symmetric   λx − λ²x²/2        −λx − λ²x²/2

with ψ(λ) = −log(1 − λ) − λ, p a prediction from the past, and Catoni's
φ(u) = ±log(1 ± u + u²/2). Bets are made on examples, not on means of a batch: the bound
does not shrink with the batch, the variance does.

Source: Waudby-Smith, Ramdas, JRSS B 2024 (betting); Howard, Ramdas, McAuliffe, Sekhon,
Annals of Statistics 2021 (empirical Bernstein); Wang, Ramdas, SPA 2023 (Catoni).
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from dynax._check import check_parameter
from dynax.certify._verdict import judged
from dynax.lyapunov import NEVER, Status, Verdict


GRID = 16


class AbstractAssumption(eqx.Module):
    """What is taken for granted of the noise, and the bets that follow from it."""

    sentence: eqx.AbstractClassVar[str]
    most: eqx.AbstractClassVar[float]

    @property
    def grid(self) -> Float[Array, " grid"]:
        """The λ of the mixture, from a thousandth to the most that is sound."""
        return jnp.geomspace(1e-3, self.most, GRID)

    @abc.abstractmethod
    def bets(self, x, expected, bet) -> tuple[Array, Array]:
        """Increments of both logarithms for values x, a prediction, and λ = bet."""

    @abc.abstractmethod
    def broken(self, x) -> Array:
        """Whether the data contradict the assumption."""


class Bounded(AbstractAssumption):
    """|X| ≤ c for every example, c known before the batch is drawn."""

    sentence: ClassVar[str] = "no example changes by more than the bound c given"
    most: ClassVar[float] = 0.9

    def bets(self, x, expected, bet):
        psi = -jnp.log1p(-bet) - bet
        fall = -bet * x / 2 - psi * ((x - expected) / 2) ** 2
        return jnp.log1p(bet * x), fall

    def broken(self, x):
        return jnp.any(jnp.abs(x) > 1)


class Variance(AbstractAssumption):
    """E[X² | past] ≤ c², c known before the batch is drawn; heavy tails are allowed."""

    sentence: ClassVar[str] = "the mean square of a change is at most c², c as given"
    most: ClassVar[float] = 1.0

    def bets(self, x, expected, bet):
        del expected
        return _catoni(bet * x) - bet**2 / 2, _catoni(-bet * x) - bet**2 / 2

    def broken(self, x):
        return ~jnp.all(jnp.isfinite(x))


class Symmetric(AbstractAssumption):
    """X − E[X | past] is symmetric; c is any scale known before the batch is drawn.

    A skewed sample breaks it, so the verdict warns where the third moment is large.
    """

    sentence: ClassVar[str] = "the noise is symmetric, which data cannot confirm"
    most: ClassVar[float] = 1.0

    def bets(self, x, expected, bet):
        del expected
        return bet * x - (bet * x) ** 2 / 2, -bet * x - (bet * x) ** 2 / 2

    def broken(self, x):
        return ~jnp.all(jnp.isfinite(x))


def _catoni(u):
    return jnp.sign(u) * jnp.log1p(jnp.abs(u) + u**2 / 2)


class Evidence(NamedTuple):
    """What was learnt so far: O(1) numbers, carried through `scan` and checkpoints."""

    audits: Int[Array, ""]
    examples: Int[Array, ""]
    alarm: Float[Array, " grid"]
    fall: Float[Array, " grid"]
    total: Float[Array, ""]
    squares: Float[Array, ""]
    cubes: Float[Array, ""]
    alarmed: Int[Array, ""]
    fell: Int[Array, ""]
    broken: Int[Array, ""]


class Sequential(eqx.Module):
    """A test of decrease in expectation that may be stopped at any time.

    Args:
        alpha: the chance of a wrong verdict, in (0, 1), whenever one looks.
        assuming: `Bounded`, `Variance` or `Symmetric`.
    """

    alpha: float = eqx.field(default=0.05, static=True)
    assuming: AbstractAssumption = Bounded()

    def __check_init__(self):
        inside = lambda alpha: 0 < alpha < 1
        check_parameter("alpha", self.alpha, inside, "a number in (0, 1)")

    def init(self) -> Evidence:
        """No evidence."""
        none, zero = jnp.zeros(GRID), jnp.zeros(())
        count, never = jnp.zeros((), jnp.int32), jnp.asarray(NEVER, jnp.int32)
        return Evidence(count, count, none, none, zero, zero, zero, never, never, never)

    def update(
        self, evidence: Evidence, changes: Float[Array, " n"], bound
    ) -> Evidence:
        """The evidence after one audit.

        Args:
            changes: X of each example of a fresh batch.
            bound: c > 0, in the units of X, known before the batch was drawn.
        """
        wide = lambda value: jnp.asarray(value).astype(evidence.total.dtype)
        x, seen = wide(changes) / wide(bound), evidence.examples
        expected = evidence.total / wide(jnp.maximum(seen, 1))
        bets = lambda bet: self.assuming.bets(x, expected, bet)
        alarm, fall = jax.vmap(lambda bet: jax.tree.map(jnp.sum, bets(bet)))(
            wide(self.assuming.grid)
        )
        alarm, fall = evidence.alarm + alarm, evidence.fall + fall
        limit, now = np.log(2 / self.alpha), evidence.audits
        first = lambda before, flag: jnp.minimum(before, jnp.where(flag, now, NEVER))
        return Evidence(
            now + 1,
            seen + x.size,
            alarm,
            fall,
            evidence.total + jnp.sum(x),
            evidence.squares + jnp.sum(x**2),
            evidence.cubes + jnp.sum(x**3),
            first(evidence.alarmed, _mixture(alarm) >= limit),
            first(evidence.fell, _mixture(fall) >= limit),
            first(evidence.broken, self.assuming.broken(x)),
        )

    def verdict(
        self, evidence: Evidence, claim: str = "f falls in expectation"
    ) -> Verdict:
        """Judge the evidence: `violated`, `holds` or `undecided`.

        `holds` speaks of the mean of the expected changes up to that audit.
        """
        e = jax.device_get(evidence)
        alarmed, fell, broken = int(e.alarmed), int(e.fell), int(e.broken)
        assumes = (self.assuming.sentence, "each audit draws a fresh batch")
        status: Status = "undecided"
        reason = "the noise hides the drift so far"
        if broken < min(alarmed, fell):
            reason = f"what is assumed was broken at audit {broken}"
        elif alarmed < NEVER:
            status, reason = "violated", f"rejected at audit {alarmed}"
        elif fell < NEVER:
            status, reason = "holds", f"established at audit {fell}"
        if isinstance(self.assuming, Symmetric) and e.examples > 30:
            skew = e.cubes / e.examples / (e.squares / e.examples + 1e-300) ** 1.5
            if abs(skew) > 1:
                reason += f"; the sample is skewed ({skew:+.1f}), do not rely on it"
        worst = {
            "mean change, in bounds": float(e.total / max(int(e.examples), 1)),
            "evidence of a rise": float(np.exp(min(_mixture(e.alarm), 700))),
            "evidence of a fall": float(np.exp(min(_mixture(e.fall), 700))),
        }
        return judged(
            "sequential",
            status,
            claim,
            reason,
            int(e.audits),
            worst=worst,
            assumes=assumes,
            origin=f"Ville's inequality at {self.alpha:g}",
        )


def _mixture(logs):
    """log of the mean of the grid's e-processes."""
    return jax.nn.logsumexp(jnp.asarray(logs)) - np.log(GRID)


def merge(a: Evidence, b: Evidence) -> Evidence:
    """The evidence of two streams of independent examples, as of two devices."""
    sums = jax.tree.map(jnp.add, a, b)
    early = {
        name: jnp.minimum(getattr(a, name), getattr(b, name))
        for name in ("alarmed", "fell", "broken")
    }
    return sums._replace(audits=jnp.maximum(a.audits, b.audits), **early)


class WatchState(NamedTuple):
    """The state of the method within, the evidence, and the count of steps."""

    inner: Any
    evidence: Evidence
    step: Int[Array, ""]


def watch(
    method: optax.GradientTransformation,
    sequential: Sequential,
    changes: Callable,
    bound: Callable,
    every: int = 1,
) -> optax.GradientTransformationExtraArgs:
    """An optax transformation whose expected decrease is judged as it trains.

    Args:
        method: any optax transformation.
        sequential: the test.
        changes: (step, x, x₊) → X of each example of a batch that is fresh at `step`,
            so it must not be the batch that makes step `step`.
        bound: (step, x, x₊) → c, which may not look at the fresh batch.
        every: audit one step in so many; the others cost nothing.

    Returns:
        A transformation; `optax.tree.get(state, "evidence")` has the evidence.
    """
    check_parameter("every", every, lambda n: n >= 1, "a whole number of at least 1")
    inner = optax.with_extra_args_support(method)

    def init(params):
        return WatchState(
            inner.init(params), sequential.init(), jnp.zeros((), jnp.int32)
        )

    def update(grads, state, params=None, **extra):
        if params is None:
            raise ValueError("params: given None; accepted are the parameters.")
        updates, within = inner.update(grads, state.inner, params, **extra)
        after = optax.apply_updates(params, updates)

        def audit(evidence):
            where = state.step, params, after
            return sequential.update(evidence, changes(*where), bound(*where))

        due = state.step % every == 0
        evidence = jax.lax.cond(due, audit, lambda e: e, state.evidence)
        return updates, WatchState(within, evidence, state.step + 1)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


__all__ = [
    "Bounded",
    "Evidence",
    "Sequential",
    "Symmetric",
    "Variance",
    "merge",
    "watch",
]
