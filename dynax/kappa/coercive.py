"""Potentials that grow faster than any norm: κ* is finite, Lion-κ regularises only."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from dynax._check import check_parameter
from dynax._types import ScalarLike

from ._base import AbstractCoercive, AbstractSeparable, Scope
from .norms import dual_exponent, norm, norm_grad


class HalfSquared(AbstractSeparable):
    """Take half the squared norm, for heavy ball and Nesterov with L2. κ(m) = ½‖m‖²,
    ∇κ(m) = m, κ*(y) = ½‖y‖².

    Lion-κ: (λ/2)‖x‖². Distance: 0, dom κ* is everything. Source: arXiv 2310.05898.
    """

    smooth: ClassVar[bool] = True

    def _phi(self, m):
        return m**2 / 2

    def _grad(self, m):
        return m

    def _phi_conjugate(self, y):
        return y**2 / 2

    def _grad_conjugate(self, y):
        return y

    def _excess(self, y):
        return jnp.zeros_like(y)


class Quartic(AbstractSeparable):
    """Sum the fourth powers of the entries: momentum enters cubed.

    κ(m) = Σm⁴/4,  ∇κ(m) = m³,  κ*(y) = ¾Σ|y|^{4/3},  ∇κ*(y) = ∛y.

    Lion-κ: ¾λ^{1/3}Σ|x|^{4/3}. Distance: 0, dom κ* is everything.
    Source: Maddison et al., arXiv 1809.05042 (kinetic energies of Hamiltonian descent).
    """

    smooth: ClassVar[bool] = True

    def _phi(self, m):
        return m**4 / 4

    def _grad(self, m):
        return m**3

    def _phi_conjugate(self, y):
        return 0.75 * jnp.abs(y) ** (4 / 3)

    def _grad_conjugate(self, y):
        return jnp.cbrt(y)

    def _excess(self, y):
        return jnp.zeros_like(y)


class Power(AbstractSeparable):
    """Sum the q-th powers of the entries: momentum enters to the power q − 1.

        κ(m) = Σ|m|^q/q      ∇κ(m) = sign(m)|m|^{q−1}      κ*(y) = Σ|y|^s/s

    with 1/q + 1/s = 1. q → 1 is Lion, q = 2 heavy ball, q = 4 `Quartic`. For q < 2,
    ∇κ is continuous, but infinitely steep at 0, and no adaptive solver keeps its order
    there. Distance: 0, dom κ* is everything. `q` is > 1.
    """

    q: ScalarLike
    smooth: ClassVar[bool] = True

    def _phi(self, m):
        q = jnp.asarray(self.q, m.dtype)
        return jnp.abs(m) ** q / q

    def _grad(self, m):
        return jnp.sign(m) * jnp.abs(m) ** (jnp.asarray(self.q, m.dtype) - 1)

    def _phi_conjugate(self, y):
        s = dual_exponent(self.q, y)
        return jnp.abs(y) ** s / s

    def _grad_conjugate(self, y):
        return jnp.sign(y) * jnp.abs(y) ** (dual_exponent(self.q, y) - 1)

    def _excess(self, y):
        return jnp.zeros_like(y)

    def __check_init__(self):
        check_parameter("q", self.q, lambda q: q > 1, "a number > 1")


class HalfSquaredLp(AbstractCoercive):
    """Take half the squared ℓ_p norm: a scaled, not normalised, Lion-ℓ_p.

    The scaled (not normalised) Lion-ℓ_p, 1 < p < ∞, 1/p + 1/q = 1.

        κ(m) = ½‖m‖_p²    ∇κ(m) = ‖m‖_p∇‖m‖_p    κ*(y) = ½‖y‖_q²    ∇κ*(y) = ‖y‖_q∇‖y‖_q

    Lion-κ: (λ/2)‖x‖_q². Distance: 0, dom κ* is everything. Source: arXiv 2310.05898.
    """

    p: ScalarLike
    scope: Scope = eqx.field(default="leaf", static=True)

    def _value(self, m):
        return jnp.sum(norm(m, self.p)) ** 2 / 2

    def _grad(self, m):
        return norm(m, self.p) * norm_grad(m, self.p)

    def _conjugate(self, y):
        return jnp.sum(norm(y, dual_exponent(self.p, y))) ** 2 / 2

    def _grad_conjugate(self, y):
        q = dual_exponent(self.p, y)
        return norm(y, q) * norm_grad(y, q)

    def __check_init__(self):
        check_parameter("p", self.p, lambda p: p > 1, "a number > 1")
