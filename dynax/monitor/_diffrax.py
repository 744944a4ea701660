"""The energy of a flow along a diffrax solve."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import Params
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
    """Carried through the solve: the solver's own state and O(1) scalars.

    `power` is the largest (|∂V/∂f|‖∇f‖ + ‖∂V/∂y‖)·‖ẏ‖ so far: the size of the numbers
    whose cancellation is V̇, hence of its round-off.
    """

    inner: Any
    steps: Array
    power: Array
    tally: Tally


class Monitored(diffrax.AbstractWrappedSolver):
    r"""Any diffrax solver, with every accepted step entered in the ledger.

    Give it the `WithWork` system it integrates and ask for `SaveAt(solver_state=True)`;
    `sol.solver_state.tally` goes to `dynax.verdict`. Per step, four checks:

        fall         V₊ ≤ V
        balance      V₊ + W₊ = V + W                      (the integrated identity)
        identity     V̇ = −D at the end of the step        (pointwise, exact jvp)
        dissipation  D ≥ 0

    Tolerances: for `fall` and `balance` the solver's own local error estimate e of the
    step, carried into V as ⟨|∇V|, |e|⟩; for `balance` also that of W, and how far three
    other rules on the dense output (Simpson's on one and two panels, the trapezium on
    four) differ from it, as at a kink of D the embedded estimate alone is blind; for
    all four u(8 + log₂ n) times the numbers that were summed. With fixed steps there is
    no e, and only the other two are allowed.
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
        step, size = jnp.zeros((), jnp.int32), power(self.system.flow, t0, y0[0], args)
        zeros = tree.zeros_like(y0)
        row = self._row(
            step - 1, t0, t0, y0, y0, zeros, size * jnp.zeros(3), size, args
        )
        return MonitorState(inner, step, size, tally(row))

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        y1, error, dense, inner, result = self.solver.step(
            terms, t0, t1, y0, args, solver_state.inner, made_jump
        )
        between = self.interpolation_cls(t0=t0, t1=t1, **dense)
        d = [self.system.flow.dissipation(t0, y0[0], args)]
        for share in (0.25, 0.5, 0.75):
            t = t0 + share * (t1 - t0)
            d.append(self.system.flow.dissipation(t, between.evaluate(t)[0], args))
        d.append(self.system.flow.dissipation(t1, y1[0], args))
        h = t1 - t0
        rules = jnp.stack(
            [
                h / 6 * (d[0] + 4 * d[2] + d[4]),
                h / 12 * (d[0] + 4 * d[1] + 2 * d[2] + 4 * d[3] + d[4]),
                h / 8 * (d[0] + 2 * d[1] + 2 * d[2] + 2 * d[3] + d[4]),
            ]
        )
        slack = tree.zeros_like(y0) if error is None else error
        size = jnp.maximum(solver_state.power, power(self.system.flow, t1, y1[0], args))
        row = self._row(solver_state.steps, t0, t1, y0, y1, slack, rules, size, args)
        folded = merge(solver_state.tally, tally(row))
        state = MonitorState(inner, solver_state.steps + 1, size, folded)
        return y1, error, dense, state, result

    def _row(self, index, t0, t1, y0, y1, error, rules, size, args) -> Ledger:
        flow = self.system.flow
        v0 = flow.energy(t0, y0[0], args)
        v1, slope = jax.value_and_grad(lambda y: flow.energy(t1, y, args))(y1[0])
        _, dv = lie_derivative(flow.energy, flow.field)(t1, y1[0], args)
        d = flow.dissipation(t1, y1[0], args)
        work = y1[1] - y0[1]

        u = (8 + float(np.log2(tree.size(y0)))) * tree.eps(y0) / 2
        summed = jnp.abs(v0) + jnp.abs(v1) + tree.vdot(_abs(slope), _abs(y1[0]))
        local = tree.vdot(_abs(slope), _abs(error[0]))
        quadrature = jnp.abs(error[1]) + jnp.sum(jnp.abs(work - rules))
        checks = {
            "fall": Check(v0 - v1, local + u * summed),
            "balance": Check(
                -jnp.abs(v1 - v0 + work),
                local + quadrature + u * (summed + jnp.abs(y1[1])),
            ),
            "identity": Check(-jnp.abs(dv + d), u * size),
            "dissipation": Check(d, u * size),
        }
        zero = jnp.zeros_like(v1)
        return Ledger(
            step=index,
            energy=v0,
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


def power(flow: LyapunovFlow, t, y, args) -> Array:
    """(|∂V/∂f|‖∇f‖ + ‖∂V/∂y‖)·‖ẏ‖: the size of the numbers that cancel in V̇."""
    x, s = y
    value, grad = jax.value_and_grad(flow.f)(x)
    by_x, by_s, by_value = jax.grad(
        lambda x, s, v: flow.opt.energy(t, x, s, v, flow.lr), (0, 1, 2)
    )(x, s, value)
    force = jnp.abs(by_value) * _norm(grad) + _norm((by_x, by_s))
    return force * _norm(flow.field(t, y, args))


def _abs(x):
    return tree.map(jnp.abs, x)


def _norm(x):
    return jnp.sqrt(tree.vdot(x, x))
