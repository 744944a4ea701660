"""Adaptive search: ask Optuna for a round of trials, run it as one batch, tell it.

The asking and telling of a store's earlier rounds is repeated when a search goes on, so
the sampler is in the state it would have been in, and the trials are the same.
"""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np

from dynax.sweep.engine import agree, same_program, warn
from dynax.sweep.executor import Executor, Job
from dynax.sweep.lease import StoreError
from dynax.sweep.meter import Meter, Progress, Worker
from dynax.sweep.part import DONE
from dynax.sweep.points import Search
from dynax.sweep.program import hushed
from dynax.sweep.ranges import Range
from dynax.sweep.store import Store


def search(
    job: Job,
    store: Store,
    progress: Callable[[Progress], object],
    executor: Executor | None = None,
) -> None:
    """Compute all rounds of the search in the job's space that the store lacks."""
    optuna = _optuna()
    name = job.space.search
    assert name is not None
    spec: Search = job.space.dims[name]
    inner = job.space.block // spec.count
    executor = executor or Executor(job)
    worker = Worker()
    with store.lease(worker.name), hushed():
        store.repair()
        study = _study(optuna, spec, job.seed)
        meter = Meter(job, store, worker, executor, progress)
        there = {part.span: part for part in store.parts()}
        rounds = store.rounds()
        executor.trials = {n: np.empty(0) for n in spec.ranges}
        needed = spec.objective, "status"
        for number, begin in enumerate(range(0, spec.count, spec.parallel)):
            count = min(spec.parallel, spec.count - begin)
            trials = [study.ask(_distributions(optuna, spec)) for _ in range(count)]
            asked = {n: np.array([t.params[n] for t in trials]) for n in spec.ranges}
            if number < len(rounds):
                _same(asked, rounds[number], store)
            else:
                store.add_round(number, asked)
            executor.trials = {
                n: np.concatenate([v, asked[n]]) for n, v in executor.trials.items()
            }
            first, points = begin * inner, count * inner
            if (part := there.get((first, first + points))) is not None:
                values = {k: store.read(part, k) for k in needed}
            else:
                plan = _plan(executor, store, spec.parallel * inner)
                same_program(executor, 0, plan)
                warn(plan, meter)
                executor.program(0, plan["batch"])
                meter.start()
                values = executor.end(executor.begin(0, plan, first, points))
                _check(spec, values)
                store.write(0, first, values)
                meter.add(values)
            for trial, score in zip(trials, _scores(spec, values, inner), strict=True):
                if np.isfinite(score):
                    study.tell(trial, float(score))
                else:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
        meter(force=True)


def _optuna():
    try:
        import optuna
    except ImportError:
        raise ImportError(
            'a search needs optuna: pip install "dynax-lab[search]"'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna, spec, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        make = spec.sampler or (
            lambda seed: optuna.samplers.TPESampler(
                seed=seed, multivariate=True, constant_liar=True
            )
        )
        direction = "maximize" if spec.maximize else "minimize"
        return optuna.create_study(sampler=make(seed), direction=direction)


def _distributions(optuna, spec):
    def one(r: Range):
        if r.integer:
            return optuna.distributions.IntDistribution(int(r.low), int(r.high))
        return optuna.distributions.FloatDistribution(r.low, r.high, log=r.log)

    return {name: one(r) for name, r in spec.ranges.items()}


def _plan(executor, store, chunk):
    """A round is a chunk, and one batch of each device."""
    if executor.job.batch is None:
        share = -(-chunk // len(executor.devices))
        executor.job = dataclasses.replace(executor.job, batch=share, chunk=chunk)
    return agree(executor, store, 0, 1)


def _check(spec, values):
    have = [k for k in values if k[0] != "@" and k != "status"]
    if spec.objective not in have:
        raise ValueError(
            f"objective: given {spec.objective!r}; accepted is one of run's outputs: "
            f"{', '.join(have)}."
        )


def _scores(spec, values, inner):
    """One number a trial: the mean over the other dimensions, NaN if any failed."""
    out = values[spec.objective].astype(float).reshape(len(values["status"]), -1)[:, -1]
    out = np.where(values["status"] == DONE, out, np.nan)
    return out.reshape(-1, inner).mean(axis=1)


def _same(asked, there, store):
    for name, values in asked.items():
        if not np.array_equal(values, there.get(name)):
            raise StoreError(
                f"store: {store.path} holds a search that this sampler would not have "
                f"made ({name} differs); accepted is the same version of optuna and "
                "the same sampler, or another folder."
            )
