"""A network as a function of time and place."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax._tree import cast
from dynax.pde import AbstractPDE, AbstractSteady
from dynax.pinn.networks.features import AbstractFeatures, features
from dynax.pinn.networks.mlp import MLP


class Field(eqx.Module):
    """Apply a network to features of (t, x).

    u(t, x) = body(features(t, x)).

    Args:
        features: (t, x) → z.
        body: z → fields, any callable.
    """

    features: AbstractFeatures
    body: Callable[[Array], Array]

    def __call__(self, t, x):
        return self.body(self.features(t, x))


class Enriched(eqx.Module):
    """Add functions that are known to a network, as much of each as training finds.

    u(t, x) = network(t, x) + Σ_k c_k f_k(x).

    Args:
        network: (t, x) → fields.
        functions: f, places (d,) → numbers; as many as you like.
        coefficients: c, (k, fields), 0 to begin with.
    """

    network: Callable
    functions: tuple[Callable[[Array], Array], ...] = eqx.field(static=True)
    coefficients: Float[Array, "k c"]

    def __call__(self, t, x):
        known = jnp.stack([f(x) for f in self.functions])
        return self.network(t, x) + known @ cast(self.coefficients, x.dtype)


def mlp_field(
    pde: AbstractPDE, key, width=20, depth=3, modes=2, t0=0.0, t1=None, dtype=None
) -> Field | Enriched:
    """An `MLP` for the equation: periodic if it is, scaled to its box and [t₀, t₁].

    It has the functions that the equation declares as `singular`."""
    z, c = features(pde, modes, t0, t1), len(pde.fields)
    field = Field(z, MLP(z.size, c, width, depth, key=key, dtype=dtype))
    if not (isinstance(pde, AbstractSteady) and pde.singular):
        return field
    return Enriched(field, pde.singular, jnp.zeros((len(pde.singular), c), dtype))
