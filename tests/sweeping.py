"""Runs with known answers, and processes of their own, for the tests of sweeps."""

import functools
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from dynax.sweep import Space


ROOT = pathlib.Path(__file__).parents[1]
STEPS, WIDTH = 20, 24


def descent(rate, start, width=8):
    """x ← x − rate λ x on ½Σ λx²; the curve of the loss, and the last of it."""
    lam = jnp.linspace(0.5, 1.0, width, dtype=rate.dtype)

    def step(x, _):
        x = x - rate * (lam * x)
        return x, jnp.sum(lam * x**2) / 2

    _, curve = jax.lax.scan(step, start * jnp.ones_like(lam), length=STEPS)
    return {"curve": curve, "loss": curve[-1]}


def descent_exactly(rate, start, width=8):
    """The curve in closed form, ½ start² Σ λ(1 − rate λ)²ᵗ, in float64."""
    lam = np.linspace(0.5, 1.0, width)
    t = np.arange(1, STEPS + 1)[:, None]
    return 0.5 * start**2 * np.sum(lam * (1 - rate * lam) ** (2 * t), axis=1)


def descent_bound(eps, width=8):
    """Relative round-off of `descent` for rate in (0, ½], so 1 − rate λ ≥ ½.

    x − rate λx has three roundings, of terms at most 1 + rate λ ≤ 3 (1 − rate λ) in
    all, so a step adds at most 9 ε to the relative error of x; squares double it, the
    sum of positive terms adds width + 2. λ itself is rounded: 2t rate λ / (1 − rate λ)
    ≤ 2t times ε; so is the closed form, once more.
    """
    return 2 * (2 * STEPS * 9 + 2 * STEPS + width + 4) * eps


def matrix():
    """Symmetric, eigenvalues in [0, 1]."""
    a = np.random.default_rng(0).normal(size=(WIDTH, WIDTH))
    a = a @ a.T
    return a / np.linalg.norm(a, 2)


def rough(rate, seed, key):
    """x ← x − rate Ax: its last bits depend on how the products are batched."""
    a = jnp.asarray(matrix(), rate.dtype)
    start = jax.random.normal(jax.random.key(seed), (WIDTH,), rate.dtype)
    x = start + jax.random.normal(key, (WIDTH,), rate.dtype) / 10

    def step(x, _):
        x = x - rate * (a @ x)
        return x, jnp.sum(x**2)

    x, curve = jax.lax.scan(step, x, length=STEPS)
    return {
        "bits": jax.random.bits(key, (2,)),
        "curve": curve,
        "start": jnp.sum(start**2),
        "x": x,
    }


def rough_bound(eps, size):
    """Of ‖x̂ − x‖ in `rough` for rate in (0, 1]; `size` bounds ‖x₀‖.

    A step with ‖1 − rate A‖ ≤ 1 does not enlarge an error; its own is at most
    (n ‖|A|‖ + 3) ε ‖x₀‖: n roundings of a dot product, the product and the difference.
    """
    spread = np.linalg.norm(np.abs(matrix()), 2)
    return STEPS * (WIDTH * spread + 3) * eps * size


def grid():
    """7 × 11 points: a multiple of no batch used here."""
    return {"rate": np.linspace(0.05, 1.0, 7), "seed": range(11)}


def loop(run, space, *, seed=0, keyed=True):
    """The oracle: `run`, jitted, at each point by itself; name → values in order."""
    space, found, number = Space.of(space), [], 0
    for static in space.structures:
        one = jax.jit(functools.partial(run, **static))
        for at in range(space.block):
            given = {k: v[0] for k, v in space.columns(at, 1).items()}
            if keyed:
                given["key"] = jax.random.fold_in(jax.random.key(seed), number)
            found.append(jax.device_get(one(**given)))
            number += 1
    return {k: np.stack([row[k] for row in found]) for k in found[0]}


def rows(found, name):
    """The values of an output, a row a point."""
    values, outer = found[name].values, found["status"].values.shape
    return values.reshape(-1, *values.shape[len(outer) :])


class Child:
    """A function in a process of its own, as far as needed like a `Popen`.

    The process is forked from one that has imported everything and done nothing, which
    takes a tenth of the time of a new Python.
    """

    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(
        ["tests.sweep_worker", "tests.sweeping", "tests.checkpointing", "dynax"]
    )

    def __init__(self, target, argv=(), env=None):
        self.said, theirs = self.processes.Pipe(duplex=False)
        quick = jax.config.read("jax_disable_most_optimizations")
        given = target, argv, env or {}, quick, theirs
        self.process = self.processes.Process(target=_forked, args=given)
        self.process.start()
        theirs.close()

    @property
    def returncode(self):
        return self.process.exitcode

    poll = lambda self: self.process.exitcode
    kill = lambda self: self.process.kill()
    send_signal = lambda self, number: os.kill(self.process.pid, number)

    def readline(self):
        """The next line that it says, or "" at its end."""
        line = b""
        while not line.endswith(b"\n") and (more := os.read(self.said.fileno(), 1)):
            line += more
        return line.decode()

    def communicate(self, timeout=120):
        """All that it says until it ends."""
        said, end = b"", time.monotonic() + timeout
        while self.said.poll(max(0.0, end - time.monotonic())):
            if not (more := os.read(self.said.fileno(), 2**16)):
                self.process.join()
                return said.decode()
            said += more
        raise subprocess.TimeoutExpired(str(self.process), timeout, said)


def _forked(target, argv, env, quick, pipe):
    for stream in (1, 2):
        os.dup2(pipe.fileno(), stream)
    pipe.close()
    flags = f"{os.environ.get('XLA_FLAGS', '')} {env.get('XLA_FLAGS', '')}".strip()
    os.environ.update(env, XLA_FLAGS=flags)
    jax.config.update("jax_disable_most_optimizations", quick)
    jax.config.update("jax_enable_x64", env.get("JAX_ENABLE_X64") == "1")
    cache = env.get(
        "JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"]
    )
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    target(argv)


def child(code, **env):
    """What a process of its own prints as its last line, in JSON."""
    process = Child(_execute, code, env)
    out = process.communicate()
    assert process.returncode == 0, out[-3000:]
    return json.loads(out.splitlines()[-1])


def _execute(code):
    exec(compile(code, "child", "exec"), {"__name__": "child"})
    sys.stdout.flush()


def environment(**extra):
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **extra,
    }


# For time limits: these run in a process that is made anew, and import this file.


def endless(x, forever=3.0):
    """2x, but for x = forever no end."""
    going = lambda s: (s[0] < 4) | (x == forever)
    n, y = jax.lax.while_loop(going, lambda s: (s[0] + 1, s[1] + x / 2), (0, 0 * x))
    return {"y": y, "n": n}


def deadly(x):
    """2x, but x = 2 is SIGKILL and x = 5 is exit(7) for the process."""

    def call(x):
        if x == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if x == 5:
            os._exit(7)
        return 2 * x

    return {"y": jax.pure_callback(call, x, x, vmap_method="sequential")}


def slow_to_trace(x, size):
    """Takes its time before it is compiled, and none to be run."""
    time.sleep(0.0 if size == 1 else 0.8)
    return {"y": size * x}


def broken(x):
    raise ValueError("no such thing")
