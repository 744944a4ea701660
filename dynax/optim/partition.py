"""One optimizer for some of the parameters, another for the rest: one map, one H."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractConditionalOptimizer, Step
from dynax.lyapunov import Check, Ledger
from dynax.optim._relatives import condition_of
from dynax.optim.mixed import AbstractParts


class Partition(AbstractParts, AbstractBalancedOptimizer, AbstractConditionalOptimizer):
    r"""Give each part of the parameters an optimizer and a learning rate of its own.

    x = (x₁, x₂, …), each part with an optimizer and a learning rate εᵢ = ρᵢε.

    Certificate: with Hᵢ = f + Kᵢ of the parts, H = f + Σ Kᵢ,
        flow  Ḣ = −Σ ρᵢDᵢ,     ẋᵢ = ρᵢ·(the flow of part i at ρᵢε)
        map   H₊ − H = r − Σ (what part i spends),  r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g: ⟨g, x₊ − x⟩ is the sum of those of
    the parts, each of which has a balance that holds for any gᵢ. All the coupling of
    the parts by f is in the one r, ≤ (L/2)‖x₊ − x‖² if f is L-smooth and g = ∇f(x).

    Source: sums of the parts' balances. Twin: optax.partition.

    Args:
        optimizers: by label, each with a balance.
        labels: as optax's `param_labels`: a tree of labels (or a prefix of one) like
            the parameters, or a function that makes it.
        rates: ρ by label, 1 unless named; 0 freezes a part.
    """

    optimizers: dict[str, AbstractBalancedOptimizer]
    labels: PyTree[str] | Callable[[Params], PyTree[str]]
    rates: dict[str, ScalarLike] = eqx.field(default_factory=dict)
    accepted: ClassVar[type] = AbstractBalancedOptimizer

    def condition(self) -> dict[str, Check]:
        return _prefixed({k: condition_of(opt) for k, opt in self.optimizers.items()})

    def energy(self, t, x, state, value, lr):
        h = tree.cast(value, tree.result_dtype(x))
        zero = jnp.zeros_like(h)
        for k, (x_,) in self._cut(x, x):
            lr_ = self._rate(k, lr)
            part = self.optimizers[k].energy(t, x_, state.parts[k], zero, lr_)
            h = h + part.astype(h.dtype)
        return h

    def dissipation(self, t, x, state, grad, lr):
        total = jnp.zeros((), tree.result_dtype(x))
        for k, (x_, g) in self._cut(x, x, grad):
            lr_, rho = self._rate(k, lr), tree.cast(self.rates.get(k, 1.0), total.dtype)
            part = self.optimizers[k].dissipation(t, x_, state.parts[k], g, lr_)
            total = total + rho * part.astype(total.dtype)
        return total

    def balance(self, step: Step, smoothness: ScalarLike | None = None) -> Ledger:
        """The parts' rows, drawn up with f at rest, and once the change of f."""
        dtype = tree.result_dtype(step.x)
        zero = jnp.zeros((), dtype)
        rows = {}
        moves = step.x, step.x_next, step.grad, step.displacement
        for k, (x, x_next, grad, delta) in self._cut(step.x, *moves):
            part = step._replace(
                x=x,
                x_next=x_next,
                grad=grad,
                delta=None if step.delta is None else delta,
                state=step.state.parts[k],
                state_next=step.state_next.parts[k],
                lr=self._rate(k, step.lr),
                value=zero,
                value_next=zero,
            )
            row = _sized(self.optimizers[k].balance(part))
            if row.predicted is None:
                raise TypeError(
                    f"optimizers: given {type(self.optimizers[k]).__name__} for {k}, "
                    "whose ledger predicts no change of H; accepted is one with a "
                    "balance."
                )
            rows[k] = _at_rest(row, part) if k in self.rates else row
        each = [tree.map(lambda a: _as(a, dtype), row) for row in rows.values()]
        total = lambda entry: sum(map(entry, each[1:]), entry(each[0]))
        rise = step.value_next.astype(dtype) - step.value.astype(dtype)
        residual = rise + total(lambda row: row.terms["residual"])
        checks = {"balance": _worst([row.checks["balance"] for row in each])}
        if smoothness is not None:
            delta = tree.sub(tree.wide(step.x_next), tree.wide(step.x))
            bound = tree.cast(smoothness, dtype) / 2 * tree.vdot(delta, delta)
            f = jnp.abs(step.value) + jnp.abs(step.value_next)
            noise = total(lambda row: row.checks["balance"].tolerance)
            rounding = 32 * tree.eps(step.x) * f.astype(dtype) + noise
            checks["theorem"] = Check(bound - residual, rounding)
        terms = _prefixed({k: row.terms for k, row in rows.items()})
        terms = {k: v for k, v in terms.items() if not k.endswith(".residual")}
        facts = _prefixed({k: row.facts for k, row in rows.items()})
        outside = [v for k, v in facts.items() if k.endswith(".outside")]
        if outside:
            facts["outside"] = jnp.any(jnp.stack(outside))
        return each[0]._replace(
            energy=step.value.astype(dtype) + total(lambda row: row.energy),
            change=rise + total(lambda row: row.change),
            predicted=rise + total(lambda row: row.predicted),
            defect=total(lambda row: row.defect),
            scale=total(lambda row: row.scale),
            terms={"residual": residual, **terms},
            facts=facts,
            checks=checks | _prefixed({k: row.checks for k, row in rows.items()}),
        )


def _prefixed(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{k}.{name}": v for k, part in parts.items() for name, v in part.items()}


def _sized(row: Ledger) -> Ledger:
    """Each check beside the size of its own part, not of the whole."""

    def sized(check: Check) -> Check:
        if check.resolution is not None:
            return check
        blur = tree.safe_divide(check.tolerance, row.scale, jnp.inf)
        return check._replace(resolution=blur)

    return row._replace(checks={k: sized(check) for k, check in row.checks.items()})


def _worst(checks: list[Check]) -> Check:
    """The one with the least margin beside its tolerance, as blurred as any of them."""
    margin, tolerance, blur = (
        jnp.stack(column) for column in zip(*checks, strict=True)
    )
    k = jnp.argmin(margin / tree.safe_denominator(tolerance))
    return Check(margin[k], tolerance[k], jnp.max(blur))


def _at_rest(row: Ledger, part: Step) -> Ledger:
    """At the rate 0 one thing is claimed, and exactly: x does not move."""
    frozen = jnp.asarray(part.lr) == 0
    zero = jnp.zeros_like(row.scale)
    moved = [
        jnp.max(jnp.abs(tree.wide(b) - tree.wide(a)), initial=0).astype(zero.dtype)
        for a, b in zip(*map(tree.leaves, (part.x, part.x_next)), strict=True)
    ]
    farthest = jnp.max(jnp.stack([zero, *moved]))
    aside = lambda a, value: jnp.where(frozen, value, a)
    checks = {
        k: Check(aside(c.margin, jnp.inf), c.tolerance, aside(c.resolution, 0))
        for k, c in row.checks.items()
    }
    still = Check(jnp.where(frozen, -farthest, jnp.inf), zero, zero)
    return row._replace(checks={**checks, "still": still})


def _as(a, dtype):
    return a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a
