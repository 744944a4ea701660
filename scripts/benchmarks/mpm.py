"""How fast is a step of the material points, and what do diffrax and adjoints cost?

A jelly cube of N points, float32, hits the floor of a box in 3-D; CPU time of this
process pinned to one core, compilation apart, ms a step, `forward` or with the gradient
by Young's modulus. The peer is a hand-written `lax.scan` of the same step (with
`jax.checkpoint` of each where a gradient is taken); runs of the two in turn.

    speed ×  time(scan)/time(diffrax): 1 where diffrax costs nothing
    MiB      XLA's own figure for temporaries of the program

Examples:
    python scripts/bench.py mpm
    python scripts/bench.py mpm --cells 10 --json mpm.json
"""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import built, compare, options, session
from dynax import material as mat
from dynax.mechanics import mpm


SIDES = {10: 20, 20: 32, 32: 64}  # points along the cube → nodes along the grid
DT = 1e-4


def scene(cells: int, nodes: int):
    grid = mpm.Grid((nodes,) * 3, 1 / nodes)
    solver = mpm.MPM(grid, mpm.box_walls(3), jnp.array([0, -9.8, 0], jnp.float32))
    floor = 3 / nodes  # which it hits: else the mean height does not depend on E
    low, high = (0.25, floor, 0.25), (0.75, floor + 0.5, 0.75)
    x = mpm.bodies.box(low, high, 0.5 / cells).astype(np.float32)
    of = lambda E: mpm.Material(
        mat.FixedCorotated(E, 0.2), 1e3, (0.5 / cells) ** 3, len(x)
    )
    velocity = jnp.array([1, -1.5, -2], jnp.float32)
    return solver, of, mpm.at_rest(of(1e5), x, velocity, jnp.full(3, 4, jnp.float32))


def by_diffrax(solver, of, y0, steps, adjoint=None):
    def height(E):
        motion = mpm.simulate(solver, of(E), y0, DT, steps, steps, adjoint)
        return jnp.mean(motion.y.x[-1, :, 1])

    return height


def by_scan(solver, of, y0, steps, gradient):
    def height(E):
        times = jnp.asarray(DT, y0.x.dtype) * jnp.arange(steps + 1, dtype=y0.x.dtype)

        def step(y, dt):
            return solver.move(mpm.Stress().vf(0, y, of(E)), y, of(E), dt), None

        step = jax.checkpoint(step) if gradient else step
        return jnp.mean(jax.lax.scan(step, y0, jnp.diff(times))[0].x[:, 1])

    return height


def bench(body, steps: int, repeats: int, gradient: bool):
    solver, of, y0 = body
    pair = [
        by_diffrax(solver, of, y0, steps),
        by_scan(solver, of, y0, steps, gradient),
    ]
    E = jnp.float32(1e5)
    if gradient:
        pair = [jax.value_and_grad(f) for f in pair]
    (ours, mine, MiB), (theirs, scan, more) = (built(f, E) for f in pair)
    values = [np.asarray(jax.tree.leaves(run(E))) for run in (ours, theirs)]
    facts = {
        "compile": f"{mine:.1f}, {scan:.1f}",
        "MiB": f"{MiB:.1f}, {more:.1f}",
        "difference": f"{np.max(np.abs(values[0] / values[1] - 1)):.0e}",
    }
    return compare(lambda: ours(E), lambda: theirs(E), repeats, per=steps, facts=facts)


def main(argv: list[str]) -> None:
    parser = options("mpm", __doc__, repeats=5)
    parser.add_argument("--cells", type=int, nargs="+", default=[*SIDES], choices=SIDES)
    parser.add_argument("--steps", type=int, default=20)
    with session(parser, argv, pinned=True) as (args, result):
        print("  ms a step, speed × (median, range); compile s and MiB: ours, scan")
        for cells in args.cells:
            body = scene(cells, SIDES[cells])
            for what in ("forward", "gradient"):
                label = f"{what}, {cells**3}"
                row = bench(body, args.steps, args.repeats, what == "gradient")
                row.show(label)
                result[label] = row
        body, E = scene(10, SIDES[10]), jnp.float32(1e5)
        for name, adjoint in {
            "every state": None,
            "recursive": diffrax.RecursiveCheckpointAdjoint(),
        }.items():
            memory = built(jax.value_and_grad(by_diffrax(*body, 200, adjoint)), E)[2]
            result[f"gradient of 200 steps, 1000, {name}"] = memory
            print(f"  1000 points, gradient of 200 steps, {name}: {memory:.1f} MiB")
