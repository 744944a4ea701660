"""The runs of `mesh.py`: on all devices, on one, and made wrong in four ways."""

import concurrent.futures
import dataclasses
import functools
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

import dynax as dx
from dynax._reduce import rounding_depth
from dynax.flow import Step
from dynax.monitor import row_of_step
from experiments._together import stacked
from experiments._virtual import environment
from experiments.lion._mesh import astray, declared, fullest, memory, places
from experiments.lion._transformer import (
    Transformer,
    batches,
    begin,
    shardings,
    stepper,
)


VIRTUAL = 8  # devices of the child process where there are no real ones


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
    return (on_mesh if enough else elsewhere)(config, progress)


def elsewhere(config, progress):
    """How many devices a CPU is taken for is fixed when JAX starts."""
    # most of the time is compiling
    env = environment(VIRTUAL, JAX_DISABLE_MOST_OPTIMIZATIONS="1")
    with tempfile.TemporaryDirectory() as folder:
        out, errors = pathlib.Path(folder, "results"), pathlib.Path(folder, "errors")
        given = json.dumps(dataclasses.asdict(config))
        run = [sys.executable, "-m", "experiments.lion._on_mesh", given, str(out)]
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
    """By term: the difference in units of what the order of summation explains.

    A term that is 0 by its form has no slack: it may not differ at all.
    """
    gaps = {k: float(abs(terms[k] - row.terms[k])) for k in slack}
    unit = {k: float(slack[k]) for k in slack}
    none = lambda gap: 0.0 if gap == 0 else float("inf")
    return {k: gap / unit[k] if unit[k] > 0 else none(gap) for k, gap in gaps.items()}


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
        "own verdict": verdict(own, "sums of one device alone: wrong, yet closed"),
        "summed": max(in_slacks(summed, row, slack).values()),
        "idle": verdict(again(broken)[0], "control: one device did not take part"),
        "replicated": astray(everywhere, run.where),
    }


if __name__ == "__main__":
    given, out = sys.argv[1:]
    jax.config.update("jax_enable_x64", True)
    config = types.SimpleNamespace(**json.loads(given))
    tell = lambda share, text: print(share, text, flush=True)
    pathlib.Path(out).write_bytes(pickle.dumps(on_mesh(config, tell)))
