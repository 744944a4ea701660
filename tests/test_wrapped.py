"""Solvers around solvers: whatever diffrax asks of the inner one, and the verdicts."""

import chex
import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from diffrax._term import AdjointTerm

import dynax as dx
from dynax import _tree as tree, kappa as K
from dynax.mechanics import Projected


def loss(x):
    return jnp.sum(jnp.array([1, 4], x.dtype) * x**2) / 2 + jnp.sum(jnp.cos(x))


START = jnp.array([1.0, -2.0])
SYSTEM = dx.WithDissipation(dx.as_flow(dx.HeavyBall(1.0), loss, 1e-2))


def solve(solver, t0=0, t1=3, start=START, sign=1.0, term=None, **kwargs):
    """The flow, or `sign` times it; the ledger is of the flow itself."""
    field = lambda t, y, sign: tree.scale(sign, SYSTEM.field(t, y))
    given = {
        "stepsize_controller": diffrax.PIDController(rtol=1e-6, atol=1e-6),
        "saveat": diffrax.SaveAt(t1=True, solver_state=True),
        "max_steps": 4096,
        "throw": False,
    }
    term = diffrax.ODETerm(field) if term is None else term
    y0 = SYSTEM.init(start)
    return diffrax.diffeqsolve(term, solver, t0, t1, None, y0, sign, **given | kwargs)


def judged(solution):
    found = dx.verdict(solution.solver_state.tally, "V falls")
    assert found.audited == solution.stats["num_accepted_steps"]
    return found


def test_either_direction_of_time_is_judged_and_another_field_is_violated():
    """In one program: the flow, and its negative, along which V rises; both ways."""

    @jax.jit
    @jax.vmap
    def run(t0, t1, sign):
        monitored = dx.Monitored(diffrax.Tsit5(), SYSTEM)
        return solve(monitored, t0, t1, sign=sign), solve(diffrax.Tsit5(), t0, t1)

    cases = jnp.array([[0, 3, 1.0], [3, 0, 1.0], [0, 3, -1.0], [3, 0, -1.0]])
    found, bare = run(*cases.T)
    first = [tree.map(lambda a: a[:2], s.ys) for s in (found, bare)]
    chex.assert_trees_all_close(*first, rtol=1e-12)
    each = [judged(tree.map(lambda a, i=i: a[i], found)) for i in range(4)]
    assert [v.status for v in each] == ["holds", "holds", "violated", "violated"]
    assert [v.rises for v in each] == [0, 0, each[2].audited, each[3].audited]
    for v in each[2:]:
        assert v.checks["fall"]["violations"] == v.audited
        assert v.checks["identity"]["violations"] == v.audited


TIGHT = diffrax.VeryChord(rtol=1e-9, atol=1e-9)
IMPLICIT = {
    "ImplicitEuler": diffrax.ImplicitEuler(),
    "HalfSolver": diffrax.HalfSolver(diffrax.ImplicitEuler(root_finder=TIGHT)),
    "Kvaerno3": diffrax.Kvaerno3(),
    "Kvaerno4": diffrax.Kvaerno4(),
    "Kvaerno5": diffrax.Kvaerno5(root_finder=TIGHT),
    "KenCarp3": diffrax.KenCarp3(),
}
slow = pytest.mark.slow
NAMES = [n if n == "ImplicitEuler" else pytest.param(n, marks=slow) for n in IMPLICIT]


def parts(solver):
    """Three tenths of the field to the explicit method of an IMEX pair, or all."""
    part = lambda share: diffrax.ODETerm(
        lambda t, y, args: tree.scale(share, SYSTEM.field(t, y))
    )
    pair = "MultiTerm" in str(solver.term_structure)
    return diffrax.MultiTerm(part(0.3), part(0.7)) if pair else part(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_implicit_solvers(name):
    solver = IMPLICIT[name]

    @eqx.filter_jit
    def run():
        still = Projected(solver, lambda t, y, *_: y)
        return [
            solve(s, term=parts(solver), stepsize_controller=controller)
            for s in (dx.Monitored(solver, SYSTEM), still)
        ]

    controller = diffrax.PIDController(rtol=1e-4, atol=1e-4)
    found, projected = run()
    assert found.result == diffrax.RESULTS.successful
    assert judged(found).status == "holds", str(judged(found))
    # the root finder's tolerance: its guess differs
    chex.assert_trees_all_close(found.ys, projected.ys, rtol=1e-4)


def test_what_the_inner_solver_lacks_is_absent():
    for wrap in (lambda s: dx.Monitored(s, SYSTEM), lambda s: Projected(s, None)):
        implicit, explicit = wrap(diffrax.Kvaerno3()), wrap(diffrax.Euler())
        assert implicit.root_finder is implicit.solver.root_finder
        assert wrap(wrap(diffrax.Kvaerno3())).root_find_max_steps == 10
        for name in ("root_finder", "scan_kind", "nonsense"):
            with pytest.raises(AttributeError, match=name):
                getattr(explicit, name)


def halved(t, y, dt, args):
    return tree.map(lambda a: a / (1 + 0.1 * dt), y)


WRAP = {
    "bare": lambda s: s,
    "monitored": lambda s: dx.Monitored(s, SYSTEM),
    "projected": lambda s: Projected(s, halved),
}


def end(scale, solver, adjoint):
    save = diffrax.SaveAt(t1=True)
    kwargs = {"adjoint": adjoint, "saveat": save, "max_steps": 64}
    return jnp.sum(solve(solver, start=scale * START, **kwargs).ys[0][0])


@jax.jit
def forward():
    """d(end)/d(scale) by ForwardMode, which is exact for the steps as taken."""
    slope = lambda s: jax.jvp(
        lambda c: end(c, s, diffrax.ForwardMode()), (1.0,), (1.0,)
    )
    return {k: slope(wrap(diffrax.Tsit5()))[1] for k, wrap in WRAP.items()}


def test_forward_mode():
    found = forward()
    np.testing.assert_allclose(found["monitored"], found["bare"], rtol=1e-10)
    assert abs(found["projected"] / found["bare"] - 1) > 0.01


@slow
@pytest.mark.parametrize("name", WRAP)
def test_adjoints(name):
    """Three ways to the same derivative; backsolve only around the bare solver."""
    solver, expected = WRAP[name](diffrax.Tsit5()), forward()[name]
    for adjoint in (diffrax.RecursiveCheckpointAdjoint(), diffrax.DirectAdjoint()):
        slope = jax.jit(jax.grad(lambda c, a=adjoint: end(c, solver, a)))(1.0)
        np.testing.assert_allclose(slope, expected, rtol=1e-10)
    backsolve = lambda: jax.grad(lambda c: end(c, solver, diffrax.BacksolveAdjoint()))(
        1.0
    )
    if name == "bare":
        np.testing.assert_allclose(backsolve(), expected, rtol=1e-3)
    else:
        with pytest.raises(ValueError, match="adjoint: given BacksolveAdjoint with"):
            backsolve()


def test_implicit_adjoint_at_a_steady_state():
    """Of ẏ = −(y − p) the rest is y = p, by the implicit function theorem dy/dp = 1."""

    def rest(p, wrap):
        term = diffrax.ODETerm(lambda t, y, p: p - y)
        return diffrax.diffeqsolve(
            term,
            wrap(diffrax.Tsit5()),
            0.0,
            jnp.inf,
            1.0,
            jnp.zeros(()),
            p,
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-6),
            event=diffrax.Event(diffrax.steady_state_event(1e-8, 1e-8)),
            adjoint=diffrax.ImplicitAdjoint(),
            throw=False,
        ).ys[0]

    wrap = lambda s: Projected(s, lambda t, y, dt, p: y)
    with jax.numpy_dtype_promotion("standard"):  # diffrax's direction is an integer
        value, slope = jax.jit(jax.value_and_grad(lambda p: rest(p, wrap)))(2.0)
    np.testing.assert_allclose([value, slope], [2.0, 1.0], atol=1e-5)


def test_event_dense_output_and_a_budget_of_steps():
    """The row that crosses an event is a whole step; `settled` has those before it."""

    @jax.jit
    def run():
        monitored = dx.Monitored(diffrax.Tsit5(), SYSTEM)
        low = lambda t, y, args, **kwargs: SYSTEM.energy(t, y) - 4.0
        event = diffrax.Event(low, optx.Newton(1e-10, 1e-10))
        save = diffrax.SaveAt(t1=True, dense=True, solver_state=True)
        stopped = solve(monitored, event=event, saveat=save)
        times, start = jnp.array([0, 3], jnp.float32), START.astype(jnp.float32)
        short = solve(monitored, times[0], times[1], start, max_steps=5)
        return stopped, stopped.evaluate(0.1), short

    stopped, early, short = run()
    energy = SYSTEM.energy(0.0, tree.map(lambda a: a[-1], stopped.ys))
    np.testing.assert_allclose(energy, 4.0, rtol=1e-8)
    state = stopped.solver_state
    assert judged(stopped).status == "holds"
    assert state.settled.audited == state.tally.audited - 1
    assert state.energy < 4.0 - 1e-6  # the last row went further
    assert SYSTEM.energy(0.0, early) > 4.0
    assert short.result == diffrax.RESULTS.max_steps_reached
    assert judged(short).audited == 5 and judged(short).status != "violated"
    assert short.ys[0][0].dtype == jnp.float32


def test_refused_terms_are_named():
    euler = dx.Monitored(diffrax.SemiImplicitEuler(), SYSTEM)
    terms = diffrax.ODETerm(lambda t, y, _: y), diffrax.ODETerm(lambda t, y, _: y)
    with pytest.raises(TypeError, match="terms: given a tuple with Monitored"):
        euler.init(terms, 0.0, 1.0, SYSTEM.init(START), None)
    for wrap in (WRAP["monitored"], WRAP["projected"]):
        adjoint = AdjointTerm(diffrax.ODETerm(SYSTEM.field))
        with pytest.raises(ValueError, match="adjoint: given BacksolveAdjoint with"):
            wrap(diffrax.Tsit5()).init(adjoint, 0.0, 1.0, SYSTEM.init(START), None)


@pytest.mark.parametrize("points", [7, 3])
def test_a_flow_with_cusps_is_no_false_alarm(points, monkeypatch):
    """The quartic κ has ∇κ*(y) = y^(1/3): D has a cusp wherever a coordinate changes
    sign, and there the solver's own error estimate is blind. Control: with three points
    the cusps that fall between two of them are called violations."""
    monkeypatch.setattr("dynax.monitor._diffrax.INNER", points)
    opt = dx.LionKappa.from_flow(K.Quartic(), 1.0, 0.3, 0.5, 1e-2)
    w = jax.random.normal(jax.random.key(5), (24, 6))
    b = 6 * jax.random.uniform(jax.random.key(6), (24,))
    f = lambda x: 0.05 * jnp.sum(x**2) + jnp.sum(jnp.sin(w @ x + b)) / 24**0.5
    system = dx.WithDissipation(dx.as_flow(opt, f, 1e-2))

    @jax.jit
    def run(starts):
        def one(x):
            return diffrax.diffeqsolve(
                diffrax.ODETerm(system.field),
                dx.Monitored(diffrax.Tsit5(), system),
                0.0,
                20.0,
                None,
                system.init(x),
                stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
                saveat=diffrax.SaveAt(t1=True, solver_state=True),
                throw=False,
            ).solver_state.tally

        return jax.lax.map(one, starts)

    counts = run(jax.random.normal(jax.random.key(0), (24, 6))).counts
    violated = {name: int(jnp.sum(c.violations)) for name, c in counts.items()}
    false_alarms = violated.pop("balance")
    assert not any(violated.values()), violated
    assert (false_alarms == 0) == (points == 7), false_alarms
    seen, rows = (
        int(np.sum(n)) for n in (counts["balance"].seen, counts["balance"].rows)
    )
    assert seen > 0.9 * rows  # and it is not by being blind
