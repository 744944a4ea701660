"""Levenberg–Marquardt: damped Gauss–Newton steps for nonlinear least squares."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jax.typing import DTypeLike
from jaxtyping import Array

from dynax import _tree as tree
from dynax._check import check_positive, require
from dynax._types import Flag, Scalar, ScalarLike, Step
from dynax.newton import _forms


Form = Literal["auto", "primal", "dual", "free"]


class LevenbergMarquardtState(NamedTuple):
    """What a step leaves behind.

    Args:
        loss: ½‖r(y)‖² at the y that the step was given, under the step's `args`.
        accepted: whether the step moved y.
        damping: μ for the next step, λ = μ‖J‖²_F/n.
        steps: how many were made.
        converged: the last trial was within `rtol`, `atol`.
        result: `RESULTS.nonfinite` where r or Jᵀr was.
    """

    loss: Scalar
    accepted: Flag
    damping: Scalar
    steps: Step
    converged: Flag
    result: optx.RESULTS


class LevenbergMarquardt(
    optx.AbstractLeastSquaresSolver[Any, Any, Any, LevenbergMarquardtState]
):
    r"""Minimize a sum of squares by damped Gauss–Newton steps.

    min ½‖r(y)‖² by steps p = −(JᵀJ + λI)⁻¹Jᵀr,  λ = μ‖J‖²_F/n.

    n is the number of parameters, so λ is μ times the mean eigenvalue of JᵀJ: neither
    units of r nor weights of its rows change what μ means. A trial p is taken if the
    loss falls, and sets the next μ by the ratio of that fall to the predicted one,

        ρ = (‖r(y)‖² − ‖r(y + p)‖²)/(‖r‖² − ‖r + Jp‖²):
        μ ← μ·min(⅓, |1 − ρ|)  if ρ > ¼,   μ  if ρ > 1/100,   2μ  if less.

    After a trial that is not taken the next one uses the same J; if none of `trials`
    is, y stays. Neither a factorisation that fails nor a residual that is not finite
    is taken, so the loss never rises and y stays finite. λ is at least ε‖J‖²_F, where
    the round-off of JᵀJ ends; in the form "primal" at least nε‖Jⱼ‖² in column j if that
    is less, so that units of single parameters do not matter either. As |1 − ρ| → 0
    with the steps, convergence is quadratic where r = 0 and J has full rank at the
    solution. Where Jᵀr = 0, and so also where J = 0, y is a solution: the step is 0.

    For `optimistix.least_squares` and its `options=dict(jac="fwd")` or "bwd", or by
    hand with `args` that change between steps:
    a step evaluates r and J at y for its own `args` and keeps nothing of the step
    before but μ. By hand, `fn(y, args) → (r, aux)`, y and r any pytrees, and

        state = solver.init(fn, y, args, {}, None, None, frozenset())
        y, state, aux = solver.step(fn, y, args, {}, state, frozenset())

    Source: Marquardt 1963. The rule for μ: found here, see
    docs/reference/second-order.md.

    Args:
        rtol, atol: stop when a trial moves y and r by less, as optimistix does.
        norm: in which.
        damping: μ of the first step.
        jacobian: (fn, y, args) → (r, J) with r flat, (rows,), and J of shape
            (rows, n), both in the order of `ravel_pytree`. Default: `jacfwd`, or
            `jacrev` if there are fewer rows than parameters or `jac` is "bwd"; if each
            row of r depends on its own point, one `vmap` of `grad` over the points is
            far cheaper.
        form: "primal"; "dual", p = −Jᵀ(JJᵀ + λI)⁻¹r; "free", `linear_solver` with
            products by J and Jᵀ only (`jacobian` is not called). "auto" takes the
            smaller matrix, or is free where that would take more than `memory`.
        memory: bytes of a step, for "auto".
        linear_solver: of the form "free".
        preconditioner: for it: (y, args, λ) → (v ↦ M⁻¹v) on flat vectors, M positive
            definite and like JᵀJ + λI.
        sketch: rows s of a fresh CountSketch S in each step: (SJ)ᵀSJ for JᵀJ, the
            gradient Jᵀr and ρ's numerator stay exact. For rows ≫ n; s = 2n is usual.
            Where there are no more than s rows, J itself is taken.
        trials: how many values of μ a step may try.

    Raises:
        ValueError: at construction, a field that is not as above; at trace time,
            `jacobian` gives other shapes, or `options["jac"]` is another word.
        TypeError: y or r is not of real floating arrays.
    """

    rtol: ScalarLike = 1e-8
    atol: ScalarLike = 1e-8
    norm: Callable[[Any], Scalar] = optx.max_norm
    damping: ScalarLike = 1e-3
    jacobian: Callable[..., tuple[Array, Array]] | None = None
    form: Form = eqx.field(default="auto", static=True)
    memory: int = eqx.field(default=2**30, static=True)
    linear_solver: lx.AbstractLinearSolver = lx.CG(rtol=1e-5, atol=1e-5, max_steps=500)
    preconditioner: Callable[..., Callable] | None = None
    sketch: int | None = eqx.field(default=None, static=True)
    trials: int = eqx.field(default=8, static=True)

    def __check_init__(self):
        forms = get_args(Form)
        require(self.form in forms, "form", self.form, ", ".join(forms))
        require(self.trials >= 1, "trials", self.trials, "1 or more")
        check_positive(damping=self.damping)
        if self.sketch is not None:
            require(self.sketch >= 1, "sketch", self.sketch, "None, or 1 or more rows")
            primal = self.form in ("auto", "primal")
            require(primal, "form", self.form, "auto or primal with sketch")

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        del fn, args, options, f_struct, aux_struct, tags
        tree.check_params(y, "y")
        dtype = ravel_pytree(y)[0].dtype
        return LevenbergMarquardtState(
            loss=jnp.array(jnp.inf, dtype),
            accepted=jnp.array(False),
            damping=tree.cast(self.damping, dtype),
            steps=jnp.array(0),
            converged=jnp.array(False),
            result=optx.RESULTS.successful,
        )

    def step(self, fn, y, args, options, state, tags):
        del tags
        flat, unravel = ravel_pytree(y)

        def residual(flat):
            r, aux = fn(unravel(flat), args)
            return ravel_pytree(r)[0], aux

        jac = options.get("jac")
        r, aux, here = self.linearise(fn, y, args, residual, state.steps, jac)
        loss = r @ r / 2
        most = 1 / (flat.size * jnp.finfo(flat.dtype).eps)

        def trial(carry):
            tried, mu, *_ = carry
            p = here.step(mu * here.scale)
            r_new, aux_new = residual(flat + p)
            fall = (r - r_new) @ (r + r_new) / 2
            Jp = here.model(p)
            taken = fall > 0
            ratio = fall / -(here.gradient @ p + Jp @ Jp / 2)
            ratio = jnp.where(taken, ratio, -jnp.inf)
            less = jnp.minimum(1 / 3, jnp.abs(1 - ratio))
            mu = mu * jnp.where(ratio > 1 / 4, less, jnp.where(ratio > 0.01, 1, 2))
            near = self.small(p, flat) & self.small(r_new - r, r)
            keep = lambda new, old: jnp.where(taken, new, old)
            moved = jax.tree.map(keep, (flat + p, aux_new), (flat, aux))
            return tried + 1, jnp.clip(mu, here.least, most), taken, near, moved

        def undecided(carry):
            tried, _, taken, near, _ = carry
            return (tried < self.trials) & ~taken & ~near

        no = jnp.array(False)
        start = (jnp.array(0), state.damping, no, no, (flat, aux))
        _, mu, taken, near, moved = jax.lax.while_loop(undecided, trial, start)
        state = LevenbergMarquardtState(
            loss=loss,
            accepted=taken,
            damping=mu,
            steps=state.steps + 1,
            converged=near,
            result=optx.RESULTS.where(
                jnp.isfinite(loss) & jnp.all(jnp.isfinite(here.gradient)),
                optx.RESULTS.successful,
                optx.RESULTS.nonfinite,
            ),
        )
        return unravel(moved[0]), state, moved[1]

    def linearise(self, fn, y, args, residual, steps, jac=None):
        """r as a vector, aux, and the step from y as a function of λ."""
        flat, _ = ravel_pytree(y)
        shape = jax.eval_shape(residual, flat)[0]
        rows = shape.size
        if not jnp.issubdtype(shape.dtype, jnp.floating):
            raise TypeError(
                f"fn: given a residual of {shape.dtype}; accepted are real floating "
                "arrays, such as the real and the imaginary part of a complex one."
            )
        if jac not in (None, "fwd", "bwd"):
            raise ValueError(f"jac: given {jac!r} in options; accepted is fwd or bwd.")
        form = self.chosen(rows, flat.size, flat.dtype)
        if form == "free":
            transposed = lambda f, like: lambda q: jax.linear_transpose(f, like)(q)[0]
            if jac == "bwd":
                r, back, aux = jax.vjp(residual, flat, has_aux=True)
                pull = lambda q: back(q)[0]
                push = transposed(pull, r)
            else:
                r, push, aux = jax.linearize(residual, flat, has_aux=True)
                pull = transposed(push, flat)
            near = self.preconditioner
            near = None if near is None else functools.partial(near, y, args)
            solver = self.linear_solver
            return r, aux, _forms.free(push, pull, r, flat.size, solver, near)
        if self.jacobian is None:
            backward = rows < flat.size if jac is None else jac == "bwd"
            derive = jax.jacrev if backward else jax.jacfwd
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
        if form == "dual":
            return r, aux, _forms.dual(J, r)
        if self.sketch is None or not self.sketches(rows):
            return r, aux, _forms.primal(J, J.T @ r)
        key = jax.random.fold_in(jax.random.key(0), steps)
        return r, aux, _forms.primal(_forms.count_sketch(key, J, self.sketch), J.T @ r)

    def chosen(self, rows: int, params: int, dtype: DTypeLike = float) -> Form:
        """The form of a step of this shape: what "auto" comes to."""
        if self.form != "auto":
            return self.form
        dense = "dual" if rows < params and not self.sketches(rows) else "primal"
        heavy = self.bytes_of(dense, rows, params, dtype) > self.memory
        return "free" if heavy else dense

    def sketches(self, rows: int) -> bool:
        """Whether a step of so many rows takes fewer sums of them."""
        return self.sketch is not None and self.sketch < rows

    def bytes_of(self, form: Form, rows: int, params: int, dtype: DTypeLike) -> int:
        if form == "free":
            numbers = 10 * (rows + params)
        else:
            side = rows if form == "dual" else params
            numbers = 2 * rows * params + 3 * side**2
            numbers += 2 * (self.sketch or 0) * params if self.sketches(rows) else 0
        return numbers * jnp.dtype(dtype).itemsize

    def step_bytes(self, rows: int, params: int, dtype: DTypeLike = float) -> int:
        """Memory of a step's matrices and vectors, within a factor of two.

        Dense: J and its transpose, the square matrix, that plus λI and its factor.
        Free: vectors. Besides it, what `fn` takes by itself and, in the form "free",
        what its linearisation keeps.
        """
        return self.bytes_of(self.chosen(rows, params, dtype), rows, params, dtype)

    def small(self, change: Array, of: Array) -> Flag:
        return self.norm(change / (self.atol + self.rtol * jnp.abs(of))) < 1

    def terminate(self, fn, y, args, options, state, tags):
        del fn, y, args, options, tags
        return state.converged, state.result

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        del fn, args, options, state, tags, result
        return y, aux, {}
