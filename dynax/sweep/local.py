"""`sweep`, and the engine that works on the devices of this machine."""

import dataclasses
import importlib.util
import inspect
import os
import pathlib
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynax.sweep import grow
from dynax.sweep.dataset import open_sweep
from dynax.sweep.engine import work
from dynax.sweep.executor import Executor, Job
from dynax.sweep.halving import Halving, halving as halve
from dynax.sweep.loop import Loop
from dynax.sweep.meter import Progress, Worker
from dynax.sweep.part import counts
from dynax.sweep.points import Space
from dynax.sweep.provenance import provenance
from dynax.sweep.search import search
from dynax.sweep.store import Store
from dynax.sweep.watch import supervise


@dataclasses.dataclass(frozen=True)
class Local:
    """Points run on the local devices of this process.

    An engine keeps what it compiled: given to several sweeps of one program, and of one
    `batch`, it compiles once.

    Args:
        worker: this process's share, `Worker(index, count)`. Found out if not given:
            the task of a Slurm array, or the process of an initialised
            `jax.distributed` (a TPU slice, a Slurm step, MPI, Kubernetes).
        devices: to be used; all local ones if not given.
    """

    worker: Worker | None = None
    devices: Sequence[Any] | None = None
    _kept: dict[Any, Any] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __call__(self, job: Job, store: Store, progress: Callable) -> None:
        worker = self.worker or which_worker()
        devices = list(self.devices) if self.devices else None
        if not 0 <= worker.index < worker.count:
            raise ValueError(
                f"worker: given {worker.index} of {worker.count}; accepted are "
                f"0 … {worker.count - 1}."
            )
        if job.time_limit is not None and (job.space.search or devices):
            what = "a search" if job.space.search else "devices"
            raise ValueError(
                f"time_limit: given with {what}; accepted is one without the other."
            )
        if job.space.search is not None:
            if worker.count > 1:
                raise ValueError(
                    f"worker: given {worker.count} workers for a search; accepted is "
                    "one, as each round is decided on by the results of those before."
                )
            search(job, store, progress, Executor(job, devices, self._kept))
        elif job.halving is not None:
            if worker.count > 1:
                raise ValueError(
                    f"worker: given {worker.count} workers for a halving; accepted is "
                    "one, as each rung is decided on by the results of that before."
                )
            halve(job, store, progress, Executor(job, devices, self._kept))
        elif job.time_limit is not None:
            supervise(job, store, worker, progress)
        else:
            work(job, store, worker, progress, Executor(job, devices, self._kept))


def which_worker(env: Mapping[str, str] = os.environ) -> Worker:
    """Of a Slurm array, else of `jax.distributed`, else 0 of 1."""
    if "SLURM_ARRAY_TASK_ID" in env:
        index, least, step = (
            int(env.get(f"SLURM_ARRAY_TASK_{name}", default))
            for name, default in (("ID", 0), ("MIN", 0), ("STEP", 1))
        )
        most = int(env.get("SLURM_ARRAY_TASK_MAX", index))
        return Worker((index - least) // step, (most - least) // step + 1)
    return Worker(jax.process_index(), jax.process_count())


def sweep(
    run: Callable[..., Mapping[str, Any] | Loop],
    space: Space | Mapping[str, Any],
    store: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    dims: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    batch: int | None = None,
    chunk: int | None = None,
    memory: int | None = None,
    time_limit: float | None = None,
    retry_failed: bool = False,
    extend: bool = False,
    halving: Halving | None = None,
    engine: Callable[[Job, Store, Callable], None] | None = None,
    progress: Callable[[Progress], object] | None = None,
    command: Mapping[str, Any] | None = None,
):
    """Run `run` at every point of a space, and keep what it returns.

    Killed at any moment and started again with the same arguments, it goes on where it
    was. With the same `batch`, the numbers are the same to the last bit for any number
    of devices, workers and interruptions; another batch changes them by round-off.
    Another program, another version or other options of XLA are refused; a program that
    calls back to Python is compared but for what is called.

    Args:
        run: point → dict of arrays, or a `Loop` over steps, pure, as
            `run(learning_rate=…, seed=…)`. It is traced once for each structure, with
            numbers as traced scalars. An argument `key`, unless it is in the space, is
            a random key that depends on `seed` and on the number of the point only.
        space: dimension → values, see `dynax.sweep.points`.
        store: a folder, new or of this same sweep; if not given, the results are held
            in memory and nothing can be resumed.
        seed: of the random keys.
        dims: output → names of its axes, as {"loss": ["step"]}.
        units: of arguments and outputs.
        batch: points side by side on each device; by default what fits in `memory`.
        chunk: points to a part of the store; by default about a second's worth.
        memory: bytes that the programme may need on each device; by default 1 GiB on a
            CPU, half of what is free elsewhere.
        time_limit: seconds that a batch may take; points beyond it are given up. `run`
            must then be importable: it runs in a process that can be killed.
        retry_failed: whether points that failed are run again, and those of the same
            parts with them. What they said stays in the store.
        extend: whether the store may hold other points of the same experiment: those of
            `space` that it lacks are added. Along an axis that is new, the points there
            have the default of `run`'s argument. A point added gets a random key by its
            number, which depends on what was there before.
        halving: stop points of a `Loop` at rungs, unless they are among the best there.
        engine: who computes: `Local()`, `Ray(…)` or `Submitit(…)`.
        progress: called now and then with a `Progress`; `print` will do.
        command: what the manifest keeps on how to start this sweep again.

    Returns:
        `open_sweep(store)`: an `xarray.Dataset`.

    Raises:
        TypeError, ValueError: naming the argument, what was given and is accepted.
        StoreError: the store holds another experiment, is in use, or cannot be written.
        ImportError: without xarray, before anything is run.
    """
    if importlib.util.find_spec("xarray") is None:
        raise ImportError('sweep needs xarray: pip install "dynax-lab[experiments]"')
    job = make_job(run, space, seed, batch, chunk, memory, time_limit, retry_failed)
    if halving is not None:
        _check_halving(halving, job, extend, engine)
        job = dataclasses.replace(job, halving=halving)
    if store is None:
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            place = pathlib.Path(folder) / "store"
            found = sweep(
                run,
                job.space,
                place,
                seed=seed,
                dims=dims,
                units=units,
                batch=batch,
                chunk=chunk,
                memory=memory,
                time_limit=time_limit,
                retry_failed=retry_failed,
                halving=halving,
                engine=engine,
                progress=progress,
            ).load()
            del found.attrs["store"]
            return found
    manifest = {
        "experiment": {
            "run": getattr(run, "__name__", type(run).__name__),
            "space": job.space.describe(),
            "seed": seed,
            "bits": 64 if job.x64 else 32,
            "matmul": job.precision or "default",
            **({"halving": halving.describe(job.space)} if halving else {}),
        },
        "dims": {k: list(v) for k, v in (dims or {}).items()},
        "units": dict(units or {}),
        "begun": provenance(_home(run)),
        "command": command,
    }
    path, tell = pathlib.Path(store), progress or (lambda p: None)
    if not (extend and (path / "manifest.json").exists()):
        blocks = [(job, Store.create(path, manifest))]
        _work(engine, blocks, blocks, tell)
        return open_sweep(path)
    before = grow.old(job, Store.open(path), manifest["experiment"])
    _work(engine, before, before, tell)  # which refuses another `run`
    more = grow.new(job, before, manifest)
    _work(engine, more, before + more, tell)
    return open_sweep(path)


def _work(engine, blocks, every, progress) -> None:
    """Compute blocks one after another, and tell of all."""
    points = sum(job.space.size for job, _ in every)
    for job, place in blocks:
        other = [counts(store.parts()) for _, store in every if store is not place]
        done, failed = (sum(c) for c in zip(*other, strict=True)) if other else (0, 0)

        def tell(p, done=done, failed=failed):
            more = (points - done - p.points) / p.rate if p.rate else 0.0
            progress(
                p._replace(
                    done=p.done + done,
                    points=points,
                    failed=p.failed + failed,
                    left=p.left + max(0.0, more),
                )
            )

        (engine or Local())(job, place, tell if other else progress)


def make_job(
    run: Any,
    space,
    seed=0,
    batch=None,
    chunk=None,
    memory=None,
    time_limit=None,
    retry=False,
) -> Job:
    """What `sweep` computes, its arguments checked."""
    space = Space.of(space)
    if not callable(run):
        raise TypeError(f"run: given {type(run).__name__}; accepted is a function.")
    for name, value in {"batch": batch, "chunk": chunk, "memory": memory}.items():
        if value is not None and (not _whole(value) or value < 1):
            raise ValueError(f"{name}: given {value}; accepted is an integer >= 1.")
    if not _whole(seed):
        raise ValueError(f"seed: given {seed!r}; accepted is an integer.")
    if space.size > 2**32:  # the number of a point, of which its key is made
        raise ValueError(f"space: given {space.size:,} points; accepted are 2³².")
    if retry and space.search is not None:
        raise ValueError(
            "retry_failed: given with a search, which has gone on from what failed; "
            "accepted is one without the other."
        )
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit: given {time_limit}; accepted is seconds > 0.")
    if batch is not None and chunk is not None:
        chunk = -(-chunk // batch) * batch
    parameters = inspect.signature(run).parameters
    names = [n for dim in space.dims for n in space.names[dim]]
    taken = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in names:
        if name not in parameters and not taken:
            raise ValueError(
                f"space: given {name}, which run does not take; accepted are "
                f"{', '.join(parameters)}."
            )
    x64 = jnp.result_type(float) == jnp.float64
    for name in space.numbers if not x64 else ():
        _check_width(name, space.values(name))
    keyed = "key" in parameters and "key" not in names
    for name, parameter in parameters.items():
        plain = parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        missing = parameter.default is parameter.empty and name not in names
        if plain and missing and name != "key":
            raise ValueError(
                f"space: none given for {name}, for which run has no default; accepted "
                f"is a space with {name} in it."
            )
    function: Any = run
    precision = getattr(jax.config, "jax_default_matmul_precision", None)
    limits = batch, chunk, memory, time_limit
    job = Job(function, space, int(seed), keyed, x64, precision, *limits, retry)
    if time_limit is not None:
        try:
            pickle.dumps(job)
        except Exception as error:  # whatever objects raise that cannot be sent
            raise ValueError(
                "time_limit: given with what cannot be sent to a process of its own "
                f"({error}); accepted are a run and static values that can be imported."
            ) from None
    return job


def _check_halving(halving: Halving, job: Job, extend: bool, engine) -> None:
    halving.repeats(job.space)
    others = {
        "a search": job.space.search is not None,
        "extend": extend,
        "retry_failed": job.retry,
        "time_limit": job.time_limit is not None,
        "another engine than Local": not isinstance(engine, Local | None),
    }
    if with_it := [name for name, given in others.items() if given]:
        raise ValueError(
            f"halving: given with {', '.join(with_it)}; accepted is one without the "
            "other."
        )


def _whole(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_width(name, values):
    """Refuse numbers that 32 bits would make other ones, beyond rounding them."""
    if values.dtype.kind == "i":
        if not -(2**31) <= values.min() <= values.max() < 2**31:
            raise ValueError(
                f"{name}: given {values.min()} … {values.max()}; accepted are integers "
                "of 32 bits, or jax_enable_x64."
            )
        return
    info, size = np.finfo(np.float32), np.abs(values[np.isfinite(values)])
    bad = size[(size > info.max) | ((size > 0) & (size < info.tiny))]
    if bad.size:
        raise ValueError(
            f"{name}: given {bad[0]:g} in size, beyond the floats of 32 bits; accepted "
            f"are 0 and {info.tiny:.2g} … {info.max:.2g}, or jax_enable_x64."
        )


def _home(run):
    file = getattr(sys.modules.get(run.__module__), "__file__", None)
    return pathlib.Path(file).parent if file else pathlib.Path.cwd()
