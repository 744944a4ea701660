"""How fast is a sweep?  1,024 points of Lion on a small model, against its peers.

Cases:
    peers    seconds for all points, from nothing to numbers in hand (compile apart):
             dynax     sweep(run, space, store), results on disk; a device a core
             dynax-1   the same on one device
             loop      a Python loop over a jitted optax loop, numbers as arguments
             closed    the same with learning rate and decay closed over, so that each
                       point compiles: as it is often written; measured on some points
             tune      Ray Tune, a trial a point; measured on some points (needs
                       pip install "ray[tune]", which is not among the extras)
    devices  points/s on 1, 2, 4, 8 virtual devices of this machine
    workers  points/s of two processes with a core each, against one with one core
    store    seconds with a store in chunks of a second, against the bare computation
    batch    points/s against the batch size, and how busy GPU or cores are meanwhile

A ratio over 1 means that dynax is the faster. Rows measured on some points are scaled
to all of them, and say so.

Examples:
    python scripts/bench.py sweep
    python scripts/bench.py sweep --case peers store --json sweep.json
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.common import options, session
from dynax.sweep import Local, Worker, sweep
from dynax.sweep.engine import chunks, work
from dynax.sweep.executor import Executor
from dynax.sweep.local import make_job
from dynax.sweep.provenance import provenance, usable_cores
from dynax.sweep.store import Store


SPACE = {
    "learning_rate": np.geomspace(1e-4, 1e-1, 8),
    "weight_decay": np.linspace(0, 1, 8),
    "seed": np.arange(16),
}
POINTS, STEPS = 1024, 200


def run(learning_rate, weight_decay, seed, steps=STEPS):
    """Lion on a small MLP and made-up data: the loss before and after."""
    keys = jax.random.split(jax.random.key(seed), 4)
    x = jax.random.normal(keys[0], (64, 8))
    y = jnp.sin(x @ jax.random.normal(keys[1], (8,)))
    params = {
        "a": jax.random.normal(keys[2], (8, 32)) / 8**0.5,
        "b": jax.random.normal(keys[3], (32,)) / 32**0.5,
    }
    tx = optax.lion(learning_rate, weight_decay=weight_decay)

    def loss(p):
        return jnp.mean((jnp.tanh(x @ p["a"]) @ p["b"] - y) ** 2)

    def step(carry, _):
        p, state = carry
        value, grads = jax.value_and_grad(loss)(p)
        updates, state = tx.update(grads, state, p)
        return (optax.apply_updates(p, updates), state), value

    (params, _), curve = jax.lax.scan(step, (params, tx.init(params)), length=steps)
    return {"first": curve[0], "last": loss(params)}


def points():
    grid = np.meshgrid(*SPACE.values(), indexing="ij")
    return [
        {
            "learning_rate": float(row[0]),
            "weight_decay": float(row[1]),
            "seed": int(row[2]),
        }
        for row in zip(*(g.ravel() for g in grid), strict=True)
    ]


def dynax_sweep(devices=None) -> tuple[float, float, np.ndarray]:
    """(seconds, of which compiling, the results)."""
    local = Local(devices=devices)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        ds = sweep(run, SPACE, pathlib.Path(folder) / "store", engine=local)
        last = ds["last"].values.ravel()
        seconds = time.perf_counter() - begun
        plan = json.loads((pathlib.Path(folder) / "store/plans/000.json").read_text())
    return seconds, plan["compile_seconds"], last


def loop() -> tuple[float, float, np.ndarray]:
    begun = time.perf_counter()
    one = jax.jit(run)
    rows = points()
    jax.block_until_ready(one(**rows[0]))
    compiling = time.perf_counter() - begun
    last = [float(one(**row)["last"]) for row in rows]
    return time.perf_counter() - begun, compiling, np.array(last)


def closed(count=24) -> tuple[float, float, np.ndarray]:
    """Each point is a programme of its own; the time of `count`, scaled to all."""
    rows = points()[:: POINTS // count][:count]
    begun = time.perf_counter()
    last = [float(jax.jit(lambda row=row: run(**row))()["last"]) for row in rows]
    seconds = (time.perf_counter() - begun) * POINTS / count
    return seconds, float("nan"), np.array(last)


def tune(count=24) -> tuple[float, float, np.ndarray] | None:
    """Ray Tune as its manual has it; started before the clock; scaled to all points."""
    try:
        import ray
        from ray import tune as ray_tune
    except ImportError:
        return None
    rows = points()[:: POINTS // count][:count]
    root = str(pathlib.Path(__file__).parents[1])
    ray.init(
        address="local",
        runtime_env={"env_vars": {"PYTHONPATH": root}},
        include_dashboard=False,
        log_to_driver=False,
    )

    def trial(config):
        return {k: float(v) for k, v in jax.jit(run)(**config["point"]).items()}

    tuner = ray_tune.Tuner(
        trial,
        param_space={"point": ray_tune.grid_search(rows)},
        run_config=ray_tune.RunConfig(verbose=0, storage_path=tempfile.mkdtemp()),
    )
    begun = time.perf_counter()
    found = tuner.fit()
    seconds = (time.perf_counter() - begun) * POINTS / count
    last = np.array([(r.metrics or {})["last"] for r in found])
    ray.shutdown()
    return seconds, float("nan"), last


def peers(repeats: int) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    timed: dict[str, Callable] = {
        "dynax": dynax_sweep,
        "dynax-1": lambda: dynax_sweep(jax.local_devices()[:1]),
        "loop": loop,
    }
    sweep(run, {"learning_rate": [0.1], "weight_decay": [0.1], "seed": [0]})  # imports
    seen: dict[str, list] = {name: [] for name in timed}
    for k in range(repeats):
        for name in list(timed)[:: 1 if k % 2 else -1]:
            jax.clear_caches()
            seen[name].append(timed[name]())
    # a sign turns a rounding into a step, so a few points part ways; most do not
    apart = np.abs(seen["dynax"][0][2] / seen["loop"][0][2] - 1)
    assert np.median(apart) < 1e-4, apart
    ours = [s for s, _, _ in seen["dynax"]]
    for name, found in seen.items():
        rows[name] = {
            "seconds": [s for s, _, _ in found],
            "compile": statistics.median(c for _, c, _ in found),
            "ratio": sorted(f[0] / o for f, o in zip(found, ours, strict=True)),
            "ratio_run": sorted(
                (f[0] - f[1]) / (o[0] - o[1])
                for f, o in zip(found, seen["dynax"], strict=True)
            ),
        }
    for name, call in {"closed": closed, "tune": tune}.items():
        found = call()
        if found is None:
            print(f'  {name}: not run, needs: pip install "ray[tune]"')
            continue
        rows[name] = {"seconds": [found[0]], "scaled": True}
        rows[name]["ratio"] = sorted(found[0] / o for o in ours)
    print(f"\n  {POINTS} points of {STEPS} Lion steps; dynax speed × (median, range)")
    for name, row in rows.items():
        note = "scaled from 24 points" if row.get("scaled") else ""
        compiling = f"compile {row['compile']:.2f} s" if "compile" in row else ""
        apart = row.get("ratio_run")
        apart = f"; compile apart {statistics.median(apart):.2f}" if apart else ""
        print(
            f"  {name:<8} {statistics.median(row['seconds']):9.2f} s  "
            f"{statistics.median(row['ratio']):8.2f} "
            f"({row['ratio'][0]:.2f} … {row['ratio'][-1]:.2f}){apart}  "
            f"{compiling}{note}"
        )
    return rows


def child(worker: str, steps: int) -> None:
    """In a process of its own: seconds of a sweep after compiling, as JSON."""
    index, count = map(int, worker.split("/"))

    def longer(learning_rate, weight_decay, seed):
        return run(learning_rate, weight_decay, seed, steps)

    executor = Executor(make_job(longer, SPACE, batch=16, chunk=128))
    plan = {"batch": 16}
    executor.end(executor.begin(0, plan, 0, 128))  # compile and warm up
    shares = chunks({"first": 128, "chunk": 128}, POINTS)
    mine = [c for k, c in enumerate(shares) if k % count == index]
    begun = time.perf_counter()
    for first, n in mine:
        executor.end(executor.begin(0, plan, first, n))
    seconds = time.perf_counter() - begun
    done = sum(n for _, n in mine)
    print(json.dumps({"seconds": seconds, "points": done}))


def spawn(devices=1, worker="0/1", core=None, steps=STEPS) -> subprocess.Popen:
    env = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    pin = ["taskset", "-c", str(core)] if core is not None else []
    script = str(pathlib.Path(__file__).parents[1] / "bench.py")
    command = [*pin, sys.executable, script, "sweep", "--child", worker]
    command += ["--steps", str(steps)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def rate(*processes: subprocess.Popen) -> float:
    """Points per second of processes that run side by side."""
    found = [json.loads(p.communicate()[0].splitlines()[-1]) for p in processes]
    return sum(f["points"] for f in found) / max(f["seconds"] for f in found)


def devices(repeats: int) -> dict[str, Any]:
    print("\n  points/s on virtual devices (median, range; speed-up over 1)")
    counts = (1, 2, 4, 8)
    seen: dict[int, list] = {n: [] for n in counts}
    for _ in range(repeats):
        for n in counts:
            seen[n].append(rate(spawn(devices=n)))
    base = statistics.median(seen[1])
    for n, r in seen.items():
        middle = statistics.median(r)
        speed = middle / base
        print(f"  {n} devices {middle:9.0f} ({min(r):.0f} … {max(r):.0f})  {speed:.2f}")
    return {str(n): r for n, r in seen.items()}


def workers(repeats: int) -> dict[str, Any]:
    ratios = []
    for _ in range(repeats):
        one = rate(spawn(core=0, steps=5 * STEPS))
        two = rate(*(spawn(core=k, worker=f"{k}/2", steps=5 * STEPS) for k in range(2)))
        ratios.append(two / (2 * one))
    print(
        "\n  parallel efficiency of 2 processes with a core each: "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} … {max(ratios):.3f})"
    )
    return {"efficiency": ratios}


def store(repeats: int) -> dict[str, Any]:
    """In pairs: chunks of about a second, written to a store or thrown away."""

    def longer(learning_rate, weight_decay, seed):
        return run(learning_rate, weight_decay, seed, 50 * STEPS)

    job = make_job(longer, SPACE, batch=16, chunk=64)
    executor = Executor(job)
    plan = executor.plan(0)

    def bare():
        under_way = None
        for chunk in [*chunks(plan, POINTS), None]:
            coming = chunk and executor.begin(0, plan, *chunk)
            if under_way:
                executor.end(under_way)
            under_way = coming

    def stored():
        with tempfile.TemporaryDirectory(dir=".") as folder:
            manifest = {"experiment": {"space": job.space.describe()}}
            manifest["begun"] = provenance(".")
            place = Store.create(pathlib.Path(folder) / "store", manifest)
            place.set_plan(0, plan)
            work(job, place, Worker(), executor=executor)

    runs = {"bare": bare, "stored": stored}
    bare()
    seen: dict[str, list] = {name: [] for name in runs}
    for k in range(repeats):
        for name in list(runs)[:: 1 if k % 2 else -1]:
            begun = time.perf_counter()
            runs[name]()
            seen[name].append(time.perf_counter() - begun)
    costs = [s / b - 1 for s, b in zip(seen["stored"], seen["bare"], strict=True)]
    a_chunk = statistics.median(seen["bare"]) / (POINTS / plan["chunk"])
    print(
        f"\n  store and manifest at chunks of {a_chunk:.2f} s: "
        f"{statistics.median(costs):+.2%} ({min(costs):+.2%} … {max(costs):+.2%}) "
        "of the bare time"
    )
    return {"costs": costs, "chunk_seconds": a_chunk, **seen}


def batch(repeats: int) -> dict[str, Any]:
    gpu = jax.default_backend() == "gpu"
    print(
        f"\n  points/s by batch size (median, range); {'GPU' if gpu else 'cores'} busy"
    )
    rows = {}
    for size in (1, 4, 16, 64, 256, 1024):
        executor = Executor(make_job(run, SPACE, batch=size, chunk=POINTS))
        compute = lambda ex=executor, b=size: ex.end(
            ex.begin(0, {"batch": b}, 0, POINTS)
        )
        compute()
        rates, busy = [], []
        for _ in range(repeats):
            begun, cpu = time.perf_counter(), time.process_time()
            with Utilisation() as seen:
                compute()
            seconds = time.perf_counter() - begun
            cores = (time.process_time() - cpu) / seconds / len(usable_cores())
            rates.append(POINTS / seconds)
            busy.append(seen.mean if gpu else cores)
        rows[str(size)] = {"rates": rates, "busy": busy}
        spread = f"({min(rates):.0f} … {max(rates):.0f})"
        middle, share = statistics.median(rates), statistics.median(busy)
        print(f"  batch {size:<5} {middle:9.0f} {spread:<20} {share:.0%}")
    return rows


class Utilisation:
    """The mean of what nvidia-smi says while the block runs; NaN without one."""

    ASK = "nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits -lms 50"

    def __enter__(self):
        self.process = None
        with contextlib.suppress(FileNotFoundError):
            self.process = subprocess.Popen(
                self.ASK.split(), stdout=subprocess.PIPE, text=True
            )
        return self

    def __exit__(self, *_):
        self.mean = float("nan")
        if self.process is not None:
            self.process.terminate()
            said = self.process.communicate()[0].split()
            self.mean = statistics.mean(map(float, said)) / 100 if said else self.mean


CASES = {
    "peers": peers,
    "devices": devices,
    "workers": workers,
    "store": store,
    "batch": batch,
}


def main(argv: list[str]) -> None:
    parser = options("sweep", __doc__, repeats=5)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=STEPS, help=argparse.SUPPRESS)
    if "--child" in argv:
        args = parser.parse_args(argv)
        child(args.child, args.steps)
        return
    jax.config.update("jax_num_cpu_devices", len(usable_cores()))
    with session(parser, argv) as (args, result):
        for name in args.case:
            result[name] = CASES[name](args.repeats)
