"""Many processes, real ones: jax.distributed, a Slurm array, submitit and Ray.

The oracle is one process alone, compared bit by bit.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import jax
import numpy as np
import pytest

from dynax.sweep import (
    Local,
    Ray,
    Static,
    StoreError,
    Submitit,
    Worker,
    open_sweep,
    sweep,
)
from dynax.sweep.local import which_worker
from dynax.sweep.store import Store
from tests.sweep_worker import BATCH, CHUNK, run, space
from tests.test_sweep_crash import finish, same, start


ROOT = pathlib.Path(__file__).parents[1]
OPTIONS = {"batch": BATCH, "chunk": CHUNK, "dims": {"curve": ["step"]}}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """In the precision of the child processes and in that of this one."""
    store = tmp_path_factory.mktemp("alone") / "store"
    with jax.enable_x64(False):
        narrow = sweep(run, space(), store, **OPTIONS).load()
    return narrow, sweep(run, space(), **OPTIONS).load()


def finished(store):
    return open_sweep(store).load()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def distributed(k):
    """The environment of process k of 2, as Slurm's srun makes it."""
    return {
        "SLURM_JOB_ID": str(free_port()),
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": str(k),
        "SLURM_LOCALID": str(k),
        "SLURM_JOB_NUM_NODES": "1",
    }


def pair(store, *options):
    """Two tasks of a Slurm step: jax finds coordinator, number and rank by itself."""
    job = distributed(0)["SLURM_JOB_ID"]
    return [
        start(
            store, "--distributed", *options, **{**distributed(k), "SLURM_JOB_ID": job}
        )
        for k in range(2)
    ]


def test_two_tasks_of_a_slurm_step(tmp_path, alone):
    """jax.distributed over loopback; each process takes every second chunk."""
    both = pair(tmp_path / "store", "--slow", "0.02")
    said = [finish(p) for p in both]
    assert "worker 0 2" in said[0] and "worker 1 2" in said[1]
    done = [w["done"] for w in Store.open(tmp_path / "store").workers()]
    assert done == [80, 80]
    same(finished(tmp_path / "store"), alone[0])


def test_one_of_two_tasks_is_killed(tmp_path, alone):
    store = tmp_path / "store"
    both = pair(store, "--slow", "0.1")
    while len(list(store.glob("parts/*.npz"))) < 6:
        time.sleep(0.02)
    for p in reversed(both):  # the other one as by srun --kill-on-bad-exit
        p.kill()
        p.communicate(timeout=60)
    assert not finished(store).attrs["complete"]
    for p in pair(store):
        finish(p)
    same(finished(store), alone[0])


def test_slurm_array(tmp_path, alone):
    """Tasks 10, 13, 16 of an array with a step, at once; then one of them again."""

    def task(number):
        array = {"ID": number, "MIN": 10, "MAX": 16, "STEP": 3, "COUNT": 3}
        env = {f"SLURM_ARRAY_TASK_{k}": str(v) for k, v in array.items()}
        return start(tmp_path / "store", **env)

    tasks = [task(number) for number in (10, 13, 16)]
    for k, process in enumerate(tasks):
        assert f"worker {k} 3" in finish(process)
    finish(task(10))
    same(finished(tmp_path / "store"), alone[0])


def test_which_worker():
    assert which_worker({}) == Worker(0, 1)
    array = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MAX": "7"}
    assert which_worker({**array, "SLURM_ARRAY_TASK_MIN": "4"}) == Worker(3, 4)


def test_eight_devices(tmp_path, alone):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    finish(start(tmp_path / "store", **flags))
    assert Store.open(tmp_path / "store").workers()[0]["devices"] == 8
    same(finished(tmp_path / "store"), alone[0])


def test_submitit(tmp_path, alone):
    """Two jobs, as local processes."""
    pytest.importorskip("submitit")
    engine = Submitit(2, cluster="local")
    found = sweep(run, space(), tmp_path / "store", engine=engine, **OPTIONS)
    assert len(found.attrs) and len(Store.open(tmp_path / "store").workers()) == 2
    same(found.load(), alone[1])


@pytest.fixture(scope="module")
def ray():
    """A Ray of two CPUs on this machine, for all tests of this file."""
    ray = pytest.importorskip("ray")
    os.environ["PYTHONPATH"] = str(ROOT)  # the workers import this module
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        ray.init(
            "local",  # whatever else runs on this machine
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    yield ray
    ray.shutdown()


def test_ray(tmp_path, alone, ray):
    found = sweep(run, space(), tmp_path / "store", engine=Ray(), **OPTIONS)
    same(found.load(), alone[1])


def held(rate, seed, key, where=None):
    """`run`, held up so that there is time to kill its process."""
    jax.debug.callback(lambda: time.sleep(0.05))
    return run(rate, seed, key)


def workers_of(ray):
    """Process ids of Ray's workers that run a task of ours."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True)
    lines = [line.split(None, 1) for line in found.stdout.splitlines()]
    return [int(pid) for pid, args in lines if args.startswith("ray::_task")]


def test_ray_worker_killed(tmp_path, alone, ray):
    """Workers die mid-run, twice; their chunks run again elsewhere."""
    store, killed = tmp_path / "store", []

    def kill():
        while len(killed) < 2:
            running = (
                workers_of(ray) if len(list(store.glob("parts/*.npz"))) > 2 else []
            )
            if running:
                os.kill(running[0], signal.SIGKILL)
                killed.append(running[0])
                time.sleep(0.5)
            time.sleep(0.02)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    found = sweep(held, space(), store, engine=Ray(), **OPTIONS).load()
    assert len(killed) >= 1, "control: nothing was killed"
    same(found, alone[1])


def test_ray_without_retries_says_so(tmp_path, ray):
    """Control: a chunk whose worker dies is lost when it may not be run again."""
    engine = Ray(retries=0)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        sweep(dies, {"seed": range(8)}, tmp_path / "store", engine=engine, batch=1)


def dies(seed):
    end = lambda s: os._exit(1)
    return {"x": jax.pure_callback(end, seed, seed, vmap_method="sequential")}


def test_ray_refuses_what_no_node_has(tmp_path, ray):
    with pytest.raises(ValueError, match="engine: given a task of .*GPU.* accepted is"):
        sweep(run, space(), tmp_path / "s", engine=Ray(gpus=64), **OPTIONS)


def test_ray_that_cannot_be_joined_says_so():
    """At once: left alone, ray tries for ever where nobody listens."""
    script = """
from dynax.sweep import Ray, sweep
sweep(lambda x: {"y": x}, {"x": [1.0]}, engine=Ray("127.0.0.1:1"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    said = done.stderr.splitlines()[-1]
    assert "engine: given the cluster at 127.0.0.1:1" in said, done.stderr[-2000:]
    assert "RAY_AUTH_MODE=token" in said


def test_ray_structures(tmp_path, ray):
    """One that cannot be compiled does not stop the others."""
    shapes = {"size": Static([2, -1, 3]), "seed": range(3)}
    found = sweep(normals, shapes, tmp_path / "store", engine=Ray()).load()
    assert found.status.sum("seed").values.tolist() == [0, -3, 0]
    with pytest.raises(ValueError, match="given a negative one"):
        sweep(normals, {"size": Static([-1])}, tmp_path / "other", engine=Ray())


def normals(size, key, seed=0):
    if size < 0:
        raise ValueError("size: given a negative one")
    return {"x": jax.random.normal(key, (size,)).sum() + seed}


def test_ray_and_another_program(tmp_path, ray):
    """A store is refused on the node that finds its results to be of other code."""
    store = tmp_path / "store"
    sweep(run, space(), store, engine=Local(Worker(0, 2)), **OPTIONS)
    with pytest.raises(StoreError, match="results of another `run`"):
        sweep(changed(), space(), store, engine=Ray(), **OPTIONS)


def changed():
    def run_(rate, seed, key):
        return run(1.0000001 * rate, seed, key)

    run_.__name__ = "run"
    return run_


def test_numbers_do_not_depend_on_the_engine_by_luck(alone):
    """Control: another batch size, or precision, is not the same to the last bit."""
    narrow, wide = alone
    assert not np.array_equal(narrow.loss, wide.loss, equal_nan=True)
