"""What a differential equation is here: a residual of any callable u, and its data."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from dynax.pde.conditions import AbstractCondition, by_side
from dynax.pde.derivatives import Derivatives, Engine, derivatives
from dynax.pde.symmetry import Symmetry
from dynax.shapes import AbstractShape, Box


Coordinates = Float[Array, " d"]
Fields = Float[Array, " c"]
Function = Callable[[Float[Array, ""], Coordinates], Fields]
WaveNumbers = Float[Array, "d *modes"]
Modes = Complex[Array, "c *modes"]
Transform = Callable[[Array], Array]
Kind = Literal["falls", "conserved", "balances"]


class Points(NamedTuple):
    """Collocation points in time, space and at the walls.

    Collocation points: ascending times, and at each its own points in space.
    """

    t: Float[Array, " times"]
    x: Float[Array, "times points d"]


class Functional(NamedTuple):
    """An integral over space, and what the equation makes of it.

    E(t) = ∫ density dx, and what the equation makes of it.

    Along *any* smooth u that meets the boundary condition, a solution or not, with r
    the residual,

        Ė = ∫ rate dx + ∫ ⟨variation, r⟩ dx,

    so a network's energy is audited exactly. All three are functions of
    (x, derivatives), elementwise over leading axes; `density` and `rate` give (…),
    `variation` one number per residual, (…, r). Where d = 0, ∫ f dx is f.

    Args:
        needs: derivatives that the three ask for, in the words of `AbstractPDE.needs`.
        density, rate, variation: as above.
        kind: what a solution's E does: "falls" (rate ≤ 0 pointwise), is "conserved"
            (∫ rate = 0), or only "balances" (rate has no sign).
    """

    needs: str
    density: Callable[[Array, Derivatives], Array]
    rate: Callable[[Array, Derivatives], Array]
    variation: Callable[[Array, Derivatives], Array]
    kind: Kind


class AbstractPDE(eqx.Module):
    """State an equation on a box, with an initial state.

    F(t, x, u, uₜ, uₓ, …) = 0 on a box, t ∈ [0, horizon], with u(0, x) given.

    A function u maps (t, x), of shapes () and (d,), to its fields, of shape (c,). An
    ordinary differential equation has d = 0. Coefficients are dataclass fields, traced,
    so sweeping or learning them never recompiles. To write your own, say the class
    variables below, `equation` and `initial`. Space is the box from `lower` to `upper`,
    or any `domain` of `dynax.shapes`. The boundary is "periodic", "zero" (at the walls
    u keeps its initial values, zero or not), a condition for each side (a class
    variable or a property: `{"left": Dirichlet(1.0), "right": Robin(1.0, self.k)}`), or
    None: a condition that only your own ansatz knows, and no certificate can test.

        class Fisher(AbstractPDE):
            "uₜ = D uₓₓ + ρ u(1 − u)"
            needs = "u t xx"
            lower, upper, boundary, horizon = (0.0,), (1.0,), "periodic", 1.0
            diffusion: float = 1e-2
            rate: float = 5.0

            def equation(self, t, x, d):
                return d.t - self.diffusion * d.xx - self.rate * d.u * (1 - d.u)

            def initial(self, x):
                return 0.5 * (1 + jnp.sin(2 * jnp.pi * x))
    """

    fields: ClassVar[tuple[str, ...]] = ("u",)
    sizes: ClassVar[tuple[float, ...] | None] = None  # typical, of each field or of all
    growth: ClassVar[float | None] = None  # of a small error over the horizon, if known
    gauge: ClassVar[
        tuple[str, ...]
    ] = ()  # fields that a constant in space may be added to
    symmetry: ClassVar[Symmetry | None] = None  # of the solution
    needs: ClassVar[str]  # "u t xx": the derivatives `equation` reads
    lower: ClassVar[tuple[float, ...]] = ()
    upper: ClassVar[tuple[float, ...]] = ()
    domain: ClassVar[AbstractShape | None] = None
    boundary: ClassVar[Any] = "periodic"
    horizon: ClassVar[float]
    least_times: ClassVar[int] = 2  # of collocation

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        domain = cls.__dict__.get("domain")
        if isinstance(domain, AbstractShape):
            cls.lower, cls.upper = domain.lower, domain.upper

    def __check_init__(self):
        missing = sorted({"needs", "horizon"} - {*dir(self)})
        if missing:
            raise TypeError(
                f"{', '.join(missing)}: none given by {type(self).__name__}; accepted "
                'is needs = "u t xx", what `equation` reads, and horizon = 1.0.'
            )
        if not self.lower:
            return
        word = self.boundary is None or isinstance(self.boundary, str)
        box = self.domain is None or isinstance(self.domain, Box)
        words = ("periodic", "zero", None) if box else (None,)
        if not (
            isinstance(self.boundary, Mapping | AbstractCondition)
            or (word and self.boundary in words)
        ):
            raise ValueError(
                f"boundary: given {self.boundary!r} by {type(self).__name__}; accepted "
                'is "periodic", "zero" (u keeps its initial values at the walls) in a '
                'box, a condition for each side, as {"left": pde.Dirichlet(0.0), …}, '
                "or None where only your own ansatz knows the condition."
            )
        by_side(self)

    @property
    def shape(self) -> AbstractShape:
        """The region: `domain`, or the box from `lower` to `upper`."""
        return Box(self.lower, self.upper) if self.domain is None else self.domain

    @abc.abstractmethod
    def equation(self, t: Array, x: Array, d: Derivatives) -> Array:
        """F, one number per residual, elementwise over leading axes of its arguments.

        Args:
            t: (…), the time.
            x: (…, d), the place.
            d: `d.u`, `d.t`, `d.xx`, … each of shape (…, c).
        """

    @abc.abstractmethod
    def initial(self, x: Coordinates) -> Fields:
        """u(0, x)."""

    def functionals(self) -> dict[str, Functional]:
        """Energies and conserved quantities by name; none unless the equation has."""
        return {}

    def residual(
        self, u: Function, t, x: Coordinates, engine: Engine = derivatives
    ) -> Array:
        """F at one point, for any callable u.

        Args:
            u: (t, x) → fields.
            t, x: the point; vmap for many.
            engine: how derivatives are taken (`dynax.pde.derivatives`).

        Raises:
            ValueError: at trace time; x is no point of this space, u gives other than
                one number per field, or `equation` other than one per residual.
        """
        name, space = type(self).__name__, (len(self.lower),)
        if x.shape != space:
            raise ValueError(
                f"x: given shape {x.shape}; accepted is {space}, one point of "
                f"{name}'s space (vmap for many)."
            )
        t = jnp.asarray(t, x.dtype)
        d = engine(u, t, x, tuple(self.needs.split()))
        given = next(iter(d.values())).shape
        if given != (len(self.fields),):
            raise ValueError(
                f"u: given values of shape {given}; accepted is ({len(self.fields)},), "
                f"the fields {', '.join(self.fields)} of {name}."
            )
        r = self.equation(t, x, Derivatives(d))
        if jnp.ndim(r) != 1:
            raise ValueError(
                f"equation: given shape {jnp.shape(r)} by {name} at one point; "
                "accepted is (r,), one number per residual."
            )
        return r

    def sample(
        self, key, times: int, points: int, t0=0.0, t1=None, dtype=None
    ) -> Points:
        """Ascending times, one in each of `times` equal slices of [t0, t1], and
        `points` places at each, one in each equal slice of every coordinate (a Latin
        hypercube), or from the domain's own `sample` if it is no box: uniform, but with
        less scatter in their means.

        Raises:
            ValueError: fewer than two times, or no point.
        """
        if times < self.least_times or points < 1:
            raise ValueError(
                f"times, points: given {times}, {points}; accepted is times ≥ "
                f"{self.least_times}, points ≥ 1."
            )
        dtype = jnp.result_type(float) if dtype is None else dtype
        t1 = self.horizon if t1 is None else t1
        t0, t1 = jnp.asarray(t0, dtype), jnp.asarray(t1, dtype)
        key_t, key_x, key_order = jax.random.split(key, 3)
        inside = jax.random.uniform(key_t, (times,), dtype)
        inside = (jnp.arange(times, dtype=dtype) + inside) / times
        t = t0 + (t1 - t0) * inside
        if not isinstance(self.domain, Box | None):
            draw = lambda key: self.shape.sample(key, points, dtype)
            return Points(t, jax.vmap(draw)(jax.random.split(key_x, times)))
        shape = times, points, len(self.lower)
        spread = lambda a: jnp.broadcast_to(jnp.asarray(a, dtype), shape)
        lower, upper = spread(self.lower), spread(self.upper)
        slices = spread(jnp.arange(points)[:, None])
        if len(self.lower) > 1:
            slices = jax.random.permutation(key_order, slices, 1, independent=True)
        place = (slices + jax.random.uniform(key_x, shape, dtype)) / points
        return Points(t, lower + (upper - lower) * place)


class AbstractExact(AbstractPDE):
    """A problem whose solution is known in closed form."""

    @abc.abstractmethod
    def exact(self, t, x: Coordinates) -> Fields:
        """u(t, x)."""

    def initial(self, x):
        return self.exact(jnp.zeros((), x.dtype), x)


class AbstractODE(AbstractPDE):
    """State a system of ordinary differential equations.

    u̇ = field(u): no space, d = 0, and functions u(t, x) get an x of shape (0,).
    """

    needs: ClassVar = "u t"

    @abc.abstractmethod
    def field(self, u: Array) -> Array:
        """u̇ at u, shape (…, c)."""

    def equation(self, t, x, d):
        return d.t - self.field(d.u)


class AbstractSemilinear(AbstractPDE):
    """State a semilinear equation on a periodic box.

    uₜ = L u + N(u) on a periodic box, L diagonal in Fourier space.

    This is what a spectral solver needs: û ↦ L û + N̂(û) for the fields that evolve,
    c' of them, usually all. The first c' residuals of `equation` are theirs,
    uₜ − L u − N(u). In what follows k has shape (d, *modes), angular wave numbers:
    2π/P times integers; ∂ⱼ is the factor i k[j]. With one field in one dimension k has
    the shape of û, so that a formula needs no indices.
    """

    @abc.abstractmethod
    def symbol(self, k: WaveNumbers) -> Modes:
        """L, one factor per evolved field and mode; complex."""

    @abc.abstractmethod
    def nonlinear(
        self,
        k: WaveNumbers,
        u_hat: Modes,
        to_grid: Transform,
        to_modes: Transform,
    ) -> Modes:
        """N̂.

        Args:
            k: angular wave numbers.
            u_hat: û of the evolved fields.
            to_grid: modes → values, (n, *modes) → (n, *grid) for any n, dealiased.
            to_modes: values → modes, its inverse.
        """

    def evolved(self, u: Array) -> Array:
        """Of all fields, (c, …), those that evolve, (c', …)."""
        return u

    def recover(self, k: WaveNumbers, u_hat: Modes) -> Modes:
        """û of all fields from that of the evolved ones."""
        del k
        return u_hat
