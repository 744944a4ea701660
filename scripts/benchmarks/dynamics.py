"""How fast is a Lyapunov spectrum?  Lorenz, RK4, h = 0.01, all three exponents.

Rows:
    one          one run of T = 1,000 after T = 100, renormalised every 10 steps
    many         1,000 runs of T = 100 after T = 50

    hand         the same in a loop written by hand, without checks
    lyapax       lyapax under an outer jit (without one it traces at each call)
    pynamicalsys one run, renormalised at each step, as it has no other way

    speed ×      time(peer) / time(dynax): over 1 where dynax is the faster

A peer that is not installed is skipped; pynamicalsys is GPL and never a dependency.
`dynax` includes its checks: a neighbour at a finite distance, and the divergence.

Examples:
    python scripts/bench.py dynamics
    python scripts/bench.py dynamics --only one --json dynamics.json
"""

import importlib
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.common import built, compare, options, session
from dynax import dynamics as dy


H, EVERY = 0.01, 10
LENGTHS = {"one": (100_000, 10_000), "many": (10_000, 5_000)}


def rates(u):
    x, y, z = u
    return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def field(t, u, args):
    return rates(u)


def rk4(u):
    k1 = rates(u)
    k2 = rates(u + H / 2 * k1)
    k3 = rates(u + H / 2 * k2)
    k4 = rates(u + H * k3)
    return u + H / 6 * (k1 + 2 * (k2 + k3) + k4)


def gram_schmidt(q):
    """Rows made orthonormal, each projection done twice, and their lengths."""
    rows, lengths = [], []
    for v in q:
        for _ in range(2):
            for unit in rows:
                v = v - jnp.sum(unit * v) * unit
        lengths.append(jnp.sqrt(jnp.sum(v * v)))
        rows.append(v / lengths[-1])
    return jnp.stack(rows), jnp.stack(lengths)


def hand(steps: int, discard: int):
    """Benettin's loop, as one would write it."""

    def once(carry, _):
        u, q = carry
        u_next, push = jax.linearize(rk4, u)
        return (u_next, jax.vmap(push)(q)), None

    def block(carry, _):
        (u, q), _ = jax.lax.scan(once, carry, length=EVERY)
        q, lengths = gram_schmidt(q)
        return (u, q), jnp.log(lengths)

    def run(u):
        carry, _ = jax.lax.scan(block, (u, jnp.eye(3)), length=discard // EVERY)
        _, grown = jax.lax.scan(block, carry, length=steps // EVERY)
        return jnp.sum(grown, axis=0) / (steps * H)

    return run


def ours(steps: int, discard: int):
    """All starts in one call: they lead the array."""

    def run(u):
        given: Any = {"every": EVERY, "starts": None, "discard": discard}
        count = len(u) * steps
        key = jax.random.key(0)
        s = dy.spectrum(dy.rk4(field, H), u, key, steps=count, **given)
        return s.each, s.parting, s.divergence

    return run


def lyapax(steps: int, discard: int):
    module = importlib.import_module("lyapax")

    def run(u):
        found = module.lyapunov_spectrum(
            rk4, u, H, steps, renorm_every=EVERY, t_transient=discard * H
        )
        return found.exponents

    return run


def pynamicalsys(steps: int, discard: int):
    module = importlib.import_module("pynamicalsys")
    system = module.ContinuousDynamicalSystem(model="lorenz system")
    system.integrator("rk4", time_step=H)
    return lambda u: system.lyapunov(
        list(map(float, u[0])),
        steps * H,
        parameters=[10.0, 28.0, 8 / 3],
        transient_time=discard * H,
    )


def row(name: str, repeats: int, result: dict) -> None:
    count = 1 if name == "one" else 1000
    u = jnp.array([[1.0, 1.0, 20.0]]) + 0.01 * jnp.arange(count)[:, None]
    program, compiled, _ = built(ours(*LENGTHS[name]), u)
    for peer in (hand, lyapax, pynamicalsys):
        label = f"{name}, against {peer.__name__}"
        if peer is pynamicalsys and name == "many":
            continue
        try:
            run = peer(*LENGTHS[name])
            other = run if peer is pynamicalsys else built(jax.vmap(run), u)[0]
        except ImportError as missing:
            print(f"  {label:<34} skipped: {missing}")
            continue
        facts = {"compile_s": round(compiled, 2)}
        result[label] = compare(
            lambda: program(u), lambda other=other: other(u), repeats, facts=facts
        )
        result[label].show(label)


def main(argv: list[str]) -> None:
    parser = options("dynamics", __doc__, repeats=7)
    parser.add_argument("--only", nargs="+", choices=LENGTHS, default=[*LENGTHS])
    jax.config.update("jax_enable_x64", True)
    with session(parser, argv) as (args, result):
        for name in args.only:
            row(name, args.repeats, result)
