"""The ledger of a solve of a body: what becomes of its energy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax.lyapunov import Check, Ledger, ledger_row, lie_derivative
from dynax.material.kinematics import square
from dynax.mechanics._body import AbstractBody


class WithWorkAndSupply(eqx.Module):
    """A body beside its work: Y = (y, (W, S)), Ẇ = D, Ṡ = supply (`body.accounts`).

    Along the exact motion H + W − S is constant. A solve of
    `ODETerm(WithWorkAndSupply(body).field)` with `SaveAt(ts=…)` gives what `audit`
    takes.
    """

    body: AbstractBody

    def init(self, y):
        zero = jnp.zeros((), tree.result_dtype(y))
        return y, (zero, zero)

    def field(self, t, y, args=None):
        dy, *powers = self.body.accounts(t, y[0], args)
        return dy, tuple(powers)


@eqx.filter_jit
def audit(body: AbstractBody, t, y: Any, accuracy) -> Ledger:
    """Audit the saved states of a `WithWorkAndSupply` solve, a row between two saves.

        fall         H₊ − H ≤ S₊ − S
        balance      H₊ − H = S₊ − S − (W₊ − W)
        identity     Ḣ = supply − D at the end of the row (pointwise, exact jvp)
        dissipation  D ≥ 0 at the end of the row

    The first two up to `accuracy` times what was summed, the last two up to round-off.
    What they could see is told relative to what was exchanged: `scale` is the row's
    |ΔT| + |Δ(H−T)| + |ΔW| + |ΔS|, T = ½Σmv², and powers likewise for the last two.

    Args:
        body: the body.
        t: (k,), times of the saves.
        y: (y, (W, S)) at them, leading by time.
        accuracy: relative, claimed of the solve, as 10·rtol.
    """

    def at(t, y):
        (x, history), v = state = y[0]
        dy, spent, fed = body.accounts(t, state)
        energy, rate = lie_derivative(body.energy, lambda *_: dy)(t, state)
        kinetic = jnp.sum(body.parts.mass * v**2) / 2
        quickened = jnp.sum(body.parts.mass * v * dy[1])
        load = tree.vdot(jnp.abs(body.parts.force), jnp.abs(x - body.parts.nodes))
        pressed = jnp.sqrt(square(body.stress(state[0])))
        size = (
            jnp.abs(energy)
            + 2 * (kinetic + load)
            + jnp.sum(pressed * body.parts.volume)
        )
        power = body.power(state) + jnp.abs(spent) + jnp.abs(fed)
        flow = jnp.abs(quickened) + jnp.abs(rate - quickened) + jnp.abs(spent)
        flow = flow + jnp.abs(fed)
        defect = rate - fed + spent
        return (energy, kinetic), size, defect, spent, power, flow

    account = jax.lax.map(lambda a: at(*a), (t, y))
    (energy, kinetic), size, defect, spent, power, flow = account
    change, (work, fed) = jnp.diff(energy), map(jnp.diff, y[1])
    moved = jnp.diff(kinetic)
    exchanged = jnp.abs(moved) + jnp.abs(change - moved)
    u = rounding_depth(tree.size(body.parts.nodes)) * tree.eps(y) / 2
    slack = (u + tree.cast(accuracy, size.dtype)) * (size[1:] + size[:-1])
    least = u * power[1:]
    seen = tree.safe_divide(least, flow[1:], jnp.inf)
    checks = {
        "fall": Check(fed - change, slack),
        "balance": Check(-jnp.abs(change - fed + work), slack),
        "identity": Check(-jnp.abs(defect[1:]), least, seen),
        "dissipation": Check(spent[1:], least, seen),
    }
    return ledger_row(
        jnp.arange(change.size),
        energy[:-1],
        change,
        checks,
        predicted=fed - work,
        scale=exchanged + jnp.abs(work) + jnp.abs(fed),
        terms={"work": work, "supply": fed},
    )
