"""The energy of a flow along a diffrax solve."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import Params, Scalar
from dynax.flow import LyapunovFlow
from dynax.lyapunov import INSIDE, Check, Ledger, Tally, lie_derivative, merge, tally


class WithWork(eqx.Module):
    """A flow beside the work it has dissipated: Y = (y, W), Ẇ = D(t, y), W(0) = 0.

    Along the exact flow V(t) + W(t) is constant, so the integrated identity
    V(t) − V(0) + ∫D = 0 closes to the solver's tolerance.
    """

    flow: LyapunovFlow

    def __check_init__(self):
        if not isinstance(self.flow, LyapunovFlow):
            raise TypeError(
                f"flow: given {type(self.flow).__name__}; a LyapunovFlow accepted "
                "(as_flow of an optimizer that has an energy)."
            )

    def init(self, x: Params):
        return self.flow.init(x), jnp.zeros((), tree.widest(x))

    def field(self, t, y, args=None):
        return self.flow.field(t, y[0], args), self.flow.dissipation(t, y[0], args)

    def energy(self, t, y, args=None):
        return self.flow.energy(t, y[0], args)

    def record(self, t, y, args=None) -> dict[str, Any]:
        """For `diffrax.SaveAt(ts=…, fn=record)`: y, V, dV (exact), D and W."""
        v, dv = lie_derivative(self.flow.energy, self.flow.field)(t, y[0], args)
        d = self.flow.dissipation(t, y[0], args)
        return {"y": y[0], "V": v, "dV": dv, "D": d, "W": y[1]}


class MonitorState(NamedTuple):
    """Carried through the solve: the solver's own state and O(1) scalars."""

    inner: Any
    steps: Array
    tally: Tally


class Monitored(diffrax.AbstractWrappedSolver):
    r"""Any diffrax solver, with every accepted step entered in the ledger.

    Give it the `WithWork` system it integrates and ask for `SaveAt(solver_state=True)`;
    `sol.solver_state.tally` goes to `dynax.verdict`. Per step, four checks:

        fall         V₊ ≤ V
        balance      V₊ + W₊ = V + W                      (the integrated identity)
        identity     V̇ = −D at the end of the step        (pointwise, exact jvp)
        dissipation  D ≥ 0

    A step's tolerance is its own local error estimate e carried into the quantity,
    ⟨|∇|, |e|⟩, plus u·(8 + log₂ n) times the sums that were formed. Without an error
    estimate (fixed-step solvers) only round-off is allowed.
    """

    solver: diffrax.AbstractSolver
    system: WithWork

    @property
    def term_structure(self):
        return self.solver.term_structure

    @property
    def interpolation_cls(self):  # pyright: ignore
        return self.solver.interpolation_cls

    @property
    def term_compatible_contr_kwargs(self):
        return self.solver.term_compatible_contr_kwargs

    def order(self, terms):
        return self.solver.order(terms)

    def strong_order(self, terms):
        return self.solver.strong_order(terms)

    def error_order(self, terms):
        return self.solver.error_order(terms)

    def func(self, terms, t0, y0, args):
        return self.solver.func(terms, t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        inner = self.solver.init(terms, t0, t1, y0, args)
        zero = jnp.zeros((), jnp.int32)
        row = self._row(zero, t0, t1, y0, y0, tree.zeros_like(y0), args)
        return MonitorState(inner, zero, tally(row._replace(step=zero - 1)))

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        y1, error, dense, inner, result = self.solver.step(
            terms, t0, t1, y0, args, solver_state.inner, made_jump
        )
        slack = tree.zeros_like(y0) if error is None else error
        row = self._row(solver_state.steps, t0, t1, y0, y1, slack, args)
        state = MonitorState(
            inner, solver_state.steps + 1, merge(solver_state.tally, tally(row))
        )
        return y1, error, dense, state, result

    def _row(self, index, t0, t1, y0, y1, error, args) -> Ledger:
        flow = self.system.flow
        v0 = flow.energy(t0, y0[0], args)
        v1, slope = jax.value_and_grad(lambda y: flow.energy(t1, y, args))(y1[0])
        _, dv = lie_derivative(flow.energy, flow.field)(t1, y1[0], args)
        d = flow.dissipation(t1, y1[0], args)
        work = y1[1] - y0[1]

        size = tree.map(jnp.abs, slope)
        depth = 8 + jnp.log2(1.0 * tree.size(y0))
        u = depth.astype(v1.dtype) * (tree.eps(y0) / 2)
        magnitude = jnp.abs(v0) + jnp.abs(v1) + tree.vdot(size, _abs(y1[0]))
        local = tree.vdot(size, _abs(error[0]))
        rate = tree.vdot(size, _abs(flow.field(t1, y1[0], args)))
        checks = {
            "fall": Check(v0 - v1, local + u * magnitude),
            "balance": Check(
                -jnp.abs(v1 - v0 + work),
                local + jnp.abs(error[1]) + u * (magnitude + jnp.abs(y1[1])),
            ),
            "identity": Check(-jnp.abs(dv + d), u * (rate + jnp.abs(d))),
            "dissipation": Check(d, u * (rate + jnp.abs(d))),
        }
        zero: Scalar = jnp.zeros_like(v1)
        return Ledger(
            step=index,
            energy=v1,
            change=v1 - v0,
            predicted=-work,
            defect=v1 - v0 + work,
            scale=jnp.abs(work),
            terms={"work": work},
            phase=jnp.asarray(INSIDE),
            distance=zero,
            stationarity=zero,
            checks=checks,
        )


def _abs(x):
    return tree.map(jnp.abs, x)
