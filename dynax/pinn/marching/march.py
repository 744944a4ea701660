"""March through time in windows that the march itself chooses."""

import dataclasses
import time
import warnings
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax._check import check_positive, require
from dynax.pinn.causal import AbstractScheme, Causal
from dynax.pinn.clock import Clock
from dynax.pinn.marching.ansatz import AbstractAnsatz
from dynax.pinn.marching.controller import AbstractController, Adaptive
from dynax.pinn.marching.defect import Carried, carried
from dynax.pinn.marching.window import Attempt, attempt


Status = Literal["reached", "time", "space", "budget", "callback"]
SPACE = 0.7  # the share of ρ² in missing modes from which shorter windows do not help
CROWDED = 3  # windows refused for that reason end a march that may have no more modes
ULPS = 20  # of the dtype: the least rtol


@dataclasses.dataclass(frozen=True)
class Tried:
    """A window that was tried.

    Args:
        t0, t1: its times.
        solved: ρ ≤ rtol, at times that no step has seen.
        residual: ρ, the estimated relative error of this window alone.
        share: of ρ² in the modes above K.
        cycles, modes: steps taken; K.
        error: the largest relative error in the window that the equation makes of all
            windows so far and of the start; NaN where it was not solved.
        seconds: of processor time.
    """

    t0: float
    t1: float
    solved: bool
    residual: float
    share: float
    cycles: int
    modes: int
    error: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Marched:
    """What came of a march.

    Args:
        solution: (t, x) → fields up to `reached`, NaN beyond.
        status: "reached" the end; else what stopped it: "time", windows too short;
            "space", too few modes; "budget" of seconds; "callback".
        reached: the end of the last solved window.
        tried: all windows, in the order they were tried.
        rtol: asked of each window.
        start: the relative error of the start, which the modes cut off.
        error: the largest ‖e(t)‖ at any time, the start too, in units of the root mean
            square of u over all times: of the worst field, estimated from the
            residuals.
    """

    solution: Callable
    status: Status
    reached: float
    tried: list[Tried]
    rtol: float
    start: float
    error: float

    @property
    def windows(self) -> list[Tried]:
        """Those that were solved."""
        return [w for w in self.tried if w.solved]

    @property
    def holds(self) -> bool:
        return self.status == "reached"

    @property
    def growth(self) -> float:
        """What the equation makes of an error: the last one over the sum of ρ."""
        made = self.start + sum(w.residual for w in self.windows)
        return self.windows[-1].error / made if self.windows and made > 0 else np.nan

    def __str__(self) -> str:
        head = "       t      Δ   K  cycles  of itself  accumulated"
        row = lambda w: (
            f"{w.t1:8.4g} {w.t1 - w.t0:6.2g} {w.modes:3d} {w.cycles:7d} "
            f"{w.residual:10.1e} {w.error:12.1e}"
        )
        every = self.windows
        shown = [row(w) for w in every]
        if len(shown) > 20:
            shown = [*shown[:9], f"     … {len(shown) - 18} more …", *shown[-9:]]
        return "\n".join([self.summary, head, *shown])

    @property
    def summary(self) -> str:
        """In one sentence."""
        good = self.windows
        text = {
            "reached": f"REACHED t = {self.reached:g}",
            "time": f"STOPPED at t = {self.reached:g}: windows became too short",
            "space": f"STOPPED at t = {self.reached:g}: more modes are needed in space",
            "budget": f"STOPPED at t = {self.reached:g}: the seconds are spent",
            "callback": f"STOPPED at t = {self.reached:g}: the callback asked for it",
        }[self.status]
        text += f" in {len(good)} windows of {len(self.tried)} tried, each off by "
        text += f"at most {self.rtol:g} alone"
        if good:
            text += f"; estimated error {self.error:.1e}, growth {self.growth:.2g}"
        return text


class SpectralSolution(eqx.Module):
    """u(t, x) of the windows of a march; NaN before the first and after the last.

    Args:
        ansatz: of the last window, which has the most modes.
        starts, until: times, (windows,), and the end of the last.
        begun: û at the start of each window.
        y: what was found in each.
    """

    ansatz: AbstractAnsatz
    starts: Array
    until: Array
    begun: Array
    y: Any

    def __call__(self, t, x):
        ends = jnp.concatenate([self.starts[1:], self.until[None]])
        slack = 8 * jnp.finfo(self.starts.dtype).eps * jnp.max(jnp.abs(ends))
        inside = (t >= self.starts[0] - slack) & (t <= self.until + slack)
        k = jnp.clip(jnp.searchsorted(self.starts, t, side="right") - 1, 0)
        y = jax.tree.map(lambda a: a[k], self.y)
        tau = (t - self.starts[k]) / (ends[k] - self.starts[k])
        u = self.ansatz.value(self.begun[k], y, tau, x)
        return jnp.where(inside, u, jnp.nan)


def march(
    ansatz: AbstractAnsatz,
    span: tuple[float, float],
    rtol: float,
    controller: AbstractController | None = None,
    *,
    initial: Callable | None = None,
    key=None,
    cycles: int = 40,
    most_modes: int | None = None,
    scheme: AbstractScheme | None = None,
    seconds: float | None = None,
    progress: Callable[[float, str], Any] = lambda share, text: None,
    callback: Callable[[Tried], Any] | None = None,
) -> Marched:
    """Solve an equation over a span of time, as a solver of ordinary equations does.

    Each window is solved by least squares until its residual, in the dual norm, is at
    most `rtol` at times that no step has seen. One that is not is tried again from the
    same state, shorter; one that is lets the next one be longer. Where modes that the
    ansatz does not have make most of the residual, it gets half as many again.

    Nothing is compiled anew from window to window, but for other modes.

    Args:
        ansatz: `networks.Spectral(pde, modes, time)` or
            `networks.Sampled(pde, network)`.
        span: (t₀, T).
        rtol: accepted of each window alone, as the relative error that it makes. What
            the equation makes of them together is `Marched.error`.
        controller: of the windows' lengths: `Adaptive()` unless given, or `Fixed(Δ)`.
        initial: x → fields at t₀; `pde.initial` unless given.
        key: of the random times.
        cycles: at most so many a window.
        most_modes: up to which modes are added; four times as many unless given.
        scheme: of the weights in time: `Causal()` unless given, or `Uniform()`.
        seconds: of processor time, after which no window is begun.
        progress: called as progress(share, text): where it is, the error that has
            come together, and the time left.
        callback: called with each window tried; what it returns, if true, ends the
            march.

    Raises:
        ValueError: `span` does not ascend; `rtol` is below what the dtype can hold; the
            start does not have the symmetry that the ansatz declares.

    Warns:
        RuntimeWarning: the modes cut more than `rtol` off the start.
    """
    dtype = jnp.result_type(float)
    t0, end = (float(t) for t in span)
    require(t0 < end < np.inf, "span", span, "(t₀, T) with t₀ < T, both finite")
    check_positive(rtol=rtol)
    least = ULPS * float(jnp.finfo(dtype).eps)
    require(rtol >= least, "rtol", rtol, f"{least:.1g} or more in {dtype.name}")
    key = jax.random.key(0) if key is None else key
    if initial is not None:
        ansatz.check(initial)
    controller = Adaptive() if controller is None else controller
    scheme = Causal() if scheme is None else scheme
    walk = _Walk(ansatz, initial or ansatz.pde.initial, rtol, dtype, most_modes)
    if walk.start > rtol:
        warnings.warn(
            f"modes: given {walk.ansatz.modes}, which cut {walk.start:.1e} off the "
            f"start; accepted without warning is no more than rtol = {rtol:g}.",
            RuntimeWarning,
            stacklevel=2,
        )
    length = controller.first(end - t0, walk.pace)
    begun, status, edge = time.process_time(), "reached", 1e-9 * (end - t0)
    clock = Clock()
    t, crowded = t0, 0
    while t < end - edge:
        if seconds is not None and time.process_time() - begun >= seconds:
            status = "budget"
            break
        share = (t - t0) / (end - t0)
        text = f"t = {t:.4g}, Δ = {length:.2g}, error about {walk.worst:.1e}"
        progress(share, text + clock.left(share))
        left = end - t
        now = left if length > left * (1 - 1e-9) else min(length, left)
        out = walk.tried(
            t, now, jax.random.fold_in(key, len(walk.rows)), scheme, cycles
        )
        if callback is not None and callback(out):
            t += now if out.solved else 0
            status = "reached" if t >= end - edge else "callback"
            break
        short = out.share > SPACE and out.residual > rtol / 3
        if out.solved:
            t += now
            ratio = (rtol / max(out.residual, 1e-3 * rtol)) ** (1 / ansatz.order)
            length = controller.accepted(now, out.cycles / cycles, ratio)
            crowded = crowded if short and not walk.grown() else 0
            continue
        if short and walk.grown():
            continue
        crowded += short
        length = controller.refused(now, end - t0)
        if length is None or crowded >= CROWDED:
            status = "space" if short else "time"
            break
    return walk.result(status, t, t0)


@eqx.filter_jit
def begun(ansatz: AbstractAnsatz, initial, dtype):
    """û of a start, what the modes cut off, and sizes: of û, its rate, and the cut."""
    space = ansatz.space
    full, off = space.sample(initial, dtype)
    state = space.unpack(space.pack(full))
    rms = lambda a: jnp.sqrt(jnp.sum(space.rows(a) ** 2, -1))
    cut = space.within(full - state)
    return state, cut, rms(state), rms(space.rate(state)), off


class _Walk:
    """Where a march is: its state, its error, and what it has found."""

    def __init__(self, ansatz, initial, rtol, dtype, most_modes):
        self.ansatz, self.rtol, self.dtype = ansatz, rtol, dtype
        self.initial, self.rows, self.found = initial, [], []
        modes = ansatz.modes
        self.most = 4 * modes if most_modes is None else most_modes
        self.steps = 2 * ansatz.order
        self.y, self.length = ansatz.init(jax.random.key(0), dtype), None
        self.largest = self.size = 0.0
        self._begin()

    def _begin(self):
        """From the equation's own start."""
        seen = begun(self.ansatz, eqx.Partial(self.initial), self.dtype)
        self.state, self.error, size, rate, cut = seen
        size, rate, cut = (np.asarray(a) for a in (size, rate, cut))
        size = np.hypot(size, cut)
        moving = (size > 0) & (rate > 0)
        pace = np.where(moving, size, np.inf) / np.where(moving, rate, 1)
        self.pace = float(np.min(pace))
        self.sizes = np.where(size > 0, size, size.max() or 1.0)
        self.start = float(np.max(cut / self.sizes))
        self.ansatz = self.ansatz.sized(jnp.asarray(self.sizes, self.dtype))

    @property
    def worst(self) -> float:
        """The error of the last window that was solved, or of the start."""
        return next((w.error for w in self.rows[::-1] if w.solved), self.start)

    def tried(self, t, length, key, scheme, cycles) -> Tried:
        """One window; if it is solved, the march stands at its end."""
        began, array = time.process_time(), lambda a: jnp.asarray(a, self.dtype)
        last = length if self.length is None else self.length
        guess = self.ansatz.guess(self.y, array(length / last))
        numbers = array(length), array(self.sizes), array(self.rtol)
        found = attempt(self.ansatz, guess, self.state, *numbers, key, scheme, cycles)
        error = np.nan
        if found.solved:
            error = self._go(t, length, found)
        row = Tried(
            t,
            t + length,
            bool(found.solved),
            float(found.residual),
            float(found.share),
            int(found.cycles),
            self.ansatz.modes,
            error,
            time.process_time() - began,
        )
        self.rows.append(row)
        return row

    def _go(self, t, length, found: Attempt) -> float:
        made = self._carried(found.y, length)
        self.found.append((t, self.ansatz, self.state, found.y))
        self.error, self.y, self.length = made.end, found.y, length
        self.largest = np.maximum(self.largest, made.largest)
        self.size += length * np.asarray(made.size)
        size = np.asarray(made.size) ** 0.5
        self.state = found.end
        self.sizes = np.maximum(self.sizes, np.asarray(made.last))
        return float(np.max(np.asarray(made.largest) / np.where(size > 0, size, 1)))

    def _carried(self, y, length) -> Carried:
        """By so many steps that half as many tell the same to a fifth."""
        given = self.ansatz, y, self.state, jnp.asarray(length, self.dtype), self.error
        norm = lambda made: np.linalg.norm(np.asarray(made.largest))
        steps, before = max(self.steps // 2, 4), None
        while True:
            made = carried(*given, jnp.asarray(steps))
            if before is not None and abs(norm(made) - before) <= 0.2 * norm(made):
                break
            if steps >= 4096:
                break
            steps, before = 2 * steps, norm(made)
        self.steps = steps
        return made

    def grown(self) -> bool:
        """Half as many modes again, where there may be."""
        ansatz = self.ansatz.grown(self.most)
        if ansatz is None:
            return False
        old, self.ansatz = self.ansatz, ansatz
        if not self.found:
            self.y = ansatz.regridded(old, self.y)
            self._begin()
            return True
        resize = lambda modes: old.space.resized(modes, ansatz.space)
        self.y = ansatz.regridded(old, self.y)
        self.state, self.error = resize(self.state), resize(self.error)
        return True

    def result(self, status, t, t0) -> Marched:
        nowhere = lambda t, x: jnp.full(len(self.ansatz.pde.fields), jnp.nan, x.dtype)
        error, solution = self.start, nowhere
        if self.found:
            size = np.sqrt(self.size / (t - t0))
            error = np.max(self.largest / np.where(size > 0, size, 1))
            solution = self._solution(t)
        return Marched(
            solution, status, t, self.rows, self.rtol, self.start, float(error)
        )

    def _solution(self, until):
        array = lambda a: jnp.asarray(a, self.dtype)
        starts = array([t for t, *_ in self.found])
        begun, y = [], []
        for _, ansatz, state, found in self.found:
            if ansatz is not self.ansatz:
                state = ansatz.space.resized(state, self.ansatz.space)
                found = self.ansatz.regridded(ansatz, found)
            begun.append(state)
            y.append(found)
        stack = lambda *a: jnp.stack(a)
        return SpectralSolution(
            self.ansatz, starts, array(until), stack(*begun), jax.tree.map(stack, *y)
        )
