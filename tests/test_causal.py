"""Causal weights: the formula, and a test for each error that published codes make.

Every test that names an error runs the erroneous formula too and must reject it.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynax import pde, pinn
from dynax.pinn.causal import before, log_weights, up_to_end


LOSSES = jnp.asarray([5.0, 3.0, 1.0, 0.5])


def inclusive(losses, eps):
    """Sums the chunk itself too."""
    return jnp.exp(-eps * jnp.cumsum(losses))


def inclusive_over_first(losses, eps):
    """The same divided by w₁: chunk i is punished by itself and blind to chunk 1."""
    w = jnp.exp(-eps * jnp.cumsum(losses))
    return w / w[0]


def reversed_in_time(losses, eps):
    """Sums what comes later."""
    n = len(losses)
    later = jnp.triu(jnp.ones((n, n)), 1) @ losses
    return jnp.exp(-eps * later)


def sums_of_chunks(residuals, eps):
    """Sums over a chunk's points where the mean belongs."""
    return pinn.causal_weights(jnp.sum(residuals**2, 1), eps)


class Stale:
    """ε as a Python attribute of an object whose method is compiled once."""

    def __init__(self, eps):
        self.eps = eps
        self.weights = jax.jit(lambda losses: pinn.causal_weights(losses, self.eps))


def exclusive(w, losses, eps):
    """w₁ = 1, and wᵢ = exp(−ε Σ_{k<i} L_k), written out."""
    sums = [sum(map(float, losses[:i])) for i in range(len(losses))]
    return np.allclose(w, np.exp(-eps * np.asarray(sums)), rtol=1e-14)


def test_the_formula():
    w = pinn.causal_weights(LOSSES, 0.3)
    assert exclusive(w, LOSSES, 0.3)
    assert w[0] == 1 and np.all(np.diff(w) < 0)


@pytest.mark.parametrize("wrong", [inclusive, inclusive_over_first, reversed_in_time])
def test_published_errors_are_rejected(wrong):
    assert not exclusive(wrong(LOSSES, 0.3), LOSSES, 0.3)


def test_the_first_chunk_always_trains():
    """The inclusive sum of large losses at a large ε leaves no gradient at all."""
    w = pinn.causal_weights(1e3 * LOSSES, 100.0)
    assert w[0] == 1 and jnp.all(jnp.isfinite(w))
    assert jnp.all(inclusive(1e3 * LOSSES, 100.0) == 0)
    assert jnp.any(jnp.isnan(inclusive_over_first(1e3 * LOSSES, 100.0)))


def test_no_gradient_through_the_weights():
    loss = lambda L: jnp.sum(pinn.causal_weights(L, 0.3) * L)
    np.testing.assert_array_equal(
        jax.grad(loss)(LOSSES), pinn.causal_weights(LOSSES, 0.3)
    )
    leaky = lambda L: jnp.sum(jnp.exp(-0.3 * before(L)) * L)
    assert not np.allclose(jax.grad(leaky)(LOSSES), pinn.causal_weights(LOSSES, 0.3))


def test_a_new_strength_is_seen_after_compilation():
    weights = jax.jit(pinn.causal_weights)
    assert exclusive(weights(LOSSES, 0.1), LOSSES, 0.1)
    assert exclusive(weights(LOSSES, 1.0), LOSSES, 1.0)
    stale = Stale(0.1)
    stale.weights(LOSSES)
    stale.eps = 1.0
    assert not exclusive(stale.weights(LOSSES), LOSSES, 1.0)


def test_reversing_time_changes_the_loss():
    def loss(weights, losses):
        return jnp.mean(weights(losses, 0.3) * losses)

    ours = lambda L: loss(pinn.causal_weights, L)
    assert not np.isclose(ours(LOSSES), ours(LOSSES[::-1]))
    # the reversed formula differs from ours exactly by reading time backwards
    backwards = lambda L, eps: reversed_in_time(L[::-1], eps)[::-1]
    np.testing.assert_allclose(
        backwards(LOSSES, 0.3), pinn.causal_weights(LOSSES, 0.3), rtol=1e-14
    )


def test_the_initial_state_gates_the_first_chunk():
    w = pinn.causal_weights(LOSSES, 0.3, 2.0)
    np.testing.assert_allclose(w[0], np.exp(-0.6), rtol=1e-15)
    np.testing.assert_allclose(
        w, np.exp(-0.6) * pinn.causal_weights(LOSSES, 0.3), rtol=1e-14
    )


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_chunk_that_is_not_finite_stops_the_future(bad):
    w = pinn.causal_weights(LOSSES.at[1].set(bad), 0.3)
    np.testing.assert_array_equal(w[2:], 0)
    assert exclusive(w[:2], LOSSES[:2], 0.3)


def test_marching_is_a_front():
    log_w = log_weights(pinn.Marching(), jnp.asarray([0.1, 0.2, 5.0, 0.0]), 0.0, 1.0)
    np.testing.assert_array_equal(jnp.exp(log_w), [1, 1, 1, 0])


def test_dtype_follows():
    assert pinn.causal_weights(LOSSES.astype(jnp.float32), 0.3).dtype == jnp.float32


# --- annealing


def test_annealing_climbs_when_the_weights_are_met_or_patience_ends():
    annealing = pinn.Annealing((1.0, 10.0, 100.0), delta=0.99, patience=3)
    state = annealing.init()
    bad, good = jnp.log(0.5), jnp.log(0.999)
    seen = []
    for log_min in (bad, bad, bad, good, good, bad, bad, bad, bad):
        seen.append(float(annealing.causality(state)))
        state = annealing.advance(state, log_min)
    assert seen == [1, 1, 1, 10, 100, 100, 100, 100, 100]
    assert bool(annealing.last(state))


def test_a_tolerance_names_the_last_strength():
    """exp(−ε n rtol²) = δ, whatever the chunks; levels ascend by at most 100."""
    for rtol, chunks in ((1e-2, 8), (1e-4, 32), (0.9, 2)):
        annealing = pinn.Annealing.reaching(rtol, chunks, delta=0.9)
        eps = annealing.levels
        np.testing.assert_allclose(jnp.exp(-eps[-1] * chunks * rtol**2), 0.9)
        np.testing.assert_allclose(annealing.tolerance(chunks), rtol)
        assert eps[0] <= 1 and jnp.all(eps[1:] <= 101 * eps[:-1])
    with pytest.raises(ValueError, match="rtol: given 2"):
        pinn.Annealing.reaching(2.0)


def test_the_stop_test_asks_for_the_last_chunk():
    """A residual in the last chunk alone silences no weight, and fails the test."""
    losses = jnp.zeros(4).at[3].set(5.0)
    assert jnp.all(pinn.causal_weights(losses, 1.0) == 1)
    assert up_to_end(losses, 2.0) == 7


def test_levels_must_ascend():
    with pytest.raises(ValueError, match="levels: given"):
        pinn.Annealing((1.0, 1.0))


# --- the objective


class Decay(pde.AbstractPDE):
    """uₜ = −k u, on a periodic line so that it has places."""

    needs = "u t"
    lower, upper, horizon = (0.0,), (1.0,), 1.0
    rate: float = 1.0

    def equation(self, t, x, d):
        return d.t + self.rate * d.u

    def initial(self, x):
        return jnp.ones_like(x)


class Line(eqx.Module):
    """u = a + bt: residual b + k(a + bt), in closed form."""

    a: jax.Array
    b: jax.Array

    def __call__(self, t, x):
        return (self.a + self.b * t) * jnp.ones_like(x)


def window():
    return pinn.Window(jnp.asarray(0.0), jnp.asarray(1.0), Decay().initial)


def model(a=0.5, b=0.25, k=1.0):
    return pinn.Model(Line(jnp.asarray(a), jnp.asarray(b)), Decay(k))


def objective(**kw):
    kw = {"times": 8, "points": 4, "chunks": 4, "ansatz": pinn.penalised_initial, **kw}
    return pinn.Objective(initial_weight=3.0, **kw)


@eqx.filter_jit
def drawn(obj, key=0):
    return obj.sample(jax.random.key(key), Decay(), window())


class Seen(NamedTuple):
    blocks: Any
    losses: Any
    log_w: Any
    rows: Any
    total: Any


@eqx.filter_jit
def seen(obj, model, batch, strength=0.0) -> Seen:
    """All that an objective makes of a model, in one program."""
    blocks = obj.blocks(model, window(), batch)
    losses = obj.losses(blocks)
    log_w = obj.log_weights(losses, blocks, batch, strength)
    return Seen(
        blocks, losses, log_w, obj.rows(blocks, log_w), obj.total(losses, log_w)
    )


def test_losses_are_means_over_their_chunks():
    obj = objective()
    batch = drawn(obj)
    losses = seen(obj, model(), batch).losses
    t = np.asarray(batch.points.t)
    np.testing.assert_allclose(
        losses.chunks,
        np.mean(((0.25 + 0.5 + 0.25 * t) ** 2).reshape(4, 2), 1),
        rtol=1e-13,
    )
    np.testing.assert_allclose(losses.others["initial"], 0.25, rtol=1e-14)
    # twice the places: the same means (a sum would double)
    once = losses.chunks
    twice = objective(points=8)
    blocks, losses, *_ = seen(twice, model(), drawn(twice))
    means = losses.chunks
    np.testing.assert_allclose(means, once, rtol=0.3)
    eps = 0.3
    residuals = blocks["equation"].reshape(4, -1)
    assert not np.allclose(
        sums_of_chunks(residuals, eps), pinn.causal_weights(means, eps)
    )


def test_rows_have_the_loss_for_their_sum_of_squares():
    obj = objective()
    found = seen(obj, model(), drawn(obj), 0.7)
    np.testing.assert_allclose(found.rows @ found.rows, found.total, rtol=1e-13)


def test_linearised_is_the_jacobian_of_the_rows():
    data = pinn.Data(
        jnp.asarray([0.3, 0.7]),
        jnp.asarray([[0.1], [0.9]]),
        jnp.asarray([[0.7], [jnp.nan]]),
        0.1,
    )
    obj = objective(data=data, data_weight=0.5)
    training = pinn.Trainer(
        obj, optax.sgd(1.0), pinn.Annealing(), learn=lambda p: p.rate
    )
    params, static = training.split(model(k=jnp.asarray(1.3)))
    assert len(jax.tree.leaves(params)) == 3
    batch = drawn(obj)
    log_w = jnp.log(jnp.asarray([1.0, 0.5, 0.2, 0.1]))

    def rows(params):
        blocks = obj.blocks(eqx.combine(params, static), window(), batch)
        return obj.rows(blocks, log_w)

    flat, unravel = jax.flatten_util.ravel_pytree(params)

    @jax.jit
    def both(flat):
        found = obj.linearised(unravel(flat), static, window(), batch, log_w)
        by_rows = lambda f: rows(unravel(f))
        return *found, by_rows(flat), jax.jacfwd(by_rows)(flat)

    r, J, expected, wanted = both(flat)
    np.testing.assert_allclose(r, expected, rtol=1e-14)
    np.testing.assert_allclose(J, wanted, rtol=1e-12, atol=1e-14)


def test_shards_of_places_give_the_same_weights():
    """Chunk means over equal shards average to the whole: any device count serves."""
    obj = objective(points=8)
    batch = drawn(obj)
    blocks, losses, *_ = seen(obj, model(), batch)
    places = blocks["equation"].reshape(8, 8, -1)
    halves = [{**blocks, "equation": places[:, a : a + 4]} for a in (0, 4)]
    chunks = [eqx.filter_jit(obj.losses)(h).chunks for h in halves]
    np.testing.assert_allclose(sum(chunks) / 2, losses.chunks, rtol=1e-13)


def test_data_gate_what_comes_after_them():
    """A misfit beyond the noise at t = 0.6 silences chunks after it, none before."""
    t = jnp.asarray([0.6])
    exact = model().network(t[0], jnp.zeros(1))
    for miss, silent in ((0.0, False), (50.0, True)):
        data = pinn.Data(t, jnp.zeros((1, 1)), (exact + miss)[None], 1.0)
        obj = objective(data=data)
        w = np.exp(seen(obj, model(), drawn(obj), 0.1).log_w)
        assert bool(w[3] < 1e-12) == silent and np.all(w[:3] > 0.1)


@pytest.mark.parametrize(
    "bad", [{"times": 1}, {"chunks": 3}, {"chunks": 1}, {"times": 6, "chunks": 4}]
)
def test_chunks_that_do_not_divide(bad):
    with pytest.raises(ValueError, match="times, chunks: given"):
        objective(**bad)


def test_data_of_wrong_shapes():
    with pytest.raises(ValueError, match="data: given"):
        objective(data=pinn.Data(jnp.ones(2), jnp.ones((3, 1)), jnp.ones((2, 1)), 1.0))
