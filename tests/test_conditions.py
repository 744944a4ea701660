"""Conditions on sides, problems without time, and the estimate of their error."""

import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynax import pde, pinn, shapes
from dynax.newton import LevenbergMarquardt
from dynax.pde.conditions import by_side


ROOT = 0.8603335890193797  # of μ tan μ = 1: scipy.optimize.brentq
KEY = jax.random.key(0)


class Rod(pde.AbstractExact):
    """uₜ = D uₓₓ; insulated left, cooled right: e^{−Dμ²t} cos μx."""

    needs = "u t xx"
    domain = shapes.Interval(0.0, 1.0)
    horizon = 1.0
    loss: float = 1.0

    @property
    def boundary(self):
        return {"left": pde.Neumann(0.0), "right": pde.Robin(self.loss, 1.0)}

    def equation(self, t, x, d):
        return d.t - 0.5 * d.xx

    def exact(self, t, x):
        return jnp.exp(-0.5 * ROOT**2 * t) * jnp.cos(ROOT * x)


class Membrane(pde.AbstractSteady):
    """Δu + k²u = f on a plate with a hole, u = x² − y² + xy there."""

    needs = "u xx yy"
    domain = shapes.Box((-1, -1), (1, 1)) - shapes.Disk((0, 0), 0.5).named("hole")
    square: float = 0.0

    @property
    def boundary(self):
        slope = lambda t, x, n, d: (
            n[..., :1] * (d.x - 2 * x[..., :1] - x[..., 1:])
            + n[..., 1:] * (d.y + 2 * x[..., 1:] - x[..., :1])
        )
        exact = pde.Dirichlet(self.exact)
        return {
            "left, right": exact,
            "top": pde.Neumann(lambda t, x: -2 * x[..., 1:] + x[..., :1]),
            "bottom": exact,
            "hole": pde.Operator(slope, "x y"),
        }

    def balance(self, x, d):
        return d.xx + d.yy + self.square * (d.u - self.exact(0.0, x))

    def exact(self, t, x):
        a, b = x[..., :1], x[..., 1:]
        return a**2 - b**2 + a * b


class Held(Rod):
    """Dirichlet values that move in time, on both sides."""

    @property
    def boundary(self):
        end = math.cos(ROOT)
        fall = lambda t, x: end * jnp.exp(-0.5 * ROOT**2 * t)
        left = lambda t, x: jnp.exp(-0.5 * ROOT**2 * t)
        return {"left": pde.Dirichlet(left), "right": pde.Dirichlet(fall)}


def objective(**settings):
    return pinn.Objective(8, 4, 4, side_points=3, **settings)


@pytest.fixture(scope="module")
def seen():
    """Everything about the rows that is asked for below, of two problems."""

    def look(problem, u):
        how = objective() if "t" in problem.needs else pinn.Objective.steady(16)
        window = pinn.Window.of(problem).measured(problem)
        model = pinn.Model(u, problem)
        free = pinn.Objective(
            how.times,
            how.points,
            how.chunks,
            scheme=how.scheme,
            side_points=3,
            ansatz=lambda pde, network, window: network,
        )
        batch = free.sample(KEY, problem, window)
        return free.blocks(model, window, batch)

    out = {}
    for problem in (Rod(), Membrane()):
        bent = lambda t, x, p=problem: p.exact(t, x) + 0.1 * jnp.sum(x**2)
        out[type(problem).__name__] = (
            eqx.filter_jit(look)(problem, problem.exact),
            eqx.filter_jit(look)(problem, bent),
        )
    out["sign"] = eqx.filter_jit(look)(Rod(-1.0), Rod().exact)
    return out


def test_rows_are_zero_of_the_solution_only(seen):
    for name in ("Rod", "Membrane"):
        exact, bent = seen[name]
        for block, rows in exact.items():
            assert np.max(np.abs(rows)) < 1e-12, (name, block)
        for block, rows in bent.items():
            if (name, block) != ("Rod", "left"):  # x² has no slope there
                assert np.mean(np.abs(rows)) > 1e-3, (name, block)


def test_control_a_condition_with_the_wrong_sign(seen):
    assert np.min(np.abs(seen["sign"]["right"])) > 0.1


def test_held_values_are_exact():
    """Of a network with random parameters, at the start and on both walls."""
    problem = Held()
    window = pinn.Window.of(problem)
    model = pinn.Model(pinn.mlp_field(problem, KEY, width=6, depth=1), problem)
    assert objective().soft(problem) == []
    how = pinn.Trainer(objective(), LevenbergMarquardt(), pinn.Annealing())
    u = jax.jit(jax.vmap(how.solution(model, window)))
    exact = jax.vmap(problem.exact)
    t = jnp.linspace(0, 1, 5)
    for wall in (0.0, 1.0):
        x = jnp.full((5, 1), wall)
        np.testing.assert_allclose(u(t, x), exact(t, x), atol=1e-14)
    x = jnp.linspace(0, 1, 5)[:, None]
    np.testing.assert_allclose(u(0 * t, x), exact(0 * t, x), atol=1e-14)
    assert np.max(np.abs(u(t, x) - exact(t, x))) > 1e-3  # inside it is free


def test_which_sides_are_soft():
    assert objective().soft(Rod()) == ["left", "right"]
    assert objective().soft(Membrane()) == ["top", "hole"]


@pytest.mark.parametrize("problem", [Rod(), Membrane()], ids=["rod", "membrane"])
def test_linearised_rows_are_those_of_the_loss(problem):
    """Each point's own gradient against jacfwd of all rows; their squares the loss."""
    goal = objective(block_weights={"right": 3.0, "hole": 2.0})
    window = pinn.Window.of(problem).measured(problem)
    model = pinn.Model(pinn.mlp_field(problem, KEY, width=3, depth=1), problem)
    how = pinn.Trainer(goal, LevenbergMarquardt(), pinn.Annealing())
    params, static = how.split(model)
    batch, log_w = goal.sample(KEY, problem, window), -jnp.arange(4.0)
    flat, unravel = ravel_pytree(params)

    @jax.jit
    def look(flat):
        def rows(flat):
            blocks = goal.blocks(eqx.combine(unravel(flat), static), window, batch)
            return goal.rows(blocks, log_w), goal.total(goal.losses(blocks), log_w)

        own = goal.linearised(unravel(flat), static, window, batch, log_w)
        return rows(flat), jax.jacfwd(lambda f: rows(f)[0])(flat), own

    (r, loss), jacobian, (own, own_jacobian) = look(flat)
    np.testing.assert_allclose(jnp.sum(r**2), loss, rtol=1e-12)
    np.testing.assert_allclose(own, r, atol=1e-12)
    np.testing.assert_allclose(own_jacobian, jacobian, atol=1e-10)


def test_walls_gate_later_chunks():
    """A wall that is wrong from t = ½ on silences what comes after, not before."""
    goal, problem = objective(), Rod()
    losses = pinn.objective.Losses(
        jnp.zeros(4), {}, {"right": jnp.array([0.0, 0.0, 9.0, 0.0])}
    )
    weights = np.exp(goal.log_weights(losses, {}, None, 1.0))
    np.testing.assert_allclose(weights, [1, 1, 1, math.exp(-9)])
    batch = goal.sample(KEY, problem, pinn.Window.of(problem))
    assert np.all(np.unique(batch.sides["right"].t) == np.asarray(batch.points.t))


def test_estimate_beside_walls():
    """Of the closed form nothing, of a perturbed one what it is off by."""
    problem = Rod()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pinn.estimate_error(problem, problem.exact, 0.0, 1.0)
    assert found.relative < 1e-7 and found.doubt < 1e-6
    off = lambda t, x: problem.exact(t, x) * (1 + 0.02 * t)
    wrong = pinn.estimate_error(problem, off, 0.0, 1.0)
    t = np.linspace(0, 1, 201)
    size = np.sqrt(np.mean(np.exp(-(ROOT**2) * t)))
    true = np.max(0.02 * t * np.exp(-0.5 * ROOT**2 * t)) / size
    assert wrong.relative == pytest.approx(true, rel=1e-2)


def test_estimate_without_time():
    """Exact: nothing. Perturbed: what it is off by, coercive or not. Near a resonance
    of a square with u = 0 around it, k² = 2π², nothing is known."""
    problem = Membrane(jnp.asarray(3.0))
    found = pinn.correct(problem, problem.exact, 8)
    assert np.max(found.relative + found.doubt) < 1e-9
    off = lambda t, x: problem.exact(t, x) + 0.05 * x[:1] ** 3 * x[1:]
    wrong = pinn.correct(problem, off, 8)
    x = np.asarray(problem.domain.sample(jax.random.key(9), 4000))
    rms = lambda a: np.sqrt(np.mean(a**2))
    true = rms(0.05 * x[:, 0] ** 3 * x[:, 1]) / rms(np.asarray(problem.exact(0.0, x)))
    assert wrong.relative[0] == pytest.approx(true, rel=3e-2)
    assert wrong.doubt[0] < 1e-8

    class Drum(pde.AbstractSteady):
        needs = "u xx yy"
        domain = shapes.Box((0, 0), (1, 1))
        boundary = pde.Dirichlet(0.0)
        square: float = 5.0

        def balance(self, x, d):
            return d.xx + d.yy + self.square * d.u + 1

    zero = lambda t, x: jnp.zeros(1, x.dtype)
    far, near = (pinn.correct(Drum(jnp.asarray(s)), zero, 14) for s in (5.0, 19.7392))
    assert near.stability > 1e3 * far.stability


class Square(pde.AbstractSteady):
    """Δu + k²u + f = 0, u = sin πx sin πy: coercive below k² = 2π²."""

    needs = "u xx yy"
    domain = shapes.Box((0, 0), (1, 1))
    boundary = pde.Dirichlet(0.0)
    square: float = 0.0

    def balance(self, x, d):
        return (
            d.xx
            + d.yy
            + self.square * d.u
            + (2 * jnp.pi**2 - self.square) * self.exact(0.0, x)
        )

    def exact(self, t, x):
        return jnp.sin(jnp.pi * x[..., :1]) * jnp.sin(jnp.pi * x[..., 1:])


def test_dual_norm():
    """Of Poisson's equation ‖∇e‖ itself; a bound below the first resonance; above it,
    where a naive α = 1 would be wrong by far, a refusal."""
    wave = lambda x: jnp.sin(jnp.pi * x[:1]) * jnp.sin(2 * jnp.pi * x[1:])
    off = lambda t, x: Square().exact(t, x) + 0.01 * wave(x)
    poisson, below, above = (
        pinn.dual_norm(Square(jnp.asarray(s)), off, 10) for s in (0.0, 15.0, 50.0)
    )
    true = 0.01 * math.sqrt(5 * math.pi**2 / 4)
    assert poisson.gradient == pytest.approx(true, rel=1e-2)
    assert poisson.coercivity == pytest.approx(1, rel=1e-9)
    assert poisson.poincare == pytest.approx(1 / math.sqrt(2 * math.pi**2), rel=1e-2)
    assert 0.01 <= poisson.relative <= 0.02  # ‖e‖ = 0.01‖u‖
    assert below.coercivity == pytest.approx(1 - 15 / (2 * math.pi**2), rel=0.1)
    assert 0.01 <= below.relative < math.inf
    assert above.coercivity < 0 and above.relative == math.inf
    assert above.poincare * above.norm / 0.5 < 0.01  # as if it were coercive
    with pytest.raises(ValueError, match="off by .* on side"):
        pinn.dual_norm(Square(), lambda t, x: x[:1])


class Wedge(pde.AbstractSteady):
    """Δu = 0 on an L, u = r^{2/3} sin(2θ/3) on its sides."""

    needs = "xx yy"
    domain = shapes.Box((-1, -1), (1, 1)) - shapes.Box((0, 0), (1, 1))
    singular = pde.corner((0, 0), math.pi / 2, 3 * math.pi / 2, 3)

    @property
    def boundary(self):
        return pde.Dirichlet(lambda t, x: self.exact(t, x), hard=False)

    def balance(self, x, d):
        return d.xx + d.yy

    def exact(self, t, x):
        return pde.corner((0, 0), math.pi / 2, 3 * math.pi / 2)[0](x)[..., None]


class Blind(Wedge):
    singular = ()


def test_a_corner_that_points_inwards():
    """Functions of the corner vanish on its sides and have no Laplacian; with them the
    error of a solution is told to the last digits, without them it is in doubt."""
    sides = np.array([[0, 0.3], [0, 0.9], [0.2, 0], [0.7, 0]])
    x = np.asarray(Wedge.domain.sample(KEY, 50))
    for f in Wedge.singular:
        smooth = f.power == round(f.power)
        values = np.asarray(f(jnp.asarray(sides)))
        assert np.all(abs(values[:2]) < 1e-12)
        far = 1.5 * math.pi * math.cos(f.power * 1.5 * math.pi) if smooth else 0.0
        np.testing.assert_allclose(
            values[2:], far * sides[2:, 0] ** f.power, atol=1e-12
        )
    off = lambda t, x: 1.01 * Wedge().exact(t, x)
    told, blind = (pinn.correct(problem, off, 8) for problem in (Wedge(), Blind()))
    assert told.relative[0] == pytest.approx(0.01, rel=3e-2)  # at other points
    assert told.doubt[0] < 1e-9 and blind.doubt[0] > 5e-4  # of an error of 1e-2
    table = told.polynomial.basis.table
    assert np.max(abs((table(x, "xx") + table(x, "yy"))[:, -3:])) < 1e-8
    with pytest.raises(ValueError, match="opening: given 7"):
        pde.corner((0, 0), 0.0, 7.0)


class Line(pde.AbstractSteady):
    """u″ = −u² + f, u(0) = 0, u(1) + u′(1) = 1: u = sin x + …, nonlinear."""

    needs = "u xx"
    domain = shapes.Interval(0.0, 1.0)
    boundary = {
        "left": pde.Dirichlet(0.0),
        "right": pde.Robin(1.0, 1.0, math.sin(1.0) + math.cos(1.0)),
    }

    def balance(self, x, d):
        return d.xx + d.u**2 + jnp.sin(x) - jnp.sin(x) ** 2


def test_a_problem_without_time_is_solved():
    problem = Line()
    how = pinn.Trainer(
        pinn.Objective.steady(64),
        LevenbergMarquardt(),
        pinn.Annealing.reaching(1e-3, chunks=1),
    )
    window = pinn.Window.of(problem)
    model = pinn.Model(pinn.mlp_field(problem, KEY, width=8, depth=1), problem)
    out = pinn.train(how, model, window, KEY, 60, block=20)
    certificate = how.certificate(out, window)
    assert certificate.status == "solved", certificate
    x = jnp.linspace(0, 1, 65)[:, None]
    u = jax.jit(jax.vmap(how.solution(out.model, window)))(x[:, 0], x)
    true = float(jnp.linalg.norm(u - jnp.sin(x)) / jnp.linalg.norm(jnp.sin(x)))
    estimate = certificate.estimate
    assert estimate is not None
    assert abs(estimate.relative - true) <= estimate.doubt + 0.1 * true
    reference, known = pinn.steady_reference(problem)
    assert np.max(known.relative + known.doubt) < 1e-8
    y = jax.vmap(reference)(x[:, 0], x)
    assert np.max(np.abs(y - jnp.sin(x))) < 1e-8


def test_a_start_that_contradicts_a_side():
    class Sudden(Rod):
        def initial(self, x):
            return jnp.ones_like(x)

    problem = Sudden()
    how = pinn.Trainer(objective(), LevenbergMarquardt(), pinn.Annealing())
    model = pinn.Model(pinn.mlp_field(problem, KEY, width=3, depth=1), problem)
    with pytest.warns(UserWarning, match="side 'right' that the start is off"):
        pinn.train(how, model, pinn.Window.of(problem), KEY, 0)


def with_boundary(given):
    class Own(pde.AbstractSteady):
        needs = "xx yy"
        domain = shapes.Box((0, 0), (1, 1))
        boundary = given

        def balance(self, x, d):
            return d.xx + d.yy

    return Own()


D = pde.Dirichlet(0.0)
BAD = {
    "unknown side": ({"left, right, top, floor": D}, "the side 'floor'\"; accepted is"),
    "twice": ({"left, right": D, "top, bottom, left": D}, "'left' twice"),
    "missing": ({"left, right, top": D}, "no condition on bottom"),
    "a number": ({"left, right, top, bottom": 0.0}, "given 0.0; accepted is a cond"),
    "a word": ("dirichlet", "given 'dirichlet' by Own"),
    "periodic": ({"left, top": pde.Periodic(), "right, bottom": D}, "two opposite"),
    "field": (pde.Dirichlet(0.0, of="v"), "given 'v'; accepted is some of u"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    given, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        with_boundary(given)


def test_periodic_along_one_axis():
    """A network of `mlp_field` is periodic along x and free along y."""
    problem = with_boundary({"left, right": pde.Periodic(), "top, bottom": D})
    assert set(by_side(problem)) == {"left", "right", "top", "bottom"}
    u = jax.jit(jax.vmap(pinn.mlp_field(problem, KEY, width=4, depth=1)))
    y = jnp.linspace(0, 1, 4)
    left, right = (u(0 * y, jnp.stack([0 * y + x, y], 1)) for x in (0.0, 1.0))
    np.testing.assert_allclose(left, right, atol=1e-14)
    assert np.ptp(left) > 1e-3
