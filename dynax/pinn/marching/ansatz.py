"""Solutions whose dependence on space is exact: few modes that move along in time."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float

from dynax._check import require
from dynax.newton import LevenbergMarquardt
from dynax.pde import AbstractODE, AbstractPDE, AbstractSemilinear, Symmetry, odd
from dynax.pde.symmetry import RATE, START, asymmetry
from dynax.pinn.marching.space import AbstractSpace, Modes, NoSpace, Waves
from dynax.pinn.marching.times import AbstractTime, Legendre


def relative(space: AbstractSpace, by, speed, start, length, sizes):
    """ρ, (c, rows), of û = start + by that moves at `speed`, ∂û/∂τ."""
    r = space.rows(speed - length.astype(speed.dtype) * space.rate(start + by))
    stiff = length * space.stiffness(length.dtype)
    return r / ((1 + stiff) * sizes[:, None])


DENSE = 200  # unknowns of a window, up to which J is formed


class AbstractAnsatz(eqx.Module):
    """What a window's solution is written in: û(t) = û(t₀) + D(y, τ), D(y, 0) = 0."""

    pde: eqx.AbstractVar[AbstractPDE]
    modes: eqx.AbstractVar[int]  # K
    times: eqx.AbstractVar[int]  # of the residual, in a window
    order: eqx.AbstractVar[int]  # P: ρ ~ Δᴾ

    @property
    @abc.abstractmethod
    def space(self) -> AbstractSpace:
        """Modes, and the equation in them."""

    @abc.abstractmethod
    def init(self, key, dtype) -> Any:
        """y of a first window: no motion, or little."""

    @abc.abstractmethod
    def displacement(self, y, tau, offset) -> Array:
        """D; `offset` in [0, 1)ᵈ says where it is sampled, if it is."""

    @abc.abstractmethod
    def check(self, initial: Callable) -> None:
        """Raise a ValueError of a start that this cannot begin with."""

    def sized(self, sizes: Float[Array, " c"]) -> "AbstractAnsatz":
        """The same for fields of these sizes."""
        return self

    @abc.abstractmethod
    def guess(self, y, ratio) -> Any:
        """y to begin a window with, `ratio` times as long as the last one solved."""

    @abc.abstractmethod
    def grown(self, most: int) -> "AbstractAnsatz | None":
        """The same with half as many modes again; None where it may not have them."""

    @abc.abstractmethod
    def regridded(self, other: "AbstractAnsatz", y) -> Any:
        """y of one with fewer modes."""

    @abc.abstractmethod
    def value(self, start, y, tau, x) -> Array:
        """All fields at a time and a point, from û(t₀)."""

    @abc.abstractmethod
    def method(self, dtype) -> LevenbergMarquardt:
        """What solves a window."""


class Spectral(AbstractAnsatz):
    """Write the solution in few Fourier modes, each a function of time.

    u(t, x) = Σ_{|kᵢ| ≤ K} û_k(t) e^{ik·x},  û(t) = û(t₀) + Σ_p a_p g_p(τ),

    and for a system without space u itself. What is trained is a, and the parameters of
    g, if it has any. The start and the period are met exactly, and so is a symmetry
    that is declared. The basis in space is not learned.

    Args:
        pde: an `AbstractSemilinear`, periodic or with an odd start, or `AbstractODE`.
        modes: K; 0 for a system without space.
        time: g: `Legendre(P)`, of P = 10 unless given, or `TimeNetwork(…)`.
        symmetry: of the solution, `pde.odd()`, `pde.even()`, `pde.repeated(m)`; the one
            that the equation's class declares unless given, if its start has it.
        degree: q of the nonlinear part, as of a polynomial: it makes modes up to qK of
            modes up to K. Found by trial unless given.

    Where the boundary is "zero" the functions are sines: of the box itself if the start
    is odd there, else of the box and its mirror image.

    Raises:
        TypeError: the equation is neither, or has walls in more than one dimension.
        ValueError: `modes`; the start or the equation does not have the symmetry; the
            start is not 0 at walls.
    """

    pde: AbstractPDE
    modes: int = eqx.field(static=True)
    time: AbstractTime
    symmetry: Symmetry = eqx.field(static=True)
    mirrored: bool = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    def __init__(
        self,
        pde: AbstractPDE,
        modes: int = 0,
        time: AbstractTime | None = None,
        symmetry: Symmetry | None = None,
        degree: int | None = None,
    ):
        if not isinstance(pde, AbstractODE | AbstractSemilinear):
            raise TypeError(
                f"pde: given {type(pde).__name__}; accepted is an AbstractSemilinear "
                "(a symbol and a nonlinear part in Fourier modes) or an AbstractODE."
            )
        spatial = isinstance(pde, AbstractSemilinear)
        accepted = "K ≥ 1 of an equation in space" if spatial else "0 without space"
        require((modes >= 1) == spatial, "modes", modes, accepted)
        self.pde, self.modes = pde, modes
        self.time = Legendre() if time is None else time
        self.degree = found_degree(pde) if degree is None else degree
        self.symmetry, self.mirrored = symmetry_of(pde, symmetry)
        if (broken := breaks(self.space)) > RATE:
            raise ValueError(
                f"symmetry: given {self.symmetry}, of which {type(pde).__name__} makes "
                f"states that are not so, by {broken:.1g} of their rate; accepted is a "
                "symmetry that the equation keeps."
            )

    @property
    def times(self):
        return 2 * self.time.count

    @property
    def order(self):
        return self.time.count if self.time.linear else 4

    @property
    def space(self):
        pde: Any = self.pde
        if isinstance(pde, AbstractODE):
            return NoSpace(pde)
        return Waves(pde, self.modes, self.degree, self.symmetry, self.mirrored)

    @property
    def unknowns(self) -> int:
        """Of a window, but for θ."""
        c = _evolved(self.pde)
        return self.time.count * c * self.space.size

    def init(self, key, dtype):
        shape = self.time.count, _evolved(self.pde), self.space.size
        return {"a": jnp.zeros(shape, dtype), "theta": self.time.init(key, dtype)}

    def displacement(self, y, tau, offset):
        return self.space.unpack(jnp.tensordot(self.time(y["theta"], tau), y["a"], 1))

    def check(self, initial):
        if self.mirrored or isinstance(self.pde, AbstractODE):
            return
        check_start(self.pde, self.symmetry, initial)

    def value(self, start, y, tau, x):
        by = self.displacement(y, tau, jnp.zeros_like(x))
        return self.space.value(start + by, x)

    def guess(self, y, ratio):
        return {**y, "a": self.time.goes_on(y["a"], ratio)}

    def grown(self, most):
        modes = min(-(-3 * self.modes // 2), most)
        if modes <= self.modes:
            return None
        return self.replaced(modes)

    def replaced(self, modes: int) -> "Spectral":
        """The same with other modes."""
        own = None if self.mirrored else self.symmetry
        return Spectral(self.pde, modes, self.time, own, self.degree)

    def regridded(self, other, y):
        old, new = other.space, self.space
        moved = lambda z: new.pack(old.resized(old.unpack(z), new))
        return {**y, "a": jax.vmap(moved)(y["a"])}

    def method(self, dtype):
        linear = self.time.linear
        free = self.unknowns > DENSE and linear
        return LevenbergMarquardt(
            damping=1e-6 if linear else 1e-3,
            form="free" if free else "primal",
            linear_solver=lx.CG(rtol=1e-3, atol=1e-3, max_steps=60),
            preconditioner=self.precondition if free else None,
        )

    def precondition(self, y, args, damping):
        """v ↦ (JᵀJ + λ)⁻¹v of the linear part alone: one P × P matrix for each mode."""
        _, length, sizes, tau, _, root = args
        space = self.space
        g, slope = jax.vmap(self._basis, (None, 0))(y["theta"], tau)
        factors = space.factors(tau.dtype)
        as_q = lambda a: a.astype(factors.dtype)
        stiff = as_q(length) * factors
        g, slope = (as_q(a)[:, :, None, None] for a in (g, slope))
        scale = as_q(1 / ((1 + jnp.abs(stiff)) * sizes[:, None]))
        q = (slope - g * stiff[None, None]) * scale[None, None]
        q = q * as_q(root)[:, None, None, None]
        gram = jnp.einsum("ipch,iqch->chpq", jnp.conj(q), q)
        one = jnp.eye(self.time.count, dtype=gram.dtype)
        inverse = jnp.linalg.inv(gram + as_q(damping) * one[None, None])

        def apply(v):
            v = v.reshape(y["a"].shape)
            pairs = jax.vmap(space.pairs)(v)
            solved = jnp.einsum("chpq,qch->pch", inverse, pairs.astype(inverse.dtype))
            return jnp.ravel(jax.vmap(space.numbers)(solved))

        return apply

    def _basis(self, theta, tau):
        return jax.jvp(lambda s: self.time(theta, s), (tau,), (jnp.ones_like(tau),))


def _evolved(pde) -> int:
    if isinstance(pde, AbstractODE):
        return len(pde.fields)
    shape = len(pde.fields), *(4,) * len(pde.lower)
    return jax.eval_shape(pde.evolved, jax.ShapeDtypeStruct(shape, float)).shape[0]


def found_degree(pde: AbstractPDE, most: int = 4) -> int:
    """q: N makes modes up to qK of modes up to K; `most` if it makes more."""
    if not isinstance(pde, AbstractSemilinear):
        return 1
    low = 2
    space, made = Waves(pde, low, 2 * most), np.asarray(_made(pde, low, 2 * most))
    highest = np.abs(space.modes.periods).max(0)
    seen = made.reshape(len(made), -1).max(0) > 1e-4 * max(made.max(), 1e-30)
    return int(np.clip(-(-highest[seen].max(initial=0) // low), 1, most))


def check_start(pde: AbstractPDE, symmetry: Symmetry, initial: Callable) -> None:
    """Raise a ValueError of a start that does not have a symmetry."""
    if (off := asymmetry(pde, symmetry, initial)) > START:
        raise ValueError(
            f"initial: given a start that breaks the symmetry, {symmetry}, by "
            f"{off:.1g} of its size; accepted is one that has it."
        )


def symmetry_of(pde: AbstractPDE, given: Symmetry | None) -> tuple[Symmetry, bool]:
    """The symmetry to keep, and whether it is that of the box and its mirror image."""
    name, own = type(pde).__name__, pde.symmetry
    if isinstance(pde, AbstractODE):
        return Symmetry(), False
    if given is not None and (off := asymmetry(pde, given)) > START:
        raise ValueError(
            f"symmetry: given {given}, which the start of {name} breaks by {off:.1g} "
            "of its size; accepted is a symmetry that the start has."
        )
    if given is None:
        has = own is not None and asymmetry(pde, own) <= START
        given = own if has and own is not None else Symmetry()
    if pde.boundary == "periodic":
        return given, False
    if pde.boundary is None or len(pde.lower) > 1:
        raise TypeError(
            f"pde: given {name} with boundary {pde.boundary!r} in {len(pde.lower)} "
            'dimensions; accepted is "periodic", or "zero" in one dimension.'
        )
    walls = jnp.asarray([pde.lower, pde.upper])
    off = np.max(np.abs(np.asarray(jax.vmap(pde.initial)(walls))))
    if off > RATE * np.max(np.abs(np.asarray(jax.vmap(pde.initial)(_line(pde))))):
        raise ValueError(
            f"initial: given {off:.1g} at the walls of {name}; accepted is 0 there."
        )
    return (given, False) if given.parity == -1 else (odd(), True)


def _line(pde):
    return jnp.linspace(pde.lower[0], pde.upper[0], 33)[:, None]


def breaks(space: AbstractSpace) -> float:
    """How much of the rate of a random symmetric state is not symmetric."""
    if not isinstance(space, Waves) or space.symmetry == Symmetry():
        return 0.0
    off, size = _broken(space.pde, space.symmetry, space.mirrored)
    return float(off) / max(float(size), 1e-30)


@eqx.filter_jit
def _made(pde, most, degree):
    """|N̂| of a random state."""
    space = Waves(pde, most, degree)
    z = jax.random.normal(jax.random.key(0), (_evolved(pde), space.size))
    return jnp.abs(space.nonlinear(space.unpack(z)))


@eqx.filter_jit
def _broken(pde, symmetry, mirrored):
    """Sizes of what is not symmetric in a rate, and of the rate."""
    space = Waves(pde, 4, 2, symmetry, mirrored)
    z = jax.random.normal(jax.random.key(1), (_evolved(pde), space.size))
    whole = Modes(space.torus, space.reach.most)
    rate = whole.pack(space.rate(space.unpack(z)))
    kept = whole.pack(space.within(whole.unpack(rate)))
    return jnp.linalg.norm(jnp.ravel(rate - kept)), jnp.linalg.norm(jnp.ravel(rate))
