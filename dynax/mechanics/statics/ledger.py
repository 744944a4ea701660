"""The ledger of a path: forces in balance, and where the work of loads went."""

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import ScalarLike
from dynax.lyapunov import Check, Ledger, ledger_row
from dynax.material.kinematics import square
from dynax.mechanics._body import AbstractBody
from dynax.mechanics.statics.path import Path


def audit(body: AbstractBody, path: Path, accuracy: ScalarLike = 1e-8) -> Ledger:
    r"""Audit the equilibria of a path, a row for each load step.

        equilibrium  λfₐ = Σ V₀P∇Nₐ at each free node
        balance      W = ΔΨ + D
        dissipation  ΔΨ of the law's `update` ≤ 0

    Ψ is the stored energy Σ V₀ψ, g what pulls from outside: loads and reactions. With
    the history α of the last state and α₊ of this one

        W = ½⟨g + g₊, Δu⟩,   D = Ψ(u₊, α) − Ψ(u₊, α₊) − ½⟨f(u₊, α) − f(u₊, α₊), Δu⟩.

    The sums ½⟨·, Δu⟩ are right to second order in the step. `balance` allows twice
    their error, as Simpson's rule tells it; where steps are long it sees nothing.
    `equilibrium` allows `accuracy` of the forces of the elements at a node.

    Args:
        body: with an energy.
        path: of `load` or `arc`.
        accuracy: relative, claimed of forces and energies beside round-off.

    Raises:
        TypeError: a law without an energy.
    """
    return _audit(body, path, accuracy)


@eqx.filter_jit
def _audit(body, path, accuracy):
    parts = body.parts
    gather = lambda f: jnp.zeros_like(parts.nodes).at[parts.elements].add(f)
    u_ = rounding_depth(path.u[0].size) * tree.eps(path.u) / 2
    accuracy = tree.cast(accuracy, path.u.dtype)

    def row(a, b):
        moved, amid = b.u - a.u, (a.u + b.u) / 2
        force = lambda u, history: gather(body.element_forces(u, history))
        old, half, trial = (force(u, a.history) for u in (a.u, amid, b.u))
        each = body.element_forces(b.u, b.history)
        new = gather(each)
        outside = [p.factor * parts.force + p.reaction for p in (a, b)]
        off = jnp.max(parts.free * jnp.abs(outside[1] - new))
        size = jnp.max(gather(jnp.abs(each)) + jnp.abs(b.factor * parts.force))
        lost = jnp.zeros_like(moved[:, 0]).at[parts.elements]
        lost = lost.add(body.rounded(b.u, b.history))
        slack = u_ * jnp.max(lost) + accuracy * size

        rest, tried, stored = (
            body.stored(u, history)
            for u, history in ((a.u, a.history), (b.u, a.history), (b.u, b.history))
        )
        work = jnp.sum((outside[0] + outside[1]) * moved) / 2
        heat = tried - stored
        spent = heat - jnp.sum((trial - new) * moved) / 2
        simpson = jnp.sum((4 * half - 2 * old - 2 * trial) * moved) / 6
        pressed = jnp.sum(
            parts.volume * jnp.sqrt(square(body.stress_at(b.u, b.history)))
        )
        blur = jnp.sum(lost * jnp.max(jnp.abs(moved), 1)) + pressed
        blur = u_ * (blur + jnp.abs(rest) + jnp.abs(stored))
        exchanged = jnp.abs(work) + jnp.abs(stored - rest) + jnp.abs(spent)
        checks = {
            "equilibrium": Check(-off, slack, tree.safe_divide(slack, size, jnp.inf)),
            "balance": Check(
                -jnp.abs(work - (stored - rest) - spent),
                2 * jnp.abs(simpson) + accuracy * exchanged + blur,
            ),
        }
        if a.history.size:
            checks["dissipation"] = Check(heat, blur + accuracy * exchanged)
        terms = {"work": work, "dissipation": spent}
        return rest, stored - rest, checks, work - spent, exchanged, terms

    states = (tree.map(lambda a: a[:-1], path), tree.map(lambda a: a[1:], path))
    energy, change, checks, predicted, scale, terms = jax.lax.map(
        lambda ab: row(*ab), states
    )
    return ledger_row(
        jnp.arange(change.size),
        energy,
        change,
        checks,
        predicted=predicted,
        scale=scale,
        terms=terms,
    )
