"""A rate for every f of a class: a Lyapunov function found by semidefinite programming.

The step of a linear method is read off its `update`: z₊ = Az + Bg with g = ∇f(x). For
f in F(μ, L), gradients and values at x, x₊ and x* satisfy, for i ≠ j,

    f_i ≥ f_j + ⟨g_j, y_i − y_j⟩ + (‖g_i − g_j‖²/L + μ‖y_i − y_j‖²
          − (2μ/L)⟨g_j − g_i, y_j − y_i⟩)/(2(1 − μ/L)).

A V = [z; g]ᵀP[z; g] + p(f − f*) with V₊ ≤ ρ²V and V ≥ f − f*, whenever these hold, is a
linear matrix inequality in P, p and multipliers; ρ is found by bisection. The floating
point answer only proposes: P and the multipliers become fractions, and both matrices
are factored exactly.

Source: Taylor, Van Scoy, Lessard, ICML 2018, arXiv:1803.06073 (the search);
Taylor, Hendrickx, Glineur, Math. Prog. 2017, Theorem 4 (the inequalities).
"""

import dataclasses
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.flatten_util import ravel_pytree

from dynax import _tree as tree
from dynax._check import require
from dynax.certify import _every_kappa
from dynax.certify._inequalities import Inequalities
from dynax.certify._verdict import judged
from dynax.flow import AbstractKappaOptimizer, AbstractOptimizer, AbstractRatedMap
from dynax.kappa import HalfSquared
from dynax.lyapunov import Verdict


LINEAR = 1e-10  # largest residual of z₊ − Az − Bg, relative to z₊


class Potential(AbstractRatedMap):
    """A method with the V that was found for it: it can be run, monitored, audited.

    V_k = [z; g]ᵀP[z; g] + p(f − f*) of z = (x, state) − z* and g = ∇f(x), summed over
    the entries of x.
    """

    opt: AbstractOptimizer
    P: np.ndarray
    p: float
    rate: float

    def init(self, x):
        return self.opt.init(x)

    def update(self, x, state, grad, lr):
        return self.opt.update(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return self.opt.flow(t, x, state, grad, lr)

    def potential(self, k, x, state, f, minimum, lr):
        del k, lr
        rest = self.opt.init(minimum.x)
        parts = [tree.sub(x, minimum.x), *tree.sub(state, rest), jax.grad(f)(x)]
        rows = jnp.stack([ravel_pytree(part)[0] for part in parts])
        return jnp.sum(rows * (self.P @ rows)) + self.p * (f(x) - minimum.value)

    def factor(self, k, lr):
        del k, lr
        return jnp.asarray(self.rate**2)


class ClassCertificate(NamedTuple):
    """What holds for every f of a class.

    Args:
        verdict: that V falls by ρ² a step, or that H falls as the theorem says.
        rate: ρ, so that f − f* ≤ ρ²ᵏ V₀; 1 where no rate was found.
        method: the method with its V, or None.
    """

    verdict: Verdict
    rate: float
    method: Potential | None


def over_class(
    opt: AbstractOptimizer,
    lr: float,
    *,
    smoothness: float,
    strong_convexity: float = 0.0,
    tolerance: float = 1e-4,
) -> ClassCertificate:
    """Finds V and the smallest rate ρ that holds for every f of F(μ, L).

    Of a Lion-κ the theorem is certified instead, for every κ and every L-smooth f,
    convex or not: H₊ − H ≤ −D + (L/2)‖x₊ − x‖² and D ≥ 0.

    Args:
        opt: a method whose update is linear in (x, state, gradient), or a Lion-κ.
        lr: its learning rate, in dynax's time scaling (for heavy ball, Nesterov and
            triple momentum the gradient step is lr²).
        strong_convexity: μ ≥ 0.
        smoothness: L > μ.
        tolerance: of ρ.

    Raises:
        ValueError: constants out of order, or a method that is not linear.
        ImportError: the extra `certify` is missing.
    """
    mu, L = float(strong_convexity), float(smoothness)
    if not 0 <= mu < L < np.inf:
        raise ValueError(
            f"strong_convexity, smoothness: given {mu:g} and {L:g}; accepted is "
            "0 ≤ strong_convexity < smoothness."
        )
    if isinstance(opt, AbstractKappaOptimizer):
        return over_kappa(opt, lr, L)
    A, B = linear_step(opt, lr)
    name = type(opt).__name__
    about = f"every {mu:g}-strongly convex, {L:g}-smooth f"
    # In units of x: gradients over L, states balanced, so that no unit matters.
    _, scale = scipy.linalg.matrix_balance(A, permute=False, separate=True)
    d = scale[0] / scale[0][0]
    search = Inequalities(A * d / d[:, None], B * L / d, mu / L)
    best = search.propose(Fraction(1))
    if best is None:
        run = stuck(A, B, mu, L)
        reason = "no V of this form was found, which proves nothing"
        if run is not None:
            reason += f"; on f' with {run[0]} the run from {run[1]} does not converge"
        verdict = judged(
            "class",
            "undecided",
            f"{name} converges at a rate ρ < 1 on {about}",
            reason,
            origin="semidefinite programming",
            counterexample=run,
        )
        return ClassCertificate(verdict, 1.0, None)
    low, high = 0.0, 1.0
    while high - low > tolerance:
        middle = (low + high) / 2
        found = search.propose(Fraction(middle) ** 2)
        low, high, best = (
            (low, middle, found) if found is not None else (middle, high, best)
        )
    exact, (P, p) = search.proved(best, Fraction(high) ** 2), search.read(best)
    back = np.append(1 / d, 1 / L)  # of (z, g): from the scaled problem
    P = P * back * back[:, None] * L  # f was in units of L x²
    method = Potential(opt, P, p, high)
    verdict = judged(
        "class",
        "holds" if exact else "undecided",
        f"V₊ ≤ {high:.5g}² V and V ≥ f − f* for {name} on {about}",
        "" if exact else "rounded to fractions, the certificate does not factor",
        origin="semidefinite programming, factored in exact fractions",
        assumes=(
            "the step is linear with the floating point coefficients read off it",
        ),
    )
    return ClassCertificate(verdict, high, method)


def over_kappa(opt: AbstractKappaOptimizer, lr: float, L: float) -> ClassCertificate:
    """The theorem of a Lion-κ for every L-smooth f and every convex κ."""
    quadratic = dataclasses.replace(opt, kappa=HalfSquared())  # where V = m̃
    constants = _every_kappa.read(quadratic, lr, *linear_step(quadratic, lr), L)
    accepted = "a Lion-κ with weight_decay > 0"
    require(constants.decay > 0, "opt", "weight_decay = 0", accepted)
    found = _every_kappa.excess(constants.in_units)
    verdict = judged(
        "class",
        "holds" if found.proved else "undecided",
        f"H₊ − H ≤ −D + (L/2)‖x₊ − x‖² and D ≥ 0 for {type(opt).__name__} with every "
        f"convex κ, on every {L:g}-smooth f",
        "" if found.proved else "no proof was found, which proves nothing",
        worst={"excess of H₊ − H": found.theorem, "excess of −D": found.dissipation},
        origin="semidefinite programming, factored in exact fractions",
        assumes=(
            "the constants of the step and of H are those read off in floating point",
            "proved to 10⁻⁶ of the sum of squares of what the step involves",
        ),
    )
    return ClassCertificate(verdict, 1.0, None)


def linear_step(opt: AbstractOptimizer, lr: float) -> tuple[np.ndarray, np.ndarray]:
    """A and B of z₊ = Az + Bg, z = (x, state) of a scalar x.

    Raises:
        ValueError: the update is not linear, with the residual.
    """
    with jax.enable_x64(True):
        flat, restore = ravel_pytree((jnp.zeros(()), opt.init(jnp.zeros(()))))
        n = flat.size

        def step(u):
            x, state = restore(u[:n])
            return ravel_pytree(opt.step(x, state, u[n], lr))[0]

        u = jax.random.normal(jax.random.key(0), (8, n + 1), float)
        u = u.at[0].set(0.0)
        matrix = jax.jacfwd(step)(u[1])
        images = jax.vmap(step)(u)
        gap, size = jnp.max(jnp.abs(images - u @ matrix.T)), jnp.max(jnp.abs(images))
        miss = float(gap / (1 + size))
    if not miss <= LINEAR:
        raise ValueError(
            f"opt: given {type(opt).__name__}, whose update is not linear in (x, "
            f"state, gradient): it misses by {miss:.2g} of its size; "
            "accepted is a linear method with constant coefficients."
        )
    return np.asarray(matrix[:, :n]), np.asarray(matrix[:, n])


def stuck(A, B, mu: float, L: float, steps: int = 2_000):
    """A function of the class and a start from which the run does not converge.

    f' has the slope μ between 1 and `end`, and L elsewhere; or the other way round.
    """
    ends = np.array([1.25, 1.5, 2.0, 3.0, 5.0])
    starts = np.linspace(-5, 5, 41)
    end, start = (g.ravel() for g in np.meshgrid(ends, starts, indexing="ij"))
    for outer, inner in ((L, mu), (mu, L)):
        z = np.zeros((A.shape[0], end.size))
        z[0] = start
        # the states of a method at rest: a fixed point of the step at g = 0
        z[1:] = np.where(
            np.isclose(A[1:, :1] + A[1:, 1:].sum(1, keepdims=True), 1), start, 0
        )
        with np.errstate(all="ignore"):
            for _ in range(steps):
                x = z[0]
                g = outer * x - (outer - inner) * np.clip(x - 1, 0, end - 1)
                z = A @ z + B[:, None] * g
        far = ~(np.abs(z[0]) < 1e-3)
        if np.any(far):
            k = int(np.argmax(far))
            text = f"slope {inner:g} between 1 and {end[k]:g}, {outer:g} elsewhere"
            return text, float(start[k])
    return None
