"""Second-order methods against closed forms in NumPy, scipy, optimistix and optax."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax
import optimistix as optx
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

from dynax.newton import (
    LevenbergMarquardt,
    _forms,
    scale_by_ssbroyden,
    ssbroyden,
)
from tests import mgh


EXACT = lx.CG(rtol=1e-14, atol=1e-14, max_steps=200)


def begin(solver, y):
    return solver.init(None, y, None, {}, None, None, frozenset())


@eqx.filter_jit
def make_step(solver, fn, y, args, state):
    y, state, _ = solver.step(fn, y, args, {}, state, frozenset())
    return y, state


def with_aux(fn):
    return lambda y, args: (fn(y, args), None)


# Problems of Moré, Garbow, Hillstrom 1981, and a fit with noise.


def rosenbrock(y, args):
    del args
    return mgh.rosenbrock(y)


def exponential(y, args):
    del args
    t = jnp.linspace(0, 4, 40, dtype=y.dtype)
    data = 2.5 * jnp.exp(-1.3 * t) + 0.5 + 0.01 * jnp.cos(37 * t)
    return y[0] * jnp.exp(-y[1] * t) + y[2] - data


PROBLEMS = {
    "helical valley": (lambda y, args: mgh.helical_valley(y), (-1.0, 1e-3, 0.0)),
    "Brown–Dennis": (lambda y, args: mgh.brown_dennis(y), (25.0, 5.0, -5.0, -1.0)),
    "exponential": (exponential, (1.0, 1.0, 0.0)),
}


def network(y, args):
    """A small curved map R⁶ → Rᵐ of a pytree; `args` is (m, 2)."""
    return {"r": jnp.tanh(args @ y["w"]) @ y["v"] - jnp.sin(args[:, 0])}


def network_start(dtype=float):
    w = jnp.array([[0.5, -0.3], [0.2, 0.8]], dtype)
    return {"w": w, "v": jnp.array([0.7, -1.1], dtype)}


def points(m, seed=0, dtype=float):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(m, 2)), dtype)


def dense(fn, y, args):
    """r and J as NumPy arrays."""
    flat, unravel = ravel_pytree(y)
    residual = lambda flat: ravel_pytree(fn(unravel(flat), args))[0]
    r, J = jax.jit(lambda y: (residual(y), jax.jacfwd(residual)(y)))(flat)
    return np.asarray(r), np.asarray(J)


def apart(y, z):
    """‖y − z‖ of two trees."""
    pairs = zip(jax.tree.leaves(y), jax.tree.leaves(z), strict=True)
    return np.linalg.norm([np.linalg.norm(np.asarray(a) - b) for a, b in pairs])


def rowwise(fn, y, args):
    del fn
    flat, unravel = ravel_pytree(y)
    row = lambda flat, x: network(unravel(flat), x[None])["r"][0]
    return jax.vmap(jax.value_and_grad(row), (None, 0))(flat, args)


# One step.


@pytest.mark.parametrize(
    "form, rows, jacobian",
    [
        ("primal", 3, rowwise),
        ("dual", 20, None),
        ("free", 20, None),
        ("auto", 3, None),
        ("auto", 20, rowwise),
    ],
)
def test_step_is_the_closed_form(form, rows, jacobian):
    solver = LevenbergMarquardt(
        form=form, damping=0.1, jacobian=jacobian, linear_solver=EXACT
    )
    y, args = network_start(), points(rows)
    after, state = make_step(solver, with_aux(network), y, args, begin(solver, y))
    p = np.asarray(ravel_pytree(after)[0]) - np.asarray(ravel_pytree(y)[0])
    r, J = dense(network, y, args)
    assert state.accepted and np.isclose(state.loss, r @ r / 2, rtol=1e-14)
    scale = np.sum(J**2) / 6
    if form == "free":  # λ is estimated: whichever it was, p solves its equation
        damping = -(J.T @ r + J.T @ J @ p) @ p / (p @ p)
        assert 0.03 * scale < damping < 0.3 * scale  # eight signs: within 50 %
    else:
        damping = 0.1 * scale
    exact = -np.linalg.solve(J.T @ J + damping * np.eye(6), J.T @ r)
    # conditioning λmax/λ < 100 times round-off, or CG's tolerance
    np.testing.assert_allclose(p, exact, rtol=0, atol=1e-10 * np.linalg.norm(exact))


@pytest.mark.parametrize("known", [True, False])
def test_a_preconditioner_spares_steps(known):
    """Columns of size 1 to 1e-4: three steps of CG are enough with their squares known,
    and not without."""
    sizes = jnp.logspace(0, -4, 8)
    Q = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (8, 8)))[0]
    fn = with_aux(lambda y, args: Q @ (sizes * y) - 1)

    def squares(y, args, damping):
        return lambda v: v / (sizes**2 + damping)

    solver = LevenbergMarquardt(
        form="free",
        damping=1e-12,
        linear_solver=lx.CG(rtol=1e-12, atol=1e-12, max_steps=3),
        preconditioner=squares if known else None,
    )
    y = jnp.zeros(8)
    after, _ = make_step(solver, fn, y, None, begin(solver, y))
    left = float(jnp.linalg.norm(fn(after, None)[0]))
    assert (left < 1e-3) == known


def test_the_damping_follows_its_rule():
    """As its page states it, in NumPy; steps that are not taken among them."""
    solver, fn = LevenbergMarquardt(damping=10.0), with_aux(rosenbrock)
    y = jnp.array([-1.2, 1.0])
    state, mu, at, refused = begin(solver, y), 10.0, np.asarray(y), 0
    both = jax.jit(lambda y: (rosenbrock(y, None), jax.jacfwd(rosenbrock)(y, None)))
    for _ in range(12):
        y, state = make_step(solver, fn, y, None, state)
        r, J = map(np.asarray, both(at))
        for _ in range(8):
            damping = mu * np.sum(J**2) / 2
            p = -np.linalg.solve(J.T @ J + damping * np.eye(2), J.T @ r)
            new = np.asarray(both(at + p)[0])
            rho = (r @ r - new @ new) / (r @ r - np.sum((r + J @ p) ** 2))
            factor = min(1 / 3, abs(1 - rho)) if rho > 1 / 4 else 1
            mu *= factor if rho > 1 / 100 else 2
            if r @ r > new @ new:
                at = at + p
                break
            refused += 1
        np.testing.assert_allclose(state.damping, mu, rtol=1e-6)
        np.testing.assert_allclose(y, at, rtol=1e-9)
    assert refused > 2 and np.linalg.norm(at - 1) < 1


def test_units_of_the_residual_do_not_matter():
    y, x = network_start(), points(20)
    solver, fn = LevenbergMarquardt(), lambda y, unit: (unit * network(y, x)["r"], None)
    steps = [make_step(solver, fn, y, u, begin(solver, y))[0] for u in (1.0, 1e-6)]
    assert apart(*steps) < 1e-12
    assert apart(steps[0], y) > 1e-2


def test_a_step_depends_on_the_past_by_the_damping_only():
    fn, y = with_aux(network), network_start()
    solver = LevenbergMarquardt()
    state = begin(solver, y)
    for seed in range(4):
        y, state = make_step(solver, fn, y, points(20, seed), state)
    late = make_step(solver, fn, y, points(9, 7), state)
    fresh = LevenbergMarquardt(damping=state.damping)
    anew = make_step(fresh, fn, y, points(9, 7), begin(fresh, y))
    assert apart(late[0], anew[0]) == 0
    r, _ = dense(network, y, points(9, 7))
    assert np.isclose(late[1].loss, r @ r / 2, rtol=1e-14)


@pytest.mark.parametrize(
    "form, dtype", [("primal", jnp.float32), ("dual", jnp.float64)]
)
def test_never_up_with_points_that_change(form, dtype):
    """Five parameters too many, so JᵀJ is singular and Cholesky fails without λ."""
    solver = LevenbergMarquardt(form=form, damping=1e-30)
    y = {"a": network_start(dtype), "twin": jnp.zeros(5, dtype)}

    def fn(y, args):
        r = network(y["a"], args)["r"] + jnp.sum(y["twin"])
        return jnp.where(r > 1, jnp.nan, r), None  # not defined everywhere

    state, loss = begin(solver, y), jax.jit(lambda y, x: jnp.sum(fn(y, x)[0] ** 2) / 2)
    falls = 0
    for seed in range(25):
        x = points(12, seed, dtype)
        before = loss(y, x)
        new, state = make_step(solver, fn, y, x, state)
        if jnp.isfinite(before):
            assert loss(new, x) <= before and state.loss.dtype == dtype
            assert bool(loss(new, x) < before) == bool(state.accepted)
            falls += int(state.accepted)
            y = new
    assert falls > 10
    assert all(bool(jnp.all(jnp.isfinite(a))) for a in jax.tree.leaves(y))


# Solutions.


@pytest.mark.parametrize("name", PROBLEMS)
def test_solution_is_that_of_scipy_and_optimistix(name):
    fn, start = PROBLEMS[name]

    @eqx.filter_jit
    def solve(y):
        ours = optx.least_squares(fn, LevenbergMarquardt(), y)
        peer = optx.LevenbergMarquardt(1e-9, 1e-9)
        return ours, optx.least_squares(fn, peer, y, max_steps=1000)

    ours, theirs = solve(jnp.array(start))
    both = jax.jit(lambda y: (fn(y, None), jax.jacfwd(fn)(y, None)))
    scipys = scipy.optimize.least_squares(
        lambda y: np.asarray(both(y)[0]),
        start,
        lambda y: np.asarray(both(y)[1]),
        **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-12),
    )
    # where the loss is flat to round-off: √(2ε) of the scale of y, times conditioning
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.value, scipys.x, rtol=1e-5, atol=1e-6)
    loss = np.sum(np.asarray(both(ours.value)[0]) ** 2) / 2
    assert loss <= scipys.cost * (1 + 1e-9) + 1e-14
    assert ours.stats["num_steps"] < theirs.stats["num_steps"]


# Steps that were enough when this was written; MINPACK takes 10 to 358 evaluations.
STEPS = {
    "Rosenbrock": 13,
    "Freudenstein–Roth": 79,
    "Powell badly scaled": 27,
    "Brown badly scaled": 19,
    "Beale": 9,
    "Jennrich–Sampson": 44,
    "helical valley": 9,
    "Bard": 8,
    "Kowalik–Osborne": 43,
    "Meyer": 170,
    "Powell singular": 47,
    "Wood": 63,
    "Brown–Dennis": 35,
    "Watson": 17,
    "linear, rank 1": 6,
}


def test_published_minima_are_found():
    """Fifteen problems: badly scaled, rank deficient, curved; squares to 6 digits."""

    def solve(name, start):
        fn = lambda y, args: mgh.PROBLEMS[name][0](y)
        solver = LevenbergMarquardt(1e-10, 1e-10)
        found = optx.least_squares(fn, solver, start, max_steps=2000, throw=False)
        fine = found.result == optx.RESULTS.successful
        return fine, found.stats["num_steps"], jnp.sum(fn(found.value, None) ** 2)

    starts = {name: jnp.asarray(start) for name, (_, start, _) in mgh.PROBLEMS.items()}
    found = jax.jit(lambda starts: {k: solve(k, a) for k, a in starts.items()})(starts)
    for name, (fine, steps, squares) in found.items():
        assert fine, name
        # round-off moves some by a step in ten
        assert steps <= 1.1 * STEPS[name] + 1, (name, steps)
        known = mgh.PROBLEMS[name][2]
        np.testing.assert_allclose(squares, known, rtol=5e-6, atol=1e-18, err_msg=name)


def test_a_stationary_start_is_a_solution():
    """J = 0 with r ≠ 0; r constant; an overflow is none."""

    def solve(fn, n, form="auto"):
        solver = LevenbergMarquardt(form=form)
        with_args = lambda y, args: fn(y)
        found = optx.least_squares(with_args, solver, jnp.zeros(n), throw=False)
        return found.result == optx.RESULTS.successful, found.stats["num_steps"]

    @jax.jit
    def all_of_them():
        hill, level = lambda y: y**2 - 4, lambda y: jnp.append(0 * y[:1], 3.0)
        shapes = (2, "auto"), (3, "auto"), (2, "free")  # and so primal, dual, free
        flat = [solve(fn, *shape) for fn in (hill, level) for shape in shapes]
        return flat, solve(lambda y: 1e200 * (y - 1), 2)

    flat, over = all_of_them()
    assert all(fine and steps == 1 for fine, steps in flat) and not over[0]


@pytest.mark.parametrize("form", ["primal", "free"])
def test_jac_of_the_options_is_taken(form):
    """A function that has no derivative forwards, as in optimistix's own tests."""

    @jax.custom_vjp
    def curved(y):
        return mgh.rosenbrock(y)

    back = lambda y, c: (jnp.stack([-20 * y[0] * c[0] - c[1], 10 * c[0]]),)
    curved.defvjp(lambda y: (mgh.rosenbrock(y), y), back)
    solver, fn = LevenbergMarquardt(form=form), lambda y, args: curved(y)
    solve = lambda jac: optx.least_squares(
        fn, solver, jnp.array([-1.2, 1.0]), options={"jac": jac}
    )
    np.testing.assert_allclose(solve("bwd").value, [1, 1], atol=1e-8)
    with pytest.raises(TypeError, match="forward-mode"):
        solve("fwd")
    with pytest.raises(ValueError, match="jac: given 'reverse' in options; accepted"):
        solve("reverse")


@pytest.mark.parametrize("form, dtype", [("dual", jnp.float64), ("free", jnp.float32)])
def test_other_forms_and_single_precision(form, dtype):
    tolerance = float(jnp.finfo(dtype).eps) ** 0.5
    solver = LevenbergMarquardt(rtol=tolerance, atol=tolerance, form=form)
    found = optx.least_squares(rosenbrock, solver, jnp.array([-1.2, 1.0], dtype)).value
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [1, 1], atol=20 * tolerance)


def test_quadratic_convergence_where_the_residual_vanishes():
    solver, fn = LevenbergMarquardt(), with_aux(rosenbrock)
    y = jnp.array([-1.2, 1.0])
    state, errors = begin(solver, y), []
    for _ in range(16):
        y, state = make_step(solver, fn, y, None, state)
        errors.append(float(jnp.linalg.norm(y - 1)))
    errors = np.array([e for e in errors if 1e-14 < e < 0.3])
    order = np.log(errors[1:]) / np.log(errors[:-1])  # e₊ = e^order
    assert len(errors) > 2 and order[-1] > 1.8


def test_map_over_starts_is_the_loop():
    starts = jnp.array([[-1.2, 1.0], [2.0, -1.0], [0.0, 0.5]])
    solve = lambda y: optx.least_squares(rosenbrock, LevenbergMarquardt(), y)
    many = jax.vmap(lambda y: solve(y).value)(starts)
    one = jnp.stack([solve(y).value for y in starts])
    np.testing.assert_allclose(many, one, atol=1e-12)
    np.testing.assert_allclose(many, np.ones((3, 2)), atol=1e-8)


def test_derivative_of_the_solution():
    """argmin ½‖Ay − b‖² has the derivative A⁺ in b."""
    A = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
    fn = lambda y, b: A @ y - b
    solve = lambda b: optx.least_squares(fn, LevenbergMarquardt(), jnp.zeros(3), b)
    derivative = jax.jacrev(lambda b: solve(b).value)(jnp.arange(5.0))
    np.testing.assert_allclose(derivative, np.linalg.pinv(A), atol=1e-10)


def test_auxiliary_output_is_that_of_the_point():
    fn = lambda y, args: (rosenbrock(y, args), y)
    solution = optx.least_squares(
        fn, LevenbergMarquardt(), jnp.array([-1.2, 1.0]), has_aux=True
    )
    np.testing.assert_array_equal(solution.aux, solution.value)


@pytest.mark.parametrize(
    "fn",
    [
        lambda y, args: jnp.log(y),
        lambda y, args: jnp.sqrt(y + 1),  # r = 0 with an infinite derivative
    ],
)
def test_not_finite_at_the_start_is_a_result(fn):
    solution = optx.least_squares(
        fn, LevenbergMarquardt(), jnp.array([-1.0]), throw=False
    )
    assert solution.result == optx.RESULTS.nonfinite
    np.testing.assert_array_equal(solution.value, [-1.0])


# Many rows, and memory.


def test_count_sketch_is_unbiased():
    J = jnp.asarray(np.random.default_rng(0).normal(size=(30, 3)))
    keys = jax.random.split(jax.random.key(0), 4000)
    gram = lambda key: (lambda B: B.T @ B)(_forms.count_sketch(key, J, 6))
    grams = np.asarray(jax.jit(jax.vmap(gram))(keys))
    mean, deviation = grams.mean(0), grams.std(0) / np.sqrt(len(keys))
    np.testing.assert_array_less(np.abs(mean - J.T @ J), 4 * deviation + 1e-12)
    assert np.max(deviation) > 0.01  # control: one sketch is not exact


def test_sketched_rows_lead_to_the_exact_solution():
    """2000 rows with noise, so the residual does not vanish: 24 sums of them do."""
    x, y0 = points(2000), network_start()
    truth = jax.tree.map(lambda a: a + 0.3, y0)
    noise = jnp.asarray(np.cos(1e3 * np.asarray(x[:, 1])) / 10)
    noisy = lambda y, args: network(y, x)["r"] - network(truth, x)["r"] + noise
    exact = optx.least_squares(noisy, LevenbergMarquardt(), y0)
    solver = LevenbergMarquardt(sketch=24)
    sketched = optx.least_squares(noisy, solver, y0, max_steps=400)
    # both stop at 1e-8, here divided by the rate of convergence
    assert apart(sketched.value, exact.value) < 1e-5
    # control: it is a sketch, or its last steps would be quadratic too
    assert sketched.stats["num_steps"] > exact.stats["num_steps"] + 5
    # as many sums as rows would only lose
    whole = optx.least_squares(noisy, LevenbergMarquardt(sketch=2000), y0)
    assert apart(whole.value, exact.value) == 0


@pytest.mark.parametrize(
    "form, rows, params",
    [
        ("primal", 1200, 150),
        ("dual", 150, 1200),
        ("free", 500, 500),
    ],
)
def test_memory_of_a_step(form, rows, params):
    solver = LevenbergMarquardt(form=form)
    fn = lambda y, args: (jnp.tanh(args @ y), None)
    y = jnp.zeros(params)
    shapes = jax.eval_shape(lambda: (y, jnp.zeros((rows, params)), begin(solver, y)))
    step = lambda y, args, state: solver.step(fn, y, args, {}, state, frozenset())
    jax.config.update("jax_disable_most_optimizations", False)
    used = jax.jit(step).lower(*shapes).compile().memory_analysis().temp_size_in_bytes
    stated = solver.step_bytes(rows, params)
    assert stated / 2 < used < 2 * stated
    if form == "free":
        assert used < rows * params * 8 / 3


def test_auto_takes_the_smaller_matrix_that_fits():
    chosen = functools.partial(LevenbergMarquardt.chosen, dtype=jnp.float64)
    auto = LevenbergMarquardt()
    assert chosen(auto, 10, 1000) == "dual" and chosen(auto, 1000, 10) == "primal"
    assert chosen(auto, 10**6, 10**4) == "free"
    assert chosen(LevenbergMarquardt(memory=2**10), 10, 1000) == "free"
    assert chosen(LevenbergMarquardt(sketch=20), 900, 1000) == "primal"


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"form": "normal"}, "form: given 'normal'; accepted is auto, primal"),
        ({"trials": 0}, "trials: given 0; accepted is 1 or more"),
        ({"damping": 0.0}, "damping: given 0.0; accepted is a finite damping > 0"),
        ({"sketch": 0}, "sketch: given 0; accepted is None, or 1"),
        ({"sketch": 9, "form": "dual"}, "form: given 'dual'; accepted is auto or"),
    ],
)
def test_wrong_fields(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LevenbergMarquardt(**kwargs)


def test_wrong_jacobian_and_wrong_y():
    transposed = lambda fn, y, args: (fn(y, args)[0], jnp.zeros((2, 5)))
    solver, y = LevenbergMarquardt(jacobian=transposed), jnp.zeros(2)
    fn, state = lambda y, args: (jnp.zeros(5) + y[0], None), begin(solver, y)
    with pytest.raises(ValueError, match="jacobian: given r of shape .* accepted is"):
        make_step(solver, fn, y, None, state)
    with pytest.raises(TypeError, match="fn: given a residual of complex128; accepted"):
        make_step(
            LevenbergMarquardt(),
            with_aux(lambda y, _: jax.lax.complex(y, y)),
            y,
            None,
            state,
        )
    with pytest.raises(TypeError, match="y: given int"):
        begin(solver, jnp.zeros(2, int))


# Quasi-Newton.


def paper(H, s, y, method):
    """H₊ as arXiv:2405.04230 writes it, with H⁻¹ and no care for round-off."""
    n, ys, Hy = len(s), y @ s, H @ y
    yHy, b = y @ Hy, s @ np.linalg.solve(H, s) / ys
    h = yHy / ys
    a = h * b - 1
    theta = 0.0
    if method == "ssbroyden":
        low = min(1, h * (1 - np.sqrt(a / (1 + a))))
        theta = max((low - 1) / a, min(1 / low, (1 - b) / b))
    sigma, high = 1 + theta * a, min(1, 1 / b)
    if theta <= 0:
        tau = min(high * sigma ** (-1 / (n - 1)), sigma)
    else:
        tau = high * min(sigma ** (-1 / (n - 1)), 1 / theta)
    tau = 1.0 if method == "bfgs" else tau
    v = np.sqrt(yHy) * (s / ys - Hy / yHy)
    phi = (1 - theta) / (1 + theta * a)
    inner = H - np.outer(Hy, Hy) / yHy + phi * np.outer(v, v)
    return inner / tau + np.outer(s, s) / ys


@pytest.mark.parametrize("method", ["ssbroyden", "ssbfgs", "bfgs"])
def test_update_is_that_of_the_paper(method):
    """And the secant equation, symmetry, a positive spectrum; any length of step."""
    rng, n = np.random.default_rng(0), 6
    transform = scale_by_ssbroyden(method)
    update = jax.jit(transform.update)
    signs = set()
    for _ in range(6):
        A = rng.normal(size=(n, n))
        A = A @ A.T + 0.1 * np.eye(n)
        x = rng.normal(size=n)
        _, state = update(jnp.array(A @ x), transform.init(jnp.array(x)), jnp.array(x))
        for _ in range(8):
            H = np.asarray(state.inverse_hessian)
            s = -(10 ** rng.uniform(-1, 1)) * np.asarray(state.direction)
            s = s * min(1, 1 / np.linalg.norm(s))
            g, y = A @ (x + s), A @ s
            if method == "ssbroyden":
                b = s @ np.linalg.solve(H, s) / (y @ s)
                signs.add(b > 1)
            expected = paper(H, s, y, method)
            x = x + s
            direction, state = update(jnp.array(g), state, jnp.array(x))
            new = np.asarray(state.inverse_hessian)
            size = np.abs(new).max()
            # ε times the conditioning of H, some 1e4 here
            np.testing.assert_allclose(new, expected, atol=1e-9 * size)
            np.testing.assert_allclose(new @ y, s, atol=1e-9 * size)
            np.testing.assert_allclose(direction, new @ g, atol=1e-9 * size)
            np.testing.assert_array_equal(new, new.T)
            assert np.linalg.eigvalsh(new)[0] > 0
            if method == "bfgs":
                V = np.eye(n) - np.outer(s, y) / (y @ s)
                textbook = V @ H @ V.T + np.outer(s, s) / (y @ s)
                np.testing.assert_allclose(new, textbook, atol=1e-9 * size)
    assert method != "ssbroyden" or signs == {True, False}


def minimise(optimizer, f, x, gtol=1e-6, limit=3000):
    """(x, steps, evaluations of f and ∇f)."""
    both = optax.value_and_grad_from_state(f)

    def body(carry):
        x, state, steps, calls, _ = carry
        value, grad = both(x, state=state)
        updates, state = optimizer.update(
            grad, state, x, value=value, grad=grad, value_fn=f
        )
        calls = calls + optax.tree.get(state, "num_linesearch_steps")
        size = jnp.max(jnp.abs(optax.tree.get(state, "grad")))
        return optax.apply_updates(x, updates), state, steps + 1, calls, size

    far = lambda carry: (carry[4] > gtol) & (carry[2] < limit)
    start = (x, optimizer.init(x), 0, 1, jnp.array(jnp.inf, x.dtype))
    x, _, steps, calls, _ = jax.jit(lambda c: jax.lax.while_loop(far, body, c))(start)
    return x, int(steps), int(calls)


def valley(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def stiff(x):
    """A quadratic with eigenvalues 10⁻² … 10³, not along the axes."""
    n = len(x)
    i = jnp.arange(n, dtype=x.dtype)
    mixed = x - 2 / n * jnp.sum(x * jnp.cos(i)) * jnp.cos(i)
    return jnp.sum(10 ** (5 * i / (n - 1) - 2) * mixed**2) / 2


def test_steps_beside_scipy_and_optax():
    start = jnp.array([-1.2, 1.0])
    scipys = scipy.optimize.minimize(
        lambda x: float(valley(x)),
        np.asarray(start),
        jac=lambda x: np.asarray(jax.grad(valley)(jnp.array(x))),
        method="BFGS",
        options={"gtol": 1e-6},
    )
    for method in ("ssbroyden", "bfgs"):
        x, steps, _ = minimise(ssbroyden(method=method), valley, start)
        np.testing.assert_allclose(x, [1.0, 1.0], atol=1e-5)
        assert steps < 1.5 * scipys.nit


def test_self_scaling_pays_where_curvatures_are_far_apart():
    start = jnp.ones(40)
    x, steps, _ = minimise(ssbroyden(), stiff, start, gtol=1e-7)
    np.testing.assert_allclose(x, np.zeros(40), atol=1e-5)  # gtol/10⁻²
    with jax.numpy_dtype_promotion("standard"):  # optax's counts are int32
        _, lbfgs, _ = minimise(optax.lbfgs(), stiff, start, gtol=1e-7)
    assert 2 * steps < lbfgs


def quadratic(x, c):
    return jnp.sum(jnp.array([1.0, 4.0, 9.0], x.dtype) * (x - c) ** 2) / 2


@pytest.mark.parametrize("fresh", [True, False])
def test_fresh_objective_leaves_the_curvature(fresh):
    transform = scale_by_ssbroyden()
    update = jax.jit(lambda g, s, x, fresh: transform.update(g, s, x, fresh=fresh))
    x, centre = jnp.ones(3), jnp.zeros(3)
    state = transform.init(x)
    for _ in range(4):
        direction, state = update(jax.grad(quadratic)(x, centre), state, x, False)
        x = x - direction
    H, moved = state.inverse_hessian, centre + 2.0
    grad = jax.grad(quadratic)(x, moved)
    direction, state = update(grad, state, x, fresh)
    assert bool(jnp.all(state.inverse_hessian == H)) == fresh
    if fresh:
        np.testing.assert_allclose(direction, H @ grad, rtol=1e-12)
        # the next pair is of the new objective, with the same curvature
        x, y = x - direction, grad
        _, state = update(jax.grad(quadratic)(x, moved), state, x, False)
        y = jax.grad(quadratic)(x, moved) - y
        np.testing.assert_allclose(state.inverse_hessian @ y, -direction, atol=1e-10)


def test_fresh_objectives_in_a_scan():
    """The minimum moves at every 20th step; the value in the state is then outdated."""
    optimizer = ssbroyden()
    both = optax.value_and_grad_from_state(quadratic)

    def step(carry, i):
        x, state = carry
        fresh = i % 20 == 0
        c = (i // 20).astype(x.dtype)
        value = jnp.where(fresh, jnp.inf, optax.tree.get(state, "value"))
        state = optax.tree.set(state, value=value)
        value, grad = both(x, c, state=state)
        updates, state = optimizer.update(
            grad, state, x, value=value, grad=grad, value_fn=quadratic, c=c, fresh=fresh
        )
        x = optax.apply_updates(x, updates)
        return (x, state), quadratic(x, c)

    def run(x):
        return jax.lax.scan(step, (x, optimizer.init(x)), jnp.arange(60))

    starts = jnp.array([[1.0, 1.0, 1.0], [3.0, -2.0, 0.5]], jnp.float32)
    with jax.numpy_dtype_promotion("standard"):  # for optax's line search
        (x, _), losses = jax.jit(jax.vmap(run))(starts)
    assert x.dtype == losses.dtype == jnp.float32
    # 3 parameters: each of the objectives is solved, to ε² of single precision
    assert jnp.all(losses[:, 19::20] < 1e-9)
    assert jnp.all(losses[:, 20::20] > losses[:, 19:-1:20])


def test_negative_curvature_is_passed_over():
    transform = scale_by_ssbroyden()
    f = lambda x: -jnp.sum(x**2) / 2
    x = jnp.ones(2)
    state = transform.init(x)
    update = jax.jit(transform.update)
    for _ in range(3):
        direction, state = update(jax.grad(f)(x), state, x)
        x = x - 0.1 * direction
    spectrum = jnp.linalg.eigvalsh(state.inverse_hessian)
    assert jnp.ptp(spectrum) == 0 and spectrum[0] > 0


def test_learning_rate_without_a_search():
    optimizer = ssbroyden(0.5, linesearch=optax.identity())
    x = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}
    f = lambda x: jnp.sum(x["a"] ** 2) + x["b"] ** 2
    state = optimizer.init(x)

    def step(_, carry):
        x, state = carry
        updates, state = optimizer.update(jax.grad(f)(x), state, x, fresh=False)
        return optax.apply_updates(x, updates), state

    x, _ = jax.jit(lambda c: jax.lax.fori_loop(0, 60, step, c))((x, state))
    assert f(x) < 1e-20


def test_wrong_arguments_of_ssbroyden():
    with pytest.raises(ValueError, match="method: given 'dfp'; accepted is ssbroyden"):
        ssbroyden(method="dfp")
    transform = scale_by_ssbroyden()
    state = transform.init(jnp.ones(2))
    with pytest.raises(ValueError, match="params: given None"):
        transform.update(jnp.ones(2), state)
    with pytest.raises(TypeError, match="params: given int"):
        transform.init(jnp.ones(2, int))
