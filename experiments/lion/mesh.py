"""One training run too big for one device: model, optimizer and ledger on a mesh.

A flax transformer learns the digits of scikit-learn with Lion; heads and hidden units
are spread over the axis "tensor", images over "data". The ledger is written as if there
were one device, and its entries are those of one device up to the order of summation:
k·u·Σ|aᵢbᵢ| for every Σ aᵢbᵢ, on either side. A ledger that adds up too few shards, or
replicated parameters once a shard, agrees with itself; only this comparison finds it.

To copy for a TPU slice or a GPU node: RULES, `shardings`, `begin` and `stepper`, then

    make = functools.partial(begin, model, tx, "float32", seed)
    where = shardings(jax.eval_shape(make), mesh)
    carry = jax.jit(make, out_shardings=where)()
    step = jax.jit(stepper(model, tx), out_shardings=(where, None), donate_argnums=0)
    carry, seen = step(carry, jax.device_put(batch, NamedSharding(mesh, P("data"))))
"""

import concurrent.futures
import dataclasses
import functools
import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
from sklearn.datasets import load_digits

import dynax as dx
from dynax._reduce import rounding_depth
from dynax.flow import Step
from dynax.monitor import row_of_step
from dynax.report import energy_figure
from experiments.lion._mesh import (
    astray,
    declared,
    fullest,
    memory,
    places,
    places_figure,
)


TITLE = "One run on a mesh of devices, audited as on one"
SOURCE = "Balance per step: Chen, Liu, Liang, Liu, arXiv:2310.05898"
VIRTUAL = 8  # devices of the child process where there are no real ones
CLASSES, ROWS = 10, 8


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

# Which axis of which array lies along "tensor". What no rule names is replicated; the
# same rules place the momentum, whose paths end like those of the parameters.
RULES = (
    (r"(query|key|value)/kernel$", P(None, "tensor", None)),
    (r"out/kernel$", P("tensor", None, None)),
    (r"up/kernel$", P(None, "tensor")),
    (r"up/bias$", P("tensor")),
    (r"down/kernel$", P("tensor", None)),
)


class Block(nn.Module):
    heads: int

    @nn.compact
    def __call__(self, x):
        width, y = x.shape[-1], nn.LayerNorm()(x)
        # a bias of the keys has no effect, so its gradient would be round-off alone
        attention = nn.MultiHeadDotProductAttention(
            self.heads, use_bias=False, name="attention"
        )
        x = x + attention(y, y)
        y = nn.Dense(4 * width, name="up")(nn.LayerNorm()(x))
        return x + nn.Dense(width, name="down")(nn.gelu(y))


class Transformer(nn.Module):
    """Images (batch, 64) as eight tokens, their rows → logits (batch, 10)."""

    width: int
    heads: int
    blocks: int

    @nn.compact
    def __call__(self, images):
        x = nn.Dense(self.width, name="embed")(images.reshape(-1, ROWS, ROWS))
        start = nn.initializers.normal(0.1)
        x = x + self.param("position", start, (1, ROWS, self.width)).astype(x.dtype)
        for _ in range(self.blocks):
            x = Block(self.heads)(x)
        return nn.Dense(CLASSES, name="head")(nn.LayerNorm()(x).mean(1))


def shardings(tree, mesh: Mesh):
    """The sharding declared for every leaf of parameters, optimizer state or both."""

    def declared(path, _):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = next((spec for rule, spec in RULES if re.search(rule, name)), P())
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(declared, tree)


def begin(model, tx, dtype, seed):
    """(parameters, optimizer state); under jit with `out_shardings` nowhere whole."""
    params = model.init(jax.random.key(seed), jnp.zeros((1, ROWS * ROWS), jnp.float32))
    params = jax.tree.map(lambda a: a.astype(dtype), params)
    return params, tx.init(params)


def stepper(model, tx):
    """(carry, batch) → (carry, what was seen). Nothing in it speaks of devices."""

    def step(carry, batch):
        params, state = carry
        images, labels = batch

        def loss(params):
            each = optax.softmax_cross_entropy_with_integer_labels
            return each(model.apply(params, images), labels).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value, value_fn=loss)
        params = optax.apply_updates(params, updates)
        ledger = optax.tree.get(state, "ledger")
        seen = {"loss": value, "loss after": loss(params), "grads": grads}
        return (params, state), {"ledger": ledger, **seen}

    return step


@functools.cache
def data():
    """(images in [0, 1], labels): 1797 handwritten digits."""
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels.astype(np.int32)


def batches(steps, batch, seed, dtype):
    images, labels = data()
    order = np.random.default_rng(seed).integers(0, len(images), (steps, batch))
    return images[order].astype(dtype), labels[order]


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


def the_mesh(heads: int) -> Mesh:
    """All devices as data × tensor, about square; whole heads on each."""
    count = jax.device_count()
    fits = [t for t in range(1, count + 1) if count % t == 0 and heads % t == 0]
    tensor = max(t for t in fits if t * t <= 2 * count)
    axes = "data", "tensor"
    types = (AxisType.Auto,) * 2
    return jax.make_mesh((count // tensor, tensor), axes, axis_types=types)


def measure(config, progress):
    """On the devices there are, from four; else on virtual ones in another process."""
    enough = jax.device_count() >= 4
    results = on_mesh(config, progress) if enough else elsewhere(config, progress)
    return {"config": config, **results}


def elsewhere(config, progress):
    """How many devices a CPU is taken for is fixed when JAX starts."""
    flags = f"--xla_force_host_platform_device_count={VIRTUAL}"
    env = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # most of the time is compiling
    }
    with tempfile.TemporaryDirectory() as folder:
        out, errors = pathlib.Path(folder, "results"), pathlib.Path(folder, "errors")
        given = json.dumps(dataclasses.asdict(config))
        run = [sys.executable, __file__, given, str(out)]
        with (
            errors.open("w") as log,
            subprocess.Popen(
                run, env=env, text=True, stdout=subprocess.PIPE, stderr=log
            ) as process,
        ):
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    share, _, text = line.rstrip("\n").partition(" ")
                    progress(float(share), text)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            told = errors.read_text()[-2000:]
            raise RuntimeError(f"mesh of virtual devices: {process.returncode}\n{told}")
        return pickle.loads(out.read_bytes())


def on_mesh(config, progress):
    """What was measured in float64, in float32 and on one device, on the host."""
    mesh = the_mesh(config.heads)
    x64 = jnp.result_type(float) == jnp.float64

    def call(job):  # settings of jax are a thread's own
        calm = jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")
        with jax.enable_x64(x64), calm[0], calm[1]:
            return job()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # compiling takes the time
        kinds = zip(("float64", "float32"), config.decays, strict=True)
        starts = [functools.partial(begun, config, mesh, *kind) for kind in kinds]
        wide, narrow = pool.map(call, starts)
        progress(0.1, "begun on the mesh")
        lowered = [
            *(lambda r=r: on_all_lowered(r) for r in (wide, narrow)),
            *(lambda r=r: again_lowered(r) for r in (wide, narrow)),
            lambda: on_one_lowered(wide),
            lambda: by_shard_lowered(wide),
        ]
        compiled = []
        for one in pool.map(lambda lower: call(lower).compile(), lowered):
            compiled.append(one)
            progress(0.1 + 0.1 * len(compiled), "compiled")
    step, step32, again, again32, alone, by_shard = compiled
    done = {"tensor": mesh.shape["tensor"], "data": mesh.shape["data"]}
    done["float64"] = on_all(wide, step, again)
    progress(0.8, "float64")
    done["float32"] = on_all(narrow, step32, again32)
    progress(0.9, "float32")
    done["one device"] = on_one(wide, alone, again, by_shard)
    progress(1.0, "one device")
    return done


class Run(NamedTuple):
    """A run that has begun on the mesh."""

    mesh: Mesh
    opt: dx.LionKappa
    lr: float
    step: Any
    where: Any
    carry: Any
    start: Any  # the same on the host
    given: Any


def begun(config, mesh, dtype, decay) -> Run:
    model = Transformer(config.width, config.heads, config.blocks)
    opt, lr = dx.LionKappa(weight_decay=decay), config.learning_rate
    tx = dx.as_optax(opt, lr, every=1)
    make = functools.partial(begin, model, tx, dtype, config.seed)
    where = shardings(jax.eval_shape(make), mesh)
    carry = jax.jit(make, out_shardings=where)()
    given = batches(config.steps, config.batch, config.seed, dtype)
    return Run(mesh, opt, lr, stepper(model, tx), where, carry, to_host(carry), given)


def to_host(tree):
    return jax.tree.map(np.array, tree)


def stacked(rows):
    return jax.tree.map(lambda *a: np.stack(a), *rows)


def observed(k, lr, before, after, seen) -> Step:
    (x, state), (x_next, state_next) = before, after
    s, s_next = state.inner.state, state_next.inner.state
    values = seen["loss"], seen["loss after"]
    k = jnp.asarray(k, jnp.int32)
    return Step(k, x, s, seen["grads"], lr, x_next, s_next, *values)


def example(run) -> Step:
    """Of the structure and the shapes of what is observed."""
    zero = np.zeros((), run.given[0].dtype)
    seen = {"grads": run.start[0], "loss": zero, "loss after": zero}
    return observed(0, run.lr, run.start, run.start, seen)


def account(opt, step: Step):
    """The ledger of a step, and by how much another order of its sums may change it."""
    row = row_of_step(opt, step)
    absolute = lambda g, a, b: jnp.sum(jnp.abs(g * (b - a)))
    work = jax.tree.map(absolute, step.grad, step.x, step.x_next)
    depth = rounding_depth(sum(a.size for a in jax.tree.leaves(step.x)))
    sums = depth * sum(jax.tree.leaves(work)) + jnp.abs(step.value_next - step.value)
    names = "dissipation_1", "dissipation_2", "bregman_conjugate", "bregman_momentum"
    slack = {k: row.checks[k].tolerance for k in names}
    slack["residual"] = jnp.finfo(row.energy.dtype).eps / 2 * sums
    return row, {k: 2 * v for k, v in slack.items()}


def in_slacks(terms, row, slack):
    """By term: the difference in units of what the order of summation explains."""
    return {k: float(abs(terms[k] - row.terms[k]) / slack[k]) for k in slack}


def batch(run: Run, k: int):
    split = NamedSharding(run.mesh, P("data"))
    return tuple(jax.device_put(a[k], split) for a in run.given)


def on_all_lowered(run: Run):
    where = run.where, None  # nothing unused is dropped: M4 counts all that is given
    step = jax.jit(run.step, out_shardings=where, donate_argnums=0, keep_unused=True)
    return step.lower(run.carry, batch(run, 0))


def on_one_lowered(run: Run):
    step = jax.jit(run.step, donate_argnums=0, keep_unused=True)
    return step.lower(run.start, tuple(a[0] for a in run.given))


def again_lowered(run: Run):
    return jax.jit(functools.partial(account, run.opt)).lower(example(run))


def by_shard_lowered(run: Run):
    """Two ways to forget what a sum over a mesh is, as programmes that run."""

    def ledger(step):
        own = row_of_step(run.opt, step)
        rise = step.value_next - step.value
        summed = {**own.terms, "residual": own.terms["residual"] - rise}
        summed = jax.tree.map(lambda a: jax.lax.psum(a, "tensor"), summed)
        return own, {**summed, "residual": summed["residual"] + rise}

    step = example(run)
    specs = jax.tree.map(lambda s: s.spec, shardings(step, run.mesh))
    split = jax.shard_map(
        ledger, mesh=run.mesh, in_specs=(specs,), out_specs=P(), check_vma=False
    )
    return jax.jit(split).lower(step)


def on_all(run: Run, step, again) -> dict:
    """The run on the mesh; each of its steps is drawn up again on one device."""
    carry, before, rows, losses, gaps = run.carry, run.start, [], [], []
    for k in range(len(run.given[0])):
        carry, seen = step(carry, batch(run, k))
        after, seen = to_host(carry), to_host(seen)
        row, slack = again(observed(k, run.lr, before, after, seen))
        rows.append(seen["ledger"])
        losses.append(seen["loss"])
        gaps.append(in_slacks(rows[-1].terms, row, slack))
        before = after
    weights, given = (carry[0], carry[1].inner.state), batch(run, 0)
    others = {"ledger: an entry": carry[1].ledger.energy}
    others |= {"images": given[0], "labels": given[1]}
    return {
        "rows": stacked(rows),
        "loss": np.stack(losses),
        "gaps": stacked(gaps),
        "verdict": dx.verdict(carry[1].tally, f"Lion on the mesh, {losses[0].dtype}"),
        "params": before[0],
        "astray": astray(carry, run.where),
        "share": fullest(weights) / sum(a.nbytes for a in jax.tree.leaves(weights)),
        "declared": declared((carry, given)),
        "memory": memory(step),
        "places": places({**carry[0]["params"], **others}, run.mesh),
    }


def on_one(run: Run, step, again, by_shard) -> dict:
    """The same start on one device, its sums in two orders; and what is made wrong."""

    def go(carry, given):
        rows = []
        for k in range(len(given[0])):
            carry, seen = step(carry, tuple(a[k] for a in given))
            rows.append(seen["ledger"])
        return to_host((carry[0], stacked(rows)))

    params, rows = go(run.start, run.given)
    turned = jax.tree.map(turn, run.start, run.where)
    order = np.random.default_rng(0).permutation(run.given[0].shape[1])
    _, others = go(turned, tuple(a[:, order] for a in run.given))
    after, seen = to_host(step(run.start, tuple(a[0] for a in run.given)))
    return {
        "params": params,
        "rows": rows,
        "others": others,
        "memory": memory(step),
        **faults(run, observed(0, run.lr, run.start, after, seen), again, by_shard),
    }


def turn(a, where):
    """Heads and hidden units in another order: the same net, its sums in another."""
    axis = along_tensor(where.spec)
    if axis is None:
        return a
    size = a.shape[axis]
    return np.take(a, np.random.default_rng(size).permutation(size), axis)


def along_tensor(spec):
    return spec.index("tensor") if "tensor" in spec else None


def faults(run: Run, step: Step, again, by_shard) -> dict:
    """Made wrong on purpose, each beside what is right."""
    tensor = run.mesh.shape["tensor"]
    row, slack = to_host(again(step))
    own, summed = by_shard(step)

    def idle(after, before, where):
        """The last device along "tensor" does not apply its part of the update."""
        axis = along_tensor(where.spec)
        if axis is None:
            return after
        kept = after.shape[axis] - after.shape[axis] // tensor
        parts = np.split(after, [kept], axis)[0], np.split(before, [kept], axis)[1]
        return np.concatenate(parts, axis)

    broken = step._replace(x_next=jax.tree.map(idle, step.x_next, step.x, run.where[0]))
    judge = jax.jit(dx.tally)
    verdict = lambda row, claim: dx.verdict(judge(to_host(row)), claim)
    everywhere = jax.device_put(run.start, NamedSharding(run.mesh, P()))
    return {
        "own": max(in_slacks(own.terms, row, slack).values()),
        "own verdict": verdict(own, "control: each device has sums of its own"),
        "summed": max(in_slacks(summed, row, slack).values()),
        "idle": verdict(again(broken)[0], "control: one device did not take part"),
        "replicated": astray(everywhere, run.where),
    }


def difference(rows, others) -> float:
    """Of any term in any row, over Σ|terms| of that row."""
    gaps = [abs(rows.terms[k] - others.terms[k]) / rows.scale for k in rows.terms]
    return float(np.max(gaps))


def claims(results):
    config, data, tensor = (results[k] for k in ("config", "data", "tensor"))
    wide, narrow, one = (results[k] for k in ("float64", "float32", "one device"))
    worst = lambda out: max(float(np.max(gap)) for gap in out["gaps"].values())
    moved = difference(wide["rows"], one["rows"])
    noise = difference(one["rows"], one["others"])
    apart = jax.tree.map(lambda a, b: np.sum(a != b), wide["params"], one["params"])
    verdicts = [wide["verdict"], narrow["verdict"]]
    over = lambda out: abs(out["memory"]["arguments"] / wide["declared"] - 1)
    needs, whole = (out["memory"]["all"] for out in (wide, one))
    rows = [
        (
            "M1",
            "ledger on the mesh and on one device of the same steps, float64: largest "
            "|difference| of a term over what the order of its sum explains",
            worst(wide),
            "≤ 1",
            f"{data} × {tensor} devices, data × tensor; {config.steps} steps, "
            f"λ = {config.decays[0]:g}",
        ),
        ("M1a", "claim M1 in float32", worst(narrow), "≤ 1"),
        (
            "M1b",
            "whole runs in float64, mesh against one device: difference of the terms "
            "over that of heads, hidden units and images in another order",
            moved / max(noise, float(np.finfo(np.float64).eps)),
            "≤ 8",
            f"{moved:.1e} and {noise:.1e} of Σ|terms|; entries of the parameters that "
            f"differ at the end: {sum(jax.tree.leaves(apart))}",
        ),
        (
            "M1x",
            "claim M1 of a ledger that adds up only what its device holds",
            one["own"],
            "≥ 1000 rejected",
            f"on its own its verdict is: {one['own verdict'].status}",
        ),
        (
            "M1y",
            "claim M1 of one that adds up replicated parameters once a shard",
            one["summed"],
            "≥ 1000 rejected",
        ),
        (
            "M2",
            "runs on the mesh, float64 and float32, whose verdict is not `holds`",
            sum(v.status != "holds" for v in verdicts),
            "≤ 0",
            f"{sum(v.audited for v in verdicts)} rows, "
            f"{sum(v.violations for v in verdicts)} violations",
        ),
        (
            "M2x",
            "violations where one of the devices does not apply its part of a step",
            one["idle"].violations,
            "≥ 1 rejected",
            f"found by {(one['idle'].worst or {}).get('check')}",
        ),
        (
            "M3",
            "arrays of parameters, momentum and ledger that do not lie as declared",
            wide["astray"] + narrow["astray"],
            "≤ 0",
        ),
        (
            "M3a",
            "parameters and momentum: share of the whole on the fullest device",
            wide["share"],
            f"≤ {1.2 / tensor:.3g}",
            f"1/{tensor}, and the few that are replicated",
        ),
        (
            "M3x",
            "claim M3 of a start that is replicated",
            one["replicated"],
            "≥ 1 rejected",
        ),
        (
            "M4",
            "what a step is given, bytes a device: compiled over declared, less 1",
            over(wide),
            "≤ 0.01",
            f"{wide['memory']['arguments']:,} bytes; a TPU pads its tiles",
        ),
        (
            "M4a",
            "all a step needs, bytes a device: on the mesh over on one device",
            needs / whole,
            "≤ 0.5",
            f"{needs:,} of {whole:,}",
        ),
        ("M4x", "claim M4 of the step for one device", over(one), "≥ 1 rejected"),
    ]
    return [dx.Claim.judged(SOURCE, *row) for row in rows]


def figures(results):
    wide = results["float64"]
    title = f"Lion on {results['data']} × {results['tensor']} devices"
    return {
        "where the arrays are": places_figure(results),
        "energy": energy_figure(wide["rows"], loss=wide["loss"], title=title),
    }


def main(given, out):
    config = Config(**json.loads(given))
    jax.config.update("jax_enable_x64", True)
    tell = lambda share, text: print(share, text, flush=True)
    pathlib.Path(out).write_bytes(pickle.dumps(on_mesh(config, tell)))


if __name__ == "__main__":
    main(*sys.argv[1:])
