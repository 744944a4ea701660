"""A window of time, and the sizes that make what happens in it dimensionless.

A residual has units, and a number with units says nothing about an error. So each is
divided by what would change the solution by its own size within the window:

    ρᵢ = rᵢ/Rᵢ,   Rᵢ = Σ_f |∂rᵢ/∂(∂ₜu_f)| S_f/Δt,   S_f the size of field f,

for uₜ = F(u): ρ = Δt·r/S, and ∫ρ²dt/Δt bounds the square of the relative error that the
residual causes, but for the equation's own growth. A residual without a time derivative
is divided by the size of its terms at the start. So no unit of t, x or u, and no factor
of the equation, changes ρ.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._types import Scalar
from dynax.pde import AbstractPDE, AbstractSteady, Derivatives, Periodic, derivatives
from dynax.pde.conditions import by_side, rows_at


TIMES, PLACES = 32, 16  # where the start is measured


class Scale(NamedTuple):
    """Sizes at a window's start.

    Args:
        sizes: S_f while training: `pde.sizes`, else the root mean square of u₀ over
            places and fields, and 1 where u₀ is zero everywhere.
        rows: Rᵢ of these sizes.
        rate: Rᵢ = Σ_f rate[i, f] S_f.
        terms: Rᵢ where that is zero for all sizes.
        start: root mean squares of the fields of u₀.
        driven: how far each field gets in Δt at the rate that it has at the start.
        slopes: |∂rᵢ/∂d_f| of the space derivatives d, by name.
        null: mean Σᵢρᵢ² of u ≡ u₀ in units of `start`: the loss of doing nothing.
        sides: Rᵢ = Σ_f sides[name][i, f] S_f of the conditions' residuals.
    """

    sizes: Float[Array, " c"]
    rows: Float[Array, " r"]
    rate: Float[Array, "r c"]
    terms: Float[Array, " r"]
    start: Float[Array, " c"]
    driven: Float[Array, " c"]
    slopes: dict[str, Float[Array, "r c"]]
    null: Scalar
    sides: dict[str, Float[Array, "r c"]] = {}

    def per_row(self, sizes: Float[Array, "*n c"]) -> Float[Array, "*n r"]:
        """Rᵢ of other sizes S_f."""
        found = sizes @ self.rate.T
        return jnp.where(found > 0, found, jnp.broadcast_to(self.terms, found.shape))

    def own(self, u: Float[Array, "times places c"]) -> Float[Array, "times c"]:
        """S_f(t) of a solution: the largest ‖u_f(s)‖ that it had at any s ≤ t.

        An error grows with what it is an error of, so it is judged against the size at
        its own time. A field that starts at zero gets what its first rate drives it to
        in Δt, if it ever gets so far; one that nothing drives, the size of all fields.
        """
        size = jnp.maximum(jax.lax.cummax(_rms(u, 1)), self.start[None])
        size = jnp.maximum(size, jnp.minimum(self.driven, size[-1])[None])
        every = jnp.broadcast_to(_rms(size, -1, True), size.shape)
        return jnp.where(self.still[None], every, size)

    @property
    def still(self):
        """Fields that are zero at the start, and that nothing drives from there."""
        return (self.start == 0) & (self.driven == 0)


class Window(NamedTuple):
    """One stretch of time and the state it starts from, all traced.

    Args:
        t0, t1: the times, numbers or arrays.
        initial: x → fields.
        scale: a `Scale`, or None until `measured` takes it.
    """

    t0: Any
    t1: Any
    initial: Any
    scale: Any = None

    @classmethod
    def of(cls, pde: AbstractPDE, t1=None) -> "Window":
        """From the equation's own initial state, to t₁ or its horizon."""
        zero = jnp.zeros((), jnp.result_type(float))
        return cls(zero, zero + (pde.horizon if t1 is None else t1), pde.initial)

    def measured(self, pde: AbstractPDE, dtype=None) -> "Window":
        """The window with its scale."""
        if self.scale is not None:
            return self
        dtype = jnp.result_type(float) if dtype is None else dtype
        array = lambda t: t if hasattr(t, "dtype") else jnp.asarray(t, dtype)
        over = self._replace(t0=array(self.t0), t1=array(self.t1))
        scale = jax.tree.map(lambda a: a.astype(dtype), _measure(pde, over))
        return over._replace(scale=scale)

    def sizes(self, pde: AbstractPDE) -> Float[Array, " c"]:
        """S_f. They do not depend on coefficients, which may be learned."""
        if self.scale is not None:
            return self.scale.sizes
        return _sizes(pde, _start(pde, self, _points(pde, self).x))


@eqx.filter_jit
def measured(pde: AbstractPDE, window: Window, dtype) -> Window:
    """The window with its scale, compiled."""
    return window.measured(pde, dtype)


def _points(pde, window):
    count = (TIMES, PLACES) if pde.lower else (TIMES * PLACES, 1)
    dtype = getattr(window.t0, "dtype", None)
    return pde.sample(jax.random.key(0), *count, window.t0, window.t1, dtype)


def _start(pde, window, x):
    x = x if pde.lower else x[:1]
    return _rms(jax.vmap(jax.vmap(window.initial))(x), (0, 1))


def _sizes(pde, start):
    if pde.sizes is not None:
        return jnp.broadcast_to(jnp.asarray(pde.sizes, start.dtype), start.shape)
    if isinstance(pde, AbstractSteady):
        return _steady_sizes(pde, start)
    every = _rms(start, -1, True)
    return jnp.broadcast_to(tree.safe_denominator(every), start.shape)


def _rms(a, axes, keepdims=False):
    """Root mean square; of numbers as small as there are, whose squares are none."""
    most = jnp.max(jnp.abs(a), axes, keepdims=True)
    share = a / tree.safe_denominator(most)
    found = most * jnp.sqrt(jnp.mean(share**2, axes, keepdims=True))
    return found if keepdims else jnp.squeeze(found, axes)


def _measure(pde: AbstractPDE, window: Window) -> Scale:
    """By the slopes of equation and conditions along u ≡ u₀, in the whole window."""
    sides = _on_sides(pde, window)
    steady = isinstance(pde, AbstractSteady)
    found = (
        _measure_steady(pde, window, sides) if steady else _measure_moving(pde, window)
    )
    return found._replace(sides={name: rate for name, (rate, _) in sides.items()})


def _on_sides(pde: AbstractPDE, window: Window) -> dict[str, tuple[Array, Array]]:
    """Of each condition: Σ |∂row/∂d| over the derivatives, each by its lengths, (r, c);
    and the root mean squares of the rows along u ≡ u₀, (r,)."""
    found, length = {}, jnp.asarray(window.t1 - window.t0)
    middle = (jnp.arange(TIMES, dtype=length.dtype) + 0.5) / TIMES
    times = window.t0 + length * middle
    for name, condition in by_side(pde).items():
        if isinstance(condition, Periodic):
            continue
        needs = condition.needs(len(pde.lower))

        def at(t, x, n, condition=condition, needs=needs):
            u = lambda t, x: window.initial(x) + 0 * t
            d = derivatives(u, t, x, needs)
            rows = lambda d: rows_at(pde, condition, t, x, n, d)
            return jax.jacfwd(rows)(d), rows(d)

        x, n = pde.shape.on(name, jax.random.key(0), TIMES, times.dtype)
        slopes, rows = jax.vmap(at)(times, x, n)
        rate = jnp.zeros((rows.shape[-1], len(pde.fields)), rows.dtype)
        for name_of, slope in slopes.items():
            lengths = length ** name_of.count("t") * _extent(pde, name_of)
            rate = rate + _rms(slope, 0) / lengths
        found[name] = rate, _rms(rows, 0)
    return found


def _of_equation(pde: AbstractPDE, window: Window):
    """The same of a steady equation, and its slopes."""
    points, needs = _points(pde, window), tuple(pde.needs.split())

    def at(t, x):
        d = derivatives(lambda t, x: window.initial(x) + 0 * t, t, x, needs)
        f = lambda d: pde.equation(t, x, Derivatives(d))
        return jax.jacfwd(f)(d), f(d)

    slopes, r = jax.vmap(jax.vmap(at, (None, 0)))(points.t, points.x)
    slopes = {name: _rms(a, (0, 1)) for name, a in slopes.items()}
    rate = sum(a / _extent(pde, name) for name, a in slopes.items())
    return jnp.asarray(rate), _rms(r, (0, 1)), slopes


def _steady_sizes(pde: AbstractPDE, like):
    """How large u must be to balance the sources and what is prescribed on sides."""
    dtype = like.dtype
    window = Window(jnp.zeros((), dtype), jnp.ones((), dtype), pde.initial)
    rate, off, _ = _of_equation(pde, window)
    needed = lambda rate, off: jnp.max(
        tree.safe_divide(off, jnp.max(rate, 1), 0.0), initial=0.0
    )
    found = [needed(rate, off)]
    found += [needed(*both) for both in _on_sides(pde, window).values()]
    most = jnp.max(jnp.stack(found))
    return jnp.broadcast_to(jnp.where(most > 0, most, 1), like.shape)


def _measure_steady(pde: AbstractPDE, window: Window, sides) -> Scale:
    rate, off, slopes = _of_equation(pde, window)
    zero = jnp.zeros((len(pde.fields),), rate.dtype)
    sizes = _sizes(pde, zero)
    share = lambda rate, off: jnp.sum(tree.safe_divide(off, rate @ sizes, 0.0) ** 2)
    null = share(rate, off)
    for both in sides.values():
        null = null + share(*both)
    rows = rate @ sizes
    return Scale(sizes, rows, rate, rows, zero, zero, slopes, null)


def _measure_moving(pde: AbstractPDE, window: Window) -> Scale:
    """By the equation's slopes along u ≡ u₀, at points of the whole window."""
    points, needs = _points(pde, window), tuple(pde.needs.split())
    start, length = _start(pde, window, points.x), window.t1 - window.t0
    moving = [name for name in needs if "t" in name]

    def at(t, x):
        u = lambda t, x: window.initial(x) + 0 * t
        d = derivatives(u, t, x, needs)
        of = lambda part: pde.equation(t, x, Derivatives({**d, **part}))
        slopes = {}
        # apart, so that an infinite slope in u leaves those in uₜ finite
        for names in (moving, [name for name in needs if name not in moving]):
            slopes |= jax.jacfwd(of)({name: d[name] for name in names})
        return d, slopes, of({})

    d, slopes, r = jax.vmap(jax.vmap(at, (None, 0)))(points.t, points.x)
    rms = lambda a: jnp.nan_to_num(_rms(a, (0, 1)), posinf=0.0)
    slopes, values = ({k: rms(a) for k, a in v.items()} for v in (slopes, d))
    rate = jnp.zeros_like(slopes[needs[0]])
    for name in moving:
        rate = rate + slopes[name] / length ** name.count("t") / _extent(pde, name)
    terms = sum(slopes[name] @ values[name] for name in needs)
    terms = jnp.where(terms > 0, terms, 1)
    off = tree.safe_divide(rms(r)[:, None], rate)
    sizes, driven = _sizes(pde, start), jnp.max(off, 0)
    scale = Scale(sizes, terms, rate, terms, start, driven, slopes, terms[0])
    every = jnp.broadcast_to(_rms(start, -1, True), start.shape)
    kept = jnp.where(start > 0, start, jnp.where(driven > 0, driven, every))
    null = jnp.mean(jnp.sum((r / scale.per_row(kept)[None, None]) ** 2, -1))
    still = {name: a for name, a in slopes.items() if name not in moving}
    return scale._replace(rows=scale.per_row(sizes), slopes=still, null=null)


def _extent(pde, name):
    """The box's lengths, for each letter of space in a derivative's name."""
    lengths = [b - a for a, b in zip(pde.lower, pde.upper, strict=True)]
    product = 1.0
    for letter, extent in zip("xyz", lengths, strict=False):
        product *= extent ** name.count(letter)
    return product
