"""The claim of a flow, V̇ = −D with D ≥ 0, at random states."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params
from dynax.flow import AbstractOptimizer, LyapunovFlow
from dynax.lyapunov import Check, Ledger, ledger_row
from dynax.monitor._diffrax import observe_flow


# Why an energy certifies nothing.
VACUOUS = (
    "no motion changes H",
    "H does not grow with a loss that the flow changes",
    "H falls by its clock alone",
)


def random_states(opt: AbstractOptimizer, f, x: Params, lr, steps: int, key):
    """Draw states that the optimizer can be in, stacked: x and its state.

    They are iterates under gradients whose noise is as large as they are.
    """

    def body(carry, key):
        x, s = carry
        g = jax.grad(f)(x)
        keys = jax.random.split(key, len(tree.leaves(g)))
        keys = jax.tree.unflatten(jax.tree.structure(g), keys)
        size = jnp.sqrt(tree.vdot(g, g) / tree.size(g))

        def disturb(a, key):
            return a + size.astype(a.dtype) * jax.random.normal(key, a.shape, a.dtype)

        return opt.step(x, s, tree.map(disturb, g, keys), lr), (x, s)

    return jax.lax.scan(body, (x, opt.init(x)), jax.random.split(key, steps))[1]


@eqx.filter_jit
def pointwise(
    flow: LyapunovFlow, x: Params, states: int, key
) -> tuple[Ledger, Bool[Array, " 4"]]:
    """Draw up rows of V̇ = −D and D ≥ 0 at random states around x.

    Also returned: whether each of `VACUOUS` is so, and whether D = 0 everywhere.
    """
    # not the start itself: m = 0 is a kink of every norm; a first step may only look
    ys = random_states(flow.opt, flow.f, x, flow.lr, states + 2, key)
    ys = tree.map(lambda a: a[2:], ys)
    dtype = tree.result_dtype(x)
    ts = jnp.arange(2, states + 2, dtype=dtype) * tree.cast(flow.lr, dtype)

    at = jax.vmap(lambda t, y: observe_flow(flow, t, y))(ts, ys)
    v, dv, d, size = at.energy, at.rate, at.dissipation, at.power
    known = jnp.isfinite(v)
    u = rounding_depth(tree.size(x)) * tree.eps(x) / 2
    allowed = u * jnp.max(jnp.where(known, size, 0))
    allowed = jnp.broadcast_to(allowed.astype(v.dtype), v.shape)
    never = lambda flags: jnp.any(known) & ~jnp.any(known & flags)
    by_clock = never(dv - at.clock < -allowed) & ~never(at.clock < -allowed)
    found = [never(size > 0), never(at.pull > u * size), by_clock]
    found = jnp.stack([*found, never(jnp.abs(d) > allowed)])
    checks = {
        "identity": Check(-jnp.abs(dv + d), allowed),
        "dissipation": Check(d, allowed),
    }
    rows = ledger_row(
        # H = +∞ outside dom κ*: nothing is claimed there
        jnp.where(known, jnp.arange(states), -1),
        jnp.where(known, v, 0),
        dv,
        checks,
        predicted=-d,
        scale=jnp.maximum(jnp.abs(d), size),
        terms={"dissipation": d},
    )
    return rows, found
