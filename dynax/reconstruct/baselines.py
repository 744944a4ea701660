"""Forecasts that cost nothing: what a network must beat, and often does not.

Each learns from a past and continues it; all are pure functions, for `vmap`.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_parameter, check_positive, require
from dynax._types import ScalarLike
from dynax.identify import monomials


Series = Float[Array, "time d"]


class AbstractForecaster(eqx.Module):
    """What continues a series."""

    @abc.abstractmethod
    def forecast(self, past: Series, steps: int, key: PRNGKeyArray) -> Series:
        """Return the states that follow on a past, (steps, d)."""


class Persistence(AbstractForecaster):
    """Say that nothing changes."""

    def forecast(self, past, steps, key):
        return jnp.broadcast_to(past[-1], (steps, past.shape[1]))


class Delays(AbstractForecaster):
    """Fit the increment by ridge regression on monomials of the last states.

        x₊ = x + Wθ(x, x₋₁, …),   θ all monomials up to a degree, of standardised x

    Also called a next-generation reservoir. Source: Gauthier, Bollt, Griffith, Barbosa,
    Nature Communications 12 (2021).

    Args:
        lags: how many states, the last one included.
        degree: of the monomials.
        penalty: of the squared weights, against the mean square of the errors.
    """

    lags: int = eqx.field(static=True, default=2)
    degree: int = eqx.field(static=True, default=2)
    penalty: ScalarLike = 1e-6

    def __check_init__(self):
        require(self.lags >= 1, "lags", self.lags, "at least 1")
        check_nonnegative(penalty=self.penalty)

    def forecast(self, past, steps, key):
        d, lags = past.shape[1], self.lags
        accepted = f"more than lags = {lags} states"
        require(len(past) > lags, "past", len(past), accepted)
        names = [f"x{i}" for i in range(d * lags)]
        library = monomials(names, self.degree, constant=True)
        x, back = _standardised(past)
        last = [x[lags - 1 - k : len(x) - k] for k in range(lags)]
        delayed = jnp.concatenate(last, axis=1)  # the newest first
        weights = _ridge(library(delayed[:-1]), jnp.diff(x[lags - 1 :], axis=0), self)

        def go(z, _):
            new = z[:d] + library(z) @ weights
            return jnp.concatenate([new, z[:-d]]), new

        return back(jax.lax.scan(go, delayed[-1], None, length=steps)[1])


class EchoState(AbstractForecaster):
    """Drive a random recurrent network, and fit its readout by ridge regression.

        r₊ = tanh(Wr + Vx + b),   x₊ = U(1, x₊ᵒˡᵈ, r₊),   W, V, b random and fixed

    Source: Jaeger (2001); Pathak et al., PRL 120 (2018).

    Args:
        units: of the network.
        radius: the spectral radius of W, in the limit of many units.
        drive: the size of V.
        penalty: as of `Delays`.
        settle: states of the past before the fit begins.
    """

    units: int = eqx.field(static=True, default=300)
    radius: ScalarLike = 0.6
    drive: ScalarLike = 0.5
    penalty: ScalarLike = 1e-7
    settle: int = eqx.field(static=True, default=100)

    def __check_init__(self):
        require(self.units >= 1, "units", self.units, "at least 1")
        check_parameter("radius", self.radius, lambda v: v >= 0, "a radius ≥ 0")
        check_positive(drive=self.drive)
        check_nonnegative(penalty=self.penalty)

    def forecast(self, past, steps, key):
        accepted = f"more than settle = {self.settle} states"
        require(len(past) > self.settle + 1, "past", len(past), accepted)
        x, back = _standardised(past)
        n, d = self.units, past.shape[1]
        radius, drive = (tree.cast(a, x.dtype) for a in (self.radius, self.drive))
        inner, outer, bias = jax.random.split(key, 3)
        w = radius * jax.random.normal(inner, (n, n), x.dtype) / n**0.5
        v = drive * jax.random.uniform(outer, (n, d), x.dtype, -1, 1)
        b = drive * jax.random.uniform(bias, (n,), x.dtype, -1, 1)

        def driven(r, x):
            r = jnp.tanh(w @ r + v @ x + b)
            return r, jnp.concatenate([jnp.ones(1, x.dtype), x, r])

        r, seen = jax.lax.scan(driven, jnp.zeros(n, x.dtype), x)
        weights = _ridge(seen[self.settle : -1], x[self.settle + 1 :], self)

        def go(carry, _):
            r, seen = carry
            x = seen @ weights
            return driven(r, x), x

        return back(jax.lax.scan(go, (r, seen[-1]), None, length=steps)[1])


def _standardised(past: Series):
    """The series with mean 0 and deviation 1, and the way back."""
    mean = jnp.mean(past, axis=0, keepdims=True)
    scale = tree.safe_denominator(jnp.std(past, axis=0, keepdims=True))
    return (past - mean) / scale, lambda x: mean + scale * x


def _ridge(columns: Float[Array, "n p"], y: Series, method) -> Float[Array, "p d"]:
    """Minimise the mean of |ΘW − y|² plus penalty·|W|²."""
    penalty = tree.cast(method.penalty, columns.dtype) * len(columns)
    gram = columns.T @ columns + penalty * jnp.eye(columns.shape[1], dtype=y.dtype)
    return jnp.linalg.solve(gram, columns.T @ y)
