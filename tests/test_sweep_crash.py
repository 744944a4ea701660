"""Whatever happens to a sweep, its store stays usable, its numbers end up the same.

The oracle is a sweep that nothing happened to, compared bit by bit.
"""

import random
import signal
import subprocess
import tempfile
import time

import numpy as np
import pytest

from dynax.sweep import Local, Worker, open_sweep, sweep
from dynax.sweep.store import Store
from tests import sweep_worker
from tests.sweep_worker import BATCH, CHUNK, POINTS, SEEDS, run, space
from tests.sweeping import Child


PARTS = POINTS * SEEDS // CHUNK


# of their own, as what is killed may leave an entry half written
COMPILED = tempfile.TemporaryDirectory(prefix="compiled-")


def start(store, *options, **env):
    env = {**env, "JAX_COMPILATION_CACHE_DIR": COMPILED.name}
    return Child(sweep_worker.main, (str(store), *options), env)


def parts(store):
    return len(list(store.glob("parts/*.npz")))


def until(there, process, timeout=120):
    """Wait for it, for as long as the process is at work."""
    end = time.monotonic() + timeout
    while not there() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def finish(process, code=0, timeout=120):
    out = process.communicate(timeout=timeout)
    assert process.returncode == code, (process.returncode, out[-3000:])
    return out


def same(a, b):
    assert set(a.data_vars) == set(b.data_vars)
    for name in a.data_vars:
        x, y = a[name].values, b[name].values
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes(), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Computed by one process that nothing happened to."""
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    finish(start(store))
    found = open_sweep(store).load()
    assert found.attrs["complete"]
    assert set(np.unique(found.status)) == {0, 1}
    return found


@pytest.mark.parametrize("kills", [6, pytest.param(40, marks=pytest.mark.slow)])
def test_kill_9_many_times(tmp_path, undisturbed, kills):
    """At random moments: of starting and compiling, of computing and writing."""
    store, chance, counts, seconds = tmp_path / "store", random.Random(7), [], 0.0
    for number in range(kills):
        there = parts(store)
        if there > PARTS // 2:  # take some away, so that there is work left
            for part in Store.open(store).parts()[::2]:
                part.path.unlink()
            there = parts(store)
        begun = time.monotonic()
        process = start(store, "--slow", "0.02")
        if number % 2:  # by the clock, mostly before there is a part
            process.process.join(chance.uniform(0, seconds))
        else:
            more = there + chance.randrange(1, 5)
            while parts(store) < more and process.poll() is None:
                time.sleep(0.01)
            seconds = time.monotonic() - begun
            time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "done before it could be killed"
        counts.append(parts(store))
    assert max(counts) > 4, "control: nothing was ever finished before a kill"
    finish(start(store))
    same(open_sweep(store).load(), undisturbed)


def test_control_another_seed_is_noticed(tmp_path, undisturbed):
    other = sweep(run, space(), seed=1, batch=BATCH, chunk=CHUNK).load()
    with pytest.raises(AssertionError):
        same(other, undisturbed)


def test_two_processes_race_for_a_new_store(tmp_path, undisturbed):
    """As the same worker, one of them works and the other is told so."""
    store = tmp_path / "store"
    both = [start(store, "--slow", "0.05") for _ in range(2)]
    outs = [p.communicate(timeout=120) for p in both]
    assert sorted(p.returncode for p in both) == [0, 2], outs
    loser = outs[[p.returncode for p in both].index(2)]
    assert "worker 0 of 1 is already at work" in loser
    same(open_sweep(store).load(), undisturbed)


def test_two_processes_share_a_new_store(tmp_path, undisturbed):
    """As workers 0 and 1 of 2, started at the same moment; and one dies."""
    store = tmp_path / "store"
    both = [start(store, "--worker", f"{i}/2", "--slow", "0.05") for i in range(2)]
    until(lambda: parts(store) >= 4, both[0])
    both[1].kill()
    finish(both[0])
    both[1].communicate()
    assert not open_sweep(store).attrs["complete"]
    finish(start(store, "--worker", "1/2"))
    same(open_sweep(store).load(), undisturbed)


def test_number_of_workers_may_change(tmp_path, undisturbed):
    store = tmp_path / "store"
    options = {"batch": BATCH, "chunk": CHUNK, "dims": {"curve": ["step"]}}
    sweep(run, space(), store, engine=Local(Worker(2, 5)), **options)
    sweep(run, space(), store, engine=Local(Worker(0, 3)), **options)
    found = sweep(run, space(), store, **options)
    assert undisturbed.attrs["bits"] == 32 and found.attrs["bits"] == 64
    assert found.attrs["complete"]


@pytest.mark.parametrize("how", ["quota", "tmpfs"])
def test_full_disk(tmp_path, undisturbed, how):
    """One sentence, nothing lost, and it goes on once there is room."""
    store = tmp_path / "disk" / "store"
    store.parent.mkdir()
    if how == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(store.parent)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small disk is not allowed here")
    try:
        limit = ["--file-size", "1500"] if how == "quota" else []
        said = finish(start(store, *limit), code=2)
        assert "StoreError: store: cannot write to" in said and "is safe" in said
        assert not list(store.glob("**/.tmp-*")), "litter"
        if how == "tmpfs":
            assert 0 < len(Store.open(store).parts()) < PARTS
            subprocess.run(
                ["mount", "-o", "remount,size=50m", store.parent], check=True
            )
        finish(start(store))
        same(open_sweep(store).load(), undisturbed)
    finally:
        if how == "tmpfs":
            subprocess.run(["umount", "-l", store.parent], check=True)


def test_ctrl_c(tmp_path, undisturbed):
    store = tmp_path / "store"
    process = start(store, "--slow", "0.5")
    until(lambda: parts(store) >= 3, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGKILL)
    assert 3 <= parts(store) < PARTS
    finish(start(store))
    same(open_sweep(store).load(), undisturbed)
