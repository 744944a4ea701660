"""Equations that hide a term or a coefficient, and noisy data about their solutions."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import identify, pde, pinn
from dynax.identify import monomials
from dynax.newton import LevenbergMarquardt
from dynax.pinn import inverse
from dynax.pinn.interpolant import Constant
from dynax.pinn.several import Several, SideBySide


LEVELS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # ε while a network stands for the term
MILDER = 0.1, 1.0, 10.0, 30.0, 100.0  # ε that the residuals of fields can meet
SOFT = 1e-5  # λ_d: as much harder is the equation than the data
COUNT = 25  # times of the swing, (q, p) at each; places of each state of the field
VISCOSITY, GUESS = 0.05, 0.2
SWUNG = 1.7, 0.0  # (q, p) at t = 0


class Duffing(pde.AbstractODE):
    """q̇ = p,  ṗ = αq − βq³: a swing over two wells.

    Args:
        start: (q, p) at t = 0.
        linear, cubic: α, β.
    """

    fields: ClassVar = ("q", "p")
    horizon: ClassVar = 8.0
    start: Any
    linear: float = 1.0
    cubic: float = 1.0

    def field(self, u):
        q, p = u[..., 0], u[..., 1]
        return jnp.stack([p, self.linear * q - self.cubic * q**3], -1)

    def initial(self, x):
        return jnp.asarray(self.start, x.dtype)


class OfPlace(eqx.Module):
    """(q, p) ↦ h(q): a force that is known not to depend on the velocity."""

    force: Callable

    def __call__(self, z):
        return self.force(z[:1])


class Reaction(pde.AbstractSemilinear):
    """uₜ = ν uₓₓ + γ(u − u³) on [−1, 1], periodic; u(0, x) = m + a sin πx + b cos 2πx.

    Args:
        diffusion, reaction: ν, γ.
        start: (m, a, b).
    """

    needs: ClassVar = "u t xx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 1.0
    start: Any
    reaction: float = 2.0
    diffusion: float = 0.05

    def equation(self, t, x, d):
        return d.t - self.diffusion * d.xx - self.reaction * (d.u - d.u**3)

    def initial(self, x):
        m, a, b = self.start
        return m + a * jnp.sin(jnp.pi * x) + b * jnp.cos(2 * jnp.pi * x)

    def symbol(self, k):
        return (self.reaction - self.diffusion * k**2).astype(complex)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return to_modes(-self.reaction * to_grid(u_hat) ** 3)


def term(equation):
    return equation.hidden


def viscosity(equation):
    return (equation.viscosity,)


class Problem(NamedTuple):
    """An equation in which something is hidden.

    Args:
        part: h ↦ the equation with it.
        hidden, network: key → h and the surrogate, untrained.
        library: θ; None where only a coefficient is hidden.
        settings: of the objective.
        levels: ε of the formula, or the coefficient, that the certificate is about.
        many: times, and places at each, of what is not trained on.
        start: u(0, ·).
        horizon: of the data.
    """

    part: Callable
    hidden: Callable
    network: Callable
    library: Any
    settings: dict[str, Any]
    levels: tuple[float, ...]
    many: tuple[int, int]
    start: Callable
    horizon: float

    def training(self, data) -> pinn.Trainer:
        learn = viscosity if self.library is None else term
        objective = pinn.Objective(
            data=data, data_weight=SOFT * self.unit, chunks=16, **self.settings
        )
        levels = self.levels if self.library is None else LEVELS
        annealing = self.annealing(levels)
        return pinn.Trainer(objective, LevenbergMarquardt(), annealing, learn=learn)

    def annealing(self, levels) -> pinn.Annealing:
        return pinn.Annealing(jnp.asarray(levels) / self.unit, patience=50)

    @property
    def unit(self):
        """A residual relative to size/length, over itself; squared."""
        equation = self.part(self.hidden(jax.random.key(0)))
        return (self.horizon / self.window.sizes(equation)[0]) ** 2

    @property
    def window(self) -> pinn.Window:
        zero = jnp.zeros((), jnp.result_type(float))
        return pinn.Window(zero, zero + self.horizon, self.start)


def swing(start) -> Problem:
    """q̇ = p, ṗ = h(q); h = q − q³."""
    known, library = Duffing(start, 0.0, 0.0), monomials("q", 3, constant=True)
    return Problem(
        lambda h: identify.WithHidden(known, OfPlace(h), "u", (1,)),
        lambda key: inverse.Hidden((1.5,), (2.0,), key=key),
        lambda key: pinn.mlp_field(known, key, width=16, depth=2),
        library,
        {"times": 64, "points": 1},
        LEVELS,
        (1024, 1),
        Constant(start, jnp.zeros_like(start)),
        known.horizon,
    )


def field(starts) -> Problem:
    """uₜ = ν uₓₓ + h(u) from all states, one h; h = 2u − 2u³."""
    states = [Reaction(start, 0.0) for start in starts]
    library = monomials("u", 3, constant=True)
    initial = tuple(state.initial for state in states)
    part = lambda h: Several(identify.WithHidden(states[0], h, "u"), initial)
    make = lambda key: pinn.mlp_field(states[0], key, width=10, depth=2)
    return Problem(
        part,
        lambda key: inverse.Hidden((1.0,), (1.0,), key=key, width=4),
        lambda key: SideBySide(make, jax.random.split(key, len(states))),
        library,
        {"times": 16, "points": 16},
        MILDER,
        (32, 16),
        part(None).initial,
        1.0,
    )


def burgers(amplitude) -> Problem:
    """uₜ + u uₓ = ν uₓₓ with ν in h's place."""
    start = Wave(amplitude)
    return Problem(
        pde.Burgers,
        lambda key: jnp.asarray(GUESS, amplitude.dtype),
        lambda key: pinn.mlp_field(pde.Burgers(), key, width=14, depth=2),
        None,
        {"times": 16, "points": 24},
        MILDER,
        (32, 32),
        start,
        1.0,
    )


class Wave(eqx.Module):
    """−a sin πx."""

    amplitude: Any

    def __call__(self, x):
        return -self.amplitude * jnp.sin(jnp.pi * x)


def runge_kutta(start, times):
    """(q, p) at equal steps, each of 20 steps of the classical method."""
    h = (times[1] - times[0]) / 20
    f = Duffing(start).field

    def step(u, _):
        a = f(u)
        b = f(u + h / 2 * a)
        c = f(u + h / 2 * b)
        return u + h / 6 * (a + 2 * b + 2 * c + f(u + h * c)), None

    save = lambda u, _: (jax.lax.scan(step, u, length=20)[0], u)
    return jax.lax.scan(save, start, length=len(times))[1]


def swung(start, noise, key) -> pinn.Data:
    """(q, p) at 25 times, off by normal errors."""
    times = jnp.linspace(0, Duffing.horizon, COUNT + 1, dtype=start.dtype)
    u = runge_kutta(start, times)[1:]
    error = noise * jax.random.normal(key, u.shape, u.dtype)
    sigma = jnp.broadcast_to(noise, (2,))
    return pinn.Data(times[1:], jnp.zeros((COUNT, 0), u.dtype), u + error, sigma)


def seen(truth, count, noise, seed) -> pinn.Data:
    """u at random points of a reference, off by normal errors."""
    random = np.random.default_rng(seed)
    i = random.integers(1, len(truth.t), count)
    j = random.integers(0, len(truth.axes[0]), count)
    value = truth.u[i, j] + noise * random.normal(size=(count, 1))
    x = truth.axes[0][j][:, None]
    return pinn.Data(*map(jnp.asarray, (truth.t[i], x, value, noise)))
