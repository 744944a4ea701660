"""Training on a window, its certificate, marching: on u̇ = −ku, solved by e^{−kt}."""

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax
from dynax import pde, pinn
from dynax.checkpoint import Checkpoints
from dynax.newton import LevenbergMarquardt, ssbroyden
from dynax.pinn import diagnostics
from dynax.pinn.balancing import GradientNorms, TangentKernel


class Decay(pde.AbstractODE):
    """u̇ = −ku, u(0) = 1."""

    horizon = 1.0
    rate: float = 1.0

    def field(self, u):
        return -self.rate * u

    def initial(self, x):
        return jnp.ones(1, x.dtype)


class Broken(pde.AbstractODE):
    """Its right-hand side is not a number below u = 0.9."""

    horizon = 1.0

    def field(self, u):
        return -jnp.sqrt(u - 0.9)

    def initial(self, x):
        return jnp.ones(1, x.dtype)


LEVELS = (1.0, 1e3, 1e5)


def start(problem, key, dtype=None):
    network = pinn.mlp_field(problem, key, width=8, depth=1, dtype=dtype)
    return pinn.Model(network, problem)


def training(method=None, levels=LEVELS, patience=40, **kw):
    given = {"times": 16, "points": 1, "chunks": 8, **kw.pop("objective", {})}
    objective = pinn.Objective(**given)
    annealing = pinn.Annealing(levels, patience=patience)
    method = LevenbergMarquardt() if method is None else method
    return pinn.Trainer(objective, method, annealing, **kw)


def window(problem, length=1.0, dtype=None):
    zero = jnp.zeros((), dtype)
    state = pinn.interpolate(problem, lambda t, x: problem.initial(x), zero)
    return pinn.Window(zero, zero + length, state)


def error(how, out, over, rate=1.0):
    u = how.objective.ansatz(out.model.pde, out.model.network, over)
    times = jnp.linspace(0, over.t1, 50)
    found = jax.vmap(lambda t: u(t, jnp.zeros(0))[0])(times)
    return float(jnp.max(jnp.abs(found - jnp.exp(-rate * times))))


@pytest.fixture(scope="module")
def solved():
    how, over, key = training(), window(Decay()), jax.random.key(0)
    return how, over, pinn.train(how, start(Decay(), key), over, key, 120, block=40)


def test_a_solved_window_has_a_certificate(solved):
    how, over, out = solved
    certificate = how.certificate(out, over)
    assert certificate.holds and certificate.causality == certificate.final == 1e5
    assert certificate.min_weight > 0.99 and certificate.unseen_min_weight > 0.99
    # ΣL < 0.01/ε over 8 chunks and |error| ≤ ∫|r|
    assert error(how, out, over) < (0.01 / 1e5 / 8 * 8) ** 0.5
    assert "SOLVED" in str(certificate) and certificate.to_dict()["status"] == "solved"


def test_in_blocks_or_at_once_it_is_the_same(solved):
    how, over, out = solved
    key = jax.random.key(0)
    pure = eqx.filter_jit(pinn.solve)(how, start(Decay(), key), over, key, 120)
    ran = np.asarray(out.records.cycle) >= 0
    count = int(ran.sum())
    np.testing.assert_allclose(
        pure.records.loss[:count], out.records.loss[ran], rtol=1e-6
    )
    assert np.all(np.asarray(pure.records.cycle)[count:] == -1)


def test_too_few_cycles_have_none():
    how, over, key = training(), window(Decay()), jax.random.key(0)
    out = pinn.train(how, start(Decay(), key), over, key, 2, block=2)
    certificate = how.certificate(out, over)
    assert certificate.status == "not solved" and "ε reached" in certificate.reason


def test_the_test_at_a_small_strength_is_no_certificate():
    """The same network passes min w > δ at ε = 1e-3 with an error of order one."""
    how, over, key = training(levels=(1e-2, 1e5)), window(Decay(2.0)), jax.random.key(0)
    out = pinn.train(how, start(Decay(2.0), key), over, key, 1, block=1)
    assert not how.certificate(out, over).holds
    weak = training(levels=(1e-3,))
    out = pinn.train(weak, start(Decay(2.0), key), over, key, 5, block=5)
    first = float(jnp.exp(out.records.log_min[0]))
    assert first > 0.97  # and the untrained network is far off:
    untrained = weak.objective.ansatz(Decay(2.0), start(Decay(2.0), key).network, over)
    assert abs(float(untrained(jnp.ones(()), jnp.zeros(0))[0]) - np.exp(-2)) > 0.1


def test_fixed_points_are_checked_on_unseen_ones():
    """Residual zero at two times that never move, and wrong between: refused."""

    def two(key, problem, over, dtype, residual):
        del key, problem, residual
        fixed = jnp.asarray([0.2, 0.21], dtype)
        return pde.Points(over.t0 + over.t1 * fixed, jnp.zeros((2, 1, 0), dtype))

    how = training(objective={"times": 2, "chunks": 2}, sampler=two)
    over, key = window(Decay(3.0)), jax.random.key(0)
    out = pinn.train(how, start(Decay(3.0), key), over, key, 150, block=50)
    certificate = how.certificate(out, over)
    assert certificate.min_weight > 0.99 and certificate.causality == 1e5
    assert certificate.status == "not solved" and "unseen" in certificate.reason
    assert error(how, out, over, 3.0) > 0.01


def test_a_residual_that_is_not_a_number_is_a_status():
    how, over, key = training(), window(Broken()), jax.random.key(0)
    out = pinn.train(how, start(Broken(), key), over, key, 60, block=20)
    certificate = how.certificate(out, over)
    assert certificate.status == "diverged"
    assert all(jnp.all(jnp.isfinite(a)) for a in jax.tree.leaves(out.state.params))


METHODS = {
    "adam": lambda: optax.adam(1e-2),
    "ssbroyden": ssbroyden,
    "lion": lambda: dynax.as_optax(dynax.LionKappa(), 1e-3, every=1),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
    "lbfgs": optax.lbfgs,
}
CONTRIB = {
    "momo": lambda: optax.contrib.momo(0.1),  # it reads the value
    "mechanize": lambda: optax.contrib.mechanize(optax.sgd(1e-2)),
    "schedule_free": lambda: optax.contrib.schedule_free_sgd(1e-2),
    "sam": lambda: optax.contrib.sam(optax.adam(1e-2), optax.sgd(1e-2)),  # takes none
    "backtracking": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(20, store_grad=True)
    ),
}


@pytest.mark.parametrize(
    "method, inner",
    [
        *(("adam", 1), ("ssbroyden", 20), ("lion", 1), ("clipped", 1)),
        *(("lbfgs", 1), ("lbfgs", 20)),
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in CONTRIB),
        pytest.param("backtracking", 20, marks=pytest.mark.slow),
    ],
)
def test_any_method(method, inner):
    """Each brings the loss down; what is an audited optimizer brings its ledger."""
    made = {**METHODS, **CONTRIB}[method]()
    how, over, key = training(made, inner=inner), window(Decay()), jax.random.key(0)
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam mixes dtypes
        out = pinn.train(how, start(Decay(), key), over, key, 60, block=20)
    losses = out.records.chunks.mean(1)
    losses = losses[np.isfinite(losses)]
    assert losses[-1] < 0.5 * losses[0]
    if method == "lion":
        tally = optax.tree.get(out.state.method_state, "tally")
        verdict = dynax.verdict(tally, "Lion on a causal loss, weights frozen")
        assert verdict.status == "holds" and verdict.audited == 60


def test_an_ensemble_is_one_program_and_the_loop():
    """vmap over seeds, causalities and lengths of the window."""
    lengths, tops = jnp.asarray([0.5, 1.0, 2.0]), jnp.asarray([1e2, 1e3, 1e4])
    keys = jax.random.split(jax.random.key(1), 3)

    def run(key, top, length):
        how = training(levels=jnp.stack([top / 100, top]), patience=10)
        over = window(Decay())._replace(t1=length)
        return pinn.solve(how, start(Decay(), key), over, key, 15).records.loss

    together = jax.jit(jax.vmap(run))(keys, tops, lengths)
    alone = jax.jit(run)
    for k in range(3):
        one = alone(keys[k], tops[k], lengths[k])
        # rounding differs, and Gauss–Newton steps enlarge it
        np.testing.assert_allclose(together[k][:3], one[:3], rtol=1e-6)


def test_training_goes_on_from_its_checkpoint(tmp_path):
    """To the same bits and rows; and once done, it says again what came of it."""
    how, over, key = training(), window(Decay()), jax.random.key(0)
    go = lambda n, **kw: pinn.train(how, start(Decay(), key), over, key, n, **kw)
    saved = Checkpoints(tmp_path / "a")
    none = go(0, checkpoints=saved)
    go(4, block=2, checkpoints=saved)
    out, once = go(8, block=2, checkpoints=saved), go(8, block=2)
    again = go(8, seconds=0.0, checkpoints=saved)
    for found in (out, again):
        carries = (jax.tree.leaves(o.state._replace(key=0)) for o in (found, once))
        for a, b in zip(*carries, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(found.records.loss, once.records.loss)
    told = [str(how.certificate(found, over)) for found in (out, once, again)]
    assert told[0] == told[1] == told[2] and "after 8 cycles" in told[0]
    certificate = how.certificate(none, over)
    assert not certificate.holds and certificate.reason == "no cycle was run"
    on = pinn.train(how, start(Decay(), key), over, key, 8, state=once.state)
    assert on.records.cycle.size == 0 and str(how.certificate(on, over)) == told[0]


class Faster(Decay):
    """The same equation from another state."""

    def initial(self, x):
        return 2 * jnp.ones(1, x.dtype)


def commented(size=1.0):
    """The same equation in another class, with other comments."""

    class Decay(pde.AbstractODE):
        horizon = 1.0
        rate: float = 1.0

        def field(self, u):
            """u̇."""
            return -self.rate * u  # as above

        def initial(self, x):
            return jnp.full(1, size, x.dtype)

    return Decay()


def other_runs():
    """By what is said of them, runs that are not that of the next test."""
    how, over, key = training(), window(Decay()), jax.random.key(0)
    model, longer = start(Decay(), key), over._replace(t1=over.t1 * 2)
    high, more = training(levels=(*LEVELS[:-1], 1e6)), training(objective={"times": 24})
    other = start(Decay(), jax.random.key(1))
    return {
        "model.pde.rate is 1.0 there, 2.0": (how, start(Decay(2.0), key), over, key),
        "equation is Decay there, Broken": (how, start(Broken(), key), over, key),
        "window.initial.value[1] is 1.0 there, 2.0": (
            how,
            model,
            window(Faster()),
            key,
        ),
        "window.t1 is 1.0 there, 2.0 here": (how, model, longer, key),
        "trainer.annealing.levels is": (high, model, over, key),
        "patience is 40 there, 41": (training(patience=41), model, over, key),
        "key is": (how, model, over, jax.random.key(1)),
        "model.network.": (how, other, over, key),
        "program is": (more, model, over, key),
        "method is LevenbergMarquardt": (training(optax.sgd(0.1)), model, over, key),
    }


def test_checkpoints_of_another_run_are_refused(tmp_path):
    how, over, key = training(), window(Decay()), jax.random.key(0)
    go = lambda *run: pinn.train(*run, 4, block=2, checkpoints=Checkpoints(tmp_path))
    out = go(how, start(Decay(), key), over, key)
    same = go(how, start(commented(), key), over, key)
    np.testing.assert_array_equal(out.records.loss, same.records.loss)
    for told, run in other_runs().items():
        with pytest.raises(
            ValueError, match="^folder: given .* another run: "
        ) as found:
            go(*run)
        assert told in str(found.value)


# --- marching


def test_a_march_is_solved_and_continuous():
    how, key = training(), jax.random.key(0)
    out = pinn.train_windows(how, start(Decay(), key), key, [0.0, 0.5, 1.0, 1.5], 150)
    assert out.holds and out.reached == 1.5 and str(out).startswith("SOLVED")
    times = jnp.linspace(0, 1.5, 61)
    found = jax.jit(jax.vmap(lambda t: out.solution(t, jnp.zeros(0))[0]))(times)
    off = float(jnp.max(jnp.abs(found - jnp.exp(-times))))
    estimates = [c.estimate for c in out.certificates]
    worst = max(float(e.absolute[0]) for e in estimates)
    assert off < 1e-3 and 0.5 * worst < off < 1.01 * worst
    assert estimates[0].start == 0 < estimates[1].start  # what was handed over
    at = [
        float(out.solution(jnp.asarray(t), jnp.zeros(0))[0]) for t in (0.5 - 1e-12, 0.5)
    ]
    assert abs(at[0] - at[1]) < 1e-10


def test_a_failed_window_stops_the_march():
    how, key = training(patience=2), jax.random.key(0)
    out = pinn.train_windows(how, start(Decay(), key), key, [0.0, 0.5, 1.0], 2)
    assert not out.holds and out.reached == 0 and len(out.certificates) == 1
    assert str(out).startswith("STOPPED at t = 0, in window 1")
    anyway = pinn.train_windows(
        how, start(Decay(), key), key, [0.0, 0.5, 1.0], 2, anyway=True
    )
    assert len(anyway.certificates) == 2 and anyway.reached == 0
    at = lambda out, t: float(out.solution(jnp.asarray(t), jnp.zeros(0))[0])
    assert at(out, 0.0) == 1 and np.isnan(at(out, 0.1)) and out.solution.until == 0
    assert (
        np.isfinite(at(anyway, 1.0))
        and np.isnan([at(anyway, t) for t in (-0.1, 1.1)]).all()
    )


def test_a_march_goes_on_where_it_was_stopped(tmp_path):
    how, key, edges = training(), jax.random.key(0), [0.0, 0.5, 1.0]
    model = start(Decay(), key)
    pinn.train_windows(how, model, key, edges[:2], 150, folder=tmp_path)
    told = []
    out = pinn.train_windows(
        how,
        model,
        key,
        edges,
        150,
        folder=tmp_path,
        progress=lambda s, t: told.append(t),
    )
    assert all("window 2" in t for t in told)
    once = pinn.train_windows(how, model, key, edges, 150)
    chex.assert_trees_all_equal(out.solution, once.solution)
    for problem, at, said in (
        (Decay(2.0), edges, "model.pde.rate is 1.0 there, 2.0 here"),
        (Faster(), edges, "equation is Decay there, Faster here"),
        (Decay(), [0.0, 0.5, 1.5], "edges is .*1.0. there, .*1.5. here"),
        (commented(2.0), edges, "program of the handover is"),
        (Decay(), [0.0, 0.6], "edges is .*0.5. there, .*0.6. here"),
    ):
        with pytest.raises(ValueError, match=f"^folder: given .*{said}"):
            pinn.train_windows(how, start(problem, key), key, at, 150, folder=tmp_path)


def test_edges_must_ascend():
    with pytest.raises(ValueError, match="edges: given"):
        pinn.train_windows(training(), None, None, [0.0, 1.0, 0.5], 1)


# --- precision, balance, diagnosis


def test_hopeless_precision_is_warned_of_with_a_figure():
    lorenz = pde.Lorenz()
    key, how = jax.random.key(0), training()
    model = start(lorenz, key, jnp.float32)
    with pytest.warns(UserWarning, match=r"float32.*Lorenz grows 1.0e\+04-fold"):
        pinn.train_windows(how, model, key, [0.0, 0.1, 20.0], 1)


def test_growth_of_lorenz_is_what_it_does():
    """Two solutions apart by little, by the reference solver: within a factor of 10."""
    lorenz = pde.Lorenz()
    near = eqx.tree_at(lambda p: p.rho, lorenz, lorenz.rho * (1 + 1e-11))
    a, b = (pde.reference(p, [0.1, 19.0, 19.5, 20.0]).u for p in (lorenz, near))
    grown = np.linalg.norm((a - b)[1:], axis=-1).max() / np.linalg.norm((a - b)[0])
    assert lorenz.growth / 10 < grown < lorenz.growth * 10


@pytest.mark.parametrize("balance", [GradientNorms(every=5), TangentKernel(every=5)])
def test_balanced_weights_are_carried(balance):
    """λ₀ moves from its start to mean(sizes)/size, by the average's formula at once."""
    soft = {"initial_weight": 100.0, "ansatz": pinn.penalised_initial}
    how = training(optax.sgd(1e-3), objective=soft, balance=balance)
    over, key = window(Decay()), jax.random.key(0)
    out = pinn.train(how, start(Decay(), key), over, key, 20, block=10)
    weights = out.state.weights
    assert 0 < weights["initial"] < 100.0 and weights["equation"] != 1
    first = training(optax.sgd(1e-3), objective=soft, balance=balance)
    one = pinn.train(first, start(Decay(), key), over, key, 1, block=1)
    assert abs(float(one.state.weights["initial"]) - 90) < 5  # 0.9·100 + 0.1·O(1)


def test_diagnosis_in_closed_form():
    """u = 1 + t·(c) by a one-parameter network: residual c + k(1 + ct), so that
    C(t) = (1 + kt)² and all chunks pull the same way."""

    class One(eqx.Module):
        c: jax.Array

        def __call__(self, t, x):
            return self.c[None]

    how, over = training(), window(Decay())
    model = pinn.Model(One(jnp.asarray(0.3)), Decay())
    batch = how.objective.sample(jax.random.key(0), Decay(), over)
    found = diagnostics.diagnose(how, model, over, batch, 1.0)
    t = batch.points.t
    wanted = ((1 + t) ** 2).reshape(8, 2).mean(1)
    np.testing.assert_allclose(found.ntk, wanted, rtol=1e-12)
    np.testing.assert_allclose(found.alignment, 1.0, rtol=1e-12)
    residual = ((0.3 + 1 + 0.3 * t) ** 2).reshape(8, 2).mean(1)
    np.testing.assert_allclose(found.residual, residual, rtol=1e-12)
    np.testing.assert_allclose(
        found.weights, pinn.causal_weights(found.residual, 1.0), rtol=1e-12
    )


def test_error_growth_by_window():
    heat = pde.Heat()
    truth = pde.reference(heat, np.linspace(0, 1, 11))
    off = lambda t, x: heat.exact(t, x) * jnp.where(t > 0.55, 1.01, 1.0)
    grown = diagnostics.error_growth(off, truth, [0.0, 0.5, 1.0])
    assert grown[0] < 1e-9
    np.testing.assert_allclose(grown[1], 0.01, rtol=0.3)
