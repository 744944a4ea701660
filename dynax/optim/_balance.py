"""The exact energy balance of one step of a map that solves a linear equation for g.

Such a step says g = A(s, s₊) and x₊ − x = B(s, s₊). With r = f(x₊) − f(x) − ⟨g, x₊ − x⟩

    H₊ − H = r − Σ (what is spent),     H = f + K(s),

holds for every f and any vector g: ⟨g, δ⟩ + K₊ − K + Σ spent vanishes, δ = x₊ − x.
That sum is drawn up from what was observed, leaf by leaf, so that a leaf of small
gradients is judged by its own size; f has cancelled in it.

Tolerance: (k·u + 8u_s)·Σ|aᵢ||bᵢ| of all its products, differences counted as their two
parts, and the smallest normal number for every product. k = `rounding_depth`, u is the
unit round-off of the sums, u_s that of the parameters, in which the optimizer computes.
δ is the step as the optimizer returned it; rounding x + δ to the dtype of x adds the
term `rounding` ⟨g, x₊ − x − δ⟩. Where δ is read off the stored x₊ it is a difference.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import Step
from dynax.lyapunov import Check, Ledger, ledger_row


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
    joint: str | None = None,
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
        joint: the name of the check that all that is spent is ≥ 0 together.
    """
    dtype = tree.result_dtype(step.x)
    moved = tree.sub(tree.wide(step.x_next), tree.wide(step.x))
    delta = tree.wide(step.displacement)
    given = Change(step.x_next, step.x) if step.delta is None else delta
    falls = {name: _product(*product) for name, product in spent.items()}
    products = [_product(1.0, step.grad, given), *falls.values()]
    products += [_product(*p) for p in change]
    defects = jnp.stack([defect for defect, _ in products]).sum(0)
    sizes = jnp.stack([size for _, size in products]).sum(0)
    work = tree.vdot(step.grad, moved)
    rounding = tree.vdot(step.grad, tree.sub(moved, delta))
    terms = {name: jnp.sum(value) for name, (value, _) in falls.items()}
    terms |= dict(more or {})
    u, u_s = float(jnp.finfo(dtype).eps) / 2, tree.eps((step.x, step.state)) / 2
    lost = tree.size(step.x) * len(products) * float(jnp.finfo(dtype).tiny)
    noises = (rounding_depth(tree.size(step.x)) * u + 8 * u_s) * sizes + lost
    noise, worst = jnp.sum(noises), jnp.argmax(jnp.abs(defects) / noises)
    f, f_next = step.value.astype(dtype), step.value_next.astype(dtype)
    residual = f_next - f - work
    total = tree.total(list(terms.values()), dtype)
    scale = jnp.abs(work) + tree.total([jnp.abs(v) for v in terms.values()], dtype)
    seen = tree.safe_divide(noise, scale, jnp.inf)
    checks = {"balance": Check(-jnp.abs(defects[worst]), noises[worst], seen)}
    checks |= {k: Check(v, noise) for k, v in terms.items() if k not in unsigned}
    if joint is not None:
        checks[joint] = Check(total, noise)
    if smoothness is not None:
        bound = tree.cast(smoothness, dtype) / 2 * tree.vdot(moved, moved)
        checks["theorem"] = Check(
            bound - residual, 64 * u_s * (jnp.abs(f) + jnp.abs(f_next)) + noise
        )
    defect, predicted = jnp.sum(defects), residual + rounding - total
    return ledger_row(
        step.index,
        f + energy,
        predicted + defect,
        checks,
        predicted=predicted,
        defect=defect,
        scale=scale,
        terms={"residual": residual, **terms, "rounding": rounding},
    )


def _product(c, a, b) -> tuple[Array, Array]:
    """c⟨a, b⟩ and |c|⟨|a|, |b|⟩ of each leaf; 0 first, for a tree without arrays."""
    (a, size_a), (b, size_b) = _sized(a), _sized(b)
    dtype = tree.result_dtype(a, b)

    def leaf(a, b):
        return jnp.sum(a.astype(dtype) * b.astype(dtype))

    value, size = (
        tree.cast(c, dtype)
        * jnp.stack([jnp.zeros((), dtype), *tree.leaves(tree.map(leaf, *pair))])
        for pair in ((a, b), (size_a, size_b))
    )
    return value, jnp.abs(size)


def _sized(a):
    if not isinstance(a, Change):
        return tree.wide(a), tree.map(jnp.abs, tree.wide(a))
    after, before = tree.wide(a.after), tree.wide(a.before)
    size = tree.map(lambda p, q: jnp.abs(p) + jnp.abs(q), after, before)
    return tree.sub(after, before), size
