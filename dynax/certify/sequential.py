"""Decrease in expectation, judged while noisy training runs, whenever one looks.

After step k is fixed, a *fresh* batch is drawn and X = f_i(x₊) − f_i(x) + (the rest of
ΔH) + (the decrease claimed) is measured on each of its examples, so that E[X | past] is
the drift less the claim. The batch that made the step is biased, it says "falls" for
ever; it has no place here.

Two e-processes, each below 1/α′ for ever with probability 1 − α′ (Ville), α′ = α/2:

    alarm   rejects "the expected change is at most the claim at every audit"
    fall    rejects "the running mean of expected changes is at least the claim"

What they are depends on what is assumed of the noise, see `dynax.certify.assumptions`.
Bets are made on examples, not on means of a batch: the bound does not shrink with the
batch, the variance does. Means are of X/c, with the c that was known at each audit.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from dynax._check import check_parameter, require
from dynax.certify._verdict import judged
from dynax.certify._watch import FIRST, watched
from dynax.certify.assumptions import GRID, AbstractAssumption, Evidence, mixture
from dynax.flow import AbstractOptimizer
from dynax.lyapunov import NEVER, Status, Verdict


MEMORY = 100  # audits over which the scale of X is remembered
SKEWED, FEW = 1.0, 30  # a skewness that is told, from so many examples on
WRONG_BATCH = (
    "the fresh batch has the gradient that made the step: it is the training batch"
)


class Sequential(eqx.Module):
    """A test of decrease in expectation that may be stopped at any time.

    `init`, `update` and `verdict` judge any stream of changes. `watch` puts the test
    around an optax transformation, and `dx.as_optax(opt, lr, audit=test)` around an
    optimizer of dynax, whose H is judged where it has one.

    Args:
        assuming: `Bounded`, `Clipped`, `Variance`, `Symmetric` or `Asymptotic`.
        alpha: the chance of a wrong verdict, in (0, 1), whenever one looks.
        losses: (x, batch) → f_i(x), one number an example.
        batches: key → a batch that nothing else has seen. None where a loop hands it
            over: `tx.update(grads, state, params, fresh=batch)`.
        every: audit one step in so many; the others cost nothing.
        decrease: (x, x₊) → the decrease that is claimed, 0 by default.
        seed: of the keys that `batches` gets.
    """

    assuming: AbstractAssumption
    alpha: float = eqx.field(default=0.05, static=True)
    losses: Callable | None = eqx.field(default=None, static=True)
    batches: Callable | None = eqx.field(default=None, static=True)
    every: int = eqx.field(default=1, static=True)
    decrease: Callable | None = eqx.field(default=None, static=True)
    seed: int = eqx.field(default=0, static=True)

    def __check_init__(self):
        inside = lambda alpha: 0 < alpha < 1
        check_parameter("alpha", self.alpha, inside, "a number in (0, 1)")
        require(
            isinstance(self.assuming, AbstractAssumption),
            "assuming",
            type(self.assuming).__name__,
            "Bounded(…), Clipped(), Variance(…), Symmetric() or Asymptotic(…)",
        )
        whole = isinstance(self.every, int) and self.every >= 1
        require(whole, "every", self.every, "a whole number of at least 1")

    def init(self) -> Evidence:
        """No evidence."""
        count, never = (
            lambda: jnp.zeros((), jnp.int32),
            lambda: jnp.asarray(NEVER, jnp.int32),
        )
        none, zero = lambda: jnp.zeros(GRID), lambda: jnp.zeros(())
        make = {"audits": count, "examples": count, "same": count}
        make |= dict.fromkeys(("alarm", "fall", "doubt"), none)
        make |= dict.fromkeys(("alarmed", "fell", "broken"), never)
        # a buffer each, so that a loop may give them away
        return Evidence(*(make.get(name, zero)() for name in Evidence._fields))

    def update(
        self, evidence: Evidence, changes: Float[Array, " n"], bound=None, rounding=0.0
    ) -> Evidence:
        """The evidence after one audit.

        Args:
            changes: X of each example of a fresh batch.
            bound: c > 0 in the units of X, known before the batch was drawn; of
                `Bounded` and `Variance` only.
            rounding: how far round-off may have moved the X, in the mean.

        Raises:
            ValueError: a bound that is missing, or not positive.
        """
        if jnp.ndim(changes) != 1:
            given = f"shape {jnp.shape(changes)}"
            require(False, "changes", given, "a vector, one number an example")
        wide = lambda value: jnp.asarray(value).astype(evidence.total.dtype)
        raw = wide(changes)
        times = self.assuming.times
        if times is None:
            require(bound is not None, "bound", None, "c > 0, known before the batch")
            known: Any = bound
            check_parameter("bound", known, lambda c: c > 0, "c > 0", finite=False)
            unit = wide(known)
        else:
            unit = times * evidence.scale
        safe = jnp.where(unit > 0, unit, 1)
        slack = wide(rounding) / safe + 8 * jnp.finfo(raw.dtype).eps
        x = raw / safe
        wrong = ~jnp.all(jnp.abs(x) <= self.assuming.limit + slack)
        wrong = wrong | ~jnp.all(jnp.isfinite(raw))
        if times is None:  # no step, no change: c = 0 is no contradiction then
            sound = (unit > 0) & jnp.isfinite(unit)
            wrong = wrong | ~(sound | jnp.all(raw == 0))
        usable = ~wrong & (unit > 0) & (evidence.broken == NEVER)
        top = self.assuming.clip
        x = jnp.where(usable, jnp.clip(x, -top, top), 0)
        old, n = evidence, evidence.examples
        expected = old.total / jnp.maximum(n, 1).astype(x.dtype)
        alarm, fall, doubt = self.assuming.bets(x, expected)
        new = old._replace(
            examples=n + x.size,
            alarm=old.alarm + alarm,
            fall=old.fall + fall,
            doubt=old.doubt + doubt,
            total=old.total + jnp.sum(x),
            squares=old.squares + jnp.sum(x**2),
            cubes=old.cubes + jnp.sum(x**3),
            rounding=old.rounding + wide(x.size) * wide(rounding) / safe,
        )
        new = jax.tree.map(lambda a, b: jnp.where(usable, a, b), new, old)
        size = _root_mean_square(jnp.where(jnp.isfinite(raw), raw, 0))
        past = jnp.minimum(old.audits, MEMORY).astype(size.dtype)
        scale = _root_mean_square(jnp.stack([old.scale, size]), jnp.stack([past, 1]))
        now = old.audits + 1
        broken = jnp.minimum(old.broken, jnp.where(wrong, now, NEVER))
        return self._flag(new._replace(audits=now, scale=scale, broken=broken))

    def merge(self, a: Evidence, b: Evidence) -> Evidence:
        """The evidence of two streams of independent examples, as of two devices.

        It is weighed anew: what one of them had established alone is forgotten, or else
        each device would take its own chance of being wrong.
        """
        n = jnp.stack([a.audits, b.audits]).astype(a.scale.dtype)
        weights = jnp.where(jnp.sum(n) > 0, n, 1)
        both = jax.tree.map(jnp.add, a, b)._replace(
            audits=jnp.maximum(a.audits, b.audits),
            scale=_root_mean_square(jnp.stack([a.scale, b.scale]), weights),
            same=jnp.maximum(a.same, b.same),
            broken=jnp.minimum(a.broken, b.broken),
            **dict.fromkeys(("alarmed", "fell"), jnp.full_like(a.fell, NEVER)),
        )
        return self._flag(both)

    def _flag(self, e: Evidence) -> Evidence:
        """Write down what is established, and after how many audits."""
        rise, fall = self.assuming.weigh(e, self.alpha / 2)
        flags = {"alarmed": rise, "fell": fall, "broken": mixture(e.doubt)}
        limit = np.log(2 / self.alpha)
        first = lambda name, found: jnp.minimum(
            getattr(e, name), jnp.where(found >= limit, e.audits, NEVER)
        )
        return e._replace(**{k: first(k, found) for k, found in flags.items()})

    def upper(self, evidence: Evidence) -> Array:
        """Find the upper end of the confidence sequence of the running mean.

        The mean is that of E[X | past]/c. It is below the end at all times at once with
        probability 1 − α/2; +∞ where nothing is known.
        """
        dtype, limit = evidence.total.dtype, np.log(2 / self.alpha)
        mean = evidence.total / jnp.maximum(evidence.examples, 1).astype(dtype)
        short = lambda gap: (
            self.assuming.below(evidence, self.alpha / 2, mean + gap) < limit
        )

        def halve(_, ends):
            low, high = ends
            middle = jnp.sqrt(low * high)
            far = short(middle)
            return jnp.where(far, middle, low), jnp.where(far, high, middle)

        ends = jnp.asarray(1e-12, dtype), jnp.asarray(1e12, dtype)
        gap = jax.lax.fori_loop(0, 50, halve, ends)[1]
        return jnp.where(short(gap), jnp.inf, mean + gap)

    def verdict(self, evidence, claim: str = "it falls in expectation") -> Verdict:
        """Judge the evidence: `violated`, `holds` or `undecided`.

        `holds` speaks of the mean of the expected changes up to that audit.

        Args:
            evidence: or the state of an optax transformation that has it.
            claim: what was judged, in words.
        """
        if not isinstance(evidence, Evidence):
            evidence = optax.tree.get(evidence, "evidence")
            require(evidence is not None, "evidence", "a state without it", "one of tx")
        e = jax.device_get(evidence)
        n = max(int(e.examples), 1)
        status, reason = self._status(e)
        skew = skewness(e)
        doubt = ()
        if self.assuming.doubtful and n > FEW and abs(skew) > SKEWED:
            told = f"the sample is skewed ({skew:+.1f}), which speaks against "
            told += f"{self.assuming.doubtful}: do not rely on it"
            reason, doubt = f"{reason}; {told}", (told,)
        rise, fall = (
            float(np.exp(min(float(logs), 700.0)))
            for logs in self.assuming.weigh(e, self.alpha / 2)
        )
        worst = {
            "mean change, in bounds": float(e.total) / n,
            "evidence of a rise": rise,
            "evidence of a fall": fall,
        }
        fresh = "each audit draws a fresh batch, by chance and from the same source"
        return judged(
            "sequential",
            status,
            claim,
            reason,
            int(e.audits),
            worst=worst,
            assumes=(self.assuming.sentence, fresh, *doubt),
            origin=f"Ville's inequality at {self.alpha:g}",
        )

    def _status(self, e: Evidence) -> tuple[Status, str]:
        found: tuple[Status, str] = "undecided", "the noise hides the drift so far"
        if e.alarmed < NEVER:
            found = "violated", f"rejected after {e.alarmed} audits"
        elif e.fell < NEVER:
            found = "holds", f"established after {e.fell} audits"
        before = "" if found[0] == "undecided" else f"; else {found[0]}, {found[1]}"
        if e.same >= FIRST:
            return "undecided", WRONG_BATCH + before
        if e.broken < NEVER:
            broken = f"what is assumed was broken at audit {e.broken}"
            return "undecided", broken + before
        if e.examples and abs(e.total) <= e.rounding:
            blind = "the mean change is within the rounding of the losses"
            return "undecided", blind + before
        return found

    def watch(
        self,
        tx: optax.GradientTransformation,
        *,
        claim: AbstractOptimizer | None = None,
        learning_rate: Any = None,
        read: Callable[[Any], Any] = lambda state: state,
    ) -> optax.GradientTransformationExtraArgs:
        """An optax transformation whose expected decrease is judged as it trains.

        Args:
            tx: any optax transformation.
            claim: the optimizer of dynax whose H is judged; f where there is none.
            learning_rate: of `claim`, a number or a schedule.
            read: state of `tx` → state of `claim`.

        Returns:
            The same updates. `test.verdict(state)` judges what its state has seen.
        """
        return watched(self, tx, claim, learning_rate, read)


def skewness(e: Evidence) -> float:
    """The third moment about the mean over the variance to the power 3/2."""
    n = max(float(e.examples), 1.0)
    mean, second, third = (float(s) / n for s in (e.total, e.squares, e.cubes))
    variance = max(second - mean**2, 1e-200)
    return (third - 3 * mean * second + 2 * mean**3) / variance**1.5


def _root_mean_square(a, weights=None) -> Array:
    """√(Σwa²/Σw), whose squares do not underflow."""
    top = jnp.max(jnp.abs(a))
    weights = jnp.ones_like(a) if weights is None else weights
    share = jnp.sum(weights * (a / jnp.where(top > 0, top, 1)) ** 2)
    return top * jnp.sqrt(share / jnp.sum(weights))


__all__ = ["Sequential"]
