"""Proved rates of convergence, held against a run: V₊ ≤ ρV of a map, V̇ ≤ −δ of a flow.

V knows the minimum, which a training run does not; a test problem does. Tolerances:
V is a number made of x, the state, x* and f*; each rounded once, to first order that
moves it by u·Σ|∂V/∂a||a|, and f, evaluated where it is, by u|∂V/∂f*|(|f| + |f*|). That
sum times k = `rounding_depth` is allowed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractRatedFlow, AbstractRatedMap, Minimum, as_flow
from dynax.lyapunov import Check, Ledger, ledger_row, lie_derivative


def rate_of_map(
    opt: AbstractRatedMap,
    f: Callable[[Params], Scalar],
    x: Params,
    lr: ScalarLike,
    minimum: Minimum,
    steps: int,
) -> Ledger:
    """Draw up rows for the proved rate of a map along a run.

    Rows of V₊ ≤ ρV along a run; `facts` has ln(V₊/V)/ln ρ, measured over proved.

    The ratio is +∞ where ρ = 1 or V is not above its rounding.
    """

    def body(carry, k):
        y, v, noise = carry
        x, state = y
        y = opt.step(x, state, jax.grad(f)(x), lr)
        v_next, noise_next = value(k + 1, y)
        rho = jnp.asarray(opt.factor(k, lr), v.dtype)
        tolerance = noise_next + rho * noise
        speed = jnp.log(jnp.maximum(v_next, noise_next) / v) / jnp.log(rho)
        clear = (rho < 1) & (v_next > 1e3 * tolerance)
        ratio = jnp.where(clear, speed, jnp.inf)
        row = _row(k, v, v_next - v, (rho - 1) * v, tolerance, v, ratio)
        return (y, v_next, noise_next), row

    def value(k, y):
        v = lambda y, minimum: opt.potential(k, y[0], y[1], f, minimum, lr)
        return _rounded(v, y, minimum, f)

    y = x, opt.init(x)
    ks = jnp.arange(steps, dtype=tree.result_dtype(x))
    return jax.lax.scan(body, (y, *value(0.0 * ks[0], y)), ks)[1]


def rate_of_flow(
    opt: AbstractRatedFlow,
    f: Callable[[Params], Scalar],
    ts,
    ys,
    lr: ScalarLike,
    minimum: Minimum,
) -> Ledger:
    """Draw up rows for the proved rate of a flow at many states.

    Rows of V̇ ≤ −δ at stacked states `ys` = (x, state); `facts` has −V̇/δ.

    V̇ is exact, by one jvp. The ratio is +∞ where δ is 0 or not above its rounding.
    """
    field = as_flow(opt, f, lr).field

    def at(k, t, y):
        def along(y, minimum):
            v = lambda t, y, args: opt.lyapunov(t, y[0], y[1], f, minimum, lr)
            return lie_derivative(v, field)(t, y)

        decayed = lambda y, minimum: opt.decay(t, y[0], y[1], f, minimum, lr)
        v, _ = along(y, minimum)
        rate, noise = _rounded(lambda *a: along(*a)[1], y, minimum, f)
        decay, more = _rounded(decayed, y, minimum, f)
        tolerance = noise + more
        clear = decay > 1e3 * tolerance
        ratio = jnp.where(clear, tree.safe_divide(-rate, decay), jnp.inf)
        return _row(k, v, rate, -decay, tolerance, jnp.abs(v), ratio)

    return jax.vmap(at)(jnp.arange(ts.size), ts, ys)


def _depth(y):
    return rounding_depth(tree.size(y)) * tree.eps(y) / 2


def _rounded(value, y, minimum: Minimum, f):
    """A number made of y and the minimum, and what rounding these moves it by."""
    minimum = tree.map(lambda a: tree.cast(a, tree.result_dtype(y)), minimum)
    v, slopes = jax.value_and_grad(value, (0, 1))(y, minimum)
    size = lambda a: tree.map(jnp.abs, a)
    moved = tree.vdot(size(slopes), size((y, minimum)))
    moved = moved + jnp.abs(slopes[1].value) * jnp.abs(f(y[0]))
    return v, _depth(y) * (moved + jnp.abs(v))


def _row(k, v, change, bound, tolerance, scale, ratio) -> Ledger:
    checks = {"rate": Check(bound - change, tolerance)}
    facts = {"measured/proved": ratio}
    return ledger_row(k, v, change, checks, scale=scale, facts=facts)
