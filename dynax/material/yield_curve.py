"""A learned return: a yield limit of the pressure side, a cap, a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.material._base import number
from dynax.material.convex_energy import ConvexEnergy
from dynax.material.principal import AbstractRadial, Strains, relaxed


class YieldCurve(AbstractRadial):
    r"""Return to a yield limit that is a learned function of the volume.

    v ≤ T and ‖e‖ ≤ Y(v), Y = b + Σ w u(p) with weights ≥ 0.

        v ← min(v, T),   ‖e‖ ← Y + (‖e‖ − Y)₊ e^{−dt/t_r},   p = (v₀ − v)₊,

    u(p) = p²/(√(p² + c²) + c), which is convex, and pc/(p + c), which is concave, are 0
    at p = 0: so Y(v₀) = b exactly, and sand's apex with b = 0. t_r = 0 is plasticity;
    else two steps of dt are one of 2dt. Y = b > 0 alone is von Mises' limit, Y ∝ p that
    of Drucker and Prager, b = 0 and T = ∞ a fluid, b = ∞ elasticity.

    ψ falls for any weights: e ↦ se, s ≤ 1, and N(v) is lowered by the cut. An energy in
    which v and e are coupled may rise when v is cut at e ≠ 0, so a finite T goes with
    b = 0, or without the units of single strains. Nothing is said here of hardening.

    Args:
        base: b ≥ 0; ∞ is no limit.
        weight: w ≥ 0, the convex units first.
        scale: c > 0 of each unit, half as many as weights.
        origin: v₀; T where that is finite.
        cap: T ≥ 0; ∞ is none.
        time: t_r ≥ 0, s.
    """

    base: ScalarLike
    weight: Float[Array | np.ndarray, " 2k"]
    scale: Float[Array | np.ndarray, " k"]
    origin: ScalarLike
    cap: ScalarLike
    time: ScalarLike = 0.0

    def __check_init__(self):
        at_least = lambda a: a >= 0
        for name in ("base", "cap", "time"):
            value = getattr(self, name)
            check_parameter(name, value, at_least, f"{name} ≥ 0", finite=False)
        scale: Any = self.scale
        check_parameter("scale", scale, lambda c: c > 0, "c > 0")

    def check(self, elastic):
        """Raise a ValueError where ψ might rise."""
        if not isinstance(elastic, ConvexEnergy) or not tree.is_concrete(
            (self, elastic)
        ):
            return
        used = lambda units: bool(np.any(np.asarray(units.weight) > 0))
        yields, cut = np.isfinite(self.base), np.isfinite(self.cap)
        bends = used(elastic.stretch) or np.asarray(elastic.quadratic)[3] > 0
        if bends and (yields or cut):
            raise ValueError(
                "stretch, n: given weights > 0 beside a return; accepted are zeros, as "
                "the energy could rise when it returns."
            )
        if used(elastic.strain) and cut and np.any(np.asarray(self.base) > 0):
            raise ValueError(
                f"base: given {self.base} with cap {self.cap} and weights > 0 of "
                "single strains; accepted is base = 0, or an energy without them."
            )

    def change(self, elastic, dt):
        names = "base", "origin", "cap", "time"
        numbers = [number(self, name, dt.dtype) for name in names]
        units = [tree.cast(a, dt.dtype) for a in (self.weight, self.scale)]
        return _change, (dt, *numbers, jnp.maximum(units[0], 0), units[1])

    def limit(self, v: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Y(v)."""
        names = "base", "origin"
        units = (tree.cast(a, v.dtype) for a in (self.weight, self.scale))
        return limit(v, *(number(self, n, v.dtype) for n in names), *units)


def limit(v, base, origin, weight, scale):
    units = pressure_units(jnp.maximum(origin - v, 0), scale)
    return base + jnp.sum(jax.vmap(jnp.multiply)(weight, units), 0)


def pressure_units(p, scale) -> Float[Array, "2k *batch"]:
    """u(p), the convex ones first."""
    convex = jax.vmap(lambda c: p**2 / (jnp.sqrt(p**2 + c**2) + c))(scale)
    return jnp.concatenate([convex, jax.vmap(lambda c: p * c / (p + c))(scale)])


def _change(eps: Strains, dt, base, origin, cap, time, weight, scale) -> Strains:
    v = jnp.sum(eps, -1, keepdims=True)
    cut = jnp.minimum(v, cap)
    Y = limit(cut, base, origin, weight, scale)
    slow = time > 0
    lost = jnp.where(slow, -jnp.expm1(-dt / jnp.where(slow, time, 1)), 1)
    return relaxed(eps, Y, lost) + (cut - v) / 3
