"""A solver whose every step ends where it may: plastic return, internal variables."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx

from dynax import _tree as tree
from dynax._wrapped import AbstractForwardingSolver, direction, refuse_backsolve


class Projected(AbstractForwardingSolver):
    """Project the state after each step of `solver`, y₁ ← Π(t₁, y₁, t₁ − t₀, args).

    Solvers that reuse the last slope of a step evaluate it anew, at the projected y₁.
    The dense output ends there too, as p(t) + (y₁ − p(t₁))(t − t₀)/(t₁ − t₀) with p the
    solver's own: Π may not hold between the ends. The error estimate stays that of the
    smooth part of the step.

    No adjoint equation knows Π, so BacksolveAdjoint is refused; the other adjoints
    differentiate the steps themselves.

    Args:
        solver: any diffrax solver.
        project: (t₁, y₁, dt, args) → y₁; dt < 0 in a solve backwards in time.
    """

    solver: diffrax.AbstractSolver
    project: Callable[[Any, Any, Any, Any], Any]

    @property
    def interpolation_cls(self):  # pyright: ignore
        return _Interpolating(self.solver.interpolation_cls)

    def init(self, terms, t0, t1, y0, args):
        refuse_backsolve(terms, "Projected", "whose jumps no adjoint equation knows")
        return self.solver.init(terms, t0, t1, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        del made_jump  # Π is one, each time
        y1, error, dense, state, result = self.solver.step(
            terms, t0, t1, y0, args, solver_state, True
        )
        now = direction(terms, t1)
        smooth, y1 = y1, self.project(now * t1, y1, now * (t1 - t0), args)
        dense = {"smooth": dense, "jump": tree.sub(y1, smooth)}
        return y1, error, dense, state, result


class _Interpolating(eqx.Module):
    """`interpolation_cls`, as a value that equals its like."""

    of: Callable[..., diffrax.AbstractLocalInterpolation] = eqx.field(static=True)

    def __call__(self, *, t0, t1, smooth, jump):
        return _Interpolation(t0, t1, self.of(t0=t0, t1=t1, **smooth), jump)


class _Interpolation(diffrax.AbstractLocalInterpolation):
    t0: Any
    t1: Any
    smooth: diffrax.AbstractLocalInterpolation
    jump: Any

    def evaluate(self, t0, t1=None, left=True):
        if t1 is not None:
            return tree.sub(self.evaluate(t1, left=left), self.evaluate(t0, left=left))
        done = (t0 - self.t0) / (self.t1 - self.t0)
        return tree.add(self.smooth.evaluate(t0), tree.scale(done, self.jump))
