"""How fast are certificates?  Boxes, classes of functions, and audits in training.

Rows:
    boxes        on_box: CPU seconds to the certificate, to trace, and boxes a second
    mpmath       the same bounds of a box by mpmath's intervals, one box at a time
    immrax       the same search with immrax's enclosures, compiled by XLA
    class        over_class, against AutoLyap's bisection to the same tolerance
    sequential   a training step with an audit every 10th and 100th step, against
                 plain optax.lion on the digits MLP, ledger off

    speed ×      time(peer) / time(dynax): over 1 where dynax is the faster

A peer that is not installed is skipped; AutoLyap is GPL and never a dependency.

Examples:
    python scripts/bench.py certify --only boxes mpmath
    python scripts/bench.py certify --only sequential --json certify.json
"""

import functools
import importlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from benchmarks.common import compare, options, session
from benchmarks.ledger import BETAS, CASES, DECAY, LR, compiled, mlp
from dynax import certify
from dynax.certify.interval import Interval
from dynax.certify.search import Bounded


RHO = 0.9
SIDE, HOLE = 20.0, 1.0


def lorenz(t, z, args):
    x, y, w = z
    return jnp.stack([10 * (y - x), x * (RHO - w) - y, x * y - 8 / 3 * w])


def energy(t, z, args):
    return z[0] ** 2 / 10 + z[1] ** 2 + z[2] ** 2


def rise(z):
    return jax.jvp(lambda z: energy(0.0, z, None), (z,), (lorenz(0.0, z, None),))[1]


def well(x):
    return (x**2 - 1) ** 2 / 4


def cpu(run, repeats: int = 1) -> tuple[float, Any]:
    """Median CPU seconds, and the last result."""
    seconds, found = [], None
    for _ in range(repeats):
        begun = time.process_time()
        found = run()
        seconds.append(time.process_time() - begun)
    return float(np.median(seconds)), found


def boxes(repeats: int) -> dict:
    two = dx.as_flow(dx.HeavyBall(1.0), well)
    hole = certify.Ball(HOLE)
    runs = {
        "heavy ball, 2 states": lambda: certify.on_box(
            two, [-1.6, -1.5], [1.6, 1.5], below=1e-2
        ),
        "Lorenz, 3 states": lambda: certify.on_box(
            energy, lorenz, [-SIDE] * 3, [SIDE] * 3, excluding=hole
        ),
    }
    found = {}
    for name, run in runs.items():
        seconds, verdict = cpu(run, repeats)
        assert verdict.status == "holds"
        rate = verdict.audited / seconds
        print(
            f"  {name}: {seconds:.2f} s, {verdict.audited} boxes, {rate:.3g} a second"
        )
        found[name] = {"seconds": seconds, "boxes": verdict.audited}
    with jax.enable_x64(True):
        tracing, _ = cpu(lambda: Bounded(rise, 3), repeats)
    print(f"  tracing Lorenz' V̇ and its gradient: {tracing:.3f} s; nothing compiles")
    return found | {"trace_s": tracing}


def mpmath_boxes(repeats: int) -> dict:
    """The natural extension met with the mean-value form, of V̇ of Lorenz."""
    iv = importlib.import_module("mpmath").iv
    third = iv.mpf(8) / 3

    def G(x, y, w):
        return (
            2 * x * (y - x) + 2 * y * (x * (RHO - w) - y) + 2 * w * (x * y - third * w)
        )

    def slope(x, y, w):
        c = 2 + 2 * iv.mpf(RHO)
        return (c * y - 4 * x, c * x - 4 * y, -4 * third * w)

    def bound(low, high):
        box = [iv.mpf([a, b]) for a, b in zip(low, high, strict=True)]
        middle = [iv.mpf((a + b) / 2) for a, b in zip(low, high, strict=True)]
        steps = zip(slope(*box), box, middle, strict=True)
        mean = G(*middle) + sum(g * (b - m) for g, b, m in steps)
        return min(G(*box).b, mean.b)

    rng = np.random.default_rng(0)
    low = rng.uniform(-SIDE, SIDE, (3, 20_000))
    high = low + rng.uniform(0, 1, low.shape)
    with jax.enable_x64(True):
        bounded = Bounded(rise, 3)
    ours, _ = cpu(lambda: bounded.over(Interval(low, high)), repeats)
    few = 300
    theirs, _ = cpu(lambda: [bound(low[:, k], high[:, k]) for k in range(few)], repeats)
    each = 1e6 * ours / low.shape[1], 1e6 * theirs / few
    print(
        f"  a box: {each[0]:.2f} µs, mpmath {each[1]:.0f} µs: × {each[1] / each[0]:.0f}"
    )
    return {"us": each[0], "mpmath_us": each[1]}


def immrax_boxes(repeats: int) -> dict:
    """Our search on Lorenz, level by level, with immrax's enclosures in one program.

    V̇ and its gradient by hand, for immrax has no rule for `stack`, which ∇V̇ needs. A
    compilation cache on disk would hide the compiling.
    """
    irx = importlib.import_module("immrax")
    size = 16_384

    def G(z):
        x, y, w = z[0], z[1], z[2]
        return 2 * (1 + RHO) * x * y - 2 * x**2 - 2 * y**2 - 16 / 3 * w**2

    partials = (
        lambda z: 2 * (1 + RHO) * z[1] - 4 * z[0],
        lambda z: 2 * (1 + RHO) * z[0] - 4 * z[1],
        lambda z: -32 / 3 * z[2],
    )

    def search():
        jax.clear_caches()
        value, slopes = irx.natif(G), [irx.natif(part) for part in partials]

        @jax.jit
        @jax.vmap
        def bound(low, high):
            box, middle = irx.interval(low, high), (low + high) / 2
            gradient = [slope(box) for slope in slopes]
            least = jnp.stack([g.lower for g in gradient])
            most = jnp.stack([g.upper for g in gradient])
            width = jnp.maximum(jnp.abs(least), jnp.abs(most))
            mean = G(middle) + jnp.sum(width * (high - low)) / 2
            return jnp.minimum(value(box).upper, mean), width * (high - low)

        low, high, seen = -SIDE * np.ones((1, 3)), SIDE * np.ones((1, 3)), 0
        while len(low):
            seen += len(low)
            bounds, swings = [], []
            for k in range(0, len(low), size):
                part = low[k : k + size], high[k : k + size]
                room = ((0, size - len(part[0])), (0, 0))
                b, s = bound(*(np.pad(a, room) for a in part))
                bounds.append(np.asarray(b)[: len(part[0])])
                swings.append(np.asarray(s)[: len(part[0])])
            inside = np.sum(np.maximum(low**2, high**2), axis=1) <= HOLE**2
            open_ = (np.concatenate(bounds) > 0) & ~inside
            low, high = low[open_], high[open_]
            axis = np.argmax(np.concatenate(swings)[open_], axis=1)
            rows, middle = np.arange(len(low)), (low + high) / 2
            left, right = high.copy(), low.copy()
            left[rows, axis] = right[rows, axis] = middle[rows, axis]
            low, high = np.vstack([low, right]), np.vstack([left, high])
        return seen

    with jax.enable_x64(True):
        theirs, seen = cpu(search, repeats)
    hole = certify.Ball(HOLE)
    sides = [-SIDE] * 3, [SIDE] * 3
    same = lambda t, z, args: t * G(z)  # whose V̇ is G where nothing moves
    still = lambda t, z, args: 0 * z
    ours, verdict = cpu(
        lambda: certify.on_box(same, still, *sides, excluding=hole), repeats
    )
    assert verdict.status == "holds"
    print(
        f"  to the certificate: {ours:.2f} s ({verdict.audited} boxes), immrax "
        f"{theirs:.2f} s ({seen} boxes, not rounded outwards): × {theirs / ours:.1f}"
    )
    return {"seconds": ours, "immrax_seconds": theirs, "immrax_boxes": seen}


def classes(repeats: int) -> dict:
    mu, L, tolerance = 1.0, 10.0, 1e-4
    methods = {
        "gradient": (dx.GradientDescent(), 1 / L),
        "Nesterov": (dx.NesterovSC(mu), L**-0.5),
        "triple momentum": (dx.TripleMomentum(mu), L**-0.5),
    }
    try:
        peers = autolyap(mu, L, tolerance)
    except ImportError:
        peers = {}
        print("  AutoLyap is not installed")
    found = {}
    for name, (opt, lr) in methods.items():
        constants = {"strong_convexity": mu, "smoothness": L, "tolerance": tolerance}
        search = functools.partial(certify.over_class, opt, lr, **constants)
        ours, certificate = cpu(search, repeats)
        row = {"seconds": ours, "rate": certificate.rate}
        line = f"  {name}: ρ = {certificate.rate:.4f} in {ours:.3f} s"
        if name in peers:
            theirs, rate = cpu(peers[name], repeats)
            row |= {"autolyap_seconds": theirs, "autolyap_rate": rate}
            line += f", AutoLyap {rate:.4f} in {theirs:.3f} s: × {theirs / ours:.2f}"
        print(line)
        found[name] = row
    return found


def autolyap(mu: float, L: float, tolerance: float) -> dict:
    """Its bisection of the rate at which f − f* falls, by method; the same solver."""
    lib = importlib.import_module("autolyap")
    algorithms = importlib.import_module("autolyap.algorithms")
    problems = importlib.import_module("autolyap.problemclass")
    problem = problems.InclusionProblem([problems.SmoothStronglyConvex(mu, L)])
    methods = {
        "gradient": algorithms.GradientMethod(1 / L),
        "Nesterov": algorithms.NesterovConstant(mu, L),
        "triple momentum": algorithms.TripleMomentum(mu, L),
    }
    linear = lib.IterationIndependent.LinearConvergence
    how = {
        "tol": tolerance,
        "verbosity": 0,
        "solver_options": lib.SolverOptions("cvxpy", cvxpy_solver="CLARABEL"),
    }

    def rate(algorithm):
        P, p, T, t = linear.get_parameters_function_value_suboptimality(algorithm, 0)
        found = linear.bisection_search_rho(problem, algorithm, P, T, p, t, **how)
        return float(found["rho"] or np.nan) ** 0.5

    return {name: functools.partial(rate, m) for name, m in methods.items()}


def sequential(repeats: int) -> dict:
    build, steps, _ = CASES["digits"]
    case = build(steps)

    def losses(params, batch):
        x, y = batch
        return optax.softmax_cross_entropy_with_integer_labels(mlp(params, x), y)

    def draw(key, size):
        k = jax.random.randint(key, (), 0, case.batches[0].shape[0])
        return jax.tree.map(lambda a: a[k, :size], case.batches)

    lion = optax.with_extra_args_support(optax.lion(LR, *BETAS, weight_decay=DECAY))
    found = {}
    for every, size in ((10, 128), (10, 32), (100, 128)):
        draws = functools.partial(draw, size=size)
        test = certify.Sequential(
            certify.Clipped(), losses=losses, batches=draws, every=every
        )
        runs = [compiled(tx, case) for tx in (test.watch(lion), lion)]
        carries = [carry for _, carry, _ in runs]

        def go(k, runs=runs, carries=carries):
            carries[k], _ = runs[k][0](carries[k])
            return carries[k]

        ours, theirs = functools.partial(go, 0), functools.partial(go, 1)
        seconds = "{:.1f}, optax {:.1f}".format(*(s for *_, s in runs))
        row = compare(ours, theirs, repeats, per=case.steps, facts={"compile": seconds})
        row.show(f"{size} fresh examples every {every} steps")
        verdict = test.verdict(carries[0][1])
        print(f"    cost × {1 / np.median(row.speed):.3f}; {verdict.status}")
        found[f"every={every}, {size}"] = row
    return found


CASES_HERE = {
    "boxes": boxes,
    "mpmath": mpmath_boxes,
    "immrax": immrax_boxes,
    "class": classes,
    "sequential": sequential,
}


def main(argv: list[str]) -> None:
    parser = options("certify", __doc__, repeats=5)
    parser.add_argument("--only", nargs="+", choices=CASES_HERE, default=[*CASES_HERE])
    with session(parser, argv) as (args, result):
        for name in args.only:
            print(f"  {name}")
            try:
                result[name] = CASES_HERE[name](args.repeats)
            except ImportError as missing:
                print(f"  skipped: {missing}")
