"""The energy of a flow along a diffrax solve."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params
from dynax._wrapped import AbstractForwardingSolver, direction, refuse_backsolve
from dynax.flow import LyapunovFlow
from dynax.lyapunov import (
    Check,
    Ledger,
    Tally,
    ledger_row,
    lie_derivative,
    merge,
    tally,
)


INNER = 7  # points of a step at which the defect of the dense output is taken


class WithDissipation(eqx.Module):
    """A flow beside the work it has dissipated: Y = (y, W), Ẇ = D(t, y), W(0) = 0.

    Along the exact flow V(t) + W(t) is constant, so the integrated identity
    V(t) − V(0) + ∫D = 0 closes to the solver's tolerance.
    """

    flow: LyapunovFlow

    def __check_init__(self):
        if not isinstance(self.flow, LyapunovFlow):
            raise TypeError(
                f"flow: given {type(self.flow).__name__}; accepted is a LyapunovFlow, "
                "which as_flow makes of an optimizer that has an energy."
            )

    def init(self, x: Params):
        return self.flow.init(x), jnp.zeros((), tree.result_dtype(x))

    def field(self, t, y, args=None):
        return self.flow.field(t, y[0], args), self.flow.dissipation(t, y[0], args)

    def energy(self, t, y, args=None):
        return self.flow.energy(t, y[0], args)

    def record(self, t, y, args=None) -> dict[str, Any]:
        """For `diffrax.SaveAt(ts=…, fn=record)`: y, V, dV (exact), D and W."""
        v, dv = lie_derivative(self.flow.energy, self.flow.field)(t, y[0], args)
        d = self.flow.dissipation(t, y[0], args)
        return {"y": y[0], "V": v, "dV": dv, "D": d, "W": y[1]}


class Point(NamedTuple):
    """A flow at one state: V, ∇V, V̇, D, and the size of the numbers that make up V̇.

    `clock` is ∂V/∂t, the part of V̇ that no motion makes; `pull` is ∂V/∂f·‖∇f‖‖ẋ‖, the
    size of what the loss has in it, negative where V falls as f rises.
    """

    energy: Array
    slope: Any
    rate: Array
    dissipation: Array
    power: Array
    clock: Array
    pull: Array


def observe_flow(flow: LyapunovFlow, t, y, field=None) -> Point:
    """Compute everything that the monitor needs to know of a flow at one state.

    Everything the monitor needs to know, along the flow or another ẏ = `field`.

    V̇ = ∂ₜV + ⟨∇V, ẏ⟩ by automatic differentiation of the energy; `power` is
    (|∂V/∂f|‖∇f‖ + ‖∂V/∂y‖)·‖ẏ‖, what cancels in V̇ and so the scale of its round-off.
    """
    (x, s), opt, lr = y, flow.opt, flow.lr
    value, grad = jax.value_and_grad(flow.f)(x)
    t = jnp.asarray(t, value.dtype)
    v, (by_t, by_x, by_s, by_f) = jax.value_and_grad(opt.energy, (0, 1, 2, 3))(
        t, x, s, value, lr
    )
    field = opt.flow(t, x, s, grad, lr) if field is None else field
    slope = tree.map(lambda a, g: a + by_f.astype(a.dtype) * g, by_x, grad), by_s
    force = jnp.abs(by_f) * _norm(grad) + _norm((by_x, by_s))
    return Point(
        v,
        slope,
        by_t + tree.vdot(slope, field),
        opt.dissipation(t, x, s, grad, lr),
        force * _norm(field),
        by_t,
        by_f * _norm(grad) * _norm(field[0]),
    )


class MonitorState(NamedTuple):
    """Carried through the solve: the solver's own state and O(1) scalars.

    `energy` is that of the last accepted point, `power` the largest of any so far.
    `settled` has all rows but that of the last step, which ends beyond an event.
    """

    inner: Any
    steps: Array
    energy: Array
    power: Array
    tally: Tally
    settled: Tally


class Monitored(AbstractForwardingSolver):
    r"""Any diffrax solver of ODEs, with every accepted step entered in the ledger.

    Give it the `WithDissipation` system it integrates and ask for
    `SaveAt(solver_state=True)`; `sol.solver_state.tally` goes to `dynax.verdict`. Per
    step, four checks:

        fall         V₊ ≤ V
        balance      V₊ + W₊ = V + W                      (the integrated identity)
        identity     V̇ = −D at the end of the step        (pointwise, exact jvp)
        dissipation  D ≥ 0

    Tolerances: for `fall` and `balance` the error of the step, e = |the solver's local
    error estimate| + ∫|p' − F(p)|, with F the field of `terms`: the defect of the dense
    output p, which sees what the first does not: steps at the edge of the solver's
    stability, kinks of D. The balance of a step is off by ∫⟨∇(V + W), p' − F(p)⟩
    exactly. The integral is an upper sum over seven inner points, for a cusp of D lies
    between two of them. In V it is
    ⟨|∇V| + |∇V(y₊ + e) − ∇V|, e⟩, a bound where V is quadratic, at its minimum too. For
    all four, u·`rounding_depth` times the numbers that were summed. With fixed steps
    only the defect counts.

    V̇ is taken along the field of `terms`, so that what is solved is what is judged, and
    backwards in time a row's `change` is still that from the earlier end to the later.
    A row is a whole step. The step that crosses an event ends beyond it, even where a
    root finder has the solution end at the event: judge `settled` where the flow makes
    sense up to there only. BacksolveAdjoint solves another equation and is refused.
    """

    solver: diffrax.AbstractSolver
    system: WithDissipation

    @property
    def interpolation_cls(self):  # pyright: ignore
        return self.solver.interpolation_cls

    def init(self, terms, t0, t1, y0, args):
        refuse_backsolve(terms, "Monitored", "which knows no energy of the adjoint")
        if not isinstance(terms, diffrax.AbstractTerm):
            raise TypeError(
                f"terms: given a {type(terms).__name__} with Monitored; accepted is "
                "one term, as ODETerm(system.field)."
            )
        inner = self.solver.init(terms, t0, t1, y0, args)
        at = observe_flow(self.system.flow, direction(terms, t0) * t0, y0[0])
        zero = jnp.zeros((), jnp.int32)
        shape = jax.eval_shape(self._row, zero, at, at, y0, y0, t0, y0, t0)
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)
        nothing = tally(empty._replace(step=zero - 1))
        return MonitorState(inner, zero, at.energy, at.power, nothing, nothing)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        before, sign, span = solver_state, direction(terms, t1), terms.contr(t0, t1)
        y1, error, dense, inner, result = self.solver.step(
            terms, t0, t1, y0, args, before.inner, made_jump
        )
        h, moved = t1 - t0, lambda t, y: terms.vf_prod(t, y, args, span)
        field = tree.scale(1 / (sign * h), moved(t1, y1)[0])
        at = observe_flow(self.system.flow, sign * t1, y1[0], field)
        at = at._replace(power=jnp.maximum(at.power, before.power))
        between = self.interpolation_cls(t0=t0, t1=t1, **dense)

        def defect(t):
            slope = tree.scale(h, between.derivative(t))
            return tree.map(jnp.abs, tree.sub(slope, moved(t, between.evaluate(t))))

        ts = t0 + h * jnp.arange(1, INNER + 1, dtype=jnp.result_type(h)) / (INNER + 1)
        upper = lambda d: jnp.mean(jnp.maximum(d[1:], d[:-1]), 0)
        defects = tree.map(upper, jax.lax.map(defect, ts))
        embedded = tree.zeros_like(y0) if error is None else tree.map(jnp.abs, error)
        slack = tree.add(embedded, defects)
        row = self._row(before.steps, before, at, y0, y1, sign * t1, slack, sign)
        folded = merge(before.tally, tally(row))
        state = MonitorState(
            inner, before.steps + 1, at.energy, at.power, folded, before.tally
        )
        return y1, error, dense, state, result

    def _row(self, index, before, at, y0, y1, t1, slack, sign) -> Ledger:
        change, work = at.energy - before.energy, y1[1] - y0[1]
        u = rounding_depth(tree.size(y0)) * tree.eps(y0) / 2
        size = tree.map(jnp.abs, at.slope)
        summed = jnp.abs(before.energy) + jnp.abs(at.energy)
        summed = summed + tree.vdot(size, tree.map(jnp.abs, y1[0]))
        beyond = jax.grad(self.system.flow.energy, argnums=1)
        beyond = beyond(t1, tree.add(y1[0], slack[0]))
        bend = tree.map(lambda a, b: jnp.abs(a - b), beyond, at.slope)
        local = tree.vdot(tree.add(size, bend), slack[0])
        rounding = u * (summed + jnp.abs(y1[1]))
        rate, noise = jnp.abs(at.dissipation), u * at.power
        blur = tree.safe_divide(noise, rate, jnp.inf)
        later = tree.cast(sign, change.dtype)
        change, work = later * change, later * work
        checks = {
            "fall": Check(-change, local + u * summed),
            "balance": Check(-jnp.abs(change + work), local + slack[1] + rounding),
            "identity": Check(-jnp.abs(at.rate + at.dissipation), noise, blur),
            "dissipation": Check(at.dissipation, noise, blur),
        }
        return ledger_row(
            index, before.energy, change, checks, predicted=-work, terms={"work": work}
        )


def _norm(x):
    return jnp.sqrt(tree.vdot(x, x))
