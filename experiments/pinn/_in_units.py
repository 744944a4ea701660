"""Problems in any units of t and u, with solutions that no part of dynax computed."""

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from scipy.special import erf

from dynax import pde
from dynax.pde import Derivatives


class InUnits(pde.AbstractPDE):
    """`of`, its t and u multiplied by `time` and `size`, which are traced: one program
    serves all units."""

    needs: ClassVar = ""
    horizon: ClassVar = 1.0
    of: pde.AbstractPDE
    time: Any
    size: Any

    def equation(self, t, x, d):
        factor = lambda name: self.time if name == "t" else 1.0
        own = {k: a / self.size * factor(k) for k, a in d.items()}
        r = self.of.equation(t / self.time, x, Derivatives(own))
        return r * (self.size / self.time)

    def initial(self, x):
        return self.size * self.of.initial(x)


class SemilinearInUnits(pde.AbstractSemilinear):
    """The same of uₜ = L u + N(u)."""

    needs: ClassVar = ""
    horizon: ClassVar = 1.0
    of: pde.AbstractSemilinear
    time: Any
    size: Any

    equation = InUnits.equation
    initial = InUnits.initial

    def symbol(self, k):
        return self.of.symbol(k) / self.time

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        own = self.of.nonlinear(k, u_hat / self.size, to_grid, to_modes)
        return own * (self.size / self.time)


@functools.cache
def _kind(base, kind):
    same = "fields", "needs", "lower", "upper", "boundary", "horizon"
    return type(f"{kind.__name__}InUnits", (base,), {k: getattr(kind, k) for k in same})


def in_units(problem, time: float, size: float):
    """The problem, t in units of 1/time and u in units of 1/size."""
    semilinear = isinstance(problem, pde.AbstractSemilinear)
    base = SemilinearInUnits if semilinear else InUnits
    numbers = jax.tree.map(jnp.asarray, (problem, 1.0 * time, 1.0 * size))
    return _kind(base, type(problem))(*numbers)


# Ordinary differential equations


class AbstractFlow(pde.AbstractPDE):
    """u̇ = F(t, u), from numbers."""

    stiff: ClassVar = False
    needs: ClassVar = "u t"
    horizon: ClassVar = 1.0

    @abc.abstractmethod
    def start(self) -> tuple:
        """u at t = 0, a number a field."""

    @abc.abstractmethod
    def rates(self, m, t, *u) -> tuple:
        """F, in the arithmetic of the module m: numpy or jax.numpy."""

    def equation(self, t, x, d):
        rates = self.rates(jnp, t, *(d.u[..., i] for i in range(len(self.fields))))
        return d.t - jnp.stack(rates, -1)

    def initial(self, x):
        return jnp.stack([jnp.asarray(a, x.dtype) for a in self.start()])


class Epidemic(AbstractFlow):
    fields: ClassVar = ("s", "i", "r")
    infected: float = 1e-3

    def rates(self, m, t, s, i, r):
        return -0.4 * s * i, 0.4 * s * i - 0.1 * i, 0.1 * i

    def start(self):
        return 1 - self.infected, self.infected, 0.0 * self.infected


class Predators(AbstractFlow):
    fields: ClassVar = ("prey", "predators")

    def rates(self, m, t, x, y):
        return x * (1 - y), y * (x - 2)

    def start(self):
        return 2.0, 2.0


class Driven(AbstractFlow):
    """u̇ = gain·u − cubic·u³ + a pulse of `area`."""

    begin: float = 1.0
    gain: float = -1.0
    cubic: float = 0.0
    area: float = 1.0
    at: float = 0.7
    width: float = 2e-2

    def rates(self, m, t, u):
        s = (t - self.at) / self.width
        pulse = m.exp(-(s**2) / 2) / (self.width * np.sqrt(2 * np.pi))
        return (self.gain * u - self.cubic * u**3 + self.area * pulse,)

    def start(self):
        return (self.begin,)

    def linear(self, t):
        """The solution where `cubic` is 0."""
        g, w = self.gain, self.width
        part = lambda t: erf(((t - self.at) / w + g * w) / np.sqrt(2)) / 2
        kick = np.exp(g * (t - self.at) + (g * w) ** 2 / 2) * (part(t) - part(0.0))
        return self.begin * np.exp(g * t) + self.area * kick


def bistable(begin):
    return Driven(begin, 1.0, 1.0, 0.0)


def pulse(at, width):
    return Driven(at=at, width=width)


class Swing(AbstractFlow):
    fields: ClassVar = ("angle", "rate")

    def rates(self, m, t, q, v):
        return v, -m.sin(q)

    def start(self):
        return 2.0, 0.0


class Duffing(AbstractFlow):
    fields: ClassVar = ("place", "rate")

    def rates(self, m, t, q, v):
        return v, -0.2 * v + q - q**3 + 0.3 * m.cos(1.2 * t)

    def start(self):
        return 1.0, 0.0


class Attractor(AbstractFlow):
    """Lorenz's."""

    fields: ClassVar = ("x", "y", "z")

    def rates(self, m, t, x, y, z):
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    def start(self):
        return 1.0, 1.0, 1.0


class Relaxing(AbstractFlow):
    """A fast field that follows a slow one, 1,000 times as fast."""

    stiff: ClassVar = True
    fields: ClassVar = ("slow", "fast")

    def rates(self, m, t, a, b):
        return -a, 1e3 * (a**2 - b)

    def start(self):
        return 1.0, 1.0


# In space


class Front(pde.AbstractPDE):
    """Fisher's equation between walls at 1 and 0."""

    needs: ClassVar = "u t xx"
    lower: ClassVar = (-10.0,)
    upper: ClassVar = (20.0,)
    boundary: ClassVar = "zero"
    horizon: ClassVar = 3.0

    def equation(self, t, x, d):
        return d.t - d.xx - d.u * (1 - d.u)

    def initial(self, x):
        return 1 / (1 + jnp.exp(x / np.sqrt(6))) ** 2


class Phases(pde.AllenCahn):
    """Allen–Cahn from a smooth state."""

    def initial(self, x):
        return 0.5 * jnp.cos(jnp.pi * x) + 0.2 * jnp.sin(2 * jnp.pi * x)


@dataclasses.dataclass(frozen=True)
class Truth:
    """A solution at times and places, in the problem's own units."""

    t: np.ndarray
    x: np.ndarray
    u: np.ndarray  # (nt, m, c)

    def error(self, u: Callable, time: float, size: float) -> float:
        """Of a function in other units: of the worst field, the largest root mean
        square over space, over the field's own over space and time."""
        t, x = jnp.asarray(self.t * time), jnp.asarray(self.x)
        given = np.asarray(_values(u, t, x)) / size
        rms = lambda a: np.sqrt(np.mean(a**2, 1))
        own = np.sqrt(np.mean(rms(self.u) ** 2, 0))
        return float(np.max(np.max(rms(given - self.u), 0) / own))


@eqx.filter_jit
def _values(u, t, x):
    return jax.vmap(jax.vmap(u, (None, 0)), (0, None))(t, x)


def truth(problem, length: float) -> Truth:
    """The solution on [0, length]: in closed form, else by scipy."""
    t = np.linspace(0, length, 129)
    if isinstance(problem, Driven) and not problem.cubic:
        return Truth(t, np.zeros((1, 0)), problem.linear(t)[:, None, None])
    if isinstance(problem, AbstractFlow):
        start = np.asarray(problem.start(), float)
        f = lambda t, u: np.asarray(problem.rates(np, t, *u))
        u = _integrate(f, t, start, "Radau" if problem.stiff else "DOP853")
        return Truth(t, np.zeros((1, 0)), u[:, None])
    n = 1501 if isinstance(problem, Front) else 256
    a, b = problem.lower[0], problem.upper[0]
    x = np.linspace(a, b, n, endpoint=isinstance(problem, Front))[:, None]
    start = np.asarray(jax.vmap(problem.initial)(jnp.asarray(x)))[:, 0]
    if isinstance(problem, pde.AbstractExact):
        at = jax.vmap(jax.vmap(problem.exact, (None, 0)), (0, None))
        return Truth(t, x, np.asarray(at(jnp.asarray(t), jnp.asarray(x))))
    if isinstance(problem, Front):

        def f(t, u):
            rate = np.zeros_like(u)
            rate[1:-1] = np.diff(u, 2) / (x[1] - x[0]) ** 2 + (u * (1 - u))[1:-1]
            return rate

        u = _integrate(f, t, start, "LSODA", lband=1, uband=1)
    else:
        k = 2 * np.pi * np.fft.rfftfreq(n, (b - a) / n)
        slope = lambda u, m: np.fft.irfft((1j * k) ** m * np.fft.rfft(u), n)
        nu = float(problem.diffusion)
        gain = float(problem.reaction)
        f = lambda t, u: nu * slope(u, 2) + gain * (u - u**3)
        u = _integrate(f, t, start, "DOP853")
    step = -(-n // 128)
    return Truth(t, x[::step], u[:, ::step, None])


def _integrate(f, t, start, method, **options):
    found = scipy.integrate.solve_ivp(
        f, (0, t[-1]), start, method, t, rtol=1e-11, atol=1e-14, **options
    )
    assert found.success
    return found.y.T
