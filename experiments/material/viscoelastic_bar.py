"""A strip of viscoelastic rubber in a testing machine: from the force at its moving
grip alone, a free energy and a dissipation potential are learned (`GSM`, two convex
networks, and a third for the elastic part), through the motion of the strip with its
inertia. The truth is another law, Maxwell's at large strains around neo-Hooke. The
learned law has to foresee rates and cycles that it was not shown, and the complex
modulus, of which there is a closed form; and its Clausius–Duhem balance has to close.

What cannot be seen: pulling shows E* = 4K*G*/(K* + G*) (plane strain), which does not
change when G* and K* are exchanged. So a law can be learned whose volume relaxes in
place of its shape; the more it is so, the worse it foresees large strains. (And of a
linear branch only the rate k·m/t_r is seen, where t_r is but a unit.)
"""

import dataclasses
import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.mechanics import audit, learn
from dynax.study import Study
from experiments.material._strip import (
    ALL,
    NEVER,
    OMEGA,
    RTOL,
    SEEN,
    TIME,
    Gap,
    backwards,
    closed_form,
    moduli,
    motion,
    noisy,
    off,
    solve,
    speeds,
    start,
    step,
    timed,
    truth,
)
from experiments.material._strip_figures import (
    force_figure,
    ledger_figure,
    loop_figure,
    modulus_figure,
    strip_movie,
)


FINE = 3  # times as many steps has the truth
SHOWN, OTHERS = slice(SEEN), slice(SEEN, None)


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 1
    epochs: int = 200
    cells: int = 4  # along the strip
    width: int = 8
    noise: float = 0.01  # of the measured forces, relative
    rate: float = 0.1  # of Adam, falling to 0
    foreseen: float = 0.1  # claimed of the force of histories that were not shown
    fitted: float = 0.05  # and of those that were
    modulus: float = 0.1  # and of E*
    better: float = 2.0  # than a law without a branch that flows


SIZES = {
    "quick": Config(),
    "long": Config(3, 300, rate=0.05, fitted=0.02, better=3.0),
    "full": Config(10, 2000, 16, 16, foreseen=0.03, fitted=0.01, better=5.0),
}
SPACE = {"time": np.array([0.1, 0.2, 0.4]), "noise": np.array([0.0, 0.01, 0.1])}
SPACE |= {"seed": np.arange(2)}


def run(time, noise, seed) -> dict:
    """Thirty steps of Adam from four histories; then the other three."""
    dt, number = step(2), jnp.result_type(float)
    paths = jnp.asarray(np.stack([speeds(name, dt) for name in ALL]), number)
    forces = lambda law: jax.vmap(lambda s: motion(law, s, 2, dt)[0])(paths)
    true, law = forces(truth(time)), start(seed, 4)
    seen = noisy(jax.random.key(seed), true[:SEEN], noise)
    loss, tx = Gap(paths[:SEEN], seen, jnp.asarray(TIME, number), 2), optax.adam(0.03)
    params, static = eqx.partition(law, eqx.is_inexact_array)

    def epoch(now, _):
        params, state = now
        gap = lambda params: loss(eqx.combine(params, static))[0]
        value, grad = jax.value_and_grad(gap)(params)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes types
            updates, state = tx.update(grad, state)
        return (optax.apply_updates(params, updates), state), value

    (params, _), values = jax.lax.scan(epoch, (params, tx.init(params)), length=30)
    found: Any = eqx.combine(params, static)
    wrong = off(forces(timed(found, loss.time)), true)
    return {
        "loss": values[-1],
        "seen": jnp.max(wrong[:SEEN]),
        "unseen": jnp.max(wrong[SEEN:]),
    }


def data(results) -> dict:
    """Speeds of the grip, true motions and the noisy forces of the first."""
    config = results.config
    cells, dt = config.cells, step(config.cells)
    paths, fine = (
        jnp.asarray(np.stack([speeds(name, h) for name in ALL]))
        for h in (dt, dt / FINE)
    )
    true = jax.tree.map(lambda a: a[:, ::FINE], answer(truth(), fine, cells, dt / FINE))
    seen = noisy(jax.random.key(99), true[0][:SEEN], config.noise)
    t = dt * np.arange(paths.shape[1])
    return {"t": t, "paths": paths, "true": true, "seen": seen}


@eqx.filter_jit
def answer(law, paths, cells, dt):
    return jax.vmap(lambda s: motion(law, s, cells, dt))(paths)


def learned(results) -> dict:
    """The law of every seed; and a law whose branch cannot flow."""
    config, known = results.config, results["data"]
    decay = optax.cosine_decay_schedule(config.rate, config.epochs)
    method = optax.adam(decay, b2=0.95)
    names = [*(("learned", k) for k in range(config.seeds)), ("elastic", 0)]
    found = {}
    for k, (name, seed) in enumerate(names):
        tell = lambda share, text, k=k, name=name: results.tell(
            (k + share) / len(names), f"{name}: {text}"
        )
        relaxed = jnp.asarray(TIME if name == "learned" else NEVER)
        loss = Gap(known["paths"][:SEEN], known["seen"], relaxed, config.cells)
        begun, law = time.process_time(), start(seed, config.width)
        out = learn.fit([(loss, config.epochs)], law, method, progress=tell)
        law, seconds = timed(out.law, relaxed), time.process_time() - begun
        found[name, seed] = {"law": law, "seconds": seconds, **foretold(results, law)}
    return found


def foretold(results, law) -> dict:
    known, cells = results["data"], results.config.cells
    moved = answer(law, known["paths"], cells, step(cells))
    return {"motion": moved, "off": np.asarray(off(moved[0], known["true"][0]))}


def untrained(results):
    law = timed(start(0, results.config.width), jnp.asarray(TIME))
    return foretold(results, law)["off"]


def solves(results) -> dict:
    """Of the first law, and of one that runs backwards, with their ledgers."""
    law, cells = results["runs"]["learned", 0]["law"], results.config.cells
    return {"learned": solve(law, cells), "backwards": solve(backwards(law), cells)}


def accounts(results):
    _, t, (_, (work, supply)), _ = results["solves"]["learned"]
    return tuple(map(np.asarray, (t, work, supply)))


def ledgers(results) -> dict:
    found = {name: ledger for name, (*_, ledger) in results["solves"].items()}
    body, t, (y, (work, supply)), _ = results["solves"]["learned"]
    alone = audit(body, t, (y, (work, 0 * supply)), accuracy=10 * RTOL)
    return found | {"without supply": alone}


def verdicts(results) -> dict:
    rows = results["ledgers"].items()
    claim = "Ḣ = supply − D, D ≥ 0"
    said = {k: claim if k == "learned" else f"control, {k}: {claim}" for k, _ in rows}
    return {k: dx.verdict(v, said[k]) for k, v in rows}


def of_laws(results) -> dict:
    """The complex moduli of every seed."""
    return {k: moduli(run["law"]) for k, run in ours(results).items()}


PARTS = {
    "data": data,
    "runs": learned,
    "untrained": untrained,
    "solves": solves,
    "accounts": accounts,
    "ledgers": ledgers,
    "verdicts": verdicts,
    "moduli": of_laws,
}


def ours(results) -> dict:
    return {k: run for k, run in results["runs"].items() if k[0] == "learned"}


def by_history(run) -> str:
    return ", ".join(f"{n} {v:.1%}" for n, v in zip(ALL, run["off"], strict=True))


def wrong_forces(results, which) -> Measured:
    """The largest of some histories, of every seed."""
    rows = ours(results)
    first = rows["learned", 0]
    text = f"{first['seconds']:.0f} s with compiling; {by_history(first)}"
    return largest([run["off"][which].max() for run in rows.values()], text)


def without_flow(results) -> Measured:
    run = results["runs"]["elastic", 0]
    top = run["off"][OTHERS].max() / float(wrong_forces(results, OTHERS).value)
    return Measured(top, by_history(run))


def left(results) -> Measured:
    rows, (t, work, supply) = results["ledgers"]["learned"], results["accounts"]
    text = f"W = {work[-1]:.3g} J and S = {supply[-1]:.3g} J of it at {t[-1]:.2g} s"
    return Measured(np.max(np.abs(np.cumsum(rows.defect))) / np.max(rows.energy), text)


def wrong_moduli(results) -> Measured:
    exact, found = closed_form(), results["moduli"].values()
    E, G, K = (
        [np.max(np.abs(m[name] / exact[name] - 1)) for m in found] for name in "EGK"
    )
    times = ("{:.2g} and {:.2g}".format(*(1 / m["rate"])) for m in found)
    text = f"of G* and K*, which pulling does not tell apart: {max(G):.2g} and "
    text += f"{max(K):.2g}; relaxation of shape and of volume {', '.join(times)} s "
    return largest(E, f"{text}(truth: {TIME:g} s and never)")


def broken(results, name, check) -> Measured:
    verdict = results["verdicts"][name]
    text = f"of {len(results['ledgers'][name].change)} rows; rtol {RTOL:g}"
    return Measured(verdict.checks[check]["violations"], text)


def claims(config) -> list:
    goal = "the goal of this size: small against the law before training"
    return [
        Claim(
            "C5",
            "forces of histories not shown: the largest relative error (RMS)",
            at_most(config.foreseen, goal),
            functools.partial(wrong_forces, which=OTHERS),
        ),
        Claim(
            "C5a",
            f"and of those shown with {config.noise:.0%} noise, from the true ones",
            at_most(config.fitted, "some times the noise"),
            functools.partial(wrong_forces, which=SHOWN),
        ),
        Claim(
            "C5b",
            "histories not shown: the error of the same law, so trained, with a branch "
            "that cannot flow, over that of claim C5",
            at_least(config.better, "the goal of this size"),
            without_flow,
        ),
        Claim(
            "C5c",
            "fall, balance, identity and dissipation along a solve of the learned law: "
            "checks that fail",
            equals(0, "a count, past the solver's tolerance; fast cycles"),
            lambda r: r["verdicts"]["learned"].violations,
        ),
        Claim(
            "C5d",
            "H + W − S: how far it gets from its start, of the largest H",
            at_most(10 * RTOL, "rtol, of some pieces"),
            left,
        ),
        Claim(
            "C5e",
            f"E*(ω), ω = {OMEGA[0]:g} to {OMEGA[-1]:g}/s: the largest relative "
            "distance from the closed form of Maxwell",
            at_most(config.modulus, goal),
            wrong_moduli,
        ),
        Control(
            "C5x",
            "claim C5 of the law before training",
            at_least(config.foreseen, "more than claim C5 allows"),
            lambda r: r["untrained"][OTHERS].max(),
            of="C5",
        ),
        Control(
            "C5y",
            "claim C5c with a dashpot that runs backwards: D < 0",
            at_least(1, "one is enough"),
            functools.partial(broken, name="backwards", check="dissipation"),
            of="C5c",
        ),
        Control(
            "C5z",
            "claim C5c with the supply left out: balance",
            at_least(1, "one is enough"),
            functools.partial(broken, name="without supply", check="balance"),
            of="C5c",
        ),
    ]


def figures(results) -> dict:
    return {
        "The force at the grip: measured, and by the laws.": force_figure(results),
        "Force against displacement: the loops of the learned law.": loop_figure(
            results
        ),
        "The complex modulus over frequency, found and in closed form.": modulus_figure(
            results
        ),
        "The energy ledger of the learned law, and of one that runs "
        "backwards.": ledger_figure(results),
        "The strip moves, coloured by its stress.": strip_movie(results),
    }


STUDY = Study(
    "A viscoelastic strip, learned from the force at its grip",
    "Halphen, Nguyen, J. Mécanique 14 (1975); Reese, Govindjee, IJSS 35 (1998)",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
)
