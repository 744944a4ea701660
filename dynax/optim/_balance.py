"""The exact energy balance of one step of a map that solves a linear equation for g.

Such a step says g = A(s, s₊) and x₊ − x = B(s, s₊). With r = f(x₊) − f(x) − ⟨g, x₊ − x⟩

    H₊ − H = r − Σ (what is spent),     H = f + K(s),

holds for every f and any vector g: ⟨g, x₊ − x⟩ + K₊ − K + Σ spent vanishes. That
sum is drawn up from what was observed; f has cancelled in it. Tolerance: k·u·Σ|aᵢ||bᵢ|
of all its products, k = `rounding_depth`, differences counted as their two parts (this
covers u|x₊| in the stored x₊).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import Step
from dynax.lyapunov import INSIDE, Check, Ledger


class Change(NamedTuple):
    """A difference of two observed trees."""

    after: Params
    before: Params


Product = tuple[ScalarLike, Params | Change, Params | Change]


def kinetic(c: ScalarLike, before: Params, after: Params) -> list[Product]:
    """½c(‖after‖² − ‖before‖²)."""
    change = Change(after, before)
    return [(c / 2, before, change), (c / 2, after, change)]


def ledger(
    step: Step,
    energy: Scalar,
    change: Sequence[Product],
    spent: Mapping[str, Product],
    smoothness: ScalarLike | None = None,
    *,
    more: Mapping[str, Scalar] | None = None,
    unsigned: Sequence[str] = (),
) -> Ledger:
    """The row of one step. A product (c, a, b) is c⟨a, b⟩.

    Args:
        step: as observed.
        energy: K(s) before the step.
        change: products that add up to K₊ − K + Σ more.
        spent: what falls out of H, by name; each is ≥ 0 unless named in `unsigned`.
        smoothness: a Lipschitz constant of ∇f, for r ≤ (L/2)‖x₊ − x‖².
        more: what is spent and is no product.
        unsigned: see `spent`.
    """
    dtype = tree.widest(step.x)
    work, reach = _product(1.0, step.grad, Change(step.x_next, step.x))
    falls = {name: _product(*product) for name, product in spent.items()}
    defect, size = work, reach
    for value, magnitude in [*falls.values(), *(_product(*p) for p in change)]:
        defect, size = defect + value, size + magnitude
    terms = {name: value for name, (value, _) in falls.items()} | dict(more or {})
    u = tree.eps((step.x, step.state)) / 2
    noise = rounding_depth(tree.size(step.x)) * u * size
    f, f_next = step.value.astype(dtype), step.value_next.astype(dtype)
    residual = f_next - f - work
    total = tree.total(list(terms.values()), dtype)
    checks = {"balance": Check(-jnp.abs(defect), noise)}
    checks |= {k: Check(v, noise) for k, v in terms.items() if k not in unsigned}
    if smoothness is not None:
        delta = tree.sub(tree.wide(step.x_next), tree.wide(step.x))
        bound = tree.cast(smoothness, dtype) / 2 * tree.vdot(delta, delta)
        rounding = 64 * u * (jnp.abs(f) + jnp.abs(f_next)) + noise
        checks["theorem"] = Check(bound - residual, rounding)
    return Ledger(
        step=step.index,
        energy=f + energy,
        change=residual - total + defect,
        predicted=residual - total,
        defect=defect,
        scale=jnp.abs(work) + tree.total([jnp.abs(v) for v in terms.values()], dtype),
        terms={"residual": residual, **terms},
        phase=jnp.asarray(INSIDE),
        distance=jnp.zeros((), dtype),
        stationarity=jnp.sqrt(tree.vdot(step.grad, step.grad)),
        checks=checks,
    )


def _product(c, a, b) -> tuple[Scalar, Scalar]:
    """c⟨a, b⟩ and |c|⟨|a|, |b|⟩."""
    (a, size_a), (b, size_b) = _sized(a), _sized(b)
    c = tree.cast(c, tree.widest(a, b))
    return c * tree.vdot(a, b), jnp.abs(c) * tree.vdot(size_a, size_b)


def _sized(a):
    if not isinstance(a, Change):
        return tree.wide(a), tree.map(jnp.abs, tree.wide(a))
    after, before = tree.wide(a.after), tree.wide(a.before)
    size = tree.map(lambda p, q: jnp.abs(p) + jnp.abs(q), after, before)
    return tree.sub(after, before), size
