"""Levenberg–Marquardt: damped Gauss–Newton steps for nonlinear least squares."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Flag, Scalar, ScalarLike
from dynax.newton import _forms


Form = Literal["auto", "primal", "dual", "free"]
FORMS = ("auto", "primal", "dual", "free")


class LevenbergMarquardtState(NamedTuple):
    """What a step leaves behind.

    Args:
        loss: ½‖r(y)‖² at the y that the step was given, under the step's `args`.
        accepted: whether the step moved y.
        damping: μ for the next step, λ = μ‖J‖²_F/n.
        growth: ν, by which the next rejection multiplies μ.
        converged: the last trial was within `rtol`, `atol`.
        result: `RESULTS.nonfinite` where r or Jᵀr was.
    """

    loss: Scalar
    accepted: Flag
    damping: Scalar
    growth: Scalar
    converged: Flag
    result: optx.RESULTS


class LevenbergMarquardt(
    optx.AbstractLeastSquaresSolver[Any, Any, Any, LevenbergMarquardtState]
):
    r"""min ½‖r(y)‖² by steps p = −(JᵀJ + λI)⁻¹Jᵀr,  λ = μ‖J‖²_F/n.

    n is the number of parameters, so λ is μ times the mean eigenvalue of JᵀJ: neither
    units of r nor weights of its rows change what μ means. A trial p is judged by

        ρ = (‖r(y)‖² − ‖r(y + p)‖²)/(‖r‖² − ‖r + Jp‖²)

    and taken if ρ > 0: μ ← μ·max(⅓, 1 − (2ρ − 1)³), ν ← 2. Else μ ← νμ, ν ← 2ν, and the
    next trial uses the same J, of at most `trials` in a step; if none is taken, y
    stays. A factorisation that fails, or a residual that is not finite, is a trial not
    taken, so the loss never rises and y stays finite.

    For `optimistix.least_squares`, or by hand with `args` that change between steps:
    a step evaluates r and J at y for its own `args` and keeps nothing of the step
    before but μ and ν. In both, `fn(y, args) → (r, aux)`, y and r any pytrees.

    Source: Nielsen 1999, "Damping parameter in Marquardt's method", IMM-REP-1999-05.

    Args:
        rtol, atol: stop when a trial moves y and r by less, as optimistix does.
        norm: in which.
        damping: μ of the first step.
        jacobian: (fn, y, args) → (r, J) with r flat, (rows,), and J of shape
            (rows, parameters), both in the order of `ravel_pytree`. Default: `jacfwd`,
            or `jacrev` if there are fewer rows than parameters; if each row of r
            depends on its own point, one `vmap` of `grad` over points is far cheaper.
        form: "primal", or "dual" p = −Jᵀ(JJᵀ + λI)⁻¹r, or "free": conjugate gradients
            with products by J and Jᵀ, never forming it (nor calling `jacobian`).
            "auto": free if J takes more than `memory`, else by the smaller matrix.
        memory: of J in bytes, for "auto".
        linear_solver: of the form "free".
        trials: how many values of μ a step may try.
    """

    rtol: ScalarLike = 1e-8
    atol: ScalarLike = 1e-8
    norm: Callable[[Any], Scalar] = optx.max_norm
    damping: ScalarLike = 1e-3
    jacobian: Callable[..., tuple[Array, Array]] | None = None
    form: Form = eqx.field(default="auto", static=True)
    memory: int = eqx.field(default=2**30, static=True)
    linear_solver: lx.AbstractLinearSolver = lx.CG(rtol=1e-4, atol=0.0, max_steps=500)
    trials: int = eqx.field(default=8, static=True)

    def __check_init__(self):
        if self.form not in FORMS:
            accepted = ", ".join(FORMS)
            raise ValueError(f"form: given {self.form!r}; accepted is {accepted}.")
        if self.trials < 1:
            raise ValueError(f"trials: given {self.trials}; accepted is 1 or more.")
        if tree.is_concrete(self.damping) and not self.damping > 0:
            raise ValueError(f"damping: given {self.damping}; accepted is > 0.")

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        del fn, args, options, f_struct, aux_struct, tags
        tree.check_params(y, "y")
        dtype = ravel_pytree(y)[0].dtype
        return LevenbergMarquardtState(
            loss=jnp.array(jnp.inf, dtype),
            accepted=jnp.array(False),
            damping=tree.cast(self.damping, dtype),
            growth=jnp.array(2, dtype),
            converged=jnp.array(False),
            result=optx.RESULTS.successful,
        )

    def step(self, fn, y, args, options, state, tags):
        del options, tags
        flat, unravel = ravel_pytree(y)

        def residual(flat):
            r, aux = fn(unravel(flat), args)
            return ravel_pytree(r)[0], aux

        r, aux, here = self.linearise(fn, y, args, residual)
        tiny = jnp.finfo(flat.dtype).eps
        loss = r @ r / 2

        def trial(carry):
            tried, mu, nu, *_ = carry
            p = here.step(mu * here.scale)
            r_new, aux_new = residual(flat + p)
            fallen = (r - r_new) @ (r + r_new) / 2
            Jp = here.model(p)
            ratio = fallen / -(here.gradient @ p + Jp @ Jp / 2)
            taken = ratio > 0
            shrink = jnp.maximum(1 / 3, 1 - (2 * ratio - 1) ** 3)
            mu = jnp.clip(jnp.where(taken, mu * shrink, mu * nu), tiny, 1 / tiny)
            nu = jnp.where(taken, 2, 2 * nu)
            converged = self.small(p, flat) & self.small(r_new - r, r)
            keep = lambda new, old: jnp.where(taken, new, old)
            moved = jax.tree.map(keep, (flat + p, aux_new), (flat, aux))
            return tried + 1, mu, nu, taken, converged, moved

        def undecided(carry):
            tried, _, _, taken, converged, _ = carry
            return (tried < self.trials) & ~taken & ~converged

        no = jnp.array(False)
        start = (jnp.array(0), state.damping, state.growth, no, no, (flat, aux))
        _, mu, nu, taken, converged, moved = jax.lax.while_loop(undecided, trial, start)
        finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(here.gradient))
        result = optx.RESULTS.where(
            finite, optx.RESULTS.successful, optx.RESULTS.nonfinite
        )
        state = LevenbergMarquardtState(loss, taken, mu, nu, converged, result)
        return unravel(moved[0]), state, moved[1]

    def linearise(self, fn, y, args, residual):
        """r (rows,), aux and the forms of J at y."""
        flat, _ = ravel_pytree(y)
        rows = jax.eval_shape(residual, flat)[0].size
        form = self.form
        if form == "auto":
            heavy = rows * flat.size * flat.dtype.itemsize > self.memory
            small = "dual" if rows < flat.size else "primal"
            form = "free" if heavy else small
        if form == "free":
            return _forms.free(residual, flat, self.linear_solver)
        if self.jacobian is None:
            derive = jax.jacrev if rows < flat.size else jax.jacfwd
            again = lambda flat: (lambda r, aux: (r, (r, aux)))(*residual(flat))
            J, (r, aux) = derive(again, has_aux=True)(flat)
        else:
            r, J = self.jacobian(fn, y, args)
            if r.shape != (rows,) or J.shape != (rows, flat.size):
                raise ValueError(
                    f"jacobian: given r of shape {r.shape} and J of {J.shape}; "
                    f"accepted is {(rows,)} and {(rows, flat.size)}."
                )
            aux = residual(flat)[1]
        linearised = _forms.dual if form == "dual" else _forms.primal
        return r, aux, linearised(J, r)

    def small(self, change: Float[Array, " k"], of: Float[Array, " k"]) -> Flag:
        return self.norm(change / (self.atol + self.rtol * jnp.abs(of))) < 1

    def terminate(self, fn, y, args, options, state, tags):
        del fn, y, args, options, tags
        return state.converged, state.result

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        del fn, args, options, tags, result
        return y, aux, {"loss": state.loss}
