"""How fast is the linear algebra of materials?  Against LAPACK's SVD in JAX.

Each row works on N random 3×3 matrices in float32, `forward` or with the gradient of a
sum, in CPU time of this process pinned to one core, compilation apart; calls of ours
and of `jnp.linalg.svd` in turn. The peer's gradient is taken through U, σ and V.

    speed ×  time(svd) / time(dynax): over 1 where dynax is the faster

Examples:
    python scripts/bench.py kinematics
    python scripts/bench.py kinematics --points 10000 --json kinematics.json
"""

import argparse
import os
import statistics
import time

import jax
import jax.numpy as jnp

from benchmarks.common import clock, machine, write
from dynax.material.hencky import log_strain
from dynax.material.kinematics import polar, singular_values


OURS = {
    "polar": polar,
    "singular values": singular_values,
    "logarithm": log_strain,
}


def total(f):
    """A sum over all results with unequal weights, so that no gradient vanishes."""

    def loss(F):
        parts = [jnp.sum(a * jnp.cos(a)) for a in jax.tree.leaves(f(F))]
        return sum(parts[1:], parts[0])

    return loss


def bench(ours, F, repeats: int, gradient: bool):
    pair = [ours, jnp.linalg.svd]
    if gradient:
        pair = [jax.value_and_grad(total(f)) for f in pair]
    compiled, seconds = [], []
    for f in pair:
        begun = time.process_time()
        compiled.append(jax.jit(f).lower(F).compile())
        seconds.append(time.process_time() - begun)
        clock(compiled[-1], F)
    times = [[clock(run, F) for run in compiled] for _ in range(repeats)]
    return {
        "ratio": sorted(b / a for a, b in times),
        "ms": statistics.median(a for a, _ in times) * 1e3,
        "compile": seconds,
    }


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="bench.py kinematics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=7, help="≥ 5 (default 7)")
    parser.add_argument("--json", metavar="FILE", help="write all numbers here too")
    args = parser.parse_args(argv)
    if args.repeats < 5:
        parser.error(f"--repeats: given {args.repeats}; at least 5 accepted.")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    result = {"machine": machine(), "repeats": args.repeats}
    print("  " + ", ".join(f"{k} {v}" for k, v in result["machine"].items()))
    print("  ms of dynax, speed × (median, range), compile s")
    for points in args.points:
        noise = jax.random.normal(jax.random.key(0), (points, 3, 3), jnp.float32)
        F = jnp.eye(3, dtype=jnp.float32)[None] + 0.2 * noise
        for name, f in OURS.items():
            for what in ("forward", "gradient"):
                row = bench(f, F, args.repeats, what == "gradient")
                result[f"{name}, {what}, {points}"] = row
                ratio, (mine, theirs) = row["ratio"], row["compile"]
                print(
                    f"  {points:>7} {name:<16} {what:<9} {row['ms']:8.2f} "
                    f"{statistics.median(ratio):6.1f} "
                    f"({ratio[0]:.1f} … {ratio[-1]:.1f})  "
                    f"compile {mine:.1f}, svd {theirs:.1f}",
                    flush=True,
                )
    write(args.json, result)
