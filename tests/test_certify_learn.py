"""A learned Lyapunov function, what it attracts, and how far an energy reaches: judged
by states and runs computed apart, with a wrong claim beside every right one.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import certify
from dynax.certify._basin import Judge
from dynax.certify._edge import Edge
from dynax.certify._lasalle import reach
from dynax.certify.learn import LearnedV
from dynax.certify.search import Outcome


LOWER, UPPER = [-2.0, -2.0], [2.0, 2.0]


def pendulum(t, z, args):
    return jnp.stack([z[1], -jnp.sin(z[0]) - z[1]])


def numpy_pendulum(z):
    return np.stack([z[1], -np.sin(z[0]) - z[1]])


def arrive(field, z, steps=1500, h=0.02):
    """States (n, batch) after runs by the classical Runge–Kutta method."""
    for _ in range(steps):
        a = field(z)
        b = field(z + h / 2 * a)
        c = field(z + h / 2 * b)
        z = z + h / 6 * (a + 2 * b + 2 * c + field(z + h * c))
    return z


@pytest.fixture(scope="module")
def learned():
    return certify.learn(pendulum, LOWER, UPPER, jax.random.key(0))


def network(V):
    """V and ∂V of states (2, batch), in NumPy."""
    first, second = V.parameters.layers
    W, b = np.asarray(first.weight), np.asarray(first.bias)[:, None]
    U, scale = np.asarray(second.weight), np.asarray(V.scale)[:, None]

    def at(y):
        z = y / scale
        hidden = np.tanh(W @ z + b)
        moved = U @ (hidden - np.tanh(b))
        slope = 2 * W.T @ ((1 - hidden**2) * (U.T @ moved)) + 0.2 * z
        return np.sum(moved**2, 0) + 0.1 * np.sum(z**2, 0), slope / scale

    return at


def test_the_pendulum(learned):
    V, region = learned
    assert region.verdict.status == "holds" and region.verdict.covered == 1
    assert 16 * region.share() >= 6
    y = np.random.default_rng(0).uniform(-2, 2, (2, 20_000))
    value, slope = network(V)(y)
    with jax.enable_x64(True):
        inside = np.asarray(region.contains(y.T))
    assert np.array_equal(inside, value <= region.level)
    far = inside & (np.linalg.norm(y, axis=0) > 0.41)  # 0.2 in units of the box is left
    fall = np.sum(slope * numpy_pendulum(y), axis=0)
    assert np.all(fall[far] < 0)
    assert np.any(np.sum(slope * -numpy_pendulum(y), axis=0) > 0)  # backwards
    end = arrive(numpy_pendulum, y[:, inside][:, :2000])
    assert np.max(np.linalg.norm(end, axis=0)) < 1e-4
    side = np.linspace(-2, 2, 401)
    for k in (0, 1):
        for s in (-2.0, 2.0):
            face = np.insert(side[None], k, s, axis=0)
            assert np.min(network(V)(face)[0]) > region.level


def test_control_a_sign_flipped_is_refuted(learned):
    """V(angle, −velocity) falls along the pendulum with time turned round."""
    V, region = learned
    weight = lambda V: V.parameters.layers[0].weight
    wrong = eqx.tree_at(weight, V, weight(V).at[:, 1].multiply(-1))
    sides = np.array(LOWER), np.array(UPPER)

    def judge(V):
        level, _ = Edge(lambda y: V(0.0, y), 2).least(*sides)
        given = {"excluding": certify.Ball(0.42), "level": level}
        return certify.on_box(V, pendulum, *sides, **given)

    assert judge(V).status == "holds"
    assert judge(wrong).status == "violated"


def test_other_parameters_cost_no_trace():
    """The programs are traced when the judge is made, and never again."""
    count = [0]

    def F(z, w):
        count[0] += 1
        return -w[0] * z + z**3

    V = lambda z, w: w[1] * jnp.sum(z**2)
    slope = lambda z, w: 2 * w[1] * jnp.sum(z * F(z, w))
    side = np.ones(1) * 2
    judge = Judge(F, V, slope, -side, side, np.array([1.0, 1.0]), 20_000)
    first = judge(np.array([5.0, 1.0]))
    traced = count[0]
    second = judge(np.array([6.0, 2.0]))
    assert first.outcome.certified and second.outcome.certified
    np.testing.assert_allclose([first.level, second.level], [4, 8], rtol=0.02)
    # ẋ = −x + x³ attracts |x| < 1 only: refuted on {x² ≤ 4}, and shrunk below 1
    found = judge(np.array([1.0, 1.0]))
    assert found.outcome.counterexample is not None
    found = judge.shrunk(np.array([1.0, 1.0]), found)
    assert found.outcome.certified and 0.5 < found.level < 1
    # not stable: nothing is judged
    assert judge(np.array([-1.0, 1.0])).level == 0
    assert count[0] == traced


def test_the_least_value_on_the_faces():
    V = lambda z, w: jnp.sum(z**2 * w) + z[0]
    edge = Edge(V, 2, np.ones(2))
    low, high = np.array([-1.0, -2.0]), np.array([3.0, 1.0])
    found, _ = edge.least(low, high, np.array([2.0, 1.0]))
    # 2x² + x + y² on y = 1 is least at x = −1/4: 7/8; on x = −1, y = 0: 1
    assert 0.98 * 7 / 8 < found < 7 / 8
    assert edge.least(low, high, np.array([0.1, 0.1]))[0] == 0  # negative somewhere


def test_a_control_learned_with_it():
    """ẋ = x + u, which grows by itself; parameters and functions instead of modules."""
    field = lambda t, y, u: y + u
    linear = jnp.asarray([[-0.1]]), lambda w, z: w @ z
    features = jnp.asarray([[1.0]]), lambda w, z: w @ z
    V, region = certify.learn(
        field, [-1.0], [1.0], jax.random.key(0), network=features, control=linear
    )
    assert region.verdict.status == "holds", region.verdict
    assert region.share() > 0.9
    assert region.control is not None
    gain = float(region.control(jnp.ones(1))[0])
    assert gain < -1 and float(region.control(jnp.zeros(1))[0]) == 0
    with pytest.raises(ValueError, match="linearisation grows at 1"):
        certify.learn(lambda t, y, u: y, [-1.0], [1.0], jax.random.key(0))


@pytest.mark.parametrize(
    "given, what",
    [
        ({"at": [0.5, 0.0]}, "at: given.*equilibrium"),
        ({"at": [3.0, 0.0]}, "inside of the box"),
        ({"lower": [-np.inf, -1.0]}, "finite"),
        ({"lower": [-1.0] * 5, "upper": [1.0] * 5}, "at most 4"),
    ],
)
def test_bad_input_is_named(given, what):
    given = {"lower": LOWER, "upper": UPPER, "key": jax.random.key(0)} | given
    with pytest.raises(ValueError, match=what):
        certify.learn(pendulum, **given)


def mode(at):
    """ẏ = −(y − at), with the V = 0.1·(y − at)² that it has without a network."""
    ends = jnp.asarray([at]), jnp.ones(1)
    V = LearnedV((), lambda p, z: 0 * z, *ends)
    lower, upper = np.array([at - 1]), np.array([at + 1])
    field = lambda t, y, args: -(y - at)
    verdict = certify.on_box(V, field, lower, upper, below=1e-6)
    none = np.empty((1, 0))
    outcome = Outcome(0, 1.0, None, None, (none, none), None)
    return certify.Basin(verdict, V, 0.1, lower, upper, None, outcome)


def test_a_switch_lands_inside():
    """|y| ≤ r lies in |y − 0.6| ≤ 1 for r ≤ 0.4: V = 0.1·r² ≤ 0.016."""
    first, second = mode(0.0), mode(0.6)
    found = certify.lands(first, second)
    assert found.verdict.status == "holds"
    assert 0.95 * 0.016 < found.level <= 0.016
    # a reset may make it safe, or never
    assert certify.lands(first, second, lambda y: 0.5 * y + 0.6).level == first.level
    far = certify.lands(first, second, lambda y: y - 1.0)
    assert far.verdict.status == "violated" and far.level == 0
    with pytest.raises(ValueError, match="second.*nothing certified"):
        certify.lands(first, second._replace(level=0.0))


def well(x):
    return (x**2 - 1) ** 2 / 4


def test_an_energy_reaches_to_the_saddle():
    """H = f + v²/2 falls weakly, D = v²: certified up to H = ¼, that of the saddle."""
    flow = dx.as_flow(dx.HeavyBall(1.0), well)
    found = certify.locally(flow, jnp.asarray(1.0))
    assert found.verdict.status == "holds" and "LaSalle" in str(found.verdict)
    assert 0.24 < found.energy < 0.25
    assert found.box is not None
    lower, upper = found.box
    z = np.random.default_rng(0).uniform(lower, upper, (4000, 2)).T
    z = z[:, well(z[0]) + z[1] ** 2 / 2 <= found.energy]
    ball = lambda z: np.stack([z[1], -z[0] * (z[0] ** 2 - 1) - z[1]])
    end = arrive(ball, z)
    assert np.max(np.abs(end - [[1.0], [0.0]])) < 1e-3
    # 1.3 times as high, states of the same box end in the other well
    more = np.random.default_rng(1).uniform(lower, upper, (4000, 2)).T
    more = more[:, well(more[0]) + more[1] ** 2 / 2 <= 1.3 * found.energy]
    assert np.min(arrive(ball, more)[0]) < -0.9


def test_control_a_path_on_which_nothing_falls():
    """A rotation keeps H, D = 0: no level. Damping in one of two states is enough."""
    H = lambda z: jnp.sum(z**2) / 2
    turn = lambda z: jnp.stack([z[1], -z[0]])
    none = reach(H, lambda z: 0.0 * z[0], turn, 2, 0.1, 2000)
    assert none.level == 0
    damped = lambda z: turn(z) - jnp.stack([0.0, 1.0]) * z[1]
    some = reach(H, lambda z: z[1] ** 2, damped, 2, 0.1, 2000)
    assert some.level > 1


def test_units_of_state_and_time():
    """States of 10³ and 10⁻³ in another unit of time: the same set."""
    units = np.array([1e3, 1e-3])

    def other(t, y, args):
        return 1e-6 * units * pendulum(t, y / units, args)

    plain = certify.locally(pendulum, [0.0, 0.0])
    found = certify.locally(other, [0.0, 0.0], scale=units)
    assert found.verdict.status == "holds" and found.radius == plain.radius
    unit = 1e6 * plain.P / np.outer(units, units)  # AᵀP + PA = −I in units of scale
    np.testing.assert_allclose(found.P, unit, rtol=1e-9)
    assert abs(found.level / plain.level / 1e6 - 1) < 0.05
    upright = certify.locally(other, [np.pi * 1e3, 0.0], scale=units)
    assert upright.verdict.status == "violated"
    with pytest.raises(ValueError, match="scale: given"):
        certify.locally(pendulum, [0.0, 0.0], scale=[1.0, -1.0])
