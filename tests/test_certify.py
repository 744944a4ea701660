"""Certificates on boxes, near equilibria and over classes: the published answer where
there is one, and a wrong claim beside every right one.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import certify
from dynax.certify import _every_kappa as every_kappa
from dynax.certify._inequalities import Inequalities
from dynax.certify.class_ import linear_step, stuck
from dynax.certify.interval import Interval, _choices as choices, _program
from dynax.certify.search import Bounded

from . import members


def well(x):
    return (x**2 - 1) ** 2 / 4


LOWER, UPPER = [-1.6, -1.5], [1.6, 1.5]
MEMBERS = {
    "gradient": dx.GradientDescent(),
    "heavy ball": dx.HeavyBall(1.0),
    "momentum": dx.Momentum(0.9),
    "Nesterov-SC": dx.NesterovSC(),
    "triple": dx.TripleMomentum(),
    "Hamiltonian": dx.HamiltonianDescent(),
    "immersion": dx.Immersion(),
    "mirror": dx.MirrorDescent(),
    "RMSprop": dx.RMSprop(),
    "AdaGrad": dx.AdaGrad(),
    "Lion-smooth": dx.LionKappa(dx.kappa.SoftAbs(0.3)),
    "Lion": dx.LionKappa(),
    "sign": dx.SignSGD(),
    "signum": dx.Signum(),
}


def ends(name):
    lower, upper = list(LOWER), list(UPPER)
    if name in ("RMSprop", "AdaGrad"):
        lower[1] = 0.0  # a mean of squares
    n = 1 if name in ("gradient", "sign") else 2
    return lower[:n], upper[:n]


@pytest.mark.parametrize("name", MEMBERS)
def test_members_on_a_box(name):
    """The claimed D is certified; 5 % more than it is refuted by a state."""
    flow = dx.as_flow(MEMBERS[name], well)
    found = certify.on_box(flow, *ends(name), below=1e-2)
    assert found.status == "holds" and found.evidence == "box" and found.covered == 1
    if not dx.flow.is_continuous(flow.opt):
        assert "every selection" in str(found)
        return
    y = flow.init(jnp.zeros(()))
    flat, restore = jax.flatten_util.ravel_pytree(y)
    V = lambda t, z, args: flow.energy(t, restore(z))
    field = lambda t, z, a: jax.flatten_util.ravel_pytree(flow.field(t, restore(z)))[0]
    more = lambda t, z, args: 1.05 * flow.dissipation(t, restore(z))
    wrong = certify.on_box(V, field, *ends(name), decrease=more, below=1e-2)
    assert wrong.status == "violated"
    # the state is checked outside of interval arithmetic
    z = jnp.asarray(wrong.counterexample)
    _, change = dx.lie_derivative(V, field)(jnp.zeros(()), z)
    assert change + more(0.0, z, None) > 1e-2


def states(opt):
    """How many numbers y is of one x, if the method claims an energy; else 9."""
    flow = dx.as_flow(opt, well)
    if not isinstance(flow, dx.flow.LyapunovFlow):
        return 9
    try:
        y = jax.eval_shape(flow.init, jax.ShapeDtypeStruct((), float))
    except (IndexError, TypeError, ValueError):  # one that needs more than one number
        return 9
    return sum(leaf.size for leaf in jax.tree.leaves(y))


OPEN = {  # methods of which 30 000 boxes leave some open, at −D ≤ −V̇ + 0.01
    "adagrad", "cautious", "cwd-ball", "cwd-signum", "hamiltonian-second", "mirror",
    "mirror-simplex", "nesterov-c", "nesterov-sc", "rmsprop", "shampoo", "shampoo-3",
    "soft-muon", "soft-muon-power",
    "triple",
}  # fmt: skip


@pytest.mark.slow
def test_every_method_of_at_most_three_states():
    """No claimed D is refuted on its box, and most are certified."""
    found = {}
    for name, member in members.MEMBERS.items():
        n = 9 if name.startswith("lion-") else states(member.opt)
        if n <= 3:
            sides = [-1.6, -1.5, -1.0][:n], [1.6, 1.5, 1.0][:n]
            given = {"time": 0.5, "below": 1e-2, "budget": 30_000}
            try:
                flow = dx.as_flow(member.opt, well)
                found[name] = certify.on_box(flow, *sides, **given).status
            except NotImplementedError as error:
                assert "svd" in str(error), name
    assert len(found) >= 25 and "violated" not in found.values(), found
    assert {k for k, status in found.items() if status != "holds"} <= OPEN, found


def test_dissipation_is_exactly_non_negative():
    """D = γ‖v‖² ≥ 0 closes with no tolerance; the wrong sign does not."""
    flow = dx.as_flow(dx.HeavyBall(1.0), well)
    V = lambda t, z, args: -0.5 * z[1] ** 2 * 2
    zero = lambda t, z, args: 0 * z
    _, restore = jax.flatten_util.ravel_pytree(flow.init(jnp.zeros(())))
    D = lambda t, z, args: -flow.dissipation(t, restore(z))
    assert certify.on_box(V, zero, LOWER, UPPER, decrease=D).status == "holds"
    wrong = lambda t, z, args: -D(t, z, args)
    assert certify.on_box(V, zero, LOWER, UPPER, decrease=wrong).status == "violated"


def lorenz(rho):
    def field(t, z, args):
        x, y, w = z
        return jnp.stack([10 * (y - x), x * (rho - w) - y, x * y - 8 / 3 * w])

    return lambda t, z, args: z[0] ** 2 / 10 + z[1] ** 2 + z[2] ** 2, field


def test_lorenz():
    """Below ρ = 1 the origin attracts everything (Lorenz 1963), above it does not."""
    for rho in (0.5, 0.9):
        sides = [-20.0] * 3, [20.0] * 3
        found = certify.on_box(*lorenz(rho), *sides, excluding=certify.Ball(1.0))
        assert found.status == "holds", found
    wrong = certify.on_box(*lorenz(1.5), [-1.0] * 3, [1.0] * 3)
    assert wrong.status == "violated" and len(wrong.counterexample) == 3


def test_maps_levels_balls_and_time():
    V = lambda t, z, args: z[0] ** 2
    half, more = (certify.Map(lambda t, z, a, c=c: c * jnp.sin(z)) for c in (0.5, 1.5))
    hole = certify.Ball(0.01)
    assert certify.on_box(V, half, [-2.0], [2.0], excluding=hole).status == "holds"
    assert certify.on_box(V, more, [-2.0], [2.0], excluding=hole).status == "violated"
    # 1.5·sin has a fixed point at 1.4958: beyond V = 1.5² it falls
    assert certify.on_box(V, more, [1.51], [3.0], excluding=hole).status == "holds"
    # ẋ = −x + x³ falls inside of 1 only
    cubic = lambda t, z, args: -z + z**3
    inside = certify.on_box(V, cubic, [-2.0], [2.0], level=0.98, excluding=hole)
    assert inside.status == "holds"
    assert certify.on_box(V, cubic, [-2.0], [2.0], level=1.1).status == "violated"
    # ẋ = (t − 1)x: falls before t = 1
    early = lambda t, z, args: (t - 1) * z
    assert certify.on_box(V, early, [-1.0], [1.0], time=(0.0, 1.0)).status == "holds"
    late = certify.on_box(V, early, [-1.0], [1.0], time=(0.0, 1.2))
    assert late.status == "violated" and late.counterexample["time"] > 1
    # x − ε·2x falls in x² for 0 < ε < 1, for every learning rate of an interval
    gradient = certify.Map(lambda t, z, lr: z - 2 * lr * z)
    sides = V, gradient, [0.1], [2.0]
    assert certify.on_box(*sides, args=(0.01, 0.99)).status == "holds"
    long = certify.on_box(*sides, args=(0.01, 1.05))
    assert long.status == "violated" and long.counterexample["args"] > 1


def test_undecided_where_the_boxes_run_out():
    """Never `holds` on a part: the share and the worst open box are told."""
    V = lambda t, z, args: jnp.sqrt(z[0])
    found = certify.on_box(V, lambda t, z, a: -z, [-0.5], [2.0], budget=20_000)
    assert found.status == "undecided" and 0.5 < found.covered < 1
    assert found.worst["its bound"] == np.inf
    assert found.worst["worst open box"][0][0] < 0
    assert "of the region" in str(found) and '"undecided"' in found.to_json()


def test_the_mean_value_form_is_not_used_across_a_jump(monkeypatch):
    """For sign(z) − ½ on [−1, 1] it says −½; the truth is ½."""
    box = Interval(np.array([[-1.0]]), np.array([[1.0]]))
    bound = lambda: Bounded(lambda z: jnp.sign(z[0]) - 0.5, 1).over(box)[0][0]
    assert bound() >= 0.5
    silent = choices.stepwise(np.sign)
    blind = lambda mark, a: silent(lambda boxes: None, a)
    monkeypatch.setitem(_program.JUMPS, "sign", blind)  # the control: marks nothing
    assert bound() == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "call, what",
    [
        (
            lambda f: certify.on_box(f, [0.0, 1.0], [1.0, 1.0]),
            r"upper\[1\].*lower < upper",
        ),
        (lambda f: certify.on_box(f, [0.0, -np.inf], [1.0, 1.0]), "finite"),
        (lambda f: certify.on_box(f, [0.0] * 5, [1.0] * 5), "lower: given 5"),
        (lambda f: certify.on_box(f, [0.0, 0.0], [1.0]), "one length"),
        (
            lambda f: certify.on_box(
                lambda t, z, a: z, lambda t, z, a: z, [0.0], [1.0]
            ),
            "scalar",
        ),
        (
            lambda f: certify.on_box(
                lambda t, z, a: jnp.log(z[0] - 1), lambda t, z, a: z, [0.0], [1.0]
            ),
            "is not a number",
        ),
        (
            lambda f: certify.on_box(dx.as_flow(dx.AdamW(), well), [0.0], [1.0]),
            "AdamW, which claims no energy|never have together",
        ),
        (
            lambda f: certify.on_box(
                f, [0.0, 0.0], [1.0, 1.0], excluding=certify.Ball(0)
            ),
            "radius",
        ),
        (lambda f: certify.locally(f, jnp.asarray(0.5)), "at: given.*equilibrium"),
        (
            lambda f: certify.over_class(
                dx.GradientDescent(), 0.1, strong_convexity=2, smoothness=1
            ),
            "strong_convexity < smoothness",
        ),
        (
            lambda f: certify.over_class(
                dx.Adam(), 0.1, strong_convexity=1, smoothness=10
            ),
            "Adam.*not linear",
        ),
    ],
)
def test_bad_input_is_named(call, what):
    with pytest.raises(ValueError, match=what):
        call(dx.as_flow(dx.HeavyBall(1.0), well))


def pendulum(t, z, args):
    return jnp.stack([z[1], -jnp.sin(z[0]) - z[1]])


def test_near_an_equilibrium():
    found = certify.locally(pendulum, [0.0, 0.0])
    assert found.verdict.status == "holds" and found.verdict.evidence == "local"
    A = np.array([[0.0, 1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(A.T @ found.P + found.P @ A, -np.eye(2), atol=1e-12)
    assert 0.8 <= found.radius <= np.pi  # 0.8 was measured; π is the next equilibrium
    # 10⁴ states of the certified set, far from 0: V̇ < 0; a little further some rise
    rng = np.random.default_rng(0)
    root = np.linalg.inv(np.linalg.cholesky(found.P)).T

    def worst(level):
        u = rng.normal(size=(2, 10_000))
        u *= np.sqrt(level * rng.uniform(0.01, 1, 10_000)) / np.linalg.norm(u, axis=0)
        z = root @ u
        F = np.stack([z[1], -np.sin(z[0]) - z[1]])
        return np.max(2 * np.sum(z * (found.P @ F), axis=0))

    assert worst(found.level) < 0 < worst(1.3 * found.level)
    upright = certify.locally(pendulum, [np.pi, 0.0])
    assert upright.verdict.status == "violated" and upright.radius == 0
    flat = certify.locally(lambda t, z, a: -(z**3), [0.0])
    assert flat.verdict.status == "undecided"


def test_locally_of_a_method_and_of_a_map():
    flow = dx.as_flow(dx.HeavyBall(1.0), well)
    assert certify.locally(flow, jnp.asarray(1.0)).verdict.status == "holds"
    assert certify.locally(flow, jnp.asarray(0.0)).verdict.status == "violated"
    shrinks = certify.locally(certify.Map(lambda t, z, a: 0.5 * jnp.sin(z)), [0.0])
    assert shrinks.verdict.status == "holds"
    np.testing.assert_allclose(shrinks.P, [[4 / 3]])
    # 0.9·z + z² has its other fixed point at 0.1: nothing beyond is certified
    other = certify.locally(certify.Map(lambda t, z, a: 0.9 * z + z**2), [0.0])
    assert 0 < np.sqrt(other.level / other.P[0, 0]) < 0.1


MU, L = 1.0, 10.0


@pytest.mark.parametrize(
    "opt, lr, rate",
    [  # theory: Nesterov 2004, Theorem 2.1.15; Van Scoy, Freeman, Lynch 2018
        (dx.GradientDescent(), 1 / L, 1 - MU / L),
        (dx.GradientDescent(), 2 / (MU + L), (L - MU) / (L + MU)),
        (dx.TripleMomentum(MU), L**-0.5, 1 - (MU / L) ** 0.5),
    ],
)
def test_rates_of_theory(opt, lr, rate):
    pytest.importorskip("clarabel")
    found = certify.over_class(opt, lr, strong_convexity=MU, smoothness=L)
    assert found.verdict.status == "holds"
    assert abs(found.rate - rate) <= 1e-3
    A, B = linear_step(opt, lr)
    slower = Fraction(0.99 * found.rate) ** 2
    control = Inequalities(A, B * L, MU / L).propose(slower)
    assert control is None


def test_rates_in_other_units():
    """μ, L and f times 10^±6: the same rate."""
    pytest.importorskip("clarabel")
    rates = []
    for unit in (1e-6, 1.0, 1e6):
        opt, lr = dx.NesterovSC(MU * unit), (L * unit) ** -0.5
        constants = dict(strong_convexity=MU * unit, smoothness=L * unit)
        rates.append(certify.over_class(opt, lr, **constants).rate)
    assert max(rates) <= 0.753  # the printed potential proves 0.827
    assert max(rates) - min(rates) <= 2e-4


def test_the_potential_that_was_found_can_be_run():
    """V₊ ≤ ρ²V and V ≥ f − f* along runs on f of the class, in three dimensions."""
    pytest.importorskip("clarabel")
    lr = L**-0.5
    found = certify.over_class(dx.NesterovSC(MU), lr, strong_convexity=MU, smoothness=L)
    method = found.method
    assert method is not None
    curved = jnp.asarray([1.0, 4.0, 9.0])

    def f(x):
        bend = jnp.logaddexp(2 * x, -2 * x) / 4  # 0 ≤ second derivative ≤ 1
        return jnp.sum(curved * x**2 / 2 + bend) - 3 * jnp.log(2.0) / 4

    least = dx.Minimum(jnp.zeros(3), jnp.asarray(0.0))

    @jax.jit
    def run(x):
        def body(carry, k):
            x, state = carry
            v = method.potential(k, x, state, f, least, lr)
            return method.step(x, state, jax.grad(f)(x), lr), (v, f(x))

        return jax.lax.scan(body, (x, method.init(x)), jnp.arange(60))[1]

    V, value = run(jnp.asarray([3.0, -2.0, 1.0]))
    above = np.asarray(V) / V[0] > 1e-8  # round-off
    V, value = V[above], value[above]
    assert V.size > 20 and np.all(V[1:] <= found.rate**2 * V[:-1])
    assert np.all(value <= V)
    assert np.max(V[1:] / V[:-1]) > 0.2 * found.rate**2


def test_the_potential_that_was_found_is_put_on_a_box():
    """And monitored, as of any method with a rate; half of the rate is refuted."""
    pytest.importorskip("clarabel")
    lr = L**-0.5
    found = certify.over_class(dx.NesterovSC(MU), lr, strong_convexity=MU, smoothness=L)
    method = found.method
    assert isinstance(method, dx.AbstractRatedMap)
    f = lambda x: 3 * x**2 + 4 * (jnp.sqrt(1 + x**2) - 1)  # 6 ≤ f'' ≤ 10
    least = dx.Minimum(jnp.zeros(()), jnp.asarray(0.0))
    _, restore = jax.flatten_util.ravel_pytree(
        (jnp.zeros(()), method.init(jnp.zeros(())))
    )

    def V(t, z, args):
        x, state = restore(z)
        return method.potential(0, x, state, f, least, lr)

    @certify.Map
    def step(t, z, args):
        x, state = restore(z)
        return jax.flatten_util.ravel_pytree(method.step(x, state, jax.grad(f)(x), lr))[
            0
        ]

    box, hole = ([-1.0] * 2, [1.0] * 2), certify.Ball(0.5)
    for share, status in ((1.0, "holds"), (0.1, "violated")):
        fall = lambda t, z, a, s=share: (1 - s * method.factor(0, lr)) * V(t, z, a)
        on = certify.on_box(V, step, *box, decrease=fall, excluding=hole)
        assert on.status == status, on
    system = dx.System(method, f, jnp.asarray(1.5), lr, minimum=least)
    assert dx.verify(system, steps=20).verdicts["map rate"].status == "holds"


@pytest.mark.parametrize("decay", ["explicit", "implicit"])
def test_lion_for_every_f_and_every_kappa(decay):
    """The theorem, in any units and for any constants with β₁ < β₂."""
    pytest.importorskip("clarabel")
    rng = np.random.default_rng(0)
    for k in range(8):
        beta1, beta2 = np.sort(rng.uniform(0.1, 0.99, 2))
        lam, smoothness = 10 ** rng.uniform(-3, 3, 2)
        lr = 10 ** rng.uniform(-3, -0.5) / lam
        opt = dx.LionKappa(dx.kappa.L1(), beta1, beta2, lam, decay)
        found = certify.over_class(opt, lr, smoothness=smoothness)
        assert found.verdict.status == "holds", (k, found.verdict)
        assert max(found.verdict.worst.values()) <= 1e-6
    # H falls by less than D ≥ 0 for β₁ > β₂: the control
    opt = dx.LionKappa(beta1=0.99, beta2=0.9, weight_decay=0.1, decay=decay)
    found = certify.over_class(opt, 0.01, smoothness=1.0)
    assert found.verdict.status == "undecided"
    assert found.verdict.worst["excess of −D"] > 1e-3
    with pytest.raises(ValueError, match="weight_decay > 0"):
        certify.over_class(dx.LionKappa(), 0.01, smoothness=1.0)


def test_the_constants_of_lion_cannot_be_loosened():
    """Each constant, a few per cent off, is refused; and so are wrong multipliers."""
    pytest.importorskip("clarabel")
    opt = dx.LionKappa(dx.kappa.HalfSquared(), 0.5, 0.8, 1.0, "implicit")
    k = every_kappa.read(opt, 0.3, *linear_step(opt, 0.3), 2.0)
    w = every_kappa.Constants(1 / 1.3, 0.3 / 1.3, 0.5, 0.8, 10 / 7, 3 / 7, 3 / 7, 2.0)
    np.testing.assert_allclose(k, w, rtol=1e-12)  # c = εβ₁/S, a = 1 + λc
    assert every_kappa.excess(k).proved
    for wrong in (
        {"c": 0.9 * k.c},
        {"c": 1.1 * k.c},
        {"allowed": 0.95},
        {"a": 1.1 * k.a},
        {"b": 1.1 * k.b},
        {"c": k.c * (1 + 1e-3)},
    ):
        found = every_kappa.excess(k._replace(**wrong))
        assert not found.proved and found.theorem > 1e-4, wrong


def test_multipliers_that_are_off_are_not_proved(monkeypatch):
    """The proof takes the multipliers from the solver and believes none of them."""
    pytest.importorskip("clarabel")
    opt = dx.LionKappa(dx.kappa.HalfSquared(), 0.5, 0.8, 1.0, "implicit")
    k = every_kappa.read(opt, 0.3, *linear_step(opt, 0.3), 2.0)
    right = every_kappa.proved
    for wrong in (np.zeros(16), np.ones(16)):
        off = lambda found, *rest, wrong=wrong: right(list(wrong), *rest)
        monkeypatch.setattr(every_kappa, "proved", off)
        assert not every_kappa.excess(k).proved


def test_infeasible_is_undecided():
    """Polyak's heavy ball at κ = 25: no V; the run that shows why comes with it."""
    pytest.importorskip("clarabel")
    root = 5.0
    lr, beta = 4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2
    found = certify.over_class(
        dx.Momentum(beta), lr, strong_convexity=1.0, smoothness=25.0
    )
    assert found.verdict.status == "undecided" and found.method is None
    assert "does not converge" in found.verdict.reason
    # the control: with what gradient descent does, every one of these runs converges
    assert stuck(np.array([[1.0]]), np.array([-1 / 25]), 1.0, 25.0) is None


def test_a_proposal_that_is_off_is_not_proved():
    """The fractions confirm what the solver proposes, and refuse anything else."""
    pytest.importorskip("clarabel")
    problem = Inequalities(np.array([[1.0]]), np.array([-1.0]), 0.1)
    rho2 = Fraction(0.9001) ** 2
    x = problem.propose(rho2)
    assert x is not None and problem.proved(x, rho2)
    for wrong in (np.zeros(problem.count), np.ones(problem.count)):
        assert not problem.proved(wrong, rho2)
    # what was found at this rate, at a rate that theory excludes
    faster = Fraction(0.899) ** 2
    assert not problem.proved(x, faster)
    # P moved by a hundredth of its size in one entry
    moved = np.array(x)
    moved[0] -= 0.01 * abs(moved[0])
    moved[problem.free] *= 0.5
    assert not problem.proved(moved, rho2)


def test_json_of_before_reads_as_a_run():
    flow = dx.as_flow(dx.HeavyBall(1.0), well)
    data = certify.on_box(flow, LOWER, UPPER).to_dict()
    old = {
        k: v
        for k, v in data.items()
        if k not in ("evidence", "assumes", "counterexample", "covered")
    }
    assert dx.Verdict(**old).evidence == "run"
