"""Lyapunov exponents of anything that steps, with errors one can trust and checks.

    λ_j = lim (1/t) Σ ln R_jj,   Q₊R = ∂φ·Q

k tangents are carried by one derivative a step and made orthonormal again every few
steps; the logarithms of what that took add up. The error is from independent starts.
Blocks of one run would mislead: ln-growth is λt plus an end term that telescopes, so
that blocks are anti-correlated and their spread is too large.

A derivative knows infinitesimal separations only. So a neighbour at a distance δ runs
beside and is brought back to it each time: λ(δ) differs from λ₁ where the map jumps.

Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980) 9 and 21.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from dynax import _tree as tree
from dynax._check import check_positive, require
from dynax._display import concrete, with_error
from dynax._types import Scalar, ScalarLike
from dynax.dynamics import _checks as checks
from dynax.dynamics._checks import ERRORS
from dynax.dynamics._starts import (
    Plan,
    counted,
    from_each,
    length_of,
    planned,
    settled,
)
from dynax.dynamics._walk import (
    Row,
    Walker,
    begin,
    flat,
    neighbours,
    orthonormal,
    standard_error,
    walk,
)
from dynax.dynamics.dimension import kaplan_yorke
from dynax.dynamics.steps import FlowStep, divergence
from dynax.lyapunov import Verdict


LONG = 50  # how many times 1/λ₁ a run should last


class Walked(NamedTuple):
    """What all starts did: a walker and a δ of each, and a row of each block.

    `speeds` are ln‖f‖ at both ends, where it is known, and `size` is that of a state.
    `span` is the time that a block of `every` steps lasts.
    """

    end: Walker
    rows: Row
    delta: Float[Array, " starts"]
    speeds: tuple[Scalar | None, Scalar | None]
    size: Float[Array, " starts"]
    moving: Bool[Array, " starts"]
    every: Int[Array, ""]
    span: Scalar


class Spectrum(NamedTuple):
    """The exponents in falling order, what they rest on, and what checks them.

    Attributes:
        value: λ_j, per unit of time; −∞ where a tangent vanishes.
        error: their standard errors, from how the starts differ. Of one start they are
            from four blocks of its run, an upper estimate.
        each: the exponents of each start.
        parting: λ(δ) of each start, the growth of a separation of size δ.
        separation: δ.
        divergence: the mean of tr ∂f along each run, where the step knows its field.
        neutral: the growth of f itself along each run, which is that of a zero
            exponent; likewise.
        series: the mean of the exponents after each block.
        duration: how long each run lasted, in units of time.
        moving: whether a start still moved at the end.
        failed: the first block after which a state, or a tangent, was not finite; −1.
        walked: the walkers at the end and what each block did, with which `resume`
            goes on.
    """

    value: Float[Array, " k"]
    error: Float[Array, " k"]
    each: Float[Array, "starts k"]
    parting: Float[Array, " starts"]
    separation: Scalar
    divergence: Float[Array, " starts"] | None
    neutral: Float[Array, " starts"] | None
    series: Float[Array, "blocks k"]
    duration: Scalar
    moving: Bool[Array, " starts"]
    failed: Int[Array, ""]
    walked: "Walked"

    @property
    def dimension(self) -> Scalar:
        """The Kaplan–Yorke dimension; k where the computed exponents do not show it.

        An exponent within four errors of 0 counts as 0.
        """
        small = jnp.abs(self.value) <= ERRORS * self.error
        return kaplan_yorke(jnp.where(small, 0, self.value))

    @property
    def status(self) -> Literal["chaotic", "stable", "neutral", "undecided"]:
        """The sign of λ₁, if a run of this length shows it.

        Four errors must not reach 0, λ(δ) of every start must have that sign too, and
        |λ₁| times the duration must exceed ln(steps): along a neutral direction
        tangents may grow like the number of steps. `neutral`: λ₁ is within four errors
        of 0 and so small that its run shows no growth.
        """
        value, error = float(self.value[0]), ERRORS * float(self.error[0])
        if int(self.failed) >= 0 or not math.isfinite(error):
            return "undecided"
        seen = abs(value) * float(self.duration) > math.log(len(self.series))
        if seen and value > error and np.all(self.parting > 0):
            return "chaotic"
        if seen and value < -error and np.all(self.parting < 0):
            return "stable"
        return "neutral" if abs(value) <= error and not seen else "undecided"

    def verdicts(
        self, *, zeros: int | None = None, pairs: bool = False
    ) -> dict[str, Verdict]:
        """Judge what must be true of the exponents.

        Args:
            zeros: how many vanish by symmetry; 1 for a flow that knows its field.
            pairs: whether λ_i = −λ_{n+1−i}, as for a Hamiltonian flow.
        """
        found = {"smooth": checks.smooth(self)}
        # all exponents are there: as many as a tangent has entries
        if (
            self.divergence is not None
            and self.value.size == self.walked.end.tangents.shape[-1]
        ):
            found["sum"] = checks.total(self)
        zeros = (0 if self.neutral is None else 1) if zeros is None else zeros
        if zeros:
            found["zeros"] = checks.zeros(self, zeros)
        if pairs:
            found["pairs"] = checks.pairs(self)
        return found

    def remarks(self) -> list[str]:
        """Say in sentences what a reader of the numbers must know."""
        out = []
        if int(self.failed) >= 0:
            out.append(
                f"A number was not finite after block {int(self.failed)}: make smaller "
                "steps, or set a smaller `every`."
            )
            return out
        largest, total = float(self.value[0]), float(self.duration) * len(self.each)
        if not np.any(self.moving):
            out.append(
                "All starts end on a fixed point: these are exponents of the point."
            )
        if self.status == "neutral":
            out.append("The largest exponent is 0 within its errors: not chaotic.")
        if largest > 0 and total < LONG / largest:
            out.append(
                f"The runs last {total:.3g} in all, shorter than {LONG}/λ₁ = "
                f"{LONG / largest:.3g}."
            )
        if len(self.each) == 1:
            out.append("The errors are from blocks of one run: an upper estimate.")
        return out

    def __str__(self) -> str:
        if np.ndim(self.value) != 1 or not concrete(self.value):
            return f"Spectrum of exponents of shape {np.shape(self.value)}"
        text = "λ = " + " ".join(map(with_error, self.value, self.error))
        verdicts = self.verdicts()
        if "sum" in verdicts and self.divergence is not None:
            sums = float(np.sum(self.value)), float(np.mean(self.divergence))
            sign = "=" if verdicts["sum"].status == "holds" else "≠"
            text += f"; Σ {sums[0]:.4f} {sign} mean divergence {sums[1]:.4f}"
        text += f"; D_KY {float(self.dimension):.3f}"
        smooth = verdicts["smooth"]
        at = f"δ = {float(self.separation):.0e}"
        answer = {"holds": "yes", "violated": "no"}.get(smooth.status, "undecided")
        text += f"; smooth at {at}: {answer}"
        if smooth.status == "violated":
            each = np.asarray(self.parting)
            text += f", there λ₁ = {with_error(each.mean(), standard_error(each))}"
        return "\n".join([text, *self.remarks()])

    __repr__ = __str__


def spectrum(
    step: Callable[[PyTree], PyTree],
    y: PyTree,
    key: PRNGKeyArray,
    *,
    steps: int,
    count: int | None = None,
    every: int = 10,
    time: ScalarLike | None = None,
    starts: int | None = 16,
    spread: ScalarLike = 0.01,
    discard: int | None = None,
    separation: ScalarLike | None = None,
) -> Spectrum:
    """Compute the Lyapunov exponents of y ↦ step(y).

    Args:
        step: one step of a map, or of a flow (`rk4`, `solver_step`).
        y: a start. Floating-point arrays are coordinates, others (a counter) are
            carried along. With `starts=None` its arrays lead by the start.
        key: of the random first tangents and the displacements of the starts.
        steps: the steps that count, over all starts.
        count: how many exponents; all if not given.
        every: steps between two renormalisations.
        time: what one step lasts; that of the flow's step, or 1, if not given.
        starts: how many independent starts: states at random times of a first run of
            `discard` steps.
        spread: how far they are moved, as a share of the way to another of them.
        discard: steps of each start before those that count, while the states come
            near the attractor and the tangents turn; as many as count if not given.
        separation: δ of the neighbour; √u times the size of the state if not given.

    Raises:
        ValueError: an argument out of range; or a step that does not keep the
            structure of its state.
    """
    if separation is not None:
        check_positive(separation=separation)
        separation = jnp.asarray(separation)
    y = tree.map(jnp.asarray, y)
    plan = planned(step, y, steps, every, starts, discard, spread)
    count = counted(count, y, 1 if plan.drawn else plan.runs)
    span, spread = length_of(step, time) * every, jnp.asarray(spread)
    return _folded(_first(step, y, key, plan, count, spread, separation, span))


def resume(
    step: Callable[[PyTree], PyTree], found: Spectrum, *, steps: int
) -> Spectrum:
    """Go on with the runs of a spectrum, as one longer run would.

    Args:
        step: as before.
        found: what `spectrum`, or this function, returned. It may come from a file.
        steps: more steps that count, over all starts.

    Raises:
        ValueError: steps are not a multiple of every × starts.
    """
    runs, every = len(found.each), int(found.walked.every)
    whole = steps >= 1 and steps % (every * runs) == 0
    require(whole, "steps", steps, f"a multiple of every × starts = {every * runs}")
    plan = Plan(runs, steps // (every * runs), every, 0, False)
    return _folded(_further(step, found.walked, plan))


@eqx.filter_jit
def _first(step, y, key, plan: Plan, count: int, spread, separation, span):
    def run(y, key):
        first = jnp.max(jnp.abs(flat(y)[0]))
        walker = settled(step, begin(y, key, count), plan)
        z, _ = flat(walker.y)
        delta = default_separation(z) if separation is None else separation
        delta = tree.cast(delta, z.dtype)
        size, before = jnp.maximum(jnp.max(jnp.abs(z)), first), _speed(step, walker.y)
        walker = neighbours(walker, delta[None])
        return _onwards(step, walker, delta, size, before, plan)

    walked = from_each(run, step, y, key, plan, spread)
    span = tree.cast(span, walked.rows.grown.dtype)
    return walked._replace(every=jnp.asarray(plan.every), span=span)


@eqx.filter_jit
def _further(step, walked: Walked, plan: Plan) -> Walked:
    def go(walker, delta, size, before):
        return _onwards(step, walker, delta, size, before, plan)

    more = jax.vmap(go)(walked.end, walked.delta, walked.size, walked.speeds[0])
    join = lambda a, b: jnp.concatenate([a, b], axis=1)
    rows = tree.map(join, walked.rows, more.rows)
    return more._replace(rows=rows, every=walked.every, span=walked.span)


def _onwards(step, walker: Walker, delta, size, before, plan: Plan) -> Walked:
    """The blocks of one start."""
    known = isinstance(step, FlowStep)
    observe = (lambda y: divergence(step, y)) if known else lambda y: None
    end, rows = walk(step, walker, delta[None], plan, observe=observe)
    last, moved = flat(end.y)[0], flat(step(end.y))[0]
    small = 4 * jnp.finfo(last.dtype).eps * size
    moving = jnp.max(jnp.abs(moved - last)) > small
    none = jnp.zeros((), int), jnp.zeros(())
    return Walked(end, rows, delta, (before, _speed(step, end.y)), size, moving, *none)


def _speed(step: Callable, state: PyTree) -> Scalar | None:
    """ln‖f‖, where a field is known that does not depend on time."""
    if isinstance(step, FlowStep) and not step.driven:
        return jnp.log(jnp.linalg.norm(flat(step.velocity(state))[0]))


@eqx.filter_jit
def _folded(walked: Walked) -> Spectrum:
    rows, span, (before, after) = walked.rows, walked.span, walked.speeds
    runs, blocks = rows.parted.shape[:2]
    duration = span * blocks
    each = jnp.mean(rows.grown, axis=1) / span
    series = jnp.cumsum(jnp.mean(rows.grown, axis=0), axis=0)
    counts = jnp.arange(1, blocks + 1, dtype=series.dtype)
    # a tangent may vanish, but not grow past all numbers
    wild = jnp.isnan(rows.grown) | (rows.grown == jnp.inf)
    bad = jnp.any(~rows.finite | jnp.any(wild, axis=2), axis=0)
    one = runs == 1
    return Spectrum(
        value=jnp.mean(each, axis=0),
        error=_of_blocks(rows.grown[0] / span) if one else standard_error(each),
        each=each,
        parting=jnp.mean(rows.parted[:, :, 0], axis=1) / span,
        separation=jnp.mean(walked.delta),
        divergence=None if rows.seen is None else jnp.mean(rows.seen, axis=1),
        neutral=None if before is None else tree.sub(after, before) / duration,
        series=series / (span * counts)[:, None],
        duration=duration,
        moving=walked.moving,
        failed=jnp.where(jnp.any(bad), jnp.argmax(bad), -1),
        walked=walked,
    )


def default_separation(z: Float[Array, " n"]) -> Scalar:
    """√u times the size of a state, or √u at 0."""
    _, size = orthonormal(z[None])
    return jnp.finfo(z.dtype).eps ** 0.5 * tree.safe_denominator(size[0, 0])


def _of_blocks(rates: Float[Array, "blocks k"]) -> Float[Array, " k"]:
    """The error of a mean from four long blocks; ∞ of fewer rows."""
    fourth = len(rates) // 4
    if not fourth:
        return jnp.full(rates.shape[1], jnp.inf, rates.dtype)
    return standard_error(jnp.mean(rates[: 4 * fourth].reshape(4, fourth, -1), axis=1))
