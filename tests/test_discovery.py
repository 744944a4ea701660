"""Inverse problems: closed forms, published tables and refusals."""

import math
import subprocess
import sys
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

from dynax import identify, pde, pinn
from dynax.identify import collinear, monomials, stlsq
from dynax.newton import LevenbergMarquardt
from dynax.pinn import inverse
from dynax.pinn.several import Several, SideBySide, side_by_side


# --- a library


@pytest.mark.parametrize("k, degree", [(1, 3), (2, 3), (3, 2)])
def test_monomials_are_all_of_them(k, degree):
    names = [f"q{j}" for j in range(k)]
    library = monomials(names, degree, constant=True)
    assert len(library.terms) == len({*library.terms}) == math.comb(k + degree, degree)
    z = np.random.default_rng(0).normal(size=(5, k))
    env = lambda row: dict(zip(names, row, strict=True)) | {"__builtins__": {}}
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹·", "0123456789*")
    python = [t.replace("²", "**2").replace("³", "**3") for t in library.terms]
    expected = [[eval(t.translate(digits), env(row)) for t in python] for row in z]
    np.testing.assert_allclose(library(jnp.asarray(z)), expected, rtol=1e-14)


def test_a_library_names_what_it_refuses():
    for quantities, degree in (("u u", 2), ("", 1), ("u", 0)):
        with pytest.raises(ValueError, match="quantities, degree: given"):
            monomials(quantities, degree)


# --- sparse regression


@jax.jit
def sparse(columns, y, threshold):
    return stlsq(columns.T @ columns, columns.T @ y, y @ y, threshold)


def test_orthonormal_columns_are_thresholded_once():
    """There least squares are inner products, and the method a hard threshold."""
    random = np.random.default_rng(0)
    q = jnp.asarray(np.linalg.qr(random.normal(size=(50, 6)))[0])
    y = jnp.asarray(random.normal(size=50))
    found, kept = sparse(q, y, 0.15)
    inner = np.asarray(q.T @ y)
    keep = np.abs(inner) > 0.15 * np.linalg.norm(y)
    assert 0 < keep.sum() < 6
    np.testing.assert_array_equal(kept, keep)
    np.testing.assert_allclose(found, np.where(keep, inner, 0), atol=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_support_is_found_and_fitted_by_least_squares(dtype):
    """u in (0, 1): Hilbert-like columns; units of the columns and of y are nothing."""
    random = np.random.default_rng(1)
    u = random.uniform(0, 1, 200)
    columns = np.stack([u, u**2, u**3], 1)
    y = 3 * u - 3 * u**2 + 0.005 * random.normal(size=200)
    exact = np.linalg.lstsq(columns[:, :2], y, rcond=None)[0]
    for units in (np.ones(3), np.array([1e3, 1e-3, 1.0])):
        scaled = jnp.asarray(columns * units, dtype)
        found, kept = sparse(scaled, jnp.asarray(y, dtype), 0.01)
        assert found.dtype == dtype
        np.testing.assert_array_equal(kept, [True, True, False])
        # normal equations: κ² = 60 times the round-off, and the sums'
        tolerance = 1e4 * float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(
            np.asarray(found[:2]) * units[:2], exact, rtol=tolerance
        )


def test_collinearity_of_a_published_example():
    """Belsley, Kuh, Welsch (1980), p. 161: the modified Bauer matrix, as printed."""
    bauer = [
        [-74, 80, 18, -56, -112],
        [14, -69, 21, 52, 104],
        [66, -72, -5, 764, 1528],
        [-12, 66, -30, 4096, 8192],
        [3, 8, -7, -13276, -26552],
        [4, -12, 4, 8421, 16842],
    ]
    indices, proportions = collinear(jnp.asarray(bauer, float))
    np.testing.assert_allclose(indices[:4], [1, 1.038538, 1.325775, 15.9971], 1e-5)
    assert indices[4] > 1e7
    table = [[0.000, 0.000, 0.000], [0.005, 0.005, 0.000], [0.001, 0.001, 0.047]]
    np.testing.assert_allclose(proportions[:3, :3], table, atol=6e-4)
    np.testing.assert_allclose(proportions[3, :3], [0.994, 0.994, 0.953], atol=6e-4)
    np.testing.assert_allclose(proportions[4], [0, 0, 0, 1, 1], atol=6e-4)


# --- the verdict


CUBIC = monomials("u", 3)
KEY = jax.random.key(0)


def test_a_formula_is_identified():
    u = jnp.linspace(-1, 1, 200)[:, None]
    found = identify.identify(CUBIC, u, 2 * u - 3 * u**3, noise=0.02, key=KEY)
    assert found.holds and found.places == ((0, 0), (2, 0))
    np.testing.assert_allclose(found.coefficients[:, 0], [2, 0, -3], atol=1e-12)
    assert "IDENTIFIED" in str(found) and "u³" in str(found)


def refused(library, z, h, noise=0.02):
    found = identify.identify(library, z, h, noise=noise, key=KEY)
    assert not found.holds and found.places == ()
    assert np.all(np.isnan(found.coefficients)) and np.all(np.isnan(found.errors))
    return found


def test_where_all_is_constant_nothing_is_identified():
    """A fixed point, and a surrogate that wanders about it by less than the noise."""
    u = 0.7 + 1e-3 * jnp.sin(jnp.linspace(0, 9, 200))[:, None]
    found = refused(CUBIC, u, u - u**3)
    assert found.status == "not identified" and found.columns == CUBIC.terms


def test_two_phases_cannot_tell_u_from_its_cube():
    u = jnp.where(jnp.arange(200) % 3 == 0, 1.0, -1.0)[:, None]
    found = refused(CUBIC, u, u - u**3 + u**2)
    assert found.columns == ("u", "u³")
    assert "u, u³" in str(found)


def test_one_fourier_mode_cannot_tell_u_from_its_laplacian():
    """e^{−νπ²t} sin πx has u_xx = −π²u; with a second mode the two are told apart."""
    t, x = jnp.meshgrid(jnp.linspace(0, 1, 10), jnp.linspace(-1, 1, 20), indexing="ij")
    mode = lambda k: jnp.exp(-0.1 * (k * jnp.pi) ** 2 * t) * jnp.sin(k * jnp.pi * x)
    library = monomials("u u_xx", 1)

    def columns(*modes):
        u = sum(mode(k) for k in modes)
        u_xx = sum(-((k * jnp.pi) ** 2) * mode(k) for k in modes)
        return jnp.stack([u.ravel(), u_xx.ravel()], 1)

    z = columns(1)
    assert refused(library, z, 0.1 * z[:, 1:]).columns == ("u", "u_xx")
    z = columns(1, 2)
    found = identify.identify(library, z, 0.1 * z[:, 1:], noise=0.02, key=KEY)
    np.testing.assert_allclose(found.coefficients[:, 0], [0, 0.1], atol=1e-12)


def test_a_library_without_the_term_does_not_explain_it():
    u = jnp.linspace(-1, 1, 200)[:, None]
    assert refused(monomials("u", 2), u, u - u**3).status == "not explained"


def test_a_column_of_zeros_is_named():
    u = jnp.linspace(-1, 1, 200)[:, None]
    z = jnp.concatenate([u, jnp.zeros_like(u)], 1)
    assert refused(monomials("u v", 1), z, u).columns == ("v",)


def test_fits_that_disagree_are_refused():
    """Members that each give another coefficient: together they give none."""
    u = jnp.broadcast_to(jnp.linspace(-1, 1, 200)[:, None], (6, 200, 1))
    slopes = jnp.asarray([1.0, -1.0, 2.0, -2.0, 0.5, 0.0])[:, None, None]
    found = refused(monomials("u", 1), u, slopes * u, noise=0.5)
    assert not found.holds
    agreeing = 1 + 0.01 * slopes
    good = identify.identify(monomials("u", 1), u, agreeing * u, noise=0.02, key=KEY)
    assert good.holds
    # the errors are the scatter of the members
    np.testing.assert_allclose(good.errors[0, 0], 0.01 * np.std(slopes), rtol=0.2)


def test_the_bootstrap_gives_the_errors_of_least_squares():
    """White noise in h: σ√(ΘᵀΘ)⁻¹; 20 blocks and 100 draws leave about 20 %."""
    random = np.random.default_rng(2)
    u = random.uniform(-1, 1, (200, 1))
    h = 2 * u - 3 * u**3 + 0.1 * random.normal(size=u.shape)
    arrays = jnp.asarray(u), jnp.asarray(h)
    found = identify.identify(CUBIC, *arrays, noise=0.1, key=KEY)
    theta = np.concatenate([u, u**3], 1)
    exact = 0.1 * np.sqrt(np.diag(np.linalg.inv(theta.T @ theta)))
    np.testing.assert_allclose(found.errors[[0, 2], 0], exact, rtol=0.5)
    assert found.errors[1, 0] == 0


def test_regression_is_a_program():
    """vmap over data = one by one, and float32 stays."""
    u = jnp.linspace(-1, 1, 200, dtype=jnp.float32)[:, None]
    h = jnp.stack([u - u**3, u + u**2])
    one = jax.jit(lambda h: identify.regress(CUBIC(u), h, 0.02, KEY, 10))
    both = jax.vmap(one)(h)
    assert both.coefficients.dtype == jnp.float32
    for k in range(2):
        alone = one(h[k])
        np.testing.assert_allclose(both.coefficients[k], alone.coefficients, atol=1e-5)


@pytest.mark.parametrize(
    "z, h, noise, message",
    [
        (jnp.ones((5, 2)), jnp.ones((5, 1)), 0.1, "z, h: given shapes"),
        (jnp.ones((5, 1)), jnp.ones((4, 1)), 0.1, "z, h: given shapes"),
        (jnp.ones((5, 1)), jnp.full((5, 1), jnp.nan), 0.1, "NaN"),
        (jnp.ones((5, 1)), jnp.ones((5, 1)), 0.0, "noise: given"),
    ],
)
def test_bad_input_is_named(z, h, noise, message):
    with pytest.raises(ValueError, match=message):
        identify.identify(CUBIC, z, h, noise=noise, key=KEY)


def test_what_is_written_for_pysr_runs(tmp_path):
    """With a stand-in for the package, that checks what it is given."""
    u = np.linspace(0, 1, 7)[:, None]
    script = identify.to_pysr(tmp_path / "out", u, u**2, ["u"])
    (script.parent / "pysr.py").write_text(
        "class PySRRegressor:\n"
        "    def __init__(self, binary_operators, niterations, maxsize): pass\n"
        "    def fit(self, X, y, variable_names):\n"
        "        assert X.shape == y.shape == (7, 1) and variable_names == ['u']\n"
        "        assert (y == X**2).all()\n"
    )
    run = [sys.executable, script.name]
    done = subprocess.run(run, cwd=script.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pysr" not in sys.modules


# --- the parts of an equation


def random_function(pde_, key):
    """Smooth in (t, x), one number per field."""
    a = jax.random.normal(key, (len(pde_.fields), 1 + len(pde_.lower)))
    return lambda t, x: jnp.sin(a @ jnp.append(x, t))


def test_the_known_part_and_the_term_are_the_whole(getkey):
    whole = pde.AllenCahn(diffusion=0.1, reaction=2.0)
    library = monomials("u u_xx", 3)
    places = ((0, 0), (library.terms.index("u³"), 0), (1, 0))
    term = identify.Polynomial(library, places, jnp.asarray([2.0, -2.0, 0.04]))
    part = identify.WithHidden(pde.AllenCahn(0.06, 0.0), term, "u xx")
    assert part.quantities == library.quantities
    u = random_function(whole, getkey())
    for x in (jnp.asarray([0.3]), jnp.asarray([-0.7])):
        parts, all_ = (eq.residual(u, 0.2, x) for eq in (part, whole))
        np.testing.assert_allclose(parts, all_, rtol=1e-12)


def test_a_term_in_one_of_two_equations(getkey):
    """Pendulum from q̇ = p, ṗ = h(q): the residual is that of the whole."""
    whole = pde.Pendulum(2.0)
    term = lambda z: -4 * jnp.sin(z[:1])
    part = identify.WithHidden(pde.Pendulum(0.0), term, "u", outputs=(1,))
    u, x = random_function(whole, getkey()), jnp.zeros(0)
    np.testing.assert_allclose(part.residual(u, 1.0, x), whole.residual(u, 1.0, x))
    wrong = identify.WithHidden(pde.Pendulum(0.0), term, "u")
    with pytest.raises(ValueError, match="hidden: given 1 values; accepted is 2"):
        wrong.residual(u, 1.0, x)


class Sized(pde.AllenCahn):
    sizes: ClassVar = (0.7,)


def test_several_states_are_each_alone(getkey):
    """Residuals and initial states side by side = one by one, each with its network.
    A size S of u that is declared is each state's; one that is measured is of all."""
    hidden = inverse.Hidden((1.0,), (1.0,), key=getkey())
    one = identify.WithHidden(Sized(0.1, 0.0), hidden, "u")
    states = jnp.sin, lambda x: 0.5 * jnp.cos(x)
    both = Several(one, states)
    assert both.fields == ("u1", "u2")
    make = lambda key: pinn.mlp_field(one, key, width=4, depth=1)
    keys = jax.random.split(getkey(), 2)
    networks = SideBySide(make, keys)
    x = jnp.asarray([0.4])
    window = pinn.Window(jnp.asarray(0.5), jnp.asarray(0.9), both.initial)
    together, t = pinn.exact_initial(both, networks, window), jnp.asarray(0.7)
    r = both.residual(together, t, x)
    for k in range(2):
        alone = pinn.exact_initial(
            one, make(keys[k]), window._replace(initial=states[k])
        )
        np.testing.assert_allclose(together(t, x)[k], alone(t, x)[0], rtol=1e-13)
        np.testing.assert_allclose(r[k], one.residual(alone, t, x)[0], rtol=1e-12)
    training = trainer(lambda pde: pde.hidden)
    free = identify.WithHidden(pde.AllenCahn(0.1, 0.0), hidden, "u")
    sizes = [window._replace(initial=state).sizes(free)[0] for state in states]
    every = np.sqrt(np.mean(np.square(sizes)))
    np.testing.assert_allclose(window.sizes(Several(free, states)), [every] * 2)
    points = both.sample(getkey(), 3, 5)
    z, h = inverse.look(training, pinn.Model(networks, both), window, points)
    at = jax.vmap(jax.vmap(together, (None, 0)))(points.t, points.x)
    np.testing.assert_allclose(z[:, 0], at.ravel(), rtol=1e-13)
    np.testing.assert_allclose(h, jax.vmap(hidden)(z), rtol=1e-13)


def test_data_side_by_side():
    one = pinn.Data(jnp.ones(2), jnp.zeros((2, 0)), jnp.ones((2, 2)), 0.1)
    two = pinn.Data(jnp.ones(3), jnp.zeros((3, 0)), 2 * jnp.ones((3, 1)), 0.2)
    both = side_by_side([one, two])
    np.testing.assert_array_equal(both.value[:2], [[1, 1, np.nan]] * 2)
    np.testing.assert_array_equal(both.value[2:], [[np.nan, np.nan, 2]] * 3)
    np.testing.assert_array_equal(both.noise, [0.1, 0.1, 0.2])


# --- coefficients, data and what they leave open


class Decay(pde.AbstractODE):
    """u̇ = −(a + b)u from 1."""

    horizon = 2.0
    a: jax.Array | float
    b: jax.Array | float = 0.0

    def field(self, u):
        return -(self.a + self.b) * u

    def initial(self, x):
        return jnp.ones(1, x.dtype)


class Series(eqx.Module):
    """A polynomial in t: it follows e^{−t} on [0, 2] to 1e-9."""

    coefficients: jax.Array

    def __call__(self, t, x):
        return jnp.polyval(self.coefficients, t - 1)[None]

    @classmethod
    def of(cls, exact):
        """Such that 1 + (t/2)·series = exact."""
        t = np.linspace(0.01, 2, 200)
        values = (exact(t) - 1) / (t / 2)
        return cls(jnp.asarray(np.polyfit(t - 1, values, 11)))


NOISE = 0.02
TIMES = np.linspace(0.1, 2, 20)
WINDOW = pinn.Window(jnp.asarray(0.0), jnp.asarray(2.0), Decay(1.0).initial)


def measured(seed=0, rate=1.0):
    random = np.random.default_rng(seed)
    value = np.exp(-rate * TIMES) + NOISE * random.normal(size=TIMES.shape)
    empty = jnp.zeros((len(TIMES), 0))
    return pinn.Data(jnp.asarray(TIMES), empty, jnp.asarray(value)[:, None], NOISE)


def objective(data=None, **settings):
    settings = {"times": 32, "points": 1, "chunks": 8, "data_weight": 4e-6} | settings
    return pinn.Objective(data=data, **settings)


def rate(equation):
    return (equation.a,)


standard_errors = eqx.filter_jit(inverse.standard_errors)


def trainer(learn, data=None):
    annealing = pinn.Annealing((25.0, 2.5e5), patience=30)
    return pinn.Trainer(objective(data), LevenbergMarquardt(), annealing, learn=learn)


def test_a_coefficient_is_that_of_least_squares():
    """scipy's, from the closed solution; so far from the start that it is no accident.

    What the equation's softness moves it by is far below its error: 2 % of that.
    """
    data = measured()
    curve = lambda t, a: np.exp(-a * t)
    known = scipy.optimize.curve_fit(curve, TIMES, data.value[:, 0], 1.0)
    (exact,), covariance = known
    training = trainer(rate, data)
    model = pinn.Model(Series(jnp.zeros(12)), Decay(jnp.asarray(3.0)))
    solve = eqx.filter_jit(pinn.solve)
    out = solve(training, model, WINDOW, KEY, 60)
    batch = objective(times=64).sample(KEY, model.pde, WINDOW)
    found = standard_errors(training, out.model, WINDOW, batch)
    np.testing.assert_allclose(found.errors[0] ** 2, covariance[0, 0], rtol=0.6)
    assert abs(out.model.pde.a - exact) < 0.02 * found.errors[0]
    assert out.model.pde.b == 0.0 and bool(found.identified[0])
    # a first guess that keeps the start for ever does not make the test an empty one
    model = pinn.Model(Series(jnp.zeros(12)), Decay(jnp.asarray(0.0)))
    again = solve(training, model, WINDOW, KEY, 60)
    assert again.state.solved and out.state.solved and again.state.null > 1e-2


def test_errors_have_a_closed_form():
    """se(a) = σ/√Σ(t e^{−at})² where the solution is in closed form."""
    data = measured()
    training = trainer(rate, data)
    model = pinn.Model(Series.of(lambda t: np.exp(-t)), Decay(jnp.asarray(1.0)))
    batch = objective(times=64).sample(KEY, model.pde, WINDOW)
    found = standard_errors(training, model, WINDOW, batch)
    exact = NOISE / np.linalg.norm(TIMES * np.exp(-TIMES))
    np.testing.assert_allclose(found.errors, [exact], rtol=1e-3)
    assert found.identified.all()


def test_two_coefficients_of_which_only_the_sum_counts_are_not_identified():
    training = trainer(lambda pde: (pde.a, pde.b), measured())
    law = Decay(jnp.asarray(0.4), jnp.asarray(0.6))
    model = pinn.Model(Series.of(lambda t: np.exp(-t)), law)
    batch = objective(times=64).sample(KEY, law, WINDOW)
    found = standard_errors(training, model, WINDOW, batch)
    assert not found.identified.any()
    assert found.correlation[0, 1] < -0.999


def test_a_coefficient_that_is_no_array_cannot_be_learned():
    training = trainer(rate)
    with pytest.raises(TypeError, match="learn: given"):
        training.split(pinn.Model(Series(jnp.zeros(12)), Decay(1.0)))


def test_rows_are_the_loss_and_their_derivatives():
    """Σ rows² is the loss; `linearised` is `jacfwd` of the rows; NaN counts nothing."""
    data = measured()
    data = data._replace(value=data.value.at[3].set(jnp.nan))
    goal = objective(data, data_weight=0.3)
    training = trainer(rate, data)
    model = pinn.Model(Series.of(lambda t: np.exp(-1.1 * t)), Decay(jnp.asarray(1.0)))
    params, static = training.split(model)
    batch = goal.sample(KEY, model.pde, WINDOW)
    log_w = -jnp.linspace(0, 1, 8)
    flat, unravel = ravel_pytree(params)

    def rows(flat):
        model = eqx.combine(unravel(flat), static)
        return goal.rows(goal.blocks(model, WINDOW, batch), log_w)

    losses = goal.losses(goal.blocks(model, WINDOW, batch))
    loss = goal.total(losses, log_w)
    np.testing.assert_allclose(jnp.sum(rows(flat) ** 2), loss, rtol=1e-13)
    seen = np.delete(np.asarray(data.value[:, 0]), 3), np.delete(TIMES, 3)
    misfit = np.mean(((np.exp(-1.1 * seen[1]) - seen[0]) / NOISE) ** 2)
    # Series follows the exponential to 1e-9 of 1, that is 5e-8 σ
    np.testing.assert_allclose(losses.others["data"], misfit, rtol=1e-6)
    linearised = jax.jit(lambda p: goal.linearised(p, static, WINDOW, batch, log_w))
    r, J = linearised(params)
    # the same sums in another order
    np.testing.assert_allclose(r, rows(flat), rtol=1e-13, atol=1e-15)
    exact = jax.jit(jax.jacfwd(rows))(flat)
    np.testing.assert_allclose(J, exact, rtol=1e-9, atol=1e-13)


def gate(rate, seed):
    """min w at ε = 1000 for u = e^{−rate·t} and data of e^{−t}."""
    goal = objective(measured(seed), data_weight=1.0)
    model = pinn.Model(Series.of(lambda t: np.exp(-rate * t)), Decay(jnp.asarray(rate)))
    return float(_gate(goal, model))


@eqx.filter_jit
def _gate(goal, model):
    batch = goal.sample(KEY, model.pde, WINDOW)
    blocks = goal.blocks(model, WINDOW, batch)
    return jnp.exp(goal.log_min(goal.losses(blocks), blocks, batch, 1000.0))


def test_noise_does_not_gate_a_solution_and_a_wrong_one_is_gated():
    """The equation is met by both, so all that gates is what the data say."""
    truth = [gate(1.0, seed) for seed in range(10)]
    np.testing.assert_allclose(truth, 1, atol=1e-6)
    assert max(gate(1.2, seed) for seed in range(10)) < 1e-6
