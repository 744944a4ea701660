"""The account of a step that leaves Lion-κ's way: Lion-κ's terms and one detour.

A method may keep Lion-κ's momentum and change its step: rescale rows, decay, flatten
singular values. With x' = x + ε∇κ(m̃), the step of Lion-κ without decay, and x₊ the
step that was taken, for every f and any vector g,

    H = f + cκ(m),  c = εβ₁/(1−β₂):   H₊ − H = r − [Lion-κ's terms] + ⟨g, x₊ − x'⟩

exactly, r = f(x₊) − f(x) − ⟨g, x₊ − x⟩. Lion-κ's terms are ≥ 0; the last has no sign.
The check `fall` asks whether all but r lowers H. No theorem says so.
"""

import abc

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params, ScalarLike
from dynax.flow import AbstractAccountedOptimizer, AbstractSwitchedOptimizer, Step
from dynax.lyapunov import Check, Ledger
from dynax.optim.lion_kappa import LionKappa, LionState


SPENT = "dissipation_1", "dissipation_2", "bregman_conjugate", "bregman_momentum"


class AbstractDetour(AbstractAccountedOptimizer, AbstractSwitchedOptimizer):
    """A method with the momentum m of a Lion-κ, and a step of its own."""

    @property
    @abc.abstractmethod
    def lion(self) -> LionKappa:
        """Whose way is left, without decay."""

    @property
    def continuous(self):
        return False

    def balance(self, step, smoothness=None):
        return ledger(self.lion, step, step.state.m, step.state_next.m, smoothness)


def ledger(
    lion: LionKappa,
    step: Step,
    m: Params,
    m_next: Params,
    smoothness: ScalarLike | None = None,
) -> Ledger:
    """The row of one step beside that of `lion`, whose decay is 0.

    Args:
        lion: whose way is left.
        step: as observed.
        m, m_next: the momentum, *minus* an average of gradients; leaves that have none
            of this kind are None, and all of their step is a detour.
        smoothness: a Lipschitz constant of ∇f.
    """
    x = step.x
    given = lambda t: tree.map(_or_zeros, t, x, is_leaf=lambda a: a is None)
    within = lambda g, m: jnp.zeros_like(g) if m is None else g
    g = tree.map(within, step.grad, m)
    m, m_next = given(m), given(m_next)
    straight, _ = lion.update(x, LionState(m), g, step.lr)
    aside = tree.add(x, straight)  # x'
    off = tree.sub(tree.wide(step.x_next), tree.wide(aside))
    detour = tree.vdot(step.grad, off)
    row = lion.balance(
        step._replace(
            x=x,
            state=LionState(m),
            grad=g,
            x_next=aside,
            state_next=LionState(m_next),
            value_next=step.value_next - detour.astype(step.value_next.dtype),
            delta=straight,
        ),
    )
    assert row.predicted is not None
    dtype = detour.dtype
    u, u_s = float(jnp.finfo(dtype).eps) / 2, tree.eps(step.x) / 2
    known = step.x_next if step.delta is None else step.displacement
    size = tree.map(lambda a, b: jnp.abs(tree.wide(a)) + jnp.abs(b), known, off)
    depth = rounding_depth(tree.size(step.x)) * u + 8 * u_s
    noise = depth * tree.vdot(tree.map(jnp.abs, step.grad), size)
    noise = noise + sum(row.checks[k].tolerance for k in SPENT)
    spent = sum(row.terms[k] for k in SPENT) - detour
    scale = row.scale + jnp.abs(detour)
    seen = tree.safe_divide(noise, scale, jnp.inf)
    checks = {
        "balance": row.checks["balance"]._replace(resolution=seen),
        "momentum": row.checks["momentum"],
        "fall": Check(spent, noise),
    }
    if smoothness is not None:
        moved = tree.sub(tree.wide(step.x_next), tree.wide(step.x))
        bound = tree.cast(smoothness, dtype) / 2 * tree.vdot(moved, moved)
        values = 64 * u_s * (jnp.abs(step.value) + jnp.abs(step.value_next))
        checks["theorem"] = Check(bound - row.terms["residual"], values + noise)
    return row._replace(
        change=row.change + detour,
        predicted=row.predicted + detour,
        scale=scale,
        terms={**row.terms, "detour": -detour},
        checks=checks,
        facts={},
    )


def _or_zeros(m, x):
    return jnp.zeros_like(x) if m is None else m
