"""Inverse problems: bounds, several sets of data, fields, and intervals that cover."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from dynax import pinn
from dynax.pinn import inverse
from dynax.pinn.several import joined

from .test_discovery import KEY, TIMES, WINDOW, Decay, Series, measured, trainer


LEARN = lambda equation: equation.free  # noqa: E731
solve = eqx.filter_jit(pinn.solve)


def constrained(guess, transform):
    return pinn.Constrained(Decay(guess), lambda e: e.a, transform)


def fitted(data, guess=2.0):
    how = trainer(LEARN, data)
    equation = constrained(guess, pinn.Positive())
    model = pinn.Model(Series(jnp.zeros(12)), equation)
    return how, solve(how, model, WINDOW, KEY, 60).model


def found_rate(model: Any) -> float:
    return float(model.pde.known.a)


def test_transforms():
    z = jnp.linspace(-3, 3, 7)
    for transform, low, high in (
        (pinn.Positive(), 0, np.inf),
        (pinn.Bounded(-1.0, 3.0), -1, 3),
    ):
        c = transform(z)
        assert (c > low).all() and (c < high).all()
        np.testing.assert_allclose(transform.inverse(c), z, atol=1e-12)
    for value, transform in ((-1.0, pinn.Positive()), (3.0, pinn.Bounded(0.0, 2.0))):
        with pytest.raises(ValueError, match="base: given .*first guess inside"):
            constrained(value, transform)
    with pytest.raises(ValueError, match="lower, upper: given"):
        pinn.Bounded(2.0, 1.0)


def test_a_positive_coefficient_and_what_the_data_leave_open():
    """The curvature, the bootstrap and the closed form of least squares agree."""
    data = measured()
    how, model = fitted(data)
    found = found_rate(model)
    batch = how.objective.sample(KEY, model.pde, WINDOW)
    errors = eqx.filter_jit(inverse.standard_errors)(how, model, WINDOW, batch)
    known = errors.through(pinn.Positive())
    np.testing.assert_allclose(known.values[0], found, rtol=1e-12)
    slope = -TIMES * np.exp(-float(found) * TIMES)
    exact = 0.02 / np.sqrt(np.sum(slope**2))
    np.testing.assert_allclose(known.errors[0], exact, rtol=0.2)

    again = inverse.bootstrap(how, model, WINDOW, KEY, 12, samples=40)
    spread = np.std(np.exp(again.values[:, 0]))
    np.testing.assert_allclose(spread, exact, rtol=0.35)  # of 40: 11 % is one sigma
    low, high = np.exp(again.interval(0.95)[:, 0])
    assert low < found < high
    bare = trainer(LEARN)
    with pytest.raises(ValueError, match="trainer: given one without data"):
        inverse.bootstrap(bare, model, WINDOW, KEY, 1)


def test_sets_of_data_are_weighed_by_their_own_noise():
    """A precise set beside a noisy one: scipy's answer, each with its own σ."""
    t, random = jnp.linspace(0.4, 1.6, 4), np.random.default_rng(5)
    value = np.exp(-1.02 * t) + 2e-3 * random.normal(size=4)
    precise = pinn.Data(t, jnp.zeros((4, 0)), jnp.asarray(value)[:, None], 2e-3)
    both = joined([measured(), precise])
    noise = np.asarray(both.noise)
    assert both.value.shape == noise.shape == (24, 1)
    curve = lambda t, a: np.exp(-a * t)
    given = np.asarray(both.t), np.asarray(both.value[:, 0])
    (known,), ((square,),) = scipy.optimize.curve_fit(
        curve, *given, 1.0, noise[:, 0], absolute_sigma=True
    )
    _, model = fitted(both)
    assert abs(found_rate(model) - known) < 0.2 * np.sqrt(square)
    (alone,), _ = scipy.optimize.curve_fit(curve, *given, 1.0)  # as if all were as good
    assert abs(alone - known) > np.sqrt(square)


@pytest.mark.slow
def test_intervals_cover():
    """Of 40 sets of data, an 80 % interval holds the truth in about 32."""
    inside = 0
    run = eqx.filter_jit(inverse.bootstrap)
    for seed in range(40):
        how, model = fitted(measured(seed + 100))
        again = run(how, model, WINDOW, KEY, 12, 40)
        low, high = np.exp(again.interval(0.8)[:, 0])
        inside += bool(low < 1.0 < high)
    assert 24 <= inside <= 39  # binomial: 32 ± 2.5, three sigma and the quantiles'
