"""The ledger of a differential equation: what an energy does along a function, exactly.

With r the residual of *any* smooth u that meets the boundary condition

    Ė = ∫ rate dx + ∫ ⟨variation, r⟩ dx            (`Functional`),

so a network's energy is audited without knowing the solution. Tolerances are measured.
An integral over space is uncertain by √Σ|f̂|² over the upper third of the integrand's
waves (Fourier's on a periodic box, Chebyshev's between walls): what is not resolved any
more, and the round-off in f, which is white. To that comes k·u·(what was summed).

What is conserved has no terms to compare a tolerance with: along a solution they are 0.
An error is then seen relative to the parts that must cancel: ∫ Σ|∂f/∂d · d| dx of an
integral over space, and for the identity the absolute terms at each point.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax import _tree as tree
from dynax.lyapunov import Check, Ledger, ledger_row
from dynax.pde._base import AbstractPDE, AbstractSemilinear, Function, Functional
from dynax.pde._quadrature import Rule, between, chebyshev, equispaced
from dynax.pde.derivatives import LETTERS, Derivatives, Engine, derivatives
from dynax.pde.etdrk4 import Torus
from dynax.pde.reference import Reference, float64, widened


POINTS = 1, 128, 32, 16  # along each axis, in 0, 1, 2, 3 dimensions
NODES = 8  # Gauss–Legendre, in each interval of time
STENCIL = 6  # saved times that an interval of a reference is integrated from


def audit(
    pde: AbstractPDE,
    u: Function | Reference,
    times: Sequence[float] | np.ndarray | Array = (),
    points: int | None = None,
    name: str = "energy",
    *,
    accuracy: float | None = None,
    engine: Engine = derivatives,
) -> Ledger:
    """Rows of one functional, each of an interval between two times.

    `change` is E₊ − E; `terms` has "dissipation" −∫∫ rate and "residual"
    ∫∫ ⟨variation, r⟩, which make up `predicted`. Checks, for `dynax.verdict`:

        identity     the equation above, at 8 times in each interval; of a function. It
                     holds for every u: what is judged are the equation and `points`.
        balance      E₊ − E = ∫∫ rate; of a reference, whose r is 0. Up to its error and
                     that of the integral over time, by degree 5 against degree 3.
        fall         E₊ ≤ E, where E "falls": nothing is allowed for errors of u.
        dissipation  −∫∫ rate ≥ 0, where E "falls".
        conserved    E₊ = E, where E is "conserved", up to the `accuracy` of u.

    Args:
        pde: the equation.
        u: (t, x) → fields, any callable; or a reference, seen at its own times.
        times: of a function, ascending.
        points: of the quadrature of a function, along each axis.
        name: of the functional, a key of `pde.functionals()`.
        accuracy: the relative error claimed of u, and of its derivatives that E reads.
            If None, 0 of a function and `self_error` of a reference.
        engine: how derivatives of a function are taken.

    Raises:
        ValueError: no such functional, fewer than two times, a reference with walls.
    """
    known = pde.functionals()
    if name not in known:
        raise ValueError(f"name: given {name!r}; accepted is one of {[*known]}.")
    if isinstance(u, Reference):
        if pde.boundary != "periodic" and not isinstance(pde, AbstractSemilinear):
            raise ValueError(
                f"u: given a reference of {type(pde).__name__}, which has walls; "
                "accepted is one on a periodic box, or a function."
            )
        with float64():
            return jax.tree.map(np.asarray, _of_reference(pde, u, name, accuracy))
    t = 1.0 * jnp.asarray(times)
    if t.ndim != 1 or t.size < 2:
        raise ValueError(f"times: given {times}; accepted are two or more, ascending.")
    points = POINTS[len(pde.lower)] if points is None else points
    grid = equispaced if pde.boundary == "periodic" else chebyshev
    rule = grid(pde.lower, pde.upper, points, t.dtype)
    claimed = jnp.asarray(0.0 if accuracy is None else accuracy, t.dtype)
    return _of_function(pde, u, t, rule, name, claimed, engine)


@eqx.filter_jit
def _of_function(pde, u, t, rule: Rule, name, accuracy, engine) -> Ledger:
    functional = pde.functionals()[name]
    reads = tuple(functional.needs.split())
    needs = tuple(dict.fromkeys([*reads, *pde.needs.split()]))

    def stored(t, x):
        d = engine(u, t, x, reads)
        density, slopes = _density(functional, x, d)
        return density, _products(slopes, d)[1]

    def flows(t, x):
        found = lambda t: engine(u, t, x, needs)
        d, moves = jax.jvp(found, (t,), (jnp.ones_like(t),))
        slope, size = _products(_density(functional, x, d)[1], moves)
        d = Derivatives(d)
        rate = functional.rate(x, d)
        work = jnp.sum(functional.variation(x, d) * pde.equation(t, x, d))
        return rate, work, slope - rate - work, size + jnp.abs(rate) + jnp.abs(work)

    def everywhere(f, t):
        batch = min(4096, rule.x.shape[0])
        at = lambda t: jax.lax.map(lambda x: f(t, x), rule.x, batch_size=batch)
        return jax.lax.map(at, t)

    def within(t):
        rate, work, defect, size = everywhere(flows, t)
        noise = rule.tail(defect) + rule.unit * rule.total(size)
        sums = (rule.total(a) for a in (rate, work, jnp.abs(rate), defect, size))
        return *sums, noise

    gaps = jnp.diff(t)
    nodes, shares = np.polynomial.legendre.leggauss(NODES)
    nodes, shares = (jnp.asarray(a / 2, t.dtype)[None] for a in (nodes, shares))
    inside = t[:-1, None] + gaps[:, None] * (nodes + 0.5)
    *flowed, defect, parts, noise = jax.lax.map(within, inside)
    rate, work, size = (gaps * jnp.sum(shares * a, 1) for a in flowed)
    worst = jnp.argmax(jnp.abs(defect) / noise, 1)[:, None]
    defect, parts, noise = (
        gaps * jnp.take_along_axis(a, worst, 1)[:, 0] for a in (defect, parts, noise)
    )
    still = functional.kind == "conserved"
    identity = _relative(parts if still else None, -jnp.abs(defect), noise)
    there, terms, noise = everywhere(stored, t), (-rate, work), rule.unit * size
    return _rows(functional.kind, rule, there, terms, noise, accuracy, identity)


def _of_reference(pde, reference: Reference, name, accuracy) -> Ledger:
    t, n = reference.t, max(reference.u.shape[1:-1], default=1)
    rule = equispaced(pde.lower, pde.upper, n, jnp.float64)
    by_time = (jnp.asarray(between(t, n)) for n in (STENCIL, STENCIL - 2))
    accuracy = reference.self_error if accuracy is None else accuracy
    pde, u = jax.tree.map(widened, pde), jnp.asarray(reference.u)
    return _on_grid(pde, u, rule, name, jnp.asarray(accuracy), *by_time)


@eqx.filter_jit
def _on_grid(pde, u, rule: Rule, name, accuracy, fine, coarse) -> Ledger:
    functional = pde.functionals()[name]
    reads = [a for a in functional.needs.split() if "t" not in a]

    def at(u):
        d = {a: _derivative(pde, a, u) for a in reads}
        density, slopes = jax.vmap(lambda x, d: _density(functional, x, d))(rule.x, d)
        size = jax.vmap(_products)(slopes, d)[1]
        return density, size, functional.rate(rule.x, Derivatives(d))

    *there, rate = jax.lax.map(at, u)
    unsure = rule.tail(rate) + rule.unit * rule.total(jnp.abs(rate))
    rate = rule.total(rate)
    spent = -fine @ rate
    error = jnp.abs(coarse @ rate + spent)  # may vanish by chance: see its neighbours
    error = jax.lax.reduce_window(error, -jnp.inf, jax.lax.max, (5,), (1,), "SAME")
    terms, noise = (spent, jnp.zeros_like(spent)), error + jnp.abs(fine) @ unsure
    return _rows(functional.kind, rule, there, terms, noise, accuracy, None)


def _rows(kind, rule: Rule, there, terms, noise, accuracy, identity) -> Ledger:
    """Rows, from the density and its size everywhere at the ends of the intervals, and
    the two terms, and the noise of the first, within."""
    density, size = there
    moved, size = jnp.diff(density, axis=0), rule.total(size)
    change, size = rule.total(moved), size[1:] + size[:-1]
    still, error = rule.tail(moved) + rule.unit * size, accuracy * size
    spent, gained = terms
    defect = change + spent - gained
    of = size / 2 if kind == "conserved" else None
    if identity is None:
        balance = _relative(of, -jnp.abs(defect), noise + still + error)
        checks = {"balance": balance}
    else:
        checks = {"identity": identity}
    if kind == "falls":
        checks |= {"fall": Check(-change, still), "dissipation": Check(spent, noise)}
    elif kind == "conserved":
        checks |= {"conserved": _relative(of, -jnp.abs(change), still + error)}
    return ledger_row(
        jnp.arange(change.size),
        rule.total(density)[:-1],
        change,
        checks,
        predicted=gained - spent,
        terms={"dissipation": spent, "residual": gained},
    )


def _relative(size, margin, tolerance) -> Check:
    """A check that sees errors relative to `size`; if None, to the `scale` of the row.
    Of nothing nothing is seen."""
    if size is None:
        return Check(margin, tolerance)
    blur = tree.safe_divide(tolerance, size, jnp.inf)
    return Check(margin, tolerance, blur)


def _density(functional: Functional, x, d: dict[str, Array]):
    """At one point: the density, and its slope in each derivative."""
    return jax.value_and_grad(lambda d: functional.density(x, Derivatives(d)))(d)


def _products(slopes, d) -> tuple[Array, Array]:
    """Σ slope·d and Σ |slope·d|."""
    terms = jnp.concatenate([slopes[name] * d[name] for name in d])
    return jnp.sum(terms), jnp.sum(jnp.abs(terms))


def _derivative(pde, name, u):
    """Of values (*n, c) on a torus, at all points, (n, c)."""
    *n, c = u.shape
    if name != "u":
        torus = Torus(pde.lower, pde.upper, tuple(n))
        waves = jnp.asarray(1j * torus.waves())
        modes = torus.to_modes(jnp.moveaxis(u, -1, 0))
        for letter in name:
            modes = waves[LETTERS.index(letter)][None] * modes
        u = jnp.moveaxis(torus.to_grid(modes), 0, -1)
    return u.reshape(-1, c)
