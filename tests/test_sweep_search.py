"""Adaptive search: Optuna's own trials, in rounds, whatever interrupts them.

Oracles: Optuna asked and told by hand, and a search that nothing happened to.
"""

import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tests.sweeping as runs
from dynax.sweep import (
    Local,
    Search,
    StoreError,
    Worker,
    integers,
    log_uniform,
    open_sweep,
    random,
    sweep,
    uniform,
)
from dynax.sweep.part import DONE, MISSING, NOT_FINITE, RAISED
from dynax.sweep.store import Store
from tests.test_sweep_crash import same


optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)

RANGES = {"x": uniform(-1, 1), "y": log_uniform(1e-4, 1), "n": integers(1, 6)}
COUNT, PARALLEL = 22, 8


def bowl(x, y, n, key, seed=0):
    """Least at x = 0.3 + seed, y = 10⁻², n = 4; and noise, which knows nothing."""
    loss = (x - 0.3 - seed) ** 2 + (jnp.log10(y) + 2) ** 2 / 4
    loss = loss + (n - 4).astype(loss.dtype) ** 2 / 10
    noise = jax.random.uniform(key, (), loss.dtype)
    return {"loss": loss, "noise": noise, "curve": jnp.stack([-loss, noise, loss])}


def space(objective="loss", **options):
    options = {"parallel": PARALLEL, **options}
    return {"trial": Search(options.pop("count", COUNT), objective, RANGES, **options)}


def exactly(found, seed=0.0):
    x, y, n = (found[k].values for k in "xyn")
    return (x - 0.3 - seed) ** 2 + (np.log10(y) + 2) ** 2 / 4 + (n - 4) ** 2 / 10


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("search") / "store"
    sweep(bowl, space(), store)
    return store


@pytest.fixture(scope="module")
def loaded(undisturbed):
    return open_sweep(undisturbed).load()


def test_rounds(undisturbed, loaded):
    """Of 8, 8 and 6 trials: one part each, every trial at its own place."""
    store = Store.open(undisturbed)
    assert [(p.first, p.count) for p in store.parts()] == [(0, 8), (8, 8), (16, 6)]
    assert [len(r["x"]) for r in store.rounds()] == [8, 8, 6]
    assert loaded.loss.dims == ("trial",) and loaded.attrs["complete"]
    for name in RANGES:
        asked = np.concatenate([r[name] for r in store.rounds()])
        np.testing.assert_array_equal(loaded[name], asked)
    assert np.all((loaded.x >= -1) & (loaded.x <= 1) & (loaded.y >= 1e-4))
    assert set(loaded["n"].values) <= {1, 2, 3, 4, 5, 6}
    # (x − 0.3)², (log₁₀ y + 2)² and a sum: eight roundings of terms up to 4
    np.testing.assert_allclose(
        loaded.loss, exactly(loaded), rtol=0, atol=8 * 4 * 2.3e-16
    )


def by_hand(scores, seed, *, maximize=False, parallel=PARALLEL):
    """The trials that Optuna asks for when told these scores, in rounds."""
    make = optuna.distributions
    distributions = {
        "x": make.FloatDistribution(-1, 1),
        "y": make.FloatDistribution(1e-4, 1, log=True),
        "n": make.IntDistribution(1, 6),
    }
    sampler = optuna.samplers.TPESampler(
        seed=seed, multivariate=True, constant_liar=True
    )
    direction = "maximize" if maximize else "minimize"
    study, asked = optuna.create_study(sampler=sampler, direction=direction), []
    for begin in range(0, len(scores), parallel):
        some = scores[begin : begin + parallel]
        trials = [study.ask(distributions) for _ in some]
        for trial, score in zip(trials, some, strict=True):
            if np.isfinite(score):
                study.tell(trial, score)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
        asked += [t.params for t in trials]
    return {k: np.array([a[k] for a in asked]) for k in RANGES}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("seed, maximize", [(0, False), (3, True)])
def test_asks_and_tells_as_one_would_by_hand(seed, maximize):
    """Control: told nothing of use, Optuna asks for others."""
    found = sweep(bowl, space(maximize=maximize), seed=seed)
    expected = by_hand(found.loss.values.tolist(), seed, maximize=maximize)
    for name in RANGES:
        np.testing.assert_array_equal(found[name], expected[name])
    control = by_hand([0.0] * COUNT, seed, maximize=maximize)
    assert not np.array_equal(found.x[-6:], control["x"][-6:])


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_objective_is_averaged_over_the_other_dimensions():
    """Wherever they stand in the space; control: over one of them it is another."""
    given = {"seed": [0.0, -1.0, 0.5], **space()}
    found = sweep(bowl, given)
    assert found.loss.dims == ("trial", "seed")
    exact = np.stack([exactly(found, s) for s in given["seed"]], axis=1)
    np.testing.assert_allclose(found.loss, exact, rtol=0, atol=8 * 7 * 2.3e-16)
    expected = by_hand(found.loss.values.mean(axis=1).tolist(), 0)
    np.testing.assert_array_equal(found.x, expected["x"])


def test_a_curve_counts_by_its_last_entry(loaded):
    found = sweep(bowl, space("curve"))
    np.testing.assert_array_equal(found.x, loaded.x)
    assert found.attrs["objective"] == "curve"


def test_the_seed_decides(loaded):
    same(sweep(bowl, space()).load(), loaded)
    assert not np.array_equal(sweep(bowl, space(), seed=1).x, loaded.x), "control"


def test_batches_do_not_change_an_elementwise_search(loaded):
    same(sweep(bowl, space(), batch=3).load(), loaded)


def test_fewer_trials_than_a_round():
    found = sweep(bowl, space(count=3))
    assert found.sizes["trial"] == 3 and found.attrs["complete"]


# Interrupted.


@pytest.mark.parametrize("rounds_too", [True, False])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_resumed(tmp_path, loaded, left, rounds_too):
    """Parts of the later rounds are lost, with or without what was asked for."""
    store = tmp_path / "s"
    sweep(bowl, space(), store)
    for part in Store.open(store).parts()[left:]:
        part.path.unlink()
    if rounds_too:
        for file in sorted((store / "rounds").iterdir())[left:]:
            file.unlink()
    before = {p: p.stat().st_mtime_ns for p in (store / "parts").iterdir()}
    assert len(before) == left
    same(sweep(bowl, space(), store).load(), loaded)
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())


def test_unfinished_searches_can_be_read(tmp_path, loaded):
    """Trials not asked for yet are NaN, those not run yet known."""
    store = tmp_path / "s"
    sweep(bowl, space(), store)
    Store.open(store).parts()[2].path.unlink()
    found = open_sweep(store).load()
    np.testing.assert_array_equal(found.x, loaded.x)
    assert (found.status.values == MISSING).nonzero()[0].tolist() == [*range(16, 22)]
    sorted((store / "rounds").iterdir())[2].unlink()
    found = open_sweep(store).load()
    assert np.isnan(found.y[16:]).all() and np.isnan(found["n"][16:]).all()
    np.testing.assert_array_equal(found.y[:16], loaded.y[:16])


def test_a_damaged_round_is_computed_again(tmp_path, loaded):
    store = tmp_path / "s"
    sweep(bowl, space(), store)
    path = Store.open(store).parts()[1].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    same(sweep(bowl, space(), store).load(), loaded)


def test_a_damaged_list_of_trials_is_asked_for_again(tmp_path, loaded):
    """Never read: it would put wrong labels to the results."""
    store = tmp_path / "s"
    sweep(bowl, space(), store)
    before = {p.name for p in (store / "parts").iterdir()}
    rounds = sorted((store / "rounds").iterdir())
    data = bytearray(rounds[1].read_bytes())
    data[len(data) // 2] ^= 1
    rounds[1].write_bytes(data)
    with pytest.raises(StoreError, match="does not match its checksum; run the sweep"):
        open_sweep(store)
    same(sweep(bowl, space(), store).load(), loaded)
    assert {p.name for p in (store / "parts").iterdir()} == before


SEARCHING = """
import sys, time
from dynax.sweep import sweep
from dynax.sweep.store import Store
from tests.test_sweep_search import bowl, space

write = Store.write

def slowly(*values):
    write(*values)
    time.sleep(1.0)

Store.write = slowly
sweep(bowl, space(), sys.argv[1])
"""


def test_killed_between_rounds(tmp_path, loaded):
    """By SIGKILL, after the first round or the second."""
    store = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCHING, str(store)],
        env=runs.environment(JAX_ENABLE_X64="1"),
    )
    limit = time.monotonic() + 60
    while not list(store.glob("parts/s*.npz")) and time.monotonic() < limit:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    left = len(Store.open(store).parts())
    assert 0 < left < 3, "control: there was something done, and something to do"
    same(sweep(bowl, space(), store).load(), loaded)


def test_another_search_is_refused(tmp_path):
    """Of other ranges, rounds, trials, objective; and by another sampler."""
    store = tmp_path / "s"
    sweep(bowl, space(), store)
    for other in (
        space(parallel=4),
        space(count=23),
        space("noise"),
        space(maximize=True),
        {"trial": Search(COUNT, "loss", {**RANGES, "x": uniform(-1, 2)})},
    ):
        with pytest.raises(StoreError, match="holds another experiment: space is"):
            sweep(bowl, other, store)
    by_chance = space(sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed))
    with pytest.raises(
        StoreError, match=r"search that this sampler would not.*accepted"
    ):
        sweep(bowl, by_chance, store)


# How good it is.


def test_better_than_chance():
    """The typical loss of the later half of the trials, mean of two seeds.

    Control: a search for the least of a number that has nothing to do with the loss.
    """

    def later(points, seed):
        found = sweep(bowl, points, seed=seed)
        return np.median(found.loss[24:])

    def typical(make):
        return np.mean([later(make(seed), seed) for seed in (0, 1)])

    chance = typical(lambda seed: {"trial": random(48, seed=seed, **RANGES)})
    searched = typical(lambda seed: space(count=48, parallel=6))
    control = typical(lambda seed: space("noise", count=48, parallel=6))
    assert searched < chance / 2 < control


# What fails.


def spy(told):
    """A sampler that draws at random, and notes what its trials are told."""

    class Spy(optuna.samplers.RandomSampler):
        def after_trial(self, study, trial, state, values):
            told.append((trial.params, state.name, values))

    return lambda seed: Spy(seed=seed)


def failing(x, y, n, seed=0):
    """Not a number for x > 0.3, infinite for x < −0.3; raises for n > 4."""

    def check(n):
        if n > 4:
            raise ValueError("n is too large")
        return n

    n = jax.pure_callback(check, n, n, vmap_method="sequential")
    bad = jnp.where(x > 0.3, jnp.nan, jnp.where(x < -0.3, jnp.inf, 0.0))
    return {"loss": x**2 + bad + n.astype(x.dtype), "fine": x + y}


def test_failed_trials_are_told_as_failed():
    """And the others their score; whatever output it is that is not finite."""
    told = []
    found = sweep(failing, space("fine", sampler=spy(told)))
    assert len(told) == COUNT
    x, n = found.x.values, found["n"].values
    expected = np.where(np.abs(x) > 0.3, NOT_FINITE, DONE)
    expected = np.where(n > 4, RAISED, expected)
    np.testing.assert_array_equal(found.status, expected)
    assert set(expected) == {DONE, NOT_FINITE, RAISED}, "control"
    for k, (params, state, values) in enumerate(told):
        assert params["x"] == x[k]
        if expected[k] == DONE:
            assert state == "COMPLETE" and values == [found.fine.values[k]]
        else:
            assert state == "FAIL"


def test_a_trial_fails_when_one_of_its_points_does():
    """Rather than be judged by the rest of them."""

    def run(x, y, n, seed):
        return {"loss": jnp.where((seed == 1) & (x > 0), jnp.nan, x)}

    told = []
    found = sweep(run, {**space(sampler=spy(told)), "seed": range(3)})
    states = [state for _, state, _ in told]
    assert states == ["FAIL" if x > 0 else "COMPLETE" for x in found.x.values]
    assert set(states) == {"FAIL", "COMPLETE"}, "control"


def test_a_search_in_which_all_fail_comes_to_its_end(tmp_path):
    def run(x, y, n):
        return {"loss": x * jnp.nan}

    found = sweep(run, space(), tmp_path / "s")
    assert (found.status == NOT_FINITE).all() and found.attrs["complete"]


# What is refused.


@pytest.mark.parametrize("name", ["lost", "status", "@batch", "x"])
def test_an_objective_that_is_no_output_is_refused(name, tmp_path):
    says = f"^objective: given '{name}'; accepted is .*: .*curve, loss, noise"
    with pytest.raises(ValueError, match=says):
        sweep(bowl, space(name), tmp_path / "s")
    assert not Store.open(tmp_path / "s").parts()


def test_several_workers_are_refused():
    with pytest.raises(
        ValueError, match="worker: given 2 workers for a search; accepted"
    ):
        sweep(bowl, space(), engine=Local(Worker(0, 2)))


def test_one_process_searches(undisturbed):
    with (
        Store.open(undisturbed).lease("0-of-1"),
        pytest.raises(StoreError, match=f"worker 0 of 1 is already .*{os.getpid()}"),
    ):
        sweep(bowl, space(), undisturbed)


def test_devices_are_respected(tmp_path):
    """Those of `Local`, and the numbers are the same."""
    code = """
import json, jax
from dynax.sweep import Local, sweep
from dynax.sweep.store import Store
from tests.test_sweep_search import bowl, space
some = jax.devices()[2:4]
sweep(bowl, space(), FOLDER, batch=4, engine=Local(devices=some))
print(json.dumps(Store.open(FOLDER).workers()[0]["devices"]))
"""
    flags = "--xla_force_host_platform_device_count=4"
    code = code.replace("FOLDER", repr(str(tmp_path / "s")))
    assert runs.child(code, XLA_FLAGS=flags, JAX_ENABLE_X64="1") == 2
    same(open_sweep(tmp_path / "s").load(), sweep(bowl, space(), batch=4).load())
