"""How fast is a step of the material points?  Against the same written in NVIDIA Warp.

The scene of `bench.py mpm`: a jelly cube of N points, float32, hits the floor of a box
in 3-D; CPU time of this process pinned to one core, compilation apart, ms a step,
`forward` or with the gradient of the mean height by Young's modulus; runs in turn.

Ours is `mpm.simulate`. Theirs is three kernels a step and, for the gradient, a
`wp.Tape` that keeps points and grid of every step, recorded anew each time. R comes
from six steps of Newton's iteration, as ours does: `wp.svd3` is slower.

    speed ×     time(warp)/time(dynax): over 1 where dynax is the faster
    difference  of mean height and of dL/dE, relative

Examples:
    python scripts/bench.py warp
    python scripts/bench.py warp --cells 10 --json warp.json
"""

# Annotations of Warp are values.
# pyright: reportInvalidTypeForm=false

import importlib
import importlib.metadata
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import built, compare, options, session
from benchmarks.mpm import DT, SIDES, by_diffrax, scene


try:
    wp: Any = importlib.import_module("warp")
except ImportError:
    raise SystemExit(
        'warp is not installed, the peer of this benchmark: pip install warp-lang, or "'
        'dynax-lab[bench]".'
    ) from None

Number = wp.array(dtype=wp.float32)
Vectors = wp.array(dtype=wp.vec3)
Matrices = wp.array(dtype=wp.mat33)
Masses = wp.array3d(dtype=wp.vec4)  # momentum and mass of each node
Nodes = wp.array3d(dtype=wp.vec3)


@wp.func
def weights(f: wp.vec3):
    one = wp.vec3(1.0, 1.0, 1.0)
    a, b, c = 1.5 * one - f, f - one, f - 0.5 * one
    return wp.matrix_from_rows(
        0.5 * wp.cw_mul(a, a), 0.75 * one - wp.cw_mul(b, b), 0.5 * wp.cw_mul(c, c)
    )


@wp.func
def rotation(F: wp.mat33):
    R = F  # Higham's scaled Newton iteration
    for _ in range(6):
        T = wp.transpose(wp.inverse(R))
        g = wp.sqrt(wp.sqrt(wp.ddot(T, T) / wp.ddot(R, R)))
        R = 0.5 * (g * R + T / g)
    return R


@wp.func
def kirchhoff(F: wp.mat33, young: float, poisson: float):
    mu = young / (2.0 * (1.0 + poisson))
    lam = 2.0 * mu * poisson / (1.0 - 2.0 * poisson)
    J = wp.determinant(F)
    eye = wp.identity(n=3, dtype=wp.float32)
    R = rotation(F)
    return 2.0 * mu * (F - R) * wp.transpose(F) + lam * J * (J - 1.0) * eye


@wp.kernel
def to_grid(
    x: Vectors,
    v: Vectors,
    C: Matrices,
    F: Matrices,
    young: Number,
    mass: float,
    volume: float,
    dx: float,
    dt: float,
    nodes: Masses,
):
    p = wp.tid()
    place = x[p] / dx
    i, j, k = int(place[0] - 0.5), int(place[1] - 0.5), int(place[2] - 0.5)
    f = place - wp.vec3(float(i), float(j), float(k))
    w = weights(f)
    tau = kirchhoff(F[p], young[0], 0.2)
    A = (mass * dx) * C[p] - (4.0 * dt * volume / dx) * tau
    for a in range(3):
        for b in range(3):
            for c in range(3):
                away = wp.vec3(float(a), float(b), float(c)) - f
                share = w[a, 0] * w[b, 1] * w[c, 2]
                q = share * (mass * v[p] + A * away)
                both = wp.vec4(q[0], q[1], q[2], share * mass)
                wp.atomic_add(nodes, i + a, j + b, k + c, both)


@wp.func
def walled(i: int, n: int, v: float):
    if i < 3:
        v = wp.max(v, 0.0)
    if i > n - 3:
        v = wp.min(v, 0.0)
    return v


@wp.kernel
def on_grid(nodes: Masses, gravity: float, dt: float, out: Nodes):
    i, j, k = wp.tid()
    node = nodes[i, j, k]
    if node[3] > 0.0:
        v = wp.vec3(node[0], node[1], node[2]) / node[3]
        n = nodes.shape[0]
        out[i, j, k] = wp.vec3(
            walled(i, n, v[0]), walled(j, n, v[1] + dt * gravity), walled(k, n, v[2])
        )


@wp.kernel
def to_points(
    x: Vectors,
    F: Matrices,
    nodes: Nodes,
    dx: float,
    dt: float,
    x1: Vectors,
    v1: Vectors,
    C1: Matrices,
    F1: Matrices,
):
    p = wp.tid()
    place = x[p] / dx
    i, j, k = int(place[0] - 0.5), int(place[1] - 0.5), int(place[2] - 0.5)
    f = place - wp.vec3(float(i), float(j), float(k))
    w = weights(f)
    v = wp.vec3()
    C = wp.mat33()
    for a in range(3):
        for b in range(3):
            for c in range(3):
                away = wp.vec3(float(a), float(b), float(c)) - f
                share = w[a, 0] * w[b, 1] * w[c, 2]
                at = share * nodes[i + a, j + b, k + c]
                v += at
                C += wp.outer(at, (4.0 / dx) * away)
    x1[p] = x[p] + dt * v
    v1[p] = v
    C1[p] = C
    F1[p] = F[p] + dt * (C * F[p])


@wp.kernel
def mean_height(x: Vectors, out: Number):
    p = wp.tid()
    wp.atomic_add(out, 0, x[p][1] / float(x.shape[0]))


class Theirs:
    """Arrays of all steps where there is a gradient; else two states and one grid."""

    def __init__(self, body, steps: int, gradient: bool):
        solver, of, y0 = body
        material = of(1e5)
        self.steps, self.gradient, self.count = steps, gradient, len(y0.x)
        self.n, dx = solver.grid.nodes[0], float(solver.grid.dx)
        volume = float(material.volume)
        self.numbers = (float(material.density) * volume, volume, dx, DT)
        new = dict(device="cpu", requires_grad=gradient)
        kinds = wp.vec3, wp.vec3, wp.mat33, wp.mat33
        kept, states = (steps, steps + 1) if gradient else (1, 2)
        zeros = lambda: [wp.zeros(self.count, kind, **new) for kind in kinds]
        self.y = [zeros() for _ in range(states)]
        start = [np.array(a) for a in (y0.x, y0.v, y0.C, y0.F)]
        self.start = [
            wp.array(a, dtype=k, **new) for a, k in zip(start, kinds, strict=True)
        ]
        self.y[0] = self.start if gradient else self.y[0]
        shape = (self.n,) * 3
        self.mass = [wp.zeros(shape, wp.vec4, **new) for _ in range(kept)]
        self.v = [wp.zeros(shape, wp.vec3, **new) for _ in range(kept)]
        self.young = wp.array([1e5], dtype=wp.float32, **new)
        self.height = wp.zeros(1, wp.float32, **new)

    def forward(self):
        mass, volume, dx, dt = self.numbers
        go = lambda *args, **more: wp.launch(*args, device="cpu", **more)
        if not self.gradient:
            for a, b in zip(self.y[0], self.start, strict=True):
                wp.copy(a, b)
        self.height.zero_()
        for s in range(self.steps):
            (x, v, C, F), after = self.y[s % len(self.y)], self.y[(s + 1) % len(self.y)]
            nodes, moved = self.mass[s % len(self.mass)], self.v[s % len(self.v)]
            nodes.zero_()
            given = [x, v, C, F, self.young, mass, volume, dx, dt]
            go(to_grid, self.count, given, [nodes])
            go(on_grid, (self.n,) * 3, [nodes, -9.8, dt], [moved])
            go(to_points, self.count, [x, F, moved, dx, dt], after)
        last = self.y[self.steps % len(self.y)]
        go(mean_height, self.count, [last[0]], [self.height])

    def __call__(self, E):
        self.young.fill_(float(E))
        if not self.gradient:
            self.forward()
            return self.height.numpy()[0]
        tape = wp.Tape()
        with tape:
            self.forward()
        tape.backward(self.height)
        found = self.height.numpy()[0], self.young.grad.numpy()[0]
        tape.zero()
        return found


def bench(body, steps: int, repeats: int, gradient: bool):
    solver, of, y0 = body
    ours = by_diffrax(solver, of, y0, steps)
    E = jnp.float32(1e5)
    ours, *_ = built(jax.value_and_grad(ours) if gradient else ours, E)
    theirs = Theirs(body, steps, gradient)
    values = [np.atleast_1d(jax.tree.leaves(run(E))) for run in (ours, theirs)]
    apart = ", ".join(f"{a:.1e}" for a in np.abs(values[0] / values[1] - 1))
    pair = (lambda: ours(E)), (lambda: theirs(E))
    return compare(*pair, repeats, per=steps, facts={"difference": apart})


def main(argv: list[str]) -> None:
    parser = options("warp", __doc__, repeats=5)
    parser.add_argument("--cells", type=int, nargs="+", default=[*SIDES], choices=SIDES)
    parser.add_argument("--steps", type=int, default=20)
    versions = {p: importlib.metadata.version(p) for p in ("jaxlib", "warp-lang")}
    with session(parser, argv, pinned=True, facts=versions) as (args, result):
        wp.config.quiet = True
        begun = time.process_time()
        wp.load_module(device="cpu")
        result["warp compiles"] = compiled = time.process_time() - begun
        print(f"  warp compiles in {compiled:.1f} s, or finds it done")
        print("  ms a step of dynax; speed × (median, range); difference")
        for cells in args.cells:
            body = scene(cells, SIDES[cells])
            for what in ("forward", "gradient"):
                label = f"{what}, {cells**3}"
                row = bench(body, args.steps, args.repeats, what == "gradient")
                row.show(label)
                result[label] = row
