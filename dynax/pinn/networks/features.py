"""Features: what a network is told of (t, x), so that it is periodic, or scaled."""

import abc
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from dynax._tree import cast
from dynax.pde import AbstractPDE
from dynax.pde.conditions import periodic_axes
from dynax.pinn.networks._fixed import AbstractFixed


class Window(AbstractFixed):
    """Scale the time of a window to [−1, 1]. t₀ and t₁ are traced, so that one compiled
    program serves all windows of a march.
    """

    t0: Array = eqx.field(converter=jnp.asarray)
    t1: Array = eqx.field(converter=jnp.asarray)

    def __call__(self, t):
        t0, t1 = cast(self.t0, t.dtype), cast(self.t1, t.dtype)
        return 2 * (t - t0) / (t1 - t0) - 1


def with_window(u: PyTree, t0, t1) -> PyTree:
    """The same network on another window of time: every `Window` in it replaced."""
    is_window = lambda node: isinstance(node, Window)
    new = Window(t0, t1)
    return jax.tree.map(lambda n: new if is_window(n) else n, u, is_leaf=is_window)


class AbstractFeatures(eqx.Module):
    """A map from (t, x), of shapes () and (d,), to features z, of shape (size,)."""

    size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, t: Float[Array, ""], x: Float[Array, " d"]) -> Array:
        """z."""


class AbstractAxes(AbstractFeatures):
    """Features that know one coordinate at a time, as separable networks need."""

    lower: eqx.AbstractVar[tuple[float, ...]]
    upper: eqx.AbstractVar[tuple[float, ...]]

    @abc.abstractmethod
    def along(self, axis: int, s: Float[Array, ""]) -> Float[Array, " k"]:
        """Of the time s = t alone, axis = 0, or of the coordinate s = x[axis − 1]."""


class Box(AbstractAxes):
    """Scale all coordinates to [−1, 1].

    z = (t̂, x̂).

    Args:
        lower, upper: the box in space; empty for an ordinary differential equation.
        t0, t1: the window of time.
    """

    window: Window
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, lower=(), upper=(), t0=0.0, t1=1.0):
        self.lower, self.upper = _box(lower, upper)
        self.window = Window(t0, t1)
        self.size = 1 + len(self.lower)

    def along(self, axis, s):
        if axis == 0:
            return self.window(s)[None]
        a, b = self.lower[axis - 1], self.upper[axis - 1]
        return (2 * (s - a) / (b - a) - 1)[None]

    def __call__(self, t, x):
        places = [self.along(i + 1, x[i]) for i in range(len(self.lower))]
        return jnp.concatenate([self.along(0, t), *places])


class Periodic(AbstractAxes):
    """Make features that are periodic in space, exactly.

    z = (t̂, all products over the coordinates of 1, cos kωx, sin kωx), k ≤ modes,
    ω = 2π/(upper − lower), but for the constant one: that is the network's bias.

    Any function of z is periodic in x with all its derivatives, exactly.
    Source: Dong, Ni, J. Comput. Phys. 435 (2021) 110242.

    Args:
        lower, upper: the box in space, a period in each coordinate.
        modes: ≥ 1.
        t0, t1: the window of time.
        free: coordinates that have no period: scaled to [−1, 1], as by `Box`.
    """

    window: Window
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    modes: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    free: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, lower, upper, modes=2, t0=0.0, t1=1.0, free=()):
        self.lower, self.upper = _box(lower, upper)
        if not self.lower:
            raise ValueError("lower: given (); accepted is one coordinate at least.")
        if modes < 1:
            raise ValueError(f"modes: given {modes}; accepted is 1, 2, ….")
        self.window, self.modes = Window(t0, t1), modes
        self.free = tuple(free)
        self.size = (2 * modes + 1) ** (len(self.lower) - len(free)) * 2 ** len(free)

    def along(self, axis, s):
        if axis == 0:
            return self.window(s)[None]
        a, b = self.lower[axis - 1], self.upper[axis - 1]
        if axis - 1 in self.free:
            return (2 * (s - a) / (b - a) - 1)[None]
        return waves(s, a, b, self.modes)

    def __call__(self, t, x):
        one = jnp.ones(1, x.dtype)
        places = [
            jnp.concatenate([one, self.along(i + 1, x[i])])
            for i in range(len(self.lower))
        ]
        products = functools.reduce(lambda a, b: jnp.outer(a, b).ravel(), places)
        return jnp.concatenate([self.along(0, t), products[1:]])


class RandomFourier(AbstractFeatures):
    """Make random Fourier features z ↦ (cos Bz, sin Bz), B ~ N(0, σ²), trained with the
    rest.

    Source: Tancik et al., arXiv:2006.10739; Wang, Wang, Perdikaris, arXiv:2012.10047.

    Args:
        features: give z.
        count: rows of B; twice as many features come out.
        sigma: σ, the typical frequency.
    """

    features: AbstractFeatures
    frequencies: Float[Array, "count k"]
    size: int = eqx.field(static=True)

    def __init__(self, features, count, sigma=1.0, *, key, dtype=None):
        shape = (count, features.size)
        self.features, self.size = features, 2 * count
        self.frequencies = sigma * jax.random.normal(key, shape, dtype)

    def __call__(self, t, x):
        phase = self.frequencies @ self.features(t, x)
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


def features(pde: AbstractPDE, modes: int = 2, t0=0.0, t1=None) -> AbstractAxes:
    """Return `Periodic` or `Box`, as the equation's box and boundary ask. t₁ is its
    horizon.
    """
    t1 = pde.horizon if t1 is None else t1
    axes = periodic_axes(pde)
    if axes:
        free = tuple({*range(len(pde.lower))} - {*axes})
        return Periodic(pde.lower, pde.upper, modes, t0, t1, free)
    return Box(pde.lower, pde.upper, t0, t1)


def waves(s, lower, upper, modes):
    """(cos kωs, sin kωs), k = 1 … modes, from the left end."""
    k = jnp.arange(1, modes + 1, dtype=s.dtype)
    phase = k * (2 * jnp.pi / (upper - lower) * (s - lower))
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


def _box(lower, upper):
    lower, upper = tuple(map(float, lower)), tuple(map(float, upper))
    ordered = all(a < b for a, b in zip(lower, upper, strict=False))
    if len(lower) != len(upper) or not ordered:
        raise ValueError(
            f"lower, upper: given {lower}, {upper}; accepted is a box, lower < upper."
        )
    return lower, upper
