"""How a law is learned from one motion: networks, a potential, the right family."""

import dataclasses
import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynax import material as mat
from dynax.mechanics import learn
from experiments.material._scenes import DT, Config, Scene, floats, scene


def nclaw(seed, plastic: bool) -> mat.AbstractLaw:
    """The published networks."""
    first, second = jax.random.split(jax.random.key(seed))
    elastic = mat.NCElastic(first, dtype=jnp.float32)
    if not plastic:
        return elastic
    return mat.StressAndReturn(elastic, mat.NCPlastic(second, dtype=jnp.float32))


@functools.cache  # by what it is known that a program is compiled
def published(plastic: bool, epochs: int, rate: float) -> optax.GradientTransformation:
    """Adam, to 0 by a cosine, at `rate` (published: 1) for the stress and 0.1 of it for
    the return; each network's gradient clipped to 0.1."""
    part = lambda rate: optax.chain(
        optax.clip_by_global_norm(0.1),
        optax.adam(optax.cosine_decay_schedule(rate, epochs)),
    )
    if not plastic:
        return part(rate)
    names = eqx.tree_at(
        lambda law: (law.elastic, law.plastic),
        eqx.filter(nclaw(0, plastic), eqx.is_inexact_array),
        ("elastic", "plastic"),
    )
    return optax.partition({"elastic": part(rate), "plastic": part(0.1 * rate)}, names)


@functools.cache
def cosine(rate: float, epochs: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(rate, epochs))


def scaled(guess, logs):
    """The guess with each of its parameters times e^log."""
    numbers, rest = eqx.partition(guess, eqx.is_inexact_array)
    times = lambda a, log: a * jnp.exp(log)
    return eqx.combine(jax.tree.map(times, numbers, logs), rest)


def _loss_of_logs(loss, guess, logs):
    return loss(scaled(guess, logs))


def family(stages, truth_law, epochs: int, progress) -> learn.Fitted:
    """System identification: the right family, from 0.8 times its parameters."""
    guess = jax.tree.map(lambda a: 0.8 * a, floats(truth_law))
    logs = jax.tree.map(jnp.zeros_like, guess)
    bound = [(eqx.Partial(_loss_of_logs, loss, guess), n) for loss, n in stages]
    out = learn.fit(bound, logs, cosine(0.05, epochs), progress=progress)
    return out._replace(law=scaled(guess, out.law))


def labels(truth_law, seen: learn.Trajectory, count: int = 4096) -> learn.Labels:
    """Stresses and plastic returns at `count` of all points and steps."""
    F, C = seen.y.F, seen.y.C
    before = F[:-1] + jnp.matmul(DT * C[1:], F[:-1])
    flat = lambda a: a.reshape(-1, 3, 3)
    chosen = jax.random.choice(
        jax.random.key(0), flat(before).shape[0], (count,), replace=False
    )
    before, after = flat(before)[chosen], flat(F[1:])[chosen]
    tau = jax.vmap(truth_law.kirchhoff)(after)
    plastic = not isinstance(truth_law, mat.FixedCorotated)
    unit = float(jnp.sqrt(jnp.mean(tau**2)))
    return learn.Labels(after, tau, unit, (before, after) if plastic else None)


@dataclasses.dataclass(frozen=True)
class Material:
    """What is to be learned.

    Args:
        truth: the law of the data.
        other: what it meets in contact.
    """

    name: str
    truth: Any
    other: Any

    @property
    def plastic(self) -> bool:
        return self.name != "jelly"


def train(name: str, material: Material, seen, drop: Scene, config, seed, progress):
    """The law, its record and result, processor seconds, and those of compiling."""
    known = dict(solver=drop.solver, materials=drop.materials, trajectory=seen)
    reset = "positions" if name == "positions" else "full_state"
    stages: Any = learn.growing(
        config.horizons, config.epochs, **known, reset=reset, batch=None
    )
    if config.single and name == "nclaw":
        balance = learn.Balance(
            drop.solver, drop.materials, seen, "full_state", 4, 1e-3
        )
        stages = [(balance, config.single), *stages]
    epochs = config.epochs + config.single
    law: Any = nclaw(seed, material.plastic)
    method, clock = (
        published(material.plastic, epochs, config.rate),
        Clock(progress),
    )
    if name == "family":
        out = family(stages, material.truth, config.epochs, clock)
    elif name == "supervised":
        epochs = 10 * config.epochs
        method = cosine(0.1, epochs)
        stages = [(labels(material.truth, seen), epochs)]
        out = learn.fit(stages, law, method, progress=clock)
    else:
        if name == "icnn":
            law = mat.ICNN(jax.random.key(seed), 1e5, dtype=jnp.float32)
            method = cosine(0.1, config.epochs)
        out = learn.fit(stages, law, method, progress=clock)
    return {"law": out.law, "record": out.record, "result": out.result} | clock.read(
        [n for _, n in stages]
    )


class Clock:
    """Processor time of each epoch; the first of a stage compiles."""

    def __init__(self, progress):
        self.progress, self.times = progress, []

    def __call__(self, share, text):
        self.times.append(time.process_time())
        self.progress(share, text)

    def read(self, epochs) -> dict[str, float]:
        spent = np.diff(self.times)
        starts = np.cumsum([0, *epochs[:-1]])
        stages = zip(starts, epochs, strict=True)
        rows = [spent[s : s + n] for s, n in stages if spent[s + 1 : s + n].size]
        compiling = float(sum(row[0] - np.median(row[1:]) for row in rows))
        return {"seconds": float(np.sum(spent)) - compiling, "compiling": compiling}


def sweepable(material: Material, rate, seed) -> dict:
    """A cube of 64 points, 40 steps; ten of Adam at a rate, on every fourth of them."""
    config = Config(cells=4, steps=40)
    drop = scene("drop", config, material.other, config.steps)
    seen = learn.Trajectory(DT, drop.moved(material.truth).y)
    strain = 1e-3 if material.plastic else None
    loss = learn.Balance(drop.solver, drop.materials, seen, "full_state", 4, strain)
    params, static = eqx.partition(nclaw(seed, material.plastic), eqx.is_inexact_array)
    method = optax.adam(jnp.asarray(rate, jnp.float32))
    value = lambda params: loss(eqx.combine(params, static))[0]

    def step(now, _):
        params, state = now
        size, grad = jax.value_and_grad(value)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = method.update(grad, state)
            params = optax.apply_updates(params, updates)
        return (params, state), size

    start = params, method.init(params)
    _, sizes = jax.lax.scan(step, start, length=10)
    return {"loss": sizes[-1], "start": sizes[0], "path": sizes}
