"""Train a model on a series, with what its gradients may do in a ledger."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from dynax import _tree as tree
from dynax._check import check_positive, require
from dynax._types import ScalarLike
from dynax.lyapunov import Check, Ledger, Verdict, ledger_row, verdict
from dynax.reconstruct.forcing import AbstractForcing


WATCHED = 4  # sequences of a batch of which the gradients are measured


class Model(eqx.Module):
    """A learned map in the units of its series.

        z = lift((x − μ)/σ),   z₊ = cell(z),   x = μ + σ·(first entries of z)

    `step` is what `dynamics.spectrum` takes; exponents do not depend on units.
    """

    cell: Any
    mean: Float[Array, " d"]
    scale: Float[Array, " d"]

    def start(self, x: Float[Array, " d"]) -> Float[Array, " n"]:
        """Return the state of an observation."""
        return self.cell.lift((x - self.mean) / self.scale)

    def step(self, z: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the next state."""
        return self.cell(z)

    def observe(self, z: Float[Array, " n"]) -> Float[Array, " d"]:
        """Return what is seen of a state."""
        return self.mean + self.scale * z[: self.mean.size]

    @eqx.filter_jit
    def run(self, x: Float[Array, " d"], steps: int) -> Float[Array, "steps d"]:
        """Return the observations that follow on x, without any more data."""
        return jax.vmap(self.observe)(self.states(x, steps))

    @eqx.filter_jit
    def states(self, x: Float[Array, " d"], steps: int) -> Float[Array, "steps n"]:
        """Return the states that follow on the one of x."""
        go = lambda z, _: (after := self.step(z), after)
        return jax.lax.scan(go, self.start(x), None, length=steps)[1]


class Log(NamedTuple):
    """What was seen of a training run, one row every so many updates.

    Attributes:
        loss: the mean square error of standardised states.
        alpha: of the forcing.
        norm: 𝒩, the largest ‖J‖₂ on the sequences watched.
        ledger: whether ‖∂z_T/∂z_t‖ ≤ Π‖I − αₛP‖𝒩 for all t; P projects on what is
            observed.
    """

    loss: Float[Array, " rows"]
    alpha: Float[Array, " rows"]
    norm: Float[Array, " rows"]
    ledger: Ledger

    def verdict(self) -> Verdict:
        """Judge the bound of the gradients."""
        claim = "no gradient exceeds the product of its factors (1 − α)𝒩"
        return verdict(self.ledger, claim, "round-off of the steps")


def fit(
    recipe,
    series: Float[Array, "time d"],
    key: PRNGKeyArray,
    *,
    forcing: AbstractForcing,
    updates: int = 10_000,
    every: int = 100,
    batch: int = 16,
    window: int = 200,
    rates: tuple[ScalarLike, ScalarLike] = (1e-3, 1e-5),
) -> tuple[Model, Log]:
    """Train a model to follow a series: RAdam on the error of forced windows.

    Args:
        recipe: `ShallowPLRNN` or `AlmostLinear`.
        series: observations at equal times; each quantity is standardised.
        key: of the first weights and of the windows.
        forcing: `Generalized`, `Annealed` or `Sparse`.
        updates: how many.
        every: updates between two rows of the log, at which α adapts.
        batch: windows of an update.
        window: steps of a window.
        rates: the first and the last learning rate.

    Raises:
        ValueError: a series shorter than a window, constant or not finite; or updates
            that are no multiple of `every`.
    """
    series = jnp.asarray(series)
    require(series.ndim == 2, "series", series.shape, "of shape (time, quantity)")
    long = len(series) > window >= 1 and batch >= 1
    given = (len(series), window, batch)
    accepted = "more states than a window, and a batch of at least 1"
    require(long, "series, window, batch", given, accepted)
    require(every >= 1, "every", every, "at least 1")
    whole = updates >= every and updates % every == 0
    require(whole, "updates", updates, f"a multiple of every = {every}")
    check_positive(first_rate=rates[0], last_rate=rates[1])
    if tree.is_concrete(series):
        steady = bool(np.all(np.std(np.asarray(series), axis=0) > 0))  # NaN is not
        given = "constant or non-finite numbers"
        require(steady, "series", given, "finite numbers that vary")
    return _fit(recipe, series, key, forcing, updates, every, batch, window, rates)


@eqx.filter_jit
def _fit(recipe, series, key, forcing, updates, every, batch, window, rates):
    mean, scale = jnp.mean(series, axis=0), jnp.std(series, axis=0)
    unit = (series - mean[None]) / scale[None]
    d = series.shape[1]
    first, last = (jnp.asarray(r, series.dtype) for r in rates)
    rate = lambda n: first * (last / first) ** (n / updates).astype(series.dtype)
    method = optax.radam(rate)
    drawn, key = jax.random.split(key)
    cell = recipe.draw(drawn, d, series.dtype)

    def windows(key):
        at = jax.random.randint(key, (batch,), 0, len(unit) - window)
        cut = lambda i: jax.lax.dynamic_slice_in_dim(unit, i, window + 1)
        return jax.vmap(cut, out_axes=1)(at)

    def loss(cell, x, alpha):
        states, _ = forced(cell, x, forcing.weights(alpha, window))
        return jnp.mean((states[..., :d] - x[1:]) ** 2)

    def update(carry, key):
        cell, state, alpha = carry
        value, grad = jax.value_and_grad(loss)(cell, windows(key), alpha)
        with jax.numpy_dtype_promotion("standard"):  # optax counts in integers
            change, state = method.update(grad, state, cell)
        return (optax.apply_updates(cell, change), state, alpha), value

    def row(carry, keys):
        cell, state, alpha = carry
        x = windows(keys[0])[:, :WATCHED]
        norm, line = gradients(cell, x, forcing.weights(alpha, window))
        alpha = forcing.adapt(alpha, norm)
        carry, values = jax.lax.scan(update, (cell, state, alpha), keys)
        return carry, (jnp.mean(values), alpha, norm, line)

    alpha = tree.cast(forcing.init(), series.dtype)
    keys = jax.random.split(key, (updates // every, every))
    carry, rows = jax.lax.scan(row, (cell, method.init(cell), alpha), keys)
    value, alpha, norm, (measured, bound, allowed) = rows
    check = Check(bound - measured, allowed, allowed / jnp.maximum(jnp.abs(bound), 1))
    at = every * jnp.arange(updates // every)
    ledger = ledger_row(at, bound, measured - bound, {"gradient": check})
    return Model(carry[0], mean, scale), Log(value, alpha, norm, ledger)


def forced(cell, x: Float[Array, "times batch d"], weights, nudges=None):
    """Run a cell through a window: its states, and those it stepped from.

    Args:
        x: observations at steps 0 … T.
        weights: αₜ of steps 1 … T.
        nudges: (T, …), added to the states, for derivatives by them.
    """
    d = x.shape[-1]
    z = jax.vmap(cell.lift)(x[0])

    def go(z, given):
        x, alpha, nudge = given
        after = jax.vmap(cell)(z) + (0 if nudge is None else nudge)
        seen = after[..., :d]
        mixed = jnp.concatenate([seen + alpha * (x - seen), after[..., d:]], axis=-1)
        return mixed, (after, z)

    return jax.lax.scan(go, z, (x[1:], weights, nudges))[1]


def gradients(cell, x, weights):
    """Measure 𝒩, and how far ln‖∂z_T/∂z_t‖ is from its bound at the closest t.

    Returns:
        𝒩, and (ln‖∂z_T/∂z_t‖, its bound, the round-off of both).
    """
    d, steps = x.shape[-1], len(weights)
    states, before = forced(cell, x, weights)
    n, dtype = states.shape[-1], states.dtype
    norm = lambda a: jnp.linalg.norm(a, 2, axis=(-2, -1))
    largest = jnp.max(norm(jax.vmap(jax.vmap(cell.jacobian))(before)))
    last = lambda nudges: jnp.sum(forced(cell, x, weights, nudges)[0][-1], axis=0)
    # one row of ∂z_T/∂z_t for each entry of z_T; sequences do not mix
    slopes = jax.jacrev(last)(jnp.zeros_like(states))
    tiny = jnp.finfo(dtype).tiny
    log = lambda a: jnp.log(jnp.maximum(a, tiny))
    grown = jnp.max(log(norm(jnp.moveaxis(slopes, 0, -2))), axis=1)[:-1]
    forcing = jnp.where(d == n, 1 - weights, 1)  # ‖I − αP‖
    factor = log(largest) + log(forcing)[:-1]
    bound = jnp.cumsum(factor[::-1])[::-1]
    bound = jnp.maximum(bound, jnp.log(tiny))
    allowed = 8 * n * float(jnp.finfo(dtype).eps) * jnp.arange(steps - 1.0, 0, -1)
    allowed = allowed.astype(dtype)
    k = jnp.argmin(bound - grown + allowed)
    return largest, (grown[k], bound[k], allowed[k])
