"""Example problems of other packages, each solved in a stated time and judged twice: by
what dynax says of it, and by an oracle from outside.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from dynax import pde, pinn
from dynax.newton import LevenbergMarquardt
from dynax.pinn import networks
from experiments.pinn import _on_shapes as problems
from experiments.pinn._study import clocked


RTOL = 1e-2  # what a certificate promises
RESIDUAL = 3e-3  # what the last ε asks of the relative residual


@dataclasses.dataclass(frozen=True)
class Example:
    """A published example, and how it is solved here.

    Args:
        name, source: of whose examples it is.
        solve: (seconds, seed, cycles) → a row: `error` by the oracle, `status`,
            `estimate`, `doubt`, `seconds`, the `u` found, and whether what is
            `compared` is u, and not a coefficient or a few values.
        oracle: what the error is measured against.
    """

    name: str
    source: str
    solve: Callable[..., dict]
    oracle: str = "closed form"


def fit(problem, seconds, seed, most, *, points, width=16, more=None) -> dict:
    """Train a network for a number of seconds, and read its certificate."""
    timed, more = "t" in problem.needs.split(), more or {}
    network = more.pop("network", None)
    learn, data = more.pop("learn", None), more.pop("data", None)
    kind: Any = pinn.Objective if timed else pinn.Objective.steady
    size = (32, points, 16) if timed else (points,)
    given = {} if data is None else {"data": data, "data_weight": 1e-3}
    objective = kind(*size, **given)
    annealing = pinn.Annealing.reaching(RESIDUAL, chunks=objective.chunks, patience=30)
    how = pinn.Trainer(
        objective, LevenbergMarquardt(), annealing, learn=learn, rtol=RTOL
    )
    window, key = pinn.Window.of(problem), jax.random.key(seed)
    if network is None:
        network = pinn.mlp_field(problem, key, width=width, depth=2)
    model = pinn.Model(network, problem)
    given = {"block": min(10, most), "seconds": seconds}
    out, took = clocked(pinn.train, how, model, window, key, most, **given)
    certificate, judging = clocked(how.certificate, out, window)
    estimate = certificate.estimate
    return {
        "u": how.solution(out.model, window),
        "pde": out.model.pde,
        "seconds": took,
        "judging": judging,
        "cycles": certificate.cycles,
        "status": certificate.status,
        "estimate": math.nan if estimate is None else estimate.relative,
        "doubt": math.nan if estimate is None else estimate.doubt,
    }


def known(make, **how):
    """Solve a problem whose solution is known."""

    def solve(seconds, seed=0, most=200):
        problem = make()
        more = {k: v(problem, seed) for k, v in how.items() if callable(v)}
        plain = {k: v for k, v in how.items() if not callable(v)}
        row = fit(problem, seconds, seed, most, more=more, **plain)
        return row | {"error": float(max(problems.off(problem, row["u"])))}

    return solve


def waves(problem, seed):
    """A network that is told cosines and sines of random plane waves."""
    first, second = jax.random.split(jax.random.key(seed))
    box = networks.features(problem)
    z = networks.RandomFourier(box, 24, 4.0, key=first)
    return networks.Field(z, networks.MLP(z.size, 1, 24, 1, key=second))


def cavity(seconds, seed=0, most=200):
    """u on the middle line beside Ghia's table, in shares of the lid's speed."""
    row = fit(problems.Cavity(), seconds, seed, most, points=600, width=20)
    y = np.asarray([*problems.GHIA])
    line = jnp.stack([jnp.full(len(y), 0.5), jnp.asarray(y)], 1)
    at = eqx.filter_jit(lambda u, x: jax.vmap(lambda x: u(jnp.zeros(()), x))(x))
    u = np.asarray(at(row["u"], line))[:, 0]
    table = np.asarray([*problems.GHIA.values()])
    return row | {"error": float(np.max(np.abs(u - table))), "compared": False}


def drum(seconds, seed=0, most=200):
    """The lowest eigenvalue of a disk; the middle of the membrane is held at 1."""
    one = jnp.ones(1)
    seen = pinn.Data(0 * one, jnp.zeros((1, 2)), one[:, None], 1e-3)
    problem = problems.Drum(jnp.asarray(4.0))
    more: dict[str, Any] = {"data": seen, "learn": lambda p: p.square}
    row = fit(problem, seconds, seed, most, points=256, width=12, more=more)
    true = 2.404825557695773**2  # j₀,₁
    return row | {"error": abs(float(row["pde"].square) / true - 1), "compared": False}


def lorenz(seconds, seed=0, most=200):
    """σ, ρ, β from 25 states of 3 time units."""
    start, true = np.array([-8.0, 7.0, 27.0]), np.array([10.0, 15.0, 8 / 3])

    def rate(t, u, s=true):
        x, y, z = u
        return [s[0] * (y - x), x * (s[1] - z) - y, x * y - s[2] * z]

    t = np.linspace(0, 3, 26)[1:]
    how = {"rtol": 1e-11, "atol": 1e-11, "t_eval": t, "method": "DOP853"}
    found = scipy.integrate.solve_ivp(rate, (0, 3), start, **how).y.T
    data = pinn.Data(jnp.asarray(t), jnp.zeros((25, 0)), jnp.asarray(found), 0.1)
    problem = Attractor(*(jnp.asarray(a) for a in (8.0, 12.0, 2.0)))
    more = {"data": data, "learn": lambda p: (p.sigma, p.rho, p.beta)}
    row = fit(problem, seconds, seed, most, points=1, width=24, more=more)
    found = np.array([row["pde"].sigma, row["pde"].rho, row["pde"].beta])
    return row | {"error": float(np.max(abs(found / true - 1))), "compared": False}


class Attractor(pde.AbstractODE):
    """Lorenz' equations as DeepXDE's example has them."""

    fields = ("x", "y", "z")
    horizon = 3.0
    sigma: Any = 10.0
    rho: Any = 15.0
    beta: Any = 8 / 3

    def field(self, u):
        x, y, z = u[..., 0], u[..., 1], u[..., 2]
        rates = self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z
        return jnp.stack(rates, -1)

    def initial(self, x):
        return jnp.asarray([-8.0, 7.0, 27.0], x.dtype)


def reaction(seconds, seed=0, most=200):
    """D and k from 400 values of a solution by the method of lines."""
    x, t = np.linspace(0, 1, 201), np.linspace(0, 10, 41)[1:]
    begin = np.concatenate([np.exp(-20 * x), np.exp(-20 * (1 - x))])

    def rate(_, u):
        a, b = u.reshape(2, -1)
        bend = np.zeros((2, len(x)))
        bend[:, 1:-1] = np.diff([a, b], 2) / (x[1] - x[0]) ** 2
        made = 0.1 * a * b**2 * ((x > 0) & (x < 1))
        return (2e-3 * bend - np.stack([made, 2 * made])).ravel()

    found = scipy.integrate.solve_ivp(
        rate, (0, 10), begin, "BDF", t_eval=t, rtol=1e-6, atol=1e-9
    ).y.T.reshape(len(t), 2, -1)
    some = np.random.default_rng(seed).integers(0, (len(t), len(x)), (200, 2))
    values = jnp.asarray(found[some[:, 0], :, some[:, 1]])
    places = jnp.asarray(x[some[:, 1], None])
    data = pinn.Data(jnp.asarray(t[some[:, 0]]), places, values, 0.01)
    problem = problems.Reaction(jnp.asarray(1e-3), jnp.asarray(0.05))
    more = {"data": data, "learn": lambda p: (p.diffusion, p.rate)}
    row = fit(problem, seconds, seed, most, points=24, width=16, more=more)
    d, k = float(row["pde"].diffusion), float(row["pde"].rate)
    error = max(abs(d / 2e-3 - 1), abs(k / 0.1 - 1))
    return row | {"error": error, "compared": False}


def schroedinger(seconds, seed=0, most=200):
    """A march of modes in space, beside another solver, on 256 places."""
    del most
    problem = problems.Schroedinger()
    ansatz = networks.Spectral(problem, 64, networks.Legendre(10))
    key = jax.random.key(seed)
    out, took = clocked(
        pinn.march, ansatz, (0, problem.horizon), 1e-4, key=key, seconds=seconds
    )
    n = 256
    x = -5 + 10 * np.arange(n) / n
    k = 2 * np.pi / 10 * np.fft.fftfreq(n, 1 / n)

    def rate(t, h):  # of the amplitudes, each in a frame that turns with it
        turn = np.exp(-0.5j * k**2 * t)
        u = np.fft.ifft(h * turn)
        return 1j * np.fft.fft(abs(u) ** 2 * u) / turn

    t = np.linspace(0, problem.horizon, 21)
    begin = np.fft.fft(2 / np.cosh(x)).astype(complex)
    how = {"method": "DOP853", "rtol": 1e-8, "atol": 1e-8, "t_eval": t}
    h = scipy.integrate.solve_ivp(rate, (0, t[-1]), begin, **how).y
    true = np.fft.ifft(h * np.exp(-0.5j * k[:, None] ** 2 * t), axis=0).T
    at = jax.jit(jax.vmap(jax.vmap(out.solution, (None, 0)), (0, None)))
    u = np.asarray(at(jnp.asarray(t), jnp.asarray(x[:, None])))
    gap = u[..., 0] + 1j * u[..., 1] - true
    solved = out.holds and out.error <= RTOL
    return {
        "u": out.solution,
        "seconds": took,
        "judging": 0.0,
        "cycles": sum(w.cycles for w in out.tried),
        "status": "solved" if solved else out.status,
        "estimate": out.error,
        "doubt": 0.0,
        "error": float(np.linalg.norm(gap) / np.linalg.norm(true)),
    }


BOTH = "DeepXDE, jinns"
EXAMPLES = (
    Example("Poisson, L", "DeepXDE", known(problems.Membrane, points=256, width=12)),
    Example(
        "Helmholtz", "DeepXDE", known(problems.Helmholtz, points=1024, network=waves)
    ),
    Example("heat, Robin", BOTH, known(problems.Rod, points=16, width=12)),
    Example("reaction, inverse", "DeepXDE", reaction, "method of lines"),
    Example("Lorenz, inverse", "DeepXDE", lorenz, "Runge–Kutta of order 8"),
    Example("Kovasznay", "DeepXDE", known(problems.Kovasznay, points=512, width=16)),
    Example("plate", "DeepXDE", known(problems.Plate, points=512, width=20)),
    Example("Schrödinger", "DeepXDE", schroedinger, "Runge–Kutta of order 8"),
    Example("wave, hard", "DeepXDE", known(problems.String, points=24, width=16)),
    Example("cavity, Re 100", "DeepXDE", cavity, "Ghia et al., table I"),
)
OWN = (
    Example("Bratu, disk", "own", known(problems.Bratu, points=128, width=8)),
    Example("mixed sides", "own", known(problems.Warm, points=192, width=10)),
    Example("Robin, disk", "own", known(problems.Turned, points=192, width=12)),
    Example("drum, k²", "own", drum, "a root of J₀"),
)
