"""How fast are physics-informed networks?  Against jinns and DeepXDE (on JAX).

Cases:
    gradient  mean r² and its gradient in the parameters, same network, weights and
              points: ours under one vmap, by `pinn.Objective.blocks`, and with
              `pde.nested_grad`; jinns'; DeepXDE's. All values agree. Burgers,
              4 × 64, 2,000 points; Kuramoto–Sivashinsky (KS), 4 × 64, 1,024 points; f32
    step      a step of Adam on all of 2,000 points, Burgers, 4 × 64, hard initial
              condition: `pinn.train`, `jinns.solve`, DeepXDE's `model.train`; at fixed
              points with uniform weights as they do it, and (dynax-causal) with causal
              weights at fresh points in each step. Blocks of 40 steps
    memory    of a cycle with one Levenberg–Marquardt step, as XLA has compiled it;
              float64
    race      CPU seconds to relative L2 1e-3 on Allen–Cahn, compile time apart; same
              network, 3 × 20, periodic. ours: causal Levenberg–Marquardt. jinns: Adam,
              its Broyden, its natural gradient. DeepXDE: Adam, it has no other

speed × is time(peer)/time(dynax) of runs in turn, over 1 where dynax is the faster.
Times are CPU seconds, so give it one core and one thread: XLA_FLAGS=
--xla_cpu_multi_thread_eigen=false taskset -c 1 python …. Peers that are not installed
are skipped.

Examples:
    python scripts/bench.py pinn --case gradient step memory
    python scripts/bench.py pinn --case race --only dynax jinns-broyden --seconds 120
"""

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import pinn_peers as peers
from benchmarks.common import options, session
from dynax import pde as equations, pinn
from dynax.newton import LevenbergMarquardt
from dynax.pinn.cycle import Cycle
from dynax.pinn.train import begin


TARGET = 1e-3
PEERS = {"jinns": peers.jinns, "deepxde": peers.deepxde}
LEVELS = 0.14, 1.4, 14.0, 140.0, 1400.0


def make(pde, width, depth, times, points, hard=False):
    """A network and points of an equation."""
    drawn = pde.sample(jax.random.key(1), times, points)
    t = jnp.broadcast_to(drawn.t[:, None, None], drawn.x.shape)
    tx = jnp.concatenate([t, drawn.x], -1).reshape(-1, 2)
    network = pinn.mlp_field(pde, jax.random.key(0), width, depth)
    return peers.Problem(pde, network, hard, tx), drawn


def in_turn(runs: dict[str, Callable[[], float]], repeats: int) -> dict[str, list]:
    """Seconds of each, all in turn and each time in another order."""
    times: dict[str, list] = {name: [] for name in runs}
    for k in range(repeats):
        names = [*runs][k % len(runs) :] + [*runs][: k % len(runs)]
        for name in names:
            times[name].append(runs[name]())
    return times


def rows(times: dict[str, list], compiling: dict[str, float]) -> dict[str, Any]:
    """Medians, and the ratios to the first of `times` of the same turn."""
    ours = next(iter(times.values()))
    return {
        name: {
            "ms": statistics.median(own) * 1e3,
            "speed": sorted(b / a for a, b in zip(ours, own, strict=True)),
            "compile": compiling.get(name),
        }
        for name, own in times.items()
    }


def installed() -> dict[str, Callable]:
    return {name: peer for name, peer in PEERS.items() if name not in peers.absent()}


def gradient(repeats: int, quick: bool) -> dict[str, Any]:
    cases = {
        "Burgers": (equations.Burgers(), 64, 4, 40, 50),
        "KS": (equations.KuramotoSivashinsky(), 64, 4, 32, 32),
    }
    found = {}
    for name, case in cases.items():
        found[name] = _gradient(repeats, 0.05 if quick else 0.2, *case)
        report(f"gradient {name}", found[name])
    return found


def _gradient(repeats, seconds, *case):
    problem, points = make(*case)
    pde, scheme = problem.pde, pinn.Uniform()
    objective = pinn.Objective(
        times=points.x.shape[0],
        points=points.x.shape[1],
        chunks=2,
        scheme=scheme,
        ansatz=pinn.penalised_initial,
    )
    window = pinn.Window(jnp.zeros(()), jnp.ones(()), pde.initial)
    batch = objective.sample(jax.random.key(1), pde, window)._replace(points=points)
    model = pinn.Model(problem.network, pde)
    params, static = pinn.Trainer(objective, optax.adam(1e-3), pinn.Annealing()).split(
        model
    )

    def blocks(params):
        found = objective.blocks(eqx.combine(params, static), window, batch)
        return jnp.mean(found["equation"] ** 2)

    def direct(engine):
        def loss(params):
            u = problem.u(eqx.combine(params, static).network)
            residual = lambda tx: pde.residual(u, tx[0], tx[1:], engine)
            return jnp.mean(jax.vmap(residual)(problem.tx) ** 2)

        return loss

    losses: dict[str, tuple[Callable, Any]] = {
        "dynax": (direct(equations.derivatives), params),
        "dynax-blocks": (blocks, params),
        "nested-grad": (direct(equations.nested_grad), params),
    }
    for name, peer in installed().items():
        built = peer(problem)
        losses[name] = built.loss, built.params()
    runs, compiling, values = {}, {}, {}
    for name, (loss, params) in losses.items():
        begun = time.process_time()
        run = jax.jit(jax.value_and_grad(loss, allow_int=True)).lower(params).compile()
        compiling[name] = time.process_time() - begun
        values[name] = float(run(params)[0])
        begun = time.process_time()
        jax.block_until_ready(run(params))
        calls = 1 + int(seconds / (time.process_time() - begun))

        def clock(run=run, params=params, calls=calls):
            begun = time.process_time()
            for _ in range(calls):
                jax.block_until_ready(run(params))
            return (time.process_time() - begun) / calls

        runs[name] = clock
    np.testing.assert_allclose([*values.values()], values["dynax"], rtol=1e-3)
    return rows(in_turn(runs, repeats), compiling)


def step(repeats: int, quick: bool) -> dict[str, Any]:
    problem, points = make(equations.Burgers(), 64, 4, 40, 50, hard=True)
    steps = 10 if quick else 40
    window = pinn.Window(jnp.zeros(()), jnp.ones(()), problem.pde.initial)
    model = pinn.Model(problem.network, problem.pde)
    fixed = lambda key, pde, window, dtype, residual: points
    never = pinn.Annealing((1.0,), delta=1.0)  # min w > 1 stops no run
    ours = {
        "dynax": pinn.Trainer(
            pinn.Objective(40, 50, 20, pinn.Uniform()),
            optax.adam(1e-3),
            never,
            sampler=fixed,
        ),
        "dynax-causal": pinn.Trainer(
            pinn.Objective(40, 50, 20, pinn.Causal()), optax.adam(1e-3), never
        ),
    }
    runs: dict[str, Callable] = {}

    def clock(training):
        begun = time.process_time()
        found = pinn.train(
            training, model, window, jax.random.key(0), steps, block=steps
        )
        jax.block_until_ready(found.state.params)
        return (time.process_time() - begun) / steps

    for name, training in ours.items():
        runs[name] = functools.partial(clock, training)
    for name, peer in installed().items():
        train = peer(problem).train
        runs[name] = functools.partial(lambda train: train(steps) / steps, train)
    compiling = {}
    for name, run in runs.items():
        begun = time.process_time()
        run()
        compiling[name] = time.process_time() - begun
    times = in_turn(runs, repeats)
    for name, own in times.items():
        compiling[name] -= statistics.median(own) * steps
    found = rows(times, compiling)
    report("step", found)
    return found


def memory(repeats: int, quick: bool) -> dict[str, Any]:
    """MiB at once: given, given back, and used between; and what the solver states."""
    del repeats
    found: dict[str, Any] = {}
    pde = equations.AllenCahn()
    with jax.enable_x64(True):
        window = pinn.Window(jnp.zeros(()), jnp.ones(()), pde.initial)
        for times, points, width in [(32, 64, 20)] + [(64, 128, 43)] * (not quick):
            network = pinn.mlp_field(pde, jax.random.key(0), width, 3)
            model = pinn.Model(network, pde)
            objective = pinn.Objective(times, points, 32)
            for form in ("primal", "dual", "free"):
                method = LevenbergMarquardt(form=form)
                training = pinn.Trainer(objective, method, pinn.Annealing())
                cycle, params = Cycle.of(training, model, window)
                state = begin(cycle, params, jax.random.key(0))
                one = jax.jit(functools.partial(cycle.advance, cycles=1))
                used = one.lower(state).compile().memory_analysis()
                names = "argument_size_in_bytes output_size_in_bytes temp_size_in_bytes"
                size = sum(getattr(used, name) for name in names.split())
                n = sum(a.size for a in jax.tree.leaves(params))
                stated = method.step_bytes(times * points, n)
                found[f"{times * points} × {n} {form}"] = {
                    "MiB": size / 2**20,
                    "stated MiB": stated / 2**20,
                }
    for name, row in found.items():
        print(f"  memory {name:<22} {row['MiB']:8.1f} MiB", end="")
        print(f" (stated {row['stated MiB']:.1f})", flush=True)
    return found


Course = Iterator[tuple[float, Callable]]


def ours_race() -> Course:
    """CPU seconds so far, and the solution there."""
    pde = equations.AllenCahn()
    network = pinn.mlp_field(pde, jax.random.key(0), 20, 3)
    melting = pinn.HeatKernelInitial(float(pde.diffusion))
    objective = pinn.Objective(times=32, points=64, chunks=32, ansatz=melting)
    training = pinn.Trainer(
        objective, LevenbergMarquardt(), pinn.Annealing(LEVELS, patience=50)
    )
    start = pinn.interpolate(pde, lambda t, x: pde.initial(x), jnp.zeros(()), 128)
    window = pinn.Window(jnp.zeros(()), jnp.ones(()), start)
    model = pinn.Model(network, pde)
    cycle, params = Cycle.of(training, model, window)
    state = begin(cycle, params, jax.random.key(0))
    go = jax.jit(lambda state: cycle.advance(state, 10)[0]).lower(state).compile()
    used = 0.0
    while not bool(state.done):
        begun = time.process_time()
        state = jax.block_until_ready(go(state))
        used += time.process_time() - begun
        network = cycle.model(state.params).network
        yield used, objective.ansatz(pde, network, window)


def peer_race(build: Callable[..., peers.Peer], hard: bool, share: float) -> Course:
    """In parts of about `share` seconds."""
    problem, _ = make(equations.AllenCahn(), 20, 3, 32, 64, hard)
    peer = build(problem)
    peer.train(5)
    each = max(peer.train(20) / 20, 1e-5)
    used, steps = 0.0, max(int(share / each), 5)
    while True:
        used += peer.train(steps)
        yield used, peer.u(peer.params())


def callback_value(params, loss, batch):
    return loss(params, batch)[0]


def callback_grad(params, loss, batch):
    return jax.grad(lambda params: loss(params, batch)[0])(params)


def jinns_broyden(problem) -> peers.Peer:
    from jinns.optimizers import scale_by_SSBroyden_family  # pyright: ignore
    from jinns.solver import GetJinnsVariableName  # pyright: ignore

    extra = {
        "value": GetJinnsVariableName("train_loss_value"),
        "grad_pt": GetJinnsVariableName("grads"),
        "value_fn": callback_value,
        "grad_fn": callback_grad,
        "loss": GetJinnsVariableName("loss"),
        "batch": GetJinnsVariableName("batch"),
    }
    return peers.jinns(problem, scale_by_SSBroyden_family(), extra)


def jinns_natural(problem) -> peers.Peer:
    from jinns.optimizers import vanilla_ngd  # pyright: ignore

    return peers.jinns(problem, vanilla_ngd(), weight=100.0)


# how, hard initial condition, float64
RACERS: dict[str, tuple[Callable, bool, bool]] = {
    "jinns-broyden": (jinns_broyden, True, True),
    "jinns-natural": (jinns_natural, False, True),
    "jinns-adam": (peers.jinns, True, False),
    "deepxde-adam": (peers.deepxde, True, False),
}


def race(only: list[str], seconds: float) -> dict[str, Any]:
    """Each: (CPU seconds, error) until the target or the time is reached."""
    known = equations.reference(equations.AllenCahn(), cache=True)
    found: dict[str, Any] = {}
    for name in only:
        double = name == "dynax" or RACERS[name][2]
        if any(name.startswith(peer) for peer in peers.absent()):
            continue
        with jax.enable_x64(double):
            if name == "dynax":
                course = ours_race()
            else:
                build, hard, _ = RACERS[name]
                course = peer_race(build, hard, seconds / 4)
            curve = []
            for used, u in course:
                error = equations.relative_l2(u, known).overall
                curve.append((used, error))
                print(f"  race {name:<14} {used:6.1f} s  error {error:.1e}", flush=True)
                if used > seconds or error < TARGET:
                    break
        found[name] = curve
    return found


def report(case: str, found: dict[str, Any]) -> None:
    for name, row in found.items():
        speed = row["speed"]
        print(
            f"  {case:<17} {name:<14} {row['ms']:8.2f} ms  × "
            f"{statistics.median(speed):5.2f} ({speed[0]:.2f} … {speed[-1]:.2f})  "
            f"compile {row['compile']:.1f} s",
            flush=True,
        )


CASES = {"gradient": gradient, "step": step, "memory": memory}


def main(argv: list[str]) -> None:
    parser = options("pinn", __doc__, repeats=9)
    add = parser.add_argument
    add("--case", nargs="+", choices=[*CASES, "race"], default=[*CASES])
    add("--quick", action="store_true", help="fewer calls, 5 repeats")
    racers = ["dynax", *RACERS]
    add("--only", nargs="+", choices=racers, default=racers, help="of the race")
    add("--seconds", type=float, default=120.0, help="of the race, each")
    with session(parser, argv, facts=peers.versions()) as (args, result):
        for said in peers.absent().values():
            print(f"  {said}")
        for case in args.case:
            if case == "race":
                result[case] = race(args.only, args.seconds)
            else:
                result[case] = CASES[case](args.repeats, args.quick)
