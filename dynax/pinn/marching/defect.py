"""What the equation makes of all residuals so far: the error that a march carries.

With u the function found, r its residual and y = u + e the solution,

    ė = λe + N(u + e) − N(u) − r,   e(0) = the error of the start.

No derivative of N is declared and no growth either: e itself is carried from window to
window, in all modes that the residual has. It is far smaller than u, so a few digits
of it suffice: ETDRK4 with few steps, and again with half as many.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax.pde.etdrk4 import coefficients
from dynax.pinn.marching.ansatz import AbstractAnsatz


class Carried(NamedTuple):
    """The error over a window.

    Args:
        end: ê at its end.
        largest: ‖e_f(t)‖ at its largest, root mean squares over space, (c,).
        size: the mean square over time and space of u, (c,).
        last: ‖u_f‖ at its end, (c,).
    """

    end: Array
    largest: Float[Array, " c"]
    size: Float[Array, " c"]
    last: Float[Array, " c"]


@eqx.filter_jit
def carried(ansatz: AbstractAnsatz, y, start, length, error, steps) -> Carried:
    """ê from its start to the window's end, in so many steps, an array."""
    space, dtype = ansatz.space, length.dtype
    cast = lambda a: jnp.asarray(a, dtype).astype(start.dtype)
    offset = jnp.zeros(len(ansatz.pde.lower), dtype)
    moved = lambda s: ansatz.displacement(y, s, offset)
    h = 1 / steps.astype(dtype)
    within = space.within
    linear = cast(length) * space.linear(dtype)
    by = coefficients(linear.astype(np.result_type(dtype, np.complex64)), h)
    real = not jnp.iscomplexobj(start)
    by = jax.tree.map(lambda a: a.real, by) if real else by

    def force(tau, e):
        d, speed = jax.jvp(moved, (tau,), (jnp.ones_like(tau),))
        u = start + d
        change = space.nonlinear(u + e) - space.nonlinear(u)
        r = speed - cast(length) * space.rate(u)
        return within(cast(length) * change - r)

    def step(i, now):
        e, largest, size = now
        tau = i.astype(dtype) * h
        at = force(tau, e)
        a = by.half * e + by.q * at
        at_a = force(tau + h / 2, a)
        at_b = force(tau + h / 2, by.half * e + by.q * at_a)
        at_c = force(tau + h, by.half * a + by.q * (2 * at_b - at))
        e = by.whole * e + by.f1 * at + 2 * by.f2 * (at_a + at_b) + by.f3 * at_c
        new, u = mean_square(e), mean_square(start + moved(tau + h))
        most = jnp.maximum(largest, new)
        share = jnp.where(i + 1 < steps, h, h / 2)  # the trapezoidal rule
        return e, most, size + share * u

    mean_square = lambda modes: jnp.sum(space.rows(modes) ** 2, -1)
    begun = mean_square(error)
    first = mean_square(start) * h / 2
    e, largest, size = jax.lax.fori_loop(0, steps, step, (error, begun, first))
    last = jnp.sqrt(mean_square(start + moved(jnp.ones((), dtype))))
    return Carried(e, jnp.sqrt(largest), size, last)
