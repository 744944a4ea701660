"""A solver whose every step ends on a set: plastic return, flow of internal variables."""

from collections.abc import Callable
from typing import Any

import diffrax


class Projected(diffrax.AbstractWrappedSolver):
    """y₁ ← Π(t₁, y₁, t₁ − t₀, args) after each step of `solver`.

    The dense output ends at the projected y₁ where the interpolation knows y₁ (linear,
    Hermite); between the ends it does not see Π, so save at steps. Solvers that reuse
    the last slope of a step evaluate it anew, at the projected point. The error
    estimate stays that of the smooth part of the step.

    Args:
        solver: any diffrax solver.
        project: (t₁, y₁, dt, args) → y₁.
    """

    solver: diffrax.AbstractSolver
    project: Callable[[Any, Any, Any, Any], Any]

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

    def init(self, terms, t0, t1, y0, args):
        return self.solver.init(terms, t0, t1, y0, args)

    def func(self, terms, t0, y0, args):
        return self.solver.func(terms, t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        del made_jump  # Π is one, each time
        y1, error, dense, state, result = self.solver.step(
            terms, t0, t1, y0, args, solver_state, True
        )
        y1 = self.project(t1, y1, t1 - t0, args)
        if "y1" in dense:
            dense = {**dense, "y1": y1}
        return y1, error, dense, state, result
