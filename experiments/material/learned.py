"""The law of a material, learned from one motion of a falling cube: by the networks of
NCLaw, which know nothing but objectivity, a second one for the return where something
yields or flows; for jelly also by a convex potential of invariants, which has an
energy, so that what it foresees can be audited. Each is then asked for motions that it
was not shown, and compared with no law, with labels, and with the right family.
"""

import dataclasses
import functools
import math

import jax
import numpy as np

from dynax import material as mat
from dynax.claim import (
    Claim,
    Control,
    Measured,
    at_least,
    at_most,
    equals,
    largest,
    smallest,
)
from dynax.study import Study
from experiments.material._learned_figures import figures
from experiments.material._scenes import (
    FEWER,
    FLIGHT,
    UNSEEN,
    Config,
    ZeroStress,
    drift,
    energy_rises,
    floats,
    scene,
)
from experiments.material._training import Material, nclaw, sweepable, train


SOURCE = "Ma, Chen, Deng, Tenenbaum, Du, Gan, Matusik, ICML 2023, arXiv:2304.14369"
SPACE = {"rate": np.array([0.1, 0.3, 1.0]), "seed": np.arange(3)}
SAND = mat.Elastoplastic(
    mat.Hencky(1e6, 0.2), mat.DruckerPrager(math.radians(25.0))
)  # as published: the cone, not the pyramid of mat.sand()
MATERIALS = {  # by claim: what is learned, and what it meets in contact
    "C10": Material("jelly", mat.jelly(), mat.plasticine()),
    "C11": Material("plasticine", mat.plasticine(), mat.jelly()),
    "C12": Material("sand", SAND, mat.jelly()),
    "C13": Material("water", mat.water(), mat.jelly()),
}
LONG = Config(  # the recipe of the paper, shortened
    cells=10,
    steps=300,
    horizons=(25, 50, 100),
    seeds=2,
    unseen=UNSEEN,
    ahead=400,
    models=("nclaw", "family"),
    fitted=0.02,
    foreseen=0.1,
)
FULL = dataclasses.replace(LONG, steps=1000, epochs=300, horizons=(25, 50, 100, 200))
SINGLE = {"single": 150}  # the return, which a rollout from rest learns too late
SIZES = {
    "quick": Config(),
    "long": dataclasses.replace(
        LONG, **SINGLE, epochs=30, horizons=(25, 50), unseen=FEWER
    ),
    "full": dataclasses.replace(FULL, **SINGLE),
}
RECIPE = {
    "models": ("nclaw", "icnn", "positions", "supervised", "family"),
    "seeds": 3,
}
OF_JELLY = {
    "quick": Config(models=("nclaw", "icnn")),
    "long": dataclasses.replace(LONG, **RECIPE, epochs=60, horizons=(25, 100, 300)),
    "full": dataclasses.replace(FULL, **RECIPE),
}


def runs(results, material) -> dict:
    """By model, every seed: law, record, seconds."""
    config, found = results.config, {}
    jobs = [
        (name, seed)
        for name in config.models
        for seed in range(config.seeds if name in ("nclaw", "icnn") else 1)
    ]
    for k, (name, seed) in enumerate(jobs):
        tell = lambda share, text, k=k, name=name: results.tell(
            (k + share) / len(jobs), f"{name}: {text}"
        )
        drop, seen = results["drop"], results["seen"]
        run = train(name, material, seen, drop, config, seed, tell)
        found.setdefault(name, []).append(run)
    return found


def laws(results, material) -> dict:
    trained = {k: [run["law"] for run in all] for k, all in results["runs"].items()}
    bare = {"zero stress": [ZeroStress()], "untrained": [nclaw(0, material.plastic)]}
    return trained | bare


def motions(results, material) -> dict:
    """By motion and model, the errors of free runs; and what they look like."""
    config, laws, truth_law = results.config, results["laws"], results["truth"]
    errors, films, names = {}, {}, ("drop", *config.unseen)
    for k, name in enumerate(names):
        results.tell(k / len(names), f"unseen: {name}")
        if name == "drop":
            here, truth = results["drop"], results["seen"]
        else:
            steps = 1000 if name == "longer" else None
            here = scene(name, config, material.other, steps)
            truth = here.truth(truth_law)
        found = {m: [here.foreseen(law, truth) for law in laws[m]] for m in laws}
        errors[name] = {m: np.array([f.mse for f in all]) for m, all in found.items()}
        films[name] = (truth.y.x[::20], {m: all[0].x[::20] for m, all in found.items()})
    return {"errors": errors, "films": jax.device_get(films)}


def drifts(results) -> dict:
    """Of angular momentum in free flight, by model."""
    laws = {**results["laws"], "truth": [results["truth"]]}
    del laws["zero stress"]
    return {m: [drift(law, results.config) for law in all] for m, all in laws.items()}


def rises(results) -> list:
    """In how many steps of twice the time the energy of each potential rises."""
    steps, all = 2 * results.config.steps, results["runs"]["icnn"]
    return [energy_rises(run["law"], results.config, steps) for run in all]


def parts(material: Material) -> dict:
    of = lambda part: functools.partial(part, material=material)
    return {
        "truth": lambda r: floats(material.truth),
        "drop": lambda r: scene("drop", r.config, material.other, r.config.steps),
        "seen": lambda r: r["drop"].truth(r["truth"]),
        "runs": of(runs),
        "laws": of(laws),
        "motions": of(motions),
        "drifts": drifts,
        "rises": rises,
    }


def of_drop(results, model, unit=True):
    """Errors of the motion that was seen, of every seed, of zero stress's."""
    drop = results["motions"]["errors"]["drop"]
    return drop[model] / drop["zero stress"][0] if unit else drop[model]


def spent(results, model) -> str:
    every = results["runs"][model]
    seconds, compiling = (
        max(run[k] for run in every) for k in ("seconds", "compiling")
    )
    return f"{seconds:.0f} CPU-s, compiling, apart: {compiling:.0f}"


def fitted(results) -> Measured:
    drop = results["motions"]["errors"]["drop"]
    others = "; ".join(f"{model} {max(mse):.1e}" for model, mse in drop.items())
    return largest(
        of_drop(results, "nclaw"), f"{spent(results, 'nclaw')}; m²: {others}"
    )


def foreseen(results, model) -> Measured:
    """The largest of all unseen errors, of that of zero stress; with a table."""
    found, rows = {}, []
    for name, error in results["motions"]["errors"].items():
        ratio = error[model] / error["zero stress"][0]
        low, middle, high = (f(ratio) for f in (np.min, np.mean, np.max))
        rows.append(f"{name} {middle:.2g} [{low:.2g}, {high:.2g}]")
        found[name] = high
    del found["drop"]
    return largest(found, f"mean [range] of the seeds: {'; '.join(rows)}")


def identified(results) -> Measured:
    """Relative errors of the parameters, by name."""
    named = lambda law: {
        jax.tree_util.keystr(at).rsplit(".")[-1]: float(a)
        for at, a in jax.tree_util.tree_leaves_with_path(law)
    }
    known, found = named(results["truth"]), results["runs"]["family"][0]["law"]
    off = {k: abs(v / known[k] - 1) for k, v in named(found).items()}
    return largest(off, ", ".join(f"{k} {v:.1e}" for k, v in off.items()))


def claims(config, id) -> list:
    """Those of every material."""
    name = MATERIALS[id].name
    single = f" after {config.single} on single steps" if config.single else ""
    what = (
        f"{name} by NCLaw's networks, {config.cells**3} points, {config.steps} steps "
    )
    what += (
        f"seen, {config.epochs} epochs{single}: the largest error of a free run, of "
    )
    goal = "small against no law at all: the goal of this size"
    titles = {"nclaw": ("a", "NCLaw"), "icnn": ("b", "ICNN")}
    found = [
        Claim(id, f"{what}zero stress's", at_most(config.fitted, goal), fitted),
        *(
            Claim(
                f"{id}{letter}",
                f"{title} in motions not seen: the largest error, of zero stress's",
                at_most(config.foreseen, goal),
                functools.partial(foreseen, model=model),
            )
            for model, (letter, title) in titles.items()
            if model in config.models
        ),
        Control(
            f"{id}x",
            f"claim {id} of networks that were not trained",
            at_least(1.5 * config.fitted, "half more than is allowed"),
            lambda r: of_drop(r, "untrained")[0],
            of=id,
        ),
    ]
    if "family" in config.models:
        text = f"{name}'s parameters by the same training, of the right family from "
        bound = at_most(0.01, "a twentieth of the first error")
        text += "0.8 of them: the largest relative error"
        found.append(Claim(f"{id}c", text, bound, identified))
    return found


def published(letter, model, bound) -> Claim:
    return Claim(
        f"C10{letter}",
        f"jelly by {model}: the largest MSE of a free run, m²",
        at_most(bound, "published figure"),
        lambda r: largest(of_drop(r, model, unit=False), spent(r, model)),
    )


def seconds(results) -> Measured:
    every = results["runs"]
    return largest({k: [run["seconds"] for run in every[k]] for k in ("nclaw", "icnn")})


def claims_of_jelly(config) -> list:
    found = claims(config, "C10")
    if config.steps >= 300:
        text = "the most seconds of processor time of one training"
        found += [
            published("d", "nclaw", 6e-5),
            published("e", "icnn", 3e-5),
            Claim("C10f", text, at_most(240, "four minutes on one core"), seconds),
        ]
    return [
        *found,
        Claim(
            "C10g",
            f"along the learned potential, {2 * config.steps} steps: those in which "
            "the energy rises",
            equals(0, "a count, past round-off; the cube hits the ground"),
            lambda r: largest(r["rises"]),
        ),
        Claim(
            "C10h",
            f"angular momentum of the learned potential in {FLIGHT} free steps: "
            "the largest drift",
            at_most(2e-4, "round-off of float32, of 60 steps"),
            lambda r: largest(
                r["drifts"]["icnn"], f"{r['drifts']['truth'][0]:.0e}: true"
            ),
        ),
        Control(
            "C10y",
            "claim C10h of NCLaw's networks, trained, which are not symmetric: the "
            "least drift",
            at_least(2e-4, "more than claim C10h allows"),
            lambda r: smallest(r["drifts"]["nclaw"]),
            of="C10h",
        ),
    ]


def study(id: str) -> Study:
    material = MATERIALS[id]
    jelly = material.name == "jelly"
    return Study(
        f"The law of {material.name} from one motion",
        SOURCE,
        OF_JELLY if jelly else SIZES,
        parts(material),
        claims_of_jelly if jelly else functools.partial(claims, id=id),
        figures,
        run=functools.partial(sweepable, material),
        space=SPACE,
        dims={"path": ["epoch"]},
        name=f"learned_{material.name}",
    )


STUDY = [study(id) for id in MATERIALS]
