"""Coefficients that are learned and stay where they mean something."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from dynax._check import require
from dynax.pde import AbstractPDE
from dynax.pde.wrapped import AbstractWrapped, of_known


class AbstractTransform(eqx.Module):
    """A one-to-one map of all numbers to those that are accepted."""

    @abc.abstractmethod
    def __call__(self, free: Array) -> Array:
        """The coefficient."""

    @abc.abstractmethod
    def inverse(self, value: Array) -> Array:
        """The number that is trained; NaN or ±∞ for a value that is not accepted."""


class Positive(AbstractTransform):
    """Keep a coefficient positive: c = eᶻ, whatever its unit."""

    def __call__(self, free):
        return jnp.exp(free)

    def inverse(self, value):
        return jnp.log(value)


class Bounded(AbstractTransform):
    """Keep a coefficient between bounds: c = a + (b − a)/(1 + e⁻ᶻ).

    Args:
        lower, upper: a, b.
    """

    lower: float
    upper: float

    def __check_init__(self):
        given = self.lower, self.upper
        require(self.lower < self.upper, "lower, upper", given, "lower < upper")

    def __call__(self, free):
        return self.lower + (self.upper - self.lower) * jax.nn.sigmoid(free)

    def inverse(self, value):
        share = (value - self.lower) / (self.upper - self.lower)
        return jnp.log(share) - jnp.log1p(-share)


class Constrained(AbstractWrapped):
    """An equation whose coefficients are trained through a transform.

        equation = pinn.Constrained(Heat(0.1), lambda e: e.diffusion, pinn.Positive())
        trainer = pinn.Trainer(…, learn=lambda e: e.free)
        out.model.pde.known.diffusion  # what was learned

    Args:
        base: the equation, its coefficients the first guess.
        where: equation → the coefficients, a pytree of arrays or numbers.
        transform: of each of them.

    Raises:
        ValueError: the first guess is not accepted by the transform.
    """

    base: AbstractPDE
    where: Callable = eqx.field(static=True)
    transform: AbstractTransform
    free: PyTree

    fields, sizes, needs = map(of_known, ("fields", "sizes", "needs"))
    growth, gauge, symmetry = map(of_known, ("growth", "gauge", "symmetry"))

    def __init__(self, base: AbstractPDE, where: Callable, transform):
        self.base, self.where, self.transform = base, where, transform
        array = lambda a: jnp.asarray(a, jnp.result_type(float))
        values = jax.tree.map(array, where(base))
        self.free = jax.tree.map(transform.inverse, values)
        good = all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(self.free))
        require(good, "base", values, f"a first guess inside {transform}")

    @property
    def known(self) -> Any:
        """The equation with its coefficients as they are now."""
        values = jax.tree.map(self.transform, self.free)
        return eqx.tree_at(self.where, self.base, values)

    def equation(self, t, x, d):
        return self.known.equation(t, x, d)

    def initial(self, x):
        return self.known.initial(x)

    def functionals(self):
        return self.known.functionals()
