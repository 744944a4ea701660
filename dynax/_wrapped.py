"""A diffrax solver around another: what it does not change is the inner solver's."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from diffrax._term import AdjointTerm, WrapTerm
from jaxtyping import Array


class AbstractForwardingSolver(diffrax.AbstractWrappedSolver):
    """A solver but for its interpolation, `init` and `step`; the rest is `solver`'s.

    diffrax's isinstance looks through a wrapper: around an implicit solver it is
    implicit, and then `root_finder` is read of it. What this class lacks is therefore
    looked up in `solver`, however deep, and is absent where it is absent there.
    """

    solver: eqx.AbstractVar[diffrax.AbstractSolver]

    def __getattr__(self, name: str) -> Any:
        if name == "solver" or name.startswith("__"):
            raise AttributeError(name)
        return _found(self.solver, name)

    @property
    def term_structure(self):
        return self.solver.term_structure

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


def refuse_backsolve(terms, solver: str, reason: str) -> None:
    """Raise where `terms` are those of the backward solve of BacksolveAdjoint."""
    if _those(AdjointTerm, terms):
        raise ValueError(
            f"adjoint: given BacksolveAdjoint with {solver}, {reason}; accepted are "
            "RecursiveCheckpointAdjoint, DirectAdjoint and ForwardMode."
        )


def direction(terms, t) -> Array:
    """1, or −1 in a solve backwards: diffrax negates time, solver and terms see −t."""
    wrapped = _those(WrapTerm, terms)
    sign = wrapped[0].direction if wrapped else 1
    return jnp.asarray(sign).astype(jnp.result_type(t))


def _those(kind: type, terms) -> list:
    of_kind = lambda term: isinstance(term, kind)
    return [t for t in jax.tree.leaves(terms, is_leaf=of_kind) if of_kind(t)]


def _found(solver, name: str):
    try:
        return getattr(solver, name)
    except AttributeError:
        if not isinstance(solver, diffrax.AbstractWrappedSolver):
            raise
        return _found(solver.solver, name)
