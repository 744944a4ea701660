"""Steps of a flow: what turns a field into a map that the rest of the package takes.

A step is any function y ↦ y₊. The ones made here know their field too, so that the
results can be checked: the divergence tells the sum of the exponents, and along the
field itself a flow neither grows nor shrinks.
"""

import dataclasses
from collections.abc import Callable

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax._check import check_positive, require
from dynax._types import Scalar, ScalarLike
from dynax.dynamics._walk import flat


class FlowStep(eqx.Module):
    """Step a flow by h.

        ẏ = f(t, y, args),  args = None

    The state is y, or (n, y) with an integer n if the field is `driven`: the time is
    then nh. Call it as `step(state)`.
    """

    scheme: Callable
    field: Callable
    h: Scalar
    driven: bool = eqx.field(static=True)

    def __call__(self, state: PyTree) -> PyTree:
        t, y = self.at(state)
        y = self.scheme(self.field, t, y, tree.cast(self.h, t.dtype))
        return (state[0] + 1, y) if self.driven else y

    def at(self, state: PyTree) -> tuple[Scalar, PyTree]:
        """Return the time and y of a state."""
        n, y = state if self.driven else (0, state)
        dtype = tree.result_dtype(y)
        return tree.cast(n, dtype) * tree.cast(self.h, dtype), y

    def velocity(self, state: PyTree) -> PyTree:
        """Return f at a state, in the form of y."""
        return self.field(*self.at(state), None)


def rk4(field: Callable, h: ScalarLike, *, driven: bool = False) -> FlowStep:
    """Make steps of the classical fourth-order method, written out.

    Args:
        field: (t, y, args) → like y.
        h: the length of a step.
        driven: whether the field depends on t.

    Raises:
        ValueError: h is not positive and finite.
    """
    check_positive(h=h)
    return FlowStep(_rk4, field, jnp.asarray(h), driven)


def _rk4(field, t, y, h):
    at = lambda c, k: tree.add(y, tree.scale(c * h, k))
    k1 = field(t, y, None)
    k2 = field(t + h / 2, at(0.5, k1), None)
    k3 = field(t + h / 2, at(0.5, k2), None)
    k4 = field(t + h, at(1.0, k3), None)
    return tree.map(lambda y, a, b, c, d: y + _mean(h, a, b, c, d), y, k1, k2, k3, k4)


def _mean(h, a, b, c, d):
    return tree.cast(h / 6, a.dtype) * (a + 2 * (b + c) + d)


def solver_step(
    solver: dfx.AbstractSolver, field: Callable, h: ScalarLike, *, driven: bool = False
) -> FlowStep:
    """Make steps of a diffrax solver. Explicit ones cost a few times those of `rk4`.

    Args:
        solver: any solver of ordinary equations.
        field: (t, y, args) → like y.
        h: the length of a step.
        driven: whether the field depends on t.

    Raises:
        ValueError: h is not positive and finite.
    """
    check_positive(h=h)
    if isinstance(solver, dfx.AbstractRungeKutta):
        # the default loop over stages has no forward derivative
        solver = dataclasses.replace(solver, scan_kind="lax")
    return FlowStep(eqx.Partial(_solved, solver), field, jnp.asarray(h), driven)


def _solved(solver, field, t, y, h):
    term = dfx.ODETerm(field)
    begun = solver.init(term, t, t + h, y, None)
    return solver.step(term, t, t + h, y, None, begun, made_jump=False)[0]


def divergence(step: FlowStep, state: PyTree) -> Scalar:
    """tr ∂f/∂y at a state, by one derivative for each coordinate."""
    t, y = step.at(state)
    z, back = flat(y)
    field = lambda z: flat(step.field(t, back(z), None))[0]
    along = lambda e: jnp.sum(e * jax.jvp(field, (z,), (e,))[1])
    return jnp.sum(jax.vmap(along)(jnp.eye(z.size, dtype=z.dtype)))


def check_step(step: Callable, y: PyTree) -> None:
    """Check that a step keeps the structure, shapes and dtypes of its state.

    Raises:
        ValueError: it does not; or the state holds no real floating-point array.
    """
    dtypes = [jnp.result_type(a) for a in tree.leaves(y)]
    numbers = [d for d in dtypes if jnp.issubdtype(d, jnp.inexact)]
    require(numbers, "y", "no floating-point array", "a state with at least one")
    unreal = [d for d in numbers if jnp.issubdtype(d, jnp.complexfloating)]
    require(not unreal, "y", f"arrays of {unreal}", "real arrays")
    seen = lambda t: jax.tree.map(lambda a: (jnp.shape(a), jnp.result_type(a)), t)
    before, after = seen(y), seen(jax.eval_shape(step, y))
    require(
        before == after, "step", f"{before} ↦ {after}", "a map that keeps the structure"
    )
