"""Curvature, thresholds and solvable models against closed forms."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import kappa as K, landscape as ls
from dynax.landscape import (
    deep_linear,
    generalization,
    grokking,
    opposing,
    river_valley,
    thresholds,
)

from . import laws


KEY = jax.random.key(0)


def dense(f, x):
    """(H, x as one vector): the Hessian, formed."""
    flat, unravel = jax.flatten_util.ravel_pytree(x)
    return np.asarray(jax.hessian(lambda v: f(unravel(v)))(flat)), flat


# curvature: many small programmes, whose time is XLA's


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_sharpness_is_the_largest_eigenvalue(dtype):
    f, x = laws.problem(dtype)
    h, flat = dense(f, x)
    eps = flat.size * float(jnp.finfo(dtype).eps)
    ritz = jax.jit(lambda x: ls.sharpness(f, x, KEY))(x)
    laws.same_structure(ritz.vector, x)
    top = np.linalg.eigvalsh(h)[-1]
    assert ritz.value.dtype == ritz.residual.dtype == dtype
    assert abs(ritz.value - top) <= 10 * eps * top
    assert ritz.residual <= 100 * eps * top


@pytest.mark.parametrize("matvecs", [1, 2, 4, 8])
def test_residual_bounds_the_error(matvecs):
    """Some eigenvalue lies within it, and none above the Ritz value plus it is missed
    by more than the spectrum allows: θ ≤ λ_max."""
    f, x = laws.problem()
    values = np.linalg.eigvalsh(dense(f, x)[0])
    keys = jax.random.split(KEY, 50)
    ritz = jax.vmap(lambda key: ls.sharpness(f, x, key, matvecs=matvecs))(keys)
    gap = np.min(np.abs(values[None] - np.asarray(ritz.value)[:, None]), axis=1)
    assert np.all(gap <= ritz.residual + 1e-12)
    assert np.all(ritz.value <= values[-1] + 1e-12)
    if matvecs < 4:  # a check that the error estimate is not always tiny
        assert np.max(ritz.residual) > 1e-2


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(
    "values",
    [np.zeros(20), -2 * np.ones(20), [3.0, 3.0] + [0] * 18, np.r_[5, 1, [0] * 18]],
    ids=["zero", "one value", "double", "low rank"],
)
def test_sharpness_where_lanczos_breaks_down(values, dtype):
    """The Krylov space is exhausted after a few products: no NaN, no ghosts."""
    h = jnp.asarray(values, dtype)
    f = lambda x: jnp.sum(h * x**2) / 2
    ritz = ls.sharpness(f, jnp.ones(20, dtype), KEY, matvecs=20)
    assert abs(float(ritz.value) - max(values)) <= 50 * jnp.finfo(dtype).eps * 5
    assert np.all(np.isfinite(ritz.vector)) and np.isfinite(ritz.residual)


def test_preconditioned_sharpness():
    f, x = laws.problem()
    h, _ = dense(f, x)
    p = jax.tree.map(lambda a: 0.1 + jnp.abs(a), x)
    flat, _ = jax.flatten_util.ravel_pytree(p)
    ritz = ls.sharpness(f, x, KEY, precondition=p)
    expected = np.max(np.real(np.linalg.eigvals(h / np.asarray(flat)[:, None])))
    np.testing.assert_allclose(ritz.value, expected, rtol=1e-12)
    v, _ = jax.flatten_util.ravel_pytree(ritz.vector)
    np.testing.assert_allclose(v @ (flat * v), 1, rtol=1e-12)
    np.testing.assert_allclose(h @ v, ritz.value * flat * v, atol=1e-9)
    plain = ls.sharpness(f, x, KEY)
    assert abs(plain.value - expected) > 1  # a control: the metric matters


def test_trace():
    f, x = laws.problem()
    exact = np.trace(dense(f, x)[0])
    found = jax.jit(lambda x: ls.trace(f, x))(x)
    np.testing.assert_allclose(found.value, exact, rtol=1e-12)
    assert found.error == 0
    keys = jax.random.split(KEY, 200)
    sampled = jax.vmap(lambda key: ls.trace(f, x, key, samples=32))(keys)
    scores = (sampled.value - exact) / sampled.error
    assert 0.7 < np.std(scores) < 1.4 and abs(np.mean(scores)) < 0.3
    assert 0.7 < np.mean(sampled.error) / np.std(sampled.value) < 1.4


def test_wrong_arguments_are_named():
    f, x = laws.problem()
    for call, name in (
        (lambda: ls.sharpness(f, x, KEY, matvecs=0), "matvecs"),
        (lambda: ls.sharpness(f, x, KEY, precondition=x["w"]), "precondition"),
        (lambda: ls.trace(f, x, KEY, samples=1), "samples"),
        (lambda: thresholds.threshold(lambda h: jnp.eye(1) * 2), "start"),
        (lambda: generalization.marchenko_pastur(0.0), "load"),
        (lambda: ls.stability_threshold(hessians(3, 2, 1), 0), "batch"),
        (lambda: ls.stability_threshold(hessians(3, 2, 1), 7), "batch"),
        (lambda: ls.by_enumeration(hessians(3, 2, 1), 0.1, 0), "batch"),
        (lambda: ls.stability_threshold(jnp.triu(jnp.ones((1, 2, 2))), 1), "hessians"),
    ):
        with pytest.raises(ValueError, match=f"^{name}"):
            call()


def test_without_matfree_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matfree", None)
    monkeypatch.setitem(__import__("sys").modules, "matfree.decomp", None)
    f, x = laws.problem()
    with pytest.raises(ImportError, match="pip install"):
        ls.sharpness(f, x, KEY)


# thresholds


def polyak(lr, beta):
    return lambda h: np.array([[1 + beta - lr * h, -beta], [1, 0]])


def nesterov(lr, beta):
    def matrix(h):
        g = 1 - lr * h
        return np.array([[(1 + beta) * g, -beta * g], [1, 0]])

    return matrix


def averaged(lr, beta):
    def matrix(h):
        return np.array([[1 - lr * (1 - beta) * h, -lr * beta], [(1 - beta) * h, beta]])

    return matrix


FORMULAS = {
    "descent": (lambda lr, b: lambda h: np.array([[1 - lr * h]]), None),
    "heavy ball": (polyak, thresholds.heavy_ball),
    "averaged": (averaged, thresholds.averaged_momentum),
    "Nesterov": (nesterov, thresholds.nesterov),
    "Adam": (averaged, thresholds.adam),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("lr, beta", [(1e-3, 0.9), (0.1, 0.5), (2.0, 0.99)])
def test_threshold_formulas(name, lr, beta):
    matrix, formula = FORMULAS[name]
    value = thresholds.gradient_descent(lr) if formula is None else formula(lr, beta)
    # where both eigenvalues are real, −1 is simple: its error is that of the matrix
    found = thresholds.threshold(matrix(lr, beta), start=1e-6 / lr)
    np.testing.assert_allclose(found, value, rtol=1e-10)
    above, below = matrix(lr, beta)(1.001 * value), matrix(lr, beta)(0.999 * value)
    assert thresholds.spectral_radius(above) > 1 > thresholds.spectral_radius(below)


@pytest.mark.parametrize("betas", [(0.9, 0.9), (0.9, 0.99), (0.5, 0.8), (0.0, 0.9)])
@pytest.mark.parametrize("lr", [1e-3, 0.3])
def test_threshold_of_a_dynax_optimizer(lr, betas):
    """Lion-κ with κ = ½‖·‖² is linear; with β₁ = β₂ it is averaged momentum."""
    opt = dx.LionKappa(K.HalfSquared(), *betas)
    found = thresholds.threshold(thresholds.companion(opt, lr), start=1e-6 / lr)
    np.testing.assert_allclose(found, thresholds.look_ahead(lr, *betas), rtol=1e-9)
    wrong = thresholds.heavy_ball(lr, betas[1])  # a control
    assert abs(found / wrong - 1) > 0.04


def test_threshold_is_where_training_diverges():
    """On a quadratic the iterates shrink just below it and grow just above."""
    opt, lr = dx.LionKappa(K.HalfSquared(), 0.9, 0.99), 1e-2
    edge = thresholds.look_ahead(lr, 0.9, 0.99)

    def size(h):
        step = lambda y, _: (opt.step(*y, h * y[0], lr), None)
        x = jnp.ones(())
        return jax.lax.scan(step, (x, opt.init(x)), length=4000)[0][0]

    assert abs(size(0.99 * edge)) < 1e-3 and abs(size(1.01 * edge)) > 1e3


def test_a_map_that_is_always_stable_has_no_threshold():
    assert thresholds.threshold(lambda h: np.eye(2) / (1 + h)) == np.inf


# stability of SGD


def hessians(n, d, rank, seed=0):
    a = jax.random.normal(jax.random.key(seed), (n, d, rank))
    return jnp.einsum("ndr,ner->nde", a, a)


@pytest.mark.parametrize("n, d, rank", [(6, 3, 1), (6, 3, 2), (4, 5, 1)])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_sgd_operator_is_the_mean_over_all_batches(n, d, rank, batch):
    h, lr = hessians(n, d, rank), 0.3
    moment = hessians(1, d, d, seed=1)[0]
    brute = ls.by_enumeration(h, lr, batch) @ moment.ravel()
    found = ls.second_moment(h, lr, batch, moment)
    np.testing.assert_allclose(found.ravel(), brute, rtol=1e-12, atol=1e-12)
    eta = float(ls.stability_threshold(h, batch))
    radius = lambda lr: np.linalg.eigvalsh(ls.by_enumeration(h, lr, batch))[-1]
    if n > d:  # else a direction that no sample sees keeps the radius at 1
        assert radius(eta * (1 - 1e-6)) < 1
    assert abs(radius(eta) - 1) < 1e-12 and radius(eta * (1 + 1e-6)) > 1 + 1e-8
    off = radius(0.9 * eta if n > d else 1.1 * eta)  # a control: η* is no other number
    assert abs(off - 1) > 1e-2


def test_sgd_with_whole_batches_is_gradient_descent():
    h = hessians(6, 4, 1)
    top = jnp.linalg.eigvalsh(jnp.mean(h, axis=0))[-1]
    np.testing.assert_allclose(ls.stability_threshold(h, 6), 2 / top, rtol=1e-12)
    assert ls.stability_threshold(jnp.zeros((3, 2, 2)), 1) == jnp.inf
    np.testing.assert_allclose(ls.stability_threshold(h[:1], 1), 2 / jnp.trace(h[0]))


def test_sgd_is_never_stable_at_a_saddle():
    """Growth at every η by all batches: a saddle, and one seen by single samples only;
    with a definite mean, indefinite samples still have a threshold, and it is found."""
    diagonal = lambda *rows: jax.vmap(jnp.diag)(jnp.array(rows))
    saddle = diagonal([1.0, -1.0])
    hidden = diagonal([1.0, 1.0], [1.0, -1.0])  # the mean is diag(1, 0)
    for h in (saddle, hidden):
        assert ls.stability_threshold(h, 1) == 0
        growth = [np.linalg.eigvals(ls.by_enumeration(h, lr, 1)) for lr in (1e-3, 0.1)]
        assert all(np.max(np.abs(g)) > 1 + 1e-7 for g in growth)
    np.testing.assert_allclose(ls.stability_threshold(hidden, 2), 2.0)
    mixed = diagonal([1.0, 3.0], [1.0, -1.0])
    eta = float(ls.stability_threshold(mixed, 1))
    radius = np.max(np.abs(np.linalg.eigvals(ls.by_enumeration(mixed, eta, 1))))
    np.testing.assert_allclose([eta, radius], [0.4, 1.0], rtol=1e-12)


def test_trace_bound():
    """Rank one, B = 1: a bound, attained by samples of equal length; else no bound."""
    for seed in range(20):
        h = hessians(7, 4, 1, seed)
        eta = ls.stability_threshold(h, 1)
        assert jnp.trace(jnp.mean(h, axis=0)) <= ls.trace_bound(eta) * (1 + 1e-12)
    x = jax.random.normal(KEY, (7, 4))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    h = jax.vmap(jnp.outer)(x, x)
    eta = ls.stability_threshold(h, 1)
    np.testing.assert_allclose(ls.trace_bound(eta), 1.0, rtol=1e-12)
    assert ls.trace_bound(ls.stability_threshold(h, 3)) < 0.7  # controls
    wide = hessians(7, 4, 4)
    eta = ls.stability_threshold(wide, 1)
    assert jnp.trace(jnp.mean(wide, axis=0)) > 1.1 * ls.trace_bound(eta)
    eta = ls.stability_threshold(jnp.eye(5)[None], 1)
    np.testing.assert_allclose(ls.trace_bound(eta), 1.0, rtol=1e-12)  # and tr H = 5
    unequal = jax.vmap(jnp.diag)(jnp.array([[1.0, 0.0], [0.0, 4.0]]))
    eta = ls.stability_threshold(unequal, 1)  # orthogonal, of different lengths
    np.testing.assert_allclose(ls.trace_bound(eta), 4.0, rtol=1e-12)  # and tr H = 2.5


# solvable models


def test_deep_linear_modes():
    """The closed form solves the rate; all forms of the flow agree."""
    s, start = 2.0, 1e-3
    t = jnp.linspace(0.0, 4.0, 9)
    u = lambda t: deep_linear.two_layer(t, s, start, 0.7)
    np.testing.assert_allclose(u(0.0), start, rtol=1e-12)
    slope = jax.vmap(jax.grad(u))(t)
    np.testing.assert_allclose(slope, deep_linear.rate(u(t), s, 2, 0.7), rtol=1e-9)
    half = deep_linear.half_time(s, start, 0.7)
    np.testing.assert_allclose(u(half), s / 2, rtol=1e-12)
    assert np.max(np.abs(slope / deep_linear.rate(u(t), s, 3, 0.7) - 1)) > 0.1
    for depth in (2, 3, 5):
        a = jnp.full(depth, 0.3 ** (1 / depth))
        product, rate = jax.jvp(jnp.prod, (a,), (deep_linear.mode_flow(a, s),))
        np.testing.assert_allclose(product, 0.3, rtol=1e-12)
        np.testing.assert_allclose(rate, deep_linear.rate(0.3, s, depth), rtol=1e-12)
        b = jax.random.normal(KEY, (depth,))  # unbalanced: aᵢ² − aⱼ² is conserved
        squares = jax.jvp(jnp.square, (b,), (deep_linear.mode_flow(b, s),))[1]
        np.testing.assert_allclose(squares, squares[0], rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_deep_linear_weights(depth):
    """Aligned weights: the modes decouple; any weights: the matrices are conserved."""
    target = jax.random.normal(KEY, (4, 4))
    s = jnp.linalg.svd(target)[1]
    weights = deep_linear.aligned(target, 0.2, depth)
    assert len(weights) == depth
    np.testing.assert_allclose(deep_linear.modes(weights, target), 0.2, rtol=1e-12)
    field = lambda w: [-g for g in jax.grad(deep_linear.loss)(w, target)]
    modes = lambda w: deep_linear.modes(w, target)
    rate = jax.jvp(modes, (weights,), (field(weights),))[1]
    expected = deep_linear.rate(jnp.full(4, 0.2), s, depth)
    np.testing.assert_allclose(rate, expected, rtol=1e-10)
    keys = jax.random.split(KEY, depth)
    free = [jax.random.normal(k, (4, 4)) for k in keys]
    moved = jax.jvp(deep_linear.conserved, (free,), (field(free),))[1]
    assert all(jnp.max(jnp.abs(m)) < 1e-12 for m in moved)


@pytest.mark.parametrize("load", [0.3, 1.0, 2.5])
def test_marchenko_pastur(load):
    """Mass 1 and the moments ⟨λ⟩ = α, ⟨λ²⟩ = α + α², ⟨1/λ⟩ = 1/(α−1)."""
    values, weights = generalization.marchenko_pastur(load)
    # at α = 1 the weights are (1 − cos θ)/(points + 1), their sum points/(points + 1)
    mass = 1 - 1 / 513 if load == 1 else 1
    np.testing.assert_allclose(jnp.sum(weights), mass, rtol=1e-12)
    np.testing.assert_allclose(weights @ values, load, rtol=1e-12)
    np.testing.assert_allclose(weights @ values**2, load + load**2, rtol=1e-12)
    inverse = jnp.where(values > 0, weights / jnp.where(values > 0, values, 1), 0)
    if load != 1:
        right = 1 / (load - 1) if load > 1 else load / (1 - load)
        np.testing.assert_allclose(jnp.sum(inverse), right, rtol=1e-12)


@pytest.mark.parametrize("load", [0.25, 0.5, 2.0, 4.0])
def test_generalization_error(load):
    error = lambda t: generalization.generalization_error(
        t, load, signal=2.0, noise=0.3
    )
    np.testing.assert_allclose(error(0.0), 2.3, rtol=1e-12)
    limit = generalization.limit(load, signal=2.0, noise=0.3)
    np.testing.assert_allclose(error(1e6), limit, rtol=1e-9)
    wrong = generalization.limit(1 / load, signal=2.0, noise=0.3)
    assert abs(error(1e6) / wrong - 1) > 0.1
    assert generalization.limit(1.0) == np.inf


def test_grokking_closed_forms():
    """The test error against Gauss–Hermite quadrature, exact for these polynomials."""
    d, eps, alpha = 3, 0.3, 0.7
    problem = grokking.Problem.sample(KEY, dimension=d, width=5, samples=4)
    nodes, mass = np.polynomial.hermite_e.hermegauss(6)
    grid = np.stack(np.meshgrid(*[nodes] * d), -1).reshape(-1, d)
    mass = np.prod(np.stack(np.meshgrid(*[mass] * d), -1), -1).ravel()
    mass, x = mass / mass.sum(), jnp.asarray(grid / d**0.5)
    weights = problem.start + jax.random.normal(KEY, problem.start.shape)
    out = grokking.network(weights, problem.start, x, alpha, eps)
    y = (x @ problem.beta) ** 2 / 2
    exact = mass @ (y - out) ** 2
    found = grokking.test_error(weights, problem, alpha, eps)
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    np.testing.assert_allclose(mass @ y**2 - (mass @ y) ** 2, 0.5, rtol=1e-12)
    at = grokking.network(problem.start, problem.start, x, alpha, eps)
    np.testing.assert_allclose(at, 0, atol=1e-15)

    point = jnp.asarray([0.4, -1.0, 0.2])
    k = jax.vmap(lambda other: grokking.kernel(point, other, eps))(x)
    linear, quadratic = grokking.kernel_eigenvalues(d, eps)
    for q, eigenvalue in (
        (lambda x: x[..., 1] - 2 * x[..., 2], linear),
        (lambda x: x[..., 0] ** 2 - x[..., 2] ** 2 + x[..., 0] * x[..., 1], quadratic),
    ):
        seen = mass @ (k * q(x))
        np.testing.assert_allclose(seen, eigenvalue * q(point), rtol=1e-12)
    assert abs(2 * eps / d**2 / quadratic - 1) > 0.5  # as the main text prints it


def test_grokking_kernel_is_that_of_a_wide_network():
    """K/(α²/N) → x·x' + ε²(x·x')² as N grows, at the rate 1/√N."""
    problem = grokking.Problem.sample(KEY, dimension=3, width=200_000, samples=2)
    out = lambda w: grokking.network(w, problem.start, problem.x, 1.0, 0.5)
    rows = jax.vjp(out, problem.start)[1]
    a, b = (rows(e)[0] for e in jnp.eye(2))
    seen = jnp.sum(a * b) * problem.start.shape[0]
    np.testing.assert_allclose(seen, grokking.kernel(*problem.x, 0.5), rtol=2e-2)


@pytest.mark.parametrize("lr", [0.1, 0.2, 0.4])
def test_river_valley(lr):
    valley = river_valley.Valley()
    excess = valley.expected(jnp.full(2000, lr))
    np.testing.assert_allclose(excess[-1], valley.floor(lr), rtol=1e-12)
    path = river_valley.sgd(valley, jnp.full(3000, lr), KEY, hills=300)
    np.testing.assert_allclose(path.excess[300:].mean(), valley.floor(lr), rtol=0.02)
    np.testing.assert_allclose(path.river[-1], 3000 * lr * valley.slope, rtol=1e-10)
    diffusion = lr * valley.noise**2 / 4  # a control: the limit of small ηγ
    assert abs(path.excess[300:].mean() / diffusion - 1) > 0.08
    value = jax.value_and_grad(valley.loss, (0, 1))(jnp.ones(()), jnp.ones(2))
    np.testing.assert_allclose(value[0], -0.1 + 2.0)
    np.testing.assert_allclose(value[1][1], 2.0)


def test_opposing_signals():
    """The feature's curvature is what is claimed, and the groups' pulls cancel."""
    data = opposing.Data.sample(KEY, offset=2.0)
    weights = opposing.begin(KEY, 10, 20, 0.1)
    f = lambda w: opposing.loss(w, data)
    h = jax.hessian(lambda v: f(weights._replace(v=v)))(weights.v)[:, 0, :, 0]
    np.testing.assert_allclose(
        np.linalg.eigvalsh(h)[-1], opposing.feature_curvature(weights, data), rtol=1e-10
    )
    groups = opposing.group_losses(weights, data)
    assert groups.shape == (3,)
    share = jnp.asarray([0.01, 0.01, 0.98])
    np.testing.assert_allclose(groups @ share, f(weights), rtol=1e-12)
    pull = jax.jacrev(lambda w: opposing.group_losses(w, data))(weights).v[:2, :, 0]
    assert jnp.linalg.norm(pull[0] + pull[1]) < 0.2 * jnp.linalg.norm(pull[0])
    none = opposing.Data.sample(KEY, offset=0.0)  # a control: no offset, no opposition
    pull = jax.jacrev(lambda w: opposing.group_losses(w, none))(weights).v[:2, :, 0]
    assert jnp.linalg.norm(pull[0] + pull[1]) > 0.5 * jnp.linalg.norm(pull[0])
