"""A bound of the error of a coercive problem, by the dual norm of its residual.

For F'(u) with ⟨−F'v, v⟩ ≥ α‖∇v‖² for all v that vanish on the boundary,

    ‖∇e‖ ≤ ‖r‖₋₁/α,   ‖r‖₋₁ = max ⟨r, v⟩/‖∇v‖,   ‖e‖ ≤ C_P ‖∇e‖,

to first order in e. α, C_P and the dual norm are computed over v = ω·polynomial, ω = 0
on the boundary; all norms are means over the region. Where α ≤ 0 the problem is not
coercive, and no bound is given: a Helmholtz equation above its first resonance.

Source: Babuška, Rheinboldt, SIAM J. Numer. Anal. 15 (1978); for networks, Taylor,
Pardo, Muga, CMAME 405 (2023) 115850.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde import AbstractPDE, Dirichlet
from dynax.pde.conditions import by_side
from dynax.pinn.collocation import look, rows
from dynax.pinn.polynomials import Basis, orthonormal


DEGREES = 0, 30, 14, 7  # in 1, 2, 3 dimensions
WALLS = 1e-6  # of u: what it may be off by on the boundary


class DualNorm(NamedTuple):
    """A bound of an error, and what it is made of.

    Args:
        relative: the bound of ‖e‖/‖u‖; infinite where the problem is not coercive.
        gradient: the bound of ‖∇e‖.
        norm: ‖r‖₋₁.
        coercivity: α.
        poincare: C_P, in units of length.
    """

    relative: float
    gradient: float
    norm: float
    coercivity: float
    poincare: float


def dual_norm(pde: AbstractPDE, u: Callable, degree: int | None = None) -> DualNorm:
    """Bound the error of a steady solution of one field with prescribed values.

    Args:
        pde: without time, of second order, `Dirichlet` on all sides.
        u: (t, x) → fields, with those values exactly.
        degree: of the polynomials.

    Raises:
        ValueError: another kind of problem, or u is off on the boundary.
    """
    d, sides = len(pde.lower), by_side(pde)
    omega = pde.shape.held(pde.shape.sides)
    fits = {*sides} == {*pde.shape.sides} and len(pde.fields) == 1
    fits = fits and all(isinstance(c, Dirichlet) for c in sides.values())
    short = all(len(name) <= 2 for name in pde.needs.split())
    if not fits or not short or omega is None:
        raise ValueError(
            f"pde: given {type(pde).__name__}; accepted is an equation of second order "
            "for one field with pde.Dirichlet on all sides."
        )
    basis = Basis.of(pde, DEGREES[d] if degree is None else degree)
    inside, *edges = look(pde, u, 64 * len(basis), 2)
    size = math.sqrt(np.mean(inside.d["u"] ** 2))
    for edge in edges:
        off = np.max(np.abs(rows(pde, edge, 1.0).r))
        if off > WALLS * size:
            raise ValueError(
                f"u: given values that are off by {off:.1e} on side {edge.side!r}; "
                "accepted are the prescribed ones: a network that has them by "
                "construction."
            )
    seen, x = rows(pde, inside, 1.0), inside.x
    w, slope = (np.asarray(a, np.float64) for a in _bump(omega, jnp.asarray(x)))
    root = math.sqrt(len(x))
    phi = {"u": w[:, None] * basis.table(x, "") / root}
    for i, letter in enumerate("xyz"[:d]):
        found = slope[:, i, None] * basis.table(x, "")
        phi[letter] = (found + w[:, None] * basis.table(x, letter)) / root
    gradients = np.concatenate([phi[letter] for letter in "xyz"[:d]])
    unit, _ = orthonormal(gradients, 1e-8)  # ‖∇(φ·unit)‖ = 1
    phi = {name: a @ unit for name, a in phi.items()}
    value, form = phi["u"], np.zeros((unit.shape[1],) * 2)
    for name, a in seen.slopes.items():
        a = a[:, 0, :1]
        if len(name) == 1:
            form -= value.T @ (a * phi[name])
            continue
        if np.ptp(a) > 1e-9 * np.max(abs(a)):
            raise ValueError(
                f"pde: given {type(pde).__name__}, whose factor of {name} depends on "
                "place; accepted are constant factors of second derivatives."
            )
        form += a[0, 0] * phi[name[0]].T @ phi[name[1]]  # by parts
    form = form * math.copysign(1, np.trace(form))
    alpha = float(np.linalg.eigvalsh((form + form.T) / 2)[0])
    norm = float(np.linalg.norm(value.T @ seen.r[:, 0] / root))
    poincare = float(np.linalg.norm(value, 2))
    gradient = norm / alpha if alpha > 0 else math.inf
    return DualNorm(poincare * gradient / size, gradient, norm, alpha, poincare)


@eqx.filter_jit
def _bump(omega, x):
    """ω and its gradient."""
    at = lambda x: (omega(x), jax.jacfwd(omega)(x))
    return jax.vmap(at)(x)
