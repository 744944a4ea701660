"""A state u(t, ·) as a few coefficients: what one window hands to the next.

An interpolant is a callable x → fields, differentiable to any order, whose numbers are
traced: one compiled program serves all windows.
"""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax.pde import AbstractPDE
from dynax.pinn.networks._fixed import AbstractFixed
from dynax.pinn.networks.features import waves


class AbstractInterpolant(AbstractFixed):
    """x ↦ u(t, x); `error` is the largest |interpolant − u| of each field, seen on a
    grid of four points a mode. The certificate counts it."""

    error: eqx.AbstractVar[Float[Array, " c"]]

    @abc.abstractmethod
    def __call__(self, x: Float[Array, " d"]) -> Float[Array, " c"]:
        """u(t, x)."""


class Constant(AbstractInterpolant):
    """The state of an ordinary differential equation."""

    value: Float[Array, " c"]
    error: Float[Array, " c"]

    def __call__(self, x):
        del x
        return self.value


class AbstractSeries(AbstractInterpolant):
    """u(x) = Σ c_{k…l} b_k(x₁) … b_l(x_d), the b orthogonal on an equispaced grid of
    more points than functions: exact for what they span, least squares beyond."""

    coefficients: eqx.AbstractVar[Array]
    lower: eqx.AbstractVar[tuple[float, ...]]
    upper: eqx.AbstractVar[tuple[float, ...]]
    modes: eqx.AbstractVar[int]

    @abc.abstractmethod
    def basis(self, axis: int, s: Array) -> Float[Array, " k"]:
        """(b_k(s))."""

    def nodes(self, axis: int, count: int, dtype) -> Float[Array, " count"]:
        """Points of an axis on which the b_k are orthogonal."""
        a, b = self.lower[axis], self.upper[axis]
        return a + (b - a) / count * jnp.arange(count, dtype=dtype)

    @abc.abstractmethod
    def rates(self, axis: int) -> Float[Array, " k"]:
        """λ_k of −b_k″ = λ_k b_k."""

    def diffused(self, s) -> "AbstractSeries":
        """e^{sΔ}u, what the heat equation makes of the state after s = νt."""
        out = self.coefficients
        for axis in range(len(self.lower)):
            rates = jnp.expand_dims(self.rates(axis), _others(axis, out.ndim))
            out = out * jnp.exp(-s * rates.astype(out.dtype))
        return eqx.tree_at(lambda u: u.coefficients, self, out)

    def __call__(self, x):
        out = self.coefficients
        for axis in range(len(self.lower)):
            out = jnp.tensordot(self.basis(axis, x[axis]), out, 1)
        return out


class Fourier(AbstractSeries):
    """b = 1, cos kωs, sin kωs, k ≤ modes, ω = 2π/(upper − lower): periodic states."""

    coefficients: Array
    error: Float[Array, " c"]
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    modes: int = eqx.field(static=True)

    def basis(self, axis, s):
        b = waves(s, self.lower[axis], self.upper[axis], self.modes)
        return jnp.concatenate([jnp.ones(1, s.dtype), b])

    def rates(self, axis):
        k = np.arange(1, self.modes + 1)
        k = np.concatenate([[0], k, k])
        return jnp.asarray((2 * np.pi / (self.upper[axis] - self.lower[axis]) * k) ** 2)


class Sine(AbstractSeries):
    """b = sin kπ(s − a)/(b − a), k ≤ modes: states that vanish on the boundary; in one
    dimension a straight line between the values at the walls is added.

    Converges fast where even derivatives vanish there too, as those of heat, wave and
    Burgers' equation do; `error` tells.
    """

    coefficients: Array
    error: Float[Array, " c"]
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    modes: int = eqx.field(static=True)
    ends: tuple[Array, Array] | None = None

    def __call__(self, x):
        u = super().__call__(x)
        return u if self.ends is None else u + self.line(x)

    def line(self, x):
        """Between the walls of one dimension; harmonic, so diffusion leaves it."""
        assert self.ends is not None
        share = (x[0] - self.lower[0]) / (self.upper[0] - self.lower[0])
        return self.ends[0] + share * (self.ends[1] - self.ends[0])

    def basis(self, axis, s):
        a, b = self.lower[axis], self.upper[axis]
        k = jnp.arange(1, self.modes + 1, dtype=s.dtype)
        return jnp.sin(k * (jnp.pi / (b - a) * (s - a)))

    def rates(self, axis):
        k = np.arange(1, self.modes + 1)
        return jnp.asarray((np.pi / (self.upper[axis] - self.lower[axis]) * k) ** 2)


class Chebyshev(AbstractSeries):
    """b = T_k(2(s − a)/(b − a) − 1), k < modes: any smooth state between walls."""

    coefficients: Array
    error: Float[Array, " c"]
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    modes: int = eqx.field(static=True)

    def nodes(self, axis, count, dtype):
        a, b = self.lower[axis], self.upper[axis]
        angle = jnp.pi * (jnp.arange(count, dtype=dtype) + 0.5) / count
        return (a + b) / 2 - (b - a) / 2 * jnp.cos(angle)

    def basis(self, axis, s):
        a, b = self.lower[axis], self.upper[axis]
        z = 2 * (s - a) / (b - a) - 1
        found = [jnp.ones_like(z), z]  # polynomials: smooth up to the walls
        for _ in range(self.modes - 2):
            found.append(2 * z * found[-1] - found[-2])
        return jnp.stack(found[: self.modes])

    def rates(self, axis):
        raise TypeError(
            "window.initial: given Chebyshev modes, which diffusion mixes; accepted "
            'with HeatKernelInitial is an equation with boundary "periodic" or "zero".'
        )


def interpolate(pde: AbstractPDE, u, t, modes: int = 32) -> AbstractInterpolant:
    """The interpolant of u(t, ·) that fits the equation's box and boundary.

    Args:
        u: (t, x) → fields.
        t: the time; its dtype is that of the coefficients.
        modes: the highest wave number kept, in each coordinate.
    """
    t = 1.0 * jnp.asarray(t)
    zero = jnp.zeros((), t.dtype)
    if not pde.lower:
        value = u(t, jnp.zeros(0, t.dtype))
        return Constant(value, jnp.zeros_like(value))
    if modes < 1:
        raise ValueError(f"modes: given {modes}; accepted is 1, 2, ….")
    kinds = {"periodic": Fourier, "zero": Sine, None: Sine}
    word = pde.boundary is None or isinstance(pde.boundary, str)
    kind = kinds[pde.boundary] if word else Chebyshev
    series: AbstractSeries = kind(zero, zero[None], pde.lower, pde.upper, modes)
    count = 4 * modes  # about twice the functions: what they miss shows in the error
    lines = [series.nodes(axis, count, t.dtype) for axis in range(len(pde.lower))]
    grid = jnp.stack(jnp.meshgrid(*lines, indexing="ij"), -1)
    at = lambda x: u(t, x)
    if isinstance(series, Sine) and len(lines) == 1:
        a, b = (at(jnp.asarray(wall, t.dtype)) for wall in (pde.lower, pde.upper))
        series = dataclasses.replace(series, ends=(a, b))
        at = lambda x, line=series.line: u(t, x) - line(x)
    for _ in lines:
        at = jax.vmap(at)
    values = coefficients = fitted = at(grid)
    for axis, line in enumerate(lines):
        basis = jax.vmap(series.basis, (None, 0))(axis, line)
        project = basis.T / jnp.sum(basis**2, 0)[:, None]
        coefficients = _along(axis, project, coefficients)
        fitted = _along(axis, basis @ project, fitted)
    error = jnp.max(jnp.abs(fitted - values), tuple(range(len(lines))))
    return dataclasses.replace(series, coefficients=coefficients, error=error)


def _others(axis, ndim):
    return [i for i in range(ndim) if i != axis]


def _along(axis, matrix, array):
    """The matrix applied to one axis of the array."""
    return jnp.moveaxis(jnp.tensordot(matrix, array, (1, axis)), 0, axis)
