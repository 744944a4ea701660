"""A learned energy, linear in weights ≥ 0, each of which is admissible."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax.material.principal import AbstractIsotropic, stored, stress


class Units(eqx.Module):
    """Convex functions of one number: weights, centres and widths of their bends.

    Args:
        weight: ≥ 0, Pa.
        center: c, of the bend.
        width: d > 0; in |x − c| ≤ d the slope rises by about 1.4.
    """

    weight: Float[Array | np.ndarray, " k"]
    center: Float[Array | np.ndarray, " k"]
    width: Float[Array | np.ndarray, " k"]

    def cast(self, dtype):
        """As arrays, the weights without signs."""
        weight, *knots = (tree.cast(a, dtype) for a in tree.leaves(self))
        return jnp.maximum(weight, 0), *knots


class ConvexEnergy(AbstractIsotropic):
    r"""Give an energy that is a sum of convex units, with weights ≥ 0.

    ψ = Σ a N(J − 1) + Σ b M(‖e‖) + Σ w ΣᵢN(εᵢ) + Σ s ΣᵢN(σᵢ − 1)
        + ½k v² + ½l (J − 1)² + m‖e‖² + n Σᵢ(σᵢ − 1)²

    of the principal logarithmic strains ε, v = tr ε, J = eᵛ, e = ε − v/3, σ = e^ε:

        N(x) = √((x − c)² + d²) less its tangent at 0,   M(r) = N(r) + N(−r).

    For any weights ≥ 0: objective, isotropic, no stress at rest, ψ ≥ 0 and ψ convex
    along e ↦ se, so that every `AbstractRadial` return lowers it; but for s and n,
    which bend back where a stretch is pressed below one. They are for what never
    yields, and `YieldCurve` refuses them else. The units M soften as well as stiffen in
    shear, and the sums over i couple shear and volume. Beyond its outermost bend a unit
    goes on with constant slope.

    k and m make Hencky's law a member, l water, l and n `FixedCorotated`.

    Linear in its weights: `learn.local` finds them by one convex problem.

    Source: Valanis, Landel, J. Appl. Phys. 38 (1967), for Σᵢ; Amos, Xu, Kolter, ICML
    2017, for convexity by signs of weights.

    Args:
        volume, shear, strain, stretch: the units of a, b, w and s.
        quadratic: k, l, m, n ≥ 0, Pa.
    """

    volume: Units
    shear: Units
    strain: Units
    stretch: Units
    quadratic: Float[Array | np.ndarray, " 4"]

    def numbers(self, dtype):
        groups = self.volume, self.shear, self.strain, self.stretch
        units = [a for group in groups for a in group.cast(dtype)]
        return *units, jnp.maximum(tree.cast(self.quadratic, dtype), 0)

    @staticmethod
    def potential(eps, *numbers):
        volume, shear, strain, stretch = (numbers[i : i + 3] for i in (0, 3, 6, 9))
        v = jnp.sum(eps, -1)
        change = jnp.expm1(v)
        square = jnp.sum((eps - v[..., None] / 3) ** 2, -1)
        k, l, m, n = numbers[-1]
        longer = jnp.expm1(eps)
        return (
            _sum(_bend, change, volume)
            + _sum(_even, square, shear)
            + jnp.sum(_sum(_bend, eps, strain), -1)
            + jnp.sum(_sum(_bend, longer, stretch), -1)
            + k / 2 * v**2
            + l / 2 * change**2
            + m * square
            + n * jnp.sum(longer**2, -1)
        )

    def units(self, eps: Float[Array, " 3"]) -> Float[Array, "units 3"]:
        """Give ∂ψ/∂ε of each unit with weight one, in the order of the fields.

        ψ is linear in the weights: that of all is Σ w times these.
        """
        numbers, places = self.numbers(eps.dtype), (0, 3, 6, 9, 12)

        def stored(weights, eps):
            given = dict(enumerate(numbers)) | dict(zip(places, weights, strict=True))
            return self.potential(eps, *given.values())

        weights = [numbers[i] for i in places]
        return jnp.concatenate(jax.jacfwd(jax.grad(stored), 1)(weights, eps))

    def energy(self, F, alpha=()):
        del alpha
        return stored(self, F)

    def kirchhoff(self, F, alpha=()):
        del alpha
        return stress(self, F)


def _sum(unit, x, units):
    one = lambda weight, c, d: weight * unit(x, c, d)
    return jnp.sum(jax.vmap(one)(*units), 0)


def _bend(x, c, d):
    """N(x) = x²(R₀R − c(c − x) + d²)/R₀(R + R₀)², R² = (x − c)² + d²: no cancellation,
    as R₀²R² = c²(c − x)² + d²(R² + c²)."""
    R, R0 = jnp.sqrt((x - c) ** 2 + d**2), jnp.sqrt(c**2 + d**2)
    both, part = R * R0, c * (c - x)
    high = both + jnp.abs(part)
    gap = jnp.where(part > 0, d**2 * (R**2 + c**2) / high, high)
    return x**2 * (gap + d**2) / (R0 * (R + R0) ** 2)


def _even(z, c, d):
    """M(√z), smooth in z = r²: M + M₀ = √2(z + Q₀ + Q)^½, Q² = (z − Q₀)² + 4d²z."""
    Q0 = c**2 + d**2
    Q = jnp.sqrt((z - Q0) ** 2 + 4 * d**2 * z)
    total = jnp.sqrt(2 * (z + Q0 + Q)) + 2 * jnp.sqrt(Q0)
    return 2 * z * (1 + (z + 2 * (d**2 - c**2)) / (Q + Q0)) / total
