"""One training run too big for one device: model, optimizer and ledger on a mesh.

A flax transformer learns the digits of scikit-learn with Lion; heads and hidden units
are spread over the axis "tensor", images over "data". The ledger is written as if there
were one device, and its entries are those of one device up to the order of summation:
k·u·Σ|aᵢbᵢ| for every Σ aᵢbᵢ, on either side. A ledger that adds up too few shards, or
replicated parameters once a shard, agrees with itself; only this comparison finds it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.report import energy_figure
from dynax.study import Study
from experiments.lion._mesh import (
    places_figure,
)
from experiments.lion._on_mesh import measure
from experiments.lion._transformer import (
    Transformer,
    batches,
    begin,
    stepper,
)


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 64
    heads: int = 4
    blocks: int = 1
    batch: int = 64
    steps: int = 10
    learning_rate: float = 1e-3
    decays: tuple[float, float] = (1.0, 3.0)  # float32 begins outside |w| ≤ 1/λ
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(128, 8, 2, 256, steps=60),
    "full": Config(1024, 16, 8, 1024, 60, 1e-4),
}
SPACE = {
    "learning_rate": np.logspace(-4, -2, 5),
    "weight_decay": np.array([0.0, 0.1, 1.0, 3.0]),
    "seed": np.arange(3),
}


def run(learning_rate=1e-3, weight_decay=1.0, seed=0):
    """100 steps of a small net on one device; the arguments may be traced."""
    model, dtype = Transformer(width=32, heads=4, blocks=1), np.float32
    lr, decay = (jnp.asarray(a).astype(dtype) for a in (learning_rate, weight_decay))
    tx = dx.as_optax(dx.LionKappa(weight_decay=decay), lr, every=1)
    given = tuple(map(jnp.asarray, batches(100, 64, 0, dtype)))

    def step(carry, batch):
        carry, seen = stepper(model, tx)(carry, batch)
        return carry, seen["loss"]

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        carry, loss = jax.lax.scan(step, begin(model, tx, dtype, seed), given)
    tally = optax.tree.get(carry[1], "tally")
    return {
        "loss": loss[-1],
        "violations": sum(count.violations for count in tally.counts.values()),
        "rises": tally.rises,
        "error": tally.error,
    }


def difference(rows, others) -> float:
    """Of any term in any row, over Σ|terms| of that row."""
    gaps = [abs(rows.terms[k] - others.terms[k]) / rows.scale for k in rows.terms]
    return float(np.max(gaps))


PARTS = {"mesh": lambda r: measure(r.config, r.tell)}


def on_all_and_one(results) -> Measured:
    found, steps = results["mesh"], results.config.steps
    where = f"{found['data']} × {found['tensor']} devices, data × tensor"
    return largest(found["float64"]["gaps"], f"{where}; {steps} steps")


def whole_runs(results) -> Measured:
    wide, one = results["mesh"]["float64"], results["mesh"]["one device"]
    moved = difference(wide["rows"], one["rows"])
    noise = difference(one["rows"], one["others"])
    apart = jax.tree.map(lambda a, b: np.sum(a != b), wide["params"], one["params"])
    text = f"{moved:.1e} and {noise:.1e} of Σ|terms|; entries of the parameters that "
    text += f"differ at the end: {sum(jax.tree.leaves(apart))}"
    return Measured(moved / max(noise, float(np.finfo(np.float64).eps)), text)


def own_sums(results) -> Measured:
    one = results["mesh"]["one device"]
    return Measured(one["own"], f"on its own: {one['own verdict'].status}")


def not_held(results) -> Measured:
    verdicts = [results["mesh"][k]["verdict"] for k in ("float64", "float32")]
    rows, count = (
        sum(getattr(v, k) for v in verdicts) for k in ("audited", "violations")
    )
    text = f"{rows} rows, {count} violations"
    return Measured(sum(v.status != "holds" for v in verdicts), text)


def idle(results) -> Measured:
    verdict = results["mesh"]["one device"]["idle"]
    text = f"found by {(verdict.worst or {}).get('check')}"
    return Measured(verdict.violations, text)


def share(results) -> Measured:
    found = results["mesh"]
    text = "1/{tensor}, and the few that are replicated".format_map(found)
    return Measured(found["float64"]["share"] * found["tensor"], text)


def over_declared(results, run) -> Measured:
    found = results["mesh"]
    given = found[run]["memory"]["arguments"]
    text = f"{given:,} bytes; a TPU pads its tiles"
    return Measured(abs(given / found["float64"]["declared"] - 1), text)


def needed(results) -> Measured:
    runs = (results["mesh"][k] for k in ("float64", "one device"))
    needs, whole = (run["memory"]["all"] for run in runs)
    return Measured(needs / whole, f"{needs:,} of {whole:,}")


MODEL = "what the order of summation explains, k·u·Σ|aᵢbᵢ|"
WRONG = "a thousandth of a term, in units of round-off"
CLAIMS = [
    Claim(
        "M1",
        "ledger on the mesh and on one device of the same steps, float64: largest "
        "|difference| of a term over what the order of its sum explains",
        at_most(1, MODEL),
        on_all_and_one,
    ),
    Claim(
        "M1a",
        "claim M1 in float32",
        at_most(1, MODEL),
        lambda r: largest(r["mesh"]["float32"]["gaps"]),
    ),
    Claim(
        "M1b",
        "whole runs in float64, mesh against one device: difference of the terms "
        "over that of heads, hidden units and images in another order",
        at_most(8, "one order of summation against another, both by chance"),
        whole_runs,
    ),
    Control(
        "M1x",
        "claim M1 of a ledger that adds up only what its device holds",
        at_least(1e12, WRONG),
        own_sums,
        of="M1",
    ),
    Control(
        "M1y",
        "claim M1 of one that adds up replicated parameters once a shard",
        at_least(1e12, WRONG),
        lambda r: r["mesh"]["one device"]["summed"],
        of="M1",
    ),
    Claim(
        "M2",
        "runs on the mesh, float64 and float32, whose verdict is not `holds`",
        equals(0, "a count"),
        not_held,
    ),
    Control(
        "M2x",
        "violations where one of the devices does not apply its part of a step",
        at_least(1, "one is enough"),
        idle,
        of="M2",
    ),
    Claim(
        "M3",
        "arrays of parameters, momentum and ledger that do not lie as declared",
        equals(0, "a count"),
        lambda r: sum(r["mesh"][k]["astray"] for k in ("float64", "float32")),
    ),
    Claim(
        "M3a",
        "parameters and momentum: share of the whole on the fullest device, times the "
        "devices along tensor",
        at_most(1.2, "1, and the few arrays that are replicated"),
        share,
    ),
    Control(
        "M3x",
        "claim M3 of a start that is replicated",
        at_least(1, "one is enough"),
        lambda r: r["mesh"]["one device"]["replicated"],
        of="M3",
    ),
    Claim(
        "M4",
        "what a step is given, bytes a device: compiled over declared, less 1",
        at_most(0.01, "exact on a CPU; a TPU pads its tiles"),
        functools.partial(over_declared, run="float64"),
    ),
    Claim(
        "M4a",
        "all a step needs, bytes a device: on the mesh over on one device",
        at_most(0.5, "an eighth, and temporaries that are not split"),
        needed,
    ),
    Control(
        "M4x",
        "claim M4 of the step for one device",
        at_least(1, "twice the bytes; without tensor there are as many as devices"),
        functools.partial(over_declared, run="one device"),
        of="M4",
    ),
]


def figures(results):
    found = results["mesh"]
    wide = found["float64"]
    title = f"Lion on {found['data']} × {found['tensor']} devices"
    return {
        "Where the arrays of the run are, device by device.": places_figure(found),
        f"The energy ledger of {title}.": energy_figure(
            wide["rows"], loss=wide["loss"]
        ),
    }


STUDY = Study(
    "One run on a mesh of devices, audited as on one",
    "Balance per step: Chen, Liu, Liang, Liu, arXiv:2310.05898",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
