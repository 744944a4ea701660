"""A sweep in a process of its own, for tests that kill it.

python tests/sweep_worker.py STORE [--worker I/N] [--distributed] [--slow S]
"""

import argparse
import pathlib
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np

from dynax.sweep import Local, StoreError, Worker, sweep
from dynax.sweep.local import which_worker
from dynax.sweep.store import Store


POINTS, SEEDS, BATCH, CHUNK = 20, 8, 4, 4


def run(rate, seed, key):
    """Noisy descent; diverges for rate > 2; a curve and two numbers."""
    start = jax.random.normal(jax.random.key(seed), (16,))
    noise = jax.random.normal(key, (60, 16)) / 100

    def step(x, push):
        x = x - rate * (x + push)
        return x, jnp.sum(x**2)

    end, curve = jax.lax.scan(step, start, noise)
    return {"curve": curve, "loss": curve[-1], "signs": jnp.sum(end > 0)}


def space():
    return {"rate": np.geomspace(0.01, 1e3, POINTS), "seed": range(SEEDS)}


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--worker")
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds a chunk")
    parser.add_argument("--file-size", type=int, default=0, help="bytes allowed")
    given = parser.parse_args(argv)
    # heard even if whoever runs the tests does so in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if given.distributed:
        jax.distributed.initialize()
    worker = Worker(*map(int, given.worker.split("/"))) if given.worker else None
    if given.file_size:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (given.file_size, given.file_size))

    write = Store.write

    def slowly(*values):
        write(*values)
        time.sleep(given.slow)

    Store.write = slowly
    try:
        sweep(
            run,
            space(),
            pathlib.Path(given.store),
            dims={"curve": ["step"]},
            batch=BATCH,
            chunk=CHUNK,
            engine=Local(worker),
            progress=lambda state: print(state, flush=True),
        )
    except StoreError as error:
        print(f"StoreError: {error}", flush=True)
        raise SystemExit(2) from None
    print("worker", *which_worker() if worker is None else worker, flush=True)
    if given.distributed:
        jax.distributed.shutdown()  # which a new Python does at its end by itself


if __name__ == "__main__":
    main()
