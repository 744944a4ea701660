"""What a differential equation is here: a residual of any callable u, and its data."""

import abc
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.pde.derivatives import Derivatives, Engine, derivatives


Coordinates = Float[Array, " d"]
Fields = Float[Array, " c"]
Function = Callable[[Float[Array, ""], Coordinates], Fields]


class Points(NamedTuple):
    """Collocation points: ascending times, and at each its own points in space."""

    t: Float[Array, " times"]
    x: Float[Array, "times points d"]


class Functional(NamedTuple):
    """E(t) = ∫ density dx, and what the equation makes of it.

    Along *any* smooth u, a solution or not, with r the residual,

        Ė = ∫ rate dx + ∫ ⟨variation, r⟩ dx,

    so a network's energy is audited exactly. All three are functions of
    (x, derivatives), elementwise over leading axes; `density` and `rate` give (…),
    `variation` one number per residual, (…, r).

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
    kind: Literal["falls", "conserved", "balances"]


class AbstractPDE(eqx.Module):
    """F(t, x, u, uₜ, uₓ, …) = 0 on a box, t ∈ [0, horizon], with u(0, x) given.

    A function u maps (t, x), of shapes () and (d,), to its fields, of shape (c,). An
    ordinary differential equation has d = 0. Coefficients are dataclass fields, traced,
    so sweeping or learning them never recompiles. To write your own, say the class
    variables below, `equation` and `initial`:

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
    needs: ClassVar[str]  # "u t xx": the derivatives that `equation` reads
    lower: ClassVar[tuple[float, ...]] = ()
    upper: ClassVar[tuple[float, ...]] = ()
    boundary: ClassVar[Literal["periodic", "zero"]] = "periodic"
    horizon: ClassVar[float]

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
            ValueError: at trace time; u gives other than one number per field.
        """
        t = jnp.asarray(t, x.dtype)
        d = engine(u, t, x, tuple(self.needs.split()))
        given = next(iter(d.values())).shape
        if given != (len(self.fields),):
            raise ValueError(
                f"u: gives shape {given}; {type(self).__name__} accepts "
                f"({len(self.fields)},), its fields {', '.join(self.fields)}."
            )
        return self.equation(t, x, Derivatives(d))

    def sample(
        self, key, times: int, points: int, t0=0.0, t1=None, dtype=None
    ) -> Points:
        """Ascending times, one in each of `times` equal slices of [t0, t1], and
        `points` uniform places at each."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        t1 = self.horizon if t1 is None else t1
        key_t, key_x = jax.random.split(key)
        inside = jax.random.uniform(key_t, (times,), dtype)
        inside = (jnp.arange(times, dtype=dtype) + inside) / times
        lower, upper = (jnp.asarray(a, dtype) for a in (self.lower, self.upper))
        shape = (times, points, len(self.lower))
        place = jax.random.uniform(key_x, shape, dtype)
        x = lower + (upper - lower) * place
        return Points(t0 + (t1 - t0) * inside, x)
