"""One small network a coordinate: derivatives on a grid at the cost of its axes."""

import functools
import operator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax.pde import derivatives
from dynax.pde.derivatives import LETTERS
from dynax.pinn.networks.features import AbstractAxes
from dynax.pinn.networks.linear import Linear
from dynax.pinn.networks.mlp import MLP


class Separable(eqx.Module):
    """Sum products of networks of one coordinate each.

    u(t, x) = Σ_{r ≤ rank} f₀ᵣ(t) f₁ᵣ(x₁) … f_dᵣ(x_d), each f an `MLP`.

    Source: Cho et al., "Separable physics-informed neural networks",
    arXiv:2306.15969.

    Args:
        features: `Box` or `Periodic`; each network is told its own coordinate's.
        size_out: fields.
        width, depth: of each network.
        rank: number of products.
    """

    features: AbstractAxes
    bodies: tuple[MLP, ...]
    rank: int = eqx.field(static=True)

    def __init__(
        self,
        features,
        size_out,
        width,
        depth,
        rank,
        *,
        key,
        dtype=None,
        linear=Linear,
    ):
        self.features, self.rank = features, rank
        axes = range(len(features.lower) + 1)
        keys = jax.random.split(key, len(axes))
        size = lambda axis: features.along(axis, jnp.zeros((), dtype)).size
        self.bodies = tuple(
            MLP(
                size(axis),
                rank * size_out,
                width,
                depth,
                key=keys[axis],
                dtype=dtype,
                linear=linear,
            )
            for axis in axes
        )

    def factor(self, axis: int, s: Float[Array, ""]) -> Float[Array, "rank c"]:
        """(fᵣ(s)), for each field."""
        return self.bodies[axis](self.features.along(axis, s)).reshape(self.rank, -1)

    def __call__(self, t, x):
        coordinates = [t, *(x[i] for i in range(len(self.bodies) - 1))]
        factors = [self.factor(axis, s) for axis, s in enumerate(coordinates)]
        return functools.reduce(operator.mul, factors).sum(0)

    def on_grid(
        self, t: Float[Array, " nt"], x: tuple[Array, ...], needs: tuple[str, ...]
    ) -> dict[str, Array]:
        """Derivatives by name, (nt, n₁, …, c), at all points of a grid.

        Args:
            t, x: the grid's axes: times, and the values of each coordinate.
            needs: "u", "t", "xx", "xy", …
        """
        letters = ("t" + LETTERS)[: len(self.bodies)]
        orders = {name: [name.count(letter) for letter in letters] for name in needs}
        factors = [
            self._derivatives(axis, s, max(order[axis] for order in orders.values()))
            for axis, s in enumerate((t, *x))
        ]
        grid = "ijkl"[: len(letters)]
        formula = ",".join(f"{i}rc" for i in grid) + f"->{grid}c"
        pick = lambda order: (f[n] for f, n in zip(factors, order, strict=True))
        return {name: jnp.einsum(formula, *pick(orders[name])) for name in needs}

    def _derivatives(self, axis, s, order) -> list[Float[Array, "n rank c"]]:
        """f, f′, …, of one coordinate at all of its values."""
        names = ("u", *("t" * k for k in range(1, order + 1)))
        flat = lambda s, _: self.factor(axis, s).ravel()
        at = lambda s: derivatives(flat, s, jnp.zeros(0, s.dtype), names)
        found = jax.vmap(at)(s)
        return [found[name].reshape(len(s), self.rank, -1) for name in names]
