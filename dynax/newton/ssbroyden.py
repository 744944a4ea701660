"""Self-scaled Broyden: quasi-Newton with a dense inverse Hessian, for optax."""

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Params, Scalar, Step


Method = Literal["ssbroyden", "ssbfgs", "bfgs"]


class ScaleBySSBroydenState(NamedTuple):
    """The matrix H, and the step before: from where, along −Hg.

    Args:
        inverse_hessian: H.
        params: x.
        updates: g, the gradient there.
        direction: Hg.
        steps: how many were made.
    """

    inverse_hessian: Float[Array, "n n"]
    params: Float[Array, " n"]
    updates: Float[Array, " n"]
    direction: Float[Array, " n"]
    steps: Step


class Secant(NamedTuple):
    """One pair: s = x₊ − x, y = g₊ − g, and Hy, yᵀs, yᵀHy, b = sᵀH⁻¹s/yᵀs."""

    s: Float[Array, " n"]
    y: Float[Array, " n"]
    Hy: Float[Array, " n"]
    ys: Scalar
    yHy: Scalar
    b: Scalar


def coefficients(pair: Secant, method: Method) -> tuple[Scalar, Scalar]:
    """τ and φ of the update."""
    tiny = jnp.finfo(pair.s.dtype).eps
    h, b = pair.yHy / pair.ys, pair.b
    a = jnp.maximum(h * b - 1, tiny)  # ≥ 0 by Cauchy–Schwarz
    if method == "ssbroyden":
        lowest = jnp.minimum(1, 1 / (b * (1 + jnp.sqrt(a / (1 + a)))))  # ρ⁻
        theta = jnp.minimum(1 / lowest, (1 - b) / b)
        theta = jnp.maximum((lowest - 1) / a, theta)
    else:
        theta = jnp.zeros_like(a)
    sigma = 1 + theta * a
    highest = jnp.minimum(1, 1 / b)  # ρ⁺
    root = sigma ** (-1 / max(len(pair.s) - 1, 1))
    below = jnp.minimum(highest * root, sigma)
    above = highest * jnp.minimum(root, 1 / jnp.where(theta > 0, theta, 1))
    tau = jnp.where(theta > 0, above, below)
    return (jnp.ones_like(tau) if method == "bfgs" else tau), (1 - theta) / sigma


def scale_by_ssbroyden(
    method: Method = "ssbroyden",
) -> optax.GradientTransformationExtraArgs:
    r"""Multiply the gradient by H, the inverse Hessian of the self-scaled Broyden
    family.

        H₊ = (H − Hy(Hy)ᵀ/yᵀHy + φvvᵀ)/τ + ssᵀ/yᵀs,
        v  = √(yᵀHy)·(s/yᵀs − Hy/yᵀHy),   s = x₊ − x,  y = g₊ − g

        h = yᵀHy/yᵀs,  b = sᵀH⁻¹s/yᵀs,  a = hb − 1,  c = √(a/(1 + a))
        ρ⁻ = min(1, h(1 − c)),  ρ⁺ = min(1, 1/b),  σ = 1 + θa,  φ = (1 − θ)/σ
        θ = max((ρ⁻ − 1)/a, min(1/ρ⁻, (1 − b)/b))
        τ = ρ⁺·min(σ^(−1/(n−1)), 1/θ) if θ > 0, else min(ρ⁺σ^(−1/(n−1)), σ)

    θ = 0 gives "ssbfgs", and τ = 1 besides "bfgs". H₊y = s, and H₊ stays positive
    definite: a pair with yᵀs ≤ 0 is passed over. The first H is I/max(1, ‖g‖), and if
    round-off ever makes gᵀHg ≤ 0, H starts again from there.

    `update` takes `fresh`, a boolean that may be traced: True says that the objective
    is not that of the step before (new points, new weights), so that the difference of
    the two gradients says nothing of curvature; H stays and the pair is passed over.

    b needs no H⁻¹, since s = −αHg: whatever follows in a chain may change the length
    of the step but not its direction. Memory: n² numbers, for n parameters.

    Source: Urbán, Stefanou, Pons, arXiv:2405.04230, eqs. 13–23; Al-Baali 1998.

    Args:
        method: "ssbroyden", "ssbfgs" or "bfgs".

    Raises:
        ValueError: another method.
    """
    if method not in get_args(Method):
        accepted = ", ".join(get_args(Method))
        raise ValueError(f"method: given {method!r}; accepted is {accepted}.")

    def init(params: Params) -> ScaleBySSBroydenState:
        tree.check_params(params)
        x, _ = ravel_pytree(params)
        none = jnp.zeros_like(x)
        eye = jnp.eye(len(x), dtype=x.dtype)
        return ScaleBySSBroydenState(eye, none, none, none, jnp.zeros((), jnp.int32))

    def update(updates, state, params=None, *, fresh=False, **extra):
        del extra
        if params is None:
            raise ValueError("params: given None; accepted are the parameters.")
        x, _ = ravel_pytree(params)
        g, unravel = ravel_pytree(updates)
        tiny = jnp.finfo(g.dtype).eps
        H, Hg = state.inverse_hessian, state.inverse_hessian @ g

        s, y, Hy = x - state.params, g - state.updates, Hg - state.direction
        ys, yHy = y @ s, y @ Hy
        norm = jnp.linalg.norm
        usable = (state.steps > 0) & ~jnp.asarray(fresh) & (yHy > 0)
        usable &= (ys > tiny * norm(y) * norm(s)) & jnp.isfinite(yHy)
        safe = lambda number: jnp.where(usable, number, 1)
        ys, yHy = safe(ys), safe(yHy)
        length = norm(s) / safe(norm(state.direction))  # α
        b = safe(length**2 * (state.direction @ state.updates) / ys)
        pair = Secant(s, y, Hy, ys, yHy, b)
        tau, phi = coefficients(pair, method)
        v = jnp.sqrt(yHy) * (s / ys - Hy / yHy)
        grow = lambda A, Hyy, vv, ss: (A - Hyy / yHy + phi * vv) / tau + ss / ys
        squares = [jnp.outer(a, a) for a in (Hy, v, s)]
        H = jnp.where(usable, grow(H, *squares), H)
        along = [a * (a @ g) for a in (Hy, v, s)]
        Hg = jnp.where(usable, grow(Hg, *along), Hg)

        lost = (state.steps == 0) | ~(g @ Hg > 0)
        size = 1 / jnp.maximum(1, norm(g))
        H = jnp.where(lost, size * jnp.eye(len(x), dtype=x.dtype), H)
        Hg = jnp.where(lost, size * g, Hg)
        new = ScaleBySSBroydenState(H, x, g, Hg, state.steps + 1)
        return unravel(Hg), new

    return optax.GradientTransformationExtraArgs(init, update)


def ssbroyden(
    learning_rate: optax.ScalarOrSchedule | None = None,
    method: Method = "ssbroyden",
    linesearch: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Return `optax.lbfgs` with the dense self-scaled H of `scale_by_ssbroyden` in its
    place.

    Called as optax's: `update(grad, state, params, value=…, grad=…, value_fn=…)`; and
    `fresh=…`, see `scale_by_ssbroyden`. A new objective needs the value and gradient of
    its own, not those that `optax.value_and_grad_from_state` finds in the state.

    Args:
        learning_rate: factor of the step; by default left to the line search.
        method: of the family.
        linesearch: default `optax.scale_by_zoom_linesearch`, strong Wolfe, starting
            from 1.
    """
    if learning_rate is None:
        scaling = optax.scale(-1.0)
    else:
        scaling = optax.scale_by_learning_rate(learning_rate)
    if linesearch is None:
        linesearch = optax.scale_by_zoom_linesearch(
            max_linesearch_steps=20, initial_guess_strategy="one"
        )
    linesearch = optax.with_extra_args_support(linesearch)

    def search(updates, state, params=None, *, fresh=False, **extra):
        del fresh
        return linesearch.update(updates, state, params, **extra)

    last = optax.GradientTransformationExtraArgs(linesearch.init, search)
    return optax.chain(scale_by_ssbroyden(method), scaling, last)
