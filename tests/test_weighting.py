"""Balanced loss blocks, traces of the tangent kernel, and residual-adaptive points."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from dynax import pinn
from dynax.pde import AllenCahn, Lorenz, Pendulum, Points
from dynax.pinn import networks as nn
from dynax.pinn.balancing import ReLoBRaLo, SoftAdapt
from dynax.pinn.sampling import RAD, RAR, density
from dynax.pinn.weighting import average, balance, gradient_norms, ntk_traces


class Span(NamedTuple):
    t0: float = 0.2
    t1: float = 0.7


# ——— weights


def test_balance_by_hand():
    sizes = {"residual": jnp.array(1.0), "initial": jnp.array(4.0)}
    weights = balance(sizes)
    assert weights == {"residual": 2.5, "initial": 0.625}
    with_none = balance({**sizes, "data": jnp.array(0.0)})
    np.testing.assert_allclose(with_none["residual"], 5 / 3, rtol=1e-15)
    assert with_none["data"] == 1


def test_average_of_constants():
    weights, target = {"a": jnp.array(1.0)}, {"a": jnp.array(3.0)}
    for _ in range(10):
        weights = average(weights, target)
    np.testing.assert_allclose(weights["a"], 3 - 2 * 0.9**10, rtol=1e-14)


def linear_model(getkey):
    """rᵢ = Aᵢθ − bᵢ: gradients and kernels in closed form."""
    a = jax.random.normal(getkey(), (5, 3)), 10 * jax.random.normal(getkey(), (4, 3))
    b, theta = (jnp.ones(5), jnp.zeros(4)), jnp.array([0.3, -1.0, 2.0])

    def losses(theta):
        rows = [jnp.mean((m @ theta["w"] - v) ** 2) for m, v in zip(a, b, strict=True)]
        return {"residual": rows[0], "initial": rows[1]}

    return a, b, {"w": theta}, losses


def test_gradient_norms_of_a_linear_model(getkey):
    a, b, theta, losses = linear_model(getkey)
    norms = jax.jit(lambda p: gradient_norms(losses, p))(theta)
    for name, m, v in zip(("residual", "initial"), a, b, strict=True):
        m, v, w = (np.asarray(q) for q in (m, v, theta["w"]))
        exact = np.linalg.norm(2 / len(v) * m.T @ (m @ w - v))
        np.testing.assert_allclose(norms[name], exact, rtol=1e-13)
    weights = balance(norms)
    weighed = lambda p: {k: weights[k] * v for k, v in losses(p).items()}
    pulled = jax.jit(lambda p: gradient_norms(weighed, p))(theta)
    np.testing.assert_allclose(pulled["residual"], pulled["initial"], rtol=1e-13)


@pytest.mark.parametrize("block", [1, 4, 1024])
def test_kernel_trace_of_a_linear_model(block):
    """r = (θ·φ, 2θ·φ) with φ = (1, t, tx): tr K(t) = 5 meanₓ(1 + t² + t²x²)."""

    def row(theta, t, x):
        r = theta @ jnp.stack([jnp.ones_like(t), t, t * x[0]])
        return jnp.stack([r, 2 * r])

    t = jnp.array([0.0, 1.0, 2.0])
    x = jnp.arange(15.0).reshape(3, 5, 1)
    traces = ntk_traces(row, jnp.array([0.3, -1.0, 2.0]), Points(t, x), block)
    exact = 5 * np.mean(1 + t[:, None] ** 2 * (1 + np.asarray(x[..., 0]) ** 2), 1)
    np.testing.assert_allclose(traces, exact, rtol=1e-14)


def test_kernel_trace_of_a_network_is_that_of_the_kernel(getkey):
    pde = AllenCahn()
    params, rest = nn.split(nn.mlp_field(pde, getkey(), width=5, depth=2))
    points = pde.sample(getkey(), 2, 3)

    def row(params, t, x):
        return eqx.combine(params, rest)(t, x)

    @jax.jit
    def both(params):
        at = lambda p, t, x: jax.vmap(lambda x: row(p, t, x)[0])(x)
        return ntk_traces(row, params, points), jax.vmap(jax.jacfwd(at), (None, 0, 0))(
            params, *points
        )

    traces, jacobians = both(params)
    for k in range(2):
        parts = [a[k] for a in jax.tree.leaves(jacobians)]
        jacobian = np.concatenate([np.asarray(p).reshape(3, -1) for p in parts], 1)
        kernel = jacobian @ jacobian.T
        np.testing.assert_allclose(traces[k], np.trace(kernel) / 3, rtol=1e-12)


def losses(a, b):
    """Blocks of one row each, with these losses."""
    rows = {"equation": jnp.sqrt(jnp.array([a])), "initial": jnp.sqrt(jnp.array([b]))}
    return lambda params: rows


def run_of(balance, key, steps=((4.0, 1.0), (2.0, 0.9), (1.0, 0.9))):
    """Weights after each update."""
    weights = {"equation": jnp.ones(()), "initial": jnp.ones(())}
    kept, found = balance.init(weights), []
    for pair in steps:
        weights, kept = balance.update(losses(*pair), (), weights, kept, key)
        found.append([float(a) for a in weights.values()])
    return np.array(found)


def test_soft_adapt(getkey):
    found = run_of(SoftAdapt(sharpness=2.0), getkey())
    np.testing.assert_array_equal(found[0], [1, 1])
    for row, change in zip(found[1:], ([-2.0, -0.1], [-1.0, 0.0]), strict=True):
        e = np.exp(2 * np.array(change) / np.sum(np.abs(change)))
        np.testing.assert_allclose(row, 2 * e / e.sum(), rtol=1e-12)
    assert found[1, 1] > 1 > found[1, 0]  # the one that stands still counts more


def test_relobralo(getkey):
    for lookback in (0.0, 1.0):
        found = run_of(ReLoBRaLo(1, 0.9, 0.5, lookback), getkey())
        share = lambda *r: (
            2 * np.exp(np.divide(r, 0.5)) / np.sum(np.exp(np.divide(r, 0.5)))
        )
        wanted = np.array([1.0, 1.0])
        steps = [((1, 1), (1, 1)), ((0.5, 0.9), (0.5, 0.9)), ((0.25, 0.9), (0.5, 1.0))]
        for row, (first, last) in zip(found, steps, strict=True):
            before = wanted if lookback else share(*first)
            wanted = 0.9 * before + 0.1 * share(*last)
            np.testing.assert_allclose(row, wanted, rtol=1e-12)


def test_balance_by_losses_is_carried_by_training(getkey):
    problem, one = Pendulum(), jnp.ones(())
    objective = pinn.Objective(
        8, 1, 4, ansatz=pinn.penalised_initial, initial_weight=10.0
    )
    trainer = pinn.Trainer(
        objective, optax.sgd(1e-3), pinn.Annealing((1.0,)), balance=ReLoBRaLo()
    )
    model = pinn.Model(pinn.mlp_field(problem, getkey(), width=4, depth=1), problem)
    window = pinn.Window(0 * one, one, problem.initial)
    out = pinn.train(trainer, model, window, getkey(), 4, block=4)
    first, last = out.state.balance
    assert first["initial"] != last["initial"] and np.isfinite(out.records.loss).all()
    assert abs(float(out.state.weights["initial"]) - 10) < 0.1


# ——— points


SIZE = np.array([0.0, 1.0, 2.0, 5.0])


def frequencies(rad, getkey, count):
    """How often each of four candidates is the first to be drawn."""
    pool = Points(jnp.zeros(1), jnp.arange(4.0).reshape(1, 4, 1))
    draw = lambda key: rad.choose(key, pool, jnp.asarray(SIZE)[None]).x[0, 0, 0]
    drawn = jax.jit(jax.vmap(draw))(jax.random.split(getkey(), count))
    return np.bincount(np.asarray(drawn, int), minlength=4)


@pytest.mark.parametrize("power, offset", [(1.0, 1.0), (2.0, 0.5), (0.5, 0.0)])
def test_frequencies(power, offset, getkey):
    p = SIZE**power / np.mean(SIZE**power) + offset
    rad = RAD(1, 1, 4, power=power, offset=offset)
    seen = frequencies(rad, getkey, 4000)
    possible = p > 0
    assert not seen[~possible].any()
    expected = 4000 * (p / p.sum())[possible]
    assert scipy.stats.chisquare(seen[possible], expected).pvalue > 1e-4
    # the control: 4000 draws tell this distribution from a uniform one
    assert scipy.stats.chisquare(seen).pvalue < 1e-10


def test_density_without_residual_is_uniform():
    for offset in (0.0, 1.0):
        p = density(jnp.zeros(4), offset)
        assert (p > 0).all() and (p == p[0]).all()


def test_no_point_twice_and_each_at_its_own_time(getkey):
    pool = AllenCahn().sample(getkey(), 6, 50)
    size = jnp.exp(8 * pool.x[..., 0])
    found = eqx.filter_jit(RAD(6, 40, 50).choose)(getkey(), pool, size)
    assert found.x.shape == (6, 40, 1)
    np.testing.assert_array_equal(found.t, pool.t)
    for k in range(6):
        places = set(np.asarray(found.x[k]).ravel().tolist())
        assert len(places) == 40
        assert places <= set(np.asarray(pool.x[k]).ravel().tolist())


def test_sampler_follows_the_residual(getkey):
    """|r| = 1 where x > 0 and t > 0.45, else 0; c = 0: no other point is drawn."""
    residual = lambda t, x: jnp.where((t > 0.45) & (x > 0), 1.0, 0.0)
    rad = RAD(8, 10, 200, pool_times=40, offset=0.0)
    dtype = jnp.dtype(jnp.float32)
    residual_32 = lambda t, x: residual(t, x).astype(dtype)
    found = jax.jit(rad, static_argnums=(1, 3, 4))(
        getkey(), AllenCahn(), Span(), dtype, residual_32
    )
    assert found.t.dtype == found.x.dtype == dtype
    assert (jnp.diff(found.t) > 0).all()
    assert (found.t > 0.45).all() and (found.t < 0.7).all() and (found.x > 0).all()
    plain = RAD(8, 10, 200)(getkey(), AllenCahn(), Span(), dtype, residual_32)
    assert plain.t[0] < 0.3  # the control: times are kept unless asked


def test_sampler_of_an_ordinary_equation(getkey):
    residual = lambda t, x: jnp.where(t > 0.45, jnp.ones(3), 0.0)
    rad = RAD(8, 1, 1, pool_times=40, offset=0.0)
    found = rad(getkey(), Lorenz(), Span(), jnp.dtype(float), residual)
    assert found.x.shape == (8, 1, 0)
    assert (found.t > 0.45).all() and (jnp.diff(found.t) > 0).all()


def test_the_worst_of_a_pool_are_taken(getkey):
    """|r| = x where t > 0.45: the points without regard, and those near x = 1."""
    rar, dtype = RAR(8, 10, 5, 100), jnp.dtype(float)
    rising = lambda t, x: x
    found = rar(getkey(), AllenCahn(), Span(), dtype, rising)
    assert found.x.shape == (8, 15, 1)
    assert (jnp.abs(found.x[:, 10:]) > 0.9).all()
    assert (found.x[:, :10].min(1) < -0.7).all() and (
        found.x[:, :10].max(1) > 0.7
    ).all()


def test_bad_input():
    with pytest.raises(ValueError, match="pool: given 3; accepted is at least worst"):
        RAR(2, 4, 4, 3)
    with pytest.raises(ValueError, match="pool: given 3; accepted is at least"):
        RAD(2, 4, 3)
    with pytest.raises(ValueError, match="pool_times: given 1"):
        RAD(2, 1, 3, pool_times=1)
