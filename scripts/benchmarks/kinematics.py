"""How fast is the linear algebra of materials?  Against LAPACK's SVD in JAX.

Each row works on N random 3×3 matrices in float32, `forward` or with the gradient of a
sum, in CPU time of this process pinned to one core, compilation apart; calls of ours
and of `jnp.linalg.svd` in turn. The peer's gradient is taken through U, σ and V.

    speed ×  time(svd) / time(dynax): over 1 where dynax is the faster

Examples:
    python scripts/bench.py kinematics
    python scripts/bench.py kinematics --points 10000 --json kinematics.json
"""

import jax
import jax.numpy as jnp

from benchmarks.common import built, compare, options, session
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
    (ours, mine, _), (theirs, svd, _) = (built(f, F) for f in pair)
    facts = {"compile": f"{mine:.1f}, svd {svd:.1f}"}
    return compare(lambda: ours(F), lambda: theirs(F), repeats, facts=facts)


def main(argv: list[str]) -> None:
    parser = options("kinematics", __doc__, repeats=7)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    with session(parser, argv, pinned=True) as (args, result):
        print("  ms of dynax, speed × (median, range), compile s")
        for points in args.points:
            noise = jax.random.normal(jax.random.key(0), (points, 3, 3), jnp.float32)
            F = jnp.eye(3, dtype=jnp.float32)[None] + 0.2 * noise
            for name, f in OURS.items():
                for what in ("forward", "gradient"):
                    label = f"{name}, {what}, {points}"
                    row = bench(f, F, args.repeats, what == "gradient")
                    row.show(label)
                    result[label] = row
