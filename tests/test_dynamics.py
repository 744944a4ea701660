"""Exponents, covariant vectors, finite sizes and dimensions against known answers."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import dynamics as dy, landscape as ls
from dynax.dynamics import _walk
from dynax.landscape import thresholds

from . import laws


KEY = jax.random.key(0)


def lorenz(t, u, args):
    x, y, z = u
    return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def van_der_pol(t, u, args):
    return jnp.stack([u[1], (1 - u[0] ** 2) * u[1] - u[0]])


def henon_heiles(t, u, args):
    x, y, p, q = u
    return jnp.stack([p, q, -x - 2 * x * y, -y - x**2 + y**2])


START = jnp.array([1.0, 1.0, 20.0])
LORENZ = 0.9057  # Viswanath 1998: 0.90566; Sprott: 0.9056, 0, −14.5723
TENT = -0.3 * np.log(0.3) - 0.7 * np.log(0.7)


def test_exponents_of_maps_in_closed_form():
    """ln 2 of the logistic map; entropy of the skew tent; ln 0.3 in all of Hénon's;
    ln |eigenvalues| of a linear map, with a counter and two dtypes in its state."""
    logistic = dy.spectrum(
        lambda x: 4 * x * (1 - x), jnp.array(0.3), KEY, steps=320_000
    )
    assert abs(logistic.value[0] - np.log(2)) <= 1e-4
    skew = lambda x: jnp.where(x < 0.3, x / 0.3, (1 - x) / 0.7)
    tent = dy.spectrum(skew, jnp.array(0.2), KEY, steps=160_000)
    assert abs(tent.value[0] - TENT) <= 4 * tent.error[0]
    # each start has independent increments, so its error is known
    exact = (0.3 * 0.7) ** 0.5 * np.log(0.7 / 0.3) / 160_000**0.5
    assert 0.6 < tent.error[0] / exact < 1.6
    henon = lambda y: {"x": 1 - 1.4 * y["x"] ** 2 + y["y"], "y": 0.3 * y["x"]}
    y = {"x": jnp.array(0.1), "y": jnp.array(0.1)}
    found = dy.spectrum(henon, y, KEY, steps=160_000, discard=1000)
    np.testing.assert_allclose(jnp.sum(found.value), np.log(0.3), atol=1e-10)
    assert abs(found.value[0] - 0.4192) <= 4 * found.error[0]
    assert abs(found.dimension - 1.258) <= 0.005
    assert tent.status == logistic.status == found.status == "chaotic"

    rates = jnp.array([0.9, 0.5, 0.2])

    def linear(state):
        n, y, z = state
        return n + 1, rates * y, jnp.float32(0.7) * z

    state = jnp.zeros((), jnp.int32), jnp.ones(3), jnp.ones(2, jnp.float32)
    found = dy.spectrum(linear, state, KEY, steps=3200, discard=400, starts=4)
    known = np.log([0.9, 0.7, 0.7, 0.5, 0.2])
    np.testing.assert_allclose(found.value, known, atol=1e-6)
    np.testing.assert_array_equal(found.walked.end.y[0] >= 1200, True)
    assert found.status == "stable"
    assert any("fixed point" in text for text in found.remarks())


@pytest.fixture(scope="module")
def runs():
    """200 spectra of Lorenz at T = 100, and one at 1 000; at three step sizes."""

    def go(steps, discard, **given):
        return jax.jit(
            lambda key, h: dy.spectrum(
                dy.rk4(lorenz, h), START, key, steps=steps, discard=discard, **given
            )
        )

    many = jax.jit(jax.vmap(go(10_240, 1500, starts=16), (0, None)))
    long = go(102_400, 2000)
    return many(jax.random.split(KEY, 200), 0.01), long


def test_error_bars_are_those_of_repetition(runs):
    """Two errors hold the value in 90–99 % of 200 runs, and the mean error is within a
    quarter of their spread. Control: twenty blocks of one run are twice too wide."""
    many, _ = runs
    value, error = many.value[:, 0], many.error[:, 0]
    inside = np.mean(np.abs(value - LORENZ) <= 2 * error)
    assert 0.90 <= inside <= 0.99
    assert 0.8 <= np.mean(error) / np.std(value) <= 1.25
    assert abs(np.mean(value) - LORENZ) <= 4 * np.std(value) / 200**0.5

    @jax.jit
    @jax.vmap
    def alone(key):
        found = dy.spectrum(
            dy.rk4(lorenz, 0.01), START, key, steps=10_000, discard=1500, starts=1
        )
        grown = found.series * jnp.arange(1.0, 1001.0)[:, None]
        blocks = jnp.diff(grown[49::50, 0], prepend=0.0) / 50  # twenty, of T = 5 each
        return found.value[0], jnp.std(blocks, ddof=1) / 20**0.5, found.error[0]

    value, twenty, four = alone(jax.random.split(KEY, 200))
    assert np.mean(twenty) >= 2 * np.std(value)
    assert np.mean(four) >= np.std(value)  # an upper estimate, as it says


def test_spectrum_of_lorenz_and_its_checks(runs):
    _, go = runs
    found = go(KEY, 0.01)
    laws.same_structure(found.walked.end.y, jnp.zeros((16, 3)))
    for value, error, known in zip(
        found.value, found.error, (LORENZ, 0, -14.572), strict=True
    ):
        assert abs(value - known) <= 4 * error
    np.testing.assert_allclose(jnp.sum(found.value), -41 / 3, atol=1e-3)
    assert abs(found.dimension - 2.062) < 5e-3
    verdicts = found.verdicts()
    assert {v.status for v in verdicts.values()} == {"holds"}, verdicts
    assert found.status == "chaotic" and not found.remarks()
    text = str(found)
    assert text.startswith("λ = 0.9") and "smooth at δ = 4e-07: yes" in text
    assert "Σ -13.6666 = mean divergence -13.6667; D_KY 2.06" in text
    assert dy.agree(found, go(KEY, 0.005)).status == "holds"
    coarse = go(KEY, 0.1)  # control: the method errs by more than the bars
    assert coarse.verdicts()["sum"].status == "violated" and "≠" in str(coarse)
    assert dy.agree(found, coarse).status == "violated"


def test_tangents_must_turn_first():
    """Control: what is not discarded leaves its mark on the exponent that is zero."""
    near = START[None] + jnp.linspace(-2, 2, 400)[:, None]
    go = lambda discard: dy.spectrum(
        dy.rk4(lorenz, 0.01), near, KEY, steps=200_000, starts=None, discard=discard
    )
    assert go(1500).verdicts()["zeros"].status == "holds"
    assert go(0).verdicts()["zeros"].status == "violated"


def test_cycles_points_and_failures_are_told_apart():
    found = dy.spectrum(
        dy.rk4(van_der_pol, 0.02), jnp.ones(2), KEY, steps=64_000, discard=2000
    )
    assert found.status == "neutral" and abs(found.dimension - 1) < 1e-12
    assert abs(found.value[1] + 1.0594) <= 4 * found.error[1]
    assert {v.status for v in found.verdicts().values()} == {"holds"}
    assert any("not chaotic" in text for text in found.remarks())

    pairs = dy.spectrum(
        dy.rk4(henon_heiles, 0.05),
        jnp.array([0.0, -0.25, 0.42, 0.0]),  # E = 1/8, in the chaotic sea
        KEY,
        steps=320_000,
        discard=4000,
    )
    assert pairs.verdicts(pairs=True)["pairs"].status == "holds"
    damped = found.verdicts(pairs=True)["pairs"]
    assert damped.status == "violated"

    squash = lambda x: jnp.where(x > 10, x * 1e200, 0 * x)
    kind: dict = dict(starts=None, steps=20, every=1, discard=0)
    gone = dy.spectrum(squash, jnp.arange(4.0), KEY, **kind)
    assert gone.value[0] == -jnp.inf
    blown = dy.spectrum(squash, jnp.full(4, 11.0), KEY, **kind)
    assert blown.failed == 1 and blown.status == "undecided"
    assert "not finite after block 1" in str(blown)
    short = dy.spectrum(
        dy.rk4(lorenz, 0.01), START, KEY, steps=1600, discard=1000
    ).remarks()
    assert any("shorter than 50/λ₁" in text for text in short)


def test_a_map_with_jumps_is_not_smooth_at_every_size():
    """Lion's sign: what a derivative sees shrinks, and so do separations of 1e-10; one
    of 1e-6 grows. Control: gradient descent, where all sizes agree."""
    key, *keys = jax.random.split(KEY, 3)
    mixing = jax.random.normal(keys[0], (20, 20)) / 20**0.5
    f = lambda x: jnp.sum((mixing @ x) ** 2 + jnp.cos(3 * x))
    starts = jax.random.normal(keys[1], (8, 20))

    def found(opt):
        step = ls.training_map(opt, f, 1e-2)
        y = starts, jax.vmap(opt.init)(starts)
        kind: dict = dict(starts=None, discard=2000, every=100)
        sizes = dy.finite_size(step, y, key, sizes=[1e-4, 1e-10], steps=80_000, **kind)
        one = dy.spectrum(step, y, key, steps=80_000, count=1, separation=1e-4, **kind)
        return sizes, one

    sizes, one = found(dx.LionKappa(weight_decay=0.1))
    np.testing.assert_allclose(sizes.exponent, one.value[0], rtol=1e-10)
    np.testing.assert_allclose(sizes.value[0], jnp.mean(one.parting), rtol=1e-6)
    large, small = sizes.value
    assert sizes.exponent < 0 and large > 0.02 and abs(small - sizes.exponent) < 1e-6
    assert one.verdicts()["smooth"].status != "holds" and one.status != "stable"
    sizes, one = found(dx.GradientDescent())
    np.testing.assert_allclose(sizes.value, sizes.exponent, rtol=2e-2)
    assert one.status == "stable"


def test_exponent_of_training():
    """On a quadratic λ₁ = ln of the companion's spectral radius, below and above the
    edge."""
    opt, lr = dx.LionKappa(dx.kappa.HalfSquared(), 0.9, 0.99), 1e-2
    edge = thresholds.look_ahead(lr, 0.9, 0.99)
    x = jnp.array([1.0, 2.0])
    y = x, jax.vmap(opt.init)(x)

    @jax.jit
    def found(h):
        step = ls.training_map(opt, lambda x: h * x**2 / 2, lr)
        return dy.spectrum(
            step, y, KEY, steps=8000, count=1, starts=None, discard=4000
        ).value[0]

    for share in (0.5, 0.97, 1.03):
        h = share * edge
        radius = thresholds.spectral_radius(thresholds.companion(opt, lr)(h))
        np.testing.assert_allclose(found(h), np.log(radius), atol=1e-3)


def test_covariant_vectors():
    """The second is along the flow and each is carried into itself. Control: those of
    Gram–Schmidt are not."""
    step = dy.rk4(lorenz, 0.01)
    found = dy.covariant(step, START, KEY, steps=4000, settle=3000)
    unit = lambda a: a / jnp.linalg.norm(a, axis=-1, keepdims=True)
    along = unit(jax.vmap(lambda y: lorenz(0, y, None))(found.states))
    align = lambda v: jnp.max(1 - jnp.abs(jnp.sum(along * v[:, 1], axis=1)))
    assert align(found.vectors) <= 1e-10 and align(found.forward) > 0.1

    push = jax.vmap(lambda y, v: _walk.push(step, y, v)[1])

    def defect(v):
        image, after = unit(push(found.states[:-1], v[:-1])), v[1:]
        near = lambda s: jnp.linalg.norm(image - s * after, axis=-1)
        return jnp.max(jnp.minimum(near(1), near(-1)), axis=0)

    assert jnp.all(defect(found.vectors) <= 1e-12)
    assert jnp.all(defect(found.forward)[1:] >= 1e-2)
    assert abs(found.exponents[0] - LORENZ) < 0.1
    np.testing.assert_allclose(jnp.sum(found.exponents), -41 / 3, atol=0.5)
    assert 5 < np.degrees(jnp.min(found.angles()[:, 0, 2])) < 20


def test_finite_time_exponents_of_the_double_gyre():
    """Ridges go far beyond what differences on the grid can show; areas are kept."""

    def gyre(t, u, args):
        x, y = u
        a = 0.25 * jnp.sin(2 * jnp.pi * t / 10)
        f, slope = a * x**2 + (1 - 2 * a) * x, 2 * a * x + 1 - 2 * a
        pi = jnp.pi
        return (
            0.1
            * pi
            * jnp.stack(
                [
                    -jnp.sin(pi * f) * jnp.cos(pi * y),
                    jnp.cos(pi * f) * jnp.sin(pi * y) * slope,
                ]
            )
        )

    x, y = jnp.linspace(0, 2, 81), jnp.linspace(0, 1, 41)
    grid = jnp.stack(jnp.meshgrid(x, y, indexing="ij"), axis=-1)
    flow = dy.flow_map(dy.rk4(gyre, 0.05, driven=True), 400)
    found = dy.ftle(flow, grid, time=20.0)
    assert found.value.shape == (81, 41)
    assert jnp.max(jnp.abs(found.determinant - 1)) <= 1e-6
    ends = jax.vmap(flow)(grid.reshape(-1, 2)).reshape(grid.shape)
    slopes = [
        jnp.asarray(jnp.gradient(ends, 1 / 40, axis=k))[1:-1, 1:-1] for k in (0, 1)
    ]
    differences = jnp.log(jnp.linalg.norm(jnp.stack(slopes, -1), 2, axis=(-2, -1))) / 20
    assert jnp.max(found.value) > 0.7 > 0.3 > jnp.max(differences)


def test_dimensions():
    assert dy.kaplan_yorke(jnp.array([0.9, 0.0, -14.5])) == 2 + 0.9 / 14.5
    for exponents, known in (
        ((-1, -2), 0),
        ((0, 0, 0), 3),
        ((1, -1), 2),
        ((1, -2), 1.5),
    ):
        assert dy.kaplan_yorke(jnp.array(exponents, float)) == known
    x = jax.random.uniform(KEY, (2000, 2))
    radii = jnp.geomspace(1e-3, 1, 40)
    line, square = x[:, :1] * jnp.array([[1.0, 2.0]]), x
    for points, known in ((line, 1), (square, 2)):
        found = dy.correlation_dimension(points, radii=radii)
        assert abs(found.value - known) < 0.1
    assert jnp.all(jnp.diff(found.share) >= 0) and found.share[-1] <= 1


def test_steps_of_solvers_and_many_parameters():
    """Solvers of diffrax give the same exponents; they are traced in ρ; float32 agrees
    with float64."""
    y = START
    kind: dict = dict(steps=16_000, discard=1500)
    ours = dy.spectrum(dy.rk4(lorenz, 0.01), y, KEY, **kind)
    theirs = dy.spectrum(dy.solver_step(diffrax.Tsit5(), lorenz, 0.01), y, KEY, **kind)
    single = dy.spectrum(dy.rk4(lorenz, 0.01), y.astype(jnp.float32), KEY, **kind)
    assert single.value.dtype == jnp.float32
    assert dy.agree(ours, theirs).status == dy.agree(ours, single).status == "holds"
    assert single.verdicts()["smooth"].status == "holds"

    def of(rho):
        field = lambda t, u, args: (
            lorenz(t, u, args) + jnp.stack([0 * rho, (rho - 28) * u[0], 0 * rho])
        )
        return dy.spectrum(dy.rk4(field, 0.01), y, KEY, **kind)

    table = jax.vmap(of)(jnp.array([0.5, 28.0]))
    assert table.value.shape == (2, 3) and "shape (2, 3)" in str(table)
    known = np.sort((-11 + np.array([1, -1]) * (121 - 20) ** 0.5) / 2)[::-1]  # at 0
    np.testing.assert_allclose(table.value[0], [known[0], -8 / 3, known[1]], atol=2e-3)


def test_wrong_arguments_are_named():
    still, x = lambda y: y, jnp.ones(3)
    kind: dict = dict(steps=160, every=10)
    for call, name in (
        (lambda: dy.spectrum(still, x, KEY, steps=0), "steps"),
        (lambda: dy.spectrum(still, x, KEY, steps=100), "steps"),
        (lambda: dy.spectrum(still, x, KEY, steps=160, discard=-1), "discard"),
        (lambda: dy.spectrum(still, x, KEY, steps=160, discard=0), "discard"),
        (lambda: dy.spectrum(still, x, KEY, steps=160, every=0), "every"),
        (lambda: dy.spectrum(still, x, KEY, steps=160, count=4), "count"),
        (lambda: dy.spectrum(still, x, KEY, starts=0, **kind), "starts"),
        (lambda: dy.spectrum(still, jnp.ones(()), KEY, starts=None, **kind), "y"),
        (lambda: dy.spectrum(still, jnp.arange(3), KEY, **kind), "y"),
        (lambda: dy.spectrum(still, jnp.ones(3, complex), KEY, **kind), "y"),
        (lambda: dy.spectrum(lambda y: y[:2], x, KEY, **kind), "step"),
        (lambda: dy.spectrum(lambda y: (y, y), x, KEY, **kind), "step"),
        (lambda: dy.spectrum(still, x, KEY, separation=0.0, **kind), "separation"),
        (lambda: dy.spectrum(still, x, KEY, time=-1.0, **kind), "time"),
        (lambda: dy.finite_size(still, x, KEY, sizes=[0.0], **kind), "sizes"),
        (lambda: dy.covariant(still, x, KEY, steps=10, settle=3, every=5), "settle"),
        (lambda: dy.covariant(still, x, KEY, steps=5, settle=5, count=9), "count"),
        (lambda: dy.rk4(still, 0.0), "h"),
        (lambda: dy.ftle(still, x, time=0.0), "time"),
        (lambda: dy.flow_map(still, 0), "steps"),
        (lambda: dy.correlation_dimension(x[:, None], radii=x), "points"),
    ):
        with pytest.raises(ValueError, match=f"^{name}:"):
            call()


def test_a_resumed_spectrum_is_that_of_one_run():
    step = dy.rk4(lorenz, 0.01)
    kind = {"starts": 4, "discard": 200}
    go = lambda steps: dy.spectrum(step, START, KEY, steps=steps, **kind)
    whole, part = go(2400), dy.resume(step, go(1600), steps=800)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="steps: given 30; accepted is a multiple"):
        dy.resume(step, part, steps=30)
    # control: the part alone is another number
    assert np.all(go(1600).value != whole.value)


def test_exponents_of_a_selective_scan():
    """h₊ = exp(Δ_t A) h + …: every exponent is the mean of Δ_t A_i, exactly."""
    rates = jnp.array([-0.5, -1.0, -4.0, 0.3])
    inputs = jax.random.normal(KEY, (64,))

    def step(state):
        n, h = state
        x = inputs[n % 64]
        gap = jax.nn.softplus(x)
        return n + 1, jnp.exp(gap * rates) * h + gap * x

    start = jnp.zeros((), int), jnp.ones(4)
    s = dy.spectrum(step, start, KEY, steps=640, every=8, starts=1, discard=640)
    mean = np.mean(np.logaddexp(0, inputs))
    np.testing.assert_allclose(s.value, mean * np.sort(rates)[::-1], atol=1e-6)
    assert s.value[0] > 0 > s.value[1]  # A > 0 expands, A < 0 never
