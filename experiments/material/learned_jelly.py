"""The law of jelly, learned from one motion of a falling cube: by the networks of
NCLaw, which know nothing but objectivity, and by a convex potential of invariants,
which has an energy, so that what it foresees can be audited. Either is then asked for
motions that it was not shown, and compared with no law, with labels, and with the right
family.
"""

import functools
from typing import Any

import numpy as np

from dynax import Claim, material as mat
from experiments.material import _learned_laws as laws
from experiments.material._learned_laws import Config


TITLE = "The law of jelly from one motion"
SOURCE = laws.SOURCE
MATERIAL = laws.Material("jelly", mat.jelly(), mat.plasticine())
RECIPE = {
    "models": ("nclaw", "icnn", "positions", "supervised", "family"),
    "seeds": 3,
}
SIZES = {
    "quick": laws.quick(models=("nclaw", "icnn")),
    "long": laws.long(**RECIPE, epochs=60, horizons=(25, 100, 300)),
    "full": laws.full(**RECIPE),
}
SPACE = {"rate": np.array([0.1, 0.3, 1.0]), "seed": np.arange(3)}
DIMS = {"path": ["epoch"]}


def run(rate, seed) -> dict:
    """A small cube, ten steps of Adam at a rate."""
    return laws.sweepable(MATERIAL, rate, seed)


def measure(config: Config, progress) -> dict:
    results: Any = laws.measure(MATERIAL, config, progress)
    learned = [run["law"] for run in results["runs"]["icnn"]]
    steps = 2 * config.steps
    results["rises"] = [laws.energy_rises(law, config, steps) for law in learned]
    results["audited"] = steps
    return results


def claims(results) -> list[Claim]:
    config, drop, runs = results["config"], results["errors"]["drop"], results["runs"]
    drifts = results["drifts"]
    claim = functools.partial(Claim.judged, SOURCE)
    found = laws.claims(results, "C10")
    if config.steps >= 300:
        both = [run["seconds"] for name in ("nclaw", "icnn") for run in runs[name]]
        found += [
            claim(
                f"C10{letter}",
                f"jelly by {name}: the largest MSE of a free run, m²",
                max(drop[name]),
                f"≤ {bound:g}",
                f"{max(run['seconds'] for run in runs[name]):.0f} CPU-s, compiling, "
                f"apart: {max(run['compiling'] for run in runs[name]):.0f}",
                laws.spread(drop[name]),
            )
            for letter, name, bound in (("d", "nclaw", 6e-5), ("e", "icnn", 3e-5))
        ]
        found.append(
            claim(
                "C10f",
                "the most seconds of processor time of one training",
                max(both),
                "≤ 240",
                spread=laws.spread(both),
            )
        )
    return [
        *found,
        claim(
            "C10g",
            f"along the learned potential, {results['audited']} steps: those in which "
            "the energy rises",
            max(results["rises"]),
            "≤ 0",
            "float64; the cube hits the ground",
        ),
        claim(
            "C10h",
            f"angular momentum of the learned potential in {laws.FLIGHT} free steps: "
            "the largest drift",
            max(drifts["icnn"]),
            "≤ 2e-4",
            f"float32; of the true law {drifts['truth'][0]:.0e}",
        ),
        claim(
            "C10y",
            "claim C10h of NCLaw's networks, trained, which are not symmetric: the "
            "least drift",
            min(drifts["nclaw"]),
            "≥ 2e-4 rejected",
            spread=laws.spread(drifts["nclaw"]),
        ),
    ]


def figures(results) -> dict:
    return laws.figures(results)
